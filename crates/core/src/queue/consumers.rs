//! Who takes a queue's messages next: by priority, and in turn among equals.

use std::collections::{BTreeMap, VecDeque};

/// A consumer for its whole life; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerKey(pub u64);

/// A consumer as its queue knows it. `H` leads to where its deliveries go.
#[derive(Debug)]
pub struct Consumer<H> {
    /// Where its deliveries go.
    pub handle: H,
    /// x-priority of basic.consume: higher ones are served first while they have credit.
    pub priority: i32,
    /// Whether it refuses to share the queue.
    pub exclusive: bool,
    ready: bool,
}

/// The consumers of one queue. Those that have no credit are parked and cost nothing until they are back.
#[derive(Debug)]
pub struct Consumers<H> {
    all: BTreeMap<ConsumerKey, Consumer<H>>,
    /// The ready ones in turn, by descending priority.
    turns: Vec<(i32, VecDeque<ConsumerKey>)>,
    ready: usize,
}

impl<H> Default for Consumers<H> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), turns: Vec::new(), ready: 0 }
    }
}

impl<H> Consumers<H> {
    /// Adds a consumer, parked; [`Consumers::unpark`] makes it ready.
    pub fn add(&mut self, key: ConsumerKey, handle: H, priority: i32, exclusive: bool) {
        self.all.insert(key, Consumer { handle, priority, exclusive, ready: false });
    }

    /// Removes a consumer.
    pub fn remove(&mut self, key: ConsumerKey) -> Option<Consumer<H>> {
        self.park(key);
        self.all.remove(&key)
    }

    /// Removes all.
    pub fn drain(&mut self) -> impl Iterator<Item = (ConsumerKey, Consumer<H>)> + use<H> {
        self.turns.clear();
        self.ready = 0;
        std::mem::take(&mut self.all).into_iter()
    }

    /// The consumer whose turn it is, with how many are ready beside it in all.
    #[must_use]
    pub fn next_ready(&self) -> Option<(ConsumerKey, &Consumer<H>)> {
        let key = *self.turns.iter().find_map(|(_, turn)| turn.front())?;
        Some((key, self.all.get(&key)?))
    }

    /// Its turn is over; the next of its priority comes first now.
    pub fn end_turn(&mut self, key: ConsumerKey) {
        for (_, turn) in &mut self.turns {
            if turn.front() == Some(&key) {
                turn.rotate_left(1);
                return;
            }
        }
    }

    /// How many could take a message now.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Passes a consumer over until it is unparked.
    pub fn park(&mut self, key: ConsumerKey) {
        let Some(consumer) = self.all.get_mut(&key) else { return };
        if !std::mem::take(&mut consumer.ready) {
            return;
        }
        self.ready -= 1;
        let priority = consumer.priority;
        if let Some(at) = self.turns.iter().position(|(of, _)| *of == priority) {
            let turn = &mut self.turns[at].1;
            if turn.front() == Some(&key) {
                turn.pop_front();
            } else {
                turn.retain(|other| *other != key);
            }
            if turn.is_empty() && self.turns.len() > 1 {
                self.turns.remove(at);
            }
        }
    }

    /// Takes a consumer back into the turns. Unknown ones are ignored: they were cancelled meanwhile.
    pub fn unpark(&mut self, key: ConsumerKey) {
        let Some(consumer) = self.all.get_mut(&key) else { return };
        if std::mem::replace(&mut consumer.ready, true) {
            return;
        }
        self.ready += 1;
        let priority = consumer.priority;
        let at = match self.turns.binary_search_by(|(of, _)| priority.cmp(of)) {
            Ok(at) => at,
            Err(at) => {
                self.turns.insert(at, (priority, VecDeque::new()));
                at
            }
        };
        self.turns[at].1.push_back(key);
    }

    /// How many there are, parked ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether one of them refuses to share the queue.
    #[must_use]
    pub fn has_exclusive(&self) -> bool {
        self.all.values().any(|consumer| consumer.exclusive)
    }

    /// All, in the order of their registration.
    pub fn iter(&self) -> impl Iterator<Item = (ConsumerKey, &Consumer<H>)> {
        self.all.iter().map(|(key, consumer)| (*key, consumer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(consumers: &mut Consumers<()>, n: usize) -> Vec<u64> {
        (0..n)
            .map_while(|_| {
                let key = consumers.next_ready()?.0;
                consumers.end_turn(key);
                Some(key.0)
            })
            .collect()
    }

    #[test]
    fn equals_take_turns_and_higher_priority_goes_first() {
        let mut consumers = Consumers::default();
        for (key, priority) in [(1, 0), (2, 0), (3, 0), (4, 10), (5, -1)] {
            consumers.add(ConsumerKey(key), (), priority, false);
            consumers.unpark(ConsumerKey(key));
        }
        assert_eq!(turns(&mut consumers, 3), [4, 4, 4]);
        consumers.park(ConsumerKey(4));
        assert_eq!(turns(&mut consumers, 5), [1, 2, 3, 1, 2]);
        consumers.park(ConsumerKey(1));
        consumers.unpark(ConsumerKey(1));
        assert_eq!(turns(&mut consumers, 4), [3, 2, 1, 3]);
        for key in 1..=3 {
            consumers.park(ConsumerKey(key));
        }
        assert_eq!(turns(&mut consumers, 2), [5, 5]);
        consumers.remove(ConsumerKey(5));
        assert_eq!(turns(&mut consumers, 2), [] as [u64; 0]);
        consumers.unpark(ConsumerKey(5));
        assert_eq!(consumers.ready(), 0);
        assert_eq!(consumers.len(), 4);
    }
}
