//! The whole engine in one thread: plain mutexes, a disk in memory, and a log that syncs when a test says so.
//!
//! A [`World`] is one life of a broker; [`World::crash`] gives the next one. A [`Client`] is a session with the
//! frames it was sent. What a [`Client`] sends is taken at once; what it is sent is read by [`Client::frames`].

#![allow(dead_code, reason = "each test file uses its own part of the harness")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where what it needs is missing")]

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::Hash;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use bytes::BytesMut;
use leveret_core::access::{Access, PasswordHash, Permission, User};
use leveret_core::definition::{Definition, VhostDefinition};
use leveret_core::ids::{MonotonicMillis, UnixMillis};
use leveret_engine::boot::{boot, is_first_start};
use leveret_engine::broker::{Cold, Settings};
use leveret_engine::{Broker, Clock, Log, Peer, Registry, Seams, Session, Shared, SharedRw, Wake};
use leveret_protocol::amqp::connection;
use leveret_storage::{
    CrashKeeps, DataDir, Gather, LogWriter, MemoryDisk, Position, StorageOptions, open_store,
};

mod client;
mod store;

use client::client_properties;
#[allow(unused_imports, reason = "each test file uses its own part of the harness")]
pub(crate) use client::{Argument, Client, publish_bytes, publish_with};
pub(crate) use store::TestStore;

/// The engine's seams for one thread of tests (or a few: the locks are real ones).
pub(crate) struct Plain;

impl Seams for Plain {
    type Lock<T: Send + 'static> = Locked<T>;
    type RwLock<T: Send + Sync + 'static> = RwLocked<T>;
    type Map<K: Hash + Eq + Ord + Clone + Send + Sync + 'static, V: Clone + Send + Sync + 'static> =
        Map<K, V>;
    type Waker = Wakes;
    type Log = HeldLog;
    type Spill = HeldLog;
    type Store = TestStore;
}

/// A mutex. Locking it twice on one thread is a fault of the engine's and fails the test.
pub(crate) struct Locked<T>(Arc<Mutex<T>>);

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
pub(crate) struct RwLocked<T>(Arc<RwLock<T>>);

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
        run(&self.0.try_read().expect("nobody writes"))
    }

    fn write<R>(&self, run: impl FnOnce(&mut T) -> R) -> R {
        run(&mut self.0.try_write().expect("nobody reads or writes"))
    }
}

/// A registry in order.
pub(crate) struct Map<K, V>(Mutex<BTreeMap<K, V>>);

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
        self.0.lock().unwrap().get(key).cloned()
    }

    fn insert(&self, key: K, value: V) {
        let _before = self.0.lock().unwrap().insert(key, value);
    }

    fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + Ord + ?Sized,
    {
        self.0.lock().unwrap().remove(key)
    }

    fn values(&self) -> Vec<V> {
        self.0.lock().unwrap().values().cloned().collect()
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Counts the wakes of one connection's task.
#[derive(Clone, Default)]
pub(crate) struct Wakes(Arc<AtomicU64>);

impl Wake for Wakes {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    /// The wakes since the last look.
    pub(crate) fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// A real log on a disk in memory that syncs only when told to.
pub(crate) struct HeldLog {
    gather: Mutex<Gather>,
    writer: Mutex<LogWriter<MemoryDisk>>,
    synced: AtomicU64,
    /// Every append is written and synced at once, as far as the disk takes it.
    is_eager: AtomicBool,
    waiting: Mutex<Vec<(Position, Wakes)>>,
}

impl HeldLog {
    fn new(writer: LogWriter<MemoryDisk>) -> Self {
        Self {
            gather: Mutex::new(writer.gather()),
            synced: AtomicU64::new(writer.synced().0),
            writer: Mutex::new(writer),
            is_eager: AtomicBool::new(false),
            waiting: Mutex::new(Vec::new()),
        }
    }

    /// Writes and syncs what was appended, and wakes who waits for it.
    pub(crate) fn sync(&self) {
        assert!(self.try_sync(), "the disk takes it");
    }

    /// As [`HeldLog::sync`]; false if the disk is gone.
    fn try_sync(&self) -> bool {
        let Ok(synced) = self.writer.lock().unwrap().step(&mut self.gather.lock().unwrap()) else {
            return false;
        };
        self.synced.store(synced.0, Ordering::Release);
        self.waiting.lock().unwrap().retain(|(position, waker)| {
            if *position <= synced {
                waker.wake();
            }
            *position > synced
        });
        true
    }
}

impl Log for HeldLog {
    type Waker = Wakes;

    fn append<R>(&self, append: impl FnOnce(&mut Gather) -> R) -> R {
        let mut gather = self.gather.try_lock().expect("the log's buffer is a leaf");
        let result = append(&mut gather);
        if self.is_eager.load(Ordering::Relaxed)
            && let Ok(synced) = self.writer.lock().unwrap().step(&mut gather)
        {
            self.synced.store(synced.0, Ordering::Release);
        }
        result
    }

    fn synced(&self) -> Position {
        Position(self.synced.load(Ordering::Acquire))
    }

    fn wake_when_synced(&self, position: Position, waker: &Wakes) {
        if position <= self.synced() {
            waker.wake();
        } else {
            self.waiting.lock().unwrap().push((position, waker.clone()));
        }
    }

    fn backlog_bytes(&self) -> usize {
        self.gather.lock().unwrap().bytes()
    }
}

/// A clock that stands until a test steps it.
#[derive(Clone)]
pub(crate) struct StandingClock(Arc<AtomicU64>);

impl StandingClock {
    fn as_engine(&self) -> Clock {
        let (steady, of_day) = (Arc::clone(&self.0), Arc::clone(&self.0));
        Clock {
            steady: Box::new(move || UnixMillis(steady.load(Ordering::Relaxed))),
            of_day: Box::new(move || UnixMillis(of_day.load(Ordering::Relaxed))),
        }
    }
}

/// One life of a broker.
pub(crate) struct World {
    /// The broker.
    pub(crate) broker: Arc<Broker<Plain>>,
    /// Nothing was there: the first user is to be made.
    pub(crate) first_start: bool,
    clock: StandingClock,
    disk: MemoryDisk,
    dir: Option<DataDir<MemoryDisk>>,
}

impl World {
    /// A new broker with guest and the vhost `/`.
    pub(crate) fn new() -> Self {
        let clock = StandingClock(Arc::new(AtomicU64::new(1_000_000)));
        let world = Self::start(MemoryDisk::new(1), clock);
        let name = "guest";
        let definitions = [
            Definition::Vhost(VhostDefinition::new("/".into())),
            Definition::User(User {
                name: name.into(),
                password: PasswordHash::salted_sha256([1, 2, 3, 4], b"guest"),
                tags: vec!["administrator".into()],
            }),
            Definition::Permission(Permission {
                vhost: "/".into(),
                user: name.into(),
                configure: ".*".into(),
                write: ".*".into(),
                read: ".*".into(),
            }),
        ];
        world.broker.create_defaults(&definitions).unwrap();
        world.sync();
        world
    }

    fn start(disk: MemoryDisk, clock: StandingClock) -> Self {
        Self::start_with(disk, clock, Settings::default())
    }

    /// A new broker whose messages may take so many bytes of memory.
    pub(crate) fn with_hot_window(hot_window_bytes: u64) -> Self {
        let world = Self::new();
        world.restart_with(Settings { hot_window_bytes, ..Settings::default() })
    }

    /// A clean stop, and a start with other settings.
    pub(crate) fn restart_with(mut self, settings: Settings) -> Self {
        self.broker.log_delivered();
        self.sync();
        let disk = self.disk.crash(CrashKeeps::Nothing);
        self.dir = None;
        Self::start_with(disk, self.clock, settings)
    }

    fn start_with(disk: MemoryDisk, clock: StandingClock, settings: Settings) -> Self {
        let options = StorageOptions { slot_bytes: Some(1 << 20), ..StorageOptions::default() };
        let dir = DataDir::open(disk.clone(), Path::new("/data"), options).unwrap();
        let (booted, recovered) = boot::<Plain, MemoryDisk>(&dir, None, Access::new([])).unwrap();
        let first_start = is_first_start(&booted);
        let log = HeldLog::new(LogWriter::open(&dir, recovered.tail).unwrap());
        let spill_dir = DataDir::open(MemoryDisk::new(1), Path::new("/spill"), options).unwrap();
        let spilled = open_store(&spill_dir, None).unwrap();
        let cold = Cold {
            spill: HeldLog::new(LogWriter::open(&spill_dir, spilled.tail).unwrap()),
            store: TestStore::new(recovered.store, spilled.store, spill_dir),
        };
        let random = AtomicU64::new(0);
        let entropy = move || u128::from(random.fetch_add(1, Ordering::Relaxed)).to_le_bytes();
        let broker = Arc::new(Broker::new(settings, booted, log, cold, Box::new(entropy), clock.as_engine()));
        store::pump(&broker);
        Self { broker, clock, first_start, disk, dir: Some(dir) }
    }

    /// Lets time go by with no look at what is due.
    pub(crate) fn step_clock(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    /// So many bytes may wait for the log. Only while there are no clients.
    pub(crate) fn set_log_backlog(&mut self, bytes: usize) {
        Arc::get_mut(&mut self.broker).expect("nobody else holds it").settings.log_backlog_bytes = bytes;
    }

    /// Lets time go by, and calls the queues that are due as the shell's timer does.
    pub(crate) fn pass(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
        store::pump(&self.broker);
        while self.broker.next_deadline().is_some_and(|at| at.0 <= self.clock.0.load(Ordering::Relaxed)) {
            self.broker.tick();
            store::pump(&self.broker);
        }
    }

    /// Syncs the log.
    pub(crate) fn sync(&self) {
        self.broker.log.sync();
    }

    /// From now on every append goes to the disk at once, and the power goes after so many changes of the disk. The
    /// broker does not notice: what it appends then is lost.
    pub(crate) fn power_off_after(&self, changes: u64) {
        self.broker.log.is_eager.store(true, Ordering::Relaxed);
        self.disk.power_off(changes);
    }

    /// Changes of the disk so far.
    pub(crate) fn disk_changes(&self) -> u64 {
        self.disk.changes()
    }

    /// As [`World::crash`], with a choice of what the disk keeps.
    pub(crate) fn crash_keeping(mut self, keeps: CrashKeeps) -> Self {
        let disk = self.disk.crash(keeps);
        self.dir = None;
        Self::start(disk, self.clock)
    }

    /// As [`World::crash`], with the next life so many milliseconds later.
    pub(crate) fn crash_after(self, ms: u64) -> Self {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
        self.crash()
    }

    /// The power goes; what was synced is there in the next life. Clients must be dropped before or after.
    pub(crate) fn crash(self) -> Self {
        self.crash_keeping(CrashKeeps::Nothing)
    }

    /// Ready and unacked messages of a queue; None if it is not there.
    pub(crate) fn counts(&self, queue: &str) -> Option<(u64, u64)> {
        let vhost = self.broker.vhosts.find("/")?;
        let totals = vhost.queue(&queue.into())?.with(|cell| cell.totals());
        Some((totals.ready, totals.unacked))
    }

    /// A client that has sent nothing yet.
    pub(crate) fn stranger(&self) -> Client {
        let peer = Peer {
            host: [127, 0, 0, 1].into(),
            port: 1,
            local_host: [127, 0, 0, 1].into(),
            local_port: 5672,
            connected_at: UnixMillis(0),
            tls: None,
        };
        let wakes = Wakes::default();
        let session = Session::new(&self.broker, peer, wakes.clone(), MonotonicMillis(0));
        Client {
            session,
            wakes,
            now: MonotonicMillis(0),
            broker: Arc::clone(&self.broker),
            unsent: BytesMut::new(),
            unread: BytesMut::new(),
        }
    }

    /// A client that has logged in.
    pub(crate) fn client(&self) -> Client {
        self.client_in("/")
    }

    /// A client that has logged in to that vhost.
    pub(crate) fn client_in(&self, vhost: &str) -> Client {
        let mut client = self.stranger();
        client.bytes(b"AMQP\0\0\x09\x01");
        let capabilities = client_properties();
        client.method(
            0,
            connection::AMQPMethod::StartOk(connection::StartOk {
                client_properties: capabilities,
                mechanism: "PLAIN".into(),
                response: "\0guest\0guest".into(),
                locale: "en_US".into(),
            }),
        );
        client.method(
            0,
            connection::AMQPMethod::TuneOk(connection::TuneOk {
                channel_max: 2047,
                frame_max: 131_072,
                heartbeat: 60,
            }),
        );
        client.method(0, connection::AMQPMethod::Open(connection::Open { virtual_host: vhost.into() }));
        assert!(client.session.is_open(), "the login works");
        client.frames();
        client
    }
}
