//! What is not in memory: how it is asked for, how it comes in, and what a queue waits for meanwhile.
//!
//! A queue holds the head of its messages in memory. The others lie in the log, and those that are not logged in the
//! spill, a log that is never synced. When the head runs low the queue asks the [`ColdStore`], once at a time; what it
//! reads comes in by [`Broker::fetched`]. In the same way a queue waits for its Expose: [`Broker::exposed`].

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use leveret_core::ids::{QueueId, QueueSeq};
use leveret_storage::{Disk, Found, Located, Position, Read, RecoveredMessage, StorageError, Store};

use crate::broker::Broker;
use crate::queue::{QueueRef, WeakQueue};
use crate::seams::Seams;

/// Reads messages that are not in memory, on threads of its own, and calls queues back.
///
/// Both calls come while no lock is held but that of an unrelated caller, so they must not wait, and must not call the
/// broker before they return.
pub trait ColdStore<S: Seams>: Send + Sync + 'static {
    /// Reads, then calls [`Broker::fetched`], once, unless the queue is gone.
    fn fetch(&self, fetch: Fetch<S>);

    /// Calls [`Broker::exposed`] once the log is synced up to `position`.
    fn call_when_synced(&self, queue: WeakQueue<S>, position: Position);
}

/// What is to be read: live messages of one queue with one order key, lowest numbers first.
pub struct Fetch<S: Seams> {
    /// Who asks.
    pub queue: WeakQueue<S>,
    /// Its id, in the log and in the spill.
    pub id: QueueId,
    /// The order key.
    pub order_key: u64,
    /// The lowest number.
    pub first: u64,
    /// The highest number, included.
    pub last: u64,
    /// At most so many messages from the log, and as many from the spill.
    pub most_messages: usize,
    /// At most about so many bytes from each; one message is always read.
    pub most_bytes: usize,
    /// Read the log once it is synced this far; None: there is nothing of this queue in it.
    pub log: Option<Position>,
    /// Read the spill once it is written this far; None: there is nothing of this queue in it.
    pub spill: Option<Position>,
}

impl<S: Seams> Fetch<S> {
    /// Reads one of the two logs; waits for the disk.
    ///
    /// # Errors
    /// As [`Store::read`]. What passes may be tried again; all else is [`Damage`].
    pub fn read<D: Disk>(&self, store: &Store<D>) -> Result<Part, StorageError> {
        Ok(self.locate(store)?.load()?.into())
    }

    /// Finds the messages in one of the two logs: the first half of a [`read`](Self::read).
    ///
    /// # Errors
    /// As `read`.
    pub fn locate<D: Disk>(&self, store: &Store<D>) -> Result<Located<D>, StorageError> {
        store.locate(&Read {
            queue: self.id.0,
            order_key: self.order_key,
            first: self.first,
            last: self.last,
            most_messages: self.most_messages,
            most_bytes: self.most_bytes,
        })
    }
}

/// What was read of one log.
#[derive(Debug)]
pub struct Part {
    /// Live messages in the order of their numbers; `flags` says whether the log has them as seen.
    pub messages: Vec<RecoveredMessage>,
    /// There are no others up to the number that was asked for.
    pub is_all: bool,
}

impl Default for Part {
    /// Nothing, and all of it.
    fn default() -> Self {
        Self { messages: Vec::new(), is_all: true }
    }
}

impl From<Found> for Part {
    fn from(Found { messages, is_all }: Found) -> Self {
        Self { messages, is_all }
    }
}

impl Part {
    /// The number up to which this part says what there is.
    fn until(&self, last: u64) -> u64 {
        match self.messages.last() {
            Some(message) if !self.is_all => message.seq,
            None if !self.is_all => 0,
            _ => last,
        }
    }
}

/// What was read.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Of the log.
    pub log: Part,
    /// Of the spill.
    pub spill: Part,
}

impl Fetched {
    /// The messages of both in the order of their numbers, each with whether it came from the spill, up to the number
    /// that both answer for.
    pub(crate) fn merge(self, last: u64) -> (Vec<(RecoveredMessage, bool)>, QueueSeq) {
        let until = self.log.until(last).min(self.spill.until(last));
        let logged = self.log.messages.into_iter().map(|message| (message, false));
        let spilled = self.spill.messages.into_iter().map(|message| (message, true));
        let mut messages: Vec<_> =
            logged.chain(spilled).filter(|(message, _)| message.seq <= until).collect();
        messages.sort_by_key(|(message, _)| message.seq);
        (messages, QueueSeq(until))
    }
}

/// A place on the disk that cannot be read, and the queue with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged at {offset}: {reason}", file.display())]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
}

impl From<StorageError> for Damage {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Corrupt { file, offset, why } => Self { file, offset, reason: why },
            StorageError::Io { file, op, source } => {
                Self { file, offset: 0, reason: format!("{op} failed: {source}") }
            }
            other => Self { file: PathBuf::new(), offset: 0, reason: other.to_string() },
        }
    }
}

/// The memory that messages of all queues take, and how much that may be.
#[derive(Debug)]
pub struct HotWindow {
    bytes: u64,
    used: AtomicU64,
    least_share: u64,
}

impl HotWindow {
    /// A window of so many bytes; `u64::MAX` keeps everything in memory.
    pub(crate) fn new(bytes: u64, least_share: u64) -> Self {
        Self { bytes, used: AtomicU64::new(0), least_share }
    }

    /// Bytes that still fit.
    #[inline]
    pub(crate) fn room(&self) -> u64 {
        self.bytes.saturating_sub(self.used())
    }

    /// How much of it one queue with consumers may fill before it holds publishers back: half of what is left, so that
    /// however many queues there are, they find a size that all have room for.
    #[inline]
    pub(crate) fn share(&self) -> u64 {
        (self.room() / 2).max(self.least_share)
    }

    /// The smallest share.
    #[inline]
    pub(crate) fn least_share(&self) -> u64 {
        self.least_share
    }

    /// Bytes that messages take now, ready and unacked.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The bytes that all messages together may take; a queue whose consumer waits goes beyond that.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A queue takes `now` instead of `before`.
    #[inline]
    pub(crate) fn change(&self, before: u64, now: u64) {
        if now != before {
            // Wraps to what is less.
            self.used.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
        }
    }
}

/// What a queue needs from others once its lock is free.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Errands {
    pub(crate) fetch: Option<FetchTerms>,
    /// Its Expose stands in the log up to here.
    pub(crate) exposes_until: Option<Position>,
}

/// A [`Fetch`] but for the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchTerms {
    pub(crate) order_key: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) most_messages: usize,
    pub(crate) most_bytes: usize,
    pub(crate) log: Option<Position>,
    pub(crate) spill: Option<Position>,
}

impl<S: Seams> Broker<S> {
    /// Takes what was read for a queue, and goes on with it. Damage stops the queue: it gives and takes nothing any
    /// more, and says why. The caller holds no lock.
    pub fn fetched(&self, queue: &QueueRef<S>, result: Result<Fetched, Damage>) {
        let done = result.and_then(|fetched| self.work(queue, |cell, around| cell.fetched(around, fetched)));
        if let Err(damage) = done {
            self.quarantine(queue, damage);
        }
    }

    /// A queue's Expose is durable: what it marked may leave. The caller holds no lock.
    pub fn exposed(&self, queue: &QueueRef<S>) {
        self.work(queue, |cell, around| cell.exposed(around));
    }

    /// Stops one queue that has damaged messages; the others go on.
    pub fn quarantine(&self, queue: &QueueRef<S>, damage: Damage) {
        tracing::error!(vhost = %queue.vhost, queue = %queue.name, "the queue is stopped: {damage}");
        queue.stop_for(damage);
        let consumers = queue.with(|cell| cell.quarantine());
        for (key, consumer) in consumers {
            let handle = &consumer.handle;
            handle.outbox.cancel_consumer(handle.channel, handle.origin, key);
        }
    }

    /// Does what a queue asked for when its lock was held.
    pub(crate) fn run_errands(&self, queue: &QueueRef<S>, errands: Errands) {
        if let Some(terms) = errands.fetch {
            self.store.fetch(Fetch {
                queue: queue.downgrade(),
                id: queue.id,
                order_key: terms.order_key,
                first: terms.first,
                last: terms.last,
                most_messages: terms.most_messages,
                most_bytes: terms.most_bytes,
                log: terms.log,
                spill: terms.spill,
            });
        }
        if let Some(position) = errands.exposes_until {
            self.store.call_when_synced(queue.downgrade(), position);
        }
    }
}

#[cfg(test)]
mod tests {
    use leveret_storage::MessageFlags;

    use super::*;

    fn part(seqs: &[u64], is_all: bool) -> Part {
        let message = |seq: &u64| RecoveredMessage {
            queue: 1,
            seq: *seq,
            order_key: 0,
            deadline_ms: 0,
            delivery_count: 0,
            flags: MessageFlags::default(),
            payload: bytes::Bytes::new(),
        };
        Part { messages: seqs.iter().map(message).collect(), is_all }
    }

    #[test]
    fn both_parts_are_merged_as_far_as_both_know() {
        type Case<'a> = ((&'a [u64], bool), (&'a [u64], bool), &'a [u64], u64);
        let cases: [Case<'_>; 5] = [
            ((&[1, 4], true), (&[2, 3], true), &[1, 2, 3, 4], 9),
            ((&[1, 4], false), (&[2, 7], true), &[1, 2, 4], 4),
            ((&[1, 8], true), (&[2, 3], false), &[1, 2, 3], 3),
            ((&[], true), (&[5], false), &[5], 5),
            ((&[], true), (&[], true), &[], 9),
        ];
        for (log, spill, expected, until) in cases {
            let fetched = Fetched { log: part(log.0, log.1), spill: part(spill.0, spill.1) };
            let (messages, end) = fetched.merge(9);
            let seqs: Vec<u64> = messages.iter().map(|(message, _)| message.seq).collect();
            assert_eq!((&*seqs, end.0), (expected, until), "{log:?} {spill:?}");
            assert!(messages.iter().all(|(m, spilled)| spill.0.contains(&m.seq) == *spilled));
        }
    }
}
