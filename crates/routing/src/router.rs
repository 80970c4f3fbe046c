//! The exchanges of one vhost and the walk over them.
//!
//! **Invariants.** A binding stands in its source's set, in its source's matcher and in the set of its
//! destination, or in none of them. Every change gives the exchange it touches a new generation, from one counter.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use leveret_protocol::field_table::FieldTable;

use crate::binding::{Binding, Destination, ExchangeKey, InvalidBinding, QueueKey};
use crate::exchange::{Exchange, ExchangeType};
use crate::routes::Routes;

/// What routing looks at in a message.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The routing key.
    pub routing_key: &'a [u8],
    /// The keys of the `CC` and `BCC` headers: the message goes where any of all keys leads.
    pub extra_keys: &'a [&'a [u8]],
    /// The headers property, if there is one.
    pub headers: Option<FieldTable<'a>>,
}

impl<'a> Publication<'a> {
    /// A message with a routing key and nothing else.
    #[must_use]
    pub const fn new(routing_key: &'a [u8]) -> Self {
        Self { routing_key, extra_keys: &[], headers: None }
    }
}

/// What left with an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovedExchange {
    /// Bindings from it.
    pub outgoing: Vec<Arc<Binding>>,
    /// Bindings to it.
    pub incoming: Vec<Arc<Binding>>,
}

/// The exchanges of one vhost.
#[derive(Debug, Default)]
pub struct Router {
    exchanges: HashMap<ExchangeKey, Exchange, RandomState>,
    names: HashMap<Arc<str>, ExchangeKey, RandomState>,
    by_destination: HashMap<Destination, BTreeSet<Arc<Binding>>, RandomState>,
    /// The exchanges that name an exchange as their alternate, whether it exists or not.
    alternates: HashMap<Arc<str>, BTreeSet<ExchangeKey>, RandomState>,
    /// Counts keys and generations.
    changes: u64,
}

impl Router {
    /// A router without exchanges.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares an exchange; one of that name that exists already is kept as it is.
    pub fn declare(
        &mut self,
        name: &str,
        exchange_type: ExchangeType,
        alternate: Option<&str>,
    ) -> ExchangeKey {
        if let Some(key) = self.names.get(name) {
            return *key;
        }
        self.changes += 1;
        let key = ExchangeKey(self.changes);
        let name: Arc<str> = name.into();
        let alternate: Option<Arc<str>> = alternate.map(Arc::from);
        if let Some(alternate) = &alternate {
            self.alternates.entry(Arc::clone(alternate)).or_default().insert(key);
        }
        self.names.insert(Arc::clone(&name), key);
        self.exchanges
            .insert(key, Exchange::new(key, Arc::clone(&name), exchange_type, alternate, self.changes));
        for waiting in self.alternates.get(&name).into_iter().flatten() {
            self.changes += 1;
            if let Some(exchange) = self.exchanges.get_mut(waiting) {
                exchange.generation = self.changes;
            }
        }
        key
    }

    /// Removes an exchange with all bindings from and to it.
    pub fn remove(&mut self, key: ExchangeKey) -> Option<RemovedExchange> {
        let exchange = self.exchanges.remove(&key)?;
        self.names.remove(exchange.name());
        if let Some(alternate) = &exchange.alternate
            && let Some(waiting) = self.alternates.get_mut(alternate)
        {
            waiting.remove(&key);
            if waiting.is_empty() {
                self.alternates.remove(alternate);
            }
        }
        let outgoing: Vec<_> = exchange.bindings.iter().cloned().collect();
        for binding in &outgoing {
            self.forget_destination(binding);
        }
        let incoming = self.remove_destination(Destination::Exchange(key));
        Some(RemovedExchange { outgoing, incoming })
    }

    /// The exchange of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Exchange> {
        self.exchanges.get(self.names.get(name)?)
    }

    /// The exchange of that number.
    #[must_use]
    pub fn exchange(&self, key: ExchangeKey) -> Option<&Exchange> {
        self.exchanges.get(&key)
    }

    /// The exchange's generation now; none once it is gone.
    #[must_use]
    pub fn generation(&self, key: ExchangeKey) -> Option<u64> {
        self.exchanges.get(&key).map(Exchange::generation)
    }

    /// Adds a binding; whether it is new. An unknown source is nothing to bind to: `false`.
    ///
    /// # Errors
    /// [`InvalidBinding`] for arguments that its exchange cannot use; nothing is changed.
    pub fn bind(&mut self, binding: Binding) -> Result<bool, InvalidBinding> {
        let Some(source) = self.exchanges.get_mut(&binding.source) else { return Ok(false) };
        if source.is_bound(&binding) {
            return Ok(false);
        }
        let binding = Arc::new(binding);
        source.add(&binding)?;
        self.changes += 1;
        source.generation = self.changes;
        self.by_destination.entry(binding.destination).or_default().insert(binding);
        Ok(true)
    }

    /// Removes a binding; whether it was there.
    pub fn unbind(&mut self, binding: &Binding) -> bool {
        let Some(source) = self.exchanges.get_mut(&binding.source) else { return false };
        let Some(binding) = source.remove(binding) else { return false };
        self.changes += 1;
        source.generation = self.changes;
        self.forget_destination(&binding);
        true
    }

    /// Removes all bindings to a queue: costs what it has, not what others have.
    pub fn remove_queue(&mut self, queue: QueueKey) -> Vec<Arc<Binding>> {
        self.remove_destination(Destination::Queue(queue))
    }

    /// The bindings that lead to a queue or an exchange.
    pub fn bindings_to(&self, destination: Destination) -> impl Iterator<Item = &Arc<Binding>> {
        self.by_destination.get(&destination).into_iter().flatten()
    }

    /// Writes the queues that a message reaches from `exchange` into `routes`, each once, and the exchanges it
    /// passed. An exchange on the way is asked once, so circles end; its alternate exchange is asked if none of
    /// its bindings matches.
    pub fn route(&self, exchange: ExchangeKey, message: &Publication<'_>, routes: &mut Routes) {
        routes.clear();
        routes.reached.exchanges.insert(exchange);
        let mut asked = 0;
        while let Some(key) = routes.reached.exchanges.get(asked) {
            asked += 1;
            let Some(exchange) = self.exchanges.get(&key) else { continue };
            routes.passed.push((key, exchange.generation));
            if exchange.route(message, &mut routes.topic, &mut routes.reached) {
                continue;
            }
            if let Some(alternate) = exchange.alternate()
                && let Some(key) = self.names.get(alternate)
            {
                routes.reached.exchanges.insert(*key);
            }
        }
    }

    fn remove_destination(&mut self, destination: Destination) -> Vec<Arc<Binding>> {
        let bindings: Vec<_> = self.by_destination.remove(&destination).into_iter().flatten().collect();
        for binding in &bindings {
            if let Some(source) = self.exchanges.get_mut(&binding.source) {
                source.remove(binding);
                self.changes += 1;
                source.generation = self.changes;
            }
        }
        bindings
    }

    fn forget_destination(&mut self, binding: &Arc<Binding>) {
        if let Some(bindings) = self.by_destination.get_mut(&binding.destination) {
            bindings.remove(binding);
            if bindings.is_empty() {
                self.by_destination.remove(&binding.destination);
            }
        }
    }
}
