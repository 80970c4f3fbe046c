//! One copy of a message on its way: where it was, between which positions of the log, and where it may be.

use crate::topology::QueueAt;

/// A copy of a message: a message goes once to each queue, and a dead-lettered copy says which was its first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenKey {
    /// The message's number.
    pub message: u64,
    /// The queue it was published to.
    pub first: QueueAt,
}

/// The records of something may lie anywhere behind its begin, or nowhere.
pub(super) const MAYBE: u64 = u64::MAX;

/// The position at which everything that surely happened has happened.
pub(super) const NOW: u64 = u64::MAX - 1;

/// A part of a copy's way. What began it is logged from position `lo` to position `hi`.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    /// The queue; `None` once it is settled.
    pub(super) queue: Option<QueueAt>,
    pub(super) lo: u64,
    pub(super) hi: u64,
    /// The simulation's step in which it began.
    pub(super) step: u64,
    /// The earliest time at which it can have come to the queue.
    pub(super) since_ms: u64,
    /// A client was sent it from this queue.
    pub(super) sent: bool,
    /// A client may have been sent it: its connection was lost with output unread.
    pub(super) maybe_sent: bool,
    /// A recovery found it marked.
    pub(super) flagged: bool,
    /// The client that holds it unacked.
    pub(super) held: Option<u64>,
}

impl Stage {
    pub(super) fn new(queue: Option<QueueAt>, (lo, hi): (u64, u64), step: u64, since_ms: u64) -> Self {
        let (sent, maybe_sent, flagged) = (false, false, false);
        // What left no record counts as the next one would.
        Self { queue, lo, hi: hi.max(lo), step, since_ms, sent, maybe_sent, flagged, held: None }
    }

    /// Whether a delivery from here may say redelivered.
    pub(super) fn may_be_marked(&self) -> bool {
        self.sent || self.maybe_sent || self.flagged
    }

    /// Whether a delivery from here must say redelivered.
    pub(super) fn must_be_marked(&self) -> bool {
        self.sent || self.flagged
    }
}

/// Where a copy may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The queue; `None`: nowhere any more.
    pub(super) queue: Option<QueueAt>,
    /// The stage it is in there; `None` if it came there by itself and nobody has seen it there.
    pub(super) stage: Option<usize>,
}

/// A copy of a message.
#[derive(Clone, Debug)]
pub(super) struct Token {
    /// Who published it: two of one publisher keep their order.
    pub(super) publisher: u64,
    /// Its place in the order of all publishes.
    pub(super) order: u64,
    /// Its priority, as its first queue sees it.
    pub(super) level: u8,
    /// Bytes of its body.
    pub(super) len: usize,
    /// delivery-mode 2.
    pub(super) persistent: bool,
    /// When it expires in its first queue, by its own expiration.
    pub(super) expires_at_ms: Option<u64>,
    /// The transaction that published it.
    pub(super) transaction: Option<u64>,
    /// It is where it was published, so its order of arrival is known.
    pub(super) is_ordered: bool,
    /// A client was lost that may have been sent it from a queue where nobody has seen it.
    pub(super) maybe_sent: bool,
    /// How often it came back at most.
    pub(super) returns: u64,
    /// Never empty; the first is its publish.
    pub(super) stages: Vec<Stage>,
}

impl Token {
    /// Where it may be when the log counts up to `end`, at `now_ms`.
    pub(super) fn candidates(&self, end: u64, now_ms: u64) -> Vec<Candidate> {
        let mut found = Vec::new();
        if self.stages.first().is_none_or(|published| published.hi > end) {
            found.push(Candidate { queue: None, stage: None });
        }
        for (index, stage) in self.stages.iter().enumerate() {
            let is_over = self.stages.iter().skip(index + 1).any(|later| later.hi <= end);
            if stage.lo <= end && !is_over {
                found.push(Candidate { queue: stage.queue, stage: Some(index) });
            }
        }
        let mut at = 0;
        while let Some(candidate) = found.get(at).copied() {
            at += 1;
            if let Some(queue) = candidate.queue
                && self.may_leave(queue, candidate.stage, now_ms)
            {
                let next = Candidate { queue: queue.spec().dead_letter, stage: None };
                if !found.contains(&next) {
                    found.push(next);
                }
            }
        }
        found
    }

    /// Whether the log keeps it while it is in that queue.
    pub(super) fn is_logged_in(&self, queue: QueueAt) -> bool {
        let spec = queue.spec();
        spec.durable && (self.persistent || spec.delivery_limit.is_some())
    }

    /// Whether it may leave that queue by itself.
    fn may_leave(&self, queue: QueueAt, stage: Option<usize>, now_ms: u64) -> bool {
        let spec = queue.spec();
        let since_ms = stage.and_then(|index| self.stages.get(index)).map_or(0, |stage| stage.since_ms);
        let is_first = stage == Some(0);
        spec.ttl_ms.is_some_and(|ttl_ms| since_ms + ttl_ms <= now_ms)
            || (is_first && self.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms))
            || spec.max_length.is_some()
            || spec.delivery_limit.is_some_and(|limit| self.returns >= limit)
    }

    /// The queue it surely is in now.
    pub(super) fn surely_in(&self, now_ms: u64) -> Option<QueueAt> {
        match self.candidates(NOW, now_ms).as_slice() {
            [one] => one.queue,
            _ => None,
        }
    }

    /// Whether it may be in that queue now.
    pub(super) fn maybe_in(&self, queue: QueueAt, now_ms: u64) -> bool {
        self.candidates(NOW, now_ms).iter().any(|candidate| candidate.queue == Some(queue))
    }

    /// Whether it surely is settled now.
    pub(super) fn is_gone(&self) -> bool {
        self.stages.last().is_none_or(|stage| stage.queue.is_none() && stage.hi != MAYBE)
    }

    pub(super) fn last(&mut self) -> Option<&mut Stage> {
        self.stages.last_mut()
    }
}
