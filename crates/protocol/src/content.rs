//! Which frame of a content may come next, and how much body is still owed (spec 2.3.5).
//!
//! Counts and judges; holds no byte of the content. One per channel.
//!
//! ```text
//!            method with content            header, body_size > 0
//!   Idle ─────────────────────▶ Header ─────────────────────────▶ Body ─┐
//!    ▲                            │ header, body_size = 0           │   │ body, more owed
//!    └────────────────────────────┴─────────── body, last ─────────┘ ◀─┘
//! ```

use crate::constants::{class_id, reply_code};
use crate::properties::ContentHeader;

/// A frame that may not come now. Closes the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// A header or body frame where a method was due.
    #[error("expected method frame, got non method frame instead")]
    ExpectedMethod,
    /// Another frame where a content header was due; the class it was due for.
    #[error("expected content header for class {0}, got non content header frame instead")]
    ExpectedHeader(u16),
    /// A content header of another class than the method's.
    #[error("expected content header for class {expected}, got one for class {got} instead")]
    WrongClass {
        /// The method's class.
        expected: u16,
        /// The header's class.
        got: u16,
    },
    /// Another frame where a body was due.
    #[error("expected content body, got non content body frame instead")]
    ExpectedBody,
    /// More body than announced.
    #[error("content body is {got} bytes where {owed} were owed")]
    BodyTooLong {
        /// Bytes still owed.
        owed: u64,
        /// Bytes that came.
        got: u64,
    },
}

impl ContentError {
    /// The reply code for connection.close.
    pub const fn reply_code(self) -> u16 {
        match self {
            Self::BodyTooLong { .. } => reply_code::FRAME_ERROR,
            _ => reply_code::UNEXPECTED_FRAME,
        }
    }
}

/// What a frame was to the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More body is owed.
    More,
    /// The content is whole; the next frame is a method.
    Complete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Idle,
    Header {
        class_id: u16,
    },
    Body {
        owed: u64,
    },
}

/// Judges the frames of one channel's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ContentAssembler {
    state: State,
}

impl ContentAssembler {
    /// Between contents.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a content has begun and is not whole: a method may not come now.
    pub fn is_open(&self) -> bool {
        self.state != State::Idle
    }

    /// Body bytes still owed.
    pub const fn owed(&self) -> u64 {
        match self.state {
            State::Body { owed } => owed,
            _ => 0,
        }
    }

    /// Takes a method frame; `carries_content` opens a content of the basic class.
    ///
    /// # Errors
    /// 505 within a content; the state is left as it was.
    pub const fn method(&mut self, carries_content: bool) -> Result<(), ContentError> {
        match self.state {
            State::Idle => {
                if carries_content {
                    self.state = State::Header {
                        class_id: class_id::BASIC,
                    };
                }
                Ok(())
            }
            State::Header { class_id } => Err(ContentError::ExpectedHeader(class_id)),
            State::Body { .. } => Err(ContentError::ExpectedBody),
        }
    }

    /// Takes a content header.
    ///
    /// # Errors
    /// 505 if none was due, or of another class; the state is left as it was.
    pub const fn header(&mut self, header: &ContentHeader<'_>) -> Result<Progress, ContentError> {
        match self.state {
            State::Idle => Err(ContentError::ExpectedMethod),
            State::Body { .. } => Err(ContentError::ExpectedBody),
            State::Header { class_id } if class_id != header.class_id => {
                Err(ContentError::WrongClass {
                    expected: class_id,
                    got: header.class_id,
                })
            }
            State::Header { .. } if header.body_size == 0 => {
                self.state = State::Idle;
                Ok(Progress::Complete)
            }
            State::Header { .. } => {
                self.state = State::Body {
                    owed: header.body_size,
                };
                Ok(Progress::More)
            }
        }
    }

    /// Takes a body frame of so many bytes.
    ///
    /// # Errors
    /// 505 if none was due, 501 if it is more than was owed; the state is left as it was.
    pub const fn body(&mut self, bytes: u64) -> Result<Progress, ContentError> {
        match self.state {
            State::Idle => Err(ContentError::ExpectedMethod),
            State::Header { class_id } => Err(ContentError::ExpectedHeader(class_id)),
            State::Body { owed } => match owed.checked_sub(bytes) {
                None => Err(ContentError::BodyTooLong { owed, got: bytes }),
                Some(0) => {
                    self.state = State::Idle;
                    Ok(Progress::Complete)
                }
                Some(owed) => {
                    self.state = State::Body { owed };
                    Ok(Progress::More)
                }
            },
        }
    }
}
