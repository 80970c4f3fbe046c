//! What the manifest says, and one change of it.

use std::collections::BTreeMap;

use crate::format::Place;
use crate::index::LineCount;
use crate::ranges::RangeSet;

/// Where the log's tail begins: up to there, runs speak.
///
/// A log is taken up before the last batch below the cut, as that batch may have to be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cut {
    /// Where the last batch below the cut stands, unless it stands at the start of another slot.
    pub(crate) at: Place,
    /// The number of the batch before that one.
    pub(crate) batch: u64,
    /// The checksum of its header.
    pub(crate) header_crc: u32,
    /// Its epoch.
    pub(crate) epoch: u64,
    /// The position of the record after its last.
    pub(crate) next_position: u64,
    /// The slot that it names as the next, or 0.
    pub(crate) next_incarnation: u64,
    /// The number of the last batch below the cut; 0 while all batches are above.
    pub(crate) below: u64,
}

/// A live run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RunNote {
    pub(crate) entries: u64,
    /// Bytes of its file.
    pub(crate) bytes: u64,
}

/// A slot that entries of runs refer to, or that the tail needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SlotNote {
    /// The number of its file.
    pub(crate) file: u64,
    /// Bytes of that file.
    pub(crate) length: u64,
    /// Entries of runs that lie in it, as of the last accounting.
    pub(crate) entries: u64,
    /// Bytes of the payloads of those, a shared one counted once.
    pub(crate) live_bytes: u64,
}

/// A live blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BlobNote {
    /// Bytes of its file.
    pub(crate) len: u64,
    /// Entries of runs that name it.
    pub(crate) entries: u64,
}

/// What is kept of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct QueueNote {
    /// The highest number ever given in it. It may be later than the cut.
    pub(crate) last_seq: u64,
    /// As of the cut: every message with a number below this is in a run, or settled. 0: none.
    pub(crate) known: u64,
    /// Messages in runs that are settled.
    pub(crate) settled: RangeSet,
    /// Messages in runs that were exposed after their run was written.
    pub(crate) exposed: RangeSet,
    /// Messages in runs that are marked seen there and are known not to have been delivered.
    pub(crate) unexposed: RangeSet,
    /// Messages in runs that came back since their run was written, by how often they came back in all.
    /// Ascending.
    pub(crate) counts: Vec<(u32, RangeSet)>,
    /// Live messages of each order key that has any, as of the cut. Ascending.
    pub(crate) lines: Vec<(u64, LineCount)>,
}

/// The highest ids ever given; none is given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LastIds {
    pub(crate) queue: u64,
    pub(crate) incarnation: u64,
    pub(crate) slot_file: u64,
    pub(crate) run: u64,
    pub(crate) blob: u64,
}

impl LastIds {
    /// The higher of each.
    pub(crate) fn raise(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.queue, other.queue),
            (&mut self.incarnation, other.incarnation),
            (&mut self.slot_file, other.slot_file),
            (&mut self.run, other.run),
            (&mut self.blob, other.blob),
        ] {
            *mine = theirs.max(*mine);
        }
    }
}

/// All that the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ManifestState {
    pub(crate) cut: Cut,
    /// By number.
    pub(crate) runs: BTreeMap<u64, RunNote>,
    /// By incarnation.
    pub(crate) slots: BTreeMap<u64, SlotNote>,
    /// By number.
    pub(crate) blobs: BTreeMap<u64, BlobNote>,
    /// By id.
    pub(crate) queues: BTreeMap<u64, QueueNote>,
    /// Slots below this position may be free of definitions: checkpoint and export both cover it.
    pub(crate) definitions: u64,
    pub(crate) last: LastIds,
}

/// A thing's id with what is now true of it; `None`: it is gone.
pub(crate) type Changed<T> = Vec<(u64, Option<T>)>;

/// One change of the state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Delta {
    pub(crate) cut: Option<Cut>,
    pub(crate) runs: Changed<RunNote>,
    pub(crate) slots: Changed<SlotNote>,
    pub(crate) blobs: Changed<BlobNote>,
    pub(crate) queues: Changed<QueueNote>,
    pub(crate) definitions: Option<u64>,
    /// Lower ones than before change nothing.
    pub(crate) last: LastIds,
}

impl ManifestState {
    /// Makes the change.
    pub(crate) fn apply(&mut self, delta: Delta) {
        self.cut = delta.cut.unwrap_or(self.cut);
        self.definitions = delta.definitions.unwrap_or(self.definitions);
        self.last.raise(&delta.last);
        change(&mut self.runs, delta.runs);
        change(&mut self.slots, delta.slots);
        change(&mut self.blobs, delta.blobs);
        change(&mut self.queues, delta.queues);
    }
}

fn change<T>(map: &mut BTreeMap<u64, T>, changed: Changed<T>) {
    for (id, now) in changed {
        match now {
            Some(now) => {
                map.insert(id, now);
            }
            None => {
                map.remove(&id);
            }
        }
    }
}
