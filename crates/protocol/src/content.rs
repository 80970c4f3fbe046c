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

use crate::constants::{basic_method_id, class_id, reply_code};
use crate::properties::ContentHeader;

/// A frame that may not come now, in the words of RabbitMQ 4.0.5. Closes the connection.
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
    /// More body than announced. RabbitMQ's words for it are those of [`ContentError::ExpectedBody`].
    #[error("expected content body, got non content body frame instead")]
    BodyTooLong {
        /// Bytes still owed.
        owed: u64,
        /// Bytes that came.
        got: u64,
    },
}

impl ContentError {
    /// The reply code for connection.close; the text is the error's own.
    pub const fn reply_code(self) -> u16 {
        reply_code::UNEXPECTED_FRAME
    }

    /// The class and method for connection.close: those of the content that was interrupted.
    pub const fn reply_ids(self) -> (u16, u16) {
        match self {
            Self::ExpectedMethod => (0, 0),
            _ => (class_id::BASIC, basic_method_id::PUBLISH),
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
                    self.state = State::Header { class_id: class_id::BASIC };
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
                Err(ContentError::WrongClass { expected: class_id, got: header.class_id })
            }
            State::Header { .. } if header.body_size == 0 => {
                self.state = State::Idle;
                Ok(Progress::Complete)
            }
            State::Header { .. } => {
                self.state = State::Body { owed: header.body_size };
                Ok(Progress::More)
            }
        }
    }

    /// Takes a body frame of so many bytes.
    ///
    /// # Errors
    /// 505 if none was due or it is more than was owed; the state is left as it was.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One step of a channel's input.
    #[derive(Clone, Copy)]
    enum Step {
        Publish,
        Method,
        Header(u16, u64),
        Body(u64),
    }
    use Step::{Body, Header, Method, Publish};

    fn take(content: &mut ContentAssembler, step: Step) -> Result<Progress, ContentError> {
        match step {
            Publish => content.method(true).map(|()| Progress::More),
            Method => content.method(false).map(|()| Progress::Complete),
            Header(class_id, body_size) => {
                content.header(&ContentHeader { class_id, body_size, properties: &[0, 0] })
            }
            Body(bytes) => content.body(bytes),
        }
    }

    #[test]
    fn each_sequence_ends_as_rabbitmq_ends_it() {
        let many = Err(ContentError::BodyTooLong { owed: 1, got: 2 });
        let table: [(&[Step], Result<Progress, ContentError>); 14] = [
            (&[Publish, Header(60, 0)], Ok(Progress::Complete)),
            (&[Publish, Header(60, 5), Body(5)], Ok(Progress::Complete)),
            (&[Publish, Header(60, 5), Body(4)], Ok(Progress::More)),
            (&[Publish, Header(60, 1), Body(0), Body(0), Body(1)], Ok(Progress::Complete)),
            (&[Method, Publish, Header(60, 0), Method], Ok(Progress::Complete)),
            (&[Header(60, 1)], Err(ContentError::ExpectedMethod)),
            (&[Body(1)], Err(ContentError::ExpectedMethod)),
            (&[Publish, Header(60, 0), Body(0)], Err(ContentError::ExpectedMethod)),
            (&[Publish, Body(1)], Err(ContentError::ExpectedHeader(60))),
            (&[Publish, Method], Err(ContentError::ExpectedHeader(60))),
            (&[Publish, Header(60, 5), Publish], Err(ContentError::ExpectedBody)),
            (&[Publish, Header(60, 5), Header(60, 5)], Err(ContentError::ExpectedBody)),
            (&[Publish, Header(50, 0)], Err(ContentError::WrongClass { expected: 60, got: 50 })),
            (&[Publish, Header(60, 3), Body(2), Body(2)], many),
        ];
        for (at, (steps, expected)) in table.into_iter().enumerate() {
            let mut content = ContentAssembler::new();
            let (last, before) = steps.split_last().unwrap();
            for step in before {
                take(&mut content, *step).unwrap();
            }
            let state = content;
            assert_eq!(take(&mut content, *last), expected, "row {at}");
            if expected.is_err() {
                assert_eq!(content, state, "row {at}: a refused frame changes nothing");
            } else {
                assert_eq!(content.is_open(), expected == Ok(Progress::More), "row {at}");
            }
        }
    }

    #[test]
    fn a_body_counts_down_without_overflow() {
        let mut content = ContentAssembler::new();
        take(&mut content, Publish).unwrap();
        take(&mut content, Header(60, u64::MAX)).unwrap();
        assert_eq!(content.owed(), u64::MAX);
        take(&mut content, Body(u64::MAX - 1)).unwrap();
        assert_eq!(content.owed(), 1);
    }
}
