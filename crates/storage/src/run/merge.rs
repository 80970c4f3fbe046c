//! Several runs read as one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::{Run, RunCursor, RunEntry, RunKey};
use crate::disk::Disk;
use crate::error::StorageError;

/// Gives the entries of several runs in order. Where runs share a key the newest run's entry counts: a
/// compaction moved the payload, and the older entry names a slot that is gone.
#[derive(Debug)]
pub(crate) struct RunMerge<D: Disk> {
    cursors: Vec<RunCursor<D>>,
    /// The next key of each cursor; of equal keys the newest run's first.
    heads: BinaryHeap<Reverse<(RunKey, Reverse<u64>, usize)>>,
    /// The entries that belong to the heads.
    entries: Vec<Option<RunEntry>>,
}

impl<D: Disk> RunMerge<D> {
    /// Begins with all entries of these runs.
    ///
    /// # Errors
    /// As [`RunCursor::next`].
    pub(crate) fn new(runs: &[Arc<Run<D>>]) -> Result<Self, StorageError> {
        Self::of(runs.iter().map(Run::all).collect())
    }

    /// Begins with what these cursors will give.
    ///
    /// # Errors
    /// As [`RunCursor::next`].
    pub(crate) fn of(cursors: Vec<RunCursor<D>>) -> Result<Self, StorageError> {
        let entries = vec![None; cursors.len()];
        let mut merge = Self { cursors, heads: BinaryHeap::new(), entries };
        for index in 0..merge.cursors.len() {
            merge.advance(index)?;
        }
        Ok(merge)
    }

    /// The next entry.
    ///
    /// # Errors
    /// As [`RunCursor::next`].
    pub(crate) fn next(&mut self) -> Result<Option<RunEntry>, StorageError> {
        let Some(Reverse((key, _, index))) = self.heads.pop() else { return Ok(None) };
        let entry = self.entries.get_mut(index).and_then(Option::take);
        self.advance(index)?;
        while let Some(Reverse((same, _, older))) = self.heads.peek().copied().filter(|head| head.0.0 == key)
        {
            debug_assert_eq!(same, key);
            self.heads.pop();
            self.advance(older)?;
        }
        Ok(entry)
    }

    fn advance(&mut self, index: usize) -> Result<(), StorageError> {
        let Some(cursor) = self.cursors.get_mut(index) else { return Ok(()) };
        let next = cursor.next()?;
        if let Some(entry) = &next {
            self.heads.push(Reverse((entry.key, Reverse(cursor.run().number()), index)));
        }
        if let Some(place) = self.entries.get_mut(index) {
            *place = next;
        }
        Ok(())
    }
}
