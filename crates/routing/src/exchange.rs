//! One exchange: its type, its bindings, and the matcher of its type.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::binding::{Binding, ExchangeKey, InvalidBinding};
use crate::direct::Direct;
use crate::fanout::Fanout;
use crate::headers::{Headers, Pattern};
use crate::router::Publication;
use crate::routes::Reached;
use crate::topic::{Topic, TopicScratch};

/// How an exchange chooses among its bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExchangeType {
    /// Binding key equals routing key.
    Direct,
    /// Every binding.
    Fanout,
    /// Binding key is a pattern of words.
    Topic,
    /// Arguments are compared with headers.
    Headers,
}

impl ExchangeType {
    /// The name in exchange.declare.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }
}

impl fmt::Display for ExchangeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no exchange type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown exchange type")]
pub struct UnknownExchangeType;

impl FromStr for ExchangeType {
    type Err = UnknownExchangeType;

    fn from_str(name: &str) -> Result<Self, UnknownExchangeType> {
        match name {
            "direct" => Ok(Self::Direct),
            "fanout" => Ok(Self::Fanout),
            "topic" => Ok(Self::Topic),
            "headers" => Ok(Self::Headers),
            _ => Err(UnknownExchangeType),
        }
    }
}

/// An exchange with its outgoing bindings.
#[derive(Debug)]
pub struct Exchange {
    key: ExchangeKey,
    name: Arc<str>,
    pub(crate) alternate: Option<Arc<str>>,
    pub(crate) generation: u64,
    pub(crate) bindings: BTreeSet<Arc<Binding>>,
    matcher: Matcher,
}

#[derive(Debug)]
enum Matcher {
    Direct(Direct),
    Fanout(Fanout),
    Topic(Topic),
    Headers(Headers),
}

impl Exchange {
    pub(crate) fn new(
        key: ExchangeKey,
        name: Arc<str>,
        exchange_type: ExchangeType,
        alternate: Option<Arc<str>>,
        generation: u64,
    ) -> Self {
        let matcher = match exchange_type {
            ExchangeType::Direct => Matcher::Direct(Direct::default()),
            ExchangeType::Fanout => Matcher::Fanout(Fanout::default()),
            ExchangeType::Topic => Matcher::Topic(Topic::default()),
            ExchangeType::Headers => Matcher::Headers(Headers::default()),
        };
        Self { key, name, alternate, generation, bindings: BTreeSet::new(), matcher }
    }

    /// The exchange's number.
    #[must_use]
    pub const fn key(&self) -> ExchangeKey {
        self.key
    }

    /// The exchange's name.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The exchange's type.
    #[must_use]
    pub const fn exchange_type(&self) -> ExchangeType {
        match self.matcher {
            Matcher::Direct(_) => ExchangeType::Direct,
            Matcher::Fanout(_) => ExchangeType::Fanout,
            Matcher::Topic(_) => ExchangeType::Topic,
            Matcher::Headers(_) => ExchangeType::Headers,
        }
    }

    /// The exchange asked when no binding matches.
    #[must_use]
    pub fn alternate(&self) -> Option<&str> {
        self.alternate.as_deref()
    }

    /// Rises with each change that can alter where a message goes from here; never used twice in one router.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Its bindings to queues and other exchanges.
    pub fn bindings(&self) -> impl ExactSizeIterator<Item = &Arc<Binding>> {
        self.bindings.iter()
    }

    /// Whether nothing is bound to it.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.bindings.is_empty()
    }

    /// Whether the binding exists.
    #[must_use]
    pub fn is_bound(&self, binding: &Binding) -> bool {
        self.bindings.contains(binding)
    }

    /// Adds a binding that is not there yet.
    ///
    /// # Errors
    /// [`InvalidBinding`] for arguments that a headers exchange cannot use; nothing is changed.
    pub(crate) fn add(&mut self, binding: &Arc<Binding>) -> Result<(), InvalidBinding> {
        match &mut self.matcher {
            Matcher::Direct(direct) => direct.add(&binding.key, binding.destination),
            Matcher::Fanout(fanout) => fanout.add(binding.destination),
            Matcher::Topic(topic) => topic.add(&binding.key, binding.destination),
            Matcher::Headers(headers) => headers.add(binding, Pattern::parse(binding)?),
        }
        self.bindings.insert(Arc::clone(binding));
        Ok(())
    }

    /// Removes a binding; the one that was there.
    pub(crate) fn remove(&mut self, binding: &Binding) -> Option<Arc<Binding>> {
        let binding = self.bindings.take(binding)?;
        match &mut self.matcher {
            Matcher::Direct(direct) => direct.remove(&binding.key, binding.destination),
            Matcher::Fanout(fanout) => fanout.remove(binding.destination),
            Matcher::Topic(topic) => topic.remove(&binding.key, binding.destination),
            Matcher::Headers(headers) => headers.remove(&binding),
        }
        Some(binding)
    }

    /// Adds what the message reaches by one step from here; whether that is anything.
    pub(crate) fn route(
        &self,
        message: &Publication<'_>,
        topic_scratch: &mut TopicScratch,
        reached: &mut Reached,
    ) -> bool {
        let keys = std::iter::once(message.routing_key).chain(message.extra_keys.iter().copied());
        let mut any = false;
        match &self.matcher {
            Matcher::Direct(direct) => keys.for_each(|key| any |= direct.route(key, reached)),
            Matcher::Topic(topic) => keys.for_each(|key| any |= topic.route(key, topic_scratch, reached)),
            Matcher::Fanout(fanout) => any = fanout.route(reached),
            Matcher::Headers(headers) => any = headers.route(message.headers, reached),
        }
        any
    }
}

/// Whether an exchange can use a binding, without adding it. No exchange has no objection.
///
/// # Errors
/// [`InvalidBinding`] for arguments that a headers exchange cannot use.
pub fn check_binding(source: Option<&Exchange>, binding: &Binding) -> Result<(), InvalidBinding> {
    match source.map(|exchange| &exchange.matcher) {
        Some(Matcher::Headers(_)) => Pattern::parse(binding).map(drop),
        _ => Ok(()),
    }
}
