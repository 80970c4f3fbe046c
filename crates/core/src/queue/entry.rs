//! One message as its queue knows it: where its bytes lie, and what decides about its way.

use super::store::Place;
use crate::ids::QueueSeq;

/// How a message is kept: what its queue is told of it beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// It has a record in the log, so its settlement needs one too.
    pub logged: bool,
    /// It was delivered before.
    pub redelivered: bool,
    /// A mark of the caller's, of no meaning to the queue.
    pub annotated: bool,
    /// Its level among the queue's priorities, as `Contents::level` gave it; 0 is the lowest.
    pub level: u8,
    /// When it expires, in milliseconds of wall-clock time.
    pub deadline_ms: Option<u64>,
    /// How often it came back, on queues that count.
    pub delivery_count: u32,
}

/// No deadline. A time that far away never comes.
const NEVER: u64 = u64::MAX;

/// One message of a queue. 48 bytes, as many as without deadlines: a deep queue holds millions.
#[derive(Debug)]
pub struct Entry {
    seq: QueueSeq,
    deadline_ms: u64,
    pub(super) place: Place,
    delivery_count: u32,
    pub(super) level: u8,
    logged: bool,
    pub(super) redelivered: bool,
    annotated: bool,
}

const _: () = assert!(size_of::<Option<Entry>>() == 48);

impl Entry {
    pub(super) fn new(seq: QueueSeq, place: Place, keep: Keep) -> Self {
        Self {
            seq,
            deadline_ms: keep.deadline_ms.unwrap_or(NEVER),
            place,
            delivery_count: keep.delivery_count,
            level: keep.level,
            logged: keep.logged,
            redelivered: keep.redelivered,
            annotated: keep.annotated,
        }
    }

    /// Its permanent place in the queue.
    #[must_use]
    pub fn seq(&self) -> QueueSeq {
        self.seq
    }

    /// Whether it has a record in the log.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        self.logged
    }

    /// Whether it was delivered before.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.redelivered
    }

    /// The caller's mark, as `Keep` brought it.
    #[must_use]
    pub fn is_annotated(&self) -> bool {
        self.annotated
    }

    /// When it expires, in milliseconds of wall-clock time.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        (self.deadline_ms != NEVER).then_some(self.deadline_ms)
    }

    /// How often it came back, if its queue counts; else 0.
    #[must_use]
    pub fn delivery_count(&self) -> u32 {
        self.delivery_count
    }

    /// Counts a return; the number of them.
    pub(super) fn count_return(&mut self) -> u32 {
        self.delivery_count = self.delivery_count.saturating_add(1);
        self.delivery_count
    }

    /// Whether it has a deadline.
    pub(super) fn is_timed(&self) -> bool {
        self.deadline_ms != NEVER
    }

    /// Whether its time has run out.
    pub(super) fn is_expired(&self, now_ms: u64) -> bool {
        self.deadline_ms <= now_ms
    }
}
