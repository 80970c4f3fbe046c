//! The open connections, as others see them: for lists, for a close from outside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leveret_core::BrokerError;
use leveret_core::connection::{Client, Connection};
use leveret_core::ids::{ConnectionId, UnixMillis};
use leveret_core::names::{UserName, VhostName};
use leveret_protocol::amqp::FieldTable;
use leveret_protocol::reply_code;

use crate::outbox::OutboxRef;
use crate::seams::{Seams, Shared, Wake};
use crate::session::Peer;
use crate::stats::ConnectionCounters;

/// So long after it was held back a connection is shown as such (RabbitMQ's `?STATE_CHANGE_INTERVAL`).
const FLOW_SHOWN_MS: u64 = 1_000;

/// What is known of a connection once it is known.
#[derive(Clone, Debug, Default)]
pub struct ConnectionDetails {
    /// The user it logged in as.
    pub user: Option<UserName>,
    /// The vhost it opened.
    pub vhost: Option<VhostName>,
    /// The SASL mechanism.
    pub mechanism: Option<String>,
    /// What the client said of itself.
    pub client_properties: FieldTable,
    /// The client's name for the connection.
    pub user_provided_name: Option<String>,
    /// Negotiated.
    pub frame_max: u32,
    /// Negotiated.
    pub channel_max: u16,
    /// Negotiated, in seconds.
    pub heartbeat_s: u16,
    /// Publishing is stopped by an alarm.
    pub blocked: bool,
    /// Its open channels.
    pub channels: BTreeMap<u16, ChannelSummary>,
}

/// Counts of a channel that move with every batch.
#[derive(Debug, Default)]
pub struct ChannelCounters {
    /// Publishes without their confirm.
    pub unconfirmed: AtomicU64,
    /// Publishes that wait for tx.commit.
    pub uncommitted: AtomicU64,
    /// Acks that wait for tx.commit.
    pub acks_uncommitted: AtomicU64,
}

/// What a list shows of a channel.
#[derive(Clone, Debug, Default)]
pub struct ChannelSummary {
    /// confirm.select was called.
    pub confirm: bool,
    /// tx.select was called.
    pub transactional: bool,
    /// The prefetch of new consumers.
    pub prefetch: u32,
    /// Its consumers.
    pub consumers: usize,
    /// What moves with every batch.
    pub counters: Arc<ChannelCounters>,
}

/// An open connection.
pub struct ConnectionEntry<S: Seams> {
    /// Its number.
    pub id: ConnectionId,
    /// Who is at the other end.
    pub peer: Peer,
    /// What goes to it.
    pub outbox: OutboxRef<S>,
    /// What came and went over it.
    pub counters: ConnectionCounters,
    /// Until when it counts as held back, in milliseconds of the steady clock.
    flow_until_ms: AtomicU64,
    details: S::Lock<ConnectionDetails>,
}

impl<S: Seams> ConnectionEntry<S> {
    pub(crate) fn new(id: ConnectionId, peer: Peer, outbox: OutboxRef<S>) -> Self {
        let details = S::Lock::new(ConnectionDetails::default());
        let flow_until_ms = AtomicU64::new(0);
        Self { id, peer, outbox, counters: ConnectionCounters::default(), flow_until_ms, details }
    }

    /// A copy of what is known.
    #[must_use]
    pub fn details(&self) -> ConnectionDetails {
        self.details.with(|details| details.clone())
    }

    /// The user it logged in as.
    #[must_use]
    pub fn user(&self) -> Option<UserName> {
        self.details.with(|details| details.user.clone())
    }

    /// The user it logged in as and the vhost it opened.
    #[must_use]
    pub fn user_and_vhost(&self) -> (Option<UserName>, Option<VhostName>) {
        self.details.with(|details| (details.user.clone(), details.vhost.clone()))
    }

    /// How many channels are open, if it is a connection of that user.
    pub(crate) fn channels_of(&self, user: &UserName) -> u64 {
        self.details.with(|details| match &details.user {
            Some(owner) if owner == user => details.channels.len() as u64,
            _ => 0,
        })
    }

    /// Closes it with 320, as an operator does.
    pub fn close(&self, reason: &str) {
        self.outbox.close(BrokerError::new(reply_code::CONNECTION_FORCED, reason));
    }

    pub(crate) fn wake(&self) {
        self.outbox.waker().wake();
    }

    pub(crate) fn logged_in(&self, user: &UserName, mechanism: &str, client: &Client) {
        self.details.with(|details| {
            details.user = Some(user.clone());
            details.mechanism = Some(mechanism.to_owned());
            details.client_properties = client.properties.clone();
            details.user_provided_name = client.connection_name();
        });
    }

    pub(crate) fn opened(&self, vhost: &VhostName, connection: &Connection) {
        self.details.with(|details| {
            details.vhost = Some(vhost.clone());
            details.frame_max = connection.frame_max();
            details.channel_max = connection.channel_max();
            details.heartbeat_s = connection.heartbeat_s();
        });
    }

    pub(crate) fn set_blocked(&self, blocked: bool) {
        self.details.with(|details| details.blocked = blocked);
    }

    /// It is held back from now on.
    pub(crate) fn begin_flow(&self) {
        self.flow_until_ms.store(u64::MAX, Ordering::Relaxed);
    }

    /// It is read again.
    pub(crate) fn end_flow(&self, now: UnixMillis) {
        self.flow_until_ms.store(now.0.saturating_add(FLOW_SHOWN_MS), Ordering::Relaxed);
    }

    pub(super) fn is_in_flow(&self, now: UnixMillis) -> bool {
        now.0 < self.flow_until_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn set_channel(&self, number: u16, summary: Option<ChannelSummary>) {
        self.details.with(|details| {
            match summary {
                Some(summary) => details.channels.insert(number, summary),
                None => details.channels.remove(&number),
            };
        });
    }

    pub(crate) fn forget_channels(&self) {
        self.details.with(|details| details.channels.clear());
    }
}
