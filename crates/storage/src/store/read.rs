//! Reading messages of a queue back, in the order of their numbers.

use std::sync::Arc;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::index::QueueIndex;
use crate::record::MessageFlags;
use crate::recovery::RecoveredMessage;
use crate::run::{BodyAt, RunKey};
use crate::store::Store;
use crate::store::view::View;

/// How many ranges of live numbers are taken from the index at once.
const GAPS_AT_ONCE: usize = 1024;

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
        self.locate(read)?.load()
    }

    /// Finds the messages and not yet their payloads. Blocks on the disk if some of them are in runs.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn locate(&self, read: &Read) -> Result<Located<D>, StorageError> {
        let mut views = Vec::new();
        let (hits, is_all) = self.hits(read, &mut views)?;
        Ok(Located { store: self.clone(), read: *read, hits, is_all, _views: views })
    }

    /// Those to read, and whether they are all.
    fn hits(&self, read: &Read, views: &mut Vec<Arc<View<D>>>) -> Result<(Vec<Hit>, bool), StorageError> {
        let most = read.most_messages.max(1);
        let mut hits: Vec<Hit> = Vec::new();
        let mut next = Some(read.first);
        while let Some(first) = next.filter(|first| *first <= read.last && hits.len() <= most) {
            let window = {
                let state = self.0.state.lock();
                let Some(queue) = state.index.queues.get(&read.queue) else { break };
                views.push(Arc::clone(&state.view));
                Window::new(queue, &Read { first, ..*read }, most + 1 - hits.len())
            };
            let Some(view) = views.last() else { break };
            let mut found = window.live_hits(view, read, most + 1 - hits.len())?;
            self.bring_up_to_date(read.queue, &mut found);
            hits.append(&mut found);
            hits.extend(window.tail);
            next = window.next;
        }
        let is_all = hits.len() <= most;
        hits.truncate(most);
        Ok(limit_bytes(hits, is_all, read.most_bytes))
    }

    /// Flags and delivery counts of messages in runs, as of now; without those settled meanwhile.
    fn bring_up_to_date(&self, queue: u64, hits: &mut Vec<Hit>) {
        if hits.is_empty() {
            return;
        }
        let state = self.0.state.lock();
        let resident = state.index.queues.get(&queue).and_then(|queue| queue.resident.as_ref());
        let Some(resident) = resident else { return hits.clear() };
        hits.retain(|hit| !resident.settled.contains(hit.seq));
        for hit in hits {
            hit.flags = resident.flags(hit.seq, hit.flags);
            hit.delivery_count = resident.delivery_count(hit.seq, hit.delivery_count);
        }
    }
}

/// Messages found, whose slots stay as they are until this is dropped.
#[derive(Debug)]
pub struct Located<D: Disk> {
    store: Store<D>,
    read: Read,
    hits: Vec<Hit>,
    is_all: bool,
    /// Nothing that they list is taken away while they are held.
    _views: Vec<Arc<View<D>>>,
}

impl<D: Disk> Located<D> {
    /// Reads the payloads. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn load(self) -> Result<Found, StorageError> {
        let places: Vec<BodyAt> = self.hits.iter().map(|hit| hit.at).collect();
        let payloads = self.store.0.payloads(&places)?;
        let message = |(hit, payload): (&Hit, _)| RecoveredMessage {
            queue: self.read.queue,
            seq: hit.seq,
            flags: hit.flags,
            order_key: self.read.order_key,
            deadline_ms: hit.deadline_ms,
            delivery_count: hit.delivery_count.into(),
            payload,
        };
        Ok(Found { messages: self.hits.iter().zip(payloads).map(message).collect(), is_all: self.is_all })
    }
}

/// What one look at the index tells of a part of the range.
struct Window {
    /// Numbers that are live in runs, ascending.
    live: Vec<(u64, u64)>,
    /// The rest, if the part is the last.
    tail: Vec<Hit>,
    /// Where the next part begins, if this is not the last.
    next: Option<u64>,
}

impl Window {
    fn new(queue: &QueueIndex, read: &Read, most: usize) -> Self {
        let mut live: Vec<(u64, u64)> = Vec::new();
        if let Some(resident) = &queue.resident
            && let Some(last) = resident.last()
        {
            live.extend(resident.settled.gaps(read.first, last.min(read.last)).take(GAPS_AT_ONCE + 1));
        }
        if live.len() > GAPS_AT_ONCE {
            live.truncate(GAPS_AT_ONCE);
            let next = live.last().and_then(|(_, last)| last.checked_add(1));
            return Self { live, tail: Vec::new(), next };
        }
        Self { live, tail: tail_hits(queue, read, most), next: None }
    }

    /// Live messages of this part that runs have.
    fn live_hits<D: Disk>(&self, view: &View<D>, read: &Read, most: usize) -> Result<Vec<Hit>, StorageError> {
        let (Some((first, _)), Some((_, last))) = (self.live.first(), self.live.last()) else {
            return Ok(Vec::new());
        };
        let key = |seq| RunKey { queue: read.queue, order_key: read.order_key, seq };
        let mut merge = view.merge(key(*first), key(*last))?;
        let mut hits = Vec::new();
        let mut live = self.live.iter().peekable();
        while hits.len() < most
            && let Some(entry) = merge.next()?
        {
            while live.next_if(|(_, last)| *last < entry.key.seq).is_some() {}
            let is_live = live.peek().is_some_and(|(first, _)| *first <= entry.key.seq);
            if is_live && view.is_listed(&entry) {
                hits.push(Hit {
                    seq: entry.key.seq,
                    deadline_ms: entry.deadline_ms,
                    delivery_count: entry.delivery_count,
                    flags: entry.flags,
                    at: entry.at,
                });
            }
        }
        Ok(hits)
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
