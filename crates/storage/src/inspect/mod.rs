//! Looking at a data directory offline: what is damaged, and what can still be saved.
//!
//! Unlike recovery, which refuses what it cannot trust, this goes on over every damage and says what each
//! costs. It reads what recovery reads, and beyond that every run, every batch of the tail and every live
//! payload. Needs no fences, no footers and, where it must, no manifest. Changes nothing in the directory it
//! looks at; what it saves goes into a fresh one.

mod loss;
mod rescue;
mod runs;
mod slots;
mod tail;

use std::path::Path;

use serde::Serialize;

use crate::data_dir::{DataDir, StorageOptions};
use crate::definitions::{self, DefinitionCheckpoint, Definitions, DefinitionsSource};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::manifest::{Cut, Manifest, ManifestFound, ManifestState};
use crate::recovery::open_store;
use crate::run::{RunEntry, RunKey};

pub use loss::{Loss, Lost, Progress, Watch};

use loss::{Damage, Verified};
use rescue::Rescue;
use runs::Entries;
use slots::{LogBegin, Slots};
use tail::Tail;

/// Progress is told after so many messages.
const TELL_EVERY: u64 = 10_000;

/// Where the definitions were kept beside the log, opened anew at each call.
pub type Checkpoints<'a, D> = &'a dyn Fn(&DataDir<D>) -> Option<Box<dyn DefinitionCheckpoint>>;

/// What an inspection found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Why a broker would refuse to start on this directory, if it would.
    pub refusal: Option<String>,
    /// Definitions found.
    pub definitions: u64,
    /// Queues with live messages.
    pub queues: u64,
    /// Live messages that were read whole.
    pub messages: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Every damaged place, with what it costs.
    pub losses: Vec<Loss>,
}

impl Report {
    /// Whether a broker starts on this directory and nothing in it is damaged.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.refusal.is_none() && self.losses.is_empty()
    }

    /// The report for other programs.
    ///
    /// # Errors
    /// None that is known: paths that are not text are written as well as can be.
    pub fn to_json(&self) -> std::io::Result<String> {
        serde_json::to_string_pretty(self).map_err(std::io::Error::other)
    }

    fn lose(&mut self, loss: Loss) {
        if !self.losses.last_mut().is_some_and(|last| last.join(&loss)) {
            self.losses.push(loss);
        }
    }
}

/// Checks the data directory `root` from end to end and changes nothing in it but the note in its lock.
///
/// # Errors
/// `Io` if there is no store, or a file cannot be read at all; `Locked`; `Version`. Damage is no error: it is
/// in the report.
pub fn verify<D: Disk>(
    disk: &D,
    root: &Path,
    checkpoints: Checkpoints<'_, D>,
    watch: Watch<'_>,
) -> Result<Report, StorageError> {
    must_exist(disk, root)?;
    let (dir, damage) = open(disk, root)?;
    let mut report = start_report(&dir, damage, checkpoints, watch)?;
    let remains = Remains::find(&dir, checkpoints, watch, &mut report)?;
    remains.messages(&mut report, watch, &mut |_, _| Ok(()))?;
    Ok(report)
}

/// Writes all that can be read of the data directory `root` as a fresh one at `out`, which must not exist or
/// be empty. Messages keep their queues, numbers, flags and delivery counts; a body that queues shared is
/// written once for each.
///
/// # Errors
/// As [`verify`]; `Full`, `Io` of what is written: `out` is of no use then.
pub fn salvage<D: Disk>(
    disk: &D,
    root: &Path,
    out: &Path,
    checkpoints: Checkpoints<'_, D>,
    watch: Watch<'_>,
) -> Result<Report, StorageError> {
    must_exist(disk, root)?;
    if disk.list(out).is_ok_and(|names| !names.is_empty()) {
        let source = std::io::ErrorKind::AlreadyExists.into();
        return Err(StorageError::Io {
            file: out.to_owned(),
            op: "write into a folder that is not empty",
            source,
        });
    }
    let (dir, damage) = open(disk, root)?;
    let mut report = start_report(&dir, damage, checkpoints, watch)?;
    let remains = Remains::find(&dir, checkpoints, watch, &mut report)?;
    let options = StorageOptions { slot_bytes: Some(dir.slot_bytes()), ..StorageOptions::default() };
    let mut rescue = Rescue::create(disk, out, options)?;
    rescue.definitions(&remains.tail.definitions)?;
    remains.messages(&mut report, watch, &mut |entry, payload| rescue.message(entry, payload))?;
    rescue.finish()?;
    Ok(report)
}

/// The directory, and what is wrong with its identity. Without a readable one the slots say whose it is.
fn open<D: Disk>(disk: &D, root: &Path) -> Result<(DataDir<D>, Option<StorageError>), StorageError> {
    let opened = DataDir::open(disk.clone(), root, StorageOptions::default());
    let damage = match opened {
        Ok(dir) if !dir.is_new() => return Ok((dir, None)),
        Ok(dir) => {
            // Its lock is taken again below.
            drop(dir);
            StorageError::corrupt(&root.join("identity"), 0, "the identity of the store is missing")
        }
        Err(error @ StorageError::Corrupt { .. }) => error,
        Err(error) => return Err(error),
    };
    match DataDir::open_by_slots(disk.clone(), root)? {
        Some(dir) => Ok((dir, Some(damage))),
        None => Err(damage),
    }
}

/// What a start would say.
fn start_report<D: Disk>(
    dir: &DataDir<D>,
    damage: Option<StorageError>,
    checkpoints: Checkpoints<'_, D>,
    watch: Watch<'_>,
) -> Result<Report, StorageError> {
    let mut report = Report::default();
    if let Some(damage) = damage {
        report.refusal = Some(damage.to_string());
        report.lose(Loss::of(Lost::Nothing, damage)?);
        return Ok(report);
    }
    watch(Progress { part: "recovery", done: 0, total: 1 });
    match open_store(dir, checkpoints(dir).as_mut().map(|checkpoint| &mut **checkpoint as _)) {
        Ok(_) => {}
        Err(error @ StorageError::Corrupt { .. }) => report.refusal = Some(error.to_string()),
        Err(StorageError::Io { file, op, source }) if source.kind() == std::io::ErrorKind::NotFound => {
            report.refusal = Some(StorageError::Io { file, op, source }.to_string());
        }
        Err(error) => return Err(error),
    }
    Ok(report)
}

fn must_exist<D: Disk>(disk: &D, root: &Path) -> Result<(), StorageError> {
    let names = disk.list(root).map_err(StorageError::io(root, "open"))?;
    if names.iter().any(|name| name == "identity" || name == "log") {
        return Ok(());
    }
    let source = std::io::ErrorKind::NotFound.into();
    Err(StorageError::Io { file: root.to_owned(), op: "find a store", source })
}

/// Takes whole messages.
type Each<'a> = &'a mut dyn FnMut(&RunEntry, Vec<u8>) -> Result<(), StorageError>;

/// All that was found, before any payload is read.
struct Remains<D: Disk> {
    slots: Slots<D>,
    tail: Tail,
    entries: Entries<D>,
    state: Option<ManifestState>,
}

impl<D: Disk> Remains<D> {
    fn find(
        dir: &DataDir<D>,
        checkpoints: Checkpoints<'_, D>,
        watch: Watch<'_>,
        report: &mut Report,
    ) -> Result<Self, StorageError> {
        let (disk, log) = (dir.disk(), dir.log_id());
        let (state, begin) = manifest(dir, report)?;
        let slots = Slots::find(disk, &dir.log_folder(), log, state.as_ref(), begin, watch)?;
        let definitions = best_definitions(dir, checkpoints, state.as_ref(), &slots, report)?;
        let mut tail = Tail::new(state.as_ref(), definitions);
        tail.read(&slots)?;
        report.definitions = tail.definitions.entries.len() as u64;
        let entries = Entries::open(disk, &dir.root().join("runs"), log, state.as_ref(), tail.live())?;
        slots.losses.iter().chain(&tail.losses).for_each(|loss| report.lose(loss.clone()));
        Ok(Self { slots, tail, entries, state })
    }

    /// Reads every live message and gives the whole ones to `each`.
    fn messages(mut self, report: &mut Report, watch: Watch<'_>, each: Each<'_>) -> Result<(), StorageError> {
        let total = self.entries.expected();
        let mut done = 0;
        let mut queue: Vec<RunEntry> = Vec::new();
        while let Some((entry, is_tail)) = self.entries.next()? {
            if done % TELL_EVERY == 0 {
                watch(Progress { part: "messages", done, total });
            }
            done += 1;
            let Some(entry) = (if is_tail { Some(entry) } else { self.now(entry) }) else { continue };
            if queue.first().is_some_and(|first| first.key.queue != entry.key.queue) {
                self.queue(&mut queue, report, each)?;
            }
            queue.push(entry);
        }
        self.queue(&mut queue, report, each)?;
        watch(Progress { part: "messages", done, total: done });
        self.entries.losses.drain(..).for_each(|loss| report.lose(loss));
        Ok(())
    }

    /// Reads the messages of one queue by their numbers, as they were published.
    fn queue(
        &self,
        entries: &mut Vec<RunEntry>,
        report: &mut Report,
        each: Each<'_>,
    ) -> Result<(), StorageError> {
        entries.sort_unstable_by_key(|entry| entry.key.seq);
        let before = report.messages;
        for entry in entries.drain(..) {
            let RunKey { queue, seq, .. } = entry.key;
            match self.payload(&entry)? {
                Ok(payload) => {
                    report.messages += 1;
                    report.bytes += payload.len() as u64;
                    each(&entry, payload)?;
                }
                Err(Damage { file, offset, reason }) => {
                    let lost = Lost::Messages { queue, first: seq, last: seq };
                    report.lose(Loss { lost, file, offset, reason });
                }
            }
        }
        report.queues += u64::from(report.messages > before);
        Ok(())
    }

    /// An entry of a run as it is now; `None` if it is settled or void.
    fn now(&self, entry: RunEntry) -> Option<RunEntry> {
        let at = entry.at;
        let is_listed = self.state.as_ref().is_none_or(|state| {
            if at.is_blob() {
                state.blobs.contains_key(&at.offset)
            } else {
                state.slots.contains_key(&at.incarnation)
            }
        });
        if is_listed { self.tail.now(entry) } else { None }
    }

    fn payload(&self, entry: &RunEntry) -> Result<Verified, StorageError> {
        let at = entry.at;
        if !at.is_blob() {
            return self.slots.payload(at.incarnation, at.offset, (at.len, at.crc));
        }
        match self.slots.blob(at.offset) {
            Ok(bytes) if bytes.len() == at.len as usize && crc32fast::hash(&bytes) == at.crc => Ok(Ok(bytes)),
            Ok(_) => {
                let (file, reason) = (self.slots.blob_path(at.offset), "the blob is not that of its message");
                Ok(Err(Damage { file, offset: 0, reason: reason.to_owned() }))
            }
            Err(StorageError::Corrupt { file, offset, why: reason }) => {
                Ok(Err(Damage { file, offset, reason }))
            }
            Err(error) => Err(error),
        }
    }
}

/// What the manifest says, if it can be trusted, and where the log begins, if that is known.
fn manifest<D: Disk>(
    dir: &DataDir<D>,
    report: &mut Report,
) -> Result<(Option<ManifestState>, Option<LogBegin>), StorageError> {
    let error = match Manifest::open(dir.disk(), dir.root(), dir.log_id()) {
        Ok(ManifestFound::Valid(_, state)) => {
            let Cut { at: place, batch: number, next_position: position, next_incarnation, .. } = state.cut;
            let begin = LogBegin { number, place, position, next_incarnation };
            return Ok((Some(*state), Some(begin)));
        }
        Ok(ManifestFound::None) => return Ok((None, Some(LogBegin { position: 1, ..LogBegin::default() }))),
        Ok(ManifestFound::Invalid(error)) | Err(error) => error,
    };
    report.lose(Loss::of(Lost::Settlements, error)?);
    Ok((None, None))
}

/// The best definitions beside the log, and whether what the log has since is enough.
fn best_definitions<D: Disk>(
    dir: &DataDir<D>,
    checkpoints: Checkpoints<'_, D>,
    state: Option<&ManifestState>,
    slots: &Slots<D>,
    report: &mut Report,
) -> Result<Definitions, StorageError> {
    let mut checkpoint = checkpoints(dir);
    let (found, source) =
        definitions::load(dir, checkpoint.as_mut().map(|checkpoint| &mut **checkpoint as _))?;
    let begins = slots.batches().first().map_or(1, |batch| batch.header.first_position);
    if found.position.0 + 1 < begins.min(state.map_or(begins, |state| state.definitions + 1)) {
        let why = match source {
            DefinitionsSource::Log | DefinitionsSource::New => {
                "neither the definitions' checkpoint nor their export can be read, and the log does not reach back"
            }
            DefinitionsSource::Checkpoint | DefinitionsSource::Export => {
                "the definitions are older than what the log holds"
            }
        };
        report.lose(Loss::new(Lost::Definitions, &dir.definitions_folder(), 0, why));
    }
    Ok(found)
}
