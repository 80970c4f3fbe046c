//! Users, virtual hosts, permissions and limits for management. Every change waits for the disk.

use std::collections::BTreeMap;

use leveret_core::access::{Limit, PasswordHash, Permission, TopicPermission, UserLimits, VhostLimits};
use leveret_core::admin::{
    AccessAdmin, AdminError, PasswordChange, PermissionView, TopicPermissionView, UserLimitValues,
    VhostLimitValues, VhostSettings,
};
use leveret_engine::SharedRw;
use leveret_engine::broker::{AccessError, Expect, NAME_BYTES, NewPassword};
use leveret_engine::seams::Registry;
use leveret_storage::Position;

use super::BrokerAdmin;

fn told(error: AccessError) -> AdminError {
    match error {
        AccessError::AlreadyExists => AdminError::AlreadyExists,
        AccessError::NoSuchUser(name) => AdminError::NoSuchUser(name),
        AccessError::NoSuchVhost(name) => AdminError::NoSuchVhost(name),
        AccessError::NameTooLong => AdminError::BadRequest(format!("a name has at most {NAME_BYTES} bytes")),
        AccessError::Pattern(invalid) => {
            AdminError::InvalidPattern { pattern: invalid.pattern, reason: invalid.reason }
        }
    }
}

impl BrokerAdmin {
    /// The answer once the disk has it.
    pub(super) fn durable<R>(&self, done: Result<(R, Position), AccessError>) -> Result<R, AdminError> {
        let (result, position) = done.map_err(told)?;
        self.wait_for(position)?;
        Ok(result)
    }

    fn new_password(&self, change: &PasswordChange) -> Result<NewPassword, AdminError> {
        Ok(match change {
            PasswordChange::Keep => NewPassword::Keep,
            PasswordChange::Plain(password) => NewPassword::Hash(self.broker.hash_password(password)),
            PasswordChange::None => NewPassword::Hash(PasswordHash::None),
            PasswordChange::Hash { base64, algorithm } => {
                let hash = PasswordHash::from_base64(algorithm.as_deref(), base64);
                NewPassword::Hash(hash.ok_or_else(|| {
                    let algorithm = algorithm.as_deref().unwrap_or("rabbit_password_hashing_sha256");
                    AdminError::BadRequest(format!("the password hash is not one of {algorithm} in base64"))
                })?)
            }
        })
    }

    fn put(
        &self,
        name: &str,
        password: &PasswordChange,
        tags: Option<&[String]>,
        expect: Expect,
    ) -> Result<bool, AdminError> {
        let password = self.new_password(password)?;
        self.durable(self.broker.put_user(name, password, tags, expect))
    }
}

impl AccessAdmin for BrokerAdmin {
    fn add_user(&self, name: &str, password: &PasswordChange, tags: &[String]) -> Result<(), AdminError> {
        self.put(name, password, Some(tags), Expect::New).map(drop)
    }

    fn put_user(
        &self,
        name: &str,
        password: &PasswordChange,
        tags: Option<&[String]>,
    ) -> Result<bool, AdminError> {
        self.put(name, password, tags, Expect::Any)
    }

    fn set_password(&self, name: &str, password: &PasswordChange) -> Result<(), AdminError> {
        self.put(name, password, None, Expect::Existing).map(drop)
    }

    fn hash_password(&self, password: &[u8]) -> Vec<u8> {
        self.broker.hash_password(password).bytes().to_vec()
    }

    fn set_user_tags(&self, name: &str, tags: &[String]) -> Result<(), AdminError> {
        self.put(name, &PasswordChange::Keep, Some(tags), Expect::Existing).map(drop)
    }

    fn delete_user(&self, name: &str) -> Result<(), AdminError> {
        self.durable(self.broker.delete_user(name).map(|position| ((), position)))
    }

    fn put_vhost(&self, name: &str, settings: &VhostSettings) -> Result<bool, AdminError> {
        let queue_type = settings.default_queue_type.as_deref();
        if let Some(unknown) =
            queue_type.filter(|name| !matches!(*name, "" | "undefined" | "classic" | "quorum"))
        {
            return Err(AdminError::BadRequest(format!("Unsupported default queue type '{unknown}'")));
        }
        self.durable(self.broker.put_vhost(name, |definition| {
            if let Some(description) = &settings.description {
                definition.description.clone_from(description);
            }
            if let Some(tags) = &settings.tags {
                definition.tags.clone_from(tags);
            }
            if let Some(name) = queue_type {
                let name = if name == "undefined" { "" } else { name };
                name.clone_into(&mut definition.default_queue_type);
            }
        }))
    }

    fn delete_vhost(&self, name: &str) -> Result<(), AdminError> {
        self.durable(self.broker.delete_vhost(name).map(|position| ((), position)))
    }

    fn permissions(&self) -> Vec<PermissionView> {
        let view = |permission: &Permission| PermissionView {
            vhost: permission.vhost.to_string(),
            user: permission.user.to_string(),
            configure: permission.configure.clone(),
            write: permission.write.clone(),
            read: permission.read.clone(),
        };
        self.broker.access.read(|access| access.permissions().map(view).collect())
    }

    fn put_permission(&self, permission: &PermissionView) -> Result<bool, AdminError> {
        self.durable(self.broker.put_permission(Permission {
            vhost: permission.vhost.as_str().into(),
            user: permission.user.as_str().into(),
            configure: permission.configure.clone(),
            write: permission.write.clone(),
            read: permission.read.clone(),
        }))
    }

    fn delete_permission(&self, vhost: &str, user: &str) -> Result<bool, AdminError> {
        self.durable(self.broker.delete_permission(user, vhost))
    }

    fn topic_permissions(&self) -> Vec<TopicPermissionView> {
        let view = |permission: &TopicPermission| TopicPermissionView {
            vhost: permission.vhost.to_string(),
            user: permission.user.to_string(),
            exchange: permission.exchange.to_string(),
            write: permission.write.clone(),
            read: permission.read.clone(),
        };
        self.broker.access.read(|access| access.topic_permissions().map(view).collect())
    }

    fn put_topic_permission(&self, permission: &TopicPermissionView) -> Result<bool, AdminError> {
        self.durable(self.broker.put_topic_permission(TopicPermission {
            vhost: permission.vhost.as_str().into(),
            user: permission.user.as_str().into(),
            exchange: permission.exchange.as_str().into(),
            write: permission.write.clone(),
            read: permission.read.clone(),
        }))
    }

    fn delete_topic_permission(
        &self,
        vhost: &str,
        user: &str,
        exchange: Option<&str>,
    ) -> Result<bool, AdminError> {
        self.durable(self.broker.delete_topic_permissions(user, vhost, exchange))
    }

    fn vhost_limits(&self) -> Vec<(String, VhostLimitValues)> {
        let vhosts = self.broker.vhosts.values().into_iter();
        let set: BTreeMap<_, _> = vhosts
            .map(|vhost| vhost.topology.read(|topology| topology.limits().clone()))
            .filter(|limits| !limits.is_empty())
            .map(|limits| {
                let values = VhostLimitValues {
                    max_connections: limits.max_connections.map(|limit| limit.0),
                    max_queues: limits.max_queues.map(|limit| limit.0),
                };
                (limits.vhost.to_string(), values)
            })
            .collect();
        set.into_iter().collect()
    }

    fn set_vhost_limits(&self, vhost: &str, limits: VhostLimitValues) -> Result<(), AdminError> {
        let set = self.broker.set_vhost_limits(VhostLimits {
            vhost: vhost.into(),
            max_connections: limits.max_connections.map(Limit),
            max_queues: limits.max_queues.map(Limit),
        });
        self.durable(set.map(|position| ((), position)))
    }

    fn user_limits(&self) -> Vec<(String, UserLimitValues)> {
        let view = |limits: &UserLimits| {
            let values = UserLimitValues {
                max_connections: limits.max_connections.map(|limit| limit.0),
                max_channels: limits.max_channels.map(|limit| limit.0),
            };
            (limits.user.to_string(), values)
        };
        self.broker.access.read(|access| access.all_user_limits().map(view).collect())
    }

    fn set_user_limits(&self, user: &str, limits: UserLimitValues) -> Result<(), AdminError> {
        let set = self.broker.set_user_limits(UserLimits {
            user: user.into(),
            max_connections: limits.max_connections.map(Limit),
            max_channels: limits.max_channels.map(Limit),
        });
        self.durable(set.map(|position| ((), position)))
    }
}
