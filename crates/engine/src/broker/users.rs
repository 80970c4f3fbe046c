//! Users and their permissions: changed under one lock, logged before anybody is answered.
//!
//! A change is in force at once: the rules are asked anew for every method, and remembered routes are dropped with
//! the version of access.

use std::sync::atomic::Ordering;

use leveret_core::access::{
    Access, InvalidPattern, PasswordHash, Permission, TopicPermission, User, UserLimits,
};
use leveret_core::definition::Change;
use leveret_core::names::UserName;
use leveret_storage::Position;

use super::{Broker, NAME_BYTES};
use crate::seams::{Registry, Seams, Shared, SharedRw};

/// Why users, virtual hosts or permissions were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// There is one of that name already.
    #[error("already exists")]
    AlreadyExists,
    /// There is no such user.
    #[error("no user '{0}'")]
    NoSuchUser(String),
    /// There is no such virtual host.
    #[error("no vhost '{0}'")]
    NoSuchVhost(String),
    /// A name beyond [`NAME_BYTES`].
    #[error("a name has at most {NAME_BYTES} bytes")]
    NameTooLong,
    /// A permission's pattern.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
}

/// Which users a change may meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Only a new one.
    New,
    /// Only one that is there.
    Existing,
    /// Either.
    Any,
}

/// A new password: what is known of it.
#[derive(Clone, Debug)]
pub enum NewPassword {
    /// The old one stays; a new user has none.
    Keep,
    /// A hash, or none.
    Hash(PasswordHash),
}

impl<S: Seams> Broker<S> {
    /// The hash of a new password, with a fresh salt.
    #[must_use]
    pub fn hash_password(&self, password: &[u8]) -> PasswordHash {
        let [a, b, c, d, ..] = (self.entropy)();
        PasswordHash::salted_sha256([a, b, c, d], password)
    }

    /// Adds or changes a user; whether it is new, and the position that makes it durable.
    ///
    /// # Errors
    /// [`AccessError`]; nothing changed then.
    pub fn put_user(
        &self,
        name: &str,
        password: NewPassword,
        tags: Option<&[String]>,
        expect: Expect,
    ) -> Result<(bool, Position), AccessError> {
        check_name(name)?;
        self.change_access(|access| {
            let current = access.user(name).cloned();
            match (expect, &current) {
                (Expect::New, Some(_)) => return Err(AccessError::AlreadyExists),
                (Expect::Existing, None) => return Err(AccessError::NoSuchUser(name.to_owned())),
                _ => {}
            }
            let created = current.is_none();
            let mut user = current.unwrap_or_else(|| User {
                name: name.into(),
                password: PasswordHash::None,
                tags: Vec::new(),
            });
            if let NewPassword::Hash(hash) = password {
                user.password = hash;
            }
            if let Some(tags) = tags {
                user.tags = tags.to_vec();
            }
            Ok((created, vec![access.put_user(user)]))
        })
    }

    /// Deletes a user with its permissions and closes its connections: the position that makes it durable.
    ///
    /// # Errors
    /// [`AccessError::NoSuchUser`].
    pub fn delete_user(&self, name: &str) -> Result<Position, AccessError> {
        let ((), position) = self.change_access(|access| {
            let changes = access.delete_user(name);
            if changes.is_empty() { Err(no_user(name)) } else { Ok(((), changes)) }
        })?;
        tracing::info!(user = name, "user deleted");
        self.close_connections_of_user(name);
        Ok(position)
    }

    /// Grants a permission; whether there was none, and the position that makes it durable.
    ///
    /// # Errors
    /// [`AccessError`]; nothing changed then.
    pub fn put_permission(&self, permission: Permission) -> Result<(bool, Position), AccessError> {
        self.change_access(|access| {
            self.check_both(access, &permission.user, &permission.vhost)?;
            let created = access.permission(&permission.user, &permission.vhost).is_none();
            Ok((created, vec![access.put_permission(permission)?]))
        })
    }

    /// Takes a permission away; whether there was one, and the position that makes it durable.
    ///
    /// # Errors
    /// [`AccessError`] for a user or virtual host that does not exist.
    pub fn delete_permission(&self, user: &str, vhost: &str) -> Result<(bool, Position), AccessError> {
        self.change_access(|access| {
            self.check_both(access, user, vhost)?;
            let change = access.delete_permission(user, vhost);
            Ok((change.is_some(), change.into_iter().collect()))
        })
    }

    /// Grants a topic permission; whether there was none, and the position that makes it durable.
    ///
    /// # Errors
    /// [`AccessError`]; nothing changed then.
    pub fn put_topic_permission(&self, permission: TopicPermission) -> Result<(bool, Position), AccessError> {
        if permission.exchange.len() > NAME_BYTES {
            return Err(AccessError::NameTooLong);
        }
        self.change_access(|access| {
            self.check_both(access, &permission.user, &permission.vhost)?;
            let created = !access.topic_permissions().any(|other| {
                (&other.user, &other.vhost, &other.exchange)
                    == (&permission.user, &permission.vhost, &permission.exchange)
            });
            Ok((created, vec![access.put_topic_permission(permission)?]))
        })
    }

    /// Takes topic permissions away, those of all exchanges if none is named; whether there was one, and the
    /// position that makes it durable.
    ///
    /// # Errors
    /// [`AccessError`] for a user or virtual host that does not exist.
    pub fn delete_topic_permissions(
        &self,
        user: &str,
        vhost: &str,
        exchange: Option<&str>,
    ) -> Result<(bool, Position), AccessError> {
        self.change_access(|access| {
            self.check_both(access, user, vhost)?;
            let changes = access.delete_topic_permissions(user, vhost, exchange);
            Ok((!changes.is_empty(), changes))
        })
    }

    /// Sets a user's limits: the position that makes them durable.
    ///
    /// # Errors
    /// [`AccessError::NoSuchUser`].
    pub fn set_user_limits(&self, limits: UserLimits) -> Result<Position, AccessError> {
        let ((), position) = self.change_access(|access| {
            access.user(&limits.user).ok_or_else(|| no_user(&limits.user))?;
            Ok(((), vec![access.put_user_limits(limits)]))
        })?;
        Ok(position)
    }

    /// Changes users and permissions, logs it under the same lock, and makes every remembered decision void.
    fn change_access<R>(
        &self,
        change: impl FnOnce(&mut Access) -> Result<(R, Vec<Change>), AccessError>,
    ) -> Result<(R, Position), AccessError> {
        self.administration.with(|()| {
            self.access.write(|access| {
                let (result, changes) = change(access)?;
                self.access_version.fetch_add(1, Ordering::AcqRel);
                Ok((result, self.log_changes(&changes)))
            })
        })
    }

    fn check_both(&self, access: &Access, user: &str, vhost: &str) -> Result<(), AccessError> {
        // No virtual host comes or goes while the lock of administration is held.
        if self.vhosts.find(vhost).is_none() {
            return Err(AccessError::NoSuchVhost(vhost.to_owned()));
        }
        access.user(user).map(drop).ok_or_else(|| no_user(user))
    }

    fn close_connections_of_user(&self, name: &str) {
        let text = format!("user '{name}' is deleted");
        for connection in self.connections.values() {
            if connection.user().as_ref().map(UserName::as_str) == Some(name) {
                connection.close(&text);
            }
        }
    }
}

fn no_user(name: &str) -> AccessError {
    AccessError::NoSuchUser(name.to_owned())
}

pub(super) fn check_name(name: &str) -> Result<(), AccessError> {
    if name.len() > NAME_BYTES { Err(AccessError::NameTooLong) } else { Ok(()) }
}
