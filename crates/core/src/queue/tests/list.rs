//! A queue as a plain list: slow, and simple enough to be believed.
//!
//! Every rule is a scan over all messages or all consumers. Nothing here is shared with the machine but the settings.

use super::machine::{Event, Operation, Publish, Reason};
use crate::arguments::{Overflow, QueueSettings, QueueType};

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In its level, at that position.
    Waiting(u64),
    /// Among a quorum queue's returns.
    Returned(i64),
    /// Out with that consumer, or after a get.
    Out(Option<u64>),
}

#[derive(Clone, Debug)]
struct Message {
    seq: u64,
    /// As the log has it.
    first_level: u8,
    level: u8,
    deadline: Option<u64>,
    len: u64,
    logged: bool,
    redelivered: bool,
    returns: u32,
    place: Place,
}

#[derive(Clone, Debug)]
struct Consumer {
    key: u64,
    priority: i32,
    exclusive: bool,
    no_ack: bool,
    credit: u32,
}

/// The list.
pub(super) struct List {
    settings: QueueSettings,
    now: u64,
    next_seq: u64,
    next_position: u64,
    messages: Vec<Message>,
    /// In the order of their turns.
    consumers: Vec<Consumer>,
    /// Those that found no credit; the order of the others does not concern them.
    parked: Vec<Consumer>,
    next_consumer: u64,
    active: Option<u64>,
    turns: u8,
    refusing: bool,
    pub(super) events: Vec<Event>,
}

impl List {
    pub(super) fn new(settings: QueueSettings) -> Self {
        Self {
            settings,
            now: 1000,
            next_seq: 0,
            next_position: 0,
            messages: Vec::new(),
            consumers: Vec::new(),
            parked: Vec::new(),
            next_consumer: 0,
            active: None,
            turns: 0,
            refusing: false,
            events: Vec::new(),
        }
    }

    /// Does what the operation asks; what falls due at this very time expires after that.
    pub(super) fn apply(&mut self, operation: &Operation) {
        self.operate(operation);
        self.expire(self.now);
    }

    fn operate(&mut self, operation: &Operation) {
        match operation {
            Operation::Publish(batch) => self.publish(batch),
            Operation::Advance(ms) => {
                self.now += u64::from(*ms);
                self.expire(self.now);
            }
            Operation::Consume { priority, exclusive, no_ack, credit } => {
                self.consume(*priority, *exclusive, *no_ack, u32::from(*credit));
            }
            Operation::Cancel(index) => {
                if let Some(key) = index.pick(&self.consumer_keys()) {
                    self.cancel(key);
                }
            }
            Operation::Get { no_ack } => self.get(*no_ack),
            Operation::Ack(index) => {
                if let Some(seq) = index.pick(&self.out()) {
                    let message = self.remove(seq);
                    self.settled(&message);
                    self.credit_back(&message);
                    self.deliver();
                }
            }
            Operation::Reject(index) => {
                if let Some(seq) = index.pick(&self.out()) {
                    let message = self.remove(seq);
                    self.die(&message, Reason::Rejected);
                    self.credit_back(&message);
                    self.deliver();
                }
            }
            Operation::Requeue(index) => {
                if let Some(seq) = index.pick(&self.out()) {
                    self.requeue(seq);
                    self.drop_over_limit();
                    self.expire(self.now);
                    self.deliver();
                }
            }
            Operation::PutBack => {
                if let Some(mut message) = self.take() {
                    if self.is_quorum() {
                        let first = self.returned().map(|(order, _)| order).min().unwrap_or_default();
                        message.place = Place::Returned(first - 1);
                    }
                    self.messages.push(message);
                }
            }
            Operation::Purge => {
                let mut ready: Vec<Message> =
                    self.messages.extract_if(.., |message| !matches!(message.place, Place::Out(_))).collect();
                ready.sort_by_key(|message| message.seq);
                self.turns = 0;
                for message in ready {
                    self.settled(&message);
                }
            }
            Operation::Limit { max_length, max_length_bytes, delivery_limit } => {
                self.settings.max_length = max_length.map(u64::from);
                self.settings.max_length_bytes = max_length_bytes.map(u64::from);
                self.settings.delivery_limit = delivery_limit.map(i64::from);
                self.refusing = false;
                self.drop_over_limit();
            }
            Operation::Restart => self.restart(),
        }
    }

    fn is_quorum(&self) -> bool {
        self.settings.queue_type == QueueType::Quorum
    }

    fn ready(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(|message| !matches!(message.place, Place::Out(_)))
    }

    fn returned(&self) -> impl Iterator<Item = (i64, u64)> {
        self.messages.iter().filter_map(|message| match message.place {
            Place::Returned(order) => Some((order, message.seq)),
            _ => None,
        })
    }

    /// The number of the message that is next.
    fn next(&self) -> Option<u64> {
        let waiting = |level: Option<u8>| {
            let of_level = move |message: &&Message| level.is_none_or(|level| level == message.level);
            self.messages.iter().filter(of_level).filter_map(|message| match message.place {
                Place::Waiting(position) => Some((message.level, position, message.seq)),
                _ => None,
            })
        };
        if self.is_quorum() {
            if let Some((_, seq)) = self.returned().min() {
                return Some(seq);
            }
            let high = waiting(Some(1)).map(|(_, position, seq)| (position, seq)).min();
            let low = waiting(Some(0)).map(|(_, position, seq)| (position, seq)).min();
            return match (high, low) {
                (Some((_, high)), Some((_, low))) if self.turns == 2 && high > low => Some(low),
                (Some((_, high)), _) => Some(high),
                (None, low) => low.map(|(_, seq)| seq),
            };
        }
        let top = waiting(None).map(|(level, ..)| level).max()?;
        waiting(Some(top)).map(|(_, _, seq)| seq).min()
    }

    fn remove(&mut self, seq: u64) -> Message {
        let at = self.messages.iter().position(|message| message.seq == seq).expect("it is there");
        self.messages.remove(at)
    }

    fn take(&mut self) -> Option<Message> {
        let seq = self.next()?;
        if self.is_quorum() && self.returned().next().is_none() {
            self.turns = (self.turns + 1) % 3;
        }
        Some(self.remove(seq))
    }

    fn publish(&mut self, batch: &[Publish]) {
        for publish in batch {
            let len = 8 + u64::from(publish.extra);
            if self.would_reject(len) {
                self.events.push(Event::Refused);
                continue;
            }
            let ttl = match (self.settings.message_ttl_ms, publish.expiration.map(u64::from)) {
                (Some(a), Some(b)) => Some(if a < b { a } else { b }),
                (a, b) => a.or(b),
            };
            let level = match (self.settings.queue_type, self.settings.max_priority) {
                (QueueType::Quorum, _) => u8::from(publish.priority >= 5),
                (QueueType::Classic, None) => 0,
                (QueueType::Classic, Some(0)) => u8::from(publish.priority > 0),
                (QueueType::Classic, Some(max)) if publish.priority > max => max,
                (QueueType::Classic, Some(_)) => publish.priority,
            };
            self.messages.push(Message {
                seq: self.next_seq,
                first_level: level,
                level,
                deadline: ttl.map(|ttl| self.now + ttl),
                len,
                logged: publish.persistent || self.is_quorum(),
                redelivered: false,
                returns: 0,
                place: Place::Waiting(self.next_position),
            });
            self.next_seq += 1;
            self.next_position += 1;
            self.deliver();
            self.drop_over_limit();
            self.expire(self.now);
        }
    }

    fn sums(&self) -> (u64, u64) {
        self.ready().fold((0, 0), |(count, bytes), message| (count + 1, bytes + message.len))
    }

    fn is_over(&self) -> bool {
        let (count, bytes) = self.sums();
        self.settings.max_length.is_some_and(|max| count > max)
            || self.settings.max_length_bytes.is_some_and(|max| bytes > max)
    }

    fn rejects(&self) -> bool {
        match self.settings.overflow {
            None | Some(Overflow::DropHead) => false,
            Some(Overflow::RejectPublish) => true,
            Some(Overflow::RejectPublishDlx) => !self.is_quorum(),
        }
    }

    fn would_reject(&mut self, len: u64) -> bool {
        if !self.rejects() {
            return false;
        }
        if self.is_quorum() {
            self.watch();
            return self.refusing;
        }
        let (count, bytes) = self.sums();
        self.settings.max_length.is_some_and(|max| count + 1 > max)
            || self.settings.max_length_bytes.is_some_and(|max| bytes + len > max)
    }

    fn watch(&mut self) {
        let (count, bytes) = self.sums();
        // RabbitMQ compares with the whole part of 0.8 times the limit.
        let below = |max: Option<u64>, is: u64| max.is_none_or(|max| is <= max * 4 / 5);
        if self.is_over() {
            self.refusing = true;
        } else if below(self.settings.max_length, count) && below(self.settings.max_length_bytes, bytes) {
            self.refusing = false;
        }
    }

    fn drop_over_limit(&mut self) {
        if self.rejects() {
            self.watch();
            return;
        }
        while self.is_over() {
            let message = self.take().expect("over the limit");
            self.die(&message, Reason::MaxLen);
        }
    }

    fn expire(&mut self, until: u64) {
        while let Some(seq) = self.next() {
            let head = self.messages.iter().find(|message| message.seq == seq).expect("it is there");
            if head.deadline.is_none_or(|deadline| deadline > until) {
                return;
            }
            let message = self.take().expect("the head");
            self.die(&message, Reason::Expired);
        }
    }

    fn die(&mut self, message: &Message, reason: Reason) {
        self.events.push(Event::Dead { seq: message.seq, reason, returns: message.returns });
        self.settled(message);
    }

    fn settled(&mut self, message: &Message) {
        if message.logged {
            self.events.push(Event::Settled(message.seq));
        }
    }

    fn out(&self) -> Vec<u64> {
        let out = self.messages.iter().filter(|message| matches!(message.place, Place::Out(_)));
        let mut seqs: Vec<u64> = out.map(|message| message.seq).collect();
        seqs.sort_unstable();
        seqs
    }

    fn requeue(&mut self, seq: u64) {
        let mut message = self.remove(seq);
        self.credit_back(&message);
        if self.is_quorum() {
            message.returns += 1;
            let limit = self.settings.delivery_limit.unwrap_or(20);
            if limit >= 0 && i64::from(message.returns) > limit {
                self.die(&message, Reason::DeliveryLimit);
                return;
            }
            self.events.push(Event::Counted(seq, message.returns));
        }
        message.redelivered = true;
        message.place = if !self.is_quorum() {
            Place::Waiting(seq)
        } else if self.settings.delivery_limit.is_some_and(|limit| limit < 0) {
            message.level = 0;
            Place::Waiting(self.next_position)
        } else {
            let last = self.returned().map(|(order, _)| order).max().unwrap_or_default();
            Place::Returned(last + 1)
        };
        self.next_position += 1;
        self.messages.push(message);
    }

    fn get(&mut self, no_ack: bool) {
        self.expire(self.now - 1);
        if let Some(message) = self.take() {
            self.give(message, None, no_ack);
        }
    }

    fn give(&mut self, mut message: Message, to: Option<u64>, no_ack: bool) {
        self.events.push(Event::Given {
            seq: message.seq,
            to,
            redelivered: message.redelivered,
            returns: message.returns,
        });
        if no_ack {
            self.settled(&message);
        } else {
            message.place = Place::Out(to);
            self.messages.push(message);
        }
    }

    fn deliver(&mut self) {
        self.displace();
        loop {
            self.expire(self.now - 1);
            if self.ready().next().is_none() {
                break;
            }
            let Some(at) = self.next_consumer() else { break };
            if self.consumers[at].credit == 0 {
                let consumer = self.consumers.remove(at);
                self.parked.push(consumer);
                continue;
            }
            let mut consumer = self.consumers.remove(at);
            consumer.credit -= 1;
            let (key, no_ack) = (consumer.key, consumer.no_ack);
            self.consumers.push(consumer);
            let message = self.take().expect("one is ready");
            self.give(message, Some(key), no_ack);
        }
    }

    /// On a quorum queue a consumer of higher priority becomes active once no message is out.
    fn displace(&mut self) {
        if self.out().is_empty() && self.is_active_displaced() {
            self.active = self.best();
        }
    }

    fn is_active_displaced(&self) -> bool {
        let priority_of = |key| self.everyone().find(|consumer| consumer.key == key).map(|c| c.priority);
        let (best, active) = (self.best().and_then(priority_of), self.active.and_then(priority_of));
        self.settings.single_active_consumer && self.is_quorum() && best > active
    }

    fn next_consumer(&self) -> Option<usize> {
        if self.settings.single_active_consumer {
            let is_active = |consumer: &Consumer| Some(consumer.key) == self.active;
            return self.consumers.iter().position(is_active).filter(|_| !self.is_active_displaced());
        }
        let best = self.consumers.iter().map(|consumer| consumer.priority).max()?;
        self.consumers.iter().position(|consumer| consumer.priority == best)
    }

    fn everyone(&self) -> impl Iterator<Item = &Consumer> {
        self.consumers.iter().chain(&self.parked)
    }

    /// The first registered of the highest priority.
    fn best(&self) -> Option<u64> {
        let priority = self.everyone().map(|consumer| consumer.priority).max()?;
        self.everyone().filter(|consumer| consumer.priority == priority).map(|consumer| consumer.key).min()
    }

    fn consume(&mut self, priority: i32, exclusive: bool, no_ack: bool, credit: u32) {
        let has_exclusive = self.everyone().any(|consumer| consumer.exclusive);
        let has_any = self.everyone().next().is_some();
        let single = self.settings.single_active_consumer;
        if !self.is_quorum() && (has_exclusive || (exclusive && (has_any || single))) {
            self.events.push(Event::InExclusiveUse);
            return;
        }
        let key = self.next_consumer;
        self.next_consumer += 1;
        self.consumers.push(Consumer { key, priority, exclusive, no_ack, credit });
        self.active.get_or_insert(key);
        self.deliver();
    }

    fn cancel(&mut self, key: u64) {
        self.consumers.retain(|consumer| consumer.key != key);
        self.parked.retain(|consumer| consumer.key != key);
        if self.active == Some(key) {
            self.active = self.best();
        }
        self.deliver();
    }

    fn credit_back(&mut self, message: &Message) {
        let Place::Out(Some(key)) = message.place else { return };
        if let Some(at) = self.parked.iter().position(|consumer| consumer.key == key) {
            let consumer = self.parked.remove(at);
            self.consumers.push(consumer);
        }
        self.consumers.iter_mut().filter(|c| c.key == key).for_each(|c| c.credit += 1);
    }

    fn restart(&mut self) {
        self.messages.retain(|message| message.logged);
        for message in &mut self.messages {
            message.redelivered |= matches!(message.place, Place::Out(_));
            message.place = Place::Waiting(message.seq);
            message.level = message.first_level;
        }
        self.next_position = self.next_seq;
        self.consumers.clear();
        self.parked.clear();
        self.active = None;
        self.turns = 0;
        self.refusing = false;
    }

    /// The keys of all consumers, in the order of their registration.
    pub(super) fn consumer_keys(&self) -> Vec<u64> {
        let mut keys: Vec<u64> = self.everyone().map(|consumer| consumer.key).collect();
        keys.sort_unstable();
        keys
    }

    /// The consumer that alone is active.
    pub(super) fn single_active(&self) -> Option<u64> {
        self.active.filter(|_| self.settings.single_active_consumer)
    }

    /// Ready and unacked messages, and their bytes.
    pub(super) fn totals(&self) -> (u64, u64, u64, u64) {
        let (ready, ready_bytes) = self.sums();
        let out = |message: &&Message| matches!(message.place, Place::Out(_));
        let bytes = self.messages.iter().filter(out).map(|message| message.len).sum();
        (ready, self.out().len() as u64, ready_bytes, bytes)
    }

    /// The deadline of the next message.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        let seq = self.next()?;
        self.messages.iter().find(|message| message.seq == seq)?.deadline
    }

    /// Whether any ready message has a deadline.
    pub(super) fn is_timed(&self) -> bool {
        self.ready().any(|message| message.deadline.is_some())
    }

    /// The logged messages that were delivered.
    pub(super) fn delivered(&self) -> Vec<u64> {
        let was = |message: &&Message| message.redelivered || matches!(message.place, Place::Out(_));
        let mut seqs: Vec<u64> =
            self.messages.iter().filter(|m| m.logged).filter(was).map(|message| message.seq).collect();
        seqs.sort_unstable();
        seqs
    }
}
