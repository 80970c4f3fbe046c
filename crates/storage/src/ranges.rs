//! Sets of message numbers, as ranges where they are few and as bits where they are many.
//!
//! Owns the set and its bytes. The numbers are cut into chunks of 4,096: a row of whole chunks takes one
//! piece, a chunk in part a short list of ranges, and one with more than 128 of them a bitmap. So a queue
//! consumed in order takes two pieces, and no pattern takes more than a bit and a little for each number.

use crate::format::{Reader, put_varint};

const CHUNK_BITS: u32 = 12;
const CHUNK: u64 = 1 << CHUNK_BITS;
/// The last number of a chunk, within it.
const CHUNK_LAST: u16 = (CHUNK - 1) as u16;
const WORDS: usize = (CHUNK / 64) as usize;
/// With more ranges than this a chunk becomes a bitmap of the same size.
const MOST_RANGES: usize = 128;

/// A set of numbers that knows ranges. Ends are inclusive.
#[derive(Debug, Clone, Default)]
pub(crate) struct RangeSet {
    /// In ascending order, none overlapping; rows of whole chunks never touch each other.
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
struct Piece {
    first: u64,
    /// The same chunk but in a row of whole ones.
    last: u64,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    Whole,
    /// Ascending, never touching.
    Ranges(Vec<(u16, u16)>),
    Bits(Box<[u64; WORDS]>),
}

impl RangeSet {
    /// Adds `first` to `last` and says which of them were new.
    pub(crate) fn insert(&mut self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let new = self.gaps(first, last).collect();
        self.add(first, last);
        new
    }

    /// Adds `first` to `last`.
    pub(crate) fn add(&mut self, first: u64, last: u64) {
        self.by_chunks(first, last, Self::add_whole, Self::add_part);
    }

    /// Takes `first` to `last` away.
    pub(crate) fn remove(&mut self, first: u64, last: u64) {
        self.by_chunks(first, last, Self::remove_whole, Self::remove_part);
    }

    /// Whether `number` is in the set.
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.piece_at(number >> CHUNK_BITS)
            .and_then(|index| self.pieces.get(index)?.next(number))
            .is_some_and(|(first, _)| first == number)
    }

    /// Whether nothing is in the set.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// All ranges, ascending and as long as they can be.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.within(0, u64::MAX)
    }

    /// The parts of `first` to `last` that are in the set, ascending and as long as they can be.
    pub(crate) fn within(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut at = Some(first);
        std::iter::from_fn(move || {
            let (from, to) = self.next(at.take()?).filter(|(from, _)| *from <= last)?;
            at = to.checked_add(1);
            Some((from, to.min(last)))
        })
    }

    /// The parts of `first` to `last` that are not in the set, ascending and as long as they can be.
    pub(crate) fn gaps(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut at = Some(first);
        std::iter::from_fn(move || {
            loop {
                let from = at.filter(|from| *from <= last)?;
                let (to, next) = match self.next(from) {
                    Some((covered, end)) if covered <= last => (covered.checked_sub(1), end.checked_add(1)),
                    _ => (Some(last), None),
                };
                at = next;
                if let Some(to) = to.filter(|to| *to >= from) {
                    return Some((from, to));
                }
            }
        })
    }

    /// How many of `first` to `last` are in the set.
    pub(crate) fn count(&self, first: u64, last: u64) -> u64 {
        let len = |(first, last): (u64, u64)| (last - first).saturating_add(1);
        self.within(first, last).map(len).fold(0, u64::saturating_add)
    }

    /// Bytes of memory it takes, beside itself.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        let bodies = self.pieces.iter().map(|piece| match &piece.body {
            Body::Whole => 0,
            Body::Ranges(ranges) => ranges.capacity() * size_of::<(u16, u16)>(),
            Body::Bits(_) => WORDS * 8,
        });
        self.pieces.capacity() * size_of::<Piece>() + bodies.sum::<usize>()
    }

    /// The first range at or after `at`, as long as it can be.
    fn next(&self, at: u64) -> Option<(u64, u64)> {
        let from = self.pieces.partition_point(|piece| piece.last < at >> CHUNK_BITS);
        let mut pieces = self.pieces.get(from..)?.iter();
        let (first, mut last) = pieces.find_map(|piece| piece.next(at))?;
        for piece in pieces {
            match last.checked_add(1).and_then(|next| Some((next, piece.next(next)?))) {
                Some((next, (start, end))) if start == next => last = end,
                _ => break,
            }
        }
        Some((first, last))
    }

    /// Calls `whole` with the chunks that lie within the range and `part` with the others.
    fn by_chunks(
        &mut self,
        first: u64,
        last: u64,
        whole: fn(&mut Self, u64, u64),
        part: fn(&mut Self, u64, u16, u16),
    ) {
        if first > last {
            return;
        }
        let within = |number: u64| (number % CHUNK) as u16;
        let (mut from, mut to) = (first >> CHUNK_BITS, last >> CHUNK_BITS);
        let (low, high) = (within(first), within(last));
        if from == to && (low, high) != (0, CHUNK_LAST) {
            return part(self, from, low, high);
        }
        if low != 0 {
            part(self, from, low, CHUNK_LAST);
            from += 1;
        }
        if high != CHUNK_LAST {
            part(self, to, 0, high);
            if to == from {
                return;
            }
            to -= 1;
        }
        if from <= to {
            whole(self, from, to);
        }
    }

    fn piece_at(&self, chunk: u64) -> Option<usize> {
        let index = self.pieces.partition_point(|piece| piece.last < chunk);
        self.pieces.get(index).is_some_and(|piece| piece.first <= chunk).then_some(index)
    }

    fn add_whole(&mut self, mut first: u64, mut last: u64) {
        // A neighbour that is whole joins the row; what lies within is replaced.
        let mut from = self.pieces.partition_point(|piece| piece.last < first);
        let mut to = self.pieces.partition_point(|piece| piece.first <= last);
        let is_joined = |piece: &Piece| {
            matches!(piece.body, Body::Whole)
                && piece.first <= last.saturating_add(1)
                && first <= piece.last.saturating_add(1)
        };
        if from.checked_sub(1).and_then(|index| self.pieces.get(index)).is_some_and(is_joined) {
            from -= 1;
        }
        if self.pieces.get(to).is_some_and(is_joined) {
            to += 1;
        }
        for piece in self.pieces.get(from..to).unwrap_or_default() {
            first = first.min(piece.first);
            last = last.max(piece.last);
        }
        self.pieces.splice(from..to.max(from), [Piece { first, last, body: Body::Whole }]);
    }

    fn add_part(&mut self, chunk: u64, first: u16, last: u16) {
        let index = self.pieces.partition_point(|piece| piece.last < chunk);
        match self.pieces.get_mut(index).filter(|piece| piece.first <= chunk) {
            Some(piece) => {
                piece.body.add(first, last);
                if piece.body.is_newly_whole() {
                    self.add_whole(chunk, chunk);
                }
            }
            None => {
                let body = Body::Ranges(vec![(first, last)]);
                self.pieces.insert(index, Piece { first: chunk, last: chunk, body });
            }
        }
    }

    fn remove_whole(&mut self, first: u64, last: u64) {
        let from = self.pieces.partition_point(|piece| piece.last < first);
        let to = self.pieces.partition_point(|piece| piece.first <= last).max(from);
        let row = |first, last| Piece { first, last, body: Body::Whole };
        let hit = self.pieces.get(from..to).unwrap_or_default();
        let before = hit.first().filter(|piece| piece.first < first).map(|piece| row(piece.first, first - 1));
        let after = hit.last().filter(|piece| piece.last > last).map(|piece| row(last + 1, piece.last));
        self.pieces.splice(from..to, before.into_iter().chain(after));
    }

    fn remove_part(&mut self, chunk: u64, first: u16, last: u16) {
        let Some(index) = self.piece_at(chunk) else { return };
        if self.pieces.get(index).is_some_and(|piece| matches!(piece.body, Body::Whole)) {
            self.remove_whole(chunk, chunk);
            if let Some(before) = first.checked_sub(1) {
                self.add_part(chunk, 0, before);
            }
            if last < CHUNK_LAST {
                self.add_part(chunk, last + 1, CHUNK_LAST);
            }
        } else if let Some(piece) = self.pieces.get_mut(index) {
            piece.body.remove(first, last);
            if piece.body.is_empty() {
                self.pieces.remove(index);
            }
        }
    }
}

impl PartialEq for RangeSet {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for RangeSet {}

impl Piece {
    fn first_number(&self) -> u64 {
        self.first << CHUNK_BITS
    }

    fn last_number(&self) -> u64 {
        self.last << CHUNK_BITS | u64::from(CHUNK_LAST)
    }

    /// The first range at or after `at`, as far as it lies in this piece.
    fn next(&self, at: u64) -> Option<(u64, u64)> {
        if at > self.last_number() {
            return None;
        }
        let at = at.max(self.first_number());
        if matches!(self.body, Body::Whole) {
            return Some((at, self.last_number()));
        }
        let (first, last) = self.body.next((at % CHUNK) as u16)?;
        let base = self.first_number();
        Some((base | u64::from(first), base | u64::from(last)))
    }
}

/// Within one chunk.
impl Body {
    fn next(&self, at: u16) -> Option<(u16, u16)> {
        match self {
            Self::Whole => Some((at, CHUNK_LAST)),
            Self::Ranges(ranges) => {
                let index = ranges.partition_point(|(_, last)| *last < at);
                ranges.get(index).map(|(first, last)| ((*first).max(at), *last))
            }
            Self::Bits(words) => {
                let first = next_bit(words, at, false)?;
                let end = next_bit(words, first, true);
                Some((first, end.map_or(CHUNK_LAST, |end| end.saturating_sub(1))))
            }
        }
    }

    fn add(&mut self, first: u16, last: u16) {
        match self {
            Self::Whole => {}
            Self::Ranges(ranges) => {
                let from = ranges.partition_point(|(_, end)| end.saturating_add(1) < first);
                let to = ranges.partition_point(|(start, _)| *start <= last.saturating_add(1));
                let joined = ranges.get(from..to).unwrap_or_default();
                let low = joined.first().map_or(first, |(start, _)| first.min(*start));
                let high = joined.last().map_or(last, |(_, end)| last.max(*end));
                ranges.splice(from..to, [(low, high)]);
                if ranges.len() > MOST_RANGES {
                    let mut words = Box::new([0; WORDS]);
                    ranges.iter().for_each(|(first, last)| set_bits(&mut words, *first, *last, true));
                    *self = Self::Bits(words);
                }
            }
            Self::Bits(words) => set_bits(words, first, last, true),
        }
    }

    /// Removes from a chunk in part.
    fn remove(&mut self, first: u16, last: u16) {
        match self {
            Self::Whole => debug_assert!(false, "a row of whole chunks is split before"),
            Self::Ranges(ranges) => {
                let from = ranges.partition_point(|(_, end)| *end < first);
                let to = ranges.partition_point(|(start, _)| *start <= last).max(from);
                let hit = ranges.get(from..to).unwrap_or_default();
                let before =
                    hit.first().filter(|(start, _)| *start < first).map(|(start, _)| (*start, first - 1));
                let after = hit.last().filter(|(_, end)| *end > last).map(|(_, end)| (last + 1, *end));
                ranges.splice(from..to, before.into_iter().chain(after));
            }
            Self::Bits(words) => set_bits(words, first, last, false),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Whole => false,
            Self::Ranges(ranges) => ranges.is_empty(),
            Self::Bits(words) => words.iter().all(|word| *word == 0),
        }
    }

    /// Whether it covers its chunk without saying so yet.
    fn is_newly_whole(&self) -> bool {
        match self {
            Self::Whole => false,
            Self::Ranges(ranges) => ranges.first() == Some(&(0, CHUNK_LAST)),
            Self::Bits(words) => words.iter().all(|word| *word == u64::MAX),
        }
    }
}

/// The first bit at or after `at` that is set, or clear if `inverted`.
fn next_bit(words: &[u64; WORDS], at: u16, inverted: bool) -> Option<u16> {
    let start = usize::from(at / 64);
    let mut mask = u64::MAX << (at % 64);
    for (index, word) in words.iter().enumerate().skip(start) {
        let found = (if inverted { !word } else { *word }) & mask;
        if found != 0 {
            return u16::try_from(index * 64 + found.trailing_zeros() as usize).ok();
        }
        mask = u64::MAX;
    }
    None
}

fn set_bits(words: &mut [u64; WORDS], first: u16, last: u16, value: bool) {
    let (from, to) = (usize::from(first / 64), usize::from(last / 64));
    for (index, word) in words.iter_mut().enumerate().take(to + 1).skip(from) {
        let low = if index == from { u64::MAX << (first % 64) } else { u64::MAX };
        let high = if index == to { u64::MAX >> (63 - last % 64) } else { u64::MAX };
        *word = if value { *word | (low & high) } else { *word & !(low & high) };
    }
}

const WHOLE: u64 = 0;
const RANGES: u64 = 1;
const BITS: u64 = 2;

/// Bytes: the number of pieces, then for each the chunks since the last one, its kind, and its body; whole:
/// chunks in the row less one; ranges: their number, then for each the distance from the end of the one
/// before and its length less one; bits: 512 bytes. All but the bits are variable-length integers.
impl RangeSet {
    /// Appends the set's bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.pieces.len() as u64);
        let mut after = 0;
        for piece in &self.pieces {
            put_varint(out, piece.first - after);
            after = piece.last + 1;
            match &piece.body {
                Body::Whole => {
                    put_varint(out, WHOLE);
                    put_varint(out, piece.last - piece.first);
                }
                Body::Ranges(ranges) => {
                    put_varint(out, RANGES);
                    put_varint(out, ranges.len() as u64);
                    let mut after = 0;
                    for (first, last) in ranges {
                        put_varint(out, u64::from(first - after));
                        put_varint(out, u64::from(last - first));
                        after = last + 1;
                    }
                }
                Body::Bits(words) => {
                    put_varint(out, BITS);
                    words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
                }
            }
        }
    }

    /// Reads a set, or `None` if these are not the bytes of one.
    pub(crate) fn decode(at: &mut Reader<'_>) -> Option<Self> {
        let mut set = Self::default();
        let mut after = 0_u64;
        for _ in 0..at.varint()? {
            let first = after.checked_add(at.varint()?).filter(|chunk| *chunk <= u64::MAX >> CHUNK_BITS)?;
            let (mut last, mut body) = (first, Body::Whole);
            match at.varint()? {
                WHOLE => {
                    last = first.checked_add(at.varint()?).filter(|chunk| *chunk <= u64::MAX >> CHUNK_BITS)?
                }
                RANGES => body = Body::Ranges(decode_ranges(at)?),
                BITS => {
                    let mut words = Box::new([0; WORDS]);
                    for word in words.iter_mut() {
                        *word = at.u64()?;
                    }
                    body = Body::Bits(words);
                }
                _ => return None,
            }
            if body.is_empty() || body.is_newly_whole() {
                return None;
            }
            set.pieces.push(Piece { first, last, body });
            after = last.checked_add(1)?;
        }
        Some(set)
    }
}

fn decode_ranges(at: &mut Reader<'_>) -> Option<Vec<(u16, u16)>> {
    let count = usize::try_from(at.varint()?).ok().filter(|count| *count <= MOST_RANGES)?;
    let mut ranges = Vec::with_capacity(count);
    let mut after = 0_u64;
    for _ in 0..count {
        let first = after.checked_add(at.varint()?)?;
        let last = first.checked_add(at.varint()?).filter(|last| *last <= u64::from(CHUNK_LAST))?;
        if first == after && !ranges.is_empty() {
            return None;
        }
        ranges.push((first as u16, last as u16));
        after = last + 1;
    }
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Numbers around the ends of chunks, where mistakes would be.
    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![0..20_u64, CHUNK - 10..CHUNK + 10, 3 * CHUNK - 10..3 * CHUNK + 10, 0..4 * CHUNK]
    }

    fn runs(model: &BTreeSet<u64>) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for number in model {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == *number => *last = *number,
                _ => runs.push((*number, *number)),
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn it_does_what_a_plain_set_does(
            steps in proptest::collection::vec((number(), 0..3 * CHUNK, 0..4_u8), 1..60), dense in any::<bool>()
        ) {
            let mut model = BTreeSet::new();
            let mut set = RangeSet::default();
            if dense {
                for even in (0..2 * CHUNK).step_by(2) {
                    set.add(even, even);
                    model.insert(even);
                }
            }
            for (first, len, kind) in steps {
                let last = first + if kind & 1 == 0 { len } else { len % 5 };
                let is_in = |range: &(u64, u64)| (range.0..=range.1).collect::<Vec<_>>();
                if kind < 2 {
                    let new: Vec<u64> = (first..=last).filter(|number| model.insert(*number)).collect();
                    let said: Vec<u64> = set.insert(first, last).iter().flat_map(is_in).collect();
                    prop_assert_eq!(said, new);
                } else {
                    (first..=last).for_each(|number| { model.remove(&number); });
                    set.remove(first, last);
                }
                prop_assert_eq!(set.contains(first), model.contains(&first));
                prop_assert_eq!(set.count(first, last), model.range(first..=last).count() as u64);
                prop_assert_eq!(set.is_empty(), model.is_empty());
            }
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), runs(&model));
            let inverse: BTreeSet<u64> = (5..4 * CHUNK).filter(|number| !model.contains(number)).collect();
            prop_assert_eq!(set.gaps(5, 4 * CHUNK - 1).collect::<Vec<_>>(), runs(&inverse));

            let mut bytes = Vec::new();
            set.encode(&mut bytes);
            let mut at = Reader::new(&bytes);
            prop_assert_eq!(RangeSet::decode(&mut at), Some(set));
            prop_assert!(at.is_empty());
        }

        #[test]
        fn any_bytes_read_as_a_set_or_as_none(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(set) = RangeSet::decode(&mut Reader::new(&bytes)) {
                let ranges: Vec<_> = set.iter().collect();
                prop_assert!(ranges.windows(2).all(|two| two[0].1 < two[1].0 - 1));
            }
        }
    }

    #[test]
    fn the_whole_of_all_numbers_is_a_set_too() {
        let mut set = RangeSet::default();
        assert_eq!(set.insert(0, u64::MAX), [(0, u64::MAX)]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [(0, u64::MAX)]);
        assert_eq!(set.gaps(0, u64::MAX).count(), 0);
        set.remove(u64::MAX, u64::MAX);
        set.remove(0, 0);
        assert_eq!(set.iter().collect::<Vec<_>>(), [(1, u64::MAX - 1)]);
        assert_eq!(set.insert(7, u64::MAX), [(u64::MAX, u64::MAX)]);
        let mut bytes = Vec::new();
        set.encode(&mut bytes);
        assert_eq!(RangeSet::decode(&mut Reader::new(&bytes)), Some(set));
    }

    #[test]
    fn no_pattern_takes_more_than_two_bits_a_number() {
        let (mut in_order, mut every_second) = (RangeSet::default(), RangeSet::default());
        for number in 0..1_000_000 {
            in_order.add(number, number);
            if number % 2 == 0 {
                every_second.add(number, number);
            }
        }
        assert!(in_order.memory() < 1_000, "{}", in_order.memory());
        assert!(every_second.memory() < 250_000, "{}", every_second.memory());
        let mut bytes = Vec::new();
        every_second.encode(&mut bytes);
        assert!(bytes.len() < 150_000, "{}", bytes.len());
    }
}
