//! Opening and forgetting channels, and the names they resolve.

use std::sync::Arc;

use leveret_core::BrokerError;
use leveret_core::channel::Mode;
use leveret_core::names::QueueName;
use leveret_protocol::amqp::{AMQPClass, channel};
use leveret_protocol::constants::reply_code;

use super::held::HeldReplies;
use super::{Session, SessionChannel};
use crate::broker::ChannelSummary;
use crate::seams::Seams;
use crate::stats::count;

impl<S: Seams> Session<S> {
    /// channel.open. On a channel that the broker is closing it is ignored like all else, as in RabbitMQ.
    pub(super) fn open_channel(&mut self, number: u16) -> Result<(), BrokerError> {
        let mut held = HeldReplies::default();
        match self.channels.get_mut(&number) {
            None => {}
            // The client has its close-ok to come, and may open the channel anew behind it.
            Some(before) if before.leaving => held = std::mem::take(&mut before.held),
            Some(before) if before.core.closing && !before.crossed => return Ok(()),
            Some(_) => {
                return Err(BrokerError::new(reply_code::CHANNEL_ERROR, "second 'channel.open' seen"));
            }
        }
        if self.channels.remove(&number).is_some() {
            count(&self.broker.counters.channels_closed);
        }
        let (open, max) = (self.channels.len(), usize::from(self.connection.channel_max()));
        if max != 0 && open >= max {
            return Err(BrokerError::not_allowed(format!(
                "number of channels opened ({open}) has reached the negotiated channel_max ({max})"
            )));
        }
        if let Some(user) = &self.user {
            self.broker.check_channel_limit(user)?;
        }
        self.channels.insert(number, SessionChannel::new(held));
        count(&self.broker.counters.channels_opened);
        self.outbox.with(|outbox| {
            _ = outbox.channels.insert(number, leveret_core::deliveries::Deliveries::default())
        });
        self.describe_channel(number);
        self.reply(number, AMQPClass::Channel(channel::AMQPMethod::OpenOk(channel::OpenOk {})));
        Ok(())
    }

    pub(super) fn forget_channel(&mut self, number: u16) {
        if self.channels.remove(&number).is_some() {
            count(&self.broker.counters.channels_closed);
        }
        self.entry.set_channel(number, None);
    }

    /// Shows in lists what a channel is now.
    pub(super) fn describe_channel(&self, number: u16) {
        let summary = self.channels.get(&number).map(|channel| ChannelSummary {
            confirm: matches!(channel.core.mode, Mode::Confirm(_)),
            transactional: channel.core.is_transactional(),
            prefetch: channel.core.prefetch(),
            consumers: channel.core.consumer_count(),
            counters: Arc::clone(&channel.counters),
        });
        self.entry.set_channel(number, summary);
    }

    pub(super) fn queue_name(&self, number: u16, given: &str) -> Result<QueueName, BrokerError> {
        match self.channels.get(&number) {
            Some(channel) => channel.core.queue_name(given),
            None => Err(BrokerError::not_found("no previously declared queue")),
        }
    }

    pub(super) fn binding_names(
        &self,
        number: u16,
        queue: &str,
        routing_key: &str,
    ) -> Result<(QueueName, String), BrokerError> {
        match self.channels.get(&number) {
            Some(channel) => channel.core.binding_names(queue, routing_key),
            None => Err(BrokerError::not_found("no previously declared queue")),
        }
    }
}
