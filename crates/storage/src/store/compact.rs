//! Compaction: the live rest of sparse slots moves to a new one, and they are free.
//!
//! What lives is found through the runs, never through a slot's own records, and each body is moved once.
//! The new slot is an ordinary sealed one with an ordinary run; entries of older runs that name the old slots
//! are void with the delta that does not list those any more.
//!
//! ```text
//! choose ─► look ⟲ ─► move ⟲ ─► run, synced ─► capture, count, manifest's delta ─► the old slots are free
//! ```
//!
//! Checkpoints come between. Until the delta the old slots count: what is settled meanwhile is accounted there, and
//! of what was moved only the rest is counted in the new slot. All that the old ones counted must then be there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{BLOCK, SLOT_HEADER};
use crate::log::pool::Purpose;
use crate::log::slots::Slot;
use crate::manifest::SlotNote;
use crate::run::{BodyAt, Run, RunEntry, RunMerge, RunWriter};
use crate::store::Inner;
use crate::store::accounting::Usage;
use crate::store::checkpoint::Change;
use crate::store::maintenance::Maintenance;
use crate::store::tidy::Live;
use crate::store::view::View;

/// Payloads begin here: where a log would have its first batch, there is none.
const FIRST_PAYLOAD: u64 = SLOT_HEADER + BLOCK;
/// How much is read and written at once, in entries and in bytes.
const ENTRIES_AT_ONCE: usize = 1024;
const WRITE_BYTES: usize = 1 << 20;
/// The new slot is synced in pieces of this, so that the log's syncs do not wait behind one large one.
const SYNC_BYTES: u64 = 4 << 20;
/// What is kept in memory of shared payloads is bounded by this.
const MOST_ENTRIES: u64 = 2 << 20;

impl<D: Disk> Inner<D> {
    /// Sparse slots whose live rest fits into one, if that gives a slot back: those under half live, or with
    /// the disk over its bound the sparsest.
    pub(super) fn slots_to_compact(&self, maintenance: &Maintenance<D>) -> Option<BTreeSet<u64>> {
        let cut = self.state.lock().index.checkpointed().after.end.incarnation;
        let room = self.slots.slot_bytes().saturating_sub(FIRST_PAYLOAD);
        let is_over = !self.room().is_eased_without_free();
        let mut sparse: Vec<(u64, SlotNote)> =
            maintenance.usage.slots.iter().map(|(slot, note)| (*slot, *note)).collect();
        sparse.retain(|(slot, note)| {
            let is_sparse = note.live_bytes.saturating_mul(2) < note.length;
            *slot < cut && !maintenance.left_alone.contains(slot) && (is_sparse || is_over)
        });
        sparse.sort_unstable_by_key(|(slot, note)| (note.live_bytes * 64 / note.length.max(1), *slot));
        let mut left = room;
        let mut entries_left = MOST_ENTRIES;
        let mut chosen = BTreeSet::new();
        for (slot, note) in sparse {
            // A share of a payload is rounded down, and there are no more shares than entries.
            let needed = note.live_bytes + note.entries;
            if needed > left || note.entries > entries_left {
                break;
            }
            left -= needed;
            entries_left -= note.entries;
            chosen.insert(slot);
        }
        (chosen.len() > 1).then_some(chosen)
    }

    /// Goes on with a compaction, or begins one that is due. False if there is nothing to compact.
    ///
    /// # Errors
    /// `Full`: it was given up, and nothing was changed.
    pub(super) fn compact_some(&self, maintenance: &mut Maintenance<D>) -> Result<bool, StorageError> {
        let mut compacting = match maintenance.compacting.take() {
            Some(compacting) => compacting,
            None => {
                if self.slots_to_compact(maintenance).is_none() {
                    return Ok(false);
                }
                // What was settled since is not moved, and may change the choice.
                self.step(maintenance, |_, _, _| Ok(None))?;
                let view = Arc::clone(&self.state.lock().view);
                let Some(slots) = self.slots_to_compact(maintenance) else { return Ok(true) };
                match entries_of(&view, &slots) {
                    Ok(entries) => {
                        Compacting { slots, entries, found: Surveyed::default(), moving: None, run: None }
                    }
                    Err(error) => return leave_alone(maintenance, slots, error),
                }
            }
        };
        let view = Arc::clone(&self.state.lock().view);
        match self.go_on(maintenance, &mut compacting, &view) {
            Ok(true) => {}
            Ok(false) => maintenance.compacting = Some(compacting),
            Err(error) => {
                let Compacting { slots, moving, run, .. } = compacting;
                maintenance.orphans.extend(run);
                if let Some(moving) = moving.filter(|_| error.is_full() || error.is_unreadable()) {
                    if let Some(writer) = moving.writer {
                        writer.abandon();
                    }
                    self.slots.free(moving.slot.incarnation);
                }
                return leave_alone(maintenance, slots, error);
            }
        }
        Ok(true)
    }

    /// Some entries. True once it is done.
    fn go_on(
        &self,
        maintenance: &mut Maintenance<D>,
        compacting: &mut Compacting<D>,
        view: &View<D>,
    ) -> Result<bool, StorageError> {
        let mut live = Live::now(self);
        let mut left = self.limits.step_entries;
        let mut chunk = Vec::with_capacity(ENTRIES_AT_ONCE);
        while left > 0 {
            let is_end = compacting.fill(&mut chunk, &mut left, view, &mut live)?;
            let Compacting { found, moving, .. } = compacting;
            match moving {
                None => chunk.iter().for_each(|entry| found.note(entry)),
                Some(moving) => moving.take(self, maintenance, &chunk, &found.shared)?,
            }
            if is_end {
                if compacting.moving.is_some() {
                    return self.end_move(maintenance, compacting).map(|()| true);
                }
                if !self.begin_move(maintenance, compacting, view)? {
                    return Ok(true);
                }
            }
        }
        match &mut compacting.moving {
            Some(moving) if self.is_durable => moving.sync_some(self)?,
            _ => {}
        }
        Ok(false)
    }

    /// What lives is known. False if too little of it fits into one slot to give one back.
    fn begin_move(
        &self,
        maintenance: &mut Maintenance<D>,
        compacting: &mut Compacting<D>,
        view: &View<D>,
    ) -> Result<bool, StorageError> {
        let Compacting { slots, entries, found, moving, .. } = compacting;
        // Of a payload that several shared, each share that was settled took its part, but it lives as a whole.
        for slot in slots.iter() {
            maintenance.usage.set_live_bytes(*slot, found.bytes.get(slot).copied().unwrap_or(0));
        }
        let (fit, bytes) = found.that_fit(slots, self.slots.slot_bytes().saturating_sub(FIRST_PAYLOAD));
        *slots = fit;
        if slots.len() < 2 {
            return Ok(false);
        }
        *entries = entries_of(view, slots)?;
        let slot = self.slots.take(Purpose::Compaction, FIRST_PAYLOAD + bytes, 0)?;
        *moving = Some(Moving {
            slot,
            at: FIRST_PAYLOAD,
            synced: FIRST_PAYLOAD,
            moved: HashMap::new(),
            waiting: Vec::new(),
            writer: None,
        });
        Ok(true)
    }

    /// All is moved: it becomes durable, and the new slot counts instead of the old ones.
    fn end_move(
        &self,
        maintenance: &mut Maintenance<D>,
        compacting: &mut Compacting<D>,
    ) -> Result<(), StorageError> {
        let Some(moving) = &mut compacting.moving else { return Ok(()) };
        moving.flush(self)?;
        if self.is_durable {
            moving.sync(self)?;
        }
        let writer = moving.writer.take();
        let run =
            writer.map(|writer| if self.is_durable { writer.finish() } else { writer.finish_unsynced() });
        let run = run.transpose()?;
        compacting.run = run.as_ref().map(|run| run.path().to_owned());
        let (slots, new) = (&compacting.slots, moving.slot.incarnation);
        self.step(maintenance, |maintenance, live, _| {
            let mut change = Change::of(maintenance.usage.clone());
            change.slot = Some(new);
            self.count_moved(&mut change.usage, live, slots, run.as_ref())?;
            change.runs.extend(run);
            Ok(Some(change))
        })?;
        self.done.compactions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Counts in the new slot what the old ones still count, which must be as much.
    fn count_moved(
        &self,
        usage: &mut Usage,
        live: &mut Live<'_, D>,
        slots: &BTreeSet<u64>,
        run: Option<&Arc<Run<D>>>,
    ) -> Result<(), StorageError> {
        let mut there = 0_u64;
        if let Some(run) = run {
            let mut entries = run.all();
            while let Some(entry) = entries.next()? {
                if live.is_live(&entry) {
                    usage.add(&entry);
                    there += 1;
                }
            }
        }
        let counted: u64 =
            slots.iter().filter_map(|slot| usage.slots.get(slot)).map(|note| note.entries).sum();
        if counted != there {
            let slot = slots.first().and_then(|slot| self.slots.pin(*slot));
            let path = slot.map(|slot| slot.path.clone()).unwrap_or_default();
            let why = format!(
                "{counted} messages are counted in it and in {} others, and {there} are found through the runs",
                slots.len() - 1
            );
            return Err(StorageError::corrupt(&path, 0, why));
        }
        slots.iter().for_each(|slot| usage.forget_slot(*slot));
        Ok(())
    }
}

/// Slots in which something is damaged are not compacted again. Any other error is passed on.
fn leave_alone<D: Disk>(
    maintenance: &mut Maintenance<D>,
    slots: BTreeSet<u64>,
    error: StorageError,
) -> Result<bool, StorageError> {
    if !error.is_unreadable() {
        return Err(error);
    }
    tracing::error!(%error, "slots are not compacted, as something in them is damaged");
    maintenance.left_alone.extend(slots);
    Ok(true)
}

/// The entries of all runs that name one of these slots.
fn entries_of<D: Disk>(view: &View<D>, slots: &BTreeSet<u64>) -> Result<RunMerge<D>, StorageError> {
    let runs = view.runs.iter().filter(|run| slots.iter().any(|slot| run.refers_to(*slot)));
    RunMerge::of(runs.map(|run| run.all()).collect())
}

/// A compaction under way.
#[derive(Debug)]
pub(crate) struct Compacting<D: Disk> {
    /// All lie below the cut of a checkpoint: no later run names them.
    slots: BTreeSet<u64>,
    entries: RunMerge<D>,
    found: Surveyed,
    /// None while it is looked what lives in the slots.
    moving: Option<Moving<D>>,
    /// The finished run's file, until the manifest lists it.
    run: Option<PathBuf>,
}

impl<D: Disk> Compacting<D> {
    /// The slot that is being written. No manifest lists it, and yet it is not free.
    pub(super) fn new_slot(&self) -> Option<u64> {
        self.moving.as_ref().map(|moving| moving.slot.incarnation)
    }

    /// The next live entries of the slots, after at most `left` of all. True if they were the last.
    fn fill(
        &mut self,
        chunk: &mut Vec<RunEntry>,
        left: &mut u64,
        view: &View<D>,
        live: &mut Live<'_, D>,
    ) -> Result<bool, StorageError> {
        chunk.clear();
        let mut bytes = 0;
        while chunk.len() < ENTRIES_AT_ONCE && bytes < WRITE_BYTES && *left > 0 {
            let Some(entry) = self.entries.next()? else { return Ok(true) };
            *left -= 1;
            if self.slots.contains(&entry.at.incarnation) && view.is_listed(&entry) && live.is_live(&entry) {
                bytes += entry.at.len as usize;
                chunk.push(entry);
            }
        }
        Ok(false)
    }
}

/// What lives in the slots.
#[derive(Debug, Default)]
struct Surveyed {
    /// By slot, each payload once.
    bytes: BTreeMap<u64, u64>,
    /// How many entries name each shared payload.
    shared: HashMap<BodyAt, u32>,
}

impl Surveyed {
    fn note(&mut self, entry: &RunEntry) {
        let named = match entry.shared {
            0 | 1 => 1,
            _ => {
                let count = self.shared.entry(entry.at).or_insert(0);
                *count += 1;
                *count
            }
        };
        if named == 1 {
            *self.bytes.entry(entry.at.incarnation).or_insert(0) += u64::from(entry.at.len);
        }
    }

    /// The sparsest of these slots whose payloads fit into so many bytes, and what those come to.
    fn that_fit(&self, slots: &BTreeSet<u64>, room: u64) -> (BTreeSet<u64>, u64) {
        let bytes = |slot: &u64| self.bytes.get(slot).copied().unwrap_or(0);
        let mut slots: Vec<(u64, u64)> = slots.iter().map(|slot| (bytes(slot), *slot)).collect();
        slots.sort_unstable();
        let (mut chosen, mut total) = (BTreeSet::new(), 0);
        for (bytes, slot) in slots.into_iter().take_while(|(bytes, _)| *bytes <= room) {
            if total + bytes > room {
                break;
            }
            total += bytes;
            chosen.insert(slot);
        }
        (chosen, total)
    }
}

/// Writes payloads to the new slot.
#[derive(Debug)]
struct Moving<D: Disk> {
    slot: Arc<Slot<D>>,
    at: u64,
    /// Up to where it was synced.
    synced: u64,
    /// Where shared payloads stand in the new slot.
    moved: HashMap<BodyAt, u64>,
    /// What is not written yet; it ends at `at`.
    waiting: Vec<u8>,
    /// None before the first entry.
    writer: Option<RunWriter<D>>,
}

impl<D: Disk> Moving<D> {
    /// Moves these, and puts them into the run.
    fn take(
        &mut self,
        store: &Inner<D>,
        maintenance: &mut Maintenance<D>,
        chunk: &[RunEntry],
        shared: &HashMap<BodyAt, u32>,
    ) -> Result<(), StorageError> {
        for entry in self.place(store, chunk, shared)? {
            if self.writer.is_none() {
                self.writer = Some(store.new_run(maintenance)?);
            }
            if let Some(writer) = &mut self.writer {
                writer.push(&entry)?;
            }
        }
        Ok(())
    }

    /// Moves the payloads of these entries and gives the entries with their new places.
    fn place(
        &mut self,
        store: &Inner<D>,
        chunk: &[RunEntry],
        shared: &HashMap<BodyAt, u32>,
    ) -> Result<Vec<RunEntry>, StorageError> {
        let is_new = |at: &BodyAt| !self.moved.contains_key(at);
        let mut places: Vec<BodyAt> = chunk.iter().map(|entry| entry.at).filter(is_new).collect();
        places.sort_unstable_by_key(|at| (at.incarnation, at.offset, at.len));
        places.dedup();
        let payloads = store.payloads(&places)?;
        let payloads: HashMap<BodyAt, _> = places.into_iter().zip(payloads).collect();
        let mut entries = Vec::with_capacity(chunk.len());
        let mut here: HashMap<BodyAt, u64> = HashMap::new();
        for entry in chunk {
            let key = entry.at;
            let offset = match self.moved.get(&key).or_else(|| here.get(&key)) {
                Some(offset) => *offset,
                None => {
                    let offset = self.at;
                    let payload = payloads.get(&key).map(|payload| &payload[..]).unwrap_or_default();
                    self.write(store, payload)?;
                    here.insert(key, offset);
                    offset
                }
            };
            if shared.contains_key(&key) {
                self.moved.insert(key, offset);
            }
            let at = BodyAt { incarnation: self.slot.incarnation, offset, ..entry.at };
            entries.push(RunEntry { at, shared: shared.get(&key).copied().unwrap_or(1), ..*entry });
        }
        Ok(entries)
    }

    fn write(&mut self, store: &Inner<D>, payload: &[u8]) -> Result<(), StorageError> {
        self.waiting.extend_from_slice(payload);
        self.at += payload.len() as u64;
        if self.waiting.len() >= WRITE_BYTES { self.flush(store) } else { Ok(()) }
    }

    fn flush(&mut self, store: &Inner<D>) -> Result<(), StorageError> {
        let from = self.at - self.waiting.len() as u64;
        let Slot { file, path, .. } = &*self.slot;
        store.disk.write_at(file, from, &self.waiting).map_err(StorageError::io(path, "write"))?;
        self.waiting.clear();
        Ok(())
    }

    /// Syncs what is worth a sync, so that none has to wait for much.
    fn sync_some(&mut self, store: &Inner<D>) -> Result<(), StorageError> {
        if self.at - self.synced < SYNC_BYTES {
            return Ok(());
        }
        self.flush(store)?;
        self.sync(store)
    }

    fn sync(&mut self, store: &Inner<D>) -> Result<(), StorageError> {
        let Slot { file, path, .. } = &*self.slot;
        store.disk.sync_data(file).map_err(StorageError::io(path, "sync"))?;
        self.synced = self.at;
        Ok(())
    }
}
