//! What can be wrong with a peer's bytes, where, and the reply code it earns.

use crate::constants::reply_code;

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
    /// A frame type octet other than 1, 2, 3 and 8.
    #[error("unknown frame type {0}")]
    UnknownFrameType(u8),
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
    /// A content header of a class that carries no content.
    #[error("class carries no content")]
    UnknownContentClass,
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
        Self {
            kind,
            place,
            offset,
            class_id: 0,
            method_id: 0,
        }
    }

    /// The same error with the class and method that were being read.
    pub(crate) const fn in_method(self, class_id: u16, method_id: u16) -> Self {
        Self {
            class_id,
            method_id,
            ..self
        }
    }

    /// The reply code for connection.close.
    pub fn reply_code(&self) -> u16 {
        match self.kind {
            DecodeErrorKind::UnknownFrameType(_)
            | DecodeErrorKind::FrameTooLarge { .. }
            | DecodeErrorKind::BadFrameEnd(_)
            | DecodeErrorKind::TableTooDeep
            | DecodeErrorKind::TableTooLarge => reply_code::FRAME_ERROR,
            DecodeErrorKind::UnknownMethod => reply_code::NOT_IMPLEMENTED,
            DecodeErrorKind::Truncated
            | DecodeErrorKind::TrailingBytes
            | DecodeErrorKind::NotUtf8
            | DecodeErrorKind::UnknownFieldType(_)
            | DecodeErrorKind::UnknownContentClass
            | DecodeErrorKind::PropertyFlags => reply_code::SYNTAX_ERROR,
        }
    }
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
