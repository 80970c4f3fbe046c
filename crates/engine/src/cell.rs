//! One queue under its lock: its contents, its consumers, and what the log hears of both.
//!
//! Publishing takes numbers, enters the log's buffer, then offers; settling applies, then logs. So in the log no
//! settlement precedes its message, and log order is apply order for each queue.

use std::sync::Arc;

use leveret_core::BrokerError;
use leveret_core::arguments::Arguments;
use leveret_core::deliveries::{Deliveries, OriginId};
use leveret_core::ids::{ConnectionId, QueueId, QueueSeq};
use leveret_core::message::{Body, Message};
use leveret_core::names::ConsumerTag;
use leveret_core::queue::{Consumer, ConsumerKey, Consumers, Contents, Entry, Keep, SeqRanges, Totals};
use leveret_protocol::constants::class_id;
use leveret_protocol::encode;
use leveret_protocol::method::GetOk;
use leveret_storage::{BodyRef, GroupId, MessageFlags, Payload, Position, SettleReason};

use crate::outbox::{OutBuffer, Outbox, OutboxRef};
use crate::payload::Lengths;
use crate::queue::{Queue, QueueRef};
use crate::seams::{Log, Seams};

/// A message on its way into a queue.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Its bytes.
    pub message: Message<'a>,
    /// Whether its publisher asked for it to survive a restart.
    pub persistent: bool,
    /// Its body in the log, if other queues share it.
    pub shared_body: Option<BodyRef>,
}

/// Where a consumer's deliveries go.
pub struct ConsumerHandle<S: Seams> {
    /// Its connection's outbox.
    pub outbox: OutboxRef<S>,
    /// Its channel.
    pub channel: u16,
    /// Its place among the channel's deliveries.
    pub origin: OriginId,
    /// Its tag.
    pub tag: ConsumerTag,
    /// Whether its deliveries need no ack.
    pub no_ack: bool,
    /// What lists show of it.
    pub details: Arc<ConsumerDetails>,
}

/// What lists show of a consumer.
#[derive(Clone, Debug)]
pub struct ConsumerDetails {
    /// Its connection.
    pub connection: ConnectionId,
    /// Its prefetch; 0 is unlimited.
    pub prefetch: u32,
    /// The arguments of basic.consume.
    pub arguments: Arguments,
}

impl<S: Seams> Clone for ConsumerHandle<S> {
    fn clone(&self) -> Self {
        Self {
            outbox: self.outbox.clone(),
            channel: self.channel,
            origin: self.origin,
            tag: self.tag.clone(),
            no_ack: self.no_ack,
            details: Arc::clone(&self.details),
        }
    }
}

/// How settled messages leave the unacked ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged: gone.
    Acked,
    /// Rejected without requeue: gone, for another reason.
    Rejected,
    /// Back to their place, marked redelivered.
    Requeued,
}

/// One queue's state.
pub struct QueueCell<S: Seams> {
    id: QueueId,
    durable: bool,
    all_persistent: bool,
    pub(crate) contents: Contents,
    pub(crate) consumers: Consumers<ConsumerHandle<S>>,
    /// Where the log last heard of messages leaving.
    last_settlement: Position,
    /// Set when the queue is deleted: what still comes in is dropped.
    dead: bool,
}

impl<S: Seams> QueueCell<S> {
    /// An empty queue.
    #[must_use]
    pub fn new(id: QueueId, durable: bool, all_persistent: bool) -> Self {
        Self {
            id,
            durable,
            all_persistent,
            contents: Contents::default(),
            consumers: Consumers::default(),
            last_settlement: Position(0),
            dead: false,
        }
    }

    /// Appends messages and offers them. Gives the log position that their confirm waits for; 0 waits for none.
    pub fn publish<'a>(
        &mut self,
        queue: &QueueRef<S>,
        log: &S::Log,
        group: Option<GroupId>,
        incoming: impl Iterator<Item = Incoming<'a>> + Clone,
    ) -> Position {
        if self.dead {
            return Position(0);
        }
        let first = self.contents.next_seq();
        let mut any_logged = false;
        for item in incoming.clone() {
            let logged = self.keeps(&item);
            any_logged |= logged;
            self.contents.enqueue(&item.message, Keep { logged, ..Keep::default() });
        }
        let position = if any_logged { self.log_messages(log, group, first, incoming) } else { Position(0) };
        self.deliver(queue, log);
        position
    }

    fn keeps(&self, item: &Incoming<'_>) -> bool {
        self.durable && (item.persistent || self.all_persistent)
    }

    fn log_messages<'a>(
        &self,
        log: &S::Log,
        group: Option<GroupId>,
        first: QueueSeq,
        incoming: impl Iterator<Item = Incoming<'a>>,
    ) -> Position {
        log.append(|gather| {
            let mut position = Position(0);
            for (seq, item) in (first.0..).zip(incoming) {
                if !self.keeps(&item) {
                    continue;
                }
                if let Some(group) = group {
                    gather.within(group);
                }
                position = match item.shared_body {
                    Some(body) => gather.entry(body, self.id.0, seq, MessageFlags::SEEN, 0, 0),
                    None => {
                        let lengths = Lengths::of(&item.message);
                        let parts = lengths.parts(&item.message);
                        let segments = match item.message.body {
                            Body::Small(_) => &[][..],
                            Body::Large(body) => body.segments(),
                        };
                        let payload = Payload { parts: &parts, segments };
                        gather.message(self.id.0, seq, MessageFlags::SEEN, 0, 0, payload)
                    }
                };
            }
            position
        })
    }

    /// Adds a consumer; [`QueueCell::resume`] lets it take what is ready.
    ///
    /// # Errors
    /// 404 if the queue was deleted meanwhile; 403 if it or another consumer wants the queue for itself.
    pub fn add_consumer(
        &mut self,
        queue: &QueueRef<S>,
        key: ConsumerKey,
        handle: ConsumerHandle<S>,
        terms: ConsumerTerms,
    ) -> Result<(), BrokerError> {
        let Queue { name, vhost, .. } = &**queue;
        if self.dead {
            return Err(BrokerError::not_found(format!("no queue '{name}' in vhost '{vhost}'")));
        }
        if self.consumers.has_exclusive() || (terms.exclusive && !self.consumers.is_empty()) {
            let text = format!("queue '{name}' in vhost '{vhost}' in exclusive use");
            return Err(BrokerError::access_refused(text));
        }
        self.consumers.add(key, handle, terms.priority, terms.exclusive);
        Ok(())
    }

    /// A consumer has room again.
    pub fn resume(&mut self, queue: &QueueRef<S>, log: &S::Log, key: ConsumerKey) {
        self.consumers.unpark(key);
        self.deliver(queue, log);
    }

    /// Ends a consumer. True if none is left.
    pub fn cancel(&mut self, key: ConsumerKey) -> bool {
        // A delivery may have found it gone, and removed it, before this.
        self.consumers.remove(key);
        self.consumers.is_empty()
    }

    /// Settles or returns unacked messages, and makes `resumed` ready again.
    pub fn settle(
        &mut self,
        queue: &QueueRef<S>,
        log: &S::Log,
        group: Option<GroupId>,
        runs: &[(QueueSeq, QueueSeq, Outcome)],
        resumed: &[ConsumerKey],
    ) {
        let mut acked = SeqRanges::default();
        let mut rejected = SeqRanges::default();
        for &(first, last, outcome) in runs {
            for seq in (first.0..=last.0).map(QueueSeq) {
                match outcome {
                    Outcome::Requeued => _ = self.contents.requeue(seq),
                    Outcome::Acked if self.contents.settle(seq) => acked.push(seq),
                    Outcome::Rejected if self.contents.settle(seq) => rejected.push(seq),
                    Outcome::Acked | Outcome::Rejected => {}
                }
            }
        }
        self.log_settled(log, group, &acked, SettleReason::Acknowledged);
        self.log_settled(log, group, &rejected, SettleReason::Rejected);
        for key in resumed {
            self.consumers.unpark(*key);
        }
        self.deliver(queue, log);
    }

    pub(crate) fn log_settled(
        &mut self,
        log: &S::Log,
        group: Option<GroupId>,
        ranges: &SeqRanges,
        reason: SettleReason,
    ) -> Position {
        if ranges.is_empty() || self.dead {
            return Position(0);
        }
        let position = log.append(|gather| {
            if let Some(group) = group {
                gather.within(group);
            }
            gather.settle(self.id.0, ranges.as_slice(), reason)
        });
        self.last_settlement = position;
        position
    }

    /// basic.get, written to an outbox that the caller does not hold. Its bytes, or None if there is nothing to give.
    pub fn get(
        &mut self,
        queue: &QueueRef<S>,
        log: &S::Log,
        to: &OutboxRef<S>,
        channel: u16,
        no_ack: bool,
    ) -> Option<usize> {
        self.take_for_get(log, no_ack, |contents, entry, left| {
            to.with(|outbox| {
                let Outbox { out, channels, frame_max, .. } = outbox;
                let Some(deliveries) = channels.get_mut(&channel) else { return false };
                write_get(
                    contents,
                    entry,
                    left,
                    deliveries,
                    queue,
                    Target { out, channel, frame_max: *frame_max, no_ack },
                );
                true
            })
        })
    }

    /// basic.get, written to a buffer of the caller's.
    pub fn get_into(
        &mut self,
        queue: &QueueRef<S>,
        log: &S::Log,
        to: &OutboxRef<S>,
        channel: u16,
        no_ack: bool,
        bytes: &mut Vec<u8>,
    ) -> Option<usize> {
        self.take_for_get(log, no_ack, |contents, entry, left| {
            to.with(|outbox| {
                let frame_max = outbox.frame_max;
                let Some(deliveries) = outbox.channels.get_mut(&channel) else { return false };
                let mut out = OutBuffer::default();
                write_get(
                    contents,
                    entry,
                    left,
                    deliveries,
                    queue,
                    Target { out: &mut out, channel, frame_max, no_ack },
                );
                out.copy_to(bytes);
                true
            })
        })
    }

    fn take_for_get(
        &mut self,
        log: &S::Log,
        no_ack: bool,
        write: impl FnOnce(&Contents, &Entry, u64) -> bool,
    ) -> Option<usize> {
        let entry = self.contents.take()?;
        let bytes = self.contents.message(&entry).stored_bytes();
        let left = self.contents.totals().ready;
        if !write(&self.contents, &entry, left) {
            self.contents.put_back(entry);
            return None;
        }
        if no_ack {
            let mut settled = SeqRanges::default();
            if entry.is_logged() {
                settled.push(entry.seq());
            }
            self.contents.discard(&entry);
            self.log_settled(log, None, &settled, SettleReason::Acknowledged);
        } else {
            self.contents.hold(entry);
        }
        Some(bytes)
    }

    /// Drops all ready messages; their number, and the log position of it. Of an empty queue too: what emptied it
    /// may still wait for its sync.
    pub fn purge(&mut self, log: &S::Log) -> (u64, Position) {
        let mut logged = SeqRanges::default();
        let count = self.contents.purge(&mut logged);
        self.log_settled(log, None, &logged, SettleReason::Purged);
        (count, self.last_settlement)
    }

    /// Ends the queue.
    pub fn kill(&mut self) -> Remains<S> {
        self.dead = true;
        Remains { consumers: self.consumers.drain().collect(), contents: std::mem::take(&mut self.contents) }
    }

    /// Whether it was deleted.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// Counts and bytes.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.contents.totals()
    }

    /// How many consumers it has.
    #[must_use]
    pub fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// Its consumers.
    #[must_use]
    pub fn consumers(&self) -> &Consumers<ConsumerHandle<S>> {
        &self.consumers
    }

    /// Puts a message back that the log kept.
    pub fn restore(&mut self, seq: QueueSeq, message: &Message<'_>, redelivered: bool) {
        self.contents.restore(seq, message, Keep { logged: true, redelivered, ..Keep::default() });
    }

    /// Never gives a number below `seq` again.
    pub fn reserve_until(&mut self, seq: QueueSeq) {
        self.contents.reserve_until(seq);
    }

    /// Tells the log exactly which messages were delivered, at a clean stop.
    pub fn log_delivered(&self, log: &S::Log) {
        if !self.durable || self.dead {
            return;
        }
        let mut delivered = SeqRanges::default();
        self.contents.delivered(&mut delivered);
        log.append(|gather| gather.exposed_exactly(self.id.0, delivered.as_slice()));
    }
}

/// What a deleted queue leaves.
pub struct Remains<S: Seams> {
    /// Its consumers, for their connections to be told.
    pub consumers: Vec<(ConsumerKey, Consumer<ConsumerHandle<S>>)>,
    /// Its messages, maybe millions: to be dropped once no lock is held.
    pub contents: Contents,
}

/// How a consumer takes part in its queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsumerTerms {
    /// Higher ones are served first while they have credit.
    pub priority: i32,
    /// It refuses to share the queue.
    pub exclusive: bool,
}

/// Where the answer of a basic.get goes.
struct Target<'a> {
    out: &'a mut OutBuffer,
    channel: u16,
    frame_max: u32,
    no_ack: bool,
}

fn write_get<S: Seams>(
    contents: &Contents,
    entry: &Entry,
    left: u64,
    deliveries: &mut Deliveries<QueueRef<S>>,
    queue: &QueueRef<S>,
    to: Target<'_>,
) {
    let tag = match to.no_ack {
        true => deliveries.next_tag(),
        false => {
            let origin = deliveries.get_origin(queue);
            deliveries.deliver(origin, entry.seq(), false)
        }
    };
    let message = contents.message(entry);
    let get_ok = GetOk {
        delivery_tag: tag.0,
        redelivered: entry.is_redelivered(),
        exchange: message.exchange,
        routing_key: message.routing_key,
        message_count: u32::try_from(left).unwrap_or(u32::MAX),
    };
    let tail = to.out.tail();
    encode::encode_get_ok(tail, to.channel, &get_ok);
    encode::encode_content_header(
        tail,
        to.channel,
        class_id::BASIC,
        message.body.len() as u64,
        message.properties,
    );
    to.out.push_body(to.channel, to.frame_max, message.body);
}
