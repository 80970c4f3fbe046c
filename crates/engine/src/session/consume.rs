//! basic.consume, cancel, get and the channel's prefetch.

use std::sync::Arc;

use leveret_core::BrokerError;
use leveret_core::arguments::{Arguments, ConsumerSettings, QueueType};
use leveret_core::channel::ConsumerKind;
use leveret_core::names::ConsumerTag;
use leveret_core::queue::ConsumerKey;
use leveret_protocol::amqp::{AMQPClass, basic, short_string};
use leveret_storage::Position;

use super::Session;
use super::later::Later;
use super::reply_to::REPLY_TO;
use crate::broker::arguments;
use crate::cell::{ConsumerDetails, ConsumerHandle, ConsumerTerms, Got};
use crate::queue::QueueRef;
use crate::seams::Seams;

/// What basic.consume asks for.
struct NewConsumer {
    tag: ConsumerTag,
    no_ack: bool,
    terms: ConsumerTerms,
    arguments: Arguments,
}

impl<S: Seams> Session<S> {
    pub(super) fn consume(&mut self, number: u16, consume: basic::Consume) -> Result<(), BrokerError> {
        let Some(channel) = self.channels.get(&number) else { return Ok(()) };
        let given = consume.consumer_tag.as_str();
        // A reply consumer's own tag may come again: RabbitMQ looks at the consumer first.
        let is_reply_tag = matches!(channel.core.consumer(given), Some(ConsumerKind::DirectReplyTo));
        if !(is_reply_tag && consume.queue.as_str() == REPLY_TO) {
            channel.core.check_consumer_tag(given)?;
        }
        let tag = match given {
            "" => ConsumerTag::from(format!("amq.ctag-{}", self.broker.random_name())),
            given => ConsumerTag::from(given),
        };
        let ok = basic::AMQPMethod::ConsumeOk(basic::ConsumeOk { consumer_tag: short_string(&tag) });
        let ok = (!consume.nowait).then_some(AMQPClass::Basic(ok));
        if consume.queue.as_str() == REPLY_TO {
            self.consume_replies(number, tag.clone(), consume.no_ack)?;
            if let Some(channel) = self.channels.get_mut(&number) {
                channel.core.add_consumer(tag, ConsumerKind::DirectReplyTo);
            }
            if let Some(ok) = ok {
                self.reply(number, ok);
            }
            return Ok(());
        }
        let name = self.queue_name(number, consume.queue.as_str())?;
        let queue = self.broker.queue_to_read(&self.actor()?, &name)?;
        self.check_qos(number, &queue)?;
        let arguments = arguments(&consume.arguments)?;
        let queue_type = if queue.all_persistent { QueueType::Quorum } else { QueueType::Classic };
        let resource = || format!("queue '{}' in vhost '{}'", queue.name, queue.vhost);
        let ConsumerSettings { priority } = ConsumerSettings::parse(&arguments, queue_type, resource)?;
        let terms = ConsumerTerms { priority, exclusive: consume.exclusive };
        self.start_consumer(number, &queue, NewConsumer { tag, no_ack: consume.no_ack, terms, arguments }, ok)
    }

    /// RabbitMQ's quorum queues refuse a channel-wide prefetch.
    fn check_qos(&self, number: u16, queue: &QueueRef<S>) -> Result<(), BrokerError> {
        let limit = self.outbox.with(|outbox| {
            outbox.channels.get(&number).map_or(0, leveret_core::deliveries::Deliveries::channel_prefetch)
        });
        if limit > 0 && queue.all_persistent {
            return Err(BrokerError::not_implemented(format!(
                "queue '{}' in vhost '{}' does not support global qos",
                queue.name, queue.vhost
            )));
        }
        Ok(())
    }

    fn start_consumer(
        &mut self,
        number: u16,
        queue: &QueueRef<S>,
        new: NewConsumer,
        ok: Option<AMQPClass>,
    ) -> Result<(), BrokerError> {
        let key = self.broker.next_consumer_key();
        let NewConsumer { tag, no_ack, terms, arguments } = new;
        let prefetch = self.channels.get(&number).map_or(0, |channel| channel.core.prefetch());
        let origin = self.outbox.with(|outbox| {
            let deliveries = outbox.channels.entry(number).or_default();
            deliveries.add_consumer(queue.clone(), key, tag.clone(), no_ack, prefetch)
        });
        let handle = ConsumerHandle {
            outbox: self.outbox.clone(),
            channel: number,
            origin,
            tag: tag.clone(),
            no_ack,
            details: Arc::new(ConsumerDetails { connection: self.id, prefetch, arguments }),
        };
        let added = queue.with(|cell| cell.add_consumer(queue, key, handle, terms));
        if let Err(error) = added {
            self.outbox.with(|outbox| {
                outbox.channels.get_mut(&number).into_iter().for_each(|deliveries| deliveries.cancel(origin));
            });
            return Err(error);
        }
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.core.add_consumer(tag, ConsumerKind::Queue { origin, key, queue: queue.name.clone() });
        }
        // Its first delivery comes after its consume-ok, wherever that has to wait.
        match ok {
            Some(ok) if self.must_hold(number, Position(0)) => {
                self.reply_then_resume(number, Position(0), ok, Some((queue.clone(), key)));
            }
            ok => {
                if let Some(ok) = ok {
                    self.send(number, ok);
                }
                self.broker.work(queue, |cell, around| cell.resume(around, key));
            }
        }
        Ok(())
    }

    pub(super) fn cancel_consumer(&mut self, number: u16, cancel: basic::Cancel) {
        let tag = cancel.consumer_tag.as_str();
        let consumer = self.channels.get_mut(&number).and_then(|channel| channel.core.remove_consumer(tag));
        match consumer {
            Some(ConsumerKind::DirectReplyTo) => self.end_reply_consumer(number, Some(tag)),
            Some(ConsumerKind::Queue { origin, .. }) => {
                let found = self.outbox.with(|outbox| {
                    let deliveries = outbox.channels.get_mut(&number)?;
                    let found = Some((deliveries.queue(origin)?.clone(), deliveries.consumer_key(origin)?));
                    deliveries.cancel(origin);
                    found
                });
                if let Some((queue, key)) = found
                    && self.broker.work(&queue, |cell, around| cell.cancel(around, key))
                    && queue.auto_delete
                {
                    self.broker.delete_unused(&queue);
                }
            }
            None => {}
        }
        if !cancel.nowait {
            let ok = basic::CancelOk { consumer_tag: cancel.consumer_tag };
            self.reply(number, AMQPClass::Basic(basic::AMQPMethod::CancelOk(ok)));
        }
    }

    /// A queue ended this consumer: the client is told, if it understands, behind what its channel waits for.
    pub(super) fn consumer_gone(&mut self, number: u16, key: ConsumerKey) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let Some(tag) = channel.core.remove_ended(key) else { return };
        let closing = channel.core.closing;
        self.describe_channel(number);
        if self.connection.client().consumer_cancel_notify && !closing {
            let cancel = basic::Cancel { consumer_tag: short_string(&tag), nowait: true };
            self.reply(number, AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)));
        }
    }

    pub(super) fn get(&mut self, number: u16, get: &basic::Get) -> Result<(), BrokerError> {
        let name = self.queue_name(number, get.queue.as_str())?;
        let queue = self.broker.queue_to_read(&self.actor()?, &name)?;
        if queue.all_persistent && queue.settings.single_active_consumer {
            return Err(BrokerError::resource_locked(format!(
                "cannot obtain access to locked queue '{}' in vhost '{}'. basic.get operations are not supported by \
                 quorum queues with single active consumer",
                queue.name, queue.vhost
            )));
        }
        // Behind replies that wait for the log it waits too: a message that was taken before them would get a lower
        // delivery tag than what consumers of the channel are sent meanwhile, and would come after that.
        let got = if self.must_hold(number, Position(0)) {
            Got::Later
        } else {
            self.broker.work(&queue, |cell, around| cell.get(around, &self.outbox, number, get.no_ack))
        };
        match got {
            Got::Message(bytes) => self.answered_bytes += bytes,
            Got::Empty => {
                self.reply(number, AMQPClass::Basic(basic::AMQPMethod::GetEmpty(basic::GetEmpty {})));
            }
            Got::Later => self.later = Some(Later::Get(number, get.clone())),
        }
        Ok(())
    }

    pub(super) fn set_channel_prefetch(&mut self, number: u16, limit: u32) {
        let mut unparked = Vec::new();
        self.outbox.with(|outbox| {
            let Some(deliveries) = outbox.channels.get_mut(&number) else { return };
            deliveries.set_channel_prefetch(limit);
            deliveries.take_unparked(&mut unparked);
        });
        for (queue, key) in unparked {
            self.broker.work(&queue, |cell, around| cell.resume(around, key));
        }
    }
}
