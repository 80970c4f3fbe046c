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

    /// Adds all numbers from `first` to `last`, both included; nothing if `first` is beyond `last`.
    pub fn push_range(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        match self.0.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(first) => *end = last,
            _ => self.0.push((first, last)),
        }
    }

    /// Adds all numbers from `first` to `last`, both included, but those in `without`, which rise.
    pub fn push_gaps(&mut self, first: u64, last: u64, without: impl IntoIterator<Item = QueueSeq>) {
        let mut from = Some(first);
        for QueueSeq(seq) in without {
            let Some(start) = from.filter(|_| seq <= last) else { break };
            if seq >= start {
                if seq > start {
                    self.push_range(start, seq - 1);
                }
                from = seq.checked_add(1);
            }
        }
        if let Some(start) = from {
            self.push_range(start, last);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_what_lies_between() {
        type Case<'a> = (u64, u64, &'a [u64], &'a [(u64, u64)]);
        let cases: [Case<'_>; 6] = [
            (0, 9, &[], &[(0, 9)]),
            (0, 9, &[0, 9], &[(1, 8)]),
            (3, 9, &[1, 2, 5, 6, 12], &[(3, 4), (7, 9)]),
            (3, 3, &[3], &[]),
            (4, 3, &[], &[]),
            (0, u64::MAX, &[u64::MAX], &[(0, u64::MAX - 1)]),
        ];
        for (first, last, without, expected) in cases {
            let mut ranges = SeqRanges::default();
            ranges.push_gaps(first, last, without.iter().copied().map(QueueSeq));
            assert_eq!(ranges.as_slice(), expected, "{first} to {last} without {without:?}");
        }
    }
}
