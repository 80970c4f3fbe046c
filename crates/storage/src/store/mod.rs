//! The store: what the log keeps, for those who read it.
//!
//! Owns the index, fed by the log's writer, and reads payloads of messages that are not in memory. All
//! calls that read block on the disk: they belong to threads that may wait. Holds no lock while it reads.

mod accounting;
mod checkpoint;
mod compact;
mod maintenance;
mod merge;
mod payloads;
mod read;
mod room;
mod tidy;
mod view;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{BATCH_HEADER, LogId};
use crate::index::{Capture, Index, LineCount, Lines, NoDefinitions, QueueIndex, Resident};
use crate::log::pool::SlotPool;
use crate::log::sink::{BatchSink, DurableBatch};
use crate::log::writer::LogWriter;
use crate::manifest::Manifest;
use crate::recovery::{Quarantined, RecoveredQueue};
use crate::run::Run;

use view::View;

pub(crate) use accounting::Usage;
use accounting::{account, live_lines};
pub use checkpoint::CheckpointDone;
pub(crate) use maintenance::Maintenance;
pub use read::{Found, Located, Read};
pub use room::StoreRoom;

/// A checkpoint is due when more than so many slots' bytes lie above the cut.
const TAIL_SLOTS: u64 = 4;

/// What the log keeps. Clones share it. Made by [`recover`](crate::recover).
#[derive(Debug)]
pub struct Store<D: Disk>(Arc<Inner<D>>);

#[derive(Debug)]
struct Inner<D: Disk> {
    disk: D,
    root: PathBuf,
    runs_folder: PathBuf,
    log: LogId,
    /// Whether what is written must survive the process.
    is_durable: bool,
    limits: Limits,
    state: Mutex<State<D>>,
    maintenance: Mutex<Maintenance<D>>,
    slots: Arc<SlotPool<D>>,
    /// The number of the manifest's last durable delta, for the batches.
    manifest_number: Arc<AtomicU64>,
    /// Bytes of the manifest's file.
    manifest_bytes: AtomicU64,
    done: Done,
}

/// What was done since the store was opened, counted.
#[derive(Debug, Default)]
struct Done {
    checkpoints: AtomicU64,
    merges: AtomicU64,
    compactions: AtomicU64,
}

/// Behind one lock, held shortly and never while the disk is waited for.
#[derive(Debug)]
struct State<D: Disk> {
    index: Index,
    view: Arc<View<D>>,
    /// How many of the messages that the view counts are being taken out of the counts.
    being_accounted: u64,
}

impl<D: Disk> State<D> {
    /// Captures the index, and notes how much of what was settled the view still counts.
    fn capture(&mut self, capture: impl FnOnce(&mut Index) -> Capture) -> (Capture, Arc<View<D>>) {
        self.being_accounted = self.index.unaccounted;
        (capture(&mut self.index), Arc::clone(&self.view))
    }
}

/// How much of the log may lie above the cut before a checkpoint is due.
#[derive(Debug, Clone, Copy)]
struct Limits {
    messages: u64,
    records: u64,
    bytes: u64,
    /// So many runs of like size become one.
    runs_of_a_tier: usize,
    /// Entries of a step of tidying.
    step_entries: u64,
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
    /// Runs in force.
    pub runs: u64,
    /// Their entries, those of settled messages included.
    pub run_entries: u64,
    /// Bytes of their files.
    pub run_bytes: u64,
    /// Bytes of memory that their fences take.
    pub run_memory: u64,
    /// Checkpoints made since the store was opened.
    pub checkpoints: u64,
    /// Runs made of several others since then.
    pub merges: u64,
    /// Slots made of the live rest of others since then.
    pub compactions: u64,
    /// Slots that were overwritten under another incarnation since then.
    pub slots_reused: u64,
}

impl<D: Disk> Clone for Store<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Disk> Store<D> {
    pub(crate) fn new(
        dir: &DataDir<D>,
        index: Index,
        runs: Vec<Arc<Run<D>>>,
        maintenance: Maintenance<D>,
    ) -> Self {
        Self::with_pool(dir, index, runs, maintenance, Arc::clone(dir.pool()), dir.runs_folder())
    }

    /// The store of what may be lost with the process.
    pub(crate) fn spill(dir: &DataDir<D>) -> Self {
        let (pool, runs) = (Arc::clone(dir.spill_pool()), dir.spill_runs_folder());
        Self::with_pool(dir, Index::default(), Vec::new(), Maintenance::default(), pool, runs)
    }

    fn with_pool(
        dir: &DataDir<D>,
        index: Index,
        runs: Vec<Arc<Run<D>>>,
        maintenance: Maintenance<D>,
        slots: Arc<SlotPool<D>>,
        runs_folder: PathBuf,
    ) -> Self {
        let delta = maintenance.manifest.as_ref().map_or(0, Manifest::delta);
        let manifest_bytes = maintenance.manifest.as_ref().map_or(0, Manifest::bytes);
        let view = Arc::new(maintenance.usage.view(runs));
        Self(Arc::new(Inner {
            disk: dir.disk().clone(),
            root: dir.root().to_owned(),
            is_durable: runs_folder == dir.runs_folder(),
            runs_folder,
            log: dir.log_id(),
            limits: Limits {
                messages: dir.tail_messages(),
                records: dir.tail_records(),
                bytes: TAIL_SLOTS * dir.slot_bytes(),
                runs_of_a_tier: dir.runs_of_a_tier(),
                step_entries: dir.step_entries(),
            },
            state: Mutex::new(State { index, view, being_accounted: 0 }),
            maintenance: Mutex::new(maintenance),
            slots,
            manifest_number: Arc::new(AtomicU64::new(delta)),
            manifest_bytes: AtomicU64::new(manifest_bytes),
            done: Done::default(),
        }))
    }

    /// Takes what was settled above the cut out of the counts of its queues. What is settled as a whole is
    /// left to the next checkpoint: nothing is counted of it. Gives the queues of which runs do not tell any
    /// more how much is left.
    pub(crate) fn account_after_recovery(&self) -> Result<Vec<Quarantined>, StorageError> {
        let mut maintenance = self.0.maintenance.lock();
        let mut unaccounted = Vec::new();
        let view = {
            let mut state = self.0.state.lock();
            state.index.take_unaccounted(&mut unaccounted);
            Arc::clone(&state.view)
        };
        let mut later = Vec::new();
        for settled in unaccounted {
            let live =
                self.0.state.lock().index.queues.get(&settled.queue).map_or(0, |queue| queue.messages());
            if live == 0 {
                later.push(settled);
                continue;
            }
            let gone = account(&view, &settled, &mut maintenance.usage)?;
            self.0.state.lock().index.set_lines(settled.queue, |lines| gone.parted(lines));
        }
        self.0.state.lock().index.give_back_unaccounted(later);
        self.count_again(&view)
    }

    /// Counts what runs have of queues whose counts do not come to what is live: a damaged block could not
    /// be accounted, now or in an earlier life. A limited queue would drop live messages for those that are
    /// counted and gone. Gives those that cannot be counted.
    fn count_again(&self, view: &View<D>) -> Result<Vec<Quarantined>, StorageError> {
        let miscounted: Vec<(u64, Resident)> = {
            let state = self.0.state.lock();
            let queues = state.index.queues.iter();
            let wrong = queues.filter(|(_, queue)| {
                let live = queue.messages();
                live > 0 && queue.lines().messages() != live
            });
            wrong.filter_map(|(id, queue)| Some((*id, queue.resident.as_deref()?.clone()))).collect()
        };
        let mut quarantined = Vec::new();
        for (queue, resident) in miscounted {
            // Of what is settled as a whole nothing need be read.
            let is_any = resident.messages() > 0;
            match if is_any { live_lines(view, queue, &resident) } else { Ok(Lines::default()) } {
                Ok(lines) => {
                    tracing::debug!(queue, "counted again");
                    self.0.state.lock().index.set_lines(queue, |_| lines.into_vec());
                }
                Err(error) => quarantined.push(Quarantined::of(queue, error)?),
            }
        }
        Ok(quarantined)
    }

    /// What is known of each queue.
    pub(crate) fn recovered_queues(&self) -> BTreeMap<u64, RecoveredQueue> {
        let state = self.0.state.lock();
        let queue = |(id, queue): (&u64, &QueueIndex)| {
            let lines = if queue.messages() == 0 { Vec::new() } else { queue.lines().into_vec() };
            (*id, RecoveredQueue { last_seq: queue.last_seq, lines })
        };
        state.index.queues.iter().map(queue).collect()
    }

    /// Whether enough lies above the cut for a checkpoint.
    #[must_use]
    pub fn checkpoint_is_due(&self) -> bool {
        self.is_over(1)
    }

    /// Whether so much lies above the cut that nothing but the checkpoint may add to the log.
    #[must_use]
    pub fn checkpoint_is_overdue(&self) -> bool {
        self.is_over(2)
    }

    fn is_over(&self, times: u64) -> bool {
        let Limits { messages, records, bytes, .. } = self.0.limits;
        let now = self.statistics();
        now.tail_messages >= messages * times
            || now.tail_records >= records * times
            || now.tail_bytes >= bytes * times
    }

    /// The number of the manifest's last durable delta.
    pub(crate) fn manifest_number(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.manifest_number)
    }

    /// What the log's writer feeds.
    pub(crate) fn sink(&self) -> Box<dyn BatchSink> {
        Box::new(Sink(self.clone()))
    }

    /// What is live in a queue, by order key; empty for one that is not known.
    #[must_use]
    pub fn queue_counts(&self, queue: u64) -> Vec<(u64, LineCount)> {
        let state = self.0.state.lock();
        let index = &state.index;
        index.queues.get(&queue).map(|queue| queue.lines().into_vec()).unwrap_or_default()
    }

    /// What the store holds now.
    #[must_use]
    pub fn statistics(&self) -> StoreStatistics {
        let state = self.0.state.lock();
        let index = &state.index;
        let (tail_records, tail_bytes) = index.above_checkpoint();
        let Done { checkpoints, merges, compactions } = &self.0.done;
        StoreStatistics {
            queues: index.queues.len() as u64,
            tail_messages: index.tail_messages,
            tail_records,
            tail_bytes,
            runs: state.view.runs.len() as u64,
            run_entries: state.view.runs.iter().map(|run| run.entries()).sum(),
            run_bytes: state.view.runs.iter().map(|run| run.bytes()).sum(),
            run_memory: state.view.runs.iter().map(|run| run.memory() as u64).sum(),
            checkpoints: checkpoints.load(Ordering::Relaxed),
            merges: merges.load(Ordering::Relaxed),
            compactions: compactions.load(Ordering::Relaxed),
            slots_reused: self.0.slots.reused(),
        }
    }
}

/// Opens the log and the store of what may be lost with the process: what leaves memory without having
/// been promised. What an earlier process left of its own is removed; nothing of it is ever synced.
///
/// # Errors
/// `Full` or `Io`.
pub fn open_spill<D: Disk>(dir: &DataDir<D>) -> Result<(Store<D>, LogWriter<D>), StorageError> {
    let (disk, folder) = (dir.disk(), dir.spill_runs_folder());
    disk.create_folder(&folder).map_err(StorageError::io(&folder, "create folder"))?;
    for name in disk.list(&folder).map_err(StorageError::io(&folder, "list"))? {
        let path = folder.join(name);
        disk.remove(&path).map_err(StorageError::io(&path, "remove"))?;
    }
    let store = Store::spill(dir);
    let writer = LogWriter::spill(dir, store.sink())?;
    Ok((store, writer))
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
        let Inner { state, slots, .. } = &*self.0.0;
        state.lock().index.apply(&batch, &mut NoDefinitions).map_err(|unfit| {
            let offset = batch.at.offset + BATCH_HEADER as u64 + unfit.at;
            let slot = slots.pin(batch.at.incarnation);
            let path = slot.as_ref().map_or(slots.folder(), |slot| &slot.path);
            StorageError::corrupt(path, offset, unfit.why)
        })
    }
}
