//! exchange.declare, delete, bind and unbind; queue.bind and unbind.

use leveret_core::BrokerError;
use leveret_core::arguments::Arguments;
use leveret_core::definition::{BindingDefinition, BindingTarget};
use leveret_core::names::QueueName;
use leveret_core::vhost::{Caller, Effects, ExchangeDeclaration, Vhost as Topology, strip_line_breaks};
use leveret_protocol::amqp::{FieldTable, exchange};
use leveret_storage::Position;

use super::{Actor, Broker};
use crate::seams::{Seams, SharedRw};

/// Arguments of a declaration or binding. What the wire could carry fits.
pub(crate) fn arguments(table: &FieldTable) -> Result<Arguments, BrokerError> {
    Arguments::from_amqp(table).map_err(|error| BrokerError::new(error.reply_code(), error.to_string()))
}

impl<S: Seams> Broker<S> {
    /// Changes a topology and logs what is durable of it, under one lock. The vhost's version rises, so routes
    /// found before are looked at again.
    fn change_topology(
        &self,
        actor: &Actor<S>,
        change: impl FnOnce(&Caller<'_>, &mut Topology) -> Result<Effects, BrokerError>,
    ) -> Result<Position, BrokerError> {
        self.as_caller(actor, |caller| {
            actor.vhost.topology.write(|topology| {
                topology.check_exists()?;
                let effects = change(caller, topology)?;
                actor.vhost.changed();
                Ok(self.log_changes(&effects.changes))
            })
        })
    }

    /// exchange.declare.
    ///
    /// # Errors
    /// As the rules say; nothing changed then.
    pub fn declare_exchange(&self, actor: &Actor<S>, m: &exchange::Declare) -> Result<Position, BrokerError> {
        let name = strip_line_breaks(m.exchange.as_str());
        if m.passive {
            actor.vhost.topology.read(|topology| topology.declare_exchange_passively(&name).map(|_| ()))?;
            return Ok(self.log_changes(&[]));
        }
        let declaration = ExchangeDeclaration {
            name: &name,
            exchange_type: m.kind.as_str(),
            durable: m.durable,
            auto_delete: m.auto_delete,
            internal: m.internal,
            arguments: arguments(&m.arguments)?,
        };
        self.change_topology(actor, |caller, topology| topology.declare_exchange(caller, &declaration))
    }

    /// exchange.delete.
    ///
    /// # Errors
    /// As the rules say; nothing changed then.
    pub fn delete_exchange(&self, actor: &Actor<S>, m: &exchange::Delete) -> Result<Position, BrokerError> {
        let name = strip_line_breaks(m.exchange.as_str());
        self.change_topology(actor, |caller, topology| topology.delete_exchange(caller, &name, m.if_unused))
    }

    /// exchange.bind.
    ///
    /// # Errors
    /// As the rules say; nothing changed then.
    pub fn bind_exchange(&self, actor: &Actor<S>, m: &exchange::Bind) -> Result<Position, BrokerError> {
        let target = BindingTarget::Exchange(m.destination.as_str().into());
        let binding = binding(actor, target, m.source.as_str(), m.routing_key.as_str(), &m.arguments)?;
        self.change_topology(actor, |caller, topology| topology.bind(caller, &binding))
    }

    /// exchange.unbind.
    ///
    /// # Errors
    /// As the rules say; nothing changed then.
    pub fn unbind_exchange(&self, actor: &Actor<S>, m: &exchange::Unbind) -> Result<Position, BrokerError> {
        let target = BindingTarget::Exchange(m.destination.as_str().into());
        let binding = binding(actor, target, m.source.as_str(), m.routing_key.as_str(), &m.arguments)?;
        self.change_topology(actor, |caller, topology| topology.unbind(caller, &binding))
    }

    /// queue.bind.
    ///
    /// # Errors
    /// As the rules say; nothing changed then.
    pub fn bind_queue(
        &self,
        actor: &Actor<S>,
        queue: &QueueName,
        exchange: &str,
        key: &str,
        table: &FieldTable,
    ) -> Result<Position, BrokerError> {
        let binding = binding(actor, BindingTarget::Queue(queue.clone()), exchange, key, table)?;
        self.change_topology(actor, |caller, topology| topology.bind(caller, &binding))
    }

    /// queue.unbind.
    ///
    /// # Errors
    /// As the rules say; nothing changed then.
    pub fn unbind_queue(
        &self,
        actor: &Actor<S>,
        queue: &QueueName,
        exchange: &str,
        key: &str,
        table: &FieldTable,
    ) -> Result<Position, BrokerError> {
        let binding = binding(actor, BindingTarget::Queue(queue.clone()), exchange, key, table)?;
        self.change_topology(actor, |caller, topology| topology.unbind(caller, &binding))
    }
}

fn binding<S: Seams>(
    actor: &Actor<S>,
    target: BindingTarget,
    source: &str,
    key: &str,
    table: &FieldTable,
) -> Result<BindingDefinition, BrokerError> {
    Ok(BindingDefinition {
        vhost: actor.vhost.name.clone(),
        source: source.into(),
        target,
        key: key.as_bytes().into(),
        arguments: arguments(table)?,
    })
}
