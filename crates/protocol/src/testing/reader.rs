//! A stream of frames through every check of this crate, as a connection would put it through them.
//!
//! Knows no login, no channel's state and no method's meaning: what it refuses, every broker refuses.

use std::collections::BTreeMap;

use crate::content::{ContentAssembler, ContentError, Progress};
use crate::error::DecodeError;
use crate::frame::{Frame, FrameKind, parse_frame};
use crate::method::{Method, decode_method};
use crate::properties::{PropertyView, parse_content_header};

/// The parts of the decoder that the fuzzer replaces to prove that it finds faults in them.
pub trait Decoder {
    /// [`parse_frame`].
    ///
    /// # Errors
    /// As [`parse_frame`].
    fn frame<'a>(
        &self,
        buf: &'a [u8],
        max_frame_bytes: u32,
    ) -> Result<Option<(Frame<'a>, usize)>, DecodeError> {
        parse_frame(buf, max_frame_bytes)
    }

    /// [`decode_method`].
    ///
    /// # Errors
    /// As [`decode_method`].
    fn method<'a>(&self, payload: &'a [u8]) -> Result<Method<'a>, DecodeError> {
        decode_method(payload)
    }

    /// [`ContentAssembler::body`].
    ///
    /// # Errors
    /// As [`ContentAssembler::body`].
    fn body(&self, content: &mut ContentAssembler, bytes: u64) -> Result<Progress, ContentError> {
        content.body(bytes)
    }
}

/// The decoder as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shipped;

impl Decoder for Shipped {}

/// The stream was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Reply code.
    pub reply_code: u16,
    /// Reply text, without the code's name.
    pub text: String,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// At the end of a frame.
    Whole,
    /// Within a frame.
    Waiting,
    /// Refused.
    Refused(Refusal),
}

/// Reads frames and judges them.
#[derive(Debug, Clone)]
pub struct Reader<D> {
    decoder: D,
    max_frame_bytes: u32,
    contents: BTreeMap<u16, ContentAssembler>,
}

impl<D: Decoder> Reader<D> {
    /// At the start of a stream, after the protocol header.
    pub const fn new(decoder: D, max_frame_bytes: u32) -> Self {
        Self { decoder, max_frame_bytes, contents: BTreeMap::new() }
    }

    /// Takes the first frame of `buf` and says how many bytes it was; `None` if it is not whole.
    ///
    /// # Errors
    /// If the stream is to be refused here.
    pub fn take(&mut self, buf: &[u8]) -> Result<Option<(FrameKind, usize)>, Refusal> {
        let taken = self.decoder.frame(buf, self.max_frame_bytes).map_err(|error| refuse(&error, buf))?;
        let Some((frame, bytes)) = taken else { return Ok(None) };
        frame.check_channel().map_err(|error| refuse(&error, frame.payload))?;
        let content = self.contents.entry(frame.channel).or_default();
        match frame.kind {
            FrameKind::Method => {
                let method = self.decoder.method(frame.payload);
                let method = method.map_err(|error| refuse(&error, frame.payload))?;
                let carries_content = matches!(method, Method::Publish(_));
                content.method(carries_content).map_err(refuse_content)?;
            }
            FrameKind::Header => {
                let header = parse_content_header(frame.payload);
                let header = header.map_err(|error| refuse(&error, frame.payload))?;
                content.header(&header).map_err(refuse_content)?;
                PropertyView::parse(header.properties).map_err(|error| refuse(&error, header.properties))?;
            }
            FrameKind::Body => {
                let bytes = u64::try_from(frame.payload.len()).unwrap_or(u64::MAX);
                self.decoder.body(content, bytes).map_err(refuse_content)?;
            }
            FrameKind::Heartbeat => {}
        }
        Ok(Some((frame.kind, bytes)))
    }

    /// Takes frames to the end of `buf`, and says how it ended and how many bytes were taken.
    pub fn take_all(&mut self, buf: &[u8]) -> (Ending, usize) {
        let mut at = 0usize;
        loop {
            let rest = buf.get(at..).unwrap_or_default();
            match self.take(rest) {
                Ok(Some((_, bytes))) => at = at.saturating_add(bytes),
                Ok(None) if rest.is_empty() => return (Ending::Whole, at),
                Ok(None) => return (Ending::Waiting, at),
                Err(refusal) => return (Ending::Refused(refusal), at),
            }
        }
    }
}

fn refuse(error: &DecodeError, input: &[u8]) -> Refusal {
    Refusal { reply_code: error.reply_code(), text: error.explanation(input) }
}

fn refuse_content(error: ContentError) -> Refusal {
    Refusal { reply_code: error.reply_code(), text: error.to_string() }
}
