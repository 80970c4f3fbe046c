//! One level of a queue: what is in memory, and behind it what is known only by its numbers.
//!
//! ```text
//! returned │ fresh │ cold
//! ```
//! Every message of the level whose number is [`Cold::first`] or above is cold: its bytes are in a log, and the
//! queue knows how many there are. While a level has a cold part, what arrives goes behind it and is cold too.

use std::collections::{BTreeMap, VecDeque};

use super::entry::Entry;
use super::planted::{Plant, is_planted};

/// Messages in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Never taken, in order.
    pub(super) fresh: VecDeque<Entry>,
    /// Taken once and given back; every one goes before all of `fresh`.
    pub(super) returned: BTreeMap<u64, Entry>,
    cold: Option<Box<Cold>>,
}

/// Messages counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColdCounts {
    /// How many.
    pub messages: u64,
    /// The bytes of their bodies.
    pub body_bytes: u64,
    /// How many of them have a deadline.
    pub timed: u64,
}

impl ColdCounts {
    /// One message.
    pub(super) fn one(body_bytes: u64, is_timed: bool) -> Self {
        Self { messages: 1, body_bytes, timed: u64::from(is_timed) }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.body_bytes += other.body_bytes;
        self.timed += other.timed;
    }

    /// Takes as much of `other` away as there is; what that is.
    fn take(&mut self, other: Self) -> Self {
        let taken = Self {
            messages: self.messages.min(other.messages),
            body_bytes: self.body_bytes.min(other.body_bytes),
            timed: self.timed.min(other.timed),
        };
        self.messages -= taken.messages;
        self.body_bytes -= taken.body_bytes;
        self.timed -= taken.timed;
        taken
    }
}

/// The part of a line that is not in memory. It holds a message at least.
#[derive(Debug)]
struct Cold {
    /// No message below this number is cold.
    first: u64,
    /// No message above this number is cold.
    last: u64,
    counts: ColdCounts,
    /// In memory all the same: given back to stand behind the cold ones that were there then, which are those
    /// below the number.
    late: VecDeque<(u64, Entry)>,
}

/// What stands first in a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Front<'a> {
    /// A message in memory.
    Hot(&'a Entry),
    /// A message that is not, of this number or a higher one.
    Cold(u64),
}

impl Line {
    pub(super) fn pop(&mut self) -> Option<Entry> {
        match self.returned.pop_first() {
            Some((_, entry)) => Some(entry),
            None => self.fresh.pop_front(),
        }
    }

    /// The next message, if it is in memory.
    pub(super) fn head(&self) -> Option<&Entry> {
        match self.returned.first_key_value() {
            Some((_, entry)) => Some(entry),
            None => self.fresh.front(),
        }
    }

    /// What stands first of those that were never taken.
    pub(super) fn front(&self) -> Option<Front<'_>> {
        match self.fresh.front() {
            Some(entry) => Some(Front::Hot(entry)),
            None => self.cold.as_deref().map(|cold| Front::Cold(cold.first)),
        }
    }

    pub(super) fn give_back(&mut self, entry: Entry) {
        self.returned.insert(entry.seq().0, entry);
    }

    /// A message goes behind all others, of which the newest has the number below `next`.
    pub(super) fn give_back_last(&mut self, entry: Entry, next: u64) {
        match self.cold.as_deref_mut() {
            None => self.fresh.push_back(entry),
            Some(_) if is_planted(Plant::LateComesFirst) => self.fresh.push_back(entry),
            Some(cold) => cold.late.push_back((next, entry)),
        }
    }

    /// Those in memory, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        let late = self.cold.iter().flat_map(|cold| cold.late.iter().map(|(_, entry)| entry));
        self.returned.values().chain(&self.fresh).chain(late)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.returned.is_empty() && self.fresh.is_empty() && self.cold.is_none()
    }

    /// How many can be taken before a cold one.
    pub(super) fn hot(&self) -> usize {
        self.returned.len() + self.fresh.len()
    }

    pub(super) fn is_cold(&self) -> bool {
        self.cold.is_some()
    }

    /// Whether the message of that number is cold.
    pub(super) fn holds_cold(&self, seq: u64) -> bool {
        self.cold.as_deref().is_some_and(|cold| seq >= cold.first)
    }

    /// The number that a load begins with.
    pub(super) fn first_cold(&self) -> Option<u64> {
        self.cold.as_deref().map(|cold| cold.first)
    }

    /// Appends messages that are not in memory, with numbers from `first` to `last`.
    pub(super) fn push_cold(&mut self, first: u64, last: u64, counts: ColdCounts) {
        let cold = self.cold.get_or_insert_with(|| {
            Box::new(Cold { first, last, counts: ColdCounts::default(), late: VecDeque::new() })
        });
        cold.last = last;
        cold.counts.add(counts);
    }

    /// A cold message is in memory now: what was counted of it.
    ///
    /// # Errors
    /// The entry, if it is not among the cold ones: it was loaded before, or purged meanwhile.
    pub(super) fn load(&mut self, entry: Entry, counts: ColdCounts) -> Result<ColdCounts, Entry> {
        let seq = entry.seq().0;
        let is_cold = |cold: &&mut Box<Cold>| seq >= cold.first || is_planted(Plant::LoadUndoesPurge);
        let Some(cold) = self.cold.as_mut().filter(is_cold) else { return Err(entry) };
        while let Some((_, late)) = cold.late.pop_front_if(|(next, _)| *next <= seq) {
            self.fresh.push_back(late);
        }
        self.fresh.push_back(entry);
        cold.first = seq + 1;
        Ok(cold.counts.take(counts))
    }

    /// All cold messages up to `until` are in memory. What was counted and is not there, if that was the last of them.
    pub(super) fn end_load(&mut self, until: u64) -> ColdCounts {
        let Some(cold) = self.cold.as_deref_mut() else { return ColdCounts::default() };
        cold.first = cold.first.max(until.saturating_add(1));
        let is_over = cold.counts.messages == 0 || cold.first > cold.last;
        while let Some((_, late)) = cold.late.pop_front_if(|(next, _)| is_over || *next <= cold.first) {
            self.fresh.push_back(late);
        }
        if !is_over {
            return ColdCounts::default();
        }
        self.cold.take().map_or_else(ColdCounts::default, |cold| cold.counts)
    }

    /// Empties the line of what is in memory, one by one, then of all else.
    pub(super) fn drain(&mut self) -> Option<Entry> {
        if let Some(entry) = self.pop() {
            return Some(entry);
        }
        let late = self.cold.as_deref_mut().and_then(|cold| cold.late.pop_front());
        if late.is_none() {
            self.cold = None;
        }
        late.map(|(_, entry)| entry)
    }

    pub(super) fn shrink(&mut self) {
        if self.fresh.is_empty() {
            self.fresh = VecDeque::new();
        }
    }
}
