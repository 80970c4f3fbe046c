//! Who takes a queue's messages next: by priority, and in turn among equals.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use super::planted::{Plant, is_planted};
use crate::arguments::{QueueSettings, QueueType};

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
    single: Option<SingleActive>,
    /// Quorum queues: `exclusive` is not looked at.
    is_open_to_all: bool,
}

/// The choice of a queue with `x-single-active-consumer`.
#[derive(Clone, Copy, Debug, Default)]
struct SingleActive {
    active: Option<ConsumerKey>,
    /// Quorum queues: a consumer of higher priority displaces the active one.
    displaces: bool,
}

/// A consumer's part in its queue, with RabbitMQ's words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It takes messages as all others do.
    Up,
    /// It alone takes messages.
    SingleActive,
    /// It takes over when its turn comes.
    Waiting,
}

impl Activity {
    /// As in lists of consumers (`activity_status`).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::SingleActive => "single_active",
            Self::Waiting => "waiting",
        }
    }

    /// As in lists of consumers (`active`).
    #[must_use]
    pub const fn is_active(self) -> bool {
        !matches!(self, Self::Waiting)
    }
}

impl<H> Default for Consumers<H> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), turns: Vec::new(), ready: 0, single: None, is_open_to_all: false }
    }
}

impl<H> Consumers<H> {
    /// None yet, for a queue with those arguments.
    #[must_use]
    pub fn new(settings: &QueueSettings) -> Self {
        let is_quorum = settings.queue_type == QueueType::Quorum;
        let single = SingleActive { active: None, displaces: is_quorum };
        Self {
            single: settings.single_active_consumer.then_some(single),
            is_open_to_all: is_quorum,
            ..Self::default()
        }
    }

    /// Whether one more may come, that wants the queue for itself or not. A queue with a single active consumer has
    /// no place for one that wants it, and a quorum queue does not look at the wish, as in RabbitMQ.
    #[must_use]
    pub fn admits(&self, exclusive: bool) -> bool {
        self.is_open_to_all
            || !(exclusive && (self.single.is_some() || !self.is_empty()) || self.has_exclusive())
    }

    /// Adds a consumer, parked; [`Consumers::unpark`] makes it ready.
    pub fn add(&mut self, key: ConsumerKey, handle: H, priority: i32, exclusive: bool) {
        self.all.insert(key, Consumer { handle, priority, exclusive, ready: false });
        if let Some(single) = &mut self.single {
            single.active.get_or_insert(key);
        }
    }

    /// Removes a consumer.
    pub fn remove(&mut self, key: ConsumerKey) -> Option<Consumer<H>> {
        self.park(key);
        let removed = self.all.remove(&key);
        if self.single.is_some_and(|single| single.active == Some(key)) {
            self.activate_next();
        }
        removed
    }

    /// The highest priority becomes active, and the first registered of equals.
    fn activate_next(&mut self) {
        let next = self.highest();
        if let Some(single) = &mut self.single {
            single.active = next;
        }
    }

    fn highest(&self) -> Option<ConsumerKey> {
        if is_planted(Plant::LastComesNext) {
            return self.all.last_key_value().map(|(key, _)| *key);
        }
        self.all.iter().max_by_key(|(key, consumer)| (consumer.priority, Reverse(**key))).map(|(key, _)| *key)
    }

    /// Whether the active consumer of a quorum queue gets no more, since one of higher priority came.
    fn is_displaced(&self, single: SingleActive) -> bool {
        let priority = |key: Option<ConsumerKey>| Some(self.all.get(&key?)?.priority);
        single.displaces && priority(self.highest()) > priority(single.active)
    }

    /// No message is out: a consumer of higher priority that waits for that becomes active (quorum queues). To be
    /// called when one came or a message was settled, if no message is out.
    pub fn displace_idle(&mut self) {
        if self.single.is_some_and(|single| self.is_displaced(single)) {
            self.activate_next();
        }
    }

    /// A consumer's part in the queue.
    #[must_use]
    pub fn activity(&self, key: ConsumerKey) -> Activity {
        match self.single {
            None => Activity::Up,
            Some(single) if single.active == Some(key) => Activity::SingleActive,
            Some(_) => Activity::Waiting,
        }
    }

    /// Whether one of them at most is active (`x-single-active-consumer`).
    #[must_use]
    pub fn is_single_active(&self) -> bool {
        self.single.is_some()
    }

    /// Removes all.
    pub fn drain(&mut self) -> impl Iterator<Item = (ConsumerKey, Consumer<H>)> + use<H> {
        self.turns.clear();
        self.ready = 0;
        self.single.iter_mut().for_each(|single| single.active = None);
        std::mem::take(&mut self.all).into_iter()
    }

    /// The consumer whose turn it is, with how many are ready beside it in all.
    #[must_use]
    pub fn next_ready(&self) -> Option<(ConsumerKey, &Consumer<H>)> {
        if let Some(single) = self.single {
            return self.next_single(single);
        }
        let key = *self.turns.iter().find_map(|(_, turn)| turn.front())?;
        Some((key, self.all.get(&key)?))
    }

    fn next_single(&self, single: SingleActive) -> Option<(ConsumerKey, &Consumer<H>)> {
        let key = single.active?;
        let consumer = self.all.get(&key)?;
        (consumer.ready && !self.is_displaced(single)).then_some((key, consumer))
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
        match self.single {
            None => self.ready,
            Some(single) => usize::from(self.next_single(single).is_some()),
        }
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
