//! Frames: type, channel, size, payload, end octet (spec 4.2.3).
//!
//! Stateless and borrowed: a reader keeps one buffer and asks again when more has come. Holds no
//! frame_max of its own and knows no channel.

use crate::constants::{
    FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_HEADER_BYTES, FRAME_HEARTBEAT, FRAME_METHOD,
    FRAME_OVERHEAD_BYTES,
};
use crate::error::{DecodeError, DecodeErrorKind, Place};

/// What a frame's payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// A method: [`decode_method`](crate::decode_method).
    Method,
    /// A content header: [`parse_content_header`](crate::properties::parse_content_header).
    Header,
    /// A piece of a content's body.
    Body,
    /// A heartbeat; only channel 0 may carry it.
    Heartbeat,
}

impl FrameKind {
    /// The type octet.
    pub const fn octet(self) -> u8 {
        match self {
            Self::Method => FRAME_METHOD,
            Self::Header => FRAME_HEADER,
            Self::Body => FRAME_BODY,
            Self::Heartbeat => FRAME_HEARTBEAT,
        }
    }

    /// The kind of a type octet, if it is one.
    pub const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            FRAME_METHOD => Some(Self::Method),
            FRAME_HEADER => Some(Self::Header),
            FRAME_BODY => Some(Self::Body),
            FRAME_HEARTBEAT => Some(Self::Heartbeat),
            _ => None,
        }
    }
}

/// One frame, its payload borrowed from the read buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is.
    pub kind: FrameKind,
    /// The channel, 0 for the connection itself.
    pub channel: u16,
    /// The bytes between the frame's header and its end octet.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Refuses what no channel's state can allow: a heartbeat beside channel 0, a content frame on it.
    ///
    /// # Errors
    /// 505; its [`explanation`](DecodeError::explanation) wants this frame's payload.
    pub fn check_channel(&self) -> Result<(), DecodeError> {
        let content = matches!(self.kind, FrameKind::Header | FrameKind::Body);
        let heartbeat = self.kind == FrameKind::Heartbeat;
        if (heartbeat && self.channel != 0) || (content && self.channel == 0) {
            return Err(frame_error(DecodeErrorKind::WrongChannel(self.kind.octet()), 0));
        }
        Ok(())
    }
}

/// The first frame in `buf` and the bytes it takes there; `None` when more bytes are needed.
///
/// `max_frame_bytes` is the agreed frame_max: the whole frame, payload and 8. As RabbitMQ does, 8 more are
/// let pass, for clients that counted the payload alone. A frame announced as larger is refused on its
/// 7-byte header, before anything of it is buffered.
///
/// # Errors
/// 501 for an unknown type octet, too large a frame, a wrong end octet or a heartbeat with a payload.
#[inline]
pub fn parse_frame(buf: &[u8], max_frame_bytes: u32) -> Result<Option<(Frame<'_>, usize)>, DecodeError> {
    let Some(header) = buf.first_chunk::<FRAME_HEADER_BYTES>() else {
        return Ok(None);
    };
    let [octet, channel_high, channel_low, size @ ..] = *header;
    let size = u32::from_be_bytes(size);
    if size > max_frame_bytes {
        let limit = payload_limit(max_frame_bytes);
        return Err(frame_error(DecodeErrorKind::FrameTooLarge { payload: size, limit }, 3));
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let end = FRAME_HEADER_BYTES.saturating_add(size);
    let Some((payload, &end_octet)) = buf.get(FRAME_HEADER_BYTES..end).zip(buf.get(end)) else {
        return Ok(None);
    };
    if end_octet != FRAME_END {
        return Err(frame_error(DecodeErrorKind::BadFrameEnd(end_octet), end));
    }
    let Some(kind) = FrameKind::from_octet(octet) else {
        return Err(frame_error(DecodeErrorKind::UnknownFrame(octet), end));
    };
    if kind == FrameKind::Heartbeat && !payload.is_empty() {
        return Err(frame_error(DecodeErrorKind::UnknownFrame(octet), end));
    }
    let channel = u16::from_be_bytes([channel_high, channel_low]);
    Ok(Some((Frame { kind, channel, payload }, end.saturating_add(1))))
}

/// Bytes still missing from the frame at the start of `buf`; 0 when it is whole.
///
/// A hint for the reader's reserve. It may be as large as the peer announced: bound it by calling
/// [`parse_frame`] first, which refuses what is too large.
pub fn frame_bytes_needed(buf: &[u8]) -> usize {
    let Some(&[_, _, _, ref size @ ..]) = buf.first_chunk::<FRAME_HEADER_BYTES>() else {
        return FRAME_OVERHEAD_BYTES.saturating_sub(buf.len());
    };
    let size = usize::try_from(u32::from_be_bytes(*size)).unwrap_or(usize::MAX);
    size.saturating_add(FRAME_OVERHEAD_BYTES).saturating_sub(buf.len())
}

/// Payload bytes of the largest frame of `max_frame_bytes` in all.
pub const fn payload_limit(max_frame_bytes: u32) -> u32 {
    max_frame_bytes.saturating_sub(8)
}

#[cold]
const fn frame_error(kind: DecodeErrorKind, offset: usize) -> DecodeError {
    DecodeError::new(kind, Place::Frame, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACK: [u8; 12] = [1, 0, 7, 0, 0, 0, 4, 0, 60, 0, 80, FRAME_END];

    #[test]
    fn a_frame_is_found_only_when_whole() {
        for cut in 0..ACK.len() {
            assert_eq!(parse_frame(&ACK[..cut], 4096), Ok(None), "cut at {cut}");
            assert_eq!(cut + frame_bytes_needed(&ACK[..cut]), if cut < 7 { 8 } else { ACK.len() });
        }
        let frame = Frame { kind: FrameKind::Method, channel: 7, payload: &ACK[7..11] };
        assert_eq!(parse_frame(&ACK, 4096), Ok(Some((frame, 12))));
        assert_eq!(frame_bytes_needed(&ACK), 0);
    }

    #[test]
    fn what_is_wrong_is_said_as_early_as_it_is_seen() {
        let table: [(&[u8], DecodeErrorKind, usize); 4] = [
            (&[1, 0, 0, 0, 0, 16, 1], DecodeErrorKind::FrameTooLarge { payload: 4097, limit: 4088 }, 3),
            (
                &[3, 0, 1, 255, 255, 255, 255],
                DecodeErrorKind::FrameTooLarge { payload: u32::MAX, limit: 4088 },
                3,
            ),
            (&[8, 0, 0, 0, 0, 0, 0, 0xCD], DecodeErrorKind::BadFrameEnd(0xCD), 7),
            (&[4, 0, 0, 0, 0, 0, 0, FRAME_END], DecodeErrorKind::UnknownFrame(4), 7),
        ];
        for (bytes, kind, offset) in table {
            let error = parse_frame(bytes, 4096).unwrap_err();
            assert_eq!((error.kind, error.offset), (kind, offset));
            assert_eq!(error.reply_code(), 501);
        }
    }

    #[test]
    fn a_payload_of_frame_max_passes_and_no_more() {
        let mut bytes = vec![3, 0, 1, 0, 0, 16, 0];
        bytes.resize(7 + 4096, 0);
        bytes.push(FRAME_END);
        assert_eq!(parse_frame(&bytes, 4096).unwrap().unwrap().1, 4104);
        assert!(parse_frame(&bytes, 4095).is_err());
    }
}
