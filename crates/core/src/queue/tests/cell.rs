//! The machine as the engine's cell drives it, with a log that a restart reads.

use std::collections::BTreeMap;

use super::machine::{Event, Operation, Publish, Reason};
use crate::arguments::QueueSettings;
use crate::ids::QueueSeq;
use crate::message::{Body, Message};
use crate::queue::{ConsumerKey, Consumers, Contents, Entry, Keep, Requeued, SeqRanges};

/// A consumer as its channel sees it.
struct Channel {
    no_ack: bool,
    credit: u32,
}

/// What the log keeps of a message.
struct Logged {
    body: Vec<u8>,
    keep: Keep,
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
    pub(super) events: Vec<Event>,
    /// Messages that were not what was published.
    pub(super) corrupt: Vec<u64>,
}

impl Cell {
    pub(super) fn new(settings: QueueSettings) -> Self {
        Self {
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
        self.operate(operation);
        self.expire(self.now);
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
                if let Some(entry) = self.contents.take() {
                    self.give(entry, None, *no_ack);
                }
            }
            Operation::Ack(index) => self.settle(*index, Self::ack),
            Operation::Reject(index) => self.settle(*index, Self::reject),
            Operation::Requeue(index) => self.settle(*index, Self::requeue),
            Operation::PutBack => {
                if let Some(entry) = self.contents.take() {
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
            let keep = Keep {
                logged: publish.persistent || self.contents.counts_deliveries(),
                level: self.contents.level(publish.priority),
                deadline_ms: self.settings.deadline_ms(self.now, publish.expiration.map(u64::from)),
                ..Keep::default()
            };
            let seq = self.contents.enqueue(&message(&body), keep);
            if keep.logged {
                self.log.insert(seq.0, Logged { body, keep });
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
            let Some(entry) = self.contents.take() else { return };
            self.give(entry, Some(key.0), no_ack);
            self.consumers.end_turn(key);
        }
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
        while let Some(entry) = self.contents.pop_expired(until) {
            self.die(entry, Reason::Expired);
        }
    }

    fn drop_over_limit(&mut self) {
        while let Some(entry) = self.contents.pop_overflow() {
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
        if let Some(logged) = self.log.get_mut(&seq) {
            logged.keep.redelivered = true;
        }
        self.drop_over_limit();
        self.expire(self.now);
    }

    fn purge(&mut self) {
        let mut logged = SeqRanges::default();
        self.contents.purge(&mut logged);
        let mut seqs: Vec<u64> = logged.as_slice().iter().flat_map(|(first, last)| *first..=*last).collect();
        seqs.sort_unstable();
        for seq in seqs {
            self.settled(seq, true);
        }
    }

    fn restart(&mut self) {
        self.finish_moves();
        let delivered = self.delivered();
        let next = self.contents.next_seq();
        self.contents = Contents::new(&self.settings);
        self.consumers = Consumers::new(&self.settings);
        self.channels.clear();
        self.out.clear();
        for (seq, logged) in &self.log {
            let keep = Keep { redelivered: delivered.contains(seq), ..logged.keep };
            self.contents.restore(QueueSeq(*seq), &message(&logged.body), keep);
        }
        self.contents.reserve_until(next);
    }

    /// The logged messages that were delivered.
    pub(super) fn delivered(&self) -> Vec<u64> {
        let mut delivered = SeqRanges::default();
        self.contents.delivered(&mut delivered);
        delivered.as_slice().iter().flat_map(|(first, last)| *first..=*last).collect()
    }
}

fn message(body: &[u8]) -> Message<'_> {
    Message { exchange: b"x", routing_key: b"q", properties: &[0, 0], body: Body::Small(body) }
}
