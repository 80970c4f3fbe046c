//! A virtual host as it is shared: its topology under one lock, its queues in a registry beside it.

use std::sync::atomic::{AtomicU64, Ordering};

use leveret_core::ids::QueueId;
use leveret_core::names::{QueueName, VhostName};
use leveret_core::vhost as rules;

use crate::queue::{NewQueue, QueueRef};
use crate::seams::{Registry, Seams, SharedRw};

/// One virtual host.
pub struct Vhost<S: Seams> {
    /// Its name.
    pub name: VhostName,
    /// Exchanges, bindings and what queues were declared with.
    pub topology: S::RwLock<rules::Vhost>,
    queues: S::Map<QueueId, QueueRef<S>>,
    version: AtomicU64,
}

impl<S: Seams> Vhost<S> {
    /// A virtual host with its topology; queues that it names get empty cells.
    #[must_use]
    pub fn new(topology: rules::Vhost) -> Self {
        let vhost = Self {
            name: topology.name().clone(),
            queues: S::Map::new(),
            version: AtomicU64::new(1),
            topology: S::RwLock::new(topology),
        };
        let restored: Vec<NewQueue> =
            vhost.topology.read(|topology| topology.queues().map(new_queue).collect());
        for queue in restored {
            vhost.add_queue(queue);
        }
        vhost
    }

    /// Rises with every change that can alter where a message goes.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// The queue of that id.
    #[must_use]
    pub fn queue_by_id(&self, id: QueueId) -> Option<QueueRef<S>> {
        self.queues.find(&id)
    }

    /// The queue of that name.
    #[must_use]
    pub fn queue(&self, name: &QueueName) -> Option<QueueRef<S>> {
        let id = self.topology.read(|topology| topology.queue(name).map(|queue| queue.definition.id))?;
        self.queue_by_id(id)
    }

    /// All queues.
    #[must_use]
    pub fn queues(&self) -> Vec<QueueRef<S>> {
        self.queues.values()
    }

    pub(crate) fn add_queue(&self, new: NewQueue) -> QueueRef<S> {
        let queue = QueueRef::new(new);
        self.queues.insert(queue.id, queue.clone());
        queue
    }

    pub(crate) fn forget_queue(&self, id: QueueId) {
        self.queues.remove(&id);
    }
}

/// What a cell is made of, from the topology's entry.
pub(crate) fn new_queue(queue: &rules::Queue) -> NewQueue {
    let definition = &queue.definition;
    NewQueue {
        id: definition.id,
        vhost: definition.vhost.clone(),
        name: definition.name.clone(),
        durable: definition.durable,
        settings: queue.settings.clone(),
        auto_delete: definition.auto_delete,
        owner: queue.exclusive_owner,
    }
}
