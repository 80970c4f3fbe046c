//! What readers of runs hold while they read, so that nothing is taken from under them.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use crate::disk::Disk;
use crate::error::StorageError;
use crate::planted::{Plant, is_planted};
use crate::run::{BodyAt, Run, RunEntry, RunKey, RunMerge};

/// The runs in force, and the slots and blobs whose entries count. Never changed: a checkpoint makes
/// another. A reader holds it from the moment it looks until it has its bytes.
#[derive(Debug)]
pub(crate) struct View<D: Disk> {
    /// Oldest first.
    pub(crate) runs: Vec<Arc<Run<D>>>,
    /// Incarnations of slots with entries.
    pub(crate) slots: Arc<BTreeSet<u64>>,
    /// Numbers of blobs with entries.
    pub(crate) blobs: Arc<BTreeSet<u64>>,
    /// What counts in the slots.
    pub(crate) entries: u64,
    /// About how many bytes of a log that takes.
    pub(crate) live_bytes: u64,
}

impl<D: Disk> Default for View<D> {
    fn default() -> Self {
        Self { runs: Vec::new(), slots: Arc::default(), blobs: Arc::default(), entries: 0, live_bytes: 0 }
    }
}

impl<D: Disk> View<D> {
    /// The entries of all runs from one key to another, both included.
    pub(crate) fn merge(&self, from: RunKey, to: RunKey) -> Result<RunMerge<D>, StorageError> {
        let overlaps =
            |keys: Option<(RunKey, RunKey)>| keys.is_some_and(|(first, last)| first <= to && from <= last);
        let runs = self.runs.iter().filter(|run| overlaps(run.keys()));
        RunMerge::of(runs.map(|run| run.range(from, to)).collect())
    }

    /// Whether an entry of a run counts: one that names what is not listed is a remainder of what was
    /// moved elsewhere or settled.
    pub(crate) fn is_listed(&self, entry: &RunEntry) -> bool {
        let BodyAt { incarnation, offset, .. } = entry.at;
        if entry.at.is_blob() { self.blobs.contains(&offset) } else { self.slots.contains(&incarnation) }
    }
}

/// What nothing refers to any more, and that is durable.
#[derive(Debug, Default)]
pub(crate) struct Unused {
    pub(crate) slots: Vec<u64>,
    pub(crate) files: Vec<PathBuf>,
}

/// Unused things that readers of an older view may still read, oldest first.
#[derive(Debug)]
pub(crate) struct Retired<D: Disk>(VecDeque<(Weak<View<D>>, Unused)>);

impl<D: Disk> Default for Retired<D> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<D: Disk> Retired<D> {
    /// `last` is the last view in which these were used. Every view must be named here once it was
    /// replaced, with or without something unused: one that is held keeps all that were replaced later.
    pub(crate) fn push(&mut self, last: &Arc<View<D>>, unused: Unused) {
        self.0.push_back((Arc::downgrade(last), unused));
    }

    /// What nobody reads any more.
    pub(crate) fn take_unread(&mut self) -> Option<Unused> {
        let (view, _) = self.0.front()?;
        if view.strong_count() > 0 && !is_planted(Plant::ReuseUnderReader) {
            return None;
        }
        self.0.pop_front().map(|(_, unused)| unused)
    }
}
