//! Who may log in, open a virtual host, and use which resources: decisions only.
//!
//! Owns users, their password hashes and tags, and their permissions. The salt of a new password is an input: there
//! is no randomness here. What a client said while logging in is read by [`sasl`].

mod bounds;
mod password;
pub mod sasl;
mod topic;

use std::collections::{BTreeMap, BTreeSet};

use regex::{Regex, RegexBuilder};

use crate::definition::{Change, Definition, DefinitionKey};
use crate::error::BrokerError;
use crate::limits::PERMISSION_REGEX_BYTES;
use crate::names::{ExchangeName, UserName, VhostName};

pub use bounds::{Limit, UserLimits, VhostLimits};
pub use password::PasswordHash;
use topic::TopicGrant;
pub use topic::TopicPermission;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: UserName,
    /// What a password is checked against.
    pub password: PasswordHash,
    /// `administrator`, `monitoring`, `policymaker`, `management`, `impersonator` and free words.
    pub tags: Vec<String>,
}

impl User {
    /// Whether the user has that tag.
    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }
}

/// What a user may do in a virtual host: three patterns of names, not anchored. An empty pattern matches nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Where.
    pub vhost: VhostName,
    /// Who.
    pub user: UserName,
    /// Names that may be declared and deleted.
    pub configure: String,
    /// Names that may be published or bound to.
    pub write: String,
    /// Names that may be consumed or bound from.
    pub read: String,
}

/// What kind of thing a permission is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// An exchange; the default exchange is asked for as `amq.default`.
    Exchange,
    /// A queue.
    Queue,
}

/// A thing that a permission is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    /// What it is.
    pub kind: ResourceKind,
    /// What it is called.
    pub name: &'a str,
}

impl<'a> Resource<'a> {
    /// A queue.
    #[must_use]
    pub const fn queue(name: &'a str) -> Self {
        Self { kind: ResourceKind::Queue, name }
    }

    /// An exchange.
    #[must_use]
    pub const fn exchange(name: &'a str) -> Self {
        Self { kind: ResourceKind::Exchange, name }
    }
}

/// What is asked to be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Declare or delete it.
    Configure,
    /// Publish to it, bind to it.
    Write,
    /// Consume from it, bind from it, purge it.
    Read,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

/// A pattern that is no regular expression we can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid regular expression '{pattern}': {reason}")]
pub struct InvalidPattern {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Users and permissions.
#[derive(Clone, Debug, Default)]
pub struct Access {
    users: BTreeMap<UserName, User>,
    permissions: BTreeMap<UserName, BTreeMap<VhostName, Grant>>,
    topic_permissions: BTreeMap<UserName, BTreeMap<(VhostName, ExchangeName), TopicGrant>>,
    user_limits: BTreeMap<UserName, UserLimits>,
    loopback_users: BTreeSet<UserName>,
}

/// A permission with its patterns compiled.
#[derive(Clone, Debug)]
struct Grant {
    permission: Permission,
    configure: Option<Regex>,
    write: Option<Regex>,
    read: Option<Regex>,
}

impl Grant {
    fn new(permission: Permission) -> Result<Self, InvalidPattern> {
        Ok(Self {
            configure: compile(&permission.configure)?,
            write: compile(&permission.write)?,
            read: compile(&permission.read)?,
            permission,
        })
    }

    fn allows(&self, operation: Operation, name: &str) -> bool {
        let pattern = match operation {
            Operation::Configure => &self.configure,
            Operation::Write => &self.write,
            Operation::Read => &self.read,
        };
        pattern.as_ref().is_some_and(|pattern| pattern.is_match(name))
    }
}

/// None for the empty pattern, which matches nothing (RabbitMQ puts `$^` in its place).
fn compile(pattern: &str) -> Result<Option<Regex>, InvalidPattern> {
    if pattern.is_empty() {
        return Ok(None);
    }
    RegexBuilder::new(pattern)
        .size_limit(PERMISSION_REGEX_BYTES)
        .dfa_size_limit(PERMISSION_REGEX_BYTES)
        .build()
        .map(Some)
        .map_err(|error| InvalidPattern { pattern: pattern.to_owned(), reason: error.to_string() })
}

fn topic_key(grant: TopicGrant) -> DefinitionKey {
    let TopicPermission { vhost, user, exchange, .. } = grant.permission;
    DefinitionKey::TopicPermission(vhost, user, exchange)
}

impl Access {
    /// Nobody. `loopback_users` may connect from a loopback address only (RabbitMQ's default: `guest`).
    #[must_use]
    pub fn new(loopback_users: impl IntoIterator<Item = UserName>) -> Self {
        Self { loopback_users: loopback_users.into_iter().collect(), ..Self::default() }
    }

    /// Takes what a restart brought back; other kinds of definitions are not ours and are left alone.
    ///
    /// # Errors
    /// [`InvalidPattern`] for a permission whose patterns do not compile; it is left out.
    pub fn restore(&mut self, definition: &Definition) -> Result<(), InvalidPattern> {
        match definition {
            Definition::User(user) => {
                self.put_user(user.clone());
            }
            Definition::Permission(permission) => {
                self.put_permission(permission.clone())?;
            }
            Definition::TopicPermission(permission) => {
                self.put_topic_permission(permission.clone())?;
            }
            Definition::UserLimits(limits) => _ = self.put_user_limits(limits.clone()),
            _ => {}
        }
        Ok(())
    }

    /// Adds a user or replaces one of that name; permissions stay.
    pub fn put_user(&mut self, user: User) -> Change {
        self.users.insert(user.name.clone(), user.clone());
        Change::Put(Definition::User(user))
    }

    /// Removes a user with its permissions and limits; nothing if there is none.
    pub fn delete_user(&mut self, name: &str) -> Vec<Change> {
        let Some(user) = self.users.remove(name) else { return Vec::new() };
        let granted = self.permissions.remove(name).into_iter().flatten();
        let topics = self.topic_permissions.remove(name).into_iter().flatten();
        let limits = self.user_limits.remove(name).into_iter();
        granted
            .map(|(vhost, _)| DefinitionKey::Permission(vhost, user.name.clone()))
            .chain(topics.map(|(_, grant)| topic_key(grant)))
            .chain(limits.map(|limits| DefinitionKey::UserLimits(limits.user)))
            .chain([DefinitionKey::User(user.name.clone())])
            .map(Change::Delete)
            .collect()
    }

    /// Grants a permission, in place of one for the same user and virtual host. The caller has checked that both
    /// exist.
    ///
    /// # Errors
    /// [`InvalidPattern`]; nothing is changed.
    pub fn put_permission(&mut self, permission: Permission) -> Result<Change, InvalidPattern> {
        let grant = Grant::new(permission.clone())?;
        self.permissions.entry(permission.user.clone()).or_default().insert(permission.vhost.clone(), grant);
        Ok(Change::Put(Definition::Permission(permission)))
    }

    /// Takes a permission away; nothing if there is none.
    pub fn delete_permission(&mut self, user: &str, vhost: &str) -> Option<Change> {
        let grant = self.permissions.get_mut(user)?.remove(vhost)?;
        Some(Change::Delete(DefinitionKey::Permission(grant.permission.vhost, grant.permission.user)))
    }

    /// Grants a topic permission, in place of one for the same user, virtual host and exchange. The caller has
    /// checked that user and virtual host exist.
    ///
    /// # Errors
    /// [`InvalidPattern`]; nothing is changed.
    pub fn put_topic_permission(&mut self, permission: TopicPermission) -> Result<Change, InvalidPattern> {
        let grant = TopicGrant::new(permission.clone())?;
        let place = (permission.vhost.clone(), permission.exchange.clone());
        self.topic_permissions.entry(permission.user.clone()).or_default().insert(place, grant);
        Ok(Change::Put(Definition::TopicPermission(permission)))
    }

    /// Takes a user's topic permissions in a virtual host away: that of one exchange, or all.
    pub fn delete_topic_permissions(
        &mut self,
        user: &str,
        vhost: &str,
        exchange: Option<&str>,
    ) -> Vec<Change> {
        let Some(granted) = self.topic_permissions.get_mut(user) else { return Vec::new() };
        let gone = granted.extract_if(.., |(of, at), _| {
            **of == *vhost && exchange.is_none_or(|exchange| **at == *exchange)
        });
        gone.map(|(_, grant)| Change::Delete(topic_key(grant))).collect()
    }

    /// Sets a user's limits; without any, the record goes. The caller has checked that the user exists.
    pub fn put_user_limits(&mut self, limits: UserLimits) -> Change {
        if limits.is_empty() {
            self.user_limits.remove(&limits.user);
            return Change::Delete(DefinitionKey::UserLimits(limits.user));
        }
        self.user_limits.insert(limits.user.clone(), limits.clone());
        Change::Put(Definition::UserLimits(limits))
    }

    /// Takes away all permissions in a virtual host that goes.
    pub fn delete_vhost(&mut self, vhost: &str) -> Vec<Change> {
        let grants = self.permissions.values_mut().filter_map(|granted| granted.remove(vhost));
        let permissions =
            grants.map(|grant| DefinitionKey::Permission(grant.permission.vhost, grant.permission.user));
        let topics = self.topic_permissions.values_mut().flat_map(|granted| {
            granted.extract_if(.., |(of, _), _| **of == *vhost).map(|(_, grant)| topic_key(grant))
        });
        permissions.chain(topics).map(Change::Delete).collect()
    }

    /// The user of that name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// All users in the order of their names.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// All permissions in the order of users and virtual hosts.
    pub fn permissions(&self) -> impl Iterator<Item = &Permission> {
        self.permissions.values().flat_map(BTreeMap::values).map(|grant| &grant.permission)
    }

    /// A user's permission in a virtual host.
    #[must_use]
    pub fn permission(&self, user: &str, vhost: &str) -> Option<&Permission> {
        self.grant(user, vhost).map(|grant| &grant.permission)
    }

    /// All topic permissions in the order of users, virtual hosts and exchanges.
    pub fn topic_permissions(&self) -> impl Iterator<Item = &TopicPermission> {
        self.topic_permissions.values().flat_map(BTreeMap::values).map(|grant| &grant.permission)
    }

    /// The limits of all users who have one, in the order of their names.
    pub fn all_user_limits(&self) -> impl Iterator<Item = &UserLimits> {
        self.user_limits.values()
    }

    /// A user's limits, if there are any.
    #[must_use]
    pub fn user_limits(&self, user: &str) -> Option<&UserLimits> {
        self.user_limits.get(user)
    }

    /// Whether a user may connect from that side only.
    #[must_use]
    pub fn is_loopback_only(&self, user: &str) -> bool {
        self.loopback_users.contains(user)
    }

    /// Checks a name and password, as the management API does with HTTP Basic.
    ///
    /// # Errors
    /// The reason for the log; a client is not told.
    pub fn authenticate(&self, name: &str, password: &[u8], is_loopback: bool) -> Result<&User, String> {
        let user = self.users.get(name);
        // An unknown user costs as much time as a wrong password.
        let verified = user.map_or(&PasswordHash::None, |user| &user.password).verify(password);
        let Some(user) = user.filter(|_| verified && !password.is_empty()) else {
            return Err(match user {
                Some(_) if password.is_empty() => format!(
                    "user '{name}' attempted to log in with a blank password, which is prohibited by the \
                     internal authN backend"
                ),
                _ => format!("user '{name}' - invalid credentials"),
            });
        };
        if !is_loopback && self.is_loopback_only(name) {
            return Err(format!("user '{name}' can only connect via localhost"));
        }
        Ok(user)
    }

    /// Whether the user may open the virtual host; the caller knows whether it exists.
    ///
    /// # Errors
    /// 530 in RabbitMQ's texts: `vhost … not found`, `access to vhost '…' refused for user '…'`.
    pub fn check_vhost(&self, user: &str, vhost: &str, exists: bool) -> Result<(), BrokerError> {
        if !exists {
            return Err(BrokerError::not_allowed(format!("vhost {vhost} not found")));
        }
        if self.grant(user, vhost).is_none() {
            return Err(BrokerError::not_allowed(format!(
                "access to vhost '{vhost}' refused for user '{user}'"
            )));
        }
        Ok(())
    }

    /// Whether the user may declare or delete the resource.
    ///
    /// # Errors
    /// 403 in RabbitMQ's text.
    pub fn check_configure(
        &self,
        user: &str,
        vhost: &str,
        resource: Resource<'_>,
    ) -> Result<(), BrokerError> {
        self.check(user, vhost, resource, Operation::Configure)
    }

    /// Whether the user may publish or bind to the resource.
    ///
    /// # Errors
    /// 403 in RabbitMQ's text.
    pub fn check_write(&self, user: &str, vhost: &str, resource: Resource<'_>) -> Result<(), BrokerError> {
        self.check(user, vhost, resource, Operation::Write)
    }

    /// Whether the user may consume or bind from the resource.
    ///
    /// # Errors
    /// 403 in RabbitMQ's text.
    pub fn check_read(&self, user: &str, vhost: &str, resource: Resource<'_>) -> Result<(), BrokerError> {
        self.check(user, vhost, resource, Operation::Read)
    }

    /// Whether the user may do that.
    ///
    /// # Errors
    /// 403 in RabbitMQ's text.
    pub fn check(
        &self,
        user: &str,
        vhost: &str,
        resource: Resource<'_>,
        operation: Operation,
    ) -> Result<(), BrokerError> {
        let name = match resource {
            Resource { kind: ResourceKind::Exchange, name: "" } => "amq.default",
            Resource { name, .. } => name,
        };
        if self.grant(user, vhost).is_some_and(|grant| grant.allows(operation, name)) {
            return Ok(());
        }
        let operation = operation.as_str();
        let kind = match resource.kind {
            ResourceKind::Exchange => "exchange",
            ResourceKind::Queue => "queue",
        };
        Err(BrokerError::access_refused(format!(
            "{operation} access to {kind} '{name}' in vhost '{vhost}' refused for user '{user}'"
        )))
    }

    /// Whether the user may publish to or bind with that routing key at a topic exchange: without a topic
    /// permission there, any.
    ///
    /// # Errors
    /// 403 in RabbitMQ's text.
    pub fn check_topic(
        &self,
        user: &str,
        vhost: &str,
        exchange: &str,
        key: &str,
        operation: Operation,
    ) -> Result<(), BrokerError> {
        let Some(granted) = self.topic_permissions.get(user) else { return Ok(()) };
        let place = (VhostName::from(vhost), ExchangeName::from(exchange));
        let Some(grant) = granted.get(&place) else { return Ok(()) };
        if grant.allows(operation, key) {
            return Ok(());
        }
        let operation = operation.as_str();
        Err(BrokerError::access_refused(format!(
            "{operation} access to topic '{key}' in exchange '{exchange}' in vhost '{vhost}' refused for user '{user}'"
        )))
    }

    fn grant(&self, user: &str, vhost: &str) -> Option<&Grant> {
        self.permissions.get(user)?.get(vhost)
    }
}

/// The definitions of a new broker: a virtual host, and an administrator with all permissions in it.
#[must_use]
pub fn default_definitions(vhost: &VhostName, user: &UserName, password: PasswordHash) -> Vec<Definition> {
    use crate::definition::VhostDefinition;
    let all = || ".*".to_owned();
    vec![
        Definition::Vhost(VhostDefinition {
            description: "Default virtual host".to_owned(),
            ..VhostDefinition::new(vhost.clone())
        }),
        Definition::User(User { name: user.clone(), password, tags: vec!["administrator".to_owned()] }),
        Definition::Permission(Permission {
            vhost: vhost.clone(),
            user: user.clone(),
            configure: all(),
            write: all(),
            read: all(),
        }),
    ]
}

#[cfg(test)]
mod tests;
