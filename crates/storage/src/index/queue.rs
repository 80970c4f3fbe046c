//! What the log's durable prefix says of one queue.
//!
//! Its numbers fall into two parts at `resident.end`. From there on, messages are in the tail, one by one.
//! Below it, they are in runs, and only what was settled is known here: **every number below `resident.end`
//! is either live in a run or in `settled`** (those that never went into a run are put there when the
//! others do). So counting needs no disk. While a run is being written its messages are still in the tail
//! and already below `resident.end`; what happens to them is then noted in both parts.

use std::collections::BTreeMap;

use crate::index::tail::{Tail, TailMessage};
use crate::ranges::RangeSet;
use crate::record::MessageFlags;

/// What the messages of one order key come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineCount {
    /// Live messages.
    pub messages: u64,
    /// Bytes of their bodies.
    pub body_bytes: u64,
    /// How many have a deadline.
    pub timed: u64,
}

impl LineCount {
    /// One message more.
    pub(crate) fn add(&mut self, body_len: u32, deadline_ms: u64) {
        self.messages += 1;
        self.body_bytes += u64::from(body_len);
        self.timed += u64::from(deadline_ms != 0);
    }

    fn join(&mut self, other: &Self) {
        self.messages += other.messages;
        self.body_bytes += other.body_bytes;
        self.timed += other.timed;
    }

    /// What a damaged run could not tell of is never taken out: the difference ends at 0.
    fn part(&mut self, other: &Self) {
        self.messages = self.messages.saturating_sub(other.messages);
        self.body_bytes = self.body_bytes.saturating_sub(other.body_bytes);
        self.timed = self.timed.saturating_sub(other.timed);
    }
}

/// What messages come to by order key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lines(BTreeMap<u64, LineCount>);

impl Lines {
    /// The line of an order key.
    pub(crate) fn of(&mut self, order_key: u64) -> &mut LineCount {
        self.0.entry(order_key).or_default()
    }

    /// The messages of all lines.
    pub(crate) fn messages(&self) -> u64 {
        self.0.values().map(|line| line.messages).sum()
    }

    /// Lines with messages, by order key.
    pub(crate) fn into_vec(self) -> Vec<(u64, LineCount)> {
        self.0.into_iter().filter(|(_, line)| line.messages > 0).collect()
    }

    /// `before`, and these.
    pub(crate) fn joined(&self, before: &[(u64, LineCount)]) -> Vec<(u64, LineCount)> {
        let mut all = Self(before.iter().copied().collect());
        self.0.iter().for_each(|(order_key, line)| all.of(*order_key).join(line));
        all.into_vec()
    }

    /// `before` without these.
    pub(crate) fn parted(&self, before: &[(u64, LineCount)]) -> Vec<(u64, LineCount)> {
        let mut all = Self(before.iter().copied().collect());
        self.0.iter().for_each(|(order_key, line)| all.of(*order_key).part(line));
        all.into_vec()
    }
}

/// The messages of a queue that are in runs, but for the entries themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Resident {
    /// Numbers below this are in runs or settled; 0 is a number too, so 0 here means none.
    pub(crate) end: u64,
    /// All below `end` that are not live.
    pub(crate) settled: RangeSet,
    /// Seen, whatever their entries say.
    pub(crate) exposed: RangeSet,
    /// Not seen, whatever their entries say.
    pub(crate) unexposed: RangeSet,
    /// By delivery count, those whose entries may say another. Ascending.
    pub(crate) counts: Vec<(u32, RangeSet)>,
    /// What is live, by order key, but for what is `unaccounted`. Ascending, none of them empty.
    pub(crate) lines: Vec<(u64, LineCount)>,
    /// Settled numbers whose entries are not taken out of `lines` and of their slots' counts yet.
    pub(crate) unaccounted: RangeSet,
}

impl Resident {
    /// Live messages.
    pub(crate) fn messages(&self) -> u64 {
        match self.last() {
            Some(last) => self.end.saturating_sub(self.settled.count(0, last)),
            None => 0,
        }
    }

    /// The highest number that is in runs or settled.
    pub(crate) fn last(&self) -> Option<u64> {
        self.end.checked_sub(1)
    }

    /// Forgets what is known of numbers from `end` on.
    pub(crate) fn take_back_to(&mut self, end: u64) {
        self.end = self.end.min(end);
        for numbers in [&mut self.settled, &mut self.exposed, &mut self.unexposed, &mut self.unaccounted] {
            numbers.remove(end, u64::MAX);
        }
        self.counts.iter_mut().for_each(|(_, numbers)| numbers.remove(end, u64::MAX));
        self.counts.retain(|(_, numbers)| !numbers.is_empty());
    }

    /// The part of a range that is in runs or settled.
    fn part(&self, first: u64, last: u64) -> Option<(u64, u64)> {
        self.last().filter(|end| first <= *end).map(|end| (first, last.min(end)))
    }

    /// Those of a range are settled. Says how many were not before.
    pub(crate) fn settle(&mut self, first: u64, last: u64) -> u64 {
        let Some((first, last)) = self.part(first, last) else { return 0 };
        let mut count = 0;
        for (first, last) in self.settled.insert(first, last) {
            self.unaccounted.add(first, last);
            count += (last - first).saturating_add(1);
        }
        count
    }

    fn returned(&mut self, first: u64, last: u64, delivery_count: u32) {
        for (count, numbers) in &mut self.counts {
            if *count != delivery_count {
                numbers.remove(first, last);
            }
        }
        self.counts.retain(|(count, numbers)| *count == delivery_count || !numbers.is_empty());
        let at = self.counts.partition_point(|(count, _)| *count < delivery_count);
        match self.counts.get_mut(at).filter(|(count, _)| *count == delivery_count) {
            Some((_, numbers)) => numbers.add(first, last),
            None => {
                let mut numbers = RangeSet::default();
                numbers.add(first, last);
                self.counts.insert(at, (delivery_count, numbers));
            }
        }
    }

    /// The delivery count of a message, from that of its entry.
    pub(crate) fn delivery_count(&self, seq: u64, entry: u32) -> u32 {
        let found = self.counts.iter().find(|(_, numbers)| numbers.contains(seq));
        found.map_or(entry, |(count, _)| *count)
    }

    /// The flags of a message, from those of its entry.
    pub(crate) fn flags(&self, seq: u64, entry: MessageFlags) -> MessageFlags {
        if self.exposed.contains(seq) {
            entry.with(MessageFlags::SEEN)
        } else if self.unexposed.contains(seq) {
            entry.without(MessageFlags::SEEN)
        } else {
            entry
        }
    }
}

/// How many messages were settled: in the tail, and below the end of what is in runs. One that is being written to a
/// run counts in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Settled {
    pub(crate) in_tail: u64,
    pub(crate) in_runs: u64,
}

/// A queue.
#[derive(Debug, Default)]
pub(crate) struct QueueIndex {
    /// The highest number ever given in it.
    pub(crate) last_seq: u64,
    pub(crate) tail: Tail,
    pub(crate) resident: Option<Box<Resident>>,
    /// Whether anything of it was changed since the last checkpoint captured it.
    pub(crate) is_changed: bool,
}

impl QueueIndex {
    /// A message of the log. False if it is known already.
    pub(crate) fn message(&mut self, message: TailMessage) -> bool {
        self.is_changed = true;
        self.last_seq = self.last_seq.max(message.seq);
        let is_below = self.resident.as_ref().is_some_and(|resident| message.seq < resident.end);
        !is_below && self.tail.insert(message)
    }

    /// Messages left. Gives how many, and each of those in the tail to `gone`.
    pub(crate) fn settle(&mut self, first: u64, last: u64, mut gone: impl FnMut(&TailMessage)) -> Settled {
        self.is_changed = true;
        let before = self.tail.len();
        if first == last {
            self.tail.remove(first).iter().for_each(gone);
        } else {
            self.tail.remove_range(first, last, |_| true, &mut gone);
        }
        let in_runs = self.resident.as_mut().map_or(0, |resident| resident.settle(first, last));
        Settled { in_tail: (before - self.tail.len()) as u64, in_runs }
    }

    /// Messages may be delivered, or (`withdrawn`) were not delivered after all.
    pub(crate) fn expose(&mut self, first: u64, last: u64, withdrawn: bool) {
        self.is_changed = true;
        for message in self.tail.range_mut(first, last) {
            let flags = message.flags.without(MessageFlags::SEEN);
            message.flags = if withdrawn { flags } else { flags.with(MessageFlags::SEEN) };
        }
        if let Some(resident) = &mut self.resident
            && let Some((first, last)) = resident.part(first, last)
        {
            let (to, from) = if withdrawn {
                (&mut resident.unexposed, &mut resident.exposed)
            } else {
                (&mut resident.exposed, &mut resident.unexposed)
            };
            to.add(first, last);
            from.remove(first, last);
        }
    }

    /// Messages came back.
    pub(crate) fn returned(&mut self, first: u64, last: u64, delivery_count: u32) {
        self.is_changed = true;
        self.tail.range_mut(first, last).for_each(|message| message.delivery_count = delivery_count);
        if let Some(resident) = &mut self.resident
            && let Some((first, last)) = resident.part(first, last)
        {
            resident.returned(first, last, delivery_count);
        }
    }

    /// What is live, by order key; of what is in runs as last accounted.
    pub(crate) fn lines(&self) -> Lines {
        let mut lines = Lines::default();
        if let Some(resident) = &self.resident {
            resident.lines.iter().for_each(|(order_key, line)| lines.of(*order_key).join(line));
        }
        for message in self.tail.iter() {
            lines.of(message.order_key).add(message.at().body_len, message.deadline_ms);
        }
        lines
    }

    /// Live messages: exact, without reading.
    pub(crate) fn messages(&self) -> u64 {
        let resident = self.resident.as_ref().map_or(0, |resident| resident.messages());
        let in_both = match &self.resident {
            Some(resident) => {
                self.tail.iter().take_while(|message| message.seq < resident.end).count() as u64
            }
            None => 0,
        };
        resident + self.tail.len() as u64 - in_both
    }
}
