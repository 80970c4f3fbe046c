//! What a queue holds: a function of what was enqueued, settled and returned, and of nothing else.
//!
//! Ready messages go out by their sequence number: what was returned stands before all that was never taken,
//! since it was taken earlier. Messages that are out with a consumer wait in `unacked` for their settlement.

use std::collections::{BTreeMap, VecDeque};

use super::store::{Place, Store};
use crate::ids::QueueSeq;
use crate::message::Message;

/// How a message is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// It has a record in the log, so its settlement needs one too.
    pub logged: bool,
    /// It was delivered before.
    pub redelivered: bool,
}

/// One message of a queue.
#[derive(Debug)]
pub struct Entry {
    seq: QueueSeq,
    place: Place,
    keep: Keep,
}

impl Entry {
    /// Its permanent place in the queue.
    #[must_use]
    pub fn seq(&self) -> QueueSeq {
        self.seq
    }

    /// Whether it has a record in the log.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        self.keep.logged
    }

    /// Whether it was delivered before.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.keep.redelivered
    }
}

/// Sums over a queue's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages ready for delivery.
    pub ready: u64,
    /// Messages out with consumers.
    pub unacked: u64,
    /// Body bytes of the ready messages.
    pub ready_bytes: u64,
    /// Body bytes of the unacked messages.
    pub unacked_bytes: u64,
}

/// Sequence numbers as inclusive ranges, built in rising order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeqRanges(Vec<(u64, u64)>);

impl SeqRanges {
    /// Adds a number; one that continues the last range extends it.
    pub fn push(&mut self, seq: QueueSeq) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == seq.0 => *last = seq.0,
            _ => self.0.push((seq.0, seq.0)),
        }
    }

    /// The ranges, first and last inclusive.
    #[must_use]
    pub fn as_slice(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets all, keeping the room.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// The messages of one queue.
#[derive(Debug, Default)]
pub struct Contents {
    store: Store,
    next_seq: u64,
    /// Never taken, in order.
    fresh: VecDeque<Entry>,
    /// Taken once and given back; every one lies before all of `fresh`.
    returned: BTreeMap<QueueSeq, Entry>,
    unacked: Unacked,
    totals: Totals,
}

impl Contents {
    /// Appends a message and gives it the next number.
    pub fn enqueue(&mut self, message: &Message<'_>, keep: Keep) -> QueueSeq {
        let seq = QueueSeq(self.next_seq);
        self.next_seq += 1;
        self.push(seq, message, keep);
        seq
    }

    /// The number that the next message gets.
    #[must_use]
    pub fn next_seq(&self) -> QueueSeq {
        QueueSeq(self.next_seq)
    }

    /// Puts a message back that the log kept. Messages come in rising order.
    pub fn restore(&mut self, seq: QueueSeq, message: &Message<'_>, keep: Keep) {
        self.reserve_until(QueueSeq(seq.0 + 1));
        self.push(seq, message, keep);
    }

    /// Never gives a number below `seq` again.
    pub fn reserve_until(&mut self, seq: QueueSeq) {
        self.next_seq = self.next_seq.max(seq.0);
    }

    fn push(&mut self, seq: QueueSeq, message: &Message<'_>, keep: Keep) {
        self.totals.ready += 1;
        self.totals.ready_bytes += message.body.len() as u64;
        let place = self.store.put(message);
        self.fresh.push_back(Entry { seq, place, keep });
    }

    /// Takes the first ready message. It counts as neither ready nor unacked until [`Contents::hold`],
    /// [`Contents::discard`] or [`Contents::put_back`] says what became of it.
    pub fn take(&mut self) -> Option<Entry> {
        let entry = match self.returned.pop_first() {
            Some((_, entry)) => entry,
            None => self.fresh.pop_front()?,
        };
        self.totals.ready -= 1;
        self.totals.ready_bytes -= entry.place.body_len();
        Some(entry)
    }

    /// The message of a taken entry.
    #[must_use]
    pub fn message<'a>(&'a self, entry: &'a Entry) -> Message<'a> {
        self.store.get(&entry.place)
    }

    /// A taken message is out with a consumer that will settle it.
    pub fn hold(&mut self, entry: Entry) {
        self.totals.unacked += 1;
        self.totals.unacked_bytes += entry.place.body_len();
        self.unacked.insert(entry);
    }

    /// A taken message is gone for good.
    pub fn discard(&mut self, entry: &Entry) {
        self.store.free(&entry.place);
    }

    /// A taken message was not delivered after all; it is ready again, unmarked.
    pub fn put_back(&mut self, entry: Entry) {
        self.totals.ready += 1;
        self.totals.ready_bytes += entry.place.body_len();
        self.returned.insert(entry.seq, entry);
    }

    /// Removes an unacked message. True if the log must hear of it; false if it is unknown or was never logged.
    pub fn settle(&mut self, seq: QueueSeq) -> bool {
        let Some(entry) = self.unacked.remove(seq) else { return false };
        self.totals.unacked -= 1;
        self.totals.unacked_bytes -= entry.place.body_len();
        self.store.free(&entry.place);
        entry.keep.logged
    }

    /// Returns an unacked message to its old place, marked redelivered. False if it is unknown.
    pub fn requeue(&mut self, seq: QueueSeq) -> bool {
        let Some(mut entry) = self.unacked.remove(seq) else { return false };
        self.totals.unacked -= 1;
        self.totals.unacked_bytes -= entry.place.body_len();
        entry.keep.redelivered = true;
        self.put_back(entry);
        true
    }

    /// Removes all ready messages; `logged` receives those that the log must hear of.
    pub fn purge(&mut self, logged: &mut SeqRanges) -> u64 {
        let mut count = 0;
        while let Some(entry) = self.take() {
            if entry.keep.logged {
                logged.push(entry.seq);
            }
            self.discard(&entry);
            count += 1;
        }
        self.store.shrink();
        count
    }

    /// Counts and bytes.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The logged messages that were delivered, out with a consumer or back again, for the exact mark of a clean
    /// stop.
    pub fn delivered(&self, out: &mut SeqRanges) {
        let back = self.returned.values().chain(&self.fresh).filter(|entry| entry.keep.redelivered);
        let logged = back.chain(self.unacked.iter()).filter(|entry| entry.keep.logged);
        let mut numbers: Vec<QueueSeq> = logged.map(|entry| entry.seq).collect();
        numbers.sort_unstable();
        for seq in numbers {
            out.push(seq);
        }
    }

    /// Frees memory that only a busy queue needs.
    pub fn shrink(&mut self) {
        self.store.shrink();
        if self.fresh.is_empty() {
            self.fresh = VecDeque::new();
        }
        self.unacked.shrink();
    }
}

/// Messages out with consumers, by number.
///
/// First deliveries rise, so they are appended to a deque and found by halving; what is settled out of turn
/// leaves a hole, and the holes are closed once they are the larger part. Second deliveries, which come in any
/// order, have a tree of their own.
#[derive(Debug, Default)]
struct Unacked {
    first: VecDeque<Option<Entry>>,
    /// The numbers of `first`, holes included.
    numbers: VecDeque<u64>,
    live: usize,
    again: BTreeMap<QueueSeq, Entry>,
}

impl Unacked {
    fn insert(&mut self, entry: Entry) {
        if self.numbers.back().is_some_and(|last| *last >= entry.seq.0) {
            self.again.insert(entry.seq, entry);
        } else {
            self.numbers.push_back(entry.seq.0);
            self.first.push_back(Some(entry));
            self.live += 1;
        }
    }

    fn remove(&mut self, seq: QueueSeq) -> Option<Entry> {
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

    fn iter(&self) -> impl Iterator<Item = &Entry> {
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

    fn shrink(&mut self) {
        if self.first.is_empty() {
            self.first = VecDeque::new();
            self.numbers = VecDeque::new();
        }
    }
}
