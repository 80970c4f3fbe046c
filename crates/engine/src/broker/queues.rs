//! queue.declare, delete and purge, and the ends of queues that nobody asked for.

use leveret_core::BrokerError;
use leveret_core::ids::{ConnectionId, QueueId};
use leveret_core::names::QueueName;
use leveret_core::vhost::{QueueDeclaration, Vhost as Topology, strip_line_breaks};
use leveret_protocol::amqp::queue;
use leveret_storage::Position;

use super::exchanges::arguments;
use super::{Actor, Broker};
use crate::cell::Remains;
use crate::queue::QueueRef;
use crate::seams::{Registry, Seams, Shared, SharedRw};
use crate::session::{REPLY_PREFIX, REPLY_TO};
use crate::stats::count;
use crate::vhost::{Vhost, new_queue};

/// What queue.declare-ok says.
#[derive(Clone, Debug)]
pub struct DeclaredQueue {
    /// Its name.
    pub name: QueueName,
    /// Messages ready in it.
    pub ready: u64,
    /// Its consumers.
    pub consumers: usize,
    /// The position that makes it durable.
    pub position: Position,
}

/// A queue that was taken out of its vhost.
pub(super) struct Removed<S: Seams> {
    /// Dropped with this value, when no lock is held any more.
    remains: Remains<S>,
    pub(super) position: Position,
}

impl<S: Seams> Removed<S> {
    /// Tells the consumers; no lock is held any more.
    pub(super) fn tell_consumers(&self) {
        for (key, consumer) in &self.remains.consumers {
            let handle = &consumer.handle;
            handle.outbox.cancel_consumer(handle.channel, handle.origin, *key);
        }
    }
}

impl<S: Seams> Broker<S> {
    /// queue.declare.
    ///
    /// # Errors
    /// As the rules say; nothing changed then.
    pub fn declare_queue(&self, actor: &Actor<S>, m: &queue::Declare) -> Result<DeclaredQueue, BrokerError> {
        let name = strip_line_breaks(m.queue.as_str());
        if let Some(found) = self.declare_reply_name(&name, m.passive) {
            return Ok(found);
        }
        if m.passive {
            let topology = &actor.vhost.topology;
            let id = topology.read(|topology| {
                let queue = topology.declare_queue_passively(actor.connection, &name)?;
                Ok::<QueueId, BrokerError>(queue.definition.id)
            })?;
            return self.declared(&actor.vhost, id, &name, self.log_changes(&[]));
        }
        let server_named = name.is_empty();
        let generated = server_named.then(|| format!("amq.gen-{}", self.random_name()));
        let name = generated.as_deref().unwrap_or(&name);
        let declaration = QueueDeclaration {
            name,
            server_named,
            durable: m.durable,
            exclusive: m.exclusive,
            auto_delete: m.auto_delete,
            arguments: arguments(&m.arguments)?,
        };
        let durable = m.durable && !m.exclusive;
        let (id, position) = self.as_caller(actor, |caller| {
            actor.vhost.topology.write(|topology| {
                topology.check_exists()?;
                let is_new = topology.queue(name).is_none();
                let new_id = if is_new { self.next_queue_id(durable) } else { QueueId::default() };
                let declared = topology.declare_queue(caller, &declaration, new_id)?;
                if declared.created
                    && let Some(queue) = topology.queue_by_id(declared.id)
                {
                    actor.vhost.add_queue(new_queue(queue));
                }
                if declared.created {
                    count(&self.counters.queues_created);
                }
                Ok::<_, BrokerError>((declared.id, self.log_changes(&declared.effects.changes)))
            })
        })?;
        count(&self.counters.queues_declared);
        self.declared(&actor.vhost, id, name, position)
    }

    fn declared(
        &self,
        vhost: &Vhost<S>,
        id: QueueId,
        name: &str,
        position: Position,
    ) -> Result<DeclaredQueue, BrokerError> {
        let queue = vhost.queue_by_id(id);
        queue.as_ref().map_or(Ok(()), QueueRef::check_whole)?;
        let counts = queue.map(|queue| {
            self.work(&queue, |cell, around| {
                cell.renew_lease(around);
                (cell.totals().ready, cell.consumer_count())
            })
        });
        let (ready, consumers) = counts.unwrap_or_default();
        Ok(DeclaredQueue { name: name.into(), ready, consumers, position })
    }

    /// The names of direct reply-to exist without being declared; a reply name exists while its consumer does.
    fn declare_reply_name(&self, name: &str, passive: bool) -> Option<DeclaredQueue> {
        let exists = name == REPLY_TO
            || (passive && name.starts_with(REPLY_PREFIX) && self.reply_targets.find(name).is_some());
        exists.then(|| DeclaredQueue { name: name.into(), ready: 0, consumers: 1, position: Position(0) })
    }

    /// A queue for basic.consume and basic.get.
    ///
    /// # Errors
    /// 403, 404 and 405 as the rules say.
    pub fn queue_to_read(&self, actor: &Actor<S>, name: &QueueName) -> Result<QueueRef<S>, BrokerError> {
        let id = self.as_caller(actor, |caller| {
            actor.vhost.topology.read(|topology| Ok(topology.read_queue(caller, name)?.definition.id))
        })?;
        let queue = actor.vhost.queue_by_id(id).ok_or_else(|| {
            BrokerError::not_found(format!("no queue '{name}' in vhost '{}'", actor.vhost.name))
        })?;
        queue.check_whole()?;
        Ok(queue)
    }

    /// queue.purge: how many messages went, and the position that makes it durable.
    ///
    /// # Errors
    /// 403, 404 and 405 as the rules say.
    pub fn purge_queue(&self, actor: &Actor<S>, name: &QueueName) -> Result<(Position, u64), BrokerError> {
        let queue = self.queue_to_read(actor, name)?;
        let (count, position) = self.work(&queue, |cell, around| cell.purge(around));
        Ok((position, count))
    }

    /// queue.delete: how many messages were ready, and the position that makes it durable. A queue that is not
    /// there is as good as deleted.
    ///
    /// # Errors
    /// As the rules say; nothing changed then.
    pub fn delete_queue(
        &self,
        actor: &Actor<S>,
        name: &QueueName,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<(Position, u64), BrokerError> {
        let removed = self.as_caller(actor, |caller| {
            actor.vhost.topology.write(|topology| {
                let found = topology.queue_to_delete(caller, name, if_unused, if_empty)?;
                let Some(id) = found.map(|queue| queue.definition.id) else { return Ok(None) };
                let Some(queue) = actor.vhost.queue_by_id(id) else { return Ok(None) };
                let (ready, consumers) =
                    queue.with(|cell| (cell.totals().ready, cell.consumer_count() as u64));
                topology.check_deletable(name, (if_empty, ready), (if_unused, consumers))?;
                Ok::<_, BrokerError>(Some(self.remove(&actor.vhost, topology, &queue)))
            })
        })?;
        // Nothing to delete: what deleted it may still wait for its sync.
        let Some(removed) = removed else { return Ok((self.log_changes(&[]), 0)) };
        removed.tell_consumers();
        Ok((removed.position, removed.remains.contents.totals().ready))
    }

    /// Deletes a queue whoever owns it, as an operator does: the position that makes it durable, and how many
    /// messages were ready; None if it is not there.
    ///
    /// # Errors
    /// 406 for `if_unused` and `if_empty`; nothing changed then.
    pub fn force_delete_queue(
        &self,
        vhost: &Vhost<S>,
        name: &QueueName,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<Option<(Position, u64)>, BrokerError> {
        let removed = vhost.topology.write(|topology| {
            let Some(found) = topology.queue(name) else { return Ok(None) };
            let Some(queue) = vhost.queue_by_id(found.definition.id) else { return Ok(None) };
            let (ready, consumers) = queue.with(|cell| (cell.totals().ready, cell.consumer_count() as u64));
            topology.check_deletable(name, (if_empty, ready), (if_unused, consumers))?;
            Ok::<_, BrokerError>(Some(self.remove(vhost, topology, &queue)))
        })?;
        let Some(removed) = removed else { return Ok(None) };
        removed.tell_consumers();
        Ok(Some((removed.position, removed.remains.contents.totals().ready)))
    }

    /// Takes a queue out of its vhost. The topology is locked by the caller.
    fn remove(&self, vhost: &Vhost<S>, topology: &mut Topology, queue: &QueueRef<S>) -> Removed<S> {
        let effects = topology.remove_queue(queue.id);
        let defined = self.log_changes(&effects.changes);
        let mut removed = self.end_queue(vhost, queue);
        removed.position = removed.position.max(defined);
        removed
    }

    /// Ends a queue whose definition is gone: it takes nothing more, and the log forgets its messages.
    pub(super) fn end_queue(&self, vhost: &Vhost<S>, queue: &QueueRef<S>) -> Removed<S> {
        queue.kill();
        let mut remains = queue.with(|cell| {
            let remains = cell.kill();
            cell.forget_spilled(&self.spill);
            cell.account(&self.hot);
            remains
        });
        if let Some(called_at) = remains.called_at.take() {
            self.timers.with(|timers| timers.remove(queue.id, called_at));
        }
        vhost.forget_queue(queue.id);
        self.counters.keep_queue(queue, remains.stats);
        vhost.changed();
        Removed { remains, position: self.log_queue_gone(queue) }
    }

    /// Deletes an auto-delete queue whose last consumer has gone, unless another came meanwhile.
    pub(crate) fn delete_unused(&self, queue: &QueueRef<S>) {
        let Some(vhost) = self.vhosts.find(&queue.vhost) else { return };
        let removed = vhost.topology.write(|topology| {
            let gone = queue.with(|cell| cell.is_dead() || cell.consumer_count() > 0);
            (!gone).then(|| self.remove(&vhost, topology, queue))
        });
        if let Some(removed) = removed {
            removed.tell_consumers();
        }
    }

    /// Deletes a queue that nobody used for as long as its x-expires says, unless somebody does meanwhile. Its
    /// messages go with it; they are not dead-lettered.
    pub(crate) fn delete_expired(&self, queue: &QueueRef<S>) {
        let Some(vhost) = self.vhosts.find(&queue.vhost) else { return };
        let removed = vhost.topology.write(|topology| {
            let around = self.around(queue);
            let is_over = queue.with(|cell| cell.is_lease_over(&around));
            is_over.then(|| self.remove(&vhost, topology, queue))
        });
        if let Some(removed) = removed {
            removed.tell_consumers();
        }
    }

    /// Deletes the exclusive queues of a connection that ends.
    pub(crate) fn delete_exclusive(&self, vhost: Option<&Vhost<S>>, connection: ConnectionId) {
        let Some(vhost) = vhost else { return };
        let owned = vhost.topology.read(|topology| topology.owned_queues(connection));
        for id in owned {
            let Some(queue) = vhost.queue_by_id(id) else { continue };
            let removed = vhost.topology.write(|topology| self.remove(vhost, topology, &queue));
            removed.tell_consumers();
        }
    }
}
