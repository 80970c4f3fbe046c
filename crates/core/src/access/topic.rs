//! Topic permissions: which routing keys a user may publish to and bind with at one topic exchange.
//!
//! A user without one for an exchange is not limited there. Patterns may hold `{username}` and `{vhost}`, which stand
//! for the user's and the virtual host's name.

use regex::Regex;

use super::{InvalidPattern, Operation, compile};
use crate::names::{ExchangeName, UserName, VhostName};

/// What a user may do with the routing keys of one topic exchange: patterns, not anchored. An empty pattern matches
/// the empty key alone (RabbitMQ puts `^$` in its place).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPermission {
    /// Where.
    pub vhost: VhostName,
    /// Who.
    pub user: UserName,
    /// At which exchange.
    pub exchange: ExchangeName,
    /// Routing keys that may be published to.
    pub write: String,
    /// Binding keys that may be bound with.
    pub read: String,
}

/// A topic permission with its patterns compiled.
#[derive(Clone, Debug)]
pub(super) struct TopicGrant {
    pub(super) permission: TopicPermission,
    write: Option<Regex>,
    read: Option<Regex>,
}

impl TopicGrant {
    pub(super) fn new(permission: TopicPermission) -> Result<Self, InvalidPattern> {
        let compiled = |pattern: &str| {
            let expanded = expand(pattern, &permission);
            compile(&expanded)
                .map_err(|error| InvalidPattern { pattern: pattern.to_owned(), reason: error.reason })
        };
        Ok(Self { write: compiled(&permission.write)?, read: compiled(&permission.read)?, permission })
    }

    pub(super) fn allows(&self, operation: Operation, key: &str) -> bool {
        let pattern = match operation {
            Operation::Write => &self.write,
            Operation::Read => &self.read,
            // RabbitMQ's records have no such pattern, and nothing asks.
            Operation::Configure => return false,
        };
        pattern.as_ref().map_or(key.is_empty(), |pattern| pattern.is_match(key))
    }
}

/// Names in place of variables, as literal text: a name never becomes a pattern. `{client_id}` is MQTT's and stays.
fn expand(pattern: &str, permission: &TopicPermission) -> String {
    pattern
        .replace("{username}", &regex::escape(&permission.user))
        .replace("{vhost}", &regex::escape(&permission.vhost))
        .replace("{client_id}", r"\{client_id\}")
}
