//! Sequence numbers as the log takes them: in ranges.

use crate::ids::QueueSeq;

/// Sequence numbers as inclusive ranges. Numbers that rise one by one make one range; the order is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeqRanges(Vec<(u64, u64)>);

impl SeqRanges {
    /// Adds a number; one that continues the last range extends it.
    pub fn push(&mut self, seq: QueueSeq) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == seq.0 => *last = seq.0,
            _ => self.0.push((seq.0, seq.0)),
        }
    }

    /// The ranges, first and last inclusive.
    #[must_use]
    pub fn as_slice(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets all, keeping the room.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
