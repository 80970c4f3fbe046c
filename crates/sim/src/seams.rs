//! The engine's seams for one thread: locks that nobody may be waiting for, ordered maps, counted wakes.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use leveret_engine::{Registry, Seams, Shared, SharedRw, Wake};

use crate::cold::SimStore;
use crate::log::SimLog;

/// The seams of the simulation.
#[derive(Debug)]
pub struct Plain;

impl Seams for Plain {
    type Lock<T: Send + 'static> = Locked<T>;
    type RwLock<T: Send + Sync + 'static> = RwLocked<T>;
    type Map<K: Hash + Eq + Ord + Clone + Send + Sync + 'static, V: Clone + Send + Sync + 'static> =
        Map<K, V>;
    type Waker = Wakes;
    type Log = SimLog;
    type Spill = SimLog;
    type Store = SimStore;
}

/// A lock. Taking it twice would be the engine waiting for itself: that ends the seed.
#[derive(Debug)]
pub struct Locked<T>(Arc<Mutex<T>>);

impl<T> Clone for Locked<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + 'static> Shared<T> for Locked<T> {
    fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    fn with<R>(&self, run: impl FnOnce(&mut T) -> R) -> R {
        run(&mut self.0.try_lock().expect("a lock is free when one thread asks for it"))
    }
}

/// A lock that readers share.
#[derive(Debug)]
pub struct RwLocked<T>(Arc<RwLock<T>>);

impl<T> Clone for RwLocked<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + Sync + 'static> SharedRw<T> for RwLocked<T> {
    fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(value)))
    }

    fn read<R>(&self, run: impl FnOnce(&T) -> R) -> R {
        run(&self.0.try_read().expect("nobody writes while one thread reads"))
    }

    fn write<R>(&self, run: impl FnOnce(&mut T) -> R) -> R {
        run(&mut self.0.try_write().expect("nobody reads while one thread writes"))
    }
}

/// A registry in order, so that a seed always meets the same order.
#[derive(Debug)]
pub struct Map<K, V>(Mutex<BTreeMap<K, V>>);

impl<K: Ord, V> Map<K, V> {
    fn with<R>(&self, run: impl FnOnce(&mut BTreeMap<K, V>) -> R) -> R {
        run(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K, V> Registry<K, V> for Map<K, V>
where
    K: Hash + Eq + Ord + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn find<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + Ord + ?Sized,
    {
        self.with(|map| map.get(key).cloned())
    }

    fn insert(&self, key: K, value: V) {
        // What was there is dropped outside the lock: its end may look into this map.
        let _before = self.with(|map| map.insert(key, value));
    }

    fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + Ord + ?Sized,
    {
        self.with(|map| map.remove(key))
    }

    fn values(&self) -> Vec<V> {
        self.with(|map| map.values().cloned().collect())
    }

    fn len(&self) -> usize {
        self.with(|map| map.len())
    }
}

/// Counts the wakes of one connection's task.
#[derive(Clone, Debug, Default)]
pub struct Wakes(Arc<AtomicU64>);

impl Wake for Wakes {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    /// The wakes since the last look.
    #[must_use]
    pub fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}
