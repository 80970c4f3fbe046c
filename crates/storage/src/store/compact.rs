//! Compaction: the live rest of sparse slots moves to a new one, and they are free.
//!
//! What lives is found through the runs, never through a slot's own records, and each body is moved once.
//! The new slot is an ordinary sealed one with an ordinary run; entries of older runs that name the old slots
//! are void with the delta that does not list those any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{BLOCK, SLOT_HEADER};
use crate::log::pool::Purpose;
use crate::log::slots::Slot;
use crate::manifest::SlotNote;
use crate::run::{BodyAt, RunEntry, RunMerge};
use crate::store::Inner;
use crate::store::accounting::Usage;
use crate::store::checkpoint::{Change, LazyRun};
use crate::store::maintenance::Maintenance;
use crate::store::tidy::Live;
use crate::store::view::View;

/// Payloads begin here: where a log would have its first batch, there is none.
const FIRST_PAYLOAD: u64 = SLOT_HEADER + BLOCK;
/// How much is read and written at once, in entries and in bytes.
const ENTRIES_AT_ONCE: usize = 1024;
const WRITE_BYTES: usize = 1 << 20;
/// What is kept in memory of shared payloads is bounded by this.
const MOST_ENTRIES: u64 = 2 << 20;
/// The log may take so many slots beside twice what lives.
const SLOTS_BESIDE: u64 = 16;

impl<D: Disk> Inner<D> {
    /// Sparse slots whose live rest fits into one, if that gives a slot back: those under half live, or with
    /// the disk over its bound the sparsest.
    pub(super) fn slots_to_compact(&self, maintenance: &Maintenance<D>) -> Option<BTreeSet<u64>> {
        let cut = self.state.lock().index.checkpointed().after.end.incarnation;
        let room = self.slots.slot_bytes().saturating_sub(FIRST_PAYLOAD);
        let usage = self.slots.usage();
        let live: u64 = maintenance.usage.slots.values().map(|note| note.live_bytes).sum();
        let bound = SLOTS_BESIDE * self.slots.slot_bytes() + 2 * live;
        let is_over = usage.used_bytes + usage.free_bytes > bound;
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

    /// Moves what lives in these slots. `None` if something of it is damaged: they are left alone then.
    pub(super) fn compact(
        &self,
        maintenance: &mut Maintenance<D>,
        live: &mut Live<'_, D>,
        view: &View<D>,
        slots: &BTreeSet<u64>,
    ) -> Result<Option<Change<D>>, StorageError> {
        match self.try_compact(maintenance, live, view, slots) {
            Err(error) if error.is_unreadable() => {
                tracing::error!(%error, "slots are not compacted, as something in them is damaged");
                maintenance.left_alone.extend(slots);
                Ok(None)
            }
            result => result.map(Some),
        }
    }

    fn try_compact(
        &self,
        maintenance: &mut Maintenance<D>,
        live: &mut Live<'_, D>,
        view: &View<D>,
        slots: &BTreeSet<u64>,
    ) -> Result<Change<D>, StorageError> {
        let found = self.survey(live, view, slots, &maintenance.usage)?;
        let mut change = Change::of(maintenance.usage.clone());
        // Of a payload that several shared, each share that was settled took its part, but it lives as a whole.
        found.bytes.iter().for_each(|(slot, bytes)| change.usage.set_live_bytes(*slot, *bytes));
        let (slots, bytes) = found.that_fit(self.slots.slot_bytes().saturating_sub(FIRST_PAYLOAD));
        if slots.len() < 2 {
            return Ok(change);
        }
        slots.iter().for_each(|slot| change.usage.forget_slot(*slot));
        let slot = self.slots.take(Purpose::Compaction, FIRST_PAYLOAD + bytes, 0)?;
        change.slot = Some(slot.incarnation);
        let mut mover =
            Mover { store: self, slot: &slot, at: FIRST_PAYLOAD, moved: HashMap::new(), waiting: Vec::new() };
        let mut writer = LazyRun::new(self);
        let result = (|| {
            let mut entries = Entries::new(view, &slots)?;
            let mut chunk = Vec::with_capacity(ENTRIES_AT_ONCE);
            while entries.fill(&mut chunk, live)? {
                for entry in mover.place(&chunk, &found.shared)? {
                    writer.push(maintenance, &entry)?;
                    change.usage.add(&entry);
                }
            }
            mover.end()
        })();
        match writer.end(result) {
            Err(error) => {
                self.slots.free(slot.incarnation);
                Err(error)
            }
            Ok(run) => {
                change.runs.extend(run);
                Ok(change)
            }
        }
    }

    /// What lives in these slots, and how often each shared payload is named. Only what is counted as a
    /// whole may be given up.
    fn survey(
        &self,
        live: &mut Live<'_, D>,
        view: &View<D>,
        slots: &BTreeSet<u64>,
        usage: &Usage,
    ) -> Result<Surveyed, StorageError> {
        let mut found = Surveyed::default();
        let mut counts: HashMap<u64, u64> = HashMap::new();
        let mut entries = Entries::new(view, slots)?;
        let mut chunk = Vec::with_capacity(ENTRIES_AT_ONCE);
        while entries.fill(&mut chunk, live)? {
            for entry in &chunk {
                *counts.entry(entry.at.incarnation).or_insert(0) += 1;
                let named = match entry.shared {
                    0 | 1 => 1,
                    _ => {
                        let count = found.shared.entry(entry.at).or_insert(0);
                        *count += 1;
                        *count
                    }
                };
                if named == 1 {
                    *found.bytes.entry(entry.at.incarnation).or_insert(0) += u64::from(entry.at.len);
                }
            }
        }
        for slot in slots {
            found.bytes.entry(*slot).or_insert(0);
            let counted = usage.slots.get(slot).map_or(0, |note| note.entries);
            let there = counts.get(slot).copied().unwrap_or(0);
            if counted != there {
                let path = self.slots.pin(*slot).map(|slot| slot.path.clone()).unwrap_or_default();
                let why =
                    format!("{counted} messages are counted in it, and {there} are found through the runs");
                return Err(StorageError::corrupt(&path, 0, why));
            }
        }
        Ok(found)
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
    /// The sparsest slots whose payloads fit into so many bytes, and what those come to.
    fn that_fit(&self, room: u64) -> (BTreeSet<u64>, u64) {
        let mut slots: Vec<(u64, u64)> = self.bytes.iter().map(|(slot, bytes)| (*bytes, *slot)).collect();
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

/// The live entries of some slots, in the order of runs.
struct Entries<'v, D: Disk> {
    merge: RunMerge<D>,
    view: &'v View<D>,
    slots: &'v BTreeSet<u64>,
}

impl<'v, D: Disk> Entries<'v, D> {
    fn new(view: &'v View<D>, slots: &'v BTreeSet<u64>) -> Result<Self, StorageError> {
        let runs = view.runs.iter().filter(|run| slots.iter().any(|slot| run.refers_to(*slot)));
        Ok(Self { merge: RunMerge::of(runs.map(|run| run.all()).collect())?, view, slots })
    }

    /// The next ones; false at the end.
    fn fill(&mut self, chunk: &mut Vec<RunEntry>, live: &mut Live<'_, D>) -> Result<bool, StorageError> {
        chunk.clear();
        let mut bytes = 0;
        while chunk.len() < ENTRIES_AT_ONCE && bytes < WRITE_BYTES {
            let Some(entry) = self.merge.next()? else { break };
            if self.slots.contains(&entry.at.incarnation)
                && self.view.is_listed(&entry)
                && live.is_live(&entry)
            {
                bytes += entry.at.len as usize;
                chunk.push(entry);
            }
        }
        Ok(!chunk.is_empty())
    }
}

/// Writes payloads to the new slot.
struct Mover<'s, D: Disk> {
    store: &'s Inner<D>,
    slot: &'s Arc<Slot<D>>,
    at: u64,
    /// Where shared payloads stand in the new slot.
    moved: HashMap<BodyAt, u64>,
    /// What is not written yet; it ends at `at`.
    waiting: Vec<u8>,
}

impl<D: Disk> Mover<'_, D> {
    /// Moves the payloads of these entries and gives the entries with their new places.
    fn place(
        &mut self,
        chunk: &[RunEntry],
        shared: &HashMap<BodyAt, u32>,
    ) -> Result<Vec<RunEntry>, StorageError> {
        let is_new = |at: &BodyAt| !self.moved.contains_key(at);
        let mut places: Vec<BodyAt> = chunk.iter().map(|entry| entry.at).filter(is_new).collect();
        places.sort_unstable_by_key(|at| (at.incarnation, at.offset, at.len));
        places.dedup();
        let payloads = self.store.payloads(&places)?;
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
                    self.write(payload)?;
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

    fn write(&mut self, payload: &[u8]) -> Result<(), StorageError> {
        self.waiting.extend_from_slice(payload);
        self.at += payload.len() as u64;
        if self.waiting.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        let from = self.at - self.waiting.len() as u64;
        let Slot { file, path, .. } = &**self.slot;
        self.store.disk.write_at(file, from, &self.waiting).map_err(StorageError::io(path, "write"))?;
        self.waiting.clear();
        Ok(())
    }

    /// Makes it all durable.
    fn end(&mut self) -> Result<(), StorageError> {
        self.flush()?;
        let Slot { file, path, .. } = &**self.slot;
        if self.store.is_durable {
            self.store.disk.sync_data(file).map_err(StorageError::io(path, "sync"))?;
        }
        Ok(())
    }
}
