//! Where the result of routing is written, and what the walk needs on its way; kept and reused by the caller.

use std::collections::HashSet;
use std::hash::Hash;

use foldhash::fast::RandomState;

use crate::binding::{Destination, ExchangeKey, QueueKey};
use crate::topic::TopicScratch;

/// From this many members on a hash set tells whether one is known; below, a scan does.
const SET_FROM: usize = 16;

/// The queues that a message reaches, each once, and the exchanges it passed. Holds its memory between uses.
#[derive(Debug, Default)]
pub struct Routes {
    pub(crate) reached: Reached,
    pub(crate) topic: TopicScratch,
    pub(crate) passed: Vec<(ExchangeKey, u64)>,
}

impl Routes {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the last result, keeps the memory.
    pub fn clear(&mut self) {
        self.reached.clear();
        self.passed.clear();
    }

    /// The queues, each once, in no promised order.
    #[must_use]
    pub fn queues(&self) -> &[QueueKey] {
        self.reached.queues.as_slice()
    }

    /// Adds a queue that the caller found itself, as behind the default exchange; each stays once.
    pub fn push_queue(&mut self, queue: QueueKey) {
        self.reached.queues.insert(queue);
    }

    /// Adds an exchange that the caller looked at itself, with its generation at that time.
    pub fn push_passed(&mut self, exchange: ExchangeKey, generation: u64) {
        self.passed.push((exchange, generation));
    }

    /// The exchanges that were asked, each with its generation at that time: the result holds for the same
    /// message until one of them has another generation or is gone.
    #[must_use]
    pub fn passed(&self) -> &[(ExchangeKey, u64)] {
        &self.passed
    }
}

/// Queues and exchanges that were reached so far, each once and in the order of their first sight.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    pub(crate) queues: OrderedSet<QueueKey>,
    pub(crate) exchanges: OrderedSet<ExchangeKey>,
}

impl Reached {
    pub(crate) fn clear(&mut self) {
        self.queues.clear();
        self.exchanges.clear();
    }

    /// Adds destinations that may be known already.
    pub(crate) fn add(&mut self, destination: Destination) {
        match destination {
            Destination::Queue(queue) => self.queues.insert(queue),
            Destination::Exchange(exchange) => self.exchanges.insert(exchange),
        }
    }

    /// Adds destinations of which no two are equal: the first of them need no look-up.
    pub(crate) fn add_distinct(&mut self, destinations: &[Destination]) {
        if !self.queues.is_empty() {
            for destination in destinations {
                self.add(*destination);
            }
            return;
        }
        for destination in destinations {
            match *destination {
                Destination::Queue(queue) => self.queues.push_unknown(queue),
                Destination::Exchange(exchange) => self.exchanges.insert(exchange),
            }
        }
    }
}

/// A set that keeps the order of insertion.
#[derive(Debug)]
pub(crate) struct OrderedSet<T> {
    members: Vec<T>,
    /// Holds the first `indexed` members; the rest is found by a scan or added when that grows long.
    index: HashSet<T, RandomState>,
    indexed: usize,
}

impl<T> Default for OrderedSet<T> {
    fn default() -> Self {
        Self { members: Vec::new(), index: HashSet::default(), indexed: 0 }
    }
}

impl<T: Copy + Eq + Hash> OrderedSet<T> {
    pub(crate) fn as_slice(&self) -> &[T] {
        &self.members
    }

    pub(crate) fn get(&self, place: usize) -> Option<T> {
        self.members.get(place).copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.members.clear();
        if self.indexed > 0 {
            self.index.clear();
            self.indexed = 0;
        }
    }

    /// Adds a member that is surely not one yet.
    pub(crate) fn push_unknown(&mut self, member: T) {
        self.members.push(member);
    }

    /// Adds a member unless it is one.
    pub(crate) fn insert(&mut self, member: T) {
        if !self.contains(member) {
            self.members.push(member);
        }
    }

    fn contains(&mut self, member: T) -> bool {
        let fresh = self.members.get(self.indexed..).unwrap_or_default();
        if fresh.len() > SET_FROM {
            self.index.extend(fresh.iter().copied());
            self.indexed = self.members.len();
        }
        let fresh = self.members.get(self.indexed..).unwrap_or_default();
        fresh.contains(&member) || (self.indexed > 0 && self.index.contains(&member))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_ordered_set_keeps_the_first_of_each(numbers in proptest::collection::vec(0_u16..90, 0..300)) {
            let mut set = OrderedSet::default();
            for round in 0..2 {
                set.clear();
                let mut expected = Vec::new();
                for number in &numbers {
                    set.insert(*number);
                    if !expected.contains(number) {
                        expected.push(*number);
                    }
                }
                prop_assert_eq!(set.as_slice(), expected.as_slice(), "round {}", round);
            }
        }
    }
}
