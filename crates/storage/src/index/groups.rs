//! What waits for the commit of its group.

use crate::definitions::Change;
use crate::format::{Fields, Ranges};

/// Records that count together or not at all.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// They are in their queues already.
    pub(crate) messages: Vec<(u64, u64)>,
    /// The rest, in order.
    pub(crate) later: Vec<Later>,
}

/// A change of what is there.
#[derive(Debug)]
pub(crate) enum Later {
    Settle { queue: u64, reason: u8, ranges: Vec<(u64, u64)> },
    Expose { queue: u64, withdrawn: bool, ranges: Vec<(u64, u64)> },
    Return { queue: u64, delivery_count: u64, ranges: Vec<(u64, u64)> },
    Definition { position: u64, revision: u64, changes: Vec<Change> },
}

impl Later {
    /// The change that a record makes; `None` for one that adds messages or holds a group together.
    pub(crate) fn new(position: u64, fields: &Fields<'_>) -> Option<Self> {
        let owned = |ranges: &Ranges<'_>| ranges.iter().collect();
        Some(match fields {
            Fields::Settle { queue, reason, ranges } => {
                Self::Settle { queue: *queue, reason: *reason, ranges: owned(ranges) }
            }
            Fields::Expose { queue, withdrawn, ranges } => {
                Self::Expose { queue: *queue, withdrawn: *withdrawn, ranges: owned(ranges) }
            }
            Fields::Return { queue, delivery_count, ranges } => {
                Self::Return { queue: *queue, delivery_count: *delivery_count, ranges: owned(ranges) }
            }
            Fields::Definition { revision, changes } => {
                let changes = changes.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)));
                Self::Definition { position, revision: *revision, changes: changes.collect() }
            }
            Fields::Message { .. }
            | Fields::Body { .. }
            | Fields::Entry { .. }
            | Fields::GroupBegin
            | Fields::GroupCommit { .. } => return None,
        })
    }
}
