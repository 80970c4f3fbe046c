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

use std::collections::{BTreeMap, VecDeque};

use super::entry::Entry;
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

/// Messages in the order of their numbers.
#[derive(Debug, Default)]
struct Line {
    /// Never taken, in order.
    fresh: VecDeque<Entry>,
    /// Taken once and given back; every one goes before all of `fresh`.
    returned: BTreeMap<u64, Entry>,
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
        high: VecDeque<Entry>,
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
        let order = Order::Weighted { high: VecDeque::new(), turns: 0, next_return: FIRST_RETURN };
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

    /// Appends a message that was never taken, behind those of its level.
    pub(super) fn push(&mut self, entry: Entry) {
        let fresh = match self.order.as_deref_mut() {
            None => &mut self.line.fresh,
            Some(_) if entry.level == 0 => &mut self.line.fresh,
            Some(Order::Priorities { above, top, .. }) => &mut raise(above, top, entry.level).fresh,
            Some(Order::Weighted { high, .. }) => high,
        };
        fresh.push_back(entry);
    }

    /// Takes the next message.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        match self.order.as_deref_mut() {
            None => self.line.pop(),
            Some(order) => order.pop(&mut self.line),
        }
    }

    /// The next message.
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
    pub(super) fn give_back_last(&mut self, entry: Entry) {
        self.line.fresh.push_back(entry);
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

    /// All, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        let (above, high) = match self.order.as_deref() {
            None => (None, None),
            Some(Order::Priorities { above, .. }) => (Some(above), None),
            Some(Order::Weighted { high, .. }) => (None, Some(high)),
        };
        let lines = std::iter::once(&self.line).chain(above.into_iter().flatten());
        lines.flat_map(Line::iter).chain(high.into_iter().flatten())
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
            Some(Order::Weighted { high, .. }) if high.is_empty() => *high = VecDeque::new(),
            Some(Order::Weighted { .. }) => {}
        }
    }
}

impl Order {
    fn pop(&mut self, lowest: &mut Line) -> Option<Entry> {
        let is_high = self.high_is_next(lowest);
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
                let entry = if is_high { high.pop_front() } else { lowest.fresh.pop_front() }?;
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
            Self::Weighted { high, .. } => match lowest.returned.first_key_value() {
                Some((_, entry)) => Some(entry),
                None if self.high_is_next(lowest) => high.front(),
                None => lowest.fresh.front(),
            },
        }
    }

    /// Whether a quorum queue's next message that was never taken is of the high level.
    fn high_is_next(&self, lowest: &Line) -> bool {
        let Self::Weighted { high, turns, .. } = self else { return false };
        match (high.front(), lowest.fresh.front()) {
            (Some(high), Some(low)) => *turns != QUORUM_TURNS || high.seq() < low.seq(),
            (high, _) => high.is_some(),
        }
    }
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

impl Line {
    fn pop(&mut self) -> Option<Entry> {
        match self.returned.pop_first() {
            Some((_, entry)) => Some(entry),
            None => self.fresh.pop_front(),
        }
    }

    fn head(&self) -> Option<&Entry> {
        match self.returned.first_key_value() {
            Some((_, entry)) => Some(entry),
            None => self.fresh.front(),
        }
    }

    fn give_back(&mut self, entry: Entry) {
        self.returned.insert(entry.seq().0, entry);
    }

    fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.returned.values().chain(&self.fresh)
    }

    fn is_empty(&self) -> bool {
        self.returned.is_empty() && self.fresh.is_empty()
    }

    fn shrink(&mut self) {
        if self.fresh.is_empty() {
            self.fresh = VecDeque::new();
        }
    }
}
