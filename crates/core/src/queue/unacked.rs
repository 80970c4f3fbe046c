//! Messages out with consumers.

use std::collections::{BTreeMap, VecDeque};

use super::entry::Entry;
use crate::ids::QueueSeq;

/// Messages out with consumers, by number.
///
/// First deliveries rise, so they are appended to a deque and found by halving; what is settled out of turn
/// leaves a hole, and the holes are closed once they are the larger part. Second deliveries, which come in any
/// order, have a tree of their own.
#[derive(Debug, Default)]
pub(super) struct Unacked {
    first: VecDeque<Option<Entry>>,
    /// The numbers of `first`, holes included.
    numbers: VecDeque<u64>,
    live: usize,
    again: BTreeMap<QueueSeq, Entry>,
}

impl Unacked {
    pub(super) fn insert(&mut self, entry: Entry) {
        if self.numbers.back().is_some_and(|last| *last >= entry.seq().0) {
            self.again.insert(entry.seq(), entry);
        } else {
            self.numbers.push_back(entry.seq().0);
            self.first.push_back(Some(entry));
            self.live += 1;
        }
    }

    pub(super) fn remove(&mut self, seq: QueueSeq) -> Option<Entry> {
        let Some(entry) = self.index_of(seq).and_then(|at| self.first.get_mut(at)).and_then(Option::take)
        else {
            return self.again.remove(&seq);
        };
        self.live -= 1;
        while self.first.front().is_some_and(Option::is_none) {
            self.first.pop_front();
            self.numbers.pop_front();
        }
        if self.first.len() > 64 && self.live < self.first.len() / 2 {
            self.close_holes();
        }
        Some(entry)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.first.iter().flatten().chain(self.again.values())
    }

    fn index_of(&self, seq: QueueSeq) -> Option<usize> {
        let front = *self.numbers.front()?;
        // Without holes in the numbering the place is plain arithmetic.
        let guess = usize::try_from(seq.0.checked_sub(front)?).ok()?;
        if self.numbers.get(guess) == Some(&seq.0) {
            return Some(guess);
        }
        self.numbers.binary_search(&seq.0).ok()
    }

    fn close_holes(&mut self) {
        let mut entry = self.first.iter();
        self.numbers.retain(|_| entry.next().is_some_and(Option::is_some));
        self.first.retain(Option::is_some);
    }

    pub(super) fn shrink(&mut self) {
        if self.first.is_empty() {
            self.first = VecDeque::new();
            self.numbers = VecDeque::new();
        }
    }
}
