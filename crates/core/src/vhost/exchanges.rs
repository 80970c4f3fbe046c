//! exchange.declare and exchange.delete.

use leveret_routing::{Binding, ExchangeKey, ExchangeType};

use super::{Caller, Effects, Vhost, check_not_default_exchange, check_reserved_prefix};
use crate::access::{Operation, Resource};
use crate::arguments::equivalence::{check_equal, inequivalent};
use crate::arguments::{Arguments, alternate_exchange};
use crate::definition::{Change, Definition, DefinitionKey, ExchangeDefinition};
use crate::error::BrokerError;
use crate::names::ExchangeName;

/// An exchange that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// As it was declared.
    pub definition: ExchangeDefinition,
    /// Its number in routing.
    pub key: ExchangeKey,
}

/// exchange.declare, not passive.
#[derive(Clone, Debug)]
pub struct ExchangeDeclaration<'a> {
    /// The name, line breaks stripped.
    pub name: &'a str,
    /// The type's name.
    pub exchange_type: &'a str,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last binding.
    pub auto_delete: bool,
    /// Takes messages from exchanges only.
    pub internal: bool,
    /// As sent.
    pub arguments: Arguments,
}

impl Vhost {
    /// The exchange of that name.
    #[must_use]
    pub fn exchange(&self, name: &str) -> Option<&Exchange> {
        self.exchanges.get(name)
    }

    /// All exchanges in the order of their names.
    pub fn exchanges(&self) -> impl ExactSizeIterator<Item = &Exchange> {
        self.exchanges.values()
    }

    /// exchange.declare with `passive`: whether it exists is all that is asked.
    ///
    /// # Errors
    /// 403 for the default exchange, 404.
    pub fn declare_exchange_passively(&self, name: &str) -> Result<&Exchange, BrokerError> {
        check_not_default_exchange(name)?;
        self.exchanges.get(name).ok_or_else(|| self.no_exchange(name))
    }

    /// exchange.declare: nothing changes if it exists and is equivalent.
    ///
    /// # Errors
    /// 406 for an unknown type, 403 for the default exchange, a missing permission or a reserved name, 406 for what
    /// differs from the exchange that exists or an alternate exchange that is no text; nothing is changed.
    pub fn declare_exchange(
        &mut self,
        caller: &Caller<'_>,
        declaration: &ExchangeDeclaration<'_>,
    ) -> Result<Effects, BrokerError> {
        let name = declaration.name;
        let exchange_type = parse_type(declaration.exchange_type)?;
        check_not_default_exchange(name)?;
        (caller.permit)(Operation::Configure, Resource::exchange(name))?;
        if let Some(current) = self.exchanges.get(name) {
            self.check_exchange_equivalence(&current.definition, exchange_type, declaration)?;
            return Ok(Effects::default());
        }
        check_reserved_prefix("exchange", name)?;
        if let Some(alternate) = alternate_exchange(&declaration.arguments, name, self.name())? {
            (caller.permit)(Operation::Read, Resource::exchange(name))?;
            (caller.permit)(Operation::Write, Resource::exchange(&alternate))?;
        }
        let definition = ExchangeDefinition {
            vhost: self.name().clone(),
            name: name.into(),
            exchange_type,
            durable: declaration.durable,
            auto_delete: declaration.auto_delete,
            internal: declaration.internal,
            arguments: declaration.arguments.clone(),
        };
        let mut effects = Effects::default();
        if definition.durable {
            effects.changes.push(Change::Put(Definition::Exchange(definition.clone())));
        }
        self.add_exchange(definition);
        Ok(effects)
    }

    /// exchange.delete; one that does not exist is as good as deleted.
    ///
    /// # Errors
    /// 403 for the default exchange, any name in `amq.` or a missing permission, 406 with `if_unused` for one with
    /// bindings; nothing is changed.
    pub fn delete_exchange(
        &mut self,
        caller: &Caller<'_>,
        name: &str,
        if_unused: bool,
    ) -> Result<Effects, BrokerError> {
        check_not_default_exchange(name)?;
        if name.starts_with("amq.") {
            let resource = self.exchange_resource(name);
            return Err(BrokerError::access_refused(format!("deletion of system {resource} not allowed")));
        }
        (caller.permit)(Operation::Configure, Resource::exchange(name))?;
        let Some(exchange) = self.exchanges.get(name) else { return Ok(Effects::default()) };
        let in_use = self.router.exchange(exchange.key).is_some_and(|exchange| !exchange.is_unused());
        if if_unused && in_use {
            return Err(BrokerError::precondition_failed(format!("{} in use", self.exchange_resource(name))));
        }
        let mut effects = Effects::default();
        let name = exchange.definition.name.clone();
        self.remove_exchange(&name, &mut effects);
        Ok(effects)
    }

    /// Adds an exchange that is not there; one that is stays.
    pub(super) fn add_exchange(&mut self, definition: ExchangeDefinition) {
        let alternate =
            alternate_exchange(&definition.arguments, &definition.name, self.name()).ok().flatten();
        let key = self.router.declare(&definition.name, definition.exchange_type, alternate.as_deref());
        self.exchanges.entry(definition.name.clone()).or_insert(Exchange { definition, key });
    }

    /// Removes an exchange with its bindings, and auto-delete exchanges that lose their last binding with it.
    pub(super) fn remove_exchange(&mut self, name: &ExchangeName, effects: &mut Effects) {
        let mut doomed = vec![name.clone()];
        while let Some(name) = doomed.pop() {
            let Some(exchange) = self.exchanges.get(&name) else { continue };
            let key = exchange.key;
            // While both ends still exist, so that their names are known.
            for binding in self.bindings_of(key) {
                effects.changes.extend(self.unbound(&binding));
            }
            let removed = self.router.remove(key).unwrap_or_default();
            let Some(exchange) = self.exchanges.remove(&name) else { continue };
            if exchange.definition.durable {
                let key = DefinitionKey::Exchange(self.name().clone(), name.clone());
                effects.changes.push(Change::Delete(key));
            }
            effects.removed_exchanges.push(name);
            for binding in &removed.incoming {
                doomed.extend(self.unused_auto_delete(binding.source));
            }
        }
    }

    /// Removes the exchange a binding was taken from, if it was its last and the exchange is auto-delete.
    pub(super) fn remove_if_unused(&mut self, source: ExchangeKey, effects: &mut Effects) {
        if let Some(name) = self.unused_auto_delete(source) {
            self.remove_exchange(&name, effects);
        }
    }

    fn unused_auto_delete(&self, key: ExchangeKey) -> Option<ExchangeName> {
        let exchange = self.router.exchange(key).filter(|exchange| exchange.is_unused())?;
        let exchange = self.exchanges.get(&**exchange.name())?;
        exchange.definition.auto_delete.then(|| exchange.definition.name.clone())
    }

    fn bindings_of(&self, key: ExchangeKey) -> Vec<Binding> {
        let outgoing = self.router.exchange(key).into_iter().flat_map(|exchange| exchange.bindings());
        let incoming = self.router.bindings_to(leveret_routing::Destination::Exchange(key));
        outgoing
            .chain(incoming.filter(|binding| binding.source != key))
            .map(|binding| (**binding).clone())
            .collect()
    }

    fn check_exchange_equivalence(
        &self,
        current: &ExchangeDefinition,
        exchange_type: ExchangeType,
        received: &ExchangeDeclaration<'_>,
    ) -> Result<(), BrokerError> {
        let resource = self.exchange_resource(&current.name);
        let differ = |key, received: &str, current: &str| {
            if received == current {
                return Ok(());
            }
            Err(inequivalent(key, &resource, &format!("'{received}'"), &format!("'{current}'")))
        };
        let flag = |flag: bool| if flag { "true" } else { "false" };
        differ("type", exchange_type.as_str(), current.exchange_type.as_str())?;
        differ("durable", flag(received.durable), flag(current.durable))?;
        differ("auto_delete", flag(received.auto_delete), flag(current.auto_delete))?;
        differ("internal", flag(received.internal), flag(current.internal))?;
        const KEY: &str = "alternate-exchange";
        check_equal(KEY, current.arguments.get(KEY), received.arguments.get(KEY), &resource)
    }
}

/// RabbitMQ says `invalid` of a word that happens to be known to its run-time and `unknown` of others; which word is
/// which cannot be told from outside, except for the empty one.
fn parse_type(name: &str) -> Result<ExchangeType, BrokerError> {
    name.parse().map_err(|_| {
        let what = if name.is_empty() { "invalid" } else { "unknown" };
        BrokerError::precondition_failed(format!("{what} exchange type '{name}'"))
    })
}
