//! Faults put around the shipped decoder, to prove that the fuzzer would find them in it.

use amq_protocol::protocol::parse_class;
use clap::ValueEnum;
use leveret_protocol::constants::{FRAME_END, FRAME_HEADER_BYTES};
use leveret_protocol::content::{ContentAssembler, ContentError, Progress};
use leveret_protocol::error::{DecodeError, DecodeErrorKind};
use leveret_protocol::frame::{Frame, parse_frame};
use leveret_protocol::method::{Method, decode_method};
use leveret_protocol::testing::reader::Decoder;

/// A planted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plant {
    /// Tables beyond the depth bound go to amq-protocol's recursive parser.
    UnboundedRecursion,
    /// Any octet ends a frame.
    IgnoredFrameEnd,
    /// Body beyond the announced size is let pass.
    UncheckedBodyOverrun,
}

impl Plant {
    /// All of them.
    pub(crate) const ALL: [Self; 3] =
        [Self::UnboundedRecursion, Self::IgnoredFrameEnd, Self::UncheckedBodyOverrun];

    /// As on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::UnboundedRecursion => "unbounded-recursion",
            Self::IgnoredFrameEnd => "ignored-frame-end",
            Self::UncheckedBodyOverrun => "unchecked-body-overrun",
        }
    }

    /// Words of the finding that shows it was this fault and no other.
    pub(crate) const fn finding(self) -> &'static str {
        match self {
            Self::UnboundedRecursion => "died of",
            Self::IgnoredFrameEnd => "a frame is Wrong",
            Self::UncheckedBodyOverrun => "bytes of body where",
        }
    }
}

/// The shipped decoder, with one fault or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planted(pub(crate) Option<Plant>);

impl Decoder for Planted {
    fn frame<'a>(
        &self,
        buf: &'a [u8],
        max_frame_bytes: u32,
    ) -> Result<Option<(Frame<'a>, usize)>, DecodeError> {
        let taken = parse_frame(buf, max_frame_bytes);
        let Err(error) = taken else { return taken };
        if self.0 != Some(Plant::IgnoredFrameEnd) || !matches!(error.kind, DecodeErrorKind::BadFrameEnd(_)) {
            return taken;
        }
        let mut mended = buf.to_vec();
        mended[error.offset] = FRAME_END;
        let frame = parse_frame(&mended, max_frame_bytes)?;
        Ok(frame.map(|(frame, bytes)| {
            let Frame { kind, channel, .. } = frame;
            (Frame { kind, channel, payload: &buf[FRAME_HEADER_BYTES..error.offset] }, bytes)
        }))
    }

    fn method<'a>(&self, payload: &'a [u8]) -> Result<Method<'a>, DecodeError> {
        let decoded = decode_method(payload);
        let Err(error) = decoded else { return decoded };
        if self.0 != Some(Plant::UnboundedRecursion) || error.kind != DecodeErrorKind::TableTooDeep {
            return Err(error);
        }
        match parse_class(payload) {
            Ok(([], class)) => Ok(Method::Cold(class)),
            _ => Err(error),
        }
    }

    fn body(&self, content: &mut ContentAssembler, bytes: u64) -> Result<Progress, ContentError> {
        match content.body(bytes) {
            Err(ContentError::BodyTooLong { owed, .. }) if self.0 == Some(Plant::UncheckedBodyOverrun) => {
                content.body(owed)
            }
            judged => judged,
        }
    }
}
