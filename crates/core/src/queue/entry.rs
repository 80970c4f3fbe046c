//! One message as its queue knows it: where its bytes lie, and what decides about its way.

use std::num::NonZero;

use super::store::Place;
use crate::ids::QueueSeq;

/// How a message is kept: what its queue is told of it beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// It has a record in the log, so its settlement needs one too.
    pub logged: bool,
    /// It was delivered before.
    pub redelivered: bool,
    /// The log says already that it may be delivered, or need not say so: see [`Entry::may_leave`].
    pub exposed: bool,
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
    marks: Marks,
}

const _: () = assert!(size_of::<Option<Entry>>() == 48);

/// Yes or no, several times. Never zero, so that an `Option<Entry>` is no larger than an `Entry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks(NonZero<u8>);

/// One of [`Marks`].
#[derive(Clone, Copy)]
struct Mark(u8);

impl Marks {
    const NONE: Self = Self(NonZero::<u8>::MIN);
    const LOGGED: Mark = Mark(2);
    const REDELIVERED: Mark = Mark(4);
    const ANNOTATED: Mark = Mark(8);
    const EXPOSED: Mark = Mark(16);
    /// Its Expose is on its way to the disk.
    const EXPOSING: Mark = Mark(32);

    fn of(keep: &Keep) -> Self {
        let mut marks = Self::NONE;
        for (mark, holds) in [
            (Self::LOGGED, keep.logged),
            (Self::REDELIVERED, keep.redelivered),
            (Self::ANNOTATED, keep.annotated),
            (Self::EXPOSED, keep.exposed || keep.redelivered || !keep.logged),
        ] {
            if holds {
                marks.set(mark);
            }
        }
        marks
    }

    fn has(self, mark: Mark) -> bool {
        self.0.get() & mark.0 != 0
    }

    fn set(&mut self, mark: Mark) {
        self.0 |= mark.0;
    }
}

impl Entry {
    pub(super) fn new(seq: QueueSeq, place: Place, keep: Keep) -> Self {
        Self {
            seq,
            deadline_ms: keep.deadline_ms.unwrap_or(NEVER),
            place,
            delivery_count: keep.delivery_count,
            level: keep.level,
            marks: Marks::of(&keep),
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
        self.marks.has(Marks::LOGGED)
    }

    /// Whether it was delivered before.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.marks.has(Marks::REDELIVERED)
    }

    /// Whether it may be delivered. A logged message may once its record, or a durable Expose, says that it was seen:
    /// after a crash it must come back marked as redelivered.
    #[must_use]
    pub fn may_leave(&self) -> bool {
        self.marks.has(Marks::EXPOSED)
    }

    /// The caller's mark, as `Keep` brought it.
    #[must_use]
    pub fn is_annotated(&self) -> bool {
        self.marks.has(Marks::ANNOTATED)
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

    /// It was out with a consumer and came back.
    pub(super) fn mark_redelivered(&mut self) {
        self.marks.set(Marks::REDELIVERED);
        self.marks.set(Marks::EXPOSED);
    }

    /// Its Expose is in the log's buffer; false if it needs none or has one there already.
    pub(super) fn begin_exposure(&mut self) -> bool {
        let begins = !self.may_leave() && !self.marks.has(Marks::EXPOSING);
        if begins {
            self.marks.set(Marks::EXPOSING);
        }
        begins
    }

    /// Whether it waits for its Expose to be durable.
    pub(super) fn is_exposing(&self) -> bool {
        !self.may_leave() && self.marks.has(Marks::EXPOSING)
    }

    /// Its Expose is durable, if it has one; true if it may leave only from now on.
    pub(super) fn end_exposure(&mut self) -> bool {
        let ends = self.is_exposing();
        if ends {
            self.marks.set(Marks::EXPOSED);
        }
        ends
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
