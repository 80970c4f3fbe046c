//! The checkpoint: what is unsettled below a cut of the log goes into a run, and the manifest says so.
//!
//! ```text
//! capture ─► definitions ─► account ─► run, synced ─► manifest's delta, synced ─► install ─► free
//! (index)                                              the point of no return      (index)
//! ```
//!
//! The number of syncs does not depend on how many queues there are. A failure before the delta changes
//! nothing that counts: what was captured is captured again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::blob_path;
use crate::index::{Capture, CapturedQueue, Lines, TailMessage};
use crate::manifest::{Cut, Delta, Manifest, ManifestState, QueueNote, RunNote};
use crate::record::Position;
use crate::run::{Run, RunEntry, RunKey, RunWriter};
use crate::store::accounting::{Usage, account};
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

/// The run of a checkpoint, and what it comes to.
struct Written<D: Disk> {
    run: Option<Arc<Run<D>>>,
    usage: Usage,
    lines: BTreeMap<u64, Lines>,
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
        let (mut capture, view) = {
            let mut state = inner.state.lock();
            (state.index.capture(), Arc::clone(&state.view))
        };
        let written = inner.prepare(&mut maintenance, &mut capture, &view, sync_definitions);
        let result = written.and_then(|written| inner.commit(&mut maintenance, &capture, &view, written));
        if result.is_err() {
            inner.state.lock().index.give_back(capture);
        }
        result
    }
}

impl<D: Disk> Inner<D> {
    /// All that comes before the manifest's delta.
    fn prepare(
        &self,
        maintenance: &mut Maintenance<D>,
        capture: &mut Capture,
        view: &View<D>,
        sync_definitions: &mut dyn FnMut(Position) -> Result<(), StorageError>,
    ) -> Result<Written<D>, StorageError> {
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
    fn account_captured(
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
    ) -> Result<Written<D>, StorageError> {
        let shared = self.shared_payloads(capture);
        let mut written = Written { run: None, usage: Usage::default(), lines: BTreeMap::new() };
        let mut writer: Option<RunWriter<D>> = None;
        let result = self.write_entries(maintenance, capture, &shared, &mut written, &mut writer);
        match (result, writer) {
            (Ok(()), Some(writer)) => {
                let run = if self.is_durable { writer.finish()? } else { writer.finish_unsynced()? };
                written.run = Some(run);
            }
            (Ok(()), None) => {}
            (Err(error), writer) => {
                if let Some(writer) = writer {
                    writer.abandon();
                }
                return Err(error);
            }
        }
        Ok(written)
    }

    fn write_entries(
        &self,
        maintenance: &mut Maintenance<D>,
        capture: &Capture,
        shared: &HashMap<(u64, u64), u32>,
        written: &mut Written<D>,
        writer: &mut Option<RunWriter<D>>,
    ) -> Result<(), StorageError> {
        let mut chunk = Vec::new();
        for captured in capture.queues.iter().filter(|captured| captured.has_tail) {
            let mut after = None;
            loop {
                self.next_entries(captured.id, capture.cut.after.number, after, &mut chunk);
                let Some(last) = chunk.last() else { break };
                after = Some((last.key.order_key, last.key.seq));
                let is_end = chunk.len() < ENTRIES_AT_ONCE;
                let lines = written.lines.entry(captured.id).or_default();
                for entry in &mut chunk {
                    let count = shared.get(&(entry.at.incarnation, entry.at.offset));
                    entry.shared = count.copied().unwrap_or(1).max(1);
                    if writer.is_none() {
                        *writer = Some(self.new_run(maintenance)?);
                    }
                    if let Some(writer) = writer {
                        writer.push(entry)?;
                    }
                    written.usage.add(entry);
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
    fn shared_payloads(&self, capture: &Capture) -> HashMap<(u64, u64), u32> {
        let mut shared = HashMap::new();
        for captured in capture.queues.iter().filter(|captured| captured.has_tail) {
            let state = self.state.lock();
            let Some(queue) = state.index.queues.get(&captured.id) else { continue };
            let below = queue.tail.iter().take_while(|message| message.is_within(capture.cut.after.number));
            for message in below.filter(|message| message.is_shared) {
                let at = message.at();
                *shared.entry((at.incarnation, at.offset)).or_insert(0) += 1;
            }
        }
        shared
    }

    /// The delta, and what follows from it.
    fn commit(
        &self,
        maintenance: &mut Maintenance<D>,
        capture: &Capture,
        view: &Arc<View<D>>,
        written: Written<D>,
    ) -> Result<CheckpointDone, StorageError> {
        if self.is_durable {
            // Does nothing where each batch was synced.
            self.slots.sync_written()?;
        }
        let mut usage = maintenance.usage.clone();
        usage.join(&written.usage);
        let delta = self.delta(maintenance, capture, &written, &mut usage);
        if let Err(error) = self.append(maintenance, &delta) {
            maintenance.orphans.extend(written.run.iter().map(|run| run.path().to_owned()));
            return Err(error);
        }
        usage.forget_empty();
        maintenance.usage = usage;
        maintenance.definitions = maintenance.definitions.max(capture.definitions_position);
        let messages = written.run.as_ref().map_or(0, |run| run.entries());
        let mut runs = view.runs.clone();
        runs.extend(written.run);
        let new = Arc::new(maintenance.usage.view(runs));
        {
            let mut state = self.state.lock();
            state.index.install(capture);
            for (queue, lines) in &written.lines {
                state.index.set_lines(*queue, |before| lines.joined(before));
            }
            state.view = new;
        }
        let mut slots = self.slots.used_below(capture.cut.after.end.incarnation);
        slots.retain(|slot| !maintenance.usage.slots.contains_key(slot));
        let freed = slots.len() as u64;
        let settled = delta.blobs.iter().filter(|(_, note)| note.is_none()).map(|(number, _)| *number);
        let never_listed = capture.dead_blobs.iter().copied();
        let blobs =
            settled.chain(never_listed).filter(|number| !maintenance.usage.blobs.contains_key(number));
        let files = blobs.map(|number| blob_path(self.slots.folder(), number)).collect();
        maintenance.retired.push(view, Unused { slots, files });
        self.release_unread(maintenance)?;
        Ok(CheckpointDone { messages, slots: freed })
    }

    fn delta(
        &self,
        maintenance: &mut Maintenance<D>,
        capture: &Capture,
        written: &Written<D>,
        usage: &mut Usage,
    ) -> Delta {
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
        let queues = capture.queues.iter().map(|captured| (captured.id, Some(note(captured, written))));
        let deleted = capture.deleted.iter().map(|id| (*id, None));
        maintenance.last.queue = maintenance.last.queue.max(capture.last_queue);
        maintenance.last.blob = maintenance.last.blob.max(capture.last_blob);
        (maintenance.last.incarnation, maintenance.last.slot_file) = self.slots.last();
        Delta {
            cut: Some(cut),
            runs: written.run.iter().map(|run| (run.number(), Some(run_note(run)))).collect(),
            slots: usage.take_changed_slots(|incarnation| {
                self.slots.pin(incarnation).map_or((0, 0), |slot| (slot.number, slot.length))
            }),
            blobs: usage.take_changed_blobs(),
            queues: deleted.chain(queues).collect(),
            definitions: Some(capture.definitions_position.max(maintenance.definitions)),
            last: maintenance.last,
        }
    }

    /// Appends to the manifest; the first time, makes it.
    pub(super) fn append(&self, maintenance: &mut Maintenance<D>, delta: &Delta) -> Result<(), StorageError> {
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
        self.manifest_number.store(number, std::sync::atomic::Ordering::Release);
        Ok(())
    }

    pub(super) fn new_run(&self, maintenance: &mut Maintenance<D>) -> Result<RunWriter<D>, StorageError> {
        maintenance.last.run += 1;
        RunWriter::create(&self.disk, &self.runs_folder, maintenance.last.run, self.log)
    }
}

pub(super) fn run_note<D: Disk>(run: &Run<D>) -> RunNote {
    RunNote { entries: run.entries(), bytes: run.bytes() }
}

fn note<D: Disk>(captured: &CapturedQueue, written: &Written<D>) -> QueueNote {
    let resident = &captured.resident;
    let lines = match written.lines.get(&captured.id) {
        Some(lines) => lines.joined(&resident.lines),
        None => resident.lines.clone(),
    };
    QueueNote {
        last_seq: captured.last_seq,
        known: resident.end,
        settled: resident.settled.clone(),
        exposed: resident.exposed.clone(),
        unexposed: resident.unexposed.clone(),
        counts: resident.counts.clone(),
        lines,
    }
}

fn run_entry(queue: u64, message: &TailMessage) -> RunEntry {
    RunEntry {
        key: RunKey { queue, order_key: message.order_key, seq: message.seq },
        at: message.at(),
        flags: message.flags,
        deadline_ms: message.deadline_ms,
        delivery_count: message.delivery_count,
        shared: 1,
    }
}
