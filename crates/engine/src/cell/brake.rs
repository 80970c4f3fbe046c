//! Backpressure: publishers that are far ahead of a queue's consumers are held back for a while, their sockets unread.
//!
//! So what a fast publisher and a fast consumer share stays in memory, and a slow consumer slows nobody down:
//!
//! ```text
//!           more ready than the queue's share of the hot window, and its consumers keep up
//!   free ────────────────────────────────────────────────────────────────────────────────────► holding
//!    ▲   half the share is left │ no consumer │ deleted or stopped │                              │
//!    └── a look finds that they do not keep up │ HOLD_MOST_MS ────────────────────────────────────┘
//! ```
//!
//! Consumers *keep up* if at least one message left for [`IN_FOR_OUT`] that came in since the last look, and if all that
//! is ready would be gone within [`DRAIN_MS`] at that pace. What is held is looked at every [`LOOK_MS`]. After a hold
//! that ended so, all go free for as long. So a publisher waits a second at most before it is read again, and waits for
//! a queue only that is about to be empty.
//!
//! Which publishers may be held is their sessions' part: none that consumes or has deliveries to settle.

use leveret_core::queue::ENTRY_BYTES;

use super::QueueCell;
use crate::around::Around;
use crate::seams::{Seams, Wake};

/// Consumers that take less than one message for so many that come in do not keep up: to hold publishers down to their
/// pace would slow these more than a broker may.
const IN_FOR_OUT: u64 = 4;

/// Consumers keep up if they would take all that is ready within so long.
const DRAIN_MS: u64 = 500;

/// How often it is looked at whether the consumers of a queue that holds publishers keep up.
const LOOK_MS: u64 = 50;

/// What happened in a shorter time says nothing of a pace,
const SHORTEST_LOOK_MS: u64 = 5;

/// nor what happened in a longer one of the pace now.
const LONGEST_LOOK_MS: u64 = 1_000;

/// The longest hold.
const HOLD_MOST_MS: u64 = 1_000;

/// The publishers that a queue holds, and the pace of its consumers.
pub(crate) struct Brake<S: Seams> {
    /// Whom to wake at the release.
    held: Vec<S::Waker>,
    /// Since when, in milliseconds of the steady clock.
    since_ms: u64,
    /// How often all were released.
    releases: u64,
    /// Nobody is held before.
    free_until_ms: u64,
    /// Where the look at the pace began.
    begun: Option<Mark>,
}

impl<S: Seams> Default for Brake<S> {
    fn default() -> Self {
        Self { held: Vec::new(), since_ms: 0, releases: 0, free_until_ms: 0, begun: None }
    }
}

impl<S: Seams> Brake<S> {
    /// Lets all go.
    pub(super) fn release(&mut self) {
        self.releases += 1;
        self.held.drain(..).for_each(|waker| waker.wake());
    }
}

/// A queue at one time.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at_ms: u64,
    /// The number of the next message.
    next: u64,
    ready: u64,
}

impl Mark {
    fn ms_since(&self, before: &Self) -> u64 {
        self.at_ms.saturating_sub(before.at_ms)
    }

    /// Whether the consumers kept up between then and now.
    fn keeps_up_since(&self, before: &Self) -> bool {
        let came = self.next.saturating_sub(before.next);
        let left = (before.ready + came).saturating_sub(self.ready);
        left.saturating_mul(IN_FOR_OUT) >= came
            && left.saturating_mul(DRAIN_MS) >= self.ready.saturating_mul(self.ms_since(before))
    }
}

impl<S: Seams> QueueCell<S> {
    /// After a publish: whether whoever published is to be held, by [`QueueCell::hold`]. The time is asked for only
    /// where the backlog is deep and there is a consumer.
    #[inline]
    pub(super) fn is_far_behind(&mut self, around: &Around<'_, S>) -> bool {
        !self.consumers.is_empty() && self.backlog() > around.hot.least_share() / 2 && self.judge(around)
    }

    fn judge(&mut self, around: &Around<'_, S>) -> bool {
        let (backlog, share) = (self.backlog(), around.hot.share());
        if backlog <= share / 2 {
            return false;
        }
        if !self.brake.held.is_empty() {
            return true;
        }
        let now = self.mark(around);
        let Some(before) = self.brake.begun.filter(|before| now.ms_since(before) <= LONGEST_LOOK_MS) else {
            self.brake.begun = Some(now);
            return false;
        };
        let ms = now.ms_since(&before);
        if ms >= LOOK_MS {
            self.brake.begun = Some(now);
        }
        let is_known = ms >= SHORTEST_LOOK_MS && now.at_ms >= self.brake.free_until_ms;
        is_known && backlog > share && now.keeps_up_since(&before)
    }

    /// Holds a publisher: its waker is called at the release, which [`QueueCell::holds`] tells by the number given here.
    /// None if it may go on by now.
    pub(crate) fn hold(&mut self, around: &Around<'_, S>, waker: &S::Waker) -> Option<u64> {
        if self.may_go_on(around) {
            return None;
        }
        if self.brake.held.is_empty() {
            let now = self.mark(around);
            self.brake.since_ms = now.at_ms;
            self.brake.begun = Some(now);
            self.call_by(around, now.at_ms.saturating_add(LOOK_MS));
        }
        self.brake.held.push(waker.clone());
        Some(self.brake.releases)
    }

    /// Whether those are still held that were given this number.
    pub(crate) fn holds(&self, number: u64) -> bool {
        self.brake.releases == number
    }

    /// Lets publishers go where the queue no longer holds them; asked whenever its lock is about to be free.
    #[inline]
    pub(super) fn release_if_drained(&mut self, around: &Around<'_, S>) {
        if !self.brake.held.is_empty() && self.may_go_on(around) {
            self.brake.release();
        }
    }

    fn may_go_on(&self, around: &Around<'_, S>) -> bool {
        self.dead || self.consumers.is_empty() || self.backlog() <= around.hot.share() / 2
    }

    /// The queue's timer called: publishers are held on only if the consumers keep up.
    pub(super) fn look_at_held(&mut self, around: &Around<'_, S>) {
        if self.brake.held.is_empty() {
            return;
        }
        let now = self.mark(around);
        let before = self.brake.begun.unwrap_or(now);
        if now.ms_since(&before) < LOOK_MS {
            self.call_by(around, before.at_ms.saturating_add(LOOK_MS));
            return;
        }
        self.brake.begun = Some(now);
        let is_over = now.at_ms.saturating_sub(self.brake.since_ms) >= HOLD_MOST_MS;
        if is_over || !now.keeps_up_since(&before) {
            self.brake.free_until_ms = now.at_ms.saturating_add(LOOK_MS);
            self.brake.release();
        } else {
            self.call_by(around, now.at_ms.saturating_add(LOOK_MS));
        }
    }

    /// Bytes that wait for consumers, in memory or not.
    fn backlog(&self) -> u64 {
        let totals = self.contents.totals();
        totals.ready_bytes + totals.ready * ENTRY_BYTES
    }

    fn mark(&self, around: &Around<'_, S>) -> Mark {
        let (next, ready) = (self.contents.next_seq().0, self.contents.totals().ready);
        Mark { at_ms: around.now_ms(), next, ready }
    }
}
