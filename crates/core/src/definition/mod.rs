//! The definitions: what of the topology and of access survives a restart, and how it is written.
//!
//! A [`Change`] is what a command did to them. [`Change::encode`] makes of it an opaque key and value for storage;
//! [`Definition::decode`] reads one back. A key names its thing alone, so that a later change replaces an earlier
//! one. Values start with a version octet. Storage never looks inside.

mod codec;
mod restore;

use crate::access::{Permission, TopicPermission, User, UserLimits, VhostLimits};
use crate::arguments::Arguments;
use crate::ids::QueueId;
use crate::names::{ExchangeName, QueueName, UserName, VhostName};
use crate::parameters::{GlobalParameter, Parameter, Policy};

pub use codec::DefinitionError;
pub use leveret_routing::ExchangeType;
pub use restore::{Restored, restore};

/// One change of the definitions.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is there now, whatever was under its key before.
    Put(Definition),
    /// It is gone.
    Delete(DefinitionKey),
}

/// A thing that survives a restart.
#[derive(Clone, Debug, PartialEq)]
pub enum Definition {
    /// A virtual host.
    Vhost(VhostDefinition),
    /// A user.
    User(User),
    /// A user's permissions in a virtual host.
    Permission(Permission),
    /// A durable exchange.
    Exchange(ExchangeDefinition),
    /// A durable queue.
    Queue(QueueDefinition),
    /// A binding between durable things.
    Binding(BindingDefinition),
    /// A user's permissions on the routing keys of a topic exchange.
    TopicPermission(TopicPermission),
    /// The limits of a virtual host.
    VhostLimits(VhostLimits),
    /// The limits of a user.
    UserLimits(UserLimits),
    /// A runtime parameter of a virtual host.
    Parameter(Parameter),
    /// A parameter of the whole broker.
    GlobalParameter(GlobalParameter),
    /// A policy.
    Policy(Policy),
}

/// What names a [`Definition`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DefinitionKey {
    /// A virtual host.
    Vhost(VhostName),
    /// A user.
    User(UserName),
    /// A user's permissions in a virtual host.
    Permission(VhostName, UserName),
    /// An exchange.
    Exchange(VhostName, ExchangeName),
    /// A queue.
    Queue(VhostName, QueueName),
    /// A binding: all of it is its name.
    Binding(BindingDefinition),
    /// A user's permissions on the routing keys of a topic exchange.
    TopicPermission(VhostName, UserName, ExchangeName),
    /// The limits of a virtual host.
    VhostLimits(VhostName),
    /// The limits of a user.
    UserLimits(UserName),
    /// A runtime parameter: virtual host, component, name.
    Parameter(VhostName, String, String),
    /// A parameter of the whole broker.
    GlobalParameter(String),
    /// A policy.
    Policy(VhostName, String),
}

/// A virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VhostDefinition {
    /// Its name.
    pub name: VhostName,
    /// Free text.
    pub description: String,
    /// Free words.
    pub tags: Vec<String>,
    /// The queue type of declarations without `x-queue-type`; empty for the broker's default.
    pub default_queue_type: String,
}

impl VhostDefinition {
    /// A virtual host with a name and nothing else.
    #[must_use]
    pub const fn new(name: VhostName) -> Self {
        Self { name, description: String::new(), tags: Vec::new(), default_queue_type: String::new() }
    }
}

/// An exchange as it was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeDefinition {
    /// Its virtual host.
    pub vhost: VhostName,
    /// Its name.
    pub name: ExchangeName,
    /// How it routes.
    pub exchange_type: ExchangeType,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last binding.
    pub auto_delete: bool,
    /// Takes messages from exchanges only.
    pub internal: bool,
    /// As declared.
    pub arguments: Arguments,
}

/// A queue as it was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDefinition {
    /// Its virtual host.
    pub vhost: VhostName,
    /// Its name.
    pub name: QueueName,
    /// Its id, under which its messages are stored.
    pub id: QueueId,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last consumer.
    pub auto_delete: bool,
    /// As declared.
    pub arguments: Arguments,
}

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BindingTarget {
    /// A queue.
    Queue(QueueName),
    /// An exchange.
    Exchange(ExchangeName),
}

/// A binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingDefinition {
    /// Its virtual host.
    pub vhost: VhostName,
    /// The exchange whose messages it takes.
    pub source: ExchangeName,
    /// Where they go.
    pub target: BindingTarget,
    /// The binding key.
    pub key: Box<[u8]>,
    /// As bound.
    pub arguments: Arguments,
}

impl Definition {
    /// Its name.
    #[must_use]
    pub fn key(&self) -> DefinitionKey {
        match self {
            Self::Vhost(vhost) => DefinitionKey::Vhost(vhost.name.clone()),
            Self::User(user) => DefinitionKey::User(user.name.clone()),
            Self::Permission(permission) => {
                DefinitionKey::Permission(permission.vhost.clone(), permission.user.clone())
            }
            Self::Exchange(exchange) => {
                DefinitionKey::Exchange(exchange.vhost.clone(), exchange.name.clone())
            }
            Self::Queue(queue) => DefinitionKey::Queue(queue.vhost.clone(), queue.name.clone()),
            Self::Binding(binding) => DefinitionKey::Binding(binding.clone()),
            Self::TopicPermission(permission) => {
                let TopicPermission { vhost, user, exchange, .. } = permission.clone();
                DefinitionKey::TopicPermission(vhost, user, exchange)
            }
            Self::VhostLimits(limits) => DefinitionKey::VhostLimits(limits.vhost.clone()),
            Self::UserLimits(limits) => DefinitionKey::UserLimits(limits.user.clone()),
            Self::Parameter(parameter) => {
                let Parameter { vhost, component, name, .. } = parameter.clone();
                DefinitionKey::Parameter(vhost, component, name)
            }
            Self::GlobalParameter(parameter) => DefinitionKey::GlobalParameter(parameter.name.clone()),
            Self::Policy(policy) => DefinitionKey::Policy(policy.vhost.clone(), policy.name.clone()),
        }
    }

    /// Reads what [`Change::encode`] wrote for a [`Change::Put`].
    ///
    /// # Errors
    /// [`DefinitionError`] with the key as text for bytes that are no definition of a version we know.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, DefinitionError> {
        codec::decode(key, value)
    }
}

impl Change {
    /// Key and value for storage; no value for a deletion.
    #[must_use]
    pub fn encode(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        match self {
            Self::Put(definition) => {
                (codec::encode_key(&definition.key()), Some(codec::encode_value(definition)))
            }
            Self::Delete(key) => (codec::encode_key(key), None),
        }
    }
}

#[cfg(test)]
mod tests;
