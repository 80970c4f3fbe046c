//! Direct reply-to: a consumer without a queue, and the reply names that lead to it.
//!
//! A request published with reply-to `amq.rabbitmq.reply-to` leaves with a name that only this broker can have
//! made: a random token of the consumer. A reply published to that name on the default exchange goes straight to
//! the consumer's connection. The token is 128 random bits given by the shell, so a name cannot be guessed.

use std::collections::HashMap;

use leveret_core::BrokerError;
use leveret_core::limits::UNREAD_REPLY_BYTES;
use leveret_core::message::Message;
use leveret_core::names::ConsumerTag;
use leveret_protocol::constants::class_id;
use leveret_protocol::encode;
use leveret_protocol::method::Deliver;

use super::Session;
use crate::outbox::OutboxRef;
use crate::seams::{Registry, Seams};

/// The pseudo-queue that reply consumers consume from.
pub(crate) const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// What reply names begin with.
pub(crate) const REPLY_PREFIX: &str = "amq.rabbitmq.reply-to.";

/// Where a reply name leads.
pub struct ReplyTarget<S: Seams> {
    outbox: OutboxRef<S>,
    channel: u16,
    tag: ConsumerTag,
}

impl<S: Seams> Clone for ReplyTarget<S> {
    fn clone(&self) -> Self {
        Self { outbox: self.outbox.clone(), channel: self.channel, tag: self.tag.clone() }
    }
}

impl<S: Seams> ReplyTarget<S> {
    /// Delivers a reply.
    pub(crate) fn deliver(&self, message: &Message<'_>) {
        self.outbox.write(|outbox| {
            if outbox.closed {
                return;
            }
            if outbox.out.len() >= UNREAD_REPLY_BYTES {
                tracing::warn!(consumer = %self.tag, "a direct reply was dropped: its consumer does not read");
                return;
            }
            let Some(deliveries) = outbox.channels.get_mut(&self.channel) else { return };
            let tag = deliveries.next_tag();
            let deliver = Deliver {
                consumer_tag: self.tag.as_bytes(),
                delivery_tag: tag.0,
                redelivered: false,
                exchange: message.exchange,
                routing_key: message.routing_key,
            };
            let out = outbox.out.tail();
            encode::encode_deliver(out, self.channel, &deliver);
            encode::encode_content_header(
                out,
                self.channel,
                class_id::BASIC,
                message.body.len() as u64,
                message.properties,
            );
            outbox.out.push_body(self.channel, outbox.frame_max, message.body);
        });
    }
}

/// The reply consumers of one connection: at most one a channel.
#[derive(Debug, Default)]
pub(super) struct ReplyConsumers {
    by_channel: HashMap<u16, (ConsumerTag, String)>,
}

impl ReplyConsumers {
    pub(super) fn name(&self, channel: u16) -> Option<&str> {
        self.by_channel.get(&channel).map(|(_, name)| name.as_str())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_channel.is_empty()
    }
}

impl<S: Seams> Session<S> {
    /// basic.consume of the pseudo-queue.
    pub(super) fn consume_replies(
        &mut self,
        channel: u16,
        tag: ConsumerTag,
        no_ack: bool,
    ) -> Result<(), BrokerError> {
        if !no_ack {
            return Err(BrokerError::precondition_failed("reply consumer cannot acknowledge"));
        }
        if self.reply_consumers.by_channel.contains_key(&channel) {
            return Err(BrokerError::precondition_failed("reply consumer already set"));
        }
        let name = format!("{REPLY_PREFIX}{}", self.broker.random_name());
        let target = ReplyTarget { outbox: self.outbox.clone(), channel, tag: tag.clone() };
        self.broker.reply_targets.insert(name.clone(), target);
        self.reply_consumers.by_channel.insert(channel, (tag, name));
        Ok(())
    }

    /// Ends a channel's reply consumer, if it has one with this tag (any tag for None).
    pub(super) fn end_reply_consumer(&mut self, channel: u16, tag: Option<&str>) {
        let found = self.reply_consumers.by_channel.get(&channel);
        if found.is_some_and(|(of, _)| tag.is_none_or(|tag| of.as_str() == tag))
            && let Some((_, name)) = self.reply_consumers.by_channel.remove(&channel)
        {
            self.broker.reply_targets.remove(name.as_str());
        }
    }
}
