//! The checkpoint: what is unsettled below a cut of the log goes into a run, and the manifest says so.
//!
//! ```text
//! capture ─► definitions ─► account ─► run, synced ─► manifest's delta, synced ─► install ─► free
//! (index)                                              the point of no return      (index)
//! ```
//!
//! The number of syncs does not depend on how many queues there are. A failure before the delta changes
//! nothing that counts: what was captured is captured again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::blob_path;
use crate::index::{Capture, CapturedQueue, Index, Lines, TailMessage};
use crate::manifest::{Cut, Delta, Manifest, ManifestState, QueueNote, RunNote};
use crate::planted::{Plant, is_planted};
use crate::ranges::RangeSet;
use crate::record::{MessageFlags, Position};
use crate::run::{BodyAt, Run, RunEntry, RunKey, RunWriter};
use crate::store::accounting::{Usage, account};
use crate::store::compact::Compacting;
use crate::store::maintenance::Maintenance;
use crate::store::view::{Unused, View};
use crate::store::{Inner, Store};

/// How many entries are taken from the index at once.
const ENTRIES_AT_ONCE: usize = 4096;

/// What a checkpoint did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckpointDone {
    /// Messages that went into a run.
    pub messages: u64,
    /// Slots freed.
    pub slots: u64,
}

/// What a delta is to say, apart from the queues.
#[derive(Debug)]
pub(super) struct Change<D: Disk> {
    /// New runs, rising.
    pub(super) runs: Vec<Arc<Run<D>>>,
    /// Runs that go.
    pub(super) gone: BTreeSet<u64>,
    /// All slots and blobs as they are then.
    pub(super) usage: Usage,
    /// What the new runs add to the queues.
    pub(super) lines: BTreeMap<u64, Lines>,
    /// A slot that is unused if the delta fails.
    pub(super) slot: Option<u64>,
}

impl<D: Disk> Change<D> {
    /// Nothing yet.
    pub(super) fn of(usage: Usage) -> Self {
        Self { runs: Vec::new(), gone: BTreeSet::new(), usage, lines: BTreeMap::new(), slot: None }
    }
}

impl<D: Disk> Store<D> {
    /// Makes a checkpoint. `sync_definitions` must make the definitions durable beside the log, export
    /// included, at least up to the position it gets: the log below may go. Blocks on the disk; another
    /// checkpoint or a step of [`tidy`](Self::tidy) is waited for.
    ///
    /// # Errors
    /// `Full`: nothing was changed, it may be tried again. Anything else: the process must end.
    pub fn checkpoint(
        &self,
        sync_definitions: &mut dyn FnMut(Position) -> Result<(), StorageError>,
    ) -> Result<CheckpointDone, StorageError> {
        let inner = &*self.0;
        let mut maintenance = inner.maintenance.lock();
        inner.release_unread(&mut maintenance)?;
        let result = match inner.checkpoint(&mut maintenance, sync_definitions) {
            Err(error) if error.is_full() && inner.slots.spend_reserve()? => {
                inner.checkpoint(&mut maintenance, sync_definitions)
            }
            result => result,
        };
        inner.done.checkpoints.fetch_add(result.is_ok().into(), Ordering::Relaxed);
        result
    }
}

impl<D: Disk> Inner<D> {
    fn checkpoint(
        &self,
        maintenance: &mut Maintenance<D>,
        sync_definitions: &mut dyn FnMut(Position) -> Result<(), StorageError>,
    ) -> Result<CheckpointDone, StorageError> {
        let (mut capture, view) = self.state.lock().capture(Index::capture);
        let change = self.prepare(maintenance, &mut capture, &view, sync_definitions);
        let result = change.and_then(|change| self.commit(maintenance, &capture, &view, change));
        if result.is_err() {
            let mut state = self.state.lock();
            state.being_accounted = 0;
            state.index.give_back(capture);
        }
        result
    }

    /// All that comes before the manifest's delta.
    fn prepare(
        &self,
        maintenance: &mut Maintenance<D>,
        capture: &mut Capture,
        view: &View<D>,
        sync_definitions: &mut dyn FnMut(Position) -> Result<(), StorageError>,
    ) -> Result<Change<D>, StorageError> {
        if maintenance.manifest.is_none() {
            // Its name becomes durable with that of the first manifest.
            self.disk
                .create_folder(&self.runs_folder)
                .map_err(StorageError::io(&self.runs_folder, "create folder"))?;
        }
        if capture.definitions_position > maintenance.definitions {
            sync_definitions(Position(capture.definitions_position))?;
        }
        self.account_captured(maintenance, capture, view)?;
        self.write_run(maintenance, capture)
    }

    /// Takes what was settled out of the counts, here and in what was captured.
    pub(super) fn account_captured(
        &self,
        maintenance: &mut Maintenance<D>,
        capture: &mut Capture,
        view: &View<D>,
    ) -> Result<(), StorageError> {
        while let Some(unaccounted) = capture.unaccounted.last() {
            let queue = unaccounted.queue;
            let gone = account(view, unaccounted, &mut maintenance.usage)?;
            capture.unaccounted.pop();
            self.state.lock().index.set_lines(queue, |lines| gone.parted(lines));
            if let Ok(at) = capture.queues.binary_search_by_key(&queue, |captured| captured.id)
                && let Some(captured) = capture.queues.get_mut(at)
            {
                captured.resident.lines = gone.parted(&captured.resident.lines);
            }
        }
        Ok(())
    }

    /// Writes the run, if there is anything to write.
    fn write_run(
        &self,
        maintenance: &mut Maintenance<D>,
        capture: &Capture,
    ) -> Result<Change<D>, StorageError> {
        let shared = self.shared_payloads(capture);
        let mut change = Change::of(maintenance.usage.clone());
        let mut writer = LazyRun::new(self);
        let result = self.write_entries(maintenance, capture, &shared, &mut change, &mut writer);
        change.runs.extend(writer.end(result)?);
        Ok(change)
    }

    fn write_entries(
        &self,
        maintenance: &mut Maintenance<D>,
        capture: &Capture,
        shared: &HashMap<BodyAt, u32>,
        change: &mut Change<D>,
        writer: &mut LazyRun<'_, D>,
    ) -> Result<(), StorageError> {
        let mut chunk = Vec::new();
        for captured in capture.queues.iter().filter(|captured| captured.has_tail) {
            let mut after = None;
            loop {
                self.next_entries(captured.id, capture.cut.after.number, after, &mut chunk);
                let Some(last) = chunk.last() else { break };
                after = Some((last.key.order_key, last.key.seq));
                let is_end = chunk.len() < ENTRIES_AT_ONCE;
                let lines = change.lines.entry(captured.id).or_default();
                for entry in &mut chunk {
                    let count = shared.get(&entry.at);
                    entry.shared = count.copied().unwrap_or(1).max(1);
                    writer.push(maintenance, entry)?;
                    change.usage.add(entry);
                    lines.of(entry.key.order_key).add(entry.at.body_len, entry.deadline_ms);
                }
                if is_end {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Some messages of a queue below the cut, in the order of runs.
    fn next_entries(&self, id: u64, cut: u64, after: Option<(u64, u64)>, chunk: &mut Vec<RunEntry>) {
        chunk.clear();
        let state = self.state.lock();
        let Some(queue) = state.index.queues.get(&id) else { return };
        let below = queue.tail.in_order(after).filter(|message| message.is_within(cut));
        chunk.extend(below.take(ENTRIES_AT_ONCE).map(|message| run_entry(id, message)));
    }

    /// How many captured messages have each shared payload.
    fn shared_payloads(&self, capture: &Capture) -> HashMap<BodyAt, u32> {
        let mut shared = HashMap::new();
        for captured in capture.queues.iter().filter(|captured| captured.has_tail) {
            let state = self.state.lock();
            let Some(queue) = state.index.queues.get(&captured.id) else { continue };
            let below = queue.tail.iter().take_while(|message| message.is_within(capture.cut.after.number));
            for message in below.filter(|message| message.is_shared) {
                *shared.entry(message.at()).or_insert(0) += 1;
            }
        }
        shared
    }

    /// The delta, and what follows from it.
    pub(super) fn commit(
        &self,
        maintenance: &mut Maintenance<D>,
        capture: &Capture,
        view: &Arc<View<D>>,
        mut change: Change<D>,
    ) -> Result<CheckpointDone, StorageError> {
        if self.is_durable && !is_planted(Plant::EarlyManifest) {
            // Does nothing where each batch was synced.
            self.slots.sync_written()?;
        }
        let messages = change.runs.iter().map(|run| run.entries()).sum();
        let idle = view.runs.iter().filter(|run| change.usage.is_idle(run)).map(|run| run.number());
        change.gone.extend(idle);
        let delta = self.delta(maintenance, capture, &mut change);
        if let Err(error) = self.append(maintenance, &delta) {
            maintenance.orphans.extend(change.runs.iter().map(|run| run.path().to_owned()));
            change.slot.into_iter().for_each(|slot| self.slots.free(slot));
            return Err(error);
        }
        let Change { runs: new, gone, mut usage, lines, .. } = change;
        usage.forget_empty();
        maintenance.usage = usage;
        maintenance.definitions = maintenance.definitions.max(capture.definitions_position);
        let (dead, mut runs): (Vec<_>, Vec<_>) =
            view.runs.iter().cloned().partition(|run| gone.contains(&run.number()));
        runs.extend(new);
        let listed = Arc::new(maintenance.usage.view(runs));
        {
            let mut state = self.state.lock();
            state.index.install(capture);
            for (queue, lines) in &lines {
                state.index.set_lines(*queue, |before| lines.joined(before));
            }
            state.view = listed;
            state.being_accounted = 0;
        }
        let mut slots = self.slots.used_below(capture.cut.after.end.incarnation);
        let being_written = maintenance.compacting.as_ref().and_then(Compacting::new_slot);
        slots.retain(|slot| !maintenance.usage.slots.contains_key(slot) && being_written != Some(*slot));
        let freed = slots.len() as u64;
        let settled = delta.blobs.iter().filter(|(_, note)| note.is_none()).map(|(number, _)| *number);
        let never_listed = capture.dead_blobs.iter().copied();
        let blobs =
            settled.chain(never_listed).filter(|number| !maintenance.usage.blobs.contains_key(number));
        let mut files: Vec<PathBuf> = blobs.map(|number| blob_path(self.slots.folder(), number)).collect();
        files.extend(dead.iter().map(|run| run.path().to_owned()));
        maintenance.retired.push(view, Unused { slots, files });
        Ok(CheckpointDone { messages, slots: freed })
    }

    fn delta(&self, maintenance: &mut Maintenance<D>, capture: &Capture, change: &mut Change<D>) -> Delta {
        let before = capture.cut.before;
        let cut = Cut {
            at: before.end,
            batch: before.number,
            header_crc: before.header_crc,
            epoch: before.epoch,
            next_position: before.next_position,
            next_incarnation: before.next_incarnation,
            below: capture.cut.after.number,
        };
        let queues = capture.queues.iter().map(|captured| (captured.id, Some(note(captured, &change.lines))));
        let deleted = capture.deleted.iter().map(|id| (*id, None));
        maintenance.last.queue = maintenance.last.queue.max(capture.last_queue);
        maintenance.last.blob = maintenance.last.blob.max(capture.last_blob);
        (maintenance.last.incarnation, maintenance.last.slot_file) = self.slots.last();
        let new = change.runs.iter().map(|run| (run.number(), Some(run_note(run))));
        let gone = change.gone.iter().map(|number| (*number, None));
        Delta {
            cut: Some(cut),
            runs: gone.chain(new).collect(),
            slots: change.usage.take_changed_slots(|incarnation| {
                self.slots.pin(incarnation).map_or((0, 0), |slot| (slot.number, slot.length))
            }),
            blobs: change.usage.take_changed_blobs(),
            queues: deleted.chain(queues).collect(),
            definitions: Some(maintenance.definitions.max(capture.definitions_position)),
            last: maintenance.last,
        }
    }

    /// Appends to the manifest; the first time, makes it.
    fn append(&self, maintenance: &mut Maintenance<D>, delta: &Delta) -> Result<(), StorageError> {
        if !self.is_durable {
            return Ok(());
        }
        let manifest = match &mut maintenance.manifest {
            Some(manifest) => manifest,
            none => {
                let made = Manifest::create(&self.disk, &self.root, self.log, &ManifestState::default())?;
                none.insert(made)
            }
        };
        let number = manifest.append(delta)?;
        self.manifest_bytes.store(manifest.bytes(), Ordering::Relaxed);
        self.manifest_number.store(number, Ordering::Release);
        Ok(())
    }

    pub(super) fn new_run(&self, maintenance: &mut Maintenance<D>) -> Result<RunWriter<D>, StorageError> {
        maintenance.last.run += 1;
        RunWriter::create(&self.disk, &self.runs_folder, maintenance.last.run, self.log)
    }
}

fn run_note<D: Disk>(run: &Run<D>) -> RunNote {
    RunNote { entries: run.entries(), bytes: run.bytes() }
}

fn note(captured: &CapturedQueue, lines: &BTreeMap<u64, Lines>) -> QueueNote {
    let resident = &captured.resident;
    let lines = match lines.get(&captured.id) {
        Some(lines) => lines.joined(&resident.lines),
        None => resident.lines.clone(),
    };
    QueueNote {
        last_seq: captured.last_seq,
        known: resident.end,
        settled: resident.settled.clone(),
        exposed: if is_planted(Plant::ForgottenSeen) {
            RangeSet::default()
        } else {
            resident.exposed.clone()
        },
        unexposed: resident.unexposed.clone(),
        counts: resident.counts.clone(),
        lines,
    }
}

fn run_entry(queue: u64, message: &TailMessage) -> RunEntry {
    RunEntry {
        key: RunKey { queue, order_key: message.order_key, seq: message.seq },
        at: message.at(),
        flags: if is_planted(Plant::ForgottenSeen) {
            message.flags.without(MessageFlags::SEEN)
        } else {
            message.flags
        },
        deadline_ms: message.deadline_ms,
        delivery_count: message.delivery_count,
        shared: 1,
    }
}

/// A run that is begun with its first entry.
pub(super) struct LazyRun<'s, D: Disk> {
    store: &'s Inner<D>,
    writer: Option<RunWriter<D>>,
}

impl<'s, D: Disk> LazyRun<'s, D> {
    pub(super) fn new(store: &'s Inner<D>) -> Self {
        Self { store, writer: None }
    }

    pub(super) fn push(
        &mut self,
        maintenance: &mut Maintenance<D>,
        entry: &RunEntry,
    ) -> Result<(), StorageError> {
        if self.writer.is_none() {
            self.writer = Some(self.store.new_run(maintenance)?);
        }
        match &mut self.writer {
            Some(writer) => writer.push(entry),
            None => Ok(()),
        }
    }

    /// The run, durable; or nothing, if what was to fill it failed.
    pub(super) fn end(self, result: Result<(), StorageError>) -> Result<Option<Arc<Run<D>>>, StorageError> {
        match (result, self.writer) {
            (Ok(()), Some(writer)) if self.store.is_durable => writer.finish().map(Some),
            (Ok(()), Some(writer)) => writer.finish_unsynced().map(Some),
            (Ok(()), None) => Ok(None),
            (Err(error), writer) => {
                if let Some(writer) = writer {
                    writer.abandon();
                }
                Err(error)
            }
        }
    }
}
