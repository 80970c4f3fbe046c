//! What a queue holds: a function of what was enqueued, settled and returned, and of nothing else.
//!
//! Ready messages wait in the order of `ready`. Messages that are out with a consumer wait in `unacked` for their
//! settlement. What leaves to be dead-lettered is an [`Entry`] in its taker's hands; its bytes stay here until
//! [`Contents::discard`].
//!
//! Messages may be *cold*: counted here, with their bytes in a log. [`Contents::want`] says what is to be loaded,
//! [`Contents::load`] takes it in; until then a queue whose next message is cold has none to give.

use super::entry::{Entry, Keep};
use super::length_limit::LengthLimit;
use super::line::ColdCounts;
use super::planted::{Plant, is_planted};
use super::ready::Ready;
use super::seq_ranges::SeqRanges;
use super::store::Store;
use super::unacked::Unacked;
use crate::arguments::{QueueSettings, QueueType};
use crate::ids::QueueSeq;
use crate::message::Message;

/// What a message takes in memory beside its bytes: its entry, and its share of what holds entries.
pub const ENTRY_BYTES: u64 = 64;

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

/// What became of a message that was to return.
#[derive(Debug)]
pub enum Requeued {
    /// It is ready again. With the number of its returns, if the log must hear of it.
    Back(Option<u32>),
    /// It came back too often: it is taken, and to be dead-lettered or dropped.
    OverLimit(Entry),
    /// No such message is out.
    Unknown,
}

/// What is to be loaded: messages of a level from this number on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// The level.
    pub level: u8,
    /// The number to begin with.
    pub first: QueueSeq,
}

/// The messages of one queue.
#[derive(Debug, Default)]
pub struct Contents {
    store: Store,
    next_seq: u64,
    ready: Ready,
    unacked: Unacked,
    totals: Totals,
    /// How many ready messages have a deadline.
    timed: u64,
    /// How many ready messages are not in memory.
    cold: u64,
    /// How many ready messages in memory may not leave yet,
    unexposed: u64,
    /// and for how many of them that is on its way to the disk.
    exposing: u64,
    /// None for a queue whose arguments limit nothing: it pays nothing for them.
    rules: Option<Box<Rules>>,
}

/// What a queue's arguments ask of its contents.
#[derive(Clone, Copy, Debug)]
struct Rules {
    length: Option<LengthLimit>,
    /// Whether returns are counted.
    counts: bool,
    /// Returns beyond this many are dead-lettered.
    delivery_limit: Option<u64>,
}

impl Rules {
    fn new(settings: &QueueSettings) -> Option<Box<Self>> {
        let length = LengthLimit::new(settings);
        let counts = settings.queue_type == QueueType::Quorum;
        let rules = Self { length, counts, delivery_limit: settings.delivery_limit() };
        (counts || length.is_some()).then(|| Box::new(rules))
    }
}

impl Contents {
    /// An empty queue with those arguments.
    #[must_use]
    pub fn new(settings: &QueueSettings) -> Self {
        let ready = match (settings.queue_type, settings.max_priority) {
            (QueueType::Quorum, _) => Ready::weighted(),
            // RabbitMQ has two levels at least.
            (QueueType::Classic, Some(max)) => Ready::with_priorities(max.max(1)),
            (QueueType::Classic, None) => Ready::default(),
        };
        Self { ready, rules: Rules::new(settings), ..Self::default() }
    }

    /// Changes the limits of length and deliveries to those of other arguments. The type and the priorities stay.
    pub fn limit(&mut self, settings: &QueueSettings) {
        self.rules = Rules::new(settings);
    }

    /// Whether messages have levels, so that the caller must look for their priority.
    #[must_use]
    pub fn has_levels(&self) -> bool {
        self.ready.has_levels()
    }

    /// The level, for [`Keep`] and the log, of a message with that priority.
    #[must_use]
    pub fn level(&self, priority: u8) -> u8 {
        self.ready.level(priority)
    }

    /// Whether returns are counted: the log must hear of them, and deliveries say the count.
    #[must_use]
    pub fn counts_deliveries(&self) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.counts)
    }

    /// Whether a message of that length is to be refused, since the queue is full (`x-overflow` `reject-publish` and
    /// `reject-publish-dlx`). Asked before each [`Contents::enqueue`].
    pub fn would_reject(&mut self, body_len: u64) -> bool {
        let totals = self.totals;
        self.length_limit().is_some_and(|limit| limit.would_reject(&totals, body_len))
    }

    fn length_limit(&mut self) -> Option<&mut LengthLimit> {
        self.rules.as_mut()?.length.as_mut()
    }

    /// Appends a message and gives it the next number.
    pub fn enqueue(&mut self, message: &Message<'_>, keep: Keep) -> QueueSeq {
        let seq = QueueSeq(self.next_seq);
        self.next_seq += 1;
        self.push(seq, message, keep);
        seq
    }

    /// Appends a message whose bytes stay in the log, and gives it the next number.
    pub fn enqueue_cold(&mut self, level: u8, body_len: u64, is_timed: bool) -> QueueSeq {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.push_cold(level, (seq, seq), ColdCounts::one(body_len, is_timed));
        QueueSeq(seq)
    }

    /// Whether what comes in at that level can only be cold, since it goes behind cold messages.
    #[inline]
    #[must_use]
    pub fn goes_cold(&self, level: u8) -> bool {
        self.cold > 0 && self.ready.goes_cold(level)
    }

    /// Whether the ready message of that number and level is cold.
    #[inline]
    #[must_use]
    pub fn holds_cold(&self, level: u8, seq: QueueSeq) -> bool {
        self.cold > 0 && self.ready.holds_cold(level, seq.0)
    }

    /// Puts a level's messages back that the log kept, none of which is read yet. Their numbers are below
    /// [`Contents::next_seq`]; for a queue that was just made.
    pub fn restore_cold(&mut self, level: u8, counts: ColdCounts) {
        if counts.messages > 0 && self.next_seq > 0 {
            self.push_cold(level, (0, self.next_seq - 1), counts);
        }
    }

    fn push_cold(&mut self, level: u8, (first, last): (u64, u64), counts: ColdCounts) {
        self.ready.push_cold(level, first, last, counts);
        self.cold += counts.messages;
        self.count(counts);
    }

    fn count(&mut self, counts: ColdCounts) {
        self.totals.ready += counts.messages;
        self.totals.ready_bytes += counts.body_bytes;
        self.timed += counts.timed;
    }

    fn uncount(&mut self, counts: ColdCounts) {
        self.totals.ready -= counts.messages;
        self.totals.ready_bytes -= counts.body_bytes;
        self.timed -= counts.timed;
    }

    /// How many ready messages are not in memory.
    #[must_use]
    pub fn cold(&self) -> u64 {
        self.cold
    }

    /// What to load so that the next `messages` can be taken one after another; None if they can, or all there are.
    #[must_use]
    pub fn want(&self, messages: usize) -> Option<Want> {
        if self.cold == 0 {
            return None;
        }
        let (level, first) = self.ready.want(messages)?;
        Some(Want { level, first: QueueSeq(first) })
    }

    /// Takes a cold message into memory. Messages of a level come in rising order and without gaps. False if it is
    /// not among the cold ones: it was purged meanwhile.
    pub fn load(&mut self, seq: QueueSeq, message: &Message<'_>, keep: Keep) -> bool {
        if !self.holds_cold(keep.level, seq) && !is_planted(Plant::LoadUndoesPurge) {
            return false;
        }
        let entry = Entry::new(seq, self.store.put(message), keep);
        let one = ColdCounts::one(entry.place.body_len(), entry.is_timed());
        let may_leave = entry.may_leave();
        match self.ready.load(keep.level, entry, one) {
            Ok(counted) => {
                self.cold -= counted.messages;
                self.uncount(counted);
                self.count(one);
                self.unexposed += u64::from(!may_leave);
                true
            }
            Err(entry) => {
                self.store.free(&entry.place);
                false
            }
        }
    }

    /// All cold messages of a level up to `until` were loaded. With the last of them gone: what was counted and was
    /// not there, which should be nothing; it is counted no more.
    pub fn end_load(&mut self, level: u8, until: QueueSeq) -> ColdCounts {
        let left = self.ready.end_load(level, until.0);
        self.cold -= left.messages;
        self.uncount(left);
        left
    }

    /// Bytes of memory that the messages take, about.
    #[inline]
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.store.live_bytes() + ENTRY_BYTES * (self.totals.ready - self.cold + self.totals.unacked)
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
        let entry = Entry::new(seq, self.store.put(message), keep);
        self.count_ready(&entry);
        self.ready.push(entry);
    }

    fn count_ready(&mut self, entry: &Entry) {
        self.totals.ready += 1;
        self.totals.ready_bytes += entry.place.body_len();
        self.timed += u64::from(entry.is_timed());
        if !entry.may_leave() {
            self.unexposed += 1;
            self.exposing += u64::from(entry.is_exposing());
        }
    }

    /// Takes the first ready message, if it is in memory. It counts as neither ready nor unacked until [`Contents::hold`],
    /// [`Contents::discard`] or [`Contents::put_back`] says what became of it.
    pub fn take(&mut self) -> Option<Entry> {
        let entry = self.ready.pop()?;
        self.totals.ready -= 1;
        self.totals.ready_bytes -= entry.place.body_len();
        self.timed -= u64::from(entry.is_timed());
        if !entry.may_leave() {
            self.unexposed -= 1;
            self.exposing -= u64::from(entry.is_exposing());
        }
        Some(entry)
    }

    /// As [`Contents::take`], if the first ready message may leave: see [`Entry::may_leave`].
    #[inline]
    pub fn take_to_deliver(&mut self) -> Option<Entry> {
        if self.unexposed > 0 && !self.ready.head()?.may_leave() && !is_planted(Plant::LeavesUnexposed) {
            return None;
        }
        self.take()
    }

    /// Whether messages wait that none can be given of: the first is not in memory, or may not leave yet.
    #[must_use]
    #[inline]
    pub fn is_blocked(&self) -> bool {
        if self.cold == 0 && self.unexposed == 0 {
            return false;
        }
        match self.ready.head() {
            Some(entry) => !entry.may_leave(),
            None => self.totals.ready > 0,
        }
    }

    /// Those of the next `most` messages in memory that may not leave and have no Expose under way: it begins now, and
    /// `out` receives their numbers.
    pub fn begin_exposure(&mut self, most: usize, out: &mut SeqRanges) {
        if self.unexposed == 0 {
            return;
        }
        let mut seqs = Vec::new();
        self.ready.next_ones(most, |entry| {
            if entry.begin_exposure() {
                seqs.push(entry.seq());
            }
            false
        });
        self.exposing += seqs.len() as u64;
        seqs.sort_unstable();
        seqs.into_iter().for_each(|seq| out.push(seq));
    }

    /// How many ready messages in memory may not leave yet.
    #[must_use]
    pub fn unexposed(&self) -> u64 {
        self.unexposed
    }

    /// Every exposure that was begun is durable.
    pub fn end_exposure(&mut self) {
        let mut left = std::mem::take(&mut self.exposing);
        self.unexposed -= left;
        if left > 0 {
            self.ready.next_ones(usize::MAX, |entry| {
                left -= u64::from(entry.end_exposure());
                left == 0
            });
        }
    }

    /// Whether a ready message has a deadline: only then is there a need to know the time.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.timed > 0
    }

    /// When the next message expires, in milliseconds of wall-clock time. A message behind it that expires earlier
    /// waits for its turn, as in RabbitMQ.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.ready.head()?.deadline_ms()
    }

    /// Takes the next message if its time has run out at `now_ms`; to be called until there is none.
    ///
    /// With `now_ms` a message that lives for 0 ms is expired at once. So before a delivery one asks with
    /// `now_ms - 1`, that it may still go to a consumer that waits, and after it with `now_ms`.
    pub fn pop_expired(&mut self, now_ms: u64) -> Option<Entry> {
        let now_ms = if is_planted(Plant::LateExpiry) { now_ms.saturating_sub(1) } else { now_ms };
        if self.timed == 0 || !self.ready.head()?.is_expired(now_ms) {
            return None;
        }
        self.take()
    }

    /// Takes the next message if the queue holds more than it may and that one is to make room (`x-overflow`
    /// `drop-head`); to be called until there is none, after a publish was offered to consumers and after returns
    /// before they are offered.
    pub fn pop_overflow(&mut self) -> Option<Entry> {
        let totals = self.totals;
        if !self.length_limit()?.must_drop(&totals) {
            return None;
        }
        self.take()
    }

    /// Whether [`Contents::pop_overflow`] would take a message, were it in memory.
    #[must_use]
    pub fn is_over_limit(&self) -> bool {
        self.rules
            .as_deref()
            .and_then(|rules| rules.length.as_ref())
            .is_some_and(|limit| limit.drops(&self.totals))
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

    /// The message that was taken last was not delivered after all; it is the next again, unmarked.
    pub fn put_back(&mut self, entry: Entry) {
        self.count_ready(&entry);
        self.ready.put_back(entry);
    }

    /// Removes an unacked message. True if the log must hear of it; false if it is unknown or was never logged.
    pub fn settle(&mut self, seq: QueueSeq) -> bool {
        let Some(entry) = self.release(seq) else { return false };
        self.store.free(&entry.place);
        entry.is_logged()
    }

    /// Takes an unacked message out, as one that is rejected and to be dead-lettered. None if it is unknown.
    pub fn withdraw(&mut self, seq: QueueSeq) -> Option<Entry> {
        let entry = self.release(seq)?;
        if is_planted(Plant::WithdrawnLosesBytes) {
            self.store.free(&entry.place);
        }
        Some(entry)
    }

    /// Returns an unacked message to its place, marked redelivered, unless it came back too often.
    pub fn requeue(&mut self, seq: QueueSeq) -> Requeued {
        let Some(mut entry) = self.release(seq) else { return Requeued::Unknown };
        let mut count = None;
        let mut goes_last = false;
        if let Some(rules) = self.rules.as_deref().filter(|rules| rules.counts) {
            let returns = entry.count_return();
            if rules.delivery_limit.is_some_and(|limit| u64::from(returns) > limit) {
                return Requeued::OverLimit(entry);
            }
            count = entry.is_logged().then_some(returns);
            goes_last = rules.delivery_limit.is_none();
        }
        entry.mark_redelivered();
        self.count_ready(&entry);
        if goes_last {
            self.ready.give_back_last(entry, self.next_seq);
        } else {
            self.ready.give_back(entry);
        }
        Requeued::Back(count)
    }

    fn release(&mut self, seq: QueueSeq) -> Option<Entry> {
        let entry = self.unacked.remove(seq)?;
        self.totals.unacked -= 1;
        self.totals.unacked_bytes -= entry.place.body_len();
        Some(entry)
    }

    /// Removes all ready messages; `settled` receives the numbers of which the log must hear. If some were cold those
    /// are all that are neither out with a consumer nor among `kept`, which rise: numbers of messages that were taken
    /// and that the log still counts.
    pub fn purge(&mut self, kept: &[QueueSeq], settled: &mut SeqRanges) -> u64 {
        let count = self.totals.ready;
        let is_exact = self.cold == 0;
        let store = &mut self.store;
        self.ready.clear(|entry| {
            if is_exact && entry.is_logged() {
                settled.push(entry.seq());
            }
            store.free(&entry.place);
        });
        if !is_exact && let Some(last) = self.next_seq.checked_sub(1) {
            let mut without: Vec<QueueSeq> =
                self.unacked.iter().map(Entry::seq).chain(kept.iter().copied()).collect();
            without.sort_unstable();
            settled.push_gaps(0, last, without);
        }
        (self.totals.ready, self.totals.ready_bytes) = (0, 0);
        (self.timed, self.cold, self.unexposed, self.exposing) = (0, 0, 0, 0);
        self.ready.restart_turns();
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
        let back = self.ready.iter().filter(|entry| entry.is_redelivered());
        let logged = back.chain(self.unacked.iter()).filter(|entry| entry.is_logged());
        let mut numbers: Vec<QueueSeq> = logged.map(Entry::seq).collect();
        numbers.sort_unstable();
        for seq in numbers {
            out.push(seq);
        }
    }

    /// The messages that may be marked as seen in the log and were never delivered, for a clean stop: of those from
    /// number `since` on all but the delivered ones, and what is in memory of the earlier ones. Numbers of messages
    /// that are gone are among them; not those in `kept`, which were taken and may have been delivered before.
    pub fn undelivered(&self, since: QueueSeq, kept: &[QueueSeq], out: &mut SeqRanges) {
        let mut delivered: Vec<QueueSeq> = self
            .ready
            .iter()
            .filter(|entry| entry.is_redelivered())
            .chain(self.unacked.iter())
            .map(Entry::seq)
            .collect();
        delivered.extend_from_slice(kept);
        delivered.sort_unstable();
        let is_earlier = |entry: &&Entry| entry.seq() < since && entry.is_logged() && !entry.is_redelivered();
        let mut earlier: Vec<QueueSeq> = self.ready.iter().filter(is_earlier).map(Entry::seq).collect();
        earlier.sort_unstable();
        earlier.into_iter().for_each(|seq| out.push(seq));
        if let Some(last) = self.next_seq.checked_sub(1) {
            out.push_gaps(since.0, last, delivered);
        }
    }

    /// Frees memory that only a busy queue needs.
    pub fn shrink(&mut self) {
        self.store.shrink();
        self.ready.shrink();
        self.unacked.shrink();
    }
}
