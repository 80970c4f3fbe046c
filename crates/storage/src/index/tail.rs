//! The messages of one queue that lie above the cut, by their numbers.
//!
//! Numbers rise in log order, so all but a few calls touch an end: a ring of 64 bytes a message, with the
//! settled ones between left in place until they are many. Keeps no order but that of the numbers, and
//! beside it that of the order keys that are not 0.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;

use crate::record::MessageFlags;
use crate::run::BodyAt;

/// Settled messages are left in place while fewer than this.
const DEAD_LEFT: usize = 64;
/// A ring that holds this much less than it could is made smaller.
const SHRINK_BELOW: usize = 4;

/// An unsettled message above the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TailMessage {
    /// Its number in the queue.
    pub(crate) seq: u64,
    /// 0 in a plain queue.
    pub(crate) order_key: u64,
    /// Milliseconds since 1970, or 0.
    pub(crate) deadline_ms: u64,
    incarnation: u64,
    offset: u64,
    len: u32,
    crc: u32,
    body_len: u32,
    /// How often it came back.
    pub(crate) delivery_count: u32,
    /// The low bits of the number of the batch that holds its record.
    batch: u32,
    /// With [`MessageFlags::SEEN`] as of now.
    pub(crate) flags: MessageFlags,
    /// Whether other messages may have the same payload.
    pub(crate) is_shared: bool,
    is_dead: bool,
}

impl TailMessage {
    /// A message as its record says.
    pub(crate) fn new(
        seq: u64,
        order_key: u64,
        deadline_ms: u64,
        flags: MessageFlags,
        at: BodyAt,
        batch: u64,
    ) -> Self {
        let BodyAt { incarnation, offset, len, crc, body_len } = at;
        let batch = low_bits(batch);
        let (delivery_count, is_dead) = (0, false);
        Self {
            seq,
            order_key,
            deadline_ms,
            incarnation,
            offset,
            len,
            crc,
            body_len,
            delivery_count,
            batch,
            flags,
            is_shared: false,
            is_dead,
        }
    }

    /// The same, with a payload that stands in a record of its own.
    pub(crate) fn shared(self) -> Self {
        Self { is_shared: true, ..self }
    }

    /// Where its payload lies.
    pub(crate) fn at(&self) -> BodyAt {
        let Self { incarnation, offset, len, crc, body_len, .. } = *self;
        BodyAt { incarnation, offset, len, crc, body_len }
    }

    /// Its payload stands elsewhere now.
    pub(crate) fn move_to(&mut self, incarnation: u64, offset: u64) {
        (self.incarnation, self.offset) = (incarnation, offset);
    }

    /// Whether its record stands in the batch of that number or before it. A tail is far shorter than
    /// half of what 32 bits count.
    pub(crate) fn is_within(&self, batch: u64) -> bool {
        low_bits(batch).wrapping_sub(self.batch) < u32::MAX / 2
    }
}

fn low_bits(batch: u64) -> u32 {
    (batch & u64::from(u32::MAX)) as u32
}

/// Unsettled messages of a queue above the cut.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    ring: VecDeque<TailMessage>,
    dead: usize,
    /// (order key, number) of those whose order key is not 0.
    keyed: BTreeSet<(u64, u64)>,
}

impl Tail {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ring.len() - self.dead
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one with the highest number.
    pub(crate) fn last(&self) -> Option<&TailMessage> {
        self.ring.iter().rev().find(|message| !message.is_dead)
    }

    /// Adds one. False, and nothing changed, if its number is there already.
    pub(crate) fn insert(&mut self, message: TailMessage) -> bool {
        match self.ring.back() {
            Some(last) if last.seq >= message.seq => {
                let at = self.ring.partition_point(|found| found.seq < message.seq);
                match self.ring.get_mut(at) {
                    Some(found) if found.seq == message.seq && !found.is_dead => return false,
                    Some(found) if found.seq == message.seq => {
                        *found = message;
                        self.dead -= 1;
                    }
                    _ => self.ring.insert(at, message),
                }
            }
            _ => self.ring.push_back(message),
        }
        if message.order_key != 0 {
            self.keyed.insert((message.order_key, message.seq));
        }
        true
    }

    /// The message with this number.
    pub(crate) fn get_mut(&mut self, seq: u64) -> Option<&mut TailMessage> {
        let at = self.find(seq)?;
        self.ring.get_mut(at).filter(|message| message.seq == seq && !message.is_dead)
    }

    /// Takes the message with this number.
    pub(crate) fn remove(&mut self, seq: u64) -> Option<TailMessage> {
        let message = self.get_mut(seq)?;
        message.is_dead = true;
        let taken = *message;
        self.note_dead(&taken);
        self.tidy();
        Some(taken)
    }

    /// Takes those with numbers in the range for which `take` says so, in order.
    pub(crate) fn remove_range(
        &mut self,
        first: u64,
        last: u64,
        mut take: impl FnMut(&TailMessage) -> bool,
        mut taken: impl FnMut(&TailMessage),
    ) {
        let from = self.find(first).unwrap_or(self.ring.len());
        for at in from..self.ring.len() {
            let Some(message) = self.ring.get_mut(at) else { break };
            if message.seq > last {
                break;
            }
            if !message.is_dead && take(message) {
                message.is_dead = true;
                let message = *message;
                self.note_dead(&message);
                taken(&message);
            }
        }
        self.tidy();
    }

    /// Every message with a number in the range, in order, to be changed.
    pub(crate) fn range_mut(&mut self, first: u64, last: u64) -> impl Iterator<Item = &mut TailMessage> {
        let from = self.find(first).unwrap_or(self.ring.len());
        self.ring
            .range_mut(from..)
            .take_while(move |message| message.seq <= last)
            .filter(|message| !message.is_dead)
    }

    /// All messages by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &TailMessage> {
        self.ring.iter().filter(|message| !message.is_dead)
    }

    /// Those of one order key with numbers in the range, in order.
    pub(crate) fn line(&self, order_key: u64, first: u64, last: u64) -> impl Iterator<Item = &TailMessage> {
        let is_plain = order_key == 0;
        let from = if is_plain { self.find(first).unwrap_or(self.ring.len()) } else { self.ring.len() };
        let plain = self.ring.range(from..).take_while(move |message| message.seq <= last);
        let plain = plain.filter(|message| message.order_key == 0 && !message.is_dead);
        let first = if is_plain { (u64::MAX, u64::MAX) } else { (order_key, first) };
        let keyed = self.keyed.range(first..).take_while(move |key| **key <= (order_key, last));
        plain.chain(keyed.filter_map(|(_, seq)| self.ring.get(self.find(*seq)?)))
    }

    /// Messages by order key and number, after the one with these.
    pub(crate) fn in_order(&self, after: Option<(u64, u64)>) -> impl Iterator<Item = &TailMessage> {
        let from = match after {
            None => 0,
            Some((0, seq)) => seq.checked_add(1).and_then(|seq| self.find(seq)).unwrap_or(self.ring.len()),
            Some(_) => self.ring.len(),
        };
        let plain = self.ring.range(from..).filter(|message| message.order_key == 0 && !message.is_dead);
        let keyed = self.keyed.range((Bound::Excluded(after.unwrap_or_default()), Bound::Unbounded));
        plain.chain(keyed.filter_map(|(_, seq)| self.ring.get(self.find(*seq)?)))
    }

    /// Gives back the memory of an empty tail. Not done by itself: a queue that is emptied by each
    /// settlement would ask for it again with each message.
    pub(crate) fn trim(&mut self) {
        if self.is_empty() {
            self.ring = VecDeque::new();
        }
    }

    /// Bytes of memory, about.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        self.ring.capacity() * size_of::<TailMessage>() + self.keyed.len() * 40
    }

    /// The place of the first with this number or a higher one, dead or not.
    fn find(&self, seq: u64) -> Option<usize> {
        let front = self.ring.front()?.seq;
        let guess = usize::try_from(seq.saturating_sub(front)).unwrap_or(usize::MAX);
        // Mostly there are no gaps.
        if self.ring.get(guess).is_some_and(|message| message.seq == seq) {
            return Some(guess);
        }
        let at = self.ring.partition_point(|message| message.seq < seq);
        (at < self.ring.len()).then_some(at)
    }

    fn note_dead(&mut self, message: &TailMessage) {
        self.dead += 1;
        if message.order_key != 0 {
            self.keyed.remove(&(message.order_key, message.seq));
        }
    }

    fn tidy(&mut self) {
        while self.ring.front().is_some_and(|message| message.is_dead) {
            self.ring.pop_front();
            self.dead -= 1;
        }
        while self.ring.back().is_some_and(|message| message.is_dead) {
            self.ring.pop_back();
            self.dead -= 1;
        }
        if self.dead > DEAD_LEFT && self.dead > self.len() {
            self.ring.retain(|message| !message.is_dead);
            self.dead = 0;
        }
        if self.ring.capacity() > DEAD_LEFT && self.ring.len() < self.ring.capacity() / SHRINK_BELOW {
            self.ring.shrink_to(self.ring.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn message(seq: u64, order_key: u64) -> TailMessage {
        TailMessage::new(seq, order_key, 0, MessageFlags::NONE, BodyAt::default(), seq)
    }

    proptest! {
        #[test]
        fn it_does_what_a_plain_map_does(steps in proptest::collection::vec((0..300_u64, 0..40_u64, 0..8_u8), 1..400)) {
            let (mut tail, mut model, mut next) = (Tail::default(), BTreeMap::new(), 0);
            for (number, len, kind) in steps {
                match kind {
                    0..=3 => {
                        next += 1 + len / 38;
                        let key = if kind == 0 { len % 3 } else { 0 };
                        prop_assert!(tail.insert(message(next, key)));
                        model.insert(next, key);
                    }
                    4 => {
                        let is_new = !model.contains_key(&number);
                        prop_assert_eq!(tail.insert(message(number, 1)), is_new);
                        if is_new {
                            model.insert(number, 1);
                            next = next.max(number);
                        }
                    }
                    5 => prop_assert_eq!(tail.remove(number).map(|found| found.order_key), model.remove(&number)),
                    _ => {
                        let mut taken = Vec::new();
                        tail.remove_range(number, number + len, |found| found.seq % 3 != 0, |found| taken.push(found.seq));
                        let expected: Vec<u64> = model.range(number..=number + len).map(|(seq, _)| *seq).filter(|seq| seq % 3 != 0).collect();
                        expected.iter().for_each(|seq| { model.remove(seq); });
                        prop_assert_eq!(taken, expected);
                    }
                }
                prop_assert_eq!(tail.len(), model.len());
            }
            let found: BTreeMap<u64, u64> = tail.iter().map(|found| (found.seq, found.order_key)).collect();
            prop_assert_eq!(&found, &model);
            let mut expected: Vec<(u64, u64)> = model.iter().map(|(seq, key)| (*key, *seq)).collect();
            expected.sort_unstable();
            prop_assert_eq!(tail.in_order(None).map(|found| (found.order_key, found.seq)).collect::<Vec<_>>(), expected.clone());
            for (at, after) in expected.iter().enumerate().step_by(7) {
                let rest: Vec<_> = tail.in_order(Some(*after)).map(|found| (found.order_key, found.seq)).collect();
                prop_assert_eq!(&rest, &expected[at + 1..]);
            }
            for key in 0..3 {
                let line: Vec<u64> = tail.line(key, 20, 200).map(|found| found.seq).collect();
                let expected: Vec<u64> = model.range(20..=200).filter(|(_, found)| **found == key).map(|(seq, _)| *seq).collect();
                prop_assert_eq!(line, expected);
            }
        }
    }

    #[test]
    fn a_message_takes_64_bytes_and_an_empty_tail_nothing() {
        assert_eq!(size_of::<TailMessage>(), 64);
        let mut tail = Tail::default();
        (1..=10_000).for_each(|seq| assert!(tail.insert(message(seq, 0))));
        assert!(tail.memory() <= 16_384 * 64, "{}", tail.memory());
        (1..=10_000).for_each(|seq| assert!(tail.remove(seq).is_some()));
        tail.trim();
        assert_eq!(tail.memory(), 0);
    }

    #[test]
    fn batches_compare_across_the_wrap_of_their_low_bits() {
        let of = |batch| TailMessage::new(1, 0, 0, MessageFlags::NONE, BodyAt::default(), batch);
        let wrap = u64::from(u32::MAX);
        for (batch, cut, is_within) in
            [(5, 5, true), (6, 5, false), (wrap, wrap + 2, true), (wrap + 2, wrap, false)]
        {
            assert_eq!(of(batch).is_within(cut), is_within, "{batch} {cut}");
        }
    }
}
