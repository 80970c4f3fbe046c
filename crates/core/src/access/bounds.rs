//! Limits that an operator sets for one user or one virtual host.

use crate::names::{UserName, VhostName};

/// A limit as it was set. A negative one is none, as in RabbitMQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub i64);

impl Limit {
    /// Whether one more than `count` would be too many.
    #[must_use]
    pub fn is_reached(self, count: u64) -> bool {
        u64::try_from(self.0).is_ok_and(|limit| count >= limit)
    }
}

/// The limits of a virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VhostLimits {
    /// Where.
    pub vhost: VhostName,
    /// `max-connections`: connections that have it open.
    pub max_connections: Option<Limit>,
    /// `max-queues`: queues in it.
    pub max_queues: Option<Limit>,
}

impl VhostLimits {
    /// No limits.
    #[must_use]
    pub const fn none(vhost: VhostName) -> Self {
        Self { vhost, max_connections: None, max_queues: None }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.max_connections.is_none() && self.max_queues.is_none()
    }
}

/// The limits of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLimits {
    /// Whose.
    pub user: UserName,
    /// `max-connections`: connections of the user.
    pub max_connections: Option<Limit>,
    /// `max-channels`: channels on all connections of the user together.
    pub max_channels: Option<Limit>,
}

impl UserLimits {
    /// No limits.
    #[must_use]
    pub const fn none(user: UserName) -> Self {
        Self { user, max_connections: None, max_channels: None }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.max_connections.is_none() && self.max_channels.is_none()
    }
}
