//! What the engine needs of the world around it, as small traits. `server` implements them with mutexes, a
//! concurrent map and a thread; a simulator with plain borrows.

use std::hash::Hash;

use leveret_storage::{Gather, Position};

use crate::cold::ColdStore;

/// A value reached by closures, one at a time. Clones reach the same value.
pub trait Shared<T>: Clone + Send + Sync + 'static {
    /// Wraps a value.
    fn new(value: T) -> Self;

    /// Runs a closure on the value. Must not be called again for the same value from inside.
    fn with<R>(&self, run: impl FnOnce(&mut T) -> R) -> R;
}

/// A value that many may read at once.
pub trait SharedRw<T>: Clone + Send + Sync + 'static {
    /// Wraps a value.
    fn new(value: T) -> Self;

    /// Runs a closure that only reads.
    fn read<R>(&self, run: impl FnOnce(&T) -> R) -> R;

    /// Runs a closure that may change the value.
    fn write<R>(&self, run: impl FnOnce(&mut T) -> R) -> R;
}

/// A map that many use at once. Values are cloned out; no reference into the map is ever held.
pub trait Registry<K, V>: Send + Sync + 'static {
    /// An empty map.
    fn new() -> Self;

    /// The value of a key.
    fn find<Q>(&self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + Ord + ?Sized;

    /// Adds or replaces.
    fn insert(&self, key: K, value: V);

    /// Removes.
    fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + Ord + ?Sized;

    /// All values, in no order.
    fn values(&self) -> Vec<V>;

    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Tells the task of one connection that there is something for it. May be called often; one look answers all.
pub trait Wake: Clone + Send + Sync + 'static {
    /// Wakes the task.
    fn wake(&self);
}

/// The log as the engine sees it: a buffer that a writer empties to disk, in order.
pub trait Log: Send + Sync + 'static {
    /// How a connection is told of a sync it waits for.
    type Waker: Wake;

    /// Appends to the log's buffer. What one call appends stands in a row.
    fn append<R>(&self, append: impl FnOnce(&mut Gather) -> R) -> R;

    /// Everything up to this position is on stable storage.
    fn synced(&self) -> Position;

    /// Wakes once everything up to `position` is synced; at once if it is.
    fn wake_when_synced(&self, position: Position, waker: &Self::Waker);

    /// Bytes appended and not yet synced; publishers are held back by it.
    fn backlog_bytes(&self) -> usize;
}

/// The whole set.
pub trait Seams: Sized + Send + Sync + 'static {
    /// Exclusive access.
    type Lock<T: Send + 'static>: Shared<T>;
    /// Access shared by readers.
    type RwLock<T: Send + Sync + 'static>: SharedRw<T>;
    /// A concurrent map.
    type Map<K: Hash + Eq + Ord + Clone + Send + Sync + 'static, V: Clone + Send + Sync + 'static>: Registry<K, V>;
    /// Wakes a connection's task.
    type Waker: Wake;
    /// The log.
    type Log: Log<Waker = Self::Waker>;
    /// A log that is never synced and is empty after a start, for what is not logged and does not fit into memory.
    type Spill: Log<Waker = Self::Waker>;
    /// Reads what is not in memory.
    type Store: ColdStore<Self>;
}
