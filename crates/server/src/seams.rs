//! The engine's seams with mutexes, a concurrent map and a log thread.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use leveret_engine::{Registry, Seams, Shared, SharedRw, Wake};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::io::Io;
use crate::log::SharedLog;

/// The engine in this process.
pub struct Shell;

impl Seams for Shell {
    type Lock<T: Send + 'static> = Locked<T>;
    type RwLock<T: Send + Sync + 'static> = RwLocked<T>;
    type Map<K: Hash + Eq + Ord + Clone + Send + Sync + 'static, V: Clone + Send + Sync + 'static> =
        ConcurrentMap<K, V>;
    type Waker = TaskWaker;
    type Log = SharedLog;
    type Spill = SharedLog;
    type Store = Io;
}

/// A value behind a mutex.
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

    #[inline]
    fn with<R>(&self, run: impl FnOnce(&mut T) -> R) -> R {
        run(&mut self.0.lock())
    }
}

/// A value behind a lock that readers share.
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
        run(&self.0.read())
    }

    fn write<R>(&self, run: impl FnOnce(&mut T) -> R) -> R {
        run(&mut self.0.write())
    }
}

/// A registry. Values are cloned out; no guard leaves a method.
pub struct ConcurrentMap<K, V>(DashMap<K, V, RandomState>);

impl<K, V> Registry<K, V> for ConcurrentMap<K, V>
where
    K: Hash + Eq + Ord + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn new() -> Self {
        Self(DashMap::default())
    }

    fn find<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + Ord + ?Sized,
    {
        self.0.get(key).map(|entry| entry.value().clone())
    }

    fn insert(&self, key: K, value: V) {
        // What stood there before is dropped outside the map's lock.
        let _before = self.0.insert(key, value);
    }

    fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + Ord + ?Sized,
    {
        self.0.remove(key).map(|(_, value)| value)
    }

    fn values(&self) -> Vec<V> {
        self.0.iter().map(|entry| entry.value().clone()).collect()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// Wakes a connection's task.
#[derive(Clone, Debug, Default)]
pub struct TaskWaker(Arc<Notify>);

impl TaskWaker {
    /// Waits for a wake, or returns at once if one came since the last time.
    pub async fn woken(&self) {
        self.0.notified().await;
    }
}

impl Wake for TaskWaker {
    fn wake(&self) {
        self.0.notify_one();
    }
}
