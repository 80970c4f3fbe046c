//! Replies that wait for the log: they leave in order once their position is synced.

use std::collections::VecDeque;

use leveret_core::queue::ConsumerKey;
use leveret_storage::Position;

use crate::queue::QueueRef;
use crate::seams::Seams;

/// One reply, and what may begin once it is out.
pub(crate) struct Held<S: Seams> {
    pub(crate) position: Position,
    pub(crate) bytes: Vec<u8>,
    /// A consumer that must not deliver before its consume-ok.
    pub(crate) resumes: Option<(QueueRef<S>, ConsumerKey)>,
}

/// The held replies of one channel, in order. A reply that needs no sync waits here too while others do.
pub(crate) struct HeldReplies<S: Seams> {
    replies: VecDeque<Held<S>>,
    bytes: usize,
}

impl<S: Seams> Default for HeldReplies<S> {
    fn default() -> Self {
        Self { replies: VecDeque::new(), bytes: 0 }
    }
}

impl<S: Seams> HeldReplies<S> {
    pub(crate) fn is_empty(&self) -> bool {
        self.replies.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, held: Held<S>) {
        self.bytes += held.bytes.len();
        self.replies.push_back(held);
    }

    /// The next reply that may leave.
    pub(crate) fn pop(&mut self, synced: Position) -> Option<Held<S>> {
        self.replies.front().filter(|held| held.position <= synced)?;
        let held = self.replies.pop_front()?;
        self.bytes -= held.bytes.len();
        Some(held)
    }

    /// What the first one waits for.
    pub(crate) fn waits_for(&self) -> Option<Position> {
        self.replies.front().map(|held| held.position)
    }

    /// What the last one waits for.
    pub(crate) fn last_position(&self) -> Option<Position> {
        self.replies.iter().map(|held| held.position).max()
    }
}
