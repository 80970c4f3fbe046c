//! What an inspection found missing, and how it tells how far it is.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::StorageError;

/// What may be gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "lost", rename_all = "snake_case")]
pub enum Lost {
    /// Live messages of a queue.
    Messages {
        /// The queue's id.
        queue: u64,
        /// The first of their numbers in the queue,
        first: u64,
        /// and the last.
        last: u64,
    },
    /// Whatever an index had between two messages: live ones and settled ones.
    Index {
        /// The queue of the last message before the gap, 0 before the first.
        from_queue: u64,
        /// Its number.
        from_seq: u64,
        /// The queue of the first message behind the gap, the highest number at the end.
        to_queue: u64,
        /// Its number.
        to_seq: u64,
    },
    /// Records of the log: messages, settlements or definitions.
    Records {
        /// The position of the first,
        first: u64,
        /// and of the last.
        last: u64,
    },
    /// Definitions: those found may not be the latest.
    Definitions,
    /// What says which messages were settled or deleted: some of them may come back.
    Settlements,
    /// Nothing by itself.
    Nothing,
}

/// A damaged place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// What may be gone with it.
    #[serde(flatten)]
    pub lost: Lost,
    /// The damaged or missing file.
    #[serde(serialize_with = "as_text")]
    pub file: PathBuf,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
}

fn as_text<S: serde::Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&path.display())
}

impl Loss {
    pub(super) fn new(lost: Lost, file: &Path, offset: u64, reason: impl Into<String>) -> Self {
        Self { lost, file: file.to_owned(), offset, reason: reason.into() }
    }

    /// From an error that names a place; others are none of the store's.
    pub(super) fn of(lost: Lost, error: StorageError) -> Result<Self, StorageError> {
        match error {
            StorageError::Corrupt { file, offset, why: reason } => Ok(Self { lost, file, offset, reason }),
            StorageError::Io { file, op, source } if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self { lost, file, offset: 0, reason: format!("missing: {op} failed: {source}") })
            }
            error => Err(error),
        }
    }

    /// Takes in a loss of the same kind next to this one. Says whether it did.
    pub(super) fn join(&mut self, next: &Self) -> bool {
        let (Lost::Messages { queue, last, .. }, Lost::Messages { queue: other, first, last: end }) =
            (&mut self.lost, &next.lost)
        else {
            return false;
        };
        let is_joined = queue == other
            && last.checked_add(1) == Some(*first)
            && (self.file == next.file && self.reason == next.reason);
        if is_joined {
            *last = *end;
        }
        is_joined
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: byte {}: {}: ", self.file.display(), self.offset, self.reason)?;
        match &self.lost {
            Lost::Messages { queue, first, last } if first == last => {
                write!(f, "message {first} of queue {queue} is lost")
            }
            Lost::Messages { queue, first, last } => {
                write!(f, "messages {first} to {last} of queue {queue} are lost")
            }
            Lost::Index { from_queue, from_seq, to_queue, to_seq } => write!(
                f,
                "messages between {from_seq} of queue {from_queue} and {to_seq} of queue {to_queue} are lost"
            ),
            Lost::Records { first, last } => write!(f, "records {first} to {last} of the log are lost"),
            Lost::Definitions => f.write_str("definitions may be lost"),
            Lost::Settlements => f.write_str("settled messages may come back"),
            Lost::Nothing => f.write_str("nothing else is lost by this"),
        }
    }
}

/// A place that cannot be read, before it is known what that costs.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) file: PathBuf,
    pub(super) offset: u64,
    pub(super) reason: String,
}

/// The bytes of a payload, or why there are none.
pub(super) type Verified = Result<Vec<u8>, Damage>;

/// How far an inspection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being read.
    pub part: &'static str,
    /// How much of it was,
    pub done: u64,
    /// and how much there is.
    pub total: u64,
}

/// Hears of progress, now and then.
pub type Watch<'a> = &'a mut dyn FnMut(Progress);
