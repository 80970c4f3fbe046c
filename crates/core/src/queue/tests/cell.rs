//! The machine as the engine's cell drives it, with a log that a restart reads, and loads of what is cold.
//!
//! Which messages are cold, how much is loaded when, and what is exposed when, is left to chance: nobody may see it.

use std::collections::BTreeMap;

use super::machine::{Event, Operation, Publish, Reason};
use crate::arguments::QueueSettings;
use crate::ids::QueueSeq;
use crate::message::{Body, Message};
use crate::queue::{ColdCounts, ConsumerKey, Consumers, Contents, Entry, Keep, Requeued, SeqRanges, Want};

/// A consumer as its channel sees it.
struct Channel {
    no_ack: bool,
    credit: u32,
}

/// What the log, or the spill, keeps of a message.
#[derive(Clone)]
struct Logged {
    body: Vec<u8>,
    /// `exposed` is what the log says: after a crash it was seen.
    keep: Keep,
}

/// Messages that were read and not yet loaded.
struct Read {
    want: Want,
    messages: Vec<(u64, Logged)>,
    until: QueueSeq,
}

/// Chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        // Xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// One queue.
pub(super) struct Cell {
    settings: QueueSettings,
    now: u64,
    pub(super) contents: Contents,
    pub(super) consumers: Consumers<()>,
    channels: BTreeMap<u64, Channel>,
    next_consumer: u64,
    out: Vec<(u64, Option<u64>)>,
    /// Taken to be dead-lettered; their bytes are looked at later.
    moving: Vec<Entry>,
    log: BTreeMap<u64, Logged>,
    /// Cold messages that are not logged.
    spill: BTreeMap<u64, Logged>,
    chance: Chance,
    /// None of the messages from this number on was there before the last restart.
    since: QueueSeq,
    read: Option<Read>,
    pub(super) events: Vec<Event>,
    /// Messages that were not what was published.
    pub(super) corrupt: Vec<u64>,
}

impl Cell {
    pub(super) fn new(settings: QueueSettings, seed: u64) -> Self {
        Self {
            spill: BTreeMap::new(),
            chance: Chance(seed | 1),
            since: QueueSeq(0),
            read: None,
            now: 1000,
            contents: Contents::new(&settings),
            consumers: Consumers::new(&settings),
            settings,
            channels: BTreeMap::new(),
            next_consumer: 0,
            out: Vec::new(),
            moving: Vec::new(),
            log: BTreeMap::new(),
            events: Vec::new(),
            corrupt: Vec::new(),
        }
    }

    pub(super) fn apply(&mut self, operation: &Operation) {
        self.read_ahead();
        self.operate(operation);
        self.expire(self.now);
        self.read_ahead();
        if !matches!(operation, Operation::Reject(_)) {
            self.finish_moves();
        }
    }

    fn operate(&mut self, operation: &Operation) {
        match operation {
            Operation::Publish(batch) => self.publish(batch),
            Operation::Advance(ms) => self.now += u64::from(*ms),
            Operation::Consume { priority, exclusive, no_ack, credit } => {
                if !self.consumers.admits(*exclusive) {
                    self.events.push(Event::InExclusiveUse);
                    return;
                }
                let key = self.next_consumer;
                self.next_consumer += 1;
                self.channels.insert(key, Channel { no_ack: *no_ack, credit: (*credit).into() });
                self.consumers.add(ConsumerKey(key), (), *priority, *exclusive);
                self.consumers.unpark(ConsumerKey(key));
                self.deliver();
            }
            Operation::Cancel(index) => {
                let keys: Vec<u64> = self.channels.keys().copied().collect();
                if let Some(key) = index.pick(&keys) {
                    self.channels.remove(&key);
                    self.consumers.remove(ConsumerKey(key));
                    self.deliver();
                }
            }
            Operation::Get { no_ack } => {
                self.expire(self.now - 1);
                if let Some(entry) = self.take() {
                    self.give(entry, None, *no_ack);
                }
            }
            Operation::Ack(index) => self.settle(*index, Self::ack),
            Operation::Reject(index) => self.settle(*index, Self::reject),
            Operation::Requeue(index) => self.settle(*index, Self::requeue),
            Operation::PutBack => {
                if let Some(entry) = self.take() {
                    self.contents.put_back(entry);
                }
            }
            Operation::Purge => self.purge(),
            Operation::Limit { max_length, max_length_bytes, delivery_limit } => {
                self.settings.max_length = max_length.map(u64::from);
                self.settings.max_length_bytes = max_length_bytes.map(u64::from);
                self.settings.delivery_limit = delivery_limit.map(i64::from);
                self.contents.limit(&self.settings);
                self.drop_over_limit();
            }
            Operation::Restart => self.restart(),
        }
    }

    fn publish(&mut self, batch: &[Publish]) {
        for publish in batch {
            let mut body = self.contents.next_seq().0.to_be_bytes().to_vec();
            body.resize(8 + usize::from(publish.extra), b'x');
            if self.contents.would_reject(body.len() as u64) {
                self.events.push(Event::Refused);
                continue;
            }
            let mut keep = Keep {
                exposed: self.chance.below(2) == 0,
                logged: publish.persistent || self.contents.counts_deliveries(),
                level: self.contents.level(publish.priority),
                deadline_ms: self.settings.deadline_ms(self.now, publish.expiration.map(u64::from)),
                ..Keep::default()
            };
            let is_cold = self.contents.goes_cold(keep.level) || self.chance.below(4) == 0;
            let seq = if is_cold {
                self.contents.enqueue_cold(keep.level, body.len() as u64, keep.deadline_ms.is_some())
            } else {
                self.contents.enqueue(&message(&body), keep)
            };
            if keep.logged {
                self.log.insert(seq.0, Logged { body, keep });
            } else if is_cold {
                keep.exposed = true;
                self.spill.insert(seq.0, Logged { body, keep });
            }
            self.deliver();
            self.drop_over_limit();
            self.expire(self.now);
        }
    }

    fn deliver(&mut self) {
        if self.contents.totals().unacked == 0 {
            self.consumers.displace_idle();
        }
        loop {
            self.expire(self.now - 1);
            if self.contents.totals().ready == 0 {
                return;
            }
            let Some((key, _)) = self.consumers.next_ready() else { return };
            let channel = self.channels.get_mut(&key.0).expect("consumers have channels");
            if channel.credit == 0 {
                self.consumers.park(key);
                continue;
            }
            channel.credit -= 1;
            let no_ack = channel.no_ack;
            let Some(entry) = self.take() else { return };
            self.give(entry, Some(key.0), no_ack);
            self.consumers.end_turn(key);
        }
    }

    fn take(&mut self) -> Option<Entry> {
        self.fill();
        if self.contents.is_blocked() {
            assert!(self.contents.take_to_deliver().is_none(), "a blocked queue has nothing to give");
            self.expose();
        }
        assert!(!self.contents.is_blocked(), "the next message is in memory and may leave");
        let entry = self.contents.take_to_deliver();
        assert!(entry.as_ref().is_none_or(Entry::may_leave));
        entry
    }

    /// Sees to it that the next message is in memory.
    pub(super) fn fill(&mut self) {
        while let Some(want) = self.contents.want(1) {
            let read = self.look(want);
            self.load(read);
        }
    }

    /// Reads and exposes what nobody waits for, or not, and what was read comes in later.
    fn read_ahead(&mut self) {
        if self.chance.below(3) == 0
            && let Some(read) = self.read.take()
        {
            self.load(read);
        }
        let most = 1 + usize::try_from(self.chance.below(6)).unwrap();
        if self.chance.below(3) == 0
            && self.read.is_none()
            && let Some(want) = self.contents.want(most)
        {
            self.read = Some(self.look(want));
        }
        if self.chance.below(5) == 0 {
            self.expose();
        }
    }

    fn look(&mut self, want: Want) -> Read {
        let last = self.contents.next_seq().0 - 1;
        let of_level = |(_, logged): &(&u64, &Logged)| logged.keep.level == want.level;
        let kept = self.log.range(want.first.0..).filter(of_level);
        let mut messages: Vec<(u64, Logged)> = kept
            .chain(self.spill.range(want.first.0..).filter(of_level))
            .map(|(k, v)| (*k, v.clone()))
            .collect();
        messages.sort_by_key(|(seq, _)| *seq);
        let most = 1 + usize::try_from(self.chance.below(5)).unwrap();
        let is_all = messages.len() <= most;
        messages.truncate(most);
        let until = if is_all { last } else { messages.last().expect("one at least").0 };
        Read { want, messages, until: QueueSeq(until) }
    }

    fn load(&mut self, read: Read) {
        for (seq, Logged { body, keep }) in read.messages {
            let keep = Keep { redelivered: keep.exposed && seq < self.since.0, ..keep };
            if self.contents.load(QueueSeq(seq), &message(&body), keep) {
                self.spill.remove(&seq);
            }
        }
        let left = self.contents.end_load(read.want.level, read.until);
        assert_eq!(left, ColdCounts::default(), "what was counted was there");
    }

    fn expose(&mut self) {
        let mut exposed = SeqRanges::default();
        let most = 1 + usize::try_from(self.chance.below(4)).unwrap();
        self.contents.begin_exposure(most, &mut exposed);
        for seq in numbers(&exposed) {
            self.log.get_mut(&seq).expect("only what is logged is exposed").keep.exposed = true;
        }
        self.contents.end_exposure();
    }

    fn give(&mut self, entry: Entry, to: Option<u64>, no_ack: bool) {
        self.look_at(&entry);
        let seq = entry.seq().0;
        self.events.push(Event::Given {
            seq,
            to,
            redelivered: entry.is_redelivered(),
            returns: entry.delivery_count(),
        });
        if no_ack {
            self.settled(seq, entry.is_logged());
            self.contents.discard(&entry);
        } else {
            self.out.push((seq, to));
            self.contents.hold(entry);
        }
    }

    /// What goes out must be what came in.
    fn look_at(&mut self, entry: &Entry) {
        let Body::Small(body) = self.contents.message(entry).body else { return };
        if body.get(..8) != Some(&entry.seq().0.to_be_bytes()[..]) {
            self.corrupt.push(entry.seq().0);
        }
    }

    fn settled(&mut self, seq: u64, logged: bool) {
        if logged {
            self.events.push(Event::Settled(seq));
            self.log.remove(&seq);
        }
    }

    fn expire(&mut self, until: u64) {
        loop {
            self.fill();
            let Some(entry) = self.contents.pop_expired(until) else { return };
            self.die(entry, Reason::Expired);
        }
    }

    fn drop_over_limit(&mut self) {
        loop {
            self.fill();
            let Some(entry) = self.contents.pop_overflow() else { return };
            self.die(entry, Reason::MaxLen);
        }
    }

    fn die(&mut self, entry: Entry, reason: Reason) {
        let seq = entry.seq().0;
        let returns = entry.delivery_count();
        self.events.push(Event::Dead { seq, reason, returns });
        self.settled(seq, entry.is_logged());
        self.moving.push(entry);
    }

    fn finish_moves(&mut self) {
        for entry in std::mem::take(&mut self.moving) {
            self.look_at(&entry);
            self.contents.discard(&entry);
        }
    }

    fn settle(&mut self, index: super::machine::Index, outcome: fn(&mut Self, u64)) {
        let mut seqs: Vec<u64> = self.out.iter().map(|(seq, _)| *seq).collect();
        seqs.sort_unstable();
        let Some(seq) = index.pick(&seqs) else { return };
        let at = self.out.iter().position(|(out, _)| *out == seq).expect("it was picked");
        let (_, consumer) = self.out.remove(at);
        outcome(self, seq);
        if let Some(key) = consumer
            && let Some(channel) = self.channels.get_mut(&key)
        {
            channel.credit += 1;
            self.consumers.unpark(ConsumerKey(key));
        }
        self.deliver();
    }

    fn ack(&mut self, seq: u64) {
        let logged = self.contents.settle(QueueSeq(seq));
        self.settled(seq, logged);
    }

    fn reject(&mut self, seq: u64) {
        if let Some(entry) = self.contents.withdraw(QueueSeq(seq)) {
            self.die(entry, Reason::Rejected);
        }
    }

    fn requeue(&mut self, seq: u64) {
        match self.contents.requeue(QueueSeq(seq)) {
            Requeued::Back(None) | Requeued::Unknown => {}
            Requeued::Back(Some(count)) => {
                self.events.push(Event::Counted(seq, count));
                if let Some(logged) = self.log.get_mut(&seq) {
                    logged.keep.delivery_count = count;
                }
            }
            Requeued::OverLimit(entry) => self.die(entry, Reason::DeliveryLimit),
        }
        self.drop_over_limit();
        self.expire(self.now);
    }

    fn purge(&mut self) {
        let mut settled = SeqRanges::default();
        let before = self.contents.totals().ready;
        // A rejected message that nobody has moved yet counts as here.
        let mut kept: Vec<QueueSeq> = self.moving.iter().map(Entry::seq).collect();
        kept.sort_unstable();
        assert_eq!(self.contents.purge(&kept, &mut settled), before);
        let mut settled = numbers(&settled);
        settled.sort_unstable();
        for seq in settled {
            // What is settled with a range may never have been logged, or be gone.
            if self.log.contains_key(&seq) {
                self.settled(seq, true);
            }
        }
        self.spill.clear();
    }

    fn restart(&mut self) {
        self.finish_moves();
        self.read = None;
        self.spill.clear();
        let next = self.contents.next_seq();
        let delivered = self.delivered();
        for (seq, logged) in &mut self.log {
            logged.keep.exposed = delivered.contains(seq);
        }
        self.contents = Contents::new(&self.settings);
        self.consumers = Consumers::new(&self.settings);
        self.channels.clear();
        self.out.clear();
        self.contents.reserve_until(next);
        self.since = next;
        if self.chance.below(2) == 0 {
            for (seq, logged) in &self.log {
                let keep = Keep { redelivered: logged.keep.exposed, ..logged.keep };
                self.contents.restore(QueueSeq(*seq), &message(&logged.body), keep);
            }
            return;
        }
        let mut lines: BTreeMap<u8, ColdCounts> = BTreeMap::new();
        for logged in self.log.values() {
            let counts = lines.entry(logged.keep.level).or_default();
            counts.add(ColdCounts::one(logged.body.len() as u64, logged.keep.deadline_ms.is_some()));
        }
        for (level, counts) in lines {
            self.contents.restore_cold(level, counts);
        }
    }

    /// The logged messages that were delivered: those that the log has as exposed, without what a clean stop takes back.
    pub(super) fn delivered(&self) -> Vec<u64> {
        let mut undelivered = SeqRanges::default();
        self.contents.undelivered(self.since, &[], &mut undelivered);
        let undelivered = numbers(&undelivered);
        let seen = self.log.iter().filter(|(_, logged)| logged.keep.exposed).map(|(seq, _)| *seq);
        seen.filter(|seq| !undelivered.contains(seq)).collect()
    }
}

fn numbers(ranges: &SeqRanges) -> Vec<u64> {
    ranges.as_slice().iter().flat_map(|(first, last)| *first..=*last).collect()
}

fn message(body: &[u8]) -> Message<'_> {
    Message { exchange: b"x", routing_key: b"q", properties: &[0, 0], body: Body::Small(body) }
}
