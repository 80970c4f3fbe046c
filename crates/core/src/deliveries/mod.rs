//! The half of a channel that lives with its connection's outbox: delivery tags, what is unacked, and credit.
//!
//! `Q` leads to a queue; this module only stores and compares it.

mod unacked;

use std::collections::BTreeMap;

use crate::ids::{DeliveryTag, QueueSeq};
use crate::names::ConsumerTag;
use crate::queue::ConsumerKey;
use unacked::Unacked;

/// Where a delivery came from: a consumer of this channel, or basic.get on a queue. An index of the channel's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginId(u64);

/// A source of deliveries.
#[derive(Debug)]
struct Origin<Q> {
    queue: Q,
    /// None for basic.get.
    consumer: Option<ConsumerOrigin>,
    unacked: u32,
}

#[derive(Debug)]
struct ConsumerOrigin {
    key: ConsumerKey,
    tag: ConsumerTag,
    no_ack: bool,
    /// 0 is unlimited.
    prefetch: u32,
    /// Passed over by its queue for want of credit.
    parked: bool,
    cancelled: bool,
}

/// Messages settled or returned: neighbouring numbers of one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Where they came from.
    pub origin: OriginId,
    /// The first number.
    pub first: QueueSeq,
    /// The last number, inclusive; every number between belongs to it too.
    pub last: QueueSeq,
}

/// The channel has no such delivery outstanding: 406.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownTag(pub DeliveryTag);

/// What a queue is told about a consumer's credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// It takes at least this many now.
    Ready(u32),
    /// None; it is marked parked here and comes back by [`Deliveries::take_unparked`].
    Parked,
    /// The consumer is gone.
    Gone,
}

/// Delivery tags, unacked messages and credit of one channel.
#[derive(Debug)]
pub struct Deliveries<Q> {
    last_tag: u64,
    unacked: Unacked,
    /// Of the unacked ones, those that consumers were given: basic.get takes no credit.
    consumed: u32,
    origins: BTreeMap<OriginId, Origin<Q>>,
    next_origin: u64,
    /// basic.qos with global set: the limit for all consumers of the channel together; 0 is unlimited.
    channel_prefetch: u32,
    parked: usize,
}

impl<Q> Default for Deliveries<Q> {
    fn default() -> Self {
        Self {
            last_tag: 0,
            unacked: Unacked::default(),
            consumed: 0,
            origins: BTreeMap::new(),
            next_origin: 0,
            channel_prefetch: 0,
            parked: 0,
        }
    }
}

impl<Q: Clone + PartialEq> Deliveries<Q> {
    /// Registers a consumer.
    pub fn add_consumer(
        &mut self,
        queue: Q,
        key: ConsumerKey,
        tag: ConsumerTag,
        no_ack: bool,
        prefetch: u32,
    ) -> OriginId {
        let consumer = ConsumerOrigin { key, tag, no_ack, prefetch, parked: false, cancelled: false };
        self.add_origin(Origin { queue, consumer: Some(consumer), unacked: 0 })
    }

    /// The origin of basic.get on a queue.
    pub fn get_origin(&mut self, queue: &Q) -> OriginId {
        let known = self.origins.iter().find(|(_, o)| o.consumer.is_none() && o.queue == *queue);
        match known {
            Some((id, _)) => *id,
            None => self.add_origin(Origin { queue: queue.clone(), consumer: None, unacked: 0 }),
        }
    }

    fn add_origin(&mut self, origin: Origin<Q>) -> OriginId {
        let id = OriginId(self.next_origin);
        self.next_origin += 1;
        self.origins.insert(id, origin);
        id
    }

    /// Ends a consumer; its unacked messages stay with the channel (AMQP 0-9-1, basic.cancel).
    pub fn cancel(&mut self, id: OriginId) {
        let Some(origin) = self.origins.get_mut(&id) else { return };
        if let Some(consumer) = &mut origin.consumer {
            consumer.cancelled = true;
            if std::mem::take(&mut consumer.parked) {
                self.parked -= 1;
            }
        }
        if origin.unacked == 0 {
            self.origins.remove(&id);
        }
    }

    /// The consumer's tag and whether it needs no ack; None once it is cancelled.
    #[must_use]
    pub fn consumer(&self, id: OriginId) -> Option<(&ConsumerTag, bool)> {
        let consumer = self.origins.get(&id)?.consumer.as_ref().filter(|c| !c.cancelled)?;
        Some((&consumer.tag, consumer.no_ack))
    }

    /// The consumer's name at its queue.
    #[must_use]
    pub fn consumer_key(&self, id: OriginId) -> Option<ConsumerKey> {
        Some(self.origins.get(&id)?.consumer.as_ref()?.key)
    }

    /// How many messages the consumer may take now. With none, it is marked parked.
    pub fn credit(&mut self, id: OriginId) -> Credit {
        let channel_left = match self.channel_prefetch {
            0 => u32::MAX,
            limit => limit.saturating_sub(self.consumed),
        };
        let Some(origin) = self.origins.get_mut(&id) else { return Credit::Gone };
        let Some(consumer) = origin.consumer.as_mut().filter(|c| !c.cancelled) else { return Credit::Gone };
        let left = match consumer.prefetch {
            _ if consumer.no_ack => u32::MAX,
            0 => channel_left,
            limit => limit.saturating_sub(origin.unacked).min(channel_left),
        };
        if left > 0 {
            return Credit::Ready(left);
        }
        if !std::mem::replace(&mut consumer.parked, true) {
            self.parked += 1;
        }
        Credit::Parked
    }

    /// Gives the next delivery tag. Unless `settled` (no-ack), the message is unacked from now on.
    pub fn deliver(&mut self, id: OriginId, seq: QueueSeq, settled: bool) -> DeliveryTag {
        let tag = self.next_tag();
        if !settled && let Some(origin) = self.origins.get_mut(&id) {
            origin.unacked += 1;
            self.consumed += u32::from(origin.consumer.is_some());
            self.unacked.push(tag, id, seq);
        }
        tag
    }

    /// The next delivery tag, for a delivery that nothing will settle.
    pub fn next_tag(&mut self) -> DeliveryTag {
        self.last_tag += 1;
        DeliveryTag(self.last_tag)
    }

    /// The newest outstanding delivery.
    #[must_use]
    pub fn newest(&self) -> Option<DeliveryTag> {
        self.unacked.newest()
    }

    /// All outstanding deliveries, oldest first.
    pub fn outstanding(&self) -> impl Iterator<Item = DeliveryTag> {
        self.unacked.tags()
    }

    /// Whether [`Deliveries::settle`] would accept this tag.
    #[must_use]
    pub fn is_outstanding(&self, tag: DeliveryTag, multiple: bool) -> bool {
        (multiple && tag.0 == 0) || self.unacked.contains(tag)
    }

    /// Takes one delivery, or with `multiple` all up to it (all there are for tag 0), out of the unacked ones
    /// and appends them to `out`.
    ///
    /// # Errors
    /// [`UnknownTag`] where the tag is not outstanding; nothing changed then.
    pub fn settle(
        &mut self,
        tag: DeliveryTag,
        multiple: bool,
        out: &mut Vec<Settled>,
    ) -> Result<(), UnknownTag> {
        if multiple {
            // RabbitMQ takes tag 0 on a channel without unacked messages, and refuses any other unknown tag.
            if !self.is_outstanding(tag, true) {
                return Err(UnknownTag(tag));
            }
            let until = if tag.0 == 0 { DeliveryTag(u64::MAX) } else { tag };
            while let Some((origin, seq)) = self.unacked.pop_until(until) {
                self.settled(origin, seq, out);
            }
        } else {
            let (origin, seq) = self.unacked.remove(tag).ok_or(UnknownTag(tag))?;
            self.settled(origin, seq, out);
        }
        Ok(())
    }

    fn settled(&mut self, id: OriginId, seq: QueueSeq, out: &mut Vec<Settled>) {
        if let Some(origin) = self.origins.get_mut(&id) {
            origin.unacked -= 1;
            self.consumed -= u32::from(origin.consumer.is_some());
        }
        match out.last_mut() {
            Some(run) if run.origin == id && run.last.0 + 1 == seq.0 => run.last = seq,
            _ => out.push(Settled { origin: id, first: seq, last: seq }),
        }
    }

    /// The queue an origin belongs to.
    #[must_use]
    pub fn queue(&self, id: OriginId) -> Option<&Q> {
        self.origins.get(&id).map(|origin| &origin.queue)
    }

    /// Drops origins of settled messages that are no longer needed; call it once `out` of
    /// [`Deliveries::settle`] was resolved by [`Deliveries::queue`].
    pub fn forget_finished(&mut self, settled: &[Settled]) {
        for run in settled {
            let finished = self.origins.get(&run.origin).is_some_and(|origin| {
                origin.unacked == 0 && origin.consumer.as_ref().is_none_or(|consumer| consumer.cancelled)
            });
            if finished {
                self.origins.remove(&run.origin);
            }
        }
    }

    /// The parked consumers that have credit again, unmarked; the caller tells their queues.
    pub fn take_unparked(&mut self, out: &mut Vec<(Q, ConsumerKey)>) {
        if self.parked == 0 {
            return;
        }
        let channel_full = self.channel_prefetch != 0 && self.consumed >= self.channel_prefetch;
        if channel_full {
            return;
        }
        for origin in self.origins.values_mut() {
            let Some(consumer) = &mut origin.consumer else { continue };
            let has_credit = consumer.prefetch == 0 || origin.unacked < consumer.prefetch;
            if consumer.parked && has_credit {
                consumer.parked = false;
                self.parked -= 1;
                out.push((origin.queue.clone(), consumer.key));
            }
        }
    }

    /// Sets the limit for all consumers of the channel together; 0 is unlimited.
    pub fn set_channel_prefetch(&mut self, limit: u32) {
        self.channel_prefetch = limit;
    }

    /// The limit for all consumers together.
    #[must_use]
    pub fn channel_prefetch(&self) -> u32 {
        self.channel_prefetch
    }

    /// How many deliveries are outstanding.
    #[must_use]
    pub fn unacked(&self) -> usize {
        self.unacked.len()
    }

    /// Whether it consumes nothing and has nothing to settle.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let consumes =
            |origin: &Origin<Q>| origin.consumer.as_ref().is_some_and(|consumer| !consumer.cancelled);
        self.unacked.len() == 0 && !self.origins.values().any(consumes)
    }

    /// Empties the channel for its close: its consumers, and through `out` all that is unacked.
    pub fn close(&mut self, out: &mut Vec<Settled>) -> Vec<(Q, ConsumerKey)> {
        while let Some((origin, seq)) = self.unacked.pop_until(DeliveryTag(u64::MAX)) {
            self.settled(origin, seq, out);
        }
        self.parked = 0;
        let consumers = self.origins.values_mut().filter_map(|origin| {
            let consumer = origin.consumer.as_mut().filter(|c| !c.cancelled)?;
            consumer.cancelled = true;
            Some((origin.queue.clone(), consumer.key))
        });
        consumers.collect()
    }
}

#[cfg(test)]
mod tests;
