//! Which queue wants to be called when: message expiry, queue expiry.
//!
//! One structure for the whole broker, a leaf among the locks, with one entry at most for each queue. The shell sleeps
//! until [`crate::Broker::next_deadline`] and then calls [`crate::Broker::tick`]; a test does so when it steps its
//! clock. An entry may be too early (what it was for is gone): the queue then asks anew. It is never too late.

use std::collections::BTreeMap;

use leveret_core::ids::{QueueId, UnixMillis};

use crate::broker::Broker;
use crate::queue::{QueueRef, WeakQueue};
use crate::seams::{Registry, Seams, Shared};

/// So many due queues are taken at once: whoever sets a deadline waits meanwhile.
const DUE_AT_ONCE: usize = 1024;

impl<S: Seams> Broker<S> {
    /// The start of service for every queue.
    pub(crate) fn begin(&self) {
        for vhost in self.vhosts.values() {
            for queue in vhost.queues() {
                self.work(&queue, |cell, around| cell.begin(around));
            }
        }
    }

    /// Whom to wake when [`Broker::next_deadline`] comes closer.
    pub fn wake_timer_by(&self, waker: S::Waker) {
        self.timers.with(|timers| timers.wake_by(waker));
    }

    /// When [`Broker::tick`] is due, in milliseconds of the steady clock; None while nothing has a deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        self.timers.with(|timers| timers.next()).map(UnixMillis)
    }

    /// Calls the queues that are due: messages expire, unused queues go. Where very many are due it calls some of them,
    /// and the next deadline is over already. The caller holds no lock.
    pub fn tick(&self) {
        let now_ms = (self.clock.steady)().0;
        for queue in self.timers.with(|timers| timers.take_due(now_ms)) {
            if self.work(&queue, |cell, around| cell.tick(around)) {
                self.delete_expired(&queue);
            }
        }
    }
}

/// Deadlines of queues, in milliseconds of [`crate::around::Clock::steady`].
pub(crate) struct Timers<S: Seams> {
    by_deadline: BTreeMap<(u64, QueueId), WeakQueue<S>>,
    waker: Option<S::Waker>,
}

impl<S: Seams> Default for Timers<S> {
    fn default() -> Self {
        Self { by_deadline: BTreeMap::new(), waker: None }
    }
}

impl<S: Seams> Timers<S> {
    /// Whom to wake when something is due earlier than anything before.
    pub(crate) fn wake_by(&mut self, waker: S::Waker) {
        self.waker = Some(waker);
    }

    /// Sets a queue's deadline in place of the one that it had. Gives the waker if it is the first of all now.
    pub(crate) fn set(
        &mut self,
        queue: &QueueRef<S>,
        deadline_ms: u64,
        before: Option<u64>,
    ) -> Option<S::Waker> {
        if let Some(before) = before {
            self.by_deadline.remove(&(before, queue.id));
        }
        let first = self.next();
        self.by_deadline.insert((deadline_ms, queue.id), queue.downgrade());
        if first.is_none_or(|first| deadline_ms < first) { self.waker.clone() } else { None }
    }

    /// Forgets a queue that is gone.
    pub(crate) fn remove(&mut self, id: QueueId, deadline_ms: u64) {
        self.by_deadline.remove(&(deadline_ms, id));
    }

    /// The first deadline.
    pub(crate) fn next(&self) -> Option<u64> {
        self.by_deadline.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Takes queues out that are due.
    pub(crate) fn take_due(&mut self, now_ms: u64) -> Vec<QueueRef<S>> {
        let mut due = Vec::new();
        while due.len() < DUE_AT_ONCE
            && let Some(first) = self.by_deadline.first_entry()
            && first.key().0 <= now_ms
        {
            due.extend(first.remove().upgrade());
        }
        due
    }
}
