//! What settled messages in runs come to: entries and bytes of slots, lines of queues.
//!
//! Nothing for each message in a run is in memory, so a settlement does not know its slot. The index entries
//! of newly settled numbers are read later, here, and each slot's counts are lowered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::index::{Lines, Resident, Unaccounted};
use crate::manifest::{BlobNote, Changed, SlotNote};
use crate::ranges::RangeSet;
use crate::run::{Run, RunEntry, RunKey};
use crate::store::view::View;

/// Numbers with no more than this between them are read together.
const READ_OVER: u64 = 1024;
/// Queues of at most so many order keys are read key by key; others as a whole.
const KEYS_APART: usize = 16;

/// What a message takes of a log beside its payload.
const RECORD: u64 = 36;

/// Entries and bytes by slot, and entries by blob.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usage {
    pub(crate) slots: BTreeMap<u64, SlotNote>,
    pub(crate) blobs: BTreeMap<u64, BlobNote>,
    /// Those that differ from what the manifest says.
    pub(crate) changed_slots: BTreeSet<u64>,
    pub(crate) changed_blobs: BTreeSet<u64>,
}

/// What one entry takes of its slot: of a shared payload its share.
pub(crate) fn weight(entry: &RunEntry) -> u64 {
    u64::from(entry.at.len) / u64::from(entry.shared.max(1))
}

impl Usage {
    /// An entry was written to a run.
    pub(crate) fn add(&mut self, entry: &RunEntry) {
        if entry.at.is_blob() {
            let blob = self.blobs.entry(entry.at.offset).or_default();
            (blob.len, blob.entries) = (entry.at.len.into(), blob.entries + 1);
            self.changed_blobs.insert(entry.at.offset);
            return;
        }
        let note = self.slots.entry(entry.at.incarnation).or_default();
        note.entries += 1;
        note.live_bytes += weight(entry);
        self.changed_slots.insert(entry.at.incarnation);
    }

    /// Whether no entry of a run counts any more.
    pub(crate) fn is_idle<D: Disk>(&self, run: &Run<D>) -> bool {
        run.incarnations().all(|(slot, _)| match slot {
            0 => self.blobs.values().all(|blob| blob.entries == 0),
            slot => self.slots.get(&slot).is_none_or(|note| note.entries == 0),
        })
    }

    /// What lives in a slot was looked at.
    pub(crate) fn set_live_bytes(&mut self, incarnation: u64, bytes: u64) {
        if let Some(note) = self.slots.get_mut(&incarnation).filter(|note| note.live_bytes != bytes) {
            note.live_bytes = bytes;
            self.changed_slots.insert(incarnation);
        }
    }

    /// The entries of a slot were moved to another, as many as were counted here.
    pub(crate) fn forget_slot(&mut self, incarnation: u64) {
        self.slots.remove(&incarnation);
        self.changed_slots.insert(incarnation);
    }

    /// What the manifest must be told of slots; `file` gives a slot's file number and length.
    pub(crate) fn take_changed_slots(&mut self, file: impl Fn(u64) -> (u64, u64)) -> Changed<SlotNote> {
        let changed = std::mem::take(&mut self.changed_slots).into_iter();
        let note = |incarnation| {
            let note = self.slots.get_mut(&incarnation).filter(|note| note.entries > 0);
            let note = note.map(|note| {
                (note.file, note.length) = file(incarnation);
                *note
            });
            (incarnation, note)
        };
        changed.map(note).collect()
    }

    /// What the manifest must be told of blobs.
    pub(crate) fn take_changed_blobs(&mut self) -> Changed<BlobNote> {
        let changed = std::mem::take(&mut self.changed_blobs).into_iter();
        changed
            .map(|number| (number, self.blobs.get(&number).copied().filter(|note| note.entries > 0)))
            .collect()
    }

    /// About how many bytes so many entries take.
    pub(super) fn bytes_of(&self, entries: u64) -> u64 {
        let slots = self.slots.values().map(|note| (note.entries, note.live_bytes));
        let blobs = self.blobs.values().map(|note| (note.entries, note.len));
        let (all, bytes) = slots
            .chain(blobs)
            .fold((0, 0), |(all, sum), (entries, bytes)| (all + entries, bytes.saturating_add(sum)));
        let bytes = u128::from(entries) * u128::from(bytes) / u128::from(all.max(1));
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// What has no entries any more is not listed any more.
    pub(crate) fn forget_empty(&mut self) {
        self.slots.retain(|_, note| note.entries > 0);
        self.blobs.retain(|_, note| note.entries > 0);
    }

    /// The view of these runs in which the entries counted here count.
    pub(crate) fn view<D: Disk>(&self, runs: Vec<Arc<Run<D>>>) -> View<D> {
        let slots = Arc::new(self.slots.keys().copied().collect());
        let blobs = Arc::new(self.blobs.keys().copied().collect());
        let (entries, bytes) = self.slots.values().fold((0_u64, 0_u64), |(all, sum), note| {
            (all + note.entries, sum.saturating_add(note.live_bytes))
        });
        View { runs, slots, blobs, entries, live_bytes: bytes.saturating_add(entries.saturating_mul(RECORD)) }
    }

    /// The message of an entry is settled.
    pub(crate) fn take(&mut self, entry: &RunEntry) {
        if entry.at.is_blob() {
            if let Some(blob) = self.blobs.get_mut(&entry.at.offset) {
                blob.entries = blob.entries.saturating_sub(1);
                self.changed_blobs.insert(entry.at.offset);
            }
        } else if let Some(note) = self.slots.get_mut(&entry.at.incarnation) {
            note.entries = note.entries.saturating_sub(1);
            note.live_bytes = note.live_bytes.saturating_sub(weight(entry));
            self.changed_slots.insert(entry.at.incarnation);
        }
    }
}

/// Reads the entries of settled numbers and takes them out of `usage`. Gives what they come to by order
/// key. A damaged part of a run is passed over: what it says stays counted as live.
///
/// # Errors
/// `Io`: some are taken out, others not.
pub(crate) fn account<D: Disk>(
    view: &View<D>,
    unaccounted: &Unaccounted,
    usage: &mut Usage,
) -> Result<Lines, StorageError> {
    let mut lines = Lines::default();
    let mut take = |entry: &RunEntry| {
        usage.take(entry);
        lines.of(entry.key.order_key).add(entry.at.body_len, entry.deadline_ms);
    };
    for (from, to) in parts(unaccounted) {
        let result = each_entry(view, from, to, &unaccounted.settled, &mut take);
        match result {
            Err(error) if error.is_unreadable() => {
                tracing::error!(queue = unaccounted.queue, %error, "settled messages are not accounted");
            }
            result => result?,
        }
    }
    Ok(lines)
}

/// What lives of a queue in runs, by order key.
///
/// # Errors
/// `Corrupt` or `Io`, if some of it cannot be read.
pub(crate) fn live_lines<D: Disk>(
    view: &View<D>,
    queue: u64,
    resident: &Resident,
) -> Result<Lines, StorageError> {
    let key = |end| RunKey { queue, order_key: end, seq: end };
    let mut lines = Lines::default();
    let mut merge = view.merge(key(0), key(u64::MAX))?;
    while let Some(entry) = merge.next()? {
        let seq = entry.key.seq;
        if seq < resident.end && !resident.settled.contains(seq) && view.is_listed(&entry) {
            lines.of(entry.key.order_key).add(entry.at.body_len, entry.deadline_ms);
        }
    }
    Ok(lines)
}

/// From where to where runs are read: for each order key, numbers that are near each other together.
fn parts(unaccounted: &Unaccounted) -> Vec<(RunKey, RunKey)> {
    let Unaccounted { queue, settled, keys } = unaccounted;
    let key = |order_key, seq| RunKey { queue: *queue, order_key, seq };
    if keys.is_empty() || keys.len() > KEYS_APART {
        return vec![(key(0, 0), key(u64::MAX, u64::MAX))];
    }
    let mut near: Vec<(u64, u64)> = Vec::new();
    for (first, last) in settled.iter() {
        match near.last_mut() {
            Some((_, end)) if first.saturating_sub(*end) <= READ_OVER => *end = last,
            _ => near.push((first, last)),
        }
    }
    let mut parts = Vec::with_capacity(keys.len() * near.len());
    for order_key in keys {
        parts.extend(near.iter().map(|(first, last)| (key(*order_key, *first), key(*order_key, *last))));
    }
    parts
}

/// Every listed entry from one key to another whose number is in the set.
pub(crate) fn each_entry<D: Disk>(
    view: &View<D>,
    from: RunKey,
    to: RunKey,
    numbers: &RangeSet,
    mut each: impl FnMut(&RunEntry),
) -> Result<(), StorageError> {
    let mut merge = view.merge(from, to)?;
    while let Some(entry) = merge.next()? {
        if numbers.contains(entry.key.seq) && view.is_listed(&entry) {
            each(&entry);
        }
    }
    Ok(())
}
