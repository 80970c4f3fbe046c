//! What can be wrong with a peer's bytes, where, and the reply code it earns.

use crate::constants::{FRAME_HEADER_BYTES, reply_code};

/// The part of the wire format in which an error was found; offsets count from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Place {
    /// A frame, from its type octet.
    #[error("frame")]
    Frame,
    /// A method frame's payload, from its class id.
    #[error("method")]
    Method,
    /// A content header frame's payload, from its class id.
    #[error("content header")]
    ContentHeader,
    /// A content header's properties, from their flags word.
    #[error("properties")]
    Properties,
    /// A field table's content, after its length.
    #[error("field table")]
    Table,
    /// The frames of one content: its header and its bodies.
    #[error("content")]
    Content,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeErrorKind {
    /// A frame type octet other than 1, 2, 3 and 8, or a payload that no frame of that type has: a method
    /// without ids, a content header without its fixed part, a heartbeat with anything.
    #[error("no frame of type {0} is like this")]
    UnknownFrame(u8),
    /// A frame announced as larger than agreed; both are payload bytes.
    #[error("frame of {payload} payload bytes where {limit} are allowed")]
    FrameTooLarge {
        /// Announced.
        payload: u32,
        /// Allowed.
        limit: u32,
    },
    /// The octet after a payload was not the frame end.
    #[error("frame end is {0:#04x}")]
    BadFrameEnd(u8),
    /// A heartbeat beside channel 0, or a content frame on it.
    #[error("frame of type {0} on the wrong channel")]
    WrongChannel(u8),
    /// No such class and method.
    #[error("unknown method")]
    UnknownMethod,
    /// A value reaches beyond the bytes that hold it.
    #[error("a value reaches beyond the end")]
    Truncated,
    /// Bytes are left after the last value.
    #[error("bytes are left over")]
    TrailingBytes,
    /// A name or text of a cold method, or a key in its arguments, is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A field table uses a type letter that RabbitMQ does not know.
    #[error("unknown field type {0:#04x}")]
    UnknownFieldType(u8),
    /// A field table nests deeper than [`TABLE_DEPTH`](crate::limits::TABLE_DEPTH).
    #[error("tables nest too deep")]
    TableTooDeep,
    /// A field table has more than [`TABLE_ELEMENTS`](crate::limits::TABLE_ELEMENTS) elements.
    #[error("too many table elements")]
    TableTooLarge,
    /// A content header whose weight is not 0.
    #[error("content header with a weight")]
    ContentWeight,
    /// Property flags continue into a second word, which no property uses.
    #[error("property flags continue")]
    PropertyFlags,
}

/// A peer's bytes could not be read. Nothing was consumed and no state is left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset} of a {place}")]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// In which part of the format.
    pub place: Place,
    /// Bytes from the start of that part to the value at fault.
    pub offset: usize,
    /// The class in question, or 0.
    pub class_id: u16,
    /// The method in question, or 0.
    pub method_id: u16,
}

impl DecodeError {
    /// An error in no known method.
    pub(crate) const fn new(kind: DecodeErrorKind, place: Place, offset: usize) -> Self {
        Self { kind, place, offset, class_id: 0, method_id: 0 }
    }

    /// The same error with the class and method that were being read.
    pub(crate) const fn in_method(self, class_id: u16, method_id: u16) -> Self {
        Self { class_id, method_id, ..self }
    }

    /// The reply code for connection.close.
    ///
    /// As RabbitMQ 4.0.5 answers, where it answers. Unknown methods and malformed tables and properties
    /// crash its connection process (no answer, or a bare 541): here they are 540 and 501.
    pub const fn reply_code(&self) -> u16 {
        match self.kind {
            DecodeErrorKind::UnknownMethod => reply_code::NOT_IMPLEMENTED,
            DecodeErrorKind::ContentWeight | DecodeErrorKind::WrongChannel(_) => reply_code::UNEXPECTED_FRAME,
            _ => reply_code::FRAME_ERROR,
        }
    }

    /// The class and method for connection.close, as RabbitMQ fills them in; 0 and 0 for none.
    pub const fn reply_ids(&self) -> (u16, u16) {
        match self.kind {
            DecodeErrorKind::NotUtf8 => (0, 0),
            _ => (self.class_id, self.method_id),
        }
    }

    /// The reply text in RabbitMQ's words, without the code's name before it and not yet cut.
    ///
    /// `input` is what the failed function was given.
    pub fn explanation(&self, input: &[u8]) -> String {
        match (self.kind, self.place) {
            (DecodeErrorKind::FrameTooLarge { payload, limit }, _) => {
                frame_text(input, &[], &format!("{{frame_too_large,{payload},{limit}}}"))
            }
            (DecodeErrorKind::BadFrameEnd(octet), _) => {
                let payload = input.get(FRAME_HEADER_BYTES..self.offset).unwrap_or_default();
                frame_text(input, payload, &format!("{{invalid_frame_end_marker,{octet}}}"))
            }
            (DecodeErrorKind::UnknownFrame(octet), Place::Frame) => {
                let end = input.len().min(self.offset);
                let payload = input.get(FRAME_HEADER_BYTES..end).unwrap_or_default();
                frame_text(&[octet], payload, "unknown_frame")
            }
            (DecodeErrorKind::UnknownFrame(octet), _) => frame_text(&[octet], input, "unknown_frame"),
            (DecodeErrorKind::WrongChannel(octet), _) => frame_words(octet, input),
            (DecodeErrorKind::UnknownMethod, _) => {
                format!("unknown method {} of class {}", self.method_id, self.class_id)
            }
            (DecodeErrorKind::NotUtf8, _) => "Malformed UTF-8 in shortstr".to_owned(),
            (DecodeErrorKind::ContentWeight, _) => {
                "expected content header for class 60, got non content header frame instead".to_owned()
            }
            (DecodeErrorKind::Truncated | DecodeErrorKind::TrailingBytes, Place::Method) => {
                format!("cannot decode {}", octets(input.get(4..).unwrap_or_default()))
            }
            _ => self.to_string(),
        }
    }
}

/// RabbitMQ's text for a frame that is wrong: its type, its first octets, and what is wrong.
fn frame_text(frame: &[u8], payload: &[u8], reason: &str) -> String {
    format!("{}: {reason}", frame_words(frame.first().copied().unwrap_or_default(), payload))
}

/// RabbitMQ's text for a frame that came at the wrong time or place.
pub fn frame_words(octet: u8, payload: &[u8]) -> String {
    let (which, shown) = match payload.get(..SHOWN_OCTETS) {
        Some(first) if payload.len() > SHOWN_OCTETS => ("first 16 octets", first),
        _ => ("all octets", payload),
    };
    format!("type {octet}, {which} = {}", printable_or_octets(shown))
}

/// Octets of a payload that RabbitMQ's text shows.
const SHOWN_OCTETS: usize = 16;

/// Bytes as Erlang's `~p` writes a binary: in quotes if all can be printed, else as numbers.
fn printable_or_octets(bytes: &[u8]) -> String {
    let printable = |byte: &u8| matches!(byte, 0x20..=0x7E | b'\n' | b'\t' | b'\r');
    if bytes.is_empty() || !bytes.iter().all(printable) {
        return octets(bytes);
    }
    let text = String::from_utf8_lossy(bytes).replace('\\', "\\\\").replace('"', "\\\"");
    let text = text.replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r");
    format!("<<\"{text}\">>")
}

/// Bytes as Erlang's `~w` writes a binary; no more than a reply text can hold.
fn octets(bytes: &[u8]) -> String {
    let numbers: Vec<String> = bytes.iter().take(255).map(u8::to_string).collect();
    format!("<<{}>>", numbers.join(","))
}

/// A value of ours does not fit the wire format. The output is left as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A frame's payload or a table is longer than its 32-bit length can say.
    #[error("longer than 32 bits can say")]
    TooLong,
    /// The generator of a cold method refused it.
    #[error("the method could not be written")]
    Generator,
}

#[cfg(test)]
mod tests {
    use crate::frame::parse_frame;
    use crate::method::decode_method;

    /// Reply texts recorded from RabbitMQ 4.0.5, without `FRAME_ERROR - `.
    #[test]
    fn frames_are_refused_in_rabbitmqs_words() {
        let table: [(&[u8], &str); 6] = [
            (b"\x04\0\x01\0\0\0\x04abcd\xCE", "type 4, all octets = <<\"abcd\">>: unknown_frame"),
            (
                b"\x04\0\x01\0\0\0\x12abcdefghijabcdefgh\xCE",
                "type 4, first 16 octets = <<\"abcdefghijabcdef\">>: unknown_frame",
            ),
            (
                b"\x01\0\0\0\0\0\x04\0\x0a\0\x33\xCD",
                "type 1, all octets = <<0,10,0,51>>: {invalid_frame_end_marker,205}",
            ),
            (b"\x09\0\0\xff\xff\xff\xff", "type 9, all octets = <<>>: {frame_too_large,4294967295,131064}"),
            (b"\x08\0\0\0\0\0\x02xx\xCE", "type 8, all octets = <<\"xx\">>: unknown_frame"),
            (b"\x08\0\0\0\0\0\x02\"\\\xCEmore", "type 8, all octets = <<\"\\\"\\\\\">>: unknown_frame"),
        ];
        for (bytes, text) in table {
            let error = parse_frame(bytes, 131_072).unwrap_err();
            assert_eq!((error.explanation(bytes).as_str(), error.reply_code()), (text, 501));
            assert_eq!(error.reply_ids(), (0, 0));
        }
    }

    /// Recorded likewise, but for the unknown method, which RabbitMQ does not answer.
    #[test]
    fn methods_are_refused_in_rabbitmqs_words() {
        let table: [(&[u8], &str, u16, [u16; 2]); 5] = [
            (b"\0\x3c\0\x0a\0\0\0\0\0\x0a\0XX", "cannot decode <<0,0,0,0,0,10,0,88,88>>", 501, [60, 10]),
            (b"\0\x3c\0\x28\0\0", "cannot decode <<0,0>>", 501, [60, 40]),
            (b"\0\x32\0\x0a\0\0\x02q\xff\x04\0\0\0\0", "Malformed UTF-8 in shortstr", 501, [0, 0]),
            (b"\0\x0a", "type 1, all octets = <<0,10>>: unknown_frame", 501, [0, 0]),
            (b"\0\x63\0\x01", "unknown method 1 of class 99", 540, [99, 1]),
        ];
        for (payload, text, code, ids) in table {
            let error = decode_method(payload).unwrap_err();
            assert_eq!(error.explanation(payload), text);
            assert_eq!((error.reply_code(), error.reply_ids()), (code, ids.into()));
        }
    }
}
