//! What happened since the start, as management shows it. All of these only rise while the broker runs.

/// What happened in a queue, or in several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Messages that came in.
    pub published: u64,
    /// Deliveries to consumers that acknowledge.
    pub delivered: u64,
    /// Deliveries to consumers that do not.
    pub delivered_no_ack: u64,
    /// Messages got by basic.get, to be acknowledged.
    pub got: u64,
    /// Messages got by basic.get without acknowledgement.
    pub got_no_ack: u64,
    /// basic.get that found nothing.
    pub got_empty: u64,
    /// Deliveries and gets, among those above, of messages that were out before.
    pub redelivered: u64,
    /// Acknowledgements.
    pub acked: u64,
    /// Messages handed to the dead-letter exchange because they were rejected.
    pub dead_rejected: u64,
    /// The same for those that expired.
    pub dead_expired: u64,
    /// The same for those that a length limit pushed out.
    pub dead_max_length: u64,
    /// The same for those that came back too often.
    pub dead_delivery_limit: u64,
}

impl QueueStats {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, u64::wrapping_add)
    }

    /// The larger of each.
    #[must_use]
    pub fn at_least(self, other: Self) -> Self {
        self.with(other, u64::max)
    }

    /// All deliveries to consumers and all messages got.
    #[must_use]
    pub fn deliver_get(&self) -> u64 {
        self.delivered
            .wrapping_add(self.delivered_no_ack)
            .wrapping_add(self.got)
            .wrapping_add(self.got_no_ack)
    }

    fn with(self, other: Self, both: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            published: both(self.published, other.published),
            delivered: both(self.delivered, other.delivered),
            delivered_no_ack: both(self.delivered_no_ack, other.delivered_no_ack),
            got: both(self.got, other.got),
            got_no_ack: both(self.got_no_ack, other.got_no_ack),
            got_empty: both(self.got_empty, other.got_empty),
            redelivered: both(self.redelivered, other.redelivered),
            acked: both(self.acked, other.acked),
            dead_rejected: both(self.dead_rejected, other.dead_rejected),
            dead_expired: both(self.dead_expired, other.dead_expired),
            dead_max_length: both(self.dead_max_length, other.dead_max_length),
            dead_delivery_limit: both(self.dead_delivery_limit, other.dead_delivery_limit),
        }
    }
}

/// What came and went over a connection, or over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionStats {
    /// Messages published.
    pub received: u64,
    /// Those among them that a confirm was asked for.
    pub received_confirm: u64,
    /// Publishes confirmed with an ack.
    pub confirmed: u64,
    /// Messages that a queue or a reply's consumer took.
    pub routed: u64,
    /// Unroutable ones that were returned.
    pub returned: u64,
    /// Unroutable ones that were dropped.
    pub dropped: u64,
    /// Bytes read.
    pub recv_oct: u64,
    /// Bytes handed out to be written.
    pub send_oct: u64,
}

impl ConnectionStats {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, u64::wrapping_add)
    }

    /// The larger of each.
    #[must_use]
    pub fn at_least(self, other: Self) -> Self {
        self.with(other, u64::max)
    }

    fn with(self, other: Self, both: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            received: both(self.received, other.received),
            received_confirm: both(self.received_confirm, other.received_confirm),
            confirmed: both(self.confirmed, other.confirmed),
            routed: both(self.routed, other.routed),
            returned: both(self.returned, other.returned),
            dropped: both(self.dropped, other.dropped),
            recv_oct: both(self.recv_oct, other.recv_oct),
            send_oct: both(self.send_oct, other.send_oct),
        }
    }
}

/// What came and went in the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Churn {
    /// Connections that opened a virtual host.
    pub connections_opened: u64,
    /// Those among them that ended.
    pub connections_closed: u64,
    /// Channels opened.
    pub channels_opened: u64,
    /// Channels that ended.
    pub channels_closed: u64,
    /// queue.declare that was not refused.
    pub queues_declared: u64,
    /// Queues that came to be.
    pub queues_created: u64,
    /// Queues that ended.
    pub queues_deleted: u64,
}

/// What happened in the whole broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrokerStats {
    /// In all classic queues, deleted ones included.
    pub classic: QueueStats,
    /// In all quorum queues, deleted ones included.
    pub quorum: QueueStats,
    /// Over all connections, closed ones included.
    pub connections: ConnectionStats,
    /// What came and went.
    pub churn: Churn,
}
