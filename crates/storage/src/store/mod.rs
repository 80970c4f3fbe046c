//! The store: what the log keeps, for those who read it.
//!
//! Owns the index, fed by the log's writer, and reads payloads of messages that are not in memory. All
//! calls that read block on the disk: they belong to threads that may wait. Holds no lock while it reads.

mod payloads;
mod read;

use std::sync::Arc;

use parking_lot::Mutex;

use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{BATCH_HEADER, LogId};
use crate::index::{Index, LineCount, NoDefinitions};
use crate::log::pool::SlotPool;
use crate::log::sink::{BatchSink, DurableBatch};

pub use read::{Found, Read};

/// What the log keeps. Clones share it. Made by [`recover`](crate::recover).
#[derive(Debug)]
pub struct Store<D: Disk>(Arc<Inner<D>>);

#[derive(Debug)]
struct Inner<D: Disk> {
    disk: D,
    index: Mutex<Index>,
    log: LogId,
    slots: Arc<SlotPool<D>>,
}

/// What the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStatistics {
    /// Queues with anything known of them.
    pub queues: u64,
    /// Unsettled messages above the cut.
    pub tail_messages: u64,
    /// Records above the cut.
    pub tail_records: u64,
    /// Bytes of the log above the cut.
    pub tail_bytes: u64,
}

impl<D: Disk> Clone for Store<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Disk> Store<D> {
    pub(crate) fn new(dir: &DataDir<D>, index: Index) -> Self {
        Self(Arc::new(Inner {
            disk: dir.disk().clone(),
            index: Mutex::new(index),
            log: dir.log_id(),
            slots: Arc::clone(dir.pool()),
        }))
    }

    /// What the log's writer feeds.
    pub(crate) fn sink(&self) -> Box<dyn BatchSink> {
        Box::new(Sink(self.clone()))
    }

    /// What is live in a queue, by order key; empty for one that is not known.
    #[must_use]
    pub fn queue_counts(&self, queue: u64) -> Vec<(u64, LineCount)> {
        let index = self.0.index.lock();
        index.queues.get(&queue).map(|queue| queue.lines().into_iter().collect()).unwrap_or_default()
    }

    /// What the store holds now.
    #[must_use]
    pub fn statistics(&self) -> StoreStatistics {
        let index = self.0.index.lock();
        let (cut, applied) = (index.cut(), index.applied());
        StoreStatistics {
            queues: index.queues.len() as u64,
            tail_messages: index.tail_messages,
            tail_records: applied.records - cut.records,
            tail_bytes: applied.bytes - cut.bytes,
        }
    }
}

/// Feeds the index.
struct Sink<D: Disk>(Store<D>);

impl<D: Disk> std::fmt::Debug for Sink<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").finish_non_exhaustive()
    }
}

impl<D: Disk> BatchSink for Sink<D> {
    fn batch(&mut self, batch: DurableBatch<'_>) -> Result<(), StorageError> {
        let Inner { index, slots, .. } = &*self.0.0;
        index.lock().apply(&batch, &mut NoDefinitions).map_err(|unfit| {
            let offset = batch.at.offset + BATCH_HEADER as u64 + unfit.at;
            let slot = slots.pin(batch.at.incarnation);
            let path = slot.as_ref().map_or(slots.folder(), |slot| &slot.path);
            StorageError::corrupt(path, offset, unfit.why)
        })
    }
}
