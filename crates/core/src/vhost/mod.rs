//! A virtual host's topology: which exchanges, queues and bindings there are, and what may be done with them.
//!
//! Owns what they were declared with, and their order of checks, reply codes and texts, which are RabbitMQ 4's. Owns
//! neither the contents of queues nor their consumers: where a rule needs a count, the caller brings it. Who may do
//! what is decided by the [`Caller`]'s permit, asked here at the place where RabbitMQ asks.
//!
//! **Invariants.** Every exchange here stands in the router under the same name and every binding's ends exist.
//! [`Effects::changes`] name durable things only, in an order that never leaves a binding without its ends.

mod bindings;
mod exchanges;
mod queues;
mod routing;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use leveret_routing::{ExchangeKey, ExchangeType, Router};

use crate::access::{Operation, Resource, VhostLimits};
use crate::definition::{Change, Definition, DefinitionKey, ExchangeDefinition, VhostDefinition};
use crate::error::BrokerError;
use crate::ids::{ConnectionId, QueueId};
use crate::names::{ExchangeName, QueueName, VhostName};

pub use exchanges::{Exchange, ExchangeDeclaration};
pub use queues::{DeclaredQueue, Queue, QueueDeclaration};

/// Exchanges that every virtual host has and nobody declares or deletes: name, type, internal.
const PREDECLARED: [(&str, ExchangeType, bool); 7] = [
    ("", ExchangeType::Direct, false),
    ("amq.direct", ExchangeType::Direct, false),
    ("amq.fanout", ExchangeType::Fanout, false),
    ("amq.headers", ExchangeType::Headers, false),
    ("amq.match", ExchangeType::Headers, false),
    ("amq.rabbitmq.trace", ExchangeType::Topic, true),
    ("amq.topic", ExchangeType::Topic, false),
];

/// Answers whether the caller may do that; the error is what the client is told.
pub type Permit<'a> = &'a dyn Fn(Operation, Resource<'_>) -> Result<(), BrokerError>;

/// Answers whether the caller may do that with a routing key at a topic exchange of that name.
pub type TopicPermit<'a> = &'a dyn Fn(Operation, &str, &str) -> Result<(), BrokerError>;

/// On whose behalf something is asked.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The connection: it may use its own exclusive queues.
    pub connection: ConnectionId,
    /// Its user's permissions, as a rule [`crate::access::Access::check`] with user and virtual host filled in.
    pub permit: Permit<'a>,
    /// Its user's topic permissions, as a rule [`crate::access::Access::check_topic`].
    pub permit_topic: TopicPermit<'a>,
}

impl Caller<'_> {
    /// A caller who may do everything on that connection, for what the broker does itself.
    #[must_use]
    pub fn trusted(connection: ConnectionId) -> Self {
        Self { connection, permit: &|_, _| Ok(()), permit_topic: &|_, _, _| Ok(()) }
    }
}

/// What a command did, for the caller to act on.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Effects {
    /// Changes of definitions, to be logged in this order before the client is answered.
    pub changes: Vec<Change>,
    /// Queues that are gone.
    pub removed_queues: Vec<QueueId>,
    /// Exchanges that are gone, auto-delete ones among them.
    pub removed_exchanges: Vec<ExchangeName>,
}

/// One virtual host's topology.
#[derive(Debug)]
pub struct Vhost {
    definition: VhostDefinition,
    router: Router,
    default_exchange: ExchangeKey,
    exchanges: BTreeMap<ExchangeName, Exchange>,
    queues: BTreeMap<QueueName, Queue>,
    queue_names: HashMap<QueueId, QueueName>,
    /// Exclusive queues by the connection that owns them.
    owned: HashMap<ConnectionId, BTreeSet<QueueId>>,
    /// Rises with each queue that comes or goes: the default exchange's generation.
    queue_changes: u64,
    limits: VhostLimits,
    deleted: bool,
}

impl Vhost {
    /// A virtual host with RabbitMQ's predeclared exchanges and nothing else.
    #[must_use]
    pub fn new(definition: VhostDefinition) -> Self {
        let mut router = Router::new();
        let default_exchange = router.declare("", ExchangeType::Direct, None);
        let mut vhost = Self {
            limits: VhostLimits::none(definition.name.clone()),
            deleted: false,
            definition,
            router,
            default_exchange,
            exchanges: BTreeMap::new(),
            queues: BTreeMap::new(),
            queue_names: HashMap::new(),
            owned: HashMap::new(),
            queue_changes: 0,
        };
        for (name, exchange_type, internal) in PREDECLARED {
            vhost.add_exchange(ExchangeDefinition {
                vhost: vhost.definition.name.clone(),
                name: name.into(),
                exchange_type,
                durable: true,
                auto_delete: false,
                internal,
                arguments: crate::arguments::Arguments::default(),
            });
        }
        vhost
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &VhostName {
        &self.definition.name
    }

    /// What it was made with.
    #[must_use]
    pub const fn definition(&self) -> &VhostDefinition {
        &self.definition
    }

    /// Changes its description, tags and default queue type; the name stays.
    pub fn describe(&mut self, definition: VhostDefinition) -> Change {
        debug_assert_eq!(definition.name, self.definition.name);
        self.definition = definition;
        Change::Put(Definition::Vhost(self.definition.clone()))
    }

    /// Its limits.
    #[must_use]
    pub const fn limits(&self) -> &VhostLimits {
        &self.limits
    }

    /// Sets its limits; without any, the record goes.
    pub fn set_limits(&mut self, limits: VhostLimits) -> Change {
        debug_assert_eq!(limits.vhost, self.definition.name);
        self.limits = limits;
        if self.limits.is_empty() {
            return Change::Delete(DefinitionKey::VhostLimits(self.name().clone()));
        }
        Change::Put(Definition::VhostLimits(self.limits.clone()))
    }

    /// Whether it was deleted: connections that have not noticed yet may ask for nothing more.
    ///
    /// # Errors
    /// 530 as for one that was never there.
    pub fn check_exists(&self) -> Result<(), BrokerError> {
        if self.deleted {
            return Err(BrokerError::not_allowed(format!("vhost {} not found", self.definition.name)));
        }
        Ok(())
    }

    /// Takes what a restart brought back, exchanges and queues before bindings; other kinds of definitions and other
    /// virtual hosts are not ours and are left alone.
    ///
    /// # Errors
    /// The client's error that the definition would have met; it is left out.
    pub fn restore(&mut self, definition: &Definition) -> Result<(), BrokerError> {
        match definition {
            Definition::Exchange(exchange) if exchange.vhost == self.definition.name => {
                self.add_exchange(exchange.clone());
                Ok(())
            }
            Definition::Queue(queue) if queue.vhost == self.definition.name => self.restore_queue(queue),
            Definition::Binding(binding) if binding.vhost == self.definition.name => {
                self.restore_binding(binding)
            }
            Definition::VhostLimits(limits) if limits.vhost == self.definition.name => {
                self.limits = limits.clone();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Everything of it that survives a restart, itself first and bindings last: what [`Vhost::restore`] takes.
    #[must_use]
    pub fn definitions(&self) -> Vec<Definition> {
        let exchanges = self.exchanges.values().filter(|exchange| {
            exchange.definition.durable
                && !PREDECLARED.iter().any(|(name, ..)| *name == &*exchange.definition.name)
        });
        let queues = self.queues.values().filter(|queue| queue.definition.durable);
        let bindings = self.bindings().into_iter().filter(|binding| self.is_durable(binding));
        let limits = (!self.limits.is_empty()).then(|| Definition::VhostLimits(self.limits.clone()));
        [Definition::Vhost(self.definition.clone())]
            .into_iter()
            .chain(limits)
            .chain(exchanges.map(|exchange| Definition::Exchange(exchange.definition.clone())))
            .chain(queues.map(|queue| Definition::Queue(queue.definition.clone())))
            .chain(bindings.map(Definition::Binding))
            .collect()
    }

    /// Marks it deleted, so that nothing is added any more, and says what its removal does; the caller drops it, and
    /// takes its permissions away with [`crate::access::Access::delete_vhost`].
    pub fn remove(&mut self) -> Effects {
        self.deleted = true;
        Effects {
            changes: self.definitions().iter().rev().map(|gone| Change::Delete(gone.key())).collect(),
            removed_queues: self.queues.values().map(|queue| queue.definition.id).collect(),
            removed_exchanges: self.exchanges.keys().cloned().collect(),
        }
    }

    fn queue_resource(&self, name: &str) -> String {
        format!("queue '{name}' in vhost '{}'", self.definition.name)
    }

    fn exchange_resource(&self, name: &str) -> String {
        format!("exchange '{name}' in vhost '{}'", self.definition.name)
    }

    fn no_queue(&self, name: &str) -> BrokerError {
        BrokerError::not_found(format!("no {}", self.queue_resource(name)))
    }

    fn no_exchange(&self, name: &str) -> BrokerError {
        BrokerError::not_found(format!("no {}", self.exchange_resource(name)))
    }
}

/// A name without the line breaks that RabbitMQ strips from names in declarations and deletions.
#[must_use]
pub fn strip_line_breaks(name: &str) -> Cow<'_, str> {
    if name.contains(['\r', '\n']) { Cow::Owned(name.replace(['\r', '\n'], "")) } else { Cow::Borrowed(name) }
}

/// The default exchange takes neither bindings nor declarations.
fn check_not_default_exchange(name: &str) -> Result<(), BrokerError> {
    if name.is_empty() {
        return Err(BrokerError::access_refused("operation not permitted on the default exchange"));
    }
    Ok(())
}

/// Names in `amq.` are the broker's own to give.
fn check_reserved_prefix(kind: &str, name: &str) -> Result<(), BrokerError> {
    if name.starts_with("amq.") {
        return Err(BrokerError::access_refused(format!(
            "{kind} name '{name}' contains reserved prefix 'amq.*'"
        )));
    }
    Ok(())
}
