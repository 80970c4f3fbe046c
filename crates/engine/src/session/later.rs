//! What a session cannot answer yet: it performs nothing behind it until it can.

use leveret_core::ids::MonotonicMillis;
use leveret_protocol::amqp::{AMQPClass, basic, tx};
use leveret_protocol::constants::{basic_method_id, class_id};
use leveret_storage::Position;

use super::{Failure, Session};
use crate::queue::QueueRef;
use crate::seams::Seams;

/// A method on a channel that waits.
pub(super) enum Later<S: Seams> {
    /// basic.get: for its message to be read, or marked as seen, or for the channel's replies before it.
    Get(u16, basic::Get),
    /// tx.commit: for the last of what it rejected to be dead-lettered, each queue up to a number of its own.
    Commit(u16, Vec<(QueueRef<S>, u64)>),
}

impl<S: Seams> Session<S> {
    /// Looks again at what had to wait, if anything.
    pub(super) fn perform_later(&mut self, now: MonotonicMillis) {
        match self.later.take() {
            None => return,
            Some(Later::Get(number, get)) => {
                if let Err(error) = self.get(number, &get) {
                    self.fail(Failure::new(error, number, (class_id::BASIC, basic_method_id::GET)), now);
                }
            }
            Some(Later::Commit(number, queues)) => self.commit_later(number, queues),
        }
        self.is_resumed |= self.later.is_none();
    }

    /// Answers a commit once all that it rejected has been moved.
    pub(super) fn commit_later(&mut self, number: u16, mut queues: Vec<(QueueRef<S>, u64)>) {
        queues.retain(|(queue, until)| queue.with(|cell| !cell.has_moved(*until, self.outbox.waker())));
        if queues.is_empty() {
            self.commit_ok(number, self.broker.last_position());
        } else {
            self.later = Some(Later::Commit(number, queues));
        }
    }

    /// tx.commit-ok, once the log is synced up to `position`.
    pub(super) fn commit_ok(&mut self, number: u16, position: Position) {
        let ok = tx::AMQPMethod::CommitOk(tx::CommitOk {});
        self.reply_after(number, position, AMQPClass::Tx(ok));
    }
}
