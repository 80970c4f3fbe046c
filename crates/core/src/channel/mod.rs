//! A channel's own state: its mode, its consumers' tags, the queue it declared last, its prefetch.
//!
//! ```text
//!            confirm.select            tx.select
//!   Confirm <-------------- Plain ---------------> Transactional
//!
//!   Open --- a soft error: channel.close sent ---> Closing --- channel.close-ok ---> gone
//! ```
//!
//! What is delivered and unacked lives in [`crate::deliveries`], under the outbox's lock.

mod confirms;

pub use confirms::{Confirmation, Confirms, Verdict};

use std::collections::BTreeMap;

use crate::BrokerError;
use crate::deliveries::OriginId;
use crate::names::{ConsumerTag, QueueName};
use crate::queue::ConsumerKey;

/// What publishing on the channel means.
#[derive(Debug, Default)]
pub enum Mode {
    /// Published and forgotten.
    #[default]
    Plain,
    /// Every publish is confirmed.
    Confirm(Confirms),
    /// Publishes and acks wait for tx.commit.
    Transactional,
}

/// A consumer as its channel knows it.
#[derive(Clone, Debug)]
pub enum ConsumerKind {
    /// Of a queue.
    Queue {
        /// Where its deliveries come from.
        origin: OriginId,
        /// Its name at the queue.
        key: ConsumerKey,
        /// The queue's name.
        queue: QueueName,
    },
    /// Of the pseudo-queue `amq.rabbitmq.reply-to`.
    DirectReplyTo,
}

/// Which of basic.qos's meanings was asked for (RabbitMQ: `global` false is for each new consumer, true for the
/// channel).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// For every consumer that starts from now on.
    Consumers,
    /// For all consumers of the channel together.
    Channel(u32),
}

/// One channel.
#[derive(Debug, Default)]
pub struct Channel {
    /// What publishing means.
    pub mode: Mode,
    /// Set while channel.close-ok is awaited: everything but channel.close and close-ok is ignored.
    pub closing: bool,
    prefetch: u32,
    last_queue: Option<QueueName>,
    consumers: BTreeMap<ConsumerTag, ConsumerKind>,
}

impl Channel {
    /// confirm.select.
    ///
    /// # Errors
    /// 406 on a transactional channel.
    pub fn confirm_select(&mut self) -> Result<(), BrokerError> {
        match self.mode {
            Mode::Transactional => {
                Err(BrokerError::precondition_failed("cannot switch from tx to confirm mode"))
            }
            Mode::Confirm(_) => Ok(()),
            Mode::Plain => {
                self.mode = Mode::Confirm(Confirms::default());
                Ok(())
            }
        }
    }

    /// tx.select.
    ///
    /// # Errors
    /// 406 on a confirm channel.
    pub fn tx_select(&mut self) -> Result<(), BrokerError> {
        if matches!(self.mode, Mode::Confirm(_)) {
            return Err(BrokerError::precondition_failed("cannot switch from confirm to tx mode"));
        }
        self.mode = Mode::Transactional;
        Ok(())
    }

    /// Whether publishes and acks wait for tx.commit.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        matches!(self.mode, Mode::Transactional)
    }

    /// For tx.commit and tx.rollback.
    ///
    /// # Errors
    /// 406 on a channel that is not transactional.
    pub fn require_transaction(&self) -> Result<(), BrokerError> {
        if self.is_transactional() {
            return Ok(());
        }
        Err(BrokerError::precondition_failed("channel is not transactional"))
    }

    /// The confirms of a confirm channel.
    pub fn confirms(&mut self) -> Option<&mut Confirms> {
        match &mut self.mode {
            Mode::Confirm(confirms) => Some(confirms),
            _ => None,
        }
    }

    /// basic.qos.
    ///
    /// # Errors
    /// 540 unless `prefetch_size` is 0, as in RabbitMQ.
    pub fn qos(&mut self, prefetch_size: u32, prefetch_count: u16, global: bool) -> Result<Qos, BrokerError> {
        if prefetch_size != 0 {
            return Err(BrokerError::not_implemented(format!("prefetch_size!=0 ({prefetch_size})")));
        }
        if global {
            return Ok(Qos::Channel(prefetch_count.into()));
        }
        self.prefetch = prefetch_count.into();
        Ok(Qos::Consumers)
    }

    /// The prefetch of consumers that start now; 0 is unlimited.
    #[must_use]
    pub fn prefetch(&self) -> u32 {
        self.prefetch
    }

    /// Remembers the queue that an empty name means from now on.
    pub fn declared(&mut self, queue: QueueName) {
        self.last_queue = Some(queue);
    }

    /// The queue meant by a method's queue name.
    ///
    /// # Errors
    /// 404 for an empty name before any declaration.
    pub fn queue_name(&self, given: &str) -> Result<QueueName, BrokerError> {
        if !given.is_empty() {
            return Ok(given.into());
        }
        self.last_queue.clone().ok_or_else(|| BrokerError::not_found("no previously declared queue"))
    }

    /// Queue and key of a binding: with both empty, the key is the last declared queue's name too
    /// (AMQP 0-9-1, queue.bind).
    ///
    /// # Errors
    /// 404 for an empty queue name before any declaration.
    pub fn binding_names(&self, queue: &str, routing_key: &str) -> Result<(QueueName, String), BrokerError> {
        let name = self.queue_name(queue)?;
        let key = if queue.is_empty() && routing_key.is_empty() { name.as_str() } else { routing_key };
        let key = key.to_owned();
        Ok((name, key))
    }

    /// Whether a consumer tag is taken.
    ///
    /// # Errors
    /// 530 if it is.
    pub fn check_consumer_tag(&self, tag: &str) -> Result<(), BrokerError> {
        if self.consumers.contains_key(tag) {
            return Err(BrokerError::not_allowed(format!("attempt to reuse consumer tag '{tag}'")));
        }
        Ok(())
    }

    /// Records a consumer.
    pub fn add_consumer(&mut self, tag: ConsumerTag, consumer: ConsumerKind) {
        self.consumers.insert(tag, consumer);
    }

    /// Forgets a consumer.
    pub fn remove_consumer(&mut self, tag: &str) -> Option<ConsumerKind> {
        self.consumers.remove(tag)
    }

    /// Forgets a consumer that its queue ended; its tag, unless it was forgotten before.
    pub fn remove_ended(&mut self, gone: ConsumerKey) -> Option<ConsumerTag> {
        let ended = |kind: &ConsumerKind| matches!(kind, ConsumerKind::Queue { key, .. } if *key == gone);
        let tag = self.consumers.iter().find(|(_, kind)| ended(kind))?.0.clone();
        self.consumers.remove(&tag);
        Some(tag)
    }

    /// The consumer of a tag.
    #[must_use]
    pub fn consumer(&self, tag: &str) -> Option<&ConsumerKind> {
        self.consumers.get(tag)
    }

    /// The consumers.
    pub fn consumers(&self) -> impl Iterator<Item = (&ConsumerTag, &ConsumerKind)> {
        self.consumers.iter()
    }

    /// How many consumers there are.
    #[must_use]
    pub fn consumer_count(&self) -> usize {
        self.consumers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_do_not_mix() {
        let mut channel = Channel::default();
        assert_eq!(channel.require_transaction().unwrap_err().explanation, "channel is not transactional");
        channel.confirm_select().unwrap();
        channel.confirm_select().unwrap();
        assert_eq!(channel.tx_select().unwrap_err().explanation, "cannot switch from confirm to tx mode");
        let mut channel = Channel::default();
        channel.tx_select().unwrap();
        channel.tx_select().unwrap();
        channel.require_transaction().unwrap();
        assert_eq!(
            channel.confirm_select().unwrap_err().explanation,
            "cannot switch from tx to confirm mode"
        );
    }

    #[test]
    fn an_empty_queue_name_means_the_last_declared_one() {
        let mut channel = Channel::default();
        assert_eq!(channel.queue_name("").unwrap_err().code, 404);
        channel.declared("q".into());
        assert_eq!(channel.queue_name("").unwrap().as_str(), "q");
        assert_eq!(channel.binding_names("", "").unwrap(), ("q".into(), "q".into()));
        assert_eq!(channel.binding_names("", "k").unwrap(), ("q".into(), "k".into()));
        assert_eq!(channel.binding_names("r", "").unwrap(), ("r".into(), String::new()));
    }

    #[test]
    fn qos_has_two_meanings() {
        let mut channel = Channel::default();
        assert_eq!(channel.qos(1, 10, false).unwrap_err().explanation, "prefetch_size!=0 (1)");
        assert_eq!(channel.qos(0, 10, true).unwrap(), Qos::Channel(10));
        assert_eq!(channel.prefetch(), 0);
        assert_eq!(channel.qos(0, 5, false).unwrap(), Qos::Consumers);
        assert_eq!(channel.prefetch(), 5);
    }
}
