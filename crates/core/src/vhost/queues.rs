//! queue.declare, queue.delete, and who may use a queue.

use super::{Caller, Effects, Vhost, check_reserved_prefix};
use crate::access::{Operation, Resource};
use crate::arguments::equivalence::{check_queue_equivalence, inequivalent};
use crate::arguments::{Arguments, QueueProperties, QueueSettings, QueueType, dead_letter_exchange};
use crate::definition::{Change, Definition, DefinitionKey, QueueDefinition};
use crate::error::BrokerError;
use crate::ids::{ConnectionId, QueueId};

const QUEUE_TYPE: &str = "x-queue-type";
const CLASSIC: &str = "classic";
const QUORUM: &str = "quorum";

fn queue_type_of(arguments: &Arguments) -> Option<&str> {
    std::str::from_utf8(arguments.get(QUEUE_TYPE)?.as_long_string()?).ok()
}

/// A queue that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// As it was declared.
    pub definition: QueueDefinition,
    /// The connection that owns it, if it is exclusive.
    pub exclusive_owner: Option<ConnectionId>,
    /// Its arguments in typed form.
    pub settings: QueueSettings,
}

/// queue.declare, not passive.
#[derive(Clone, Debug)]
pub struct QueueDeclaration<'a> {
    /// The name, line breaks stripped; for a server-named queue the random name that the caller made.
    pub name: &'a str,
    /// The client left the name to the broker: the reserved prefix is ours.
    pub server_named: bool,
    /// As sent; an exclusive queue is never durable.
    pub durable: bool,
    /// Belongs to the caller's connection.
    pub exclusive: bool,
    /// Goes with its last consumer.
    pub auto_delete: bool,
    /// As sent.
    pub arguments: Arguments,
}

/// What queue.declare found or made.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclaredQueue {
    /// The queue.
    pub id: QueueId,
    /// It is new, so the caller makes its contents.
    pub created: bool,
    /// What changed.
    pub effects: Effects,
}

impl Vhost {
    /// The queue of that name.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<&Queue> {
        self.queues.get(name)
    }

    /// The queue of that id.
    #[must_use]
    pub fn queue_by_id(&self, id: QueueId) -> Option<&Queue> {
        self.queues.get(self.queue_names.get(&id)?)
    }

    /// All queues in the order of their names.
    pub fn queues(&self) -> impl ExactSizeIterator<Item = &Queue> {
        self.queues.values()
    }

    /// The exclusive queues of a connection, oldest first; they go with it.
    #[must_use]
    pub fn owned_queues(&self, connection: ConnectionId) -> Vec<QueueId> {
        self.owned.get(&connection).into_iter().flatten().copied().collect()
    }

    /// queue.declare with `passive`: whether it exists and may be used from that connection is all that is asked.
    ///
    /// # Errors
    /// 404, 405.
    pub fn declare_queue_passively(
        &self,
        connection: ConnectionId,
        name: &str,
    ) -> Result<&Queue, BrokerError> {
        let queue = self.queues.get(name).ok_or_else(|| self.no_queue(name))?;
        self.check_owner(queue, connection)?;
        Ok(queue)
    }

    /// queue.declare: nothing changes if it exists and is equivalent; otherwise it is made with the id `new_id`.
    ///
    /// # Errors
    /// 403 for a reserved name or a missing permission, 405 for another connection's exclusive queue or one whose
    /// exclusiveness differs, 406 for other differences and arguments that are invalid, 540 for those that are not
    /// supported yet; nothing is changed.
    pub fn declare_queue(
        &mut self,
        caller: &Caller<'_>,
        declaration: &QueueDeclaration<'_>,
        new_id: QueueId,
    ) -> Result<DeclaredQueue, BrokerError> {
        let name = declaration.name;
        if !declaration.server_named {
            check_reserved_prefix("queue", name)?;
        }
        (caller.permit)(Operation::Configure, Resource::queue(name))?;
        let declaration = &self.with_queue_type(declaration);
        let exclusive_owner = declaration.exclusive.then_some(caller.connection);
        let durable = declaration.durable && !declaration.exclusive;
        if let Some(queue) = self.queues.get(name) {
            self.check_queue_equivalence(queue, declaration, durable, exclusive_owner)?;
            let id = queue.definition.id;
            return Ok(DeclaredQueue { id, created: false, effects: Effects::default() });
        }
        self.check_queue_limit(name)?;
        if let Some(dlx) = dead_letter_exchange(&declaration.arguments, name, self.name())? {
            (caller.permit)(Operation::Read, Resource::queue(name))?;
            (caller.permit)(Operation::Write, Resource::exchange(&dlx))?;
        }
        if declaration.server_named && queue_type_of(&declaration.arguments) == Some(QUORUM) {
            let text = "Cannot declare a server-named queue for type rabbit_quorum_queue";
            return Err(BrokerError::precondition_failed(text));
        }
        let properties = QueueProperties {
            name,
            vhost: self.name(),
            durable,
            exclusive_owner,
            auto_delete: declaration.auto_delete,
        };
        let settings = QueueSettings::parse(&declaration.arguments, &properties)?;
        let definition = QueueDefinition {
            vhost: self.name().clone(),
            name: name.into(),
            id: new_id,
            durable,
            auto_delete: declaration.auto_delete,
            arguments: declaration.arguments.clone(),
        };
        let mut effects = Effects::default();
        if durable {
            effects.changes.push(Change::Put(Definition::Queue(definition.clone())));
        }
        self.add_queue(Queue { definition, exclusive_owner, settings });
        Ok(DeclaredQueue { id: new_id, created: true, effects })
    }

    /// The declaration with the virtual host's default queue type among its arguments, if it names none; classic
    /// where the default one cannot be what is declared (`rabbit_amqqueue:augment_declare_args`).
    fn with_queue_type<'a>(&self, declaration: &QueueDeclaration<'a>) -> QueueDeclaration<'a> {
        let mut declaration = declaration.clone();
        if declaration.arguments.get(QUEUE_TYPE).is_none() {
            let fits = declaration.durable && !declaration.exclusive && !declaration.auto_delete;
            let queue_type = match self.definition().default_queue_type.as_str() {
                "quorum" if fits => QUORUM,
                _ => CLASSIC,
            };
            declaration.arguments = declaration.arguments.with_text(QUEUE_TYPE, queue_type);
        }
        declaration
    }

    fn check_queue_limit(&self, name: &str) -> Result<(), BrokerError> {
        match self.limits().max_queues {
            Some(limit) if limit.is_reached(self.queues.len() as u64) => {
                Err(BrokerError::precondition_failed(format!(
                    "cannot declare queue '{name}': queue limit in vhost '{}' ({}) is reached",
                    self.name(),
                    limit.0
                )))
            }
            _ => Ok(()),
        }
    }

    /// A queue that the caller wants to consume from, get from or purge.
    ///
    /// # Errors
    /// 403 without the permission to read it, 404, 405.
    pub fn read_queue(&self, caller: &Caller<'_>, name: &str) -> Result<&Queue, BrokerError> {
        (caller.permit)(Operation::Read, Resource::queue(name))?;
        self.declare_queue_passively(caller.connection, name)
    }

    /// First step of queue.delete: the queue to delete, or none if there is none, which is as good as deleted. The
    /// caller then asks [`Vhost::check_deletable`] with the queue's counts, and calls [`Vhost::remove_queue`].
    ///
    /// # Errors
    /// 403 without the permission to configure it, 405, 540 for a quorum queue with either condition.
    pub fn queue_to_delete(
        &self,
        caller: &Caller<'_>,
        name: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<Option<&Queue>, BrokerError> {
        (caller.permit)(Operation::Configure, Resource::queue(name))?;
        let Some(queue) = self.queues.get(name) else { return Ok(None) };
        self.check_owner(queue, caller.connection)?;
        if queue.settings.queue_type == QueueType::Quorum && (if_unused || if_empty) {
            let flag = if if_unused { "if-unused" } else { "if-empty" };
            return Err(BrokerError::not_implemented(format!(
                "cannot delete {}. queue.delete operations with {flag} flag set are not supported by quorum queues",
                self.queue_resource(name)
            )));
        }
        Ok(Some(queue))
    }

    /// The conditions of queue.delete, which RabbitMQ looks at in this order.
    ///
    /// # Errors
    /// 406 `… not empty`, 406 `… in use`.
    pub fn check_deletable(
        &self,
        name: &str,
        (if_empty, ready_messages): (bool, u64),
        (if_unused, consumers): (bool, u64),
    ) -> Result<(), BrokerError> {
        let why = if if_empty && ready_messages > 0 {
            "not empty"
        } else if if_unused && consumers > 0 {
            "in use"
        } else {
            return Ok(());
        };
        Err(BrokerError::precondition_failed(format!("{} {why}", self.queue_resource(name))))
    }

    /// Removes a queue with its bindings; nothing if there is none.
    pub fn remove_queue(&mut self, id: QueueId) -> Effects {
        let mut effects = Effects::default();
        let Some(name) = self.queue_names.get(&id).cloned() else { return effects };
        let removed = self.router.remove_queue(id.into());
        for binding in &removed {
            effects.changes.extend(self.unbound(binding));
        }
        for binding in &removed {
            self.remove_if_unused(binding.source, &mut effects);
        }
        self.queue_names.remove(&id);
        let Some(queue) = self.queues.remove(&name) else { return effects };
        if let Some(owner) = queue.exclusive_owner
            && let Some(owned) = self.owned.get_mut(&owner)
        {
            owned.remove(&id);
            if owned.is_empty() {
                self.owned.remove(&owner);
            }
        }
        self.queue_changes += 1;
        if queue.definition.durable {
            effects.changes.push(Change::Delete(DefinitionKey::Queue(self.name().clone(), name)));
        }
        effects.removed_queues.push(id);
        effects
    }

    /// Whether a queue may be used from that connection.
    ///
    /// # Errors
    /// 405 for another connection's exclusive queue.
    pub fn check_owner(&self, queue: &Queue, connection: ConnectionId) -> Result<(), BrokerError> {
        match queue.exclusive_owner {
            Some(owner) if owner != connection => Err(self.locked(&queue.definition.name)),
            _ => Ok(()),
        }
    }

    pub(super) fn restore_queue(&mut self, definition: &QueueDefinition) -> Result<(), BrokerError> {
        let properties = QueueProperties {
            name: &definition.name,
            vhost: self.name(),
            durable: definition.durable,
            exclusive_owner: None,
            auto_delete: definition.auto_delete,
        };
        let settings = QueueSettings::parse(&definition.arguments, &properties)?;
        self.add_queue(Queue { definition: definition.clone(), exclusive_owner: None, settings });
        Ok(())
    }

    fn add_queue(&mut self, queue: Queue) {
        let (id, name) = (queue.definition.id, queue.definition.name.clone());
        if let Some(owner) = queue.exclusive_owner {
            self.owned.entry(owner).or_default().insert(id);
        }
        self.queue_names.insert(id, name.clone());
        self.queues.insert(name, queue);
        self.queue_changes += 1;
    }

    fn check_queue_equivalence(
        &self,
        current: &Queue,
        received: &QueueDeclaration<'_>,
        durable: bool,
        exclusive_owner: Option<ConnectionId>,
    ) -> Result<(), BrokerError> {
        if current.exclusive_owner != exclusive_owner {
            return Err(self.locked(&current.definition.name));
        }
        let resource = self.queue_resource(&current.definition.name);
        let differ = |key, received: bool, current: bool| {
            if received == current {
                return Ok(());
            }
            Err(inequivalent(key, &resource, &format!("'{received}'"), &format!("'{current}'")))
        };
        differ("durable", durable, current.definition.durable)?;
        differ("auto_delete", received.auto_delete, current.definition.auto_delete)?;
        let queue_type = current.settings.queue_type;
        check_queue_equivalence(&current.definition.arguments, queue_type, &received.arguments, &resource)
    }

    fn locked(&self, name: &str) -> BrokerError {
        BrokerError::resource_locked(format!(
            "cannot obtain exclusive access to locked {}. It could be originally declared on another connection or \
             the exclusive property value does not match that of the original declaration.",
            self.queue_resource(name)
        ))
    }
}
