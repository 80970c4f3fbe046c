//! The slots of one log: which are in use, which are free, and who still reads them.
//!
//! Shared by the log's writer, the checkpoint and every reader. A slot that was freed is overwritten once
//! nobody reads it any more: its blocks are written already, so a small batch syncs faster into them than
//! into new ones. It gets a new incarnation, and its header is durable before anyone can name it.
//!
//! ```text
//!          take               free              last pin gone, take
//! (disk) ───────► used ─────────────► free ──────────────────────────► used, as a new incarnation
//!    ▲                                  │ trim, or another length
//!    └──────────────────────────────────┘
//! ```
//!
//! For a full disk one slot for each [`Purpose`] is held back, and a [`Reserve`]; [`SlotPool::spare`] allocates
//! them ahead.
//! Does not know what is in a slot, nor when it may be freed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{BLOCK, LogId, SlotHeader};
use crate::log::reserve::Reserve;
use crate::log::slots::Slot;

/// Slots that are written ahead in idle time.
pub(crate) const SPARE_SLOTS: usize = 4;
/// How much of a spare slot is written at once.
const ZEROS_AT_ONCE: u64 = 1 << 20;

/// What a slot is for. When the disk is full each has one slot left to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The log goes on: settlements and definitions must find room while publishers are held back.
    Log,
    /// The live rest of sparse slots: it gives more room back than it takes.
    Compaction,
}

const PURPOSES: usize = 2;

/// Slots' worth of room for the run and the manifest of a checkpoint on a full disk, and its most bytes. A run of the
/// largest tail takes some 24 MiB, and no more than half of what the tail itself takes.
const RESERVE_SLOTS: u64 = 3;
const RESERVE_BYTES: u64 = 32 << 20;

/// Slots and bytes of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SlotUsage {
    /// Slots that hold something, or are about to.
    pub(crate) used: usize,
    pub(crate) used_bytes: u64,
    /// Slots that hold nothing and may be overwritten or unlinked: their bytes count as free space.
    pub(crate) free: usize,
    pub(crate) free_bytes: u64,
    /// Slots held back for a full disk.
    pub(crate) reserved: usize,
    /// Bytes held back for a full disk, in slots and else.
    pub(crate) reserved_bytes: u64,
    /// Slots freed that somebody still reads.
    pub(crate) pinned: usize,
}

/// The slots of one log. See the module.
#[derive(Debug)]
pub(crate) struct SlotPool<D: Disk> {
    disk: D,
    folder: PathBuf,
    log: LogId,
    slot_bytes: u64,
    /// Whether names and headers are made durable; not so for what may be lost.
    syncs: bool,
    poisoned: AtomicBool,
    reserve: Reserve<D>,
    /// Slots overwritten under another incarnation so far.
    reused: AtomicU64,
    state: Mutex<State<D>>,
}

#[derive(Debug)]
struct State<D: Disk> {
    used: BTreeMap<u64, Arc<Slot<D>>>,
    /// In the order they were freed; those at the front longest.
    free: Vec<Arc<Slot<D>>>,
    reserved: [Option<Slot<D>>; PURPOSES],
    last_incarnation: u64,
    last_number: u64,
}

impl<D: Disk> SlotPool<D> {
    pub(crate) fn new(disk: D, folder: PathBuf, log: LogId, slot_bytes: u64, syncs: bool) -> Self {
        let state = State {
            used: BTreeMap::new(),
            free: Vec::new(),
            reserved: [const { None }; PURPOSES],
            last_incarnation: 0,
            last_number: 0,
        };
        let reserve_bytes = (RESERVE_SLOTS * slot_bytes).min(RESERVE_BYTES);
        Self {
            reserve: Reserve::new(disk.clone(), folder.clone(), reserve_bytes),
            disk,
            folder,
            log,
            slot_bytes,
            syncs,
            poisoned: AtomicBool::new(false),
            reused: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn slot_bytes(&self) -> u64 {
        self.slot_bytes
    }

    /// Never gives an incarnation or a file number up to these.
    pub(crate) fn go_on_after(&self, incarnation: u64, number: u64) {
        let mut state = self.state();
        state.last_incarnation = state.last_incarnation.max(incarnation);
        state.last_number = state.last_number.max(number);
    }

    /// Takes a slot that recovery found and that holds something.
    pub(crate) fn adopt(&self, slot: Slot<D>) {
        self.go_on_after(slot.incarnation, slot.number);
        self.state().used.insert(slot.incarnation, Arc::new(slot));
    }

    /// Takes a slot that recovery found and that holds nothing that counts, or could be taken to count.
    pub(crate) fn adopt_free(&self, slot: Slot<D>) {
        self.go_on_after(slot.incarnation, slot.number);
        self.state().free.push(Arc::new(slot));
    }

    /// The slot of this incarnation, if it is in use. While the pin lives it is neither overwritten nor
    /// unlinked, whoever frees it.
    pub(crate) fn pin(&self, incarnation: u64) -> Option<Arc<Slot<D>>> {
        self.state().used.get(&incarnation).cloned()
    }

    /// The slots in use whose incarnation is lower.
    pub(crate) fn used_below(&self, incarnation: u64) -> Vec<u64> {
        self.state().used.range(..incarnation).map(|(slot, _)| *slot).collect()
    }

    /// The highest incarnation and the highest file number given so far.
    pub(crate) fn last(&self) -> (u64, u64) {
        let state = self.state();
        (state.last_incarnation, state.last_number)
    }

    /// The slot holds nothing any more, and that is durable. It is overwritten once its last pin is gone.
    pub(crate) fn free(&self, incarnation: u64) {
        let mut state = self.state();
        if let Some(slot) = state.used.remove(&incarnation) {
            state.free.push(slot);
        }
    }

    /// A slot of at least `length` bytes under a new incarnation, with a durable header and name. A free one
    /// if there is one; else a new one; with the disk full, the one held back for this purpose.
    ///
    /// # Errors
    /// `Full`: nothing was left behind. Anything else leaves the slot in an unknown state.
    pub(crate) fn take(
        &self,
        purpose: Purpose,
        length: u64,
        follows: u64,
    ) -> Result<Arc<Slot<D>>, StorageError> {
        let length = length.next_multiple_of(BLOCK);
        let mut state = self.state();
        let at = state.free.iter().position(|slot| slot.length >= length && Arc::strong_count(slot) == 1);
        let recycled = at.map(|at| state.free.remove(at)).and_then(Arc::into_inner);
        drop(state);
        let mut slot = match recycled {
            Some(slot) => {
                // One that was only written ahead never had an incarnation.
                self.reused.fetch_add((slot.incarnation != 0).into(), Ordering::Relaxed);
                slot
            }
            None => match self.allocate(length) {
                Err(error) if error.is_full() => self.take_reserved(purpose, length).ok_or(error)?,
                allocated => allocated?,
            },
        };
        let incarnation = {
            let mut state = self.state();
            state.last_incarnation += 1;
            state.last_incarnation
        };
        let header = SlotHeader { log: self.log, incarnation, follows, allocated: slot.length };
        slot.begin(&self.disk, &header, self.syncs)?;
        let slot = Arc::new(slot);
        self.state().used.insert(incarnation, Arc::clone(&slot));
        Ok(slot)
    }

    /// Allocates what is held back for a full disk and then, up to [`SPARE_SLOTS`], writes free slots ahead:
    /// one for each call. False when there is nothing to do, or no room for it.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn spare(&self) -> Result<bool, StorageError> {
        let (missing, is_enough) = {
            let state = self.state();
            let missing = state.reserved.iter().position(Option::is_none);
            let is_enough = missing.is_none() && state.free.len() >= SPARE_SLOTS;
            (missing, is_enough)
        };
        if missing.is_none() && self.syncs && self.reserve.hold()? {
            return Ok(true);
        }
        if is_enough {
            return Ok(false);
        }
        let slot = match self.allocate(self.slot_bytes) {
            Err(error) if error.is_full() => return Ok(false),
            allocated => allocated?,
        };
        let filled = self.fill_with_zeros(&slot);
        self.unless_made(&slot, filled)?;
        let mut state = self.state();
        match missing.and_then(|at| state.reserved.get_mut(at)) {
            Some(place) if place.is_none() => *place = Some(slot),
            _ => state.free.push(Arc::new(slot)),
        }
        Ok(true)
    }

    /// Gives the room back that was held for a checkpoint on a full disk. Says whether there was any.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn spend_reserve(&self) -> Result<bool, StorageError> {
        self.reserve.spend()
    }

    /// Unlinks free slots that nobody reads until at most `most` are left, and those of an odd length first.
    /// Returns the bytes given back.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn trim(&self, most: usize) -> Result<u64, StorageError> {
        let mut given_back = 0;
        loop {
            let mut state = self.state();
            let is_idle = |slot: &Arc<Slot<D>>| Arc::strong_count(slot) == 1;
            let odd = state.free.iter().position(|slot| slot.length != self.slot_bytes && is_idle(slot));
            let too_many = state.free.len() > most;
            let at = odd.or_else(|| too_many.then(|| state.free.iter().position(is_idle)).flatten());
            let Some(slot) = at.map(|at| state.free.remove(at)) else { break };
            drop(state);
            self.disk.remove(&slot.path).map_err(StorageError::io(&slot.path, "remove"))?;
            given_back += slot.length;
        }
        if given_back > 0 {
            self.sync_folder()?;
        }
        Ok(given_back)
    }

    /// The slot's file was removed: it held nothing that counts.
    pub(crate) fn forget(&self, path: &Path) {
        self.state().used.retain(|_, slot| slot.path != path);
    }

    /// Makes durable what was written without a sync so far, in every slot: for a checkpoint of a log that
    /// does not sync its batches.
    ///
    /// # Errors
    /// `Io`: the pool is poisoned, and the log with it.
    pub(crate) fn sync_written(&self) -> Result<(), StorageError> {
        let used: Vec<Arc<Slot<D>>> = self.state().used.values().cloned().collect();
        for slot in used {
            // First the mark, then the sync: what is written in between is marked again.
            if slot.is_unsynced.swap(false, Ordering::AcqRel)
                && let Err(error) = self.disk.sync_data(&slot.file)
            {
                self.poisoned.store(true, Ordering::Release);
                return Err(StorageError::io(&slot.path, "sync")(error));
            }
        }
        Ok(())
    }

    /// Whether a sync outside the log's writer has failed.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// How many slots were overwritten under another incarnation since the pool was made.
    pub(crate) fn reused(&self) -> u64 {
        self.reused.load(Ordering::Relaxed)
    }

    pub(crate) fn usage(&self) -> SlotUsage {
        let state = self.state();
        SlotUsage {
            used: state.used.len(),
            used_bytes: state.used.values().map(|slot| slot.length).sum(),
            free: state.free.len(),
            free_bytes: state.free.iter().map(|slot| slot.length).sum(),
            reserved: state.reserved.iter().flatten().count(),
            reserved_bytes: state.reserved.iter().flatten().map(|slot| slot.length).sum::<u64>()
                + self.reserve.held_bytes(),
            pinned: state.free.iter().filter(|slot| Arc::strong_count(slot) > 1).count(),
        }
    }

    fn allocate(&self, length: u64) -> Result<Slot<D>, StorageError> {
        let number = {
            let mut state = self.state();
            state.last_number += 1;
            state.last_number
        };
        let slot = Slot::allocate(&self.disk, &self.folder, number, length)?;
        self.unless_made(&slot, self.sync_folder())?;
        Ok(slot)
    }

    /// Removes a slot that could not be made whole: nobody would know of it, and the next try makes another.
    fn unless_made(&self, slot: &Slot<D>, made: Result<(), StorageError>) -> Result<(), StorageError> {
        if made.is_err() {
            // Best effort: it has no header, and recovery removes it.
            let _ = self.disk.remove(&slot.path);
        }
        made
    }

    fn take_reserved(&self, purpose: Purpose, length: u64) -> Option<Slot<D>> {
        let mut state = self.state();
        let place = state.reserved.get_mut(purpose as usize)?;
        place.take_if(|slot| slot.length >= length)
    }

    fn fill_with_zeros(&self, slot: &Slot<D>) -> Result<(), StorageError> {
        let zeros = vec![0; usize::try_from(ZEROS_AT_ONCE.min(slot.length)).unwrap_or_default()];
        let mut at = 0;
        while at < slot.length {
            let left = usize::try_from(slot.length - at).unwrap_or(usize::MAX);
            let part = zeros.get(..left).unwrap_or(&zeros);
            self.disk.write_at(&slot.file, at, part).map_err(StorageError::io(&slot.path, "write"))?;
            at += part.len() as u64;
        }
        if self.syncs {
            self.disk.sync_data(&slot.file).map_err(StorageError::io(&slot.path, "sync"))?;
        }
        Ok(())
    }

    fn sync_folder(&self) -> Result<(), StorageError> {
        if self.syncs {
            self.disk.sync_folder(&self.folder).map_err(StorageError::io(&self.folder, "sync folder"))?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State<D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
