//! What belongs to those who change files: one checkpoint or step of tidying at a time.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::manifest::{LastIds, Manifest};
use crate::store::Inner;
use crate::store::accounting::Usage;
use crate::store::compact::Compacting;
use crate::store::merge::Merging;
use crate::store::view::Retired;

/// Behind its own lock, which is taken before the index's.
#[derive(Debug)]
pub(crate) struct Maintenance<D: Disk> {
    /// None before the first checkpoint.
    pub(crate) manifest: Option<Manifest<D>>,
    pub(crate) usage: Usage,
    pub(crate) last: LastIds,
    pub(crate) retired: Retired<D>,
    /// Checkpoint and export of the definitions cover the log up to here.
    pub(crate) definitions: u64,
    /// The merge under way.
    pub(crate) merging: Option<Merging<D>>,
    /// The compaction under way; never beside a merge.
    pub(crate) compacting: Option<Compacting<D>>,
    /// Slots that are not compacted, as something in them, or of what is said of them, is damaged.
    pub(crate) left_alone: BTreeSet<u64>,
    /// Runs that are not merged, as something in them is damaged.
    pub(crate) runs_left_alone: BTreeSet<u64>,
    /// Files that nothing lists, left by a crash or by something given up.
    pub(crate) orphans: Vec<PathBuf>,
}

impl<D: Disk> Default for Maintenance<D> {
    fn default() -> Self {
        Self {
            manifest: None,
            usage: Usage::default(),
            last: LastIds::default(),
            retired: Retired::default(),
            definitions: 0,
            merging: None,
            compacting: None,
            left_alone: BTreeSet::new(),
            runs_left_alone: BTreeSet::new(),
            orphans: Vec::new(),
        }
    }
}

impl<D: Disk> Inner<D> {
    /// Gives back what nothing refers to and nobody reads any more.
    pub(super) fn release_unread(&self, maintenance: &mut Maintenance<D>) -> Result<bool, StorageError> {
        let mut is_any = !maintenance.orphans.is_empty();
        while let Some(unused) = maintenance.retired.take_unread() {
            is_any |= !unused.slots.is_empty() || !unused.files.is_empty();
            for incarnation in unused.slots {
                self.slots.free(incarnation);
            }
            maintenance.orphans.extend(unused.files);
        }
        while let Some(path) = maintenance.orphans.pop() {
            match self.disk.remove(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StorageError::io(&path, "remove")(error));
                }
                _ => {}
            }
        }
        Ok(is_any)
    }
}
