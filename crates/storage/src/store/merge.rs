//! Merging runs: several of like size become one, without the entries of which nothing is left.
//!
//! ```text
//! begin ─► some entries ⟲ ─► run, synced ─► capture, manifest's delta ─► the old runs are gone
//!                │ checkpoints come between
//!                ▼ a damaged run, a full disk
//!            given up: the new file goes
//! ```
//!
//! Until the delta the old runs count, and settlements are accounted through them. An entry is left out only once
//! its settlement is accounted. Slots are not compacted meanwhile: of two entries with one key that of the newer
//! run counts, and here the newer run would be older than what it says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::run::{Run, RunMerge, RunWriter};
use crate::store::Inner;
use crate::store::checkpoint::Change;
use crate::store::maintenance::Maintenance;
use crate::store::tidy::Live;
use crate::store::view::View;

/// Runs of fewer entries are of the lowest tier; each tier above has 8 times as many.
const LOWEST_TIER: u64 = 32 << 10;

/// A merge under way.
#[derive(Debug)]
pub(crate) struct Merging<D: Disk> {
    runs: Vec<Arc<Run<D>>>,
    entries: RunMerge<D>,
    /// None before the first entry that is left.
    writer: Option<RunWriter<D>>,
}

impl<D: Disk> Inner<D> {
    /// Goes on with a merge, or begins one that is due. False if there is nothing to merge.
    ///
    /// # Errors
    /// `Full`: the merge was given up, and nothing was changed.
    pub(super) fn merge_some(&self, maintenance: &mut Maintenance<D>) -> Result<bool, StorageError> {
        let mut view = Arc::clone(&self.state.lock().view);
        let merging = match maintenance.merging.take() {
            Some(merging) => merging,
            None => {
                if self.runs_to_merge(maintenance, &view).is_none() {
                    return Ok(false);
                }
                // What was settled since is left out.
                self.step(maintenance, |_, _, _| Ok(None))?;
                view = Arc::clone(&self.state.lock().view);
                let Some(runs) = self.runs_to_merge(maintenance, &view) else { return Ok(true) };
                match RunMerge::new(&runs) {
                    Ok(entries) => Merging { runs, entries, writer: None },
                    Err(error) => return self.leave_alone(maintenance, &runs, error),
                }
            }
        };
        self.go_on_merging(maintenance, merging, &view)
    }

    /// Runs of one tier, if there are enough of them.
    fn runs_to_merge(&self, maintenance: &Maintenance<D>, view: &View<D>) -> Option<Vec<Arc<Run<D>>>> {
        let mut tiers: BTreeMap<u32, Vec<Arc<Run<D>>>> = BTreeMap::new();
        for run in view.runs.iter().filter(|run| !maintenance.runs_left_alone.contains(&run.number())) {
            let above = run.entries() / LOWEST_TIER;
            tiers.entry(above.checked_ilog(8).map_or(0, |tier| tier + 1)).or_default().push(Arc::clone(run));
        }
        tiers.into_values().find(|runs| runs.len() >= self.limits.runs_of_a_tier)
    }

    fn go_on_merging(
        &self,
        maintenance: &mut Maintenance<D>,
        mut merging: Merging<D>,
        view: &View<D>,
    ) -> Result<bool, StorageError> {
        match self.take_entries(maintenance, &mut merging, view) {
            Ok(false) => maintenance.merging = Some(merging),
            Ok(true) => {
                let Merging { runs, writer, .. } = merging;
                let new = writer.map(|writer| self.finish(writer)).transpose()?;
                self.step(maintenance, |maintenance, _, _| {
                    let mut change = Change::of(maintenance.usage.clone());
                    change.runs.extend(new);
                    change.gone.extend(runs.iter().map(|run| run.number()));
                    Ok(Some(change))
                })?;
                self.done.merges.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                if let Some(writer) = merging.writer.take() {
                    writer.abandon();
                }
                return self.leave_alone(maintenance, &merging.runs, error);
            }
        }
        Ok(true)
    }

    /// Some entries. True if they were the last.
    fn take_entries(
        &self,
        maintenance: &mut Maintenance<D>,
        merging: &mut Merging<D>,
        view: &View<D>,
    ) -> Result<bool, StorageError> {
        let mut live = Live::now(self);
        for _ in 0..self.limits.step_entries {
            let Some(entry) = merging.entries.next()? else { return Ok(true) };
            if !view.is_listed(&entry) || !live.is_live(&entry) {
                continue;
            }
            if merging.writer.is_none() {
                merging.writer = Some(self.new_run(maintenance)?);
            }
            if let Some(writer) = &mut merging.writer {
                writer.push(&entry)?;
            }
        }
        if self.is_durable
            && let Some(writer) = &mut merging.writer
        {
            writer.sync_some()?;
        }
        Ok(false)
    }

    fn finish(&self, writer: RunWriter<D>) -> Result<Arc<Run<D>>, StorageError> {
        if self.is_durable { writer.finish() } else { writer.finish_unsynced() }
    }

    /// A damaged run is not merged again. Any other error is passed on.
    fn leave_alone(
        &self,
        maintenance: &mut Maintenance<D>,
        runs: &[Arc<Run<D>>],
        error: StorageError,
    ) -> Result<bool, StorageError> {
        if !error.is_unreadable() {
            return Err(error);
        }
        tracing::error!(%error, "runs are not merged, as one is damaged");
        maintenance.runs_left_alone.extend(runs.iter().map(|run| run.number()));
        Ok(true)
    }
}
