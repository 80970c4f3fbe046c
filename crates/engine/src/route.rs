//! Where a publish goes, remembered: exchange and routing key to queues.
//!
//! A remembered route holds while every exchange it passed has the generation it had, every queue lives, and
//! access is as it was. The vhost's version says in one load that no exchange changed at all; when one did, the
//! generations are compared, so a new binding elsewhere costs a look and flushes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use leveret_core::BrokerError;
use leveret_core::access::{Operation, Resource};
use leveret_core::dead_letter::Notes;
use leveret_core::expiration;
use leveret_core::names::UserName;
use leveret_protocol::field_table::{FieldTable, FieldValue};
use leveret_protocol::properties::{PropertiesBuilder, Property, PropertyView};
use leveret_routing::erlang_term::type_name;
use leveret_routing::{ExchangeKey, Publication, Routes};

use crate::broker::Broker;
use crate::cell::{Expiration, Terms};
use crate::queue::QueueRef;
use crate::seams::{Registry, Seams, SharedRw};
use crate::session::ReplyTarget;
use crate::session::{REPLY_PREFIX, REPLY_TO};
use crate::vhost::Vhost;

/// At most this many routes are remembered by one connection; beyond it all are forgotten.
const REMEMBERED_ROUTES: usize = 4096;

/// At most this many queues are named by all remembered routes of one connection.
const REMEMBERED_QUEUES: usize = 64 * 1024;

/// What routing looks at in one publish.
pub(crate) struct Routing<'a> {
    pub(crate) exchange: &'a [u8],
    pub(crate) routing_key: &'a [u8],
    pub(crate) properties: &'a PropertyView<'a>,
    pub(crate) raw: &'a [u8],
}

/// The queues that a publish reaches.
pub(crate) struct Route<S: Seams> {
    pub(crate) queues: Vec<QueueRef<S>>,
    /// A reply consumer instead of queues.
    pub(crate) reply: Option<ReplyTarget<S>>,
    passed: Vec<(ExchangeKey, u64)>,
    access_version: u64,
}

impl<S: Seams> Route<S> {
    /// How many of the queues keep a message in the log.
    pub(crate) fn durable_queues(&self, persistent: bool) -> usize {
        self.queues.iter().filter(|queue| queue.durable && (persistent || queue.all_persistent)).count()
    }
}

/// Properties as they go on, if they changed.
type ChangedProperties = Option<Box<[u8]>>;

/// A publish's route and what of its properties changed on the way.
pub(crate) struct Found<S: Seams> {
    pub(crate) route: Arc<Route<S>>,
    pub(crate) changed_properties: ChangedProperties,
    pub(crate) terms: Terms,
}

struct Remembered<S: Seams> {
    route: Arc<Route<S>>,
    /// The vhost's version at which the route was last known to hold.
    version: u64,
}

/// The routes of one connection.
pub(crate) struct RouteCache<S: Seams> {
    routes: HashMap<Box<[u8]>, Remembered<S>, RandomState>,
    key: Vec<u8>,
    /// Queues named by `routes`, those of forgotten ones included until all are forgotten.
    queues: usize,
    /// The route used last, with its key: runs of equal publishes need no look-up.
    last: Option<(Vec<u8>, usize, Remembered<S>)>,
    scratch: Routes,
}

impl<S: Seams> Default for RouteCache<S> {
    fn default() -> Self {
        Self { routes: HashMap::default(), key: Vec::new(), queues: 0, last: None, scratch: Routes::new() }
    }
}

impl<S: Seams> RouteCache<S> {
    /// Checks a publish in RabbitMQ's order and finds its route.
    pub(crate) fn find(
        &mut self,
        broker: &Broker<S>,
        vhost: &Vhost<S>,
        user: Option<&UserName>,
        routing: &Routing<'_>,
        reply_name: Option<&str>,
    ) -> Result<Found<S>, BrokerError> {
        let headers = routing.properties.headers_table();
        let extra_keys = headers.map_or(Ok(Vec::new()), |headers| extra_keys(&headers))?;
        let route = if !extra_keys.is_empty() {
            self.look_up(broker, vhost, user, routing, &extra_keys)?.0
        } else {
            match self.recall(broker, vhost, routing) {
                Some(route) => route,
                None => self.learn(broker, vhost, user, routing)?,
            }
        };
        let (changed_properties, terms) =
            check_properties(broker, user, routing, headers.as_ref(), reply_name)?;
        Ok(Found { route, changed_properties, terms })
    }

    /// The remembered route, if it still holds.
    fn recall(
        &mut self,
        broker: &Broker<S>,
        vhost: &Vhost<S>,
        routing: &Routing<'_>,
    ) -> Option<Arc<Route<S>>> {
        if let Some((key, exchange_len, remembered)) = &mut self.last {
            let (exchange, routing_key) = key.split_at(*exchange_len);
            if exchange == routing.exchange && routing_key == routing.routing_key {
                return holds(broker, vhost, remembered).then(|| Arc::clone(&remembered.route));
            }
        }
        self.set_key(routing);
        let remembered = self.routes.get_mut(self.key.as_slice())?;
        if !holds(broker, vhost, remembered) {
            self.routes.remove(self.key.as_slice());
            return None;
        }
        let route = Arc::clone(&remembered.route);
        let copy = Remembered { route: Arc::clone(&route), version: remembered.version };
        self.set_last(routing, copy);
        Some(route)
    }

    fn set_key(&mut self, routing: &Routing<'_>) {
        self.key.clear();
        self.key.push(u8::try_from(routing.exchange.len()).unwrap_or(u8::MAX));
        self.key.extend_from_slice(routing.exchange);
        self.key.extend_from_slice(routing.routing_key);
    }

    fn set_last(&mut self, routing: &Routing<'_>, remembered: Remembered<S>) {
        let Some((key, exchange_len, last)) = &mut self.last else {
            let key = [routing.exchange, routing.routing_key].concat();
            self.last = Some((key, routing.exchange.len(), remembered));
            return;
        };
        key.clear();
        key.extend_from_slice(routing.exchange);
        key.extend_from_slice(routing.routing_key);
        *exchange_len = routing.exchange.len();
        *last = remembered;
    }

    fn learn(
        &mut self,
        broker: &Broker<S>,
        vhost: &Vhost<S>,
        user: Option<&UserName>,
        routing: &Routing<'_>,
    ) -> Result<Arc<Route<S>>, BrokerError> {
        self.last = None;
        let version = vhost.version();
        let (route, may_remember) = self.look_up(broker, vhost, user, routing, &[])?;
        if may_remember {
            self.queues += route.queues.len();
            if self.routes.len() >= REMEMBERED_ROUTES || self.queues > REMEMBERED_QUEUES {
                self.routes.clear();
                self.queues = route.queues.len();
            }
            self.set_key(routing);
            let remembered = Remembered { route: Arc::clone(&route), version };
            self.routes.insert(self.key.as_slice().into(), remembered);
            self.set_last(routing, Remembered { route: Arc::clone(&route), version });
        }
        Ok(route)
    }

    /// Asks the topology; says too whether the answer holds for the next message with the same key.
    fn look_up(
        &mut self,
        broker: &Broker<S>,
        vhost: &Vhost<S>,
        user: Option<&UserName>,
        routing: &Routing<'_>,
        extra_keys: &[&[u8]],
    ) -> Result<(Arc<Route<S>>, bool), BrokerError> {
        let access_version = broker.access_version();
        let exchange = String::from_utf8_lossy(routing.exchange);
        if let Some(user) = user {
            let resource = Resource::exchange(&exchange);
            broker.access.read(|access| access.check_write(user, &vhost.name, resource))?;
        }
        let is_default = routing.exchange.is_empty();
        if is_default && let Some(reply) = reply_target(broker, routing.routing_key) {
            let route = Route { queues: Vec::new(), reply: Some(reply), passed: Vec::new(), access_version };
            return Ok((Arc::new(route), false));
        }
        let publication = Publication {
            routing_key: routing.routing_key,
            extra_keys,
            headers: routing.properties.headers_table(),
        };
        let scratch = &mut self.scratch;
        let (queues, reads_headers) = vhost.topology.read(|topology| {
            let key = topology.exchange_to_publish(routing.exchange)?;
            if let (Some(user), true) = (user, topology.is_topic(key)) {
                let keys = std::iter::once(&routing.routing_key).chain(extra_keys);
                check_topics(broker, vhost, user, &exchange, keys)?;
            }
            topology.route(key, &publication, scratch);
            let queues = scratch.queues().iter().filter_map(|key| vhost.queue_by_id((*key).into())).collect();
            Ok::<(Vec<_>, bool), BrokerError>((queues, topology.reads_headers(scratch.passed())))
        })?;
        queues.iter().try_for_each(QueueRef::check_whole)?;
        // The default exchange's routes stand and fall with their queue alone.
        let passed = if is_default { Vec::new() } else { scratch.passed().to_vec() };
        let may_change_unseen = is_default && queues.is_empty();
        let may_remember = !reads_headers && !may_change_unseen;
        Ok((Arc::new(Route { queues, reply: None, passed, access_version }), may_remember))
    }
}

fn holds<S: Seams>(broker: &Broker<S>, vhost: &Vhost<S>, remembered: &mut Remembered<S>) -> bool {
    let route = &remembered.route;
    if route.access_version != broker.access_version() || !route.queues.iter().all(QueueRef::is_alive) {
        return false;
    }
    let version = vhost.version();
    if route.passed.is_empty() || remembered.version == version {
        return true;
    }
    let current = vhost.topology.read(|topology| topology.is_current(&route.passed));
    if current {
        remembered.version = version;
    }
    current
}

/// RabbitMQ asks for the routing key and every key of CC and BCC.
fn check_topics<'a, S: Seams>(
    broker: &Broker<S>,
    vhost: &Vhost<S>,
    user: &UserName,
    exchange: &str,
    mut keys: impl Iterator<Item = &'a &'a [u8]>,
) -> Result<(), BrokerError> {
    broker.access.read(|access| {
        keys.try_for_each(|key| {
            let key = String::from_utf8_lossy(key);
            access.check_topic(user, &vhost.name, exchange, &key, Operation::Write)
        })
    })
}

fn reply_target<S: Seams>(broker: &Broker<S>, routing_key: &[u8]) -> Option<ReplyTarget<S>> {
    let name = std::str::from_utf8(routing_key).ok()?;
    name.starts_with(REPLY_PREFIX).then(|| broker.reply_targets.find(name))?
}

/// The keys of the CC and BCC headers.
fn extra_keys<'a>(headers: &FieldTable<'a>) -> Result<Vec<&'a [u8]>, BrokerError> {
    let mut keys = Vec::new();
    for name in ["CC", "BCC"] {
        match headers.get(name.as_bytes()) {
            None => {}
            Some(FieldValue::Array(array)) => {
                keys.extend(array.iter().filter_map(|value| value.as_long_string()));
            }
            Some(other) => {
                let kind = type_name(&other);
                let text = format!("invalid message: {{unacceptable_type_in_header,\"{name}\",{kind}}}");
                return Err(BrokerError::precondition_failed(text));
            }
        }
    }
    Ok(keys)
}

/// reply-to, user-id and expiration, in RabbitMQ's order; the properties as they go on, if they changed, and what they
/// say of how the message is kept.
fn check_properties<S: Seams>(
    broker: &Broker<S>,
    user: Option<&UserName>,
    routing: &Routing<'_>,
    headers: Option<&FieldTable<'_>>,
    reply_name: Option<&str>,
) -> Result<(ChangedProperties, Terms), BrokerError> {
    let properties = routing.properties;
    let mut reply_to = None;
    if properties.reply_to() == Some(REPLY_TO.as_bytes()) {
        let missing = || BrokerError::precondition_failed("fast reply consumer does not exist");
        reply_to = Some(reply_name.ok_or_else(missing)?);
    }
    if let (Some(claimed), Some(user)) = (properties.user_id(), user)
        && claimed != user.as_bytes()
        && !broker.may_impersonate(user)
    {
        let claimed = String::from_utf8_lossy(claimed);
        return Err(BrokerError::precondition_failed(format!(
            "user_id property set to '{claimed}' but authenticated user was '{user}'"
        )));
    }
    let has_bcc = headers.is_some_and(|headers| headers.get(b"BCC").is_some());
    let terms = Terms {
        persistent: properties.is_persistent(),
        priority: properties.priority().unwrap_or_default(),
        expiration: match properties.expiration() {
            None => Expiration::NEVER,
            Some(text) => expiration::parse(text)?.into(),
        },
        annotated: has_bcc,
        rejections: 0,
    };
    if reply_to.is_none() && !has_bcc {
        return Ok((None, terms));
    }
    let mut builder = PropertiesBuilder::from(*properties);
    if let Some(name) = reply_to {
        builder.set_text(Property::ReplyTo, name.as_bytes());
    }
    if let (true, Some(headers)) = (has_bcc, headers) {
        builder.set_headers(&headers.without(b"BCC"));
    }
    debug_assert!(!routing.raw.is_empty(), "changed properties were there before");
    let mut changed = builder.to_vec();
    if has_bcc {
        // A consumer never sees it; a dead letter still goes by its keys.
        changed = Notes::of_headers(headers).behind(&changed);
    }
    Ok((Some(changed.into()), terms))
}
