//! A publisher that is far ahead of consumers: it is not read until the queues that hold it let it go.

use super::Session;
use crate::queue::QueueRef;
use crate::seams::Seams;

/// A queue that holds this session, and the number it gave for that.
pub(super) struct HeldBy<S: Seams> {
    queue: QueueRef<S>,
    number: u64,
}

impl<S: Seams> Session<S> {
    /// Whether it is not read since consumers are far behind.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        !self.held_by.is_empty()
    }

    /// After a publish: is held by the queues that were found far behind.
    pub(super) fn wait_for_consumers(&mut self) {
        if self.publisher.far_behind.is_empty() {
            return;
        }
        let mut queues = std::mem::take(&mut self.publisher.far_behind);
        if self.only_publishes() {
            for queue in &queues {
                self.wait_for(queue);
            }
        }
        queues.clear();
        self.publisher.far_behind = queues;
    }

    fn wait_for(&mut self, queue: &QueueRef<S>) {
        if self.held_by.iter().any(|held| held.queue == *queue) {
            return;
        }
        let waker = self.outbox.waker();
        let number = self.broker.work(queue, |cell, around| cell.hold(around, waker));
        if let Some(number) = number {
            self.held_by.push(HeldBy { queue: queue.clone(), number });
            self.entry.begin_flow();
        }
    }

    /// Whether nothing depends on its being read but its own publishes. What consumes must be read: an ack, a cancel or
    /// a close may be what its queues wait for.
    fn only_publishes(&self) -> bool {
        self.reply_consumers.is_empty()
            && self.outbox.with(|outbox| outbox.channels.values().all(|deliveries| deliveries.is_idle()))
    }

    /// After a wake: goes on once no queue holds it any more.
    pub(super) fn go_on_if_released(&mut self) {
        if self.held_by.iter().any(|held| held.queue.with(|cell| cell.holds(held.number))) {
            return;
        }
        self.go_on();
    }

    /// Goes on, whatever holds it.
    pub(super) fn go_on(&mut self) {
        if self.is_ahead() {
            self.held_by.clear();
            self.entry.end_flow((self.broker.clock.steady)());
        }
    }
}
