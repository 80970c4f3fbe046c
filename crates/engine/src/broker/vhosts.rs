//! Virtual hosts: made, described, limited, deleted with all that is in them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use leveret_core::BrokerError;
use leveret_core::access::VhostLimits;
use leveret_core::definition::{Change, Definition, VhostDefinition};
use leveret_core::names::{UserName, VhostName};
use leveret_core::vhost as rules;
use leveret_storage::Position;

use super::users::check_name;
use super::{AccessError, Broker};
use crate::seams::{Registry, Seams, Shared, SharedRw};
use crate::vhost::Vhost;

impl<S: Seams> Broker<S> {
    /// Makes a virtual host, or describes anew the one of that name; whether it is new, and the position that makes
    /// it durable.
    ///
    /// # Errors
    /// [`AccessError::NameTooLong`].
    pub fn put_vhost(
        &self,
        name: &str,
        describe: impl FnOnce(&mut VhostDefinition),
    ) -> Result<(bool, Position), AccessError> {
        check_name(name)?;
        self.administration.with(|()| {
            if let Some(vhost) = self.vhosts.find(name) {
                let position = vhost.topology.write(|topology| {
                    let mut definition = topology.definition().clone();
                    describe(&mut definition);
                    self.log_changes(&[topology.describe(definition)])
                });
                return Ok((false, position));
            }
            let mut definition = VhostDefinition::new(name.into());
            definition.default_queue_type.clone_from(&self.settings.default_queue_type);
            describe(&mut definition);
            // Logged before anybody can reach it, so before anything in it.
            let position = self.log_changes(&[Change::Put(Definition::Vhost(definition.clone()))]);
            let vhost = Arc::new(Vhost::new(rules::Vhost::new(definition)));
            self.vhosts.insert(vhost.name.clone(), vhost);
            Ok((true, position))
        })
    }

    /// Deletes a virtual host with its queues, messages, exchanges, bindings and permissions, and closes its
    /// connections: the position that makes it durable.
    ///
    /// # Errors
    /// [`AccessError::NoSuchVhost`].
    pub fn delete_vhost(&self, name: &str) -> Result<Position, AccessError> {
        let missing = || AccessError::NoSuchVhost(name.to_owned());
        let position = self.administration.with(|()| {
            let vhost = self.vhosts.remove(name).ok_or_else(missing)?;
            let (position, removed) = vhost.topology.write(|topology| {
                let mut changes = topology.remove().changes;
                changes.extend(self.access.write(|access| access.delete_vhost(name)));
                changes.extend(self.parameters.write(|parameters| parameters.delete_vhost(name)));
                self.access_version.fetch_add(1, Ordering::AcqRel);
                let position = self.log_changes(&changes);
                vhost.changed();
                let removed: Vec<_> =
                    vhost.queues().iter().map(|queue| self.end_queue(&vhost, queue)).collect();
                (position, removed)
            });
            // Messages are dropped and consumers told once the topology is free again.
            let last = removed.iter().map(|queue| queue.position).max();
            removed.iter().for_each(super::queues::Removed::tell_consumers);
            Ok::<_, AccessError>(last.map_or(position, |last| last.max(position)))
        })?;
        tracing::info!(vhost = name, "vhost deleted");
        self.close_connections_of_vhost(name);
        Ok(position)
    }

    /// Sets a virtual host's limits: the position that makes them durable.
    ///
    /// # Errors
    /// [`AccessError::NoSuchVhost`].
    pub fn set_vhost_limits(&self, limits: VhostLimits) -> Result<Position, AccessError> {
        self.administration.with(|()| {
            let missing = || AccessError::NoSuchVhost(limits.vhost.to_string());
            let vhost = self.vhosts.find(&*limits.vhost).ok_or_else(missing)?;
            Ok(vhost.topology.write(|topology| self.log_changes(&[topology.set_limits(limits)])))
        })
    }

    /// A virtual host for a connection that opens it.
    ///
    /// # Errors
    /// 530 in RabbitMQ's order and texts: not there, no room, not allowed.
    pub(crate) fn open_vhost(&self, user: &UserName, name: &str) -> Result<Arc<Vhost<S>>, BrokerError> {
        let vhost = self.vhosts.find(name);
        let not_found = || BrokerError::not_allowed(format!("vhost {name} not found"));
        let vhost = vhost.ok_or_else(not_found)?;
        self.check_connection_limits(user, &vhost)?;
        self.access.read(|access| access.check_vhost(user, name, true))?;
        Ok(vhost)
    }

    fn check_connection_limits(&self, user: &UserName, vhost: &Vhost<S>) -> Result<(), BrokerError> {
        let of_vhost = vhost.topology.read(|topology| topology.limits().max_connections);
        if let Some(limit) = of_vhost
            && limit.is_reached(self.count_connections(|_, opened| opened == Some(&vhost.name)))
        {
            return Err(BrokerError::not_allowed(format!(
                "access to vhost '{}' refused for user '{user}': connection limit ({}) is reached",
                vhost.name, limit.0
            )));
        }
        let of_user = self.access.read(|access| access.user_limits(user)?.max_connections);
        if let Some(limit) = of_user
            && limit.is_reached(self.count_connections(|owner, opened| opened.is_some() && owner == user))
        {
            return Err(BrokerError::not_allowed(format!(
                "connection refused for user '{user}': user connection limit ({}) is reached",
                limit.0
            )));
        }
        Ok(())
    }

    fn count_connections(&self, counts: impl Fn(&UserName, Option<&VhostName>) -> bool) -> u64 {
        let open = self.connections.values().into_iter();
        open.filter(|connection| {
            let (user, vhost) = connection.user_and_vhost();
            user.is_some_and(|user| counts(&user, vhost.as_ref()))
        })
        .count() as u64
    }

    /// Whether a user may open one more channel.
    ///
    /// # Errors
    /// 530 past the user's limit of channels.
    pub(crate) fn check_channel_limit(&self, user: &UserName) -> Result<(), BrokerError> {
        let limit = self.access.read(|access| access.user_limits(user)?.max_channels);
        let Some(limit) = limit else { return Ok(()) };
        let open = self.connections.values().into_iter().map(|connection| connection.channels_of(user));
        if limit.is_reached(open.sum()) {
            return Err(BrokerError::not_allowed(format!(
                "number of channels opened for user '{user}' has reached the maximum allowed user limit of ({})",
                limit.0
            )));
        }
        Ok(())
    }

    fn close_connections_of_vhost(&self, name: &str) {
        let text = format!("vhost '{name}' is down");
        for connection in self.connections.values() {
            if connection.user_and_vhost().1.as_ref().map(VhostName::as_str) == Some(name) {
                connection.close(&text);
            }
        }
    }
}
