//! A queue as others hold it: what never changes beside what is locked.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use leveret_core::BrokerError;
use leveret_core::arguments::QueueSettings;
use leveret_core::ids::{ConnectionId, QueueId};
use leveret_core::names::{QueueName, VhostName};

use crate::cell::QueueCell;
use crate::cold::Damage;
use crate::seams::{Seams, Shared};

/// A queue's fixed properties and its cell.
pub struct Queue<S: Seams> {
    /// Its id for its whole life.
    pub id: QueueId,
    /// Its vhost.
    pub vhost: VhostName,
    /// Its name.
    pub name: QueueName,
    /// Its persistent messages survive a restart.
    pub durable: bool,
    /// Its arguments.
    pub settings: QueueSettings,
    /// Every message counts as persistent (quorum queues).
    pub all_persistent: bool,
    /// It holds so many messages or bytes at most.
    pub is_limited: bool,
    /// It goes with its last consumer.
    pub auto_delete: bool,
    /// The connection that alone may use it.
    pub owner: Option<ConnectionId>,
    alive: AtomicBool,
    damage: OnceLock<Damage>,
    cell: S::Lock<QueueCell<S>>,
}

/// A shared queue; compared by id.
pub struct QueueRef<S: Seams>(Arc<Queue<S>>);

/// What a new queue is made of.
#[derive(Clone, Debug)]
pub struct NewQueue {
    /// Its id.
    pub id: QueueId,
    /// Its vhost.
    pub vhost: VhostName,
    /// Its name.
    pub name: QueueName,
    /// Its persistent messages survive a restart.
    pub durable: bool,
    /// Its arguments.
    pub settings: QueueSettings,
    /// It goes with its last consumer.
    pub auto_delete: bool,
    /// The connection that alone may use it.
    pub owner: Option<ConnectionId>,
}

impl<S: Seams> QueueRef<S> {
    /// A new, empty queue.
    #[must_use]
    pub fn new(new: NewQueue) -> Self {
        Self(Arc::new(Queue {
            id: new.id,
            cell: S::Lock::new(QueueCell::new(new.id, new.durable, &new.settings)),
            vhost: new.vhost,
            name: new.name,
            durable: new.durable,
            all_persistent: new.settings.is_all_persistent(),
            is_limited: new.settings.max_length.is_some() || new.settings.max_length_bytes.is_some(),
            settings: new.settings,
            auto_delete: new.auto_delete,
            owner: new.owner,
            alive: AtomicBool::new(true),
            damage: OnceLock::new(),
        }))
    }

    /// Runs a closure on the queue's cell. No other queue and no outbox may be locked by the caller.
    pub fn with<R>(&self, run: impl FnOnce(&mut QueueCell<S>) -> R) -> R {
        self.0.cell.with(run)
    }

    /// The queue for those who must not keep it.
    #[must_use]
    pub fn downgrade(&self) -> WeakQueue<S> {
        WeakQueue(Arc::downgrade(&self.0))
    }

    /// False once it is deleted or stopped: what was remembered of it no longer holds.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.0.alive.load(Ordering::Acquire)
    }

    /// Why it is stopped, if it is: one of its messages cannot be read.
    #[must_use]
    pub fn damage(&self) -> Option<&Damage> {
        self.0.damage.get()
    }

    /// Refuses whoever wants to use a stopped queue.
    ///
    /// # Errors
    /// 541 with file and offset.
    pub(crate) fn check_whole(&self) -> Result<(), BrokerError> {
        match self.damage() {
            None => Ok(()),
            Some(damage) => {
                let text = format!("queue '{}' in vhost '{}' is stopped: {damage}", self.name, self.vhost);
                Err(BrokerError::internal(text))
            }
        }
    }

    /// Stops it; the first damage is the one that is shown.
    pub(crate) fn stop_for(&self, damage: Damage) {
        _ = self.0.damage.set(damage);
        self.0.alive.store(false, Ordering::Release);
    }

    /// Marks it deleted for caches that still hold it.
    pub(crate) fn kill(&self) {
        self.0.alive.store(false, Ordering::Release);
    }
}

/// A queue, if it is still there.
pub struct WeakQueue<S: Seams>(Weak<Queue<S>>);

impl<S: Seams> Clone for WeakQueue<S> {
    fn clone(&self) -> Self {
        Self(Weak::clone(&self.0))
    }
}

impl<S: Seams> WeakQueue<S> {
    /// The queue.
    #[must_use]
    pub fn upgrade(&self) -> Option<QueueRef<S>> {
        self.0.upgrade().map(QueueRef)
    }
}

impl<S: Seams> Deref for QueueRef<S> {
    type Target = Queue<S>;

    fn deref(&self) -> &Queue<S> {
        &self.0
    }
}

impl<S: Seams> Clone for QueueRef<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Seams> PartialEq for QueueRef<S> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<S: Seams> Eq for QueueRef<S> {}

impl<S: Seams> fmt::Debug for QueueRef<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue {} {:?} in vhost {:?}", self.id, self.name, self.vhost)
    }
}
