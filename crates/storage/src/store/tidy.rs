//! Keeping the files few and full: runs are merged, sparse slots compacted, the manifest rewritten.
//!
//! One step at a time, so that a checkpoint waits for no more than that; a merge or a compaction takes many. What changes files
//! ends with a delta of its own. It captures the queues as a checkpoint does, with the cut of the last one:
//! entries that were settled and accounted can then be left out, as the same delta says so.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::index::{Capture, Index, Resident};
use crate::manifest::{Manifest, ManifestFound};
use crate::run::RunEntry;
use crate::store::checkpoint::Change;
use crate::store::maintenance::Maintenance;
use crate::store::view::View;
use crate::store::{Inner, Store};

impl<D: Disk> Store<D> {
    /// Does one step of what keeps the disk in order, if one is due: gives back what nobody reads any more,
    /// rewrites the manifest, accounts what was settled, merges runs, compacts slots. Says whether there may be
    /// another. Blocks on the disk.
    ///
    /// # Errors
    /// `Full`: nothing was changed. Anything else: the process must end.
    pub fn tidy(&self) -> Result<bool, StorageError> {
        let inner = &*self.0;
        let mut maintenance = inner.maintenance.lock();
        if inner.release_unread(&mut maintenance)? || inner.rewrite_manifest(&mut maintenance)? {
            return Ok(true);
        }
        if maintenance.manifest.is_none() && inner.is_durable {
            return Ok(false);
        }
        if inner.accounting_is_due(&maintenance) {
            inner.step(&mut maintenance, |_, _, _| Ok(None))?;
            return Ok(true);
        }
        // One at a time: an entry that is merged may be older than one that a compaction writes meanwhile.
        if maintenance.compacting.is_some() {
            return inner.compact_some(&mut maintenance);
        }
        // Merging gives little back.
        if maintenance.merging.is_none()
            && !inner.room().is_eased()
            && inner.compact_some(&mut maintenance)?
        {
            return Ok(true);
        }
        Ok(inner.merge_some(&mut maintenance)? || inner.compact_some(&mut maintenance)?)
    }
}

impl<D: Disk> Inner<D> {
    /// Whether so much was settled in runs that a slot could be free. Consumers that drain a backlog add little to
    /// the log, so no checkpoint would come to account it.
    fn accounting_is_due(&self, maintenance: &Maintenance<D>) -> bool {
        let settled = self.state.lock().index.unaccounted;
        let least = self.slots.slot_bytes() / if self.room().is_eased() { 1 } else { 8 };
        settled > 0 && maintenance.usage.bytes_of(settled) >= least
    }

    /// Captures the queues, accounts, changes files and says so in one delta.
    pub(super) fn step(
        &self,
        maintenance: &mut Maintenance<D>,
        change: impl FnOnce(
            &mut Maintenance<D>,
            &mut Live<'_, D>,
            &View<D>,
        ) -> Result<Option<Change<D>>, StorageError>,
    ) -> Result<(), StorageError> {
        let (mut capture, view) = self.state.lock().capture(Index::capture_settled);
        // The cut stays where it is: what the definitions came to above it is still in the log.
        capture.definitions_position = maintenance.definitions;
        let result = self.account_captured(maintenance, &mut capture, &view).and_then(|()| {
            let mut live = Live::new(self, &capture);
            let change = change(maintenance, &mut live, &view)?;
            let change = change.unwrap_or_else(|| Change::of(maintenance.usage.clone()));
            self.commit(maintenance, &capture, &view, change)
        });
        if result.is_err() {
            let mut state = self.state.lock();
            state.being_accounted = 0;
            state.index.give_back(capture);
        }
        result.map(drop)
    }

    /// Puts the whole state in a new file, if the changes outweigh it.
    fn rewrite_manifest(&self, maintenance: &mut Maintenance<D>) -> Result<bool, StorageError> {
        if !maintenance.manifest.as_ref().is_some_and(Manifest::rewrite_is_due) {
            return Ok(false);
        }
        // What it says is read again: nobody keeps a second copy of all queues in memory.
        if let ManifestFound::Valid(mut manifest, state) = Manifest::open(&self.disk, &self.root, self.log)? {
            manifest.rewrite(&state)?;
            self.manifest_bytes.store(manifest.bytes(), Ordering::Relaxed);
            maintenance.manifest = Some(manifest);
            return Ok(true);
        }
        Err(StorageError::corrupt(&self.root, 0, "the manifest cannot be read any more"))
    }
}

/// Tells of entries whether their messages live, or are settled and not accounted yet: those count too.
pub(super) struct Live<'s, D: Disk> {
    store: &'s Inner<D>,
    captured: BTreeMap<u64, &'s Resident>,
    /// The queue asked for last, if it has anything in runs.
    queue: Option<(u64, Option<Box<Resident>>)>,
}

impl<'s, D: Disk> Live<'s, D> {
    fn new(store: &'s Inner<D>, capture: &'s Capture) -> Self {
        let captured = capture.queues.iter().map(|captured| (captured.id, &captured.resident));
        Self { store, captured: captured.collect(), queue: None }
    }

    /// As the queues are now. Right while nothing is captured: what is settled and not unaccounted is then
    /// accounted, and the next delta says so unless an earlier one did.
    pub(super) fn now(store: &'s Inner<D>) -> Self {
        Self { store, captured: BTreeMap::new(), queue: None }
    }

    pub(super) fn is_live(&mut self, entry: &RunEntry) -> bool {
        let (id, seq) = (entry.key.queue, entry.key.seq);
        if let Some(resident) = self.captured.get(&id) {
            return !resident.settled.contains(seq) && seq < resident.end;
        }
        if self.queue.as_ref().is_none_or(|(queue, _)| *queue != id) {
            let state = self.store.state.lock();
            let queue = state.index.queues.get(&id);
            let resident = match queue {
                Some(queue) => queue.resident.clone(),
                // Deleted since the capture: the next accounting wants its entries.
                None => state
                    .index
                    .deleted
                    .iter()
                    .find(|(queue, _)| *queue == id)
                    .map(|(_, resident)| resident.clone()),
            };
            self.queue = Some((id, resident));
        }
        let resident = self.queue.as_ref().and_then(|(_, resident)| resident.as_ref());
        resident.is_some_and(|resident| {
            seq < resident.end && (!resident.settled.contains(seq) || resident.unaccounted.contains(seq))
        })
    }
}
