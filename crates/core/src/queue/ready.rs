//! Ready messages in the order in which they go out.
//!
//! Three orders, as RabbitMQ has them:
//! - *plain*: by sequence number. What was returned stands before all that was never taken, since it was taken
//!   earlier;
//! - *priorities* (classic, `x-max-priority`): the highest level first, each level a plain line of its own, a return
//!   in its old place there;
//! - *weighted* (quorum): returns first, in the order in which they came back (behind all
//!   others where the number of returns is unlimited); then two levels, of which the high
//!   one gets two turns and the low one a third, unless the high one's next message is the older.
//!
//! Each level is a [`Line`], of which the end may be cold. Where a message that is not in memory stands first, or could,
//! there is no next one: [`Ready::want`] says what must be loaded.

use super::entry::Entry;
use super::line::{ColdCounts, Front, Line};
use super::planted::{Plant, is_planted};

/// Messages of a priority above this one are high in a quorum queue.
const QUORUM_HIGH_ABOVE: u8 = 4;

/// After so many messages in a row, a quorum queue's low level gets a turn.
const QUORUM_TURNS: u8 = 2;

/// Where the numbering of returns begins in a quorum queue: one that is put back goes below.
const FIRST_RETURN: u64 = 1 << 62;

/// All ready messages of one queue.
#[derive(Debug, Default)]
pub(super) struct Ready {
    /// The lowest level, and the only one of a plain queue.
    line: Line,
    order: Option<Box<Order>>,
}

/// What a queue that is not plain has beside its lowest level.
#[derive(Debug)]
enum Order {
    Priorities {
        max: u8,
        /// Level 1 and up, as far as one was used.
        above: Vec<Line>,
        /// The highest level with a message; 0 if that is the lowest, or none.
        top: u8,
    },
    Weighted {
        high: Line,
        /// Turns since the low level's.
        turns: u8,
        next_return: u64,
    },
}

impl Ready {
    /// A classic queue with that many levels above the lowest.
    pub(super) fn with_priorities(max: u8) -> Self {
        let order = Order::Priorities { max, above: Vec::new(), top: 0 };
        Self { line: Line::default(), order: Some(Box::new(order)) }
    }

    /// A quorum queue.
    pub(super) fn weighted() -> Self {
        let order = Order::Weighted { high: Line::default(), turns: 0, next_return: FIRST_RETURN };
        Self { line: Line::default(), order: Some(Box::new(order)) }
    }

    /// Whether messages have levels.
    pub(super) fn has_levels(&self) -> bool {
        self.order.is_some()
    }

    /// The level of a message with that priority.
    pub(super) fn level(&self, priority: u8) -> u8 {
        match self.order.as_deref() {
            None => 0,
            Some(Order::Priorities { max, .. }) => priority.min(*max),
            Some(Order::Weighted { .. }) => u8::from(priority > QUORUM_HIGH_ABOVE),
        }
    }

    /// Appends a message that was never taken, behind those of its level, none of which is cold.
    pub(super) fn push(&mut self, entry: Entry) {
        debug_assert!(!self.goes_cold(entry.level), "a line's messages keep their order");
        let level = entry.level;
        self.line_for(level).fresh.push_back(entry);
    }

    /// Appends messages that are not in memory, with numbers from `first` to `last`.
    pub(super) fn push_cold(&mut self, level: u8, first: u64, last: u64, counts: ColdCounts) {
        self.line_for(level).push_cold(first, last, counts);
    }

    /// The line of a level that will have a message at once.
    fn line_for(&mut self, level: u8) -> &mut Line {
        match self.order.as_deref_mut() {
            None => &mut self.line,
            Some(_) if level == 0 => &mut self.line,
            Some(Order::Priorities { above, top, .. }) => raise(above, top, level),
            Some(Order::Weighted { high, .. }) => high,
        }
    }

    /// The line of a level, if that was ever used.
    fn line(&self, level: u8) -> Option<&Line> {
        match self.order.as_deref() {
            None => Some(&self.line),
            Some(_) if level == 0 => Some(&self.line),
            Some(Order::Priorities { above, .. }) => above.get(usize::from(level) - 1),
            Some(Order::Weighted { high, .. }) => Some(high),
        }
    }

    /// Whether what comes in at that level goes behind cold messages, and so is cold itself.
    pub(super) fn goes_cold(&self, level: u8) -> bool {
        self.line(level).is_some_and(Line::is_cold)
    }

    /// Whether the message of that number and level is cold.
    pub(super) fn holds_cold(&self, level: u8, seq: u64) -> bool {
        self.line(level).is_some_and(|line| line.holds_cold(seq))
    }

    /// What to load so that the next `messages` can be taken one after another: a level, and the number to begin
    /// with. None if they can, or if all there is can.
    pub(super) fn want(&self, messages: usize) -> Option<(u8, u64)> {
        let of = |level: u8, line: &Line| Some((level, line.first_cold()?));
        match self.order.as_deref() {
            None => (self.line.hot() < messages).then(|| of(0, &self.line))?,
            Some(Order::Priorities { above, .. }) => {
                let mut before = 0;
                for level in (0..=above.len()).rev() {
                    let line = self.line(u8::try_from(level).unwrap_or(u8::MAX))?;
                    before += line.hot();
                    if before >= messages {
                        return None;
                    }
                    if line.is_cold() {
                        return of(u8::try_from(level).unwrap_or(u8::MAX), line);
                    }
                }
                None
            }
            Some(Order::Weighted { high, turns, .. }) => {
                let messages = messages.saturating_sub(self.line.returned.len());
                if messages == 0 {
                    return None;
                }
                let blocked = match choose(high, &self.line, *turns) {
                    Some((Choice::High, Front::Cold(first))) => Some((1, first)),
                    Some((Choice::Low, Front::Cold(first))) => Some((0, first)),
                    _ => None,
                };
                let short = |line: &Line| line.fresh.len() < messages;
                blocked
                    .or_else(|| short(high).then(|| of(1, high))?)
                    .or_else(|| short(&self.line).then(|| of(0, &self.line))?)
            }
        }
    }

    /// A cold message is in memory now: what was counted of it.
    ///
    /// # Errors
    /// The entry, if it is not among the cold ones.
    pub(super) fn load(&mut self, level: u8, entry: Entry, counts: ColdCounts) -> Result<ColdCounts, Entry> {
        if self.goes_cold(level) { self.line_for(level).load(entry, counts) } else { Err(entry) }
    }

    /// All cold messages of a level up to `until` are in memory: what was counted and is not there, once all are.
    pub(super) fn end_load(&mut self, level: u8, until: u64) -> ColdCounts {
        if !self.goes_cold(level) {
            return ColdCounts::default();
        }
        let left = self.line_for(level).end_load(until);
        if let Some(Order::Priorities { above, top, .. }) = self.order.as_deref_mut() {
            lower(above, top);
        }
        left
    }

    /// Gives each message in memory that may go out within the next `most` to `visit`, until that says that it has seen
    /// enough.
    pub(super) fn next_ones(&mut self, most: usize, mut visit: impl FnMut(&mut Entry) -> bool) {
        let mut left = most;
        let mut walk = |line: &mut Line, takes_turns: bool| {
            if line.returned.values_mut().chain(&mut line.fresh).take(left).any(&mut visit) {
                left = 0;
            } else if !takes_turns {
                left = left.saturating_sub(line.hot());
            }
        };
        match self.order.as_deref_mut() {
            None => {}
            Some(Order::Priorities { above, .. }) => {
                above.iter_mut().rev().for_each(|line| walk(line, false))
            }
            Some(Order::Weighted { high, .. }) => walk(high, true),
        }
        walk(&mut self.line, true);
    }

    /// Takes the next message, if it is in memory.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        match self.order.as_deref_mut() {
            None => self.line.pop(),
            Some(order) => order.pop(&mut self.line),
        }
    }

    /// The next message, if it is in memory.
    pub(super) fn head(&self) -> Option<&Entry> {
        match self.order.as_deref() {
            None => self.line.head(),
            Some(order) => order.head(&self.line),
        }
    }

    /// A message that was out with a consumer is ready again.
    pub(super) fn give_back(&mut self, entry: Entry) {
        let level = if is_planted(Plant::RequeueLosesPriority) { 0 } else { entry.level };
        match self.order.as_deref_mut() {
            Some(Order::Weighted { next_return, .. }) => {
                self.line.returned.insert(*next_return, entry);
                *next_return += 1;
            }
            Some(Order::Priorities { above, top, .. }) if level > 0 => {
                raise(above, top, level).give_back(entry);
            }
            _ => self.line.give_back(entry),
        }
    }

    /// A message that was out with a consumer is ready again, behind all others.
    /// `next` is the number that the next new message gets.
    pub(super) fn give_back_last(&mut self, entry: Entry, next: u64) {
        self.line.give_back_last(entry, next);
    }

    /// The message that was taken last was not delivered after all: it is next again.
    pub(super) fn put_back(&mut self, entry: Entry) {
        match self.order.as_deref_mut() {
            Some(Order::Weighted { .. }) => {
                let first = self.line.returned.first_key_value().map_or(FIRST_RETURN, |(first, _)| *first);
                self.line.returned.insert(first - 1, entry);
            }
            Some(Order::Priorities { above, top, .. }) if entry.level > 0 => {
                raise(above, top, entry.level).give_back(entry);
            }
            _ => self.line.give_back(entry),
        }
    }

    /// The levels of a quorum queue begin anew, as after a purge in RabbitMQ.
    pub(super) fn restart_turns(&mut self) {
        if let Some(Order::Weighted { turns, .. }) = self.order.as_deref_mut() {
            *turns = 0;
        }
    }

    /// Empties the queue, and each of its entries in memory goes to `free`.
    pub(super) fn clear(&mut self, mut free: impl FnMut(&Entry)) {
        let mut drain = |line: &mut Line| {
            while let Some(entry) = line.drain() {
                free(&entry);
            }
        };
        drain(&mut self.line);
        match self.order.as_deref_mut() {
            None => {}
            Some(Order::Priorities { above, top, .. }) => {
                above.iter_mut().for_each(drain);
                *top = 0;
            }
            Some(Order::Weighted { high, .. }) => drain(high),
        }
    }

    /// The lines, in no order.
    fn lines(&self) -> impl Iterator<Item = &Line> {
        let (above, high) = match self.order.as_deref() {
            None => (None, None),
            Some(Order::Priorities { above, .. }) => (Some(above), None),
            Some(Order::Weighted { high, .. }) => (None, Some(high)),
        };
        std::iter::once(&self.line).chain(above.into_iter().flatten()).chain(high)
    }

    /// All in memory, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.lines().flat_map(Line::iter)
    }

    /// Frees memory that only a busy queue needs.
    pub(super) fn shrink(&mut self) {
        self.line.shrink();
        match self.order.as_deref_mut() {
            None => {}
            Some(Order::Priorities { above, .. }) => {
                while above.last().is_some_and(Line::is_empty) {
                    above.pop();
                }
                above.iter_mut().for_each(Line::shrink);
            }
            Some(Order::Weighted { high, .. }) => high.shrink(),
        }
    }
}

impl Order {
    fn pop(&mut self, lowest: &mut Line) -> Option<Entry> {
        match self {
            Self::Priorities { above, top, .. } => match above.get_mut(usize::from(*top).wrapping_sub(1)) {
                None => lowest.pop(),
                Some(line) => {
                    let entry = line.pop();
                    lower(above, top);
                    entry
                }
            },
            Self::Weighted { high, turns, .. } => {
                if let Some((_, entry)) = lowest.returned.pop_first() {
                    return Some(entry);
                }
                let entry = match choose(high, lowest, *turns)?.0 {
                    Choice::High => high.fresh.pop_front(),
                    Choice::Low => lowest.fresh.pop_front(),
                }?;
                *turns = if *turns == QUORUM_TURNS { 0 } else { *turns + 1 };
                Some(entry)
            }
        }
    }

    fn head<'a>(&'a self, lowest: &'a Line) -> Option<&'a Entry> {
        match self {
            Self::Priorities { above, top, .. } => match above.get(usize::from(*top).wrapping_sub(1)) {
                None => lowest.head(),
                Some(line) => line.head(),
            },
            Self::Weighted { high, turns, .. } => match lowest.returned.first_key_value() {
                Some((_, entry)) => Some(entry),
                None => match choose(high, lowest, *turns)?.1 {
                    Front::Hot(entry) => Some(entry),
                    Front::Cold(_) => None,
                },
            },
        }
    }
}

/// One of the levels of a quorum queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    High,
    Low,
}

/// Which level's turn it is among a quorum queue's messages that were never taken, and what stands first in it. Where
/// that depends on the number of a message that is not in memory, it is that one's level.
fn choose<'a>(high: &'a Line, low: &'a Line, turns: u8) -> Option<(Choice, Front<'a>)> {
    let (of_high, of_low) = match (high.front(), low.front()) {
        (Some(of_high), Some(of_low)) => (of_high, of_low),
        (Some(of_high), None) => return Some((Choice::High, of_high)),
        (None, of_low) => return Some((Choice::Low, of_low?)),
    };
    if turns != QUORUM_TURNS {
        return Some((Choice::High, of_high));
    }
    let is_high = match (of_high, of_low) {
        (Front::Hot(high), Front::Hot(low)) => high.seq() < low.seq(),
        // The cold one has this number or a higher one.
        (Front::Hot(high), Front::Cold(low)) => high.seq().0 < low,
        (Front::Cold(high), Front::Hot(low)) => high <= low.seq().0,
        (Front::Cold(_), Front::Cold(_)) => true,
    };
    Some(if is_high { (Choice::High, of_high) } else { (Choice::Low, of_low) })
}

/// The line of a level above the lowest, which will have a message at once.
fn raise<'a>(above: &'a mut Vec<Line>, top: &mut u8, level: u8) -> &'a mut Line {
    if above.len() < usize::from(level) {
        above.resize_with(level.into(), Line::default);
    }
    *top = level.max(*top);
    &mut above[usize::from(level) - 1]
}

/// A message left the top level: the top is the highest that has one.
fn lower(above: &[Line], top: &mut u8) {
    while above.get(usize::from(*top).wrapping_sub(1)).is_some_and(Line::is_empty) {
        *top -= 1;
    }
}
