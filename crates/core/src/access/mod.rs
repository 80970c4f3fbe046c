//! Who may log in, open a virtual host, and use which resources: decisions only.
//!
//! Owns users, their password hashes and tags, and their permissions. The salt of a new password is an input: there
//! is no randomness here. What a client said while logging in is read by [`sasl`].

mod password;
pub mod sasl;

use std::collections::{BTreeMap, BTreeSet};

use regex::{Regex, RegexBuilder};

use crate::definition::{Change, Definition, DefinitionKey};
use crate::error::BrokerError;
use crate::limits::PERMISSION_REGEX_BYTES;
use crate::names::{UserName, VhostName};

pub use password::PasswordHash;

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
            _ => {}
        }
        Ok(())
    }

    /// Adds a user or replaces one of that name; permissions stay.
    pub fn put_user(&mut self, user: User) -> Change {
        self.users.insert(user.name.clone(), user.clone());
        Change::Put(Definition::User(user))
    }

    /// Removes a user with its permissions; nothing if there is none.
    pub fn delete_user(&mut self, name: &str) -> Vec<Change> {
        let Some(user) = self.users.remove(name) else { return Vec::new() };
        let granted = self.permissions.remove(name).into_iter().flatten();
        granted
            .map(|(vhost, _)| DefinitionKey::Permission(vhost, user.name.clone()))
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

    /// Takes away all permissions in a virtual host that goes.
    pub fn delete_vhost(&mut self, vhost: &str) -> Vec<Change> {
        let grants = self.permissions.values_mut().filter_map(|granted| granted.remove(vhost));
        grants
            .map(|grant| {
                Change::Delete(DefinitionKey::Permission(grant.permission.vhost, grant.permission.user))
            })
            .collect()
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
        let verified = match user {
            Some(user) => user.password.verify(password),
            None => PasswordHash::salted_sha256([0; 4], b"nobody").verify(password) && user.is_some(),
        };
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
        let operation = match operation {
            Operation::Configure => "configure",
            Operation::Write => "write",
            Operation::Read => "read",
        };
        let kind = match resource.kind {
            ResourceKind::Exchange => "exchange",
            ResourceKind::Queue => "queue",
        };
        Err(BrokerError::access_refused(format!(
            "{operation} access to {kind} '{name}' in vhost '{vhost}' refused for user '{user}'"
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
