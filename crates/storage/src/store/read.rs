//! Reading messages of a queue back, in the order of their numbers.

use crate::disk::Disk;
use crate::error::StorageError;
use crate::index::QueueIndex;
use crate::record::MessageFlags;
use crate::recovery::RecoveredMessage;
use crate::run::BodyAt;
use crate::store::Store;

/// Which messages to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// The queue.
    pub queue: u64,
    /// Messages of this order key only.
    pub order_key: u64,
    /// Numbers from here,
    pub first: u64,
    /// to here, both included.
    pub last: u64,
    /// At most so many messages; at least one is read.
    pub most_messages: usize,
    /// At most so many bytes of payloads; the first message is read whatever its length.
    pub most_bytes: usize,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// By rising numbers, flags and delivery counts as of the log's synced position.
    pub messages: Vec<RecoveredMessage>,
    /// Whether there is no other in the range that was asked for.
    pub is_all: bool,
}

/// A message found, its payload not read yet.
#[derive(Debug, Clone, Copy)]
struct Hit {
    seq: u64,
    deadline_ms: u64,
    delivery_count: u32,
    flags: MessageFlags,
    at: BodyAt,
}

impl<D: Disk> Store<D> {
    /// Reads messages that are durable and not settled. Blocks on the disk.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset, if one of them is damaged: nothing is given then. `Io`.
    pub fn read(&self, read: &Read) -> Result<Found, StorageError> {
        let (hits, is_all) = self.hits(read)?;
        let places: Vec<BodyAt> = hits.iter().map(|hit| hit.at).collect();
        let payloads = self.0.payloads(&places)?;
        let message = |(hit, payload): (&Hit, _)| RecoveredMessage {
            queue: read.queue,
            seq: hit.seq,
            flags: hit.flags,
            order_key: read.order_key,
            deadline_ms: hit.deadline_ms,
            delivery_count: hit.delivery_count.into(),
            payload,
        };
        Ok(Found { messages: hits.iter().zip(payloads).map(message).collect(), is_all })
    }

    /// Those to read, and whether they are all.
    fn hits(&self, read: &Read) -> Result<(Vec<Hit>, bool), StorageError> {
        let index = self.0.index.lock();
        let Some(queue) = index.queues.get(&read.queue) else { return Ok((Vec::new(), true)) };
        let most = read.most_messages.max(1);
        let mut hits = tail_hits(queue, read, most + 1);
        drop(index);
        let is_all = hits.len() <= most;
        hits.truncate(most);
        Ok(limit_bytes(hits, is_all, read.most_bytes))
    }
}

fn tail_hits(queue: &QueueIndex, read: &Read, most: usize) -> Vec<Hit> {
    let line = queue.tail.line(read.order_key, read.first, read.last).take(most);
    line.map(|message| Hit {
        seq: message.seq,
        deadline_ms: message.deadline_ms,
        delivery_count: message.delivery_count,
        flags: message.flags,
        at: message.at(),
    })
    .collect()
}

fn limit_bytes(mut hits: Vec<Hit>, is_all: bool, most_bytes: usize) -> (Vec<Hit>, bool) {
    let mut bytes = 0_usize;
    let fit = hits.iter().take_while(|hit| {
        let is_first = bytes == 0;
        bytes = bytes.saturating_add((hit.at.len as usize).max(1));
        is_first || bytes <= most_bytes
    });
    let fit = fit.count();
    let is_all = is_all && fit == hits.len();
    hits.truncate(fit);
    (hits, is_all)
}
