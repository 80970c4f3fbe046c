//! From the bytes on disk to what survived: definitions, and the live messages of every queue.
//!
//! Two passes, so that memory follows what is live and not what was ever written. The first reads heads
//! only and learns which messages live (`survey`); the second reads their payloads and gives them to the
//! caller in log order (`payloads`). Nothing on disk is changed here: what must be, [`LogWriter::open`]
//! does once all of this succeeded.
//!
//! [`LogWriter::open`]: crate::LogWriter::open

mod payloads;
mod survey;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;

use crate::data_dir::DataDir;
use crate::definitions::{self, DefinitionCheckpoint, Definitions, DefinitionsSource};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{BatchHeader, CLEAN_STOP, Place};
use crate::log::sink::{BatchSink, NoSink};
use crate::log::slots::FoundSlots;
use crate::log::walk::{Batch, Walk};
use crate::record::{MessageFlags, Position};

use survey::Survey;

/// Takes what survived, in log order.
pub trait RecoverySink {
    /// All definitions, before the first message.
    fn definitions(&mut self, definitions: &Definitions);
    /// A live message. Within a queue the numbers rise as they were first logged.
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
    /// Its bytes, with their checksum verified. Queues that share a body share these.
    pub payload: Bytes,
}

/// A queue of which a live message cannot be read. It must not be served.
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

/// What the log says of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecoveredQueue {
    /// The highest number ever given in it; new ones go above.
    pub last_seq: u64,
    /// Live messages.
    pub messages: u64,
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
pub struct Recovered {
    /// The definitions, as the sink got them.
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
    /// Queues that lost a message to damage.
    pub quarantined: Vec<Quarantined>,
    /// What was read.
    pub statistics: RecoveryStatistics,
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
    /// Slots without anything that counts, once the last batch is repeated; in the order of removal.
    pub(crate) void_slots: Vec<PathBuf>,
    /// The slot that was active, and where the last batch in it ends.
    pub(crate) trim: Option<(PathBuf, u64)>,
    /// Hears of every batch from the repeated one on.
    pub(crate) sink: Box<dyn BatchSink>,
}

/// Reads what survived and gives it to `sink`. `checkpoint` is where the definitions were kept beside the
/// log, if anywhere; without it, or if it is damaged, the export and the log take its place.
///
/// # Errors
/// `Corrupt`, with file, offset and reason, where bytes that were durable cannot be trusted and the
/// damage is not confined to a queue; `Version`; `Io`. Nothing on disk was changed.
pub fn recover<D: Disk>(
    dir: &DataDir<D>,
    checkpoint: Option<&mut dyn DefinitionCheckpoint>,
    sink: &mut dyn RecoverySink,
) -> Result<Recovered, StorageError> {
    let disk = dir.disk();
    let log = if dir.is_new() { None } else { Some(dir.log_id()) };
    let found = FoundSlots::open(disk, &dir.log_folder(), log)?;
    let mut walk = Walk::new(disk, &found)?;
    if dir.is_new() {
        return recover_new(&found, walk, sink);
    }
    let (base, source) = definitions::load(dir, checkpoint)?;
    let mut survey = Survey::new(base);
    let ends = read_all(&mut walk, &mut survey)?;
    let torn = walk.check_end()?;
    let base_position = survey.definitions_base();
    if base_position >= ends.next_position() {
        let why = format!(
            "the log ends before record {}, but record {} was durable: a definitions' checkpoint covers it",
            ends.next_position(),
            base_position
        );
        return Err(walk.corrupt(ends.last.end_place(), why));
    }
    sink.definitions(survey.definitions());
    let quarantined = payloads::deliver(&walk, &mut survey, sink)?;
    let mut statistics = survey.statistics();
    statistics.slots = found.slots.len() as u64;
    statistics.torn_bytes = torn.bytes;
    let next_position = Position(ends.next_position());
    let clean_stop = ends.last.header.flags & CLEAN_STOP != 0;
    let tail = ends.into_tail(&walk, &found)?;
    let (definitions, queues, last_queue) = survey.into_parts();
    Ok(Recovered {
        definitions,
        definitions_source: source,
        next_position,
        queues,
        last_queue,
        clean_stop,
        quarantined,
        statistics,
        tail,
    })
}

/// No identity: either nothing was here, or making the store was cut short, or the identity was lost.
fn recover_new<D: Disk>(
    found: &FoundSlots<D>,
    mut walk: Walk<'_, D>,
    sink: &mut dyn RecoverySink,
) -> Result<Recovered, StorageError> {
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
    let definitions = Definitions::default();
    sink.definitions(&definitions);
    Ok(Recovered {
        definitions,
        definitions_source: DefinitionsSource::New,
        next_position: Position(1),
        queues: BTreeMap::new(),
        last_queue: 0,
        clean_stop: true,
        quarantined: Vec::new(),
        statistics: RecoveryStatistics::default(),
        tail,
    })
}

/// The last whole batch.
struct Ends {
    last: Batch,
}

impl Ends {
    fn next_position(&self) -> u64 {
        self.last.header.first_position.saturating_add(self.last.header.record_count.into())
    }

    fn into_tail<D: Disk>(self, walk: &Walk<'_, D>, found: &FoundSlots<D>) -> Result<LogTail, StorageError> {
        let payload = walk.payload(&self.last)?;
        let last_slot = self.last.place.incarnation;
        let last_is_alone = self.last.place.offset == crate::format::SLOT_HEADER;
        let is_void = |incarnation: u64| {
            !walk.visited().contains(&incarnation) || (incarnation == last_slot && last_is_alone)
        };
        let mut void_slots: Vec<PathBuf> = found.headless.iter().map(|slot| slot.path.clone()).collect();
        let void = found.slots.iter().filter(|(incarnation, _)| is_void(**incarnation));
        void_slots.extend(void.map(|(_, (slot, _))| slot.path.clone()));
        let trim = found
            .slots
            .get(&last_slot)
            .filter(|_| !last_is_alone)
            .map(|(slot, _)| (slot.path.clone(), self.last.end_place().offset));
        Ok(LogTail {
            prior_end: self.last.before,
            follows: last_slot,
            last_incarnation: found.slots.keys().next_back().copied().unwrap_or(0),
            last_file: found.last_number,
            void_slots,
            trim,
            header: self.last.header,
            meta: self.last.meta,
            payload,
            sink: Box::new(NoSink),
        })
    }
}

/// The first pass: every whole batch to the survey, in order.
fn read_all<D: Disk>(walk: &mut Walk<'_, D>, survey: &mut Survey) -> Result<Ends, StorageError> {
    let Some(mut last) = walk.next()? else { return Err(walk.no_start()) };
    let mut before: Option<Batch> = None;
    while let Some(batch) = walk.next()? {
        survey.batch(walk, &last)?;
        before = Some(std::mem::replace(&mut last, batch));
    }
    // A batch of which a later one is known was durable; damage in it is not the work of a crash. The
    // very last one counts only whole.
    match before {
        Some(before) if !walk.last_is_proven() && !walk.payload_is_whole(&last)? => {
            walk.drop_last(&last, &before);
            last = before;
        }
        _ => survey.batch(walk, &last)?,
    }
    survey.end();
    Ok(Ends { last })
}
