//! Room on the disk: what the store takes, what it holds ready, and what it gives back.

use crate::disk::Disk;
use crate::error::StorageError;
use crate::store::Store;

/// Slots beside those with live messages, reserve and the log's active and next one included, that a store
/// may have.
const SLOTS_BESIDE: u64 = 16;
/// The active and the next slot, those held back, and the room for a checkpoint on a full disk.
const SLOTS_HELD: u64 = 2 + 2 + 3;

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

impl<D: Disk> Store<D> {
    /// What the store takes of the disk now.
    #[must_use]
    pub fn room(&self) -> StoreRoom {
        let usage = self.0.slots.usage();
        let view = std::sync::Arc::clone(&self.0.state.lock().view);
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
