//! queue.bind, queue.unbind, exchange.bind and exchange.unbind.

use leveret_routing::{Binding, Destination, ExchangeKey, ExchangeType};

use super::{Caller, Effects, Vhost, check_not_default_exchange};
use crate::access::{Operation, Resource};
use crate::arguments::Arguments;
use crate::definition::{BindingDefinition, BindingTarget, Change, Definition, DefinitionKey};
use crate::error::BrokerError;
use crate::ids::QueueId;

impl Vhost {
    /// queue.bind and exchange.bind; a binding that exists stays as it is.
    ///
    /// # Errors
    /// 403 without the permission to write to the destination or read from the source, or for the default exchange;
    /// 404 for a source or destination that does not exist; 406 for arguments that a headers exchange cannot use;
    /// 405 for another connection's exclusive queue; nothing is changed.
    pub fn bind(&mut self, caller: &Caller<'_>, binding: &BindingDefinition) -> Result<Effects, BrokerError> {
        self.check_binding(caller, binding)?;
        let (source, destination) = self.ends(binding)?;
        let new = Binding::new(source, destination, &binding.key, binding.arguments.as_bytes());
        leveret_routing::check_binding(self.router.exchange(source), &new)
            .map_err(|error| BrokerError::precondition_failed(error.to_string()))?;
        self.check_target_owner(caller, &binding.target)?;
        self.add_binding(binding, new)
    }

    /// queue.unbind and exchange.unbind; a binding that does not exist is as good as removed.
    ///
    /// # Errors
    /// 403 as [`Vhost::bind`]; 405 for another connection's exclusive queue that has the binding; nothing is changed.
    pub fn unbind(
        &mut self,
        caller: &Caller<'_>,
        binding: &BindingDefinition,
    ) -> Result<Effects, BrokerError> {
        self.check_binding(caller, binding)?;
        let mut effects = Effects::default();
        let Ok((source, destination)) = self.ends(binding) else { return Ok(effects) };
        let old = Binding::new(source, destination, &binding.key, binding.arguments.as_bytes());
        if !self.router.exchange(source).is_some_and(|exchange| exchange.is_bound(&old)) {
            return Ok(effects);
        }
        self.check_target_owner(caller, &binding.target)?;
        self.router.unbind(&old);
        effects.changes.extend(self.unbound(&old));
        self.remove_if_unused(source, &mut effects);
        Ok(effects)
    }

    /// All bindings in the order of source, target and key, without the default exchange's implied ones.
    #[must_use]
    pub fn bindings(&self) -> Vec<BindingDefinition> {
        let mut all: Vec<_> =
            self.exchanges.keys().flat_map(|name| self.bindings_from_unsorted(name)).collect();
        all.sort();
        all
    }

    /// The bindings of an exchange to queues and exchanges, in the order of target and key.
    #[must_use]
    pub fn bindings_from(&self, exchange: &str) -> Vec<BindingDefinition> {
        let mut all: Vec<_> = self.bindings_from_unsorted(exchange).collect();
        all.sort();
        all
    }

    /// The bindings that lead to a queue or exchange, in the order of source and key.
    #[must_use]
    pub fn bindings_to(&self, target: &BindingTarget) -> Vec<BindingDefinition> {
        let Some(destination) = self.destination(target) else { return Vec::new() };
        let bindings = self.router.bindings_to(destination);
        let mut all: Vec<_> = bindings.filter_map(|binding| self.described(binding)).collect();
        all.sort();
        all
    }

    pub(super) fn restore_binding(&mut self, binding: &BindingDefinition) -> Result<(), BrokerError> {
        let (source, destination) = self.ends(binding)?;
        let new = Binding::new(source, destination, &binding.key, binding.arguments.as_bytes());
        self.add_binding(binding, new).map(drop)
    }

    /// The change that a binding's removal is, if it was durable; both its ends still exist.
    pub(super) fn unbound(&self, binding: &Binding) -> Option<Change> {
        let binding = self.described(binding)?;
        let durable = self.is_durable(&binding);
        durable.then_some(Change::Delete(DefinitionKey::Binding(binding)))
    }

    fn bindings_from_unsorted(&self, exchange: &str) -> impl Iterator<Item = BindingDefinition> {
        let exchange = self.router.find(exchange).into_iter();
        exchange.flat_map(|exchange| exchange.bindings()).filter_map(|binding| self.described(binding))
    }

    fn add_binding(&mut self, binding: &BindingDefinition, new: Binding) -> Result<Effects, BrokerError> {
        let created =
            self.router.bind(new).map_err(|error| BrokerError::precondition_failed(error.to_string()))?;
        let mut effects = Effects::default();
        if created && self.is_durable(binding) {
            effects.changes.push(Change::Put(Definition::Binding(binding.clone())));
        }
        Ok(effects)
    }

    /// Source and destination. Of two that are missing RabbitMQ names the source.
    fn ends(&self, binding: &BindingDefinition) -> Result<(ExchangeKey, Destination), BrokerError> {
        let Some(source) = self.exchanges.get(&binding.source) else {
            return Err(self.no_exchange(&binding.source));
        };
        let destination = self.destination(&binding.target).ok_or_else(|| match &binding.target {
            BindingTarget::Queue(name) => self.no_queue(name),
            BindingTarget::Exchange(name) => self.no_exchange(name),
        })?;
        Ok((source.key, destination))
    }

    fn destination(&self, target: &BindingTarget) -> Option<Destination> {
        match target {
            BindingTarget::Queue(name) => {
                self.queues.get(name).map(|queue| Destination::Queue(queue.definition.id.into()))
            }
            BindingTarget::Exchange(name) => {
                self.exchanges.get(name).map(|exchange| Destination::Exchange(exchange.key))
            }
        }
    }

    fn check_target_owner(&self, caller: &Caller<'_>, target: &BindingTarget) -> Result<(), BrokerError> {
        match target {
            BindingTarget::Queue(name) => match self.queues.get(name) {
                Some(queue) => self.check_owner(queue, caller.connection),
                None => Ok(()),
            },
            BindingTarget::Exchange(_) => Ok(()),
        }
    }

    /// A binding survives a restart if both its ends do.
    pub(super) fn is_durable(&self, binding: &BindingDefinition) -> bool {
        let exchange =
            |name: &str| self.exchanges.get(name).is_some_and(|exchange| exchange.definition.durable);
        exchange(&binding.source)
            && match &binding.target {
                BindingTarget::Queue(name) => {
                    self.queues.get(name).is_some_and(|queue| queue.definition.durable)
                }
                BindingTarget::Exchange(name) => exchange(name),
            }
    }

    /// The binding with names for numbers; none once an end is gone.
    fn described(&self, binding: &Binding) -> Option<BindingDefinition> {
        let name = |key| self.router.exchange(key).map(|exchange| exchange.name().to_string());
        let target = match binding.destination {
            Destination::Queue(queue) => {
                BindingTarget::Queue(self.queue_names.get(&QueueId::from(queue))?.clone())
            }
            Destination::Exchange(key) => BindingTarget::Exchange(name(key)?.into()),
        };
        Some(BindingDefinition {
            vhost: self.name().clone(),
            source: name(binding.source)?.into(),
            target,
            key: binding.key.clone(),
            arguments: Arguments::from_content(&binding.arguments).unwrap_or_default(),
        })
    }

    /// What is asked before the ends are looked up.
    fn check_binding(&self, caller: &Caller<'_>, binding: &BindingDefinition) -> Result<(), BrokerError> {
        match &binding.target {
            BindingTarget::Queue(name) => (caller.permit)(Operation::Write, Resource::queue(name))?,
            BindingTarget::Exchange(name) => {
                (caller.permit)(Operation::Write, Resource::exchange(name))?;
                check_not_default_exchange(name)?;
            }
        }
        check_not_default_exchange(&binding.source)?;
        (caller.permit)(Operation::Read, Resource::exchange(&binding.source))?;
        match self.exchanges.get(&binding.source) {
            Some(source) if source.definition.exchange_type == ExchangeType::Topic => {
                let key = String::from_utf8_lossy(&binding.key);
                (caller.permit_topic)(Operation::Read, &binding.source, &key)
            }
            _ => Ok(()),
        }
    }
}
