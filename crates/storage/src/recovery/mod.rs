//! From the bytes on disk to what survived: definitions, and the live messages of every queue.
//!
//! Reads the heads of records only, and the last batch whole: which messages live, and where they lie, is
//! in the store then. Nothing on disk is changed here: what must be, [`LogWriter::open`] does once all of
//! this succeeded.
//!
//! [`LogWriter::open`]: crate::LogWriter::open

mod listed;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;

use crate::data_dir::DataDir;
use crate::definitions::{self, Change, DefinitionCheckpoint, Definitions, DefinitionsSource};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{BATCH_HEADER, BatchHeader, CLEAN_STOP, Place, SLOT_HEADER, blob_path};
use crate::index::{DefinitionSink, Index, LineCount};
use crate::log::blob;
use crate::log::pool::SlotPool;
use crate::log::sink::{BatchSink, DurableBatch, NoSink};
use crate::log::slots::FoundSlots;
use crate::log::walk::{Batch, Walk, WalkAt};
use crate::record::{MessageFlags, Position};
use crate::store::{Maintenance, Read, Store};

use listed::Listed;

/// Takes what survived, queue by queue.
pub trait RecoverySink {
    /// All definitions, before the first message.
    fn definitions(&mut self, definitions: &Definitions);
    /// A live message. Within a queue the numbers rise.
    fn message(&mut self, message: RecoveredMessage);
}

/// A message that was published and not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredMessage {
    /// Its queue.
    pub queue: u64,
    /// Its number in that queue.
    pub seq: u64,
    /// Its flags; [`MessageFlags::SEEN`] says that it may have been delivered before, and must say so
    /// (`redelivered`) when it is delivered again. Without it the message needs an `Expose` first.
    pub flags: MessageFlags,
    /// Its order key, or 0.
    pub order_key: u64,
    /// Its deadline, or 0.
    pub deadline_ms: u64,
    /// How often it came back, as last logged.
    pub delivery_count: u64,
    /// Its bytes, with their checksum verified.
    pub payload: Bytes,
}

/// A queue of which live messages cannot be read or counted. It must not be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The queue. Messages of it may have gone to the sink before.
    pub queue: u64,
    /// The file with the damage.
    pub file: PathBuf,
    /// Where the damaged payload starts.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
}

impl Quarantined {
    /// For what cannot be read of a queue.
    ///
    /// # Errors
    /// What is no damage, or may pass.
    pub(crate) fn of(queue: u64, error: StorageError) -> Result<Self, StorageError> {
        match error {
            StorageError::Corrupt { file, offset, why: reason } => Ok(Self { queue, file, offset, reason }),
            _ if error.is_passing() || !error.is_unreadable() => Err(error),
            StorageError::Io { file, op, source } => {
                Ok(Self { queue, file, offset: 0, reason: format!("{op} failed: {source}") })
            }
            other => Err(other),
        }
    }
}

/// What the log says of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoveredQueue {
    /// The highest number ever given in it; new ones go above.
    pub last_seq: u64,
    /// Live messages by order key. An order key without any is not here.
    pub lines: Vec<(u64, LineCount)>,
}

impl RecoveredQueue {
    /// Live messages.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.lines.iter().map(|(_, line)| line.messages).sum()
    }
}

/// What recovery read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecoveryStatistics {
    /// Slots found.
    pub slots: u64,
    /// Batches read.
    pub batches: u64,
    /// Records read.
    pub records: u64,
    /// Bytes of those batches.
    pub bytes: u64,
    /// Bytes of a last batch that a crash cut short, in whole blocks.
    pub torn_bytes: u64,
    /// Live messages.
    pub messages: u64,
}

/// The outcome of a recovery.
#[derive(Debug)]
pub struct Recovered<D: Disk> {
    /// The definitions.
    pub definitions: Definitions,
    /// Where they came from.
    pub definitions_source: DefinitionsSource,
    /// The position the next record gets.
    pub next_position: Position,
    /// Every queue the log knows and does not know as deleted.
    pub queues: BTreeMap<u64, RecoveredQueue>,
    /// The highest queue id in any message or settlement, or 0.
    pub last_queue: u64,
    /// Whether the last stop was clean. What was delivered is then known exactly.
    pub clean_stop: bool,
    /// Queues of which damage does not let know how much lives. Other damage shows when it is read.
    pub quarantined: Vec<Quarantined>,
    /// What was read.
    pub statistics: RecoveryStatistics,
    /// Where the messages are read from.
    pub store: Store<D>,
    /// For [`LogWriter::open`](crate::LogWriter::open).
    pub tail: LogTail,
}

/// Where the log ends, and the last batch, which the writer repeats before it adds any.
#[derive(Debug)]
pub struct LogTail {
    pub(crate) header: BatchHeader,
    pub(crate) meta: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    /// Where the batch before the last ends.
    pub(crate) prior_end: Place,
    pub(crate) follows: u64,
    pub(crate) last_incarnation: u64,
    pub(crate) last_file: u64,
    /// The highest number of a blob, or 0.
    pub(crate) last_blob: u64,
    /// Slots without anything that counts, once the last batch is repeated; in the order of removal.
    pub(crate) void_slots: Vec<PathBuf>,
    /// The slot that was active, and where the last batch in it ends.
    pub(crate) trim: Option<(PathBuf, u64)>,
    /// Hears of every batch from the repeated one on.
    pub(crate) sink: Box<dyn BatchSink>,
    /// The number of the manifest's last durable delta, which each batch names.
    pub(crate) manifest_number: Arc<AtomicU64>,
}

/// Finds what survived. `checkpoint` is where the definitions were kept beside the log, if anywhere;
/// without it, or if it is damaged, the export and the log take its place.
///
/// Reads the manifest, the footers of runs, and the log above the cut; how long it takes does not depend on
/// how much is queued.
///
/// # Errors
/// `Corrupt`, with file, offset and reason, where bytes that were durable cannot be trusted; `Version`;
/// `Io`. Nothing on disk was changed.
pub fn open_store<D: Disk>(
    dir: &DataDir<D>,
    checkpoint: Option<&mut dyn DefinitionCheckpoint>,
) -> Result<Recovered<D>, StorageError> {
    let disk = dir.disk();
    let log = if dir.is_new() { None } else { Some(dir.log_id()) };
    let found = FoundSlots::open(disk, &dir.log_folder(), log)?;
    if dir.is_new() {
        let walk = Walk::new(disk, &found, WalkAt::default(), BTreeSet::new())?;
        return recover_new(dir, &found, walk);
    }
    let listed = Listed::open(dir, &found)?;
    let (base, definitions_source) = definitions::load(dir, checkpoint)?;
    listed.check_definitions(dir, &base)?;
    let mut walk = Walk::new(disk, &found, listed.walk_from(), listed.slots())?;
    let mut replay = Replay::new(base, &listed);
    let last = replay.all(&mut walk)?;
    let torn = walk.check_end()?;
    listed.check_age(dir, replay.manifest)?;
    let next_position = walk.at().next_position;
    if replay.base >= next_position {
        let why = format!(
            "the log ends before record {next_position}, but record {} was durable: a definitions' checkpoint covers it",
            replay.base
        );
        return Err(walk.corrupt(last.end_place(), why));
    }
    let clean_stop = last.header.flags & CLEAN_STOP != 0;
    let mut tail = into_tail(last, &walk, &found, &listed)?;
    let slots = found.slots.len() as u64;
    adopt(dir.pool(), found, &tail);
    let Replay { index, definitions, statistics, .. } = replay;
    let last_queue = index.last_queue;
    let (runs, mut maintenance) = listed.into_parts();
    let blobs = blob::list(disk, &dir.log_folder())?;
    let unknown = blobs
        .into_iter()
        .filter(|blob| !maintenance.usage.blobs.contains_key(blob) && !index.blobs.knows(*blob));
    maintenance.orphans.extend(unknown.map(|blob| blob_path(&dir.log_folder(), blob)));
    let store = Store::new(dir, index, runs, maintenance);
    let quarantined = store.account_after_recovery()?;
    let queues = store.recovered_queues();
    tail.sink = store.sink();
    tail.manifest_number = store.manifest_number();
    Ok(Recovered {
        definitions,
        definitions_source,
        next_position: Position(next_position),
        last_queue,
        clean_stop,
        quarantined,
        statistics: RecoveryStatistics {
            slots,
            torn_bytes: torn.bytes,
            messages: queues.values().map(RecoveredQueue::messages).sum(),
            ..statistics
        },
        queues,
        store,
        tail,
    })
}

/// As [`open_store`], and reads every message that survived.
///
/// # Errors
/// As [`open_store`]; where only the bytes of messages are damaged, their queues are named in the result.
pub fn recover<D: Disk>(
    dir: &DataDir<D>,
    checkpoint: Option<&mut dyn DefinitionCheckpoint>,
    sink: &mut dyn RecoverySink,
) -> Result<Recovered<D>, StorageError> {
    let mut recovered = open_store(dir, checkpoint)?;
    sink.definitions(&recovered.definitions);
    for (queue, found) in &recovered.queues {
        let mut messages = Vec::new();
        for (order_key, _) in &found.lines {
            match read_line(&recovered.store, *queue, *order_key) {
                Ok(line) => messages.extend(line),
                Err(error) => {
                    if recovered.quarantined.iter().all(|found| found.queue != *queue) {
                        recovered.quarantined.push(Quarantined::of(*queue, error)?);
                    }
                    messages.clear();
                    break;
                }
            }
        }
        messages.sort_by_key(|message: &RecoveredMessage| message.seq);
        messages.into_iter().for_each(|message| sink.message(message));
    }
    Ok(recovered)
}

fn read_line<D: Disk>(
    store: &Store<D>,
    queue: u64,
    order_key: u64,
) -> Result<Vec<RecoveredMessage>, StorageError> {
    let mut messages: Vec<RecoveredMessage> = Vec::new();
    loop {
        let first = messages.last().map_or(0, |message| message.seq + 1);
        let (most_messages, most_bytes) = (4096, 8 << 20);
        let read = Read { queue, order_key, first, last: u64::MAX, most_messages, most_bytes };
        let found = store.read(&read)?;
        messages.extend(found.messages);
        if found.is_all {
            return Ok(messages);
        }
    }
}

/// No identity: either nothing was here, or making the store was cut short, or the identity was lost.
fn recover_new<D: Disk>(
    dir: &DataDir<D>,
    found: &FoundSlots<D>,
    mut walk: Walk<'_, D>,
) -> Result<Recovered<D>, StorageError> {
    let mut tail = LogTail::of_new_log();
    while let Some(batch) = walk.next()? {
        if batch.header.number > 1 || batch.header.record_count > 0 {
            return Err(walk
                .corrupt(batch.place, "a log is here, but the identity of its store is missing".to_owned()));
        }
    }
    tail.void_slots = found.slots.values().map(|(slot, _)| slot.path.clone()).collect();
    tail.void_slots.extend(found.headless.iter().map(|slot| slot.path.clone()));
    tail.last_file = found.last_number;
    tail.last_incarnation = found.slots.keys().next_back().copied().unwrap_or(0);
    let store = Store::new(dir, Index::default(), Vec::new(), Maintenance::default());
    tail.sink = store.sink();
    tail.manifest_number = store.manifest_number();
    Ok(Recovered {
        definitions: Definitions::default(),
        definitions_source: DefinitionsSource::New,
        next_position: Position(1),
        queues: BTreeMap::new(),
        last_queue: 0,
        clean_stop: true,
        quarantined: Vec::new(),
        statistics: RecoveryStatistics::default(),
        store,
        tail,
    })
}

/// Gives the log's slots to the pool: also those that the writer will remove, as the last batch stands in one
/// of them until it is repeated.
fn adopt<D: Disk>(pool: &SlotPool<D>, found: FoundSlots<D>, tail: &LogTail) {
    for (mut slot, _) in found.slots.into_values() {
        if let Some((path, length)) = &tail.trim
            && *path == slot.path
        {
            // The writer cuts it before anything else can happen to it.
            slot.length = *length;
        }
        pool.adopt(slot);
    }
}

fn into_tail<D: Disk>(
    last: Batch,
    walk: &Walk<'_, D>,
    found: &FoundSlots<D>,
    listed: &Listed<D>,
) -> Result<LogTail, StorageError> {
    let payload = walk.payload(&last)?;
    let last_slot = last.place.incarnation;
    let last_is_alone = last.place.offset == SLOT_HEADER;
    let is_void = |incarnation: u64| {
        let is_passed = !walk.visited().contains(&incarnation) || (incarnation == last_slot && last_is_alone);
        is_passed && !listed.has_slot(incarnation)
    };
    let mut void_slots: Vec<PathBuf> = found.headless.iter().map(|slot| slot.path.clone()).collect();
    let void = found.slots.iter().filter(|(incarnation, _)| is_void(**incarnation));
    void_slots.extend(void.map(|(_, (slot, _))| slot.path.clone()));
    let trim = found
        .slots
        .get(&last_slot)
        .filter(|_| !last_is_alone)
        .map(|(slot, _)| (slot.path.clone(), last.end_place().offset));
    Ok(LogTail {
        prior_end: last.before,
        follows: last_slot,
        last_incarnation: found.slots.keys().next_back().copied().unwrap_or(0).max(listed.last.incarnation),
        last_file: found.last_number.max(listed.last.slot_file),
        last_blob: walk.last_blob()?.max(listed.last.blob),
        void_slots,
        trim,
        header: last.header,
        meta: last.meta,
        payload,
        sink: Box::new(NoSink),
        manifest_number: Arc::default(),
    })
}

/// The batches of the log on their way into the index.
struct Replay {
    index: Index,
    definitions: Definitions,
    /// The position up to which the definitions were known before the log was read.
    base: u64,
    /// Where the walk began, and the number of the last batch that runs speak for.
    from: WalkAt,
    below: u64,
    /// The newest delta of a manifest that a batch names.
    manifest: u64,
    statistics: RecoveryStatistics,
}

impl Replay {
    fn new<D: Disk>(base: Definitions, listed: &Listed<D>) -> Self {
        Self {
            index: listed.index(),
            base: base.position.0,
            definitions: base,
            from: listed.walk_from(),
            below: listed.below(),
            manifest: 0,
            statistics: RecoveryStatistics::default(),
        }
    }

    /// Every whole batch, in order. Gives the last.
    fn all<D: Disk>(&mut self, walk: &mut Walk<'_, D>) -> Result<Batch, StorageError> {
        let Some(mut last) = walk.next()? else { return Err(walk.no_start()) };
        let mut before: Option<Batch> = None;
        while let Some(batch) = walk.next()? {
            self.batch(walk, &last)?;
            before = Some(std::mem::replace(&mut last, batch));
        }
        // A batch of which a later one is known was durable; damage in it is not the work of a crash. The
        // very last one counts only whole.
        match before {
            Some(before) if !walk.last_is_proven() && !walk.payload_is_whole(&last)? => {
                walk.drop_last(&last, &before);
                last = before;
            }
            _ => self.batch(walk, &last)?,
        }
        self.index.end();
        Ok(last)
    }

    fn batch<D: Disk>(&mut self, walk: &Walk<'_, D>, batch: &Batch) -> Result<(), StorageError> {
        let (_, header_crc) = batch.header.encode();
        let Batch { place, header, meta, .. } = batch;
        // Which bodies and groups were open is not known: none is passed before the end.
        let durable = DurableBatch { at: *place, header, header_crc, meta, floor: Position(0) };
        self.manifest = self.manifest.max(header.manifest);
        if header.number <= self.below {
            self.index.resume(&durable, self.from);
            return Ok(());
        }
        let mut definitions = After { base: self.base, definitions: &mut self.definitions };
        self.index.apply(&durable, &mut definitions).map_err(|unfit| {
            let offset = place.offset + BATCH_HEADER as u64 + unfit.at;
            walk.corrupt(Place { offset, ..*place }, unfit.why.to_owned())
        })?;
        self.statistics.batches += 1;
        self.statistics.bytes += header.total_len().unwrap_or_default();
        self.statistics.records += u64::from(header.record_count);
        Ok(())
    }
}

/// Applies the changes that the definitions do not have yet.
struct After<'a> {
    base: u64,
    definitions: &'a mut Definitions,
}

impl DefinitionSink for After<'_> {
    fn definition(&mut self, position: u64, revision: u64, changes: Vec<Change>) {
        if position > self.base {
            self.definitions.apply(Position(position), revision, &changes);
        }
    }
}
