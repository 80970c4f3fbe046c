//! Room on the disk: what the store takes, what it holds ready, and what it gives back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::store::{Inner, State, Store};

/// Slots beside those with live messages, reserve and the log's active and next one included, that a store
/// may have.
const SLOTS_BESIDE: u64 = 16;
/// The active and the next slot, those held back, and the room for a checkpoint on a full disk.
const SLOTS_HELD: u64 = 2 + 2 + 3;
/// With more slots than this beside twice what lives, the log waits until there are fewer. The rest is for what is not
/// counted when that is asked: the log's next slot, that of a compaction, the run and the manifest being written.
const SLOTS_WAIT: u64 = 13;
/// So many of them are nothing to see to.
const SLOTS_EASED: u64 = 11;

/// What the store takes of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreRoom {
    /// Bytes of a slot.
    pub slot_bytes: u64,
    /// Slots that hold something.
    pub slots_used: u64,
    /// Slots ready to be overwritten: their bytes count as free space.
    pub slots_free: u64,
    /// Bytes of those.
    pub free_bytes: u64,
    /// Bytes of all slots that hold something.
    pub used_bytes: u64,
    /// Runs, each an index of messages.
    pub runs: u64,
    /// Bytes of them.
    pub run_bytes: u64,
}

/// What all files take beside what they should.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    slot_bytes: u64,
    /// Bytes of slots, runs, manifest and reserve, and those of free slots among them.
    all: u64,
    free: u64,
    /// What lives in runs, record and all, as far as it is known without reading.
    live: u64,
}

impl Taken {
    fn bound(&self, slots: u64) -> u64 {
        slots.saturating_mul(self.slot_bytes).saturating_add(self.live.saturating_mul(2))
    }

    fn is_over(&self) -> bool {
        self.all > self.bound(SLOTS_WAIT)
    }

    /// Whether there is nothing to see to.
    pub(super) fn is_eased(&self) -> bool {
        self.all <= self.bound(SLOTS_EASED)
    }

    /// As [`is_eased`](Self::is_eased), were there no free slots.
    pub(super) fn is_eased_without_free(&self) -> bool {
        self.all - self.free <= self.bound(SLOTS_EASED)
    }

    /// Free slots that may stay.
    fn free_slots(&self) -> u64 {
        self.bound(SLOTS_EASED).saturating_sub(self.all - self.free) / self.slot_bytes.max(1)
    }
}

impl<D: Disk> Inner<D> {
    /// What all files take. Asked before each write: it reads nothing, and takes no lock that is held for long.
    pub(super) fn room(&self) -> Taken {
        let usage = self.slots.usage();
        // Not a copy of the view: what a held one lists is not given back.
        let State { index, view, being_accounted } = &*self.state.lock();
        let settled = index.unaccounted + being_accounted;
        let gone = u128::from(view.live_bytes) * u128::from(settled) / u128::from(view.entries.max(1));
        let runs: u64 = view.runs.iter().map(|run| run.bytes()).sum();
        Taken {
            slot_bytes: self.slots.slot_bytes(),
            all: usage.used_bytes
                + usage.free_bytes
                + usage.reserved_bytes
                + runs
                + self.manifest_bytes.load(Ordering::Relaxed),
            free: usage.free_bytes,
            live: view.live_bytes.saturating_sub(u64::try_from(gone).unwrap_or(u64::MAX)),
        }
    }
}

impl<D: Disk> Store<D> {
    /// How many bytes all files take if that is so much beside twice what lives that the log should wait: for
    /// accounting, freeing and compaction. Nothing if it is not.
    #[must_use]
    pub fn room_over(&self) -> Option<u64> {
        let taken = self.0.room();
        taken.is_over().then_some(taken.all)
    }

    /// Whether the files take no more than they should for a while to come.
    #[must_use]
    pub fn room_is_eased(&self) -> bool {
        self.0.room().is_eased()
    }

    /// What the store takes of the disk now.
    #[must_use]
    pub fn room(&self) -> StoreRoom {
        let usage = self.0.slots.usage();
        let view = Arc::clone(&self.0.state.lock().view);
        StoreRoom {
            slot_bytes: self.0.slots.slot_bytes(),
            slots_used: usage.used as u64,
            slots_free: usage.free as u64,
            free_bytes: usage.free_bytes,
            used_bytes: usage.used_bytes,
            runs: view.runs.len() as u64,
            run_bytes: view.runs.iter().map(|run| run.bytes()).sum(),
        }
    }

    /// Holds room back for a full disk, and then writes a few free slots ahead: one step for each call, for
    /// idle moments. False when there is nothing to do, or no room, or for the moment no descriptor.
    ///
    /// # Errors
    /// `Io`.
    pub fn spare(&self) -> Result<bool, StorageError> {
        match self.0.slots.spare() {
            Err(error) if error.is_passing() => Ok(false),
            spared => spared,
        }
    }

    /// Unlinks free slots: all where the disk is `short` of room, else those beyond what a store may have
    /// beside its live messages. Returns the bytes given back.
    ///
    /// # Errors
    /// `Io`.
    pub fn trim(&self, short: bool) -> Result<u64, StorageError> {
        let tail = self.statistics().tail_bytes / self.0.slots.slot_bytes().max(1) + 1;
        let most = if short { 0 } else { SLOTS_BESIDE.saturating_sub(SLOTS_HELD + tail) };
        let most = most.min(self.0.room().free_slots());
        self.0.slots.trim(usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Gives back the room that was held for a checkpoint on a full disk. Says whether there was any.
    ///
    /// # Errors
    /// `Io`.
    pub fn spend_reserve(&self) -> Result<bool, StorageError> {
        self.0.slots.spend_reserve()
    }
}
