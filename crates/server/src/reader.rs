//! The thread that reads what is not in memory, and calls queues back once the log is synced far enough.

use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};
use std::thread;

use leveret_engine::{Broker, ColdStore, Damage, Fetch, Fetched, Log, Wake, WeakQueue};
use leveret_storage::{
    DataDir, LogWriter, MemoryDisk, Position, RealDisk, StorageError, StorageOptions, Store, open_store,
};
use parking_lot::Mutex;
use tokio::runtime;

use crate::log::{Hooks, LogThread, SharedLog};
use crate::seams::{Shell, TaskWaker};

/// The spill, in memory: little comes here as long as the hot window is unlimited.
pub struct Spill {
    store: Store<MemoryDisk>,
    thread: LogThread<MemoryDisk>,
    _dir: DataDir<MemoryDisk>,
}

impl Spill {
    /// Starts its thread.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start() -> std::io::Result<Self> {
        let fault = |error: StorageError| std::io::Error::other(error.to_string());
        let options = StorageOptions { slot_bytes: Some(1 << 20), ..StorageOptions::default() };
        let dir = DataDir::open(MemoryDisk::new(1), Path::new("/spill"), options).map_err(fault)?;
        let recovered = open_store(&dir, None).map_err(fault)?;
        let writer = LogWriter::open(&dir, recovered.tail).map_err(fault)?;
        let hooks = Hooks {
            failed: Box::new(|error| tracing::error!("the spill cannot be written: {error}")),
            full: Box::new(|_| {}),
            hold: Box::new(|| {}),
        };
        Ok(Self { store: recovered.store, thread: LogThread::start("spill", writer, hooks)?, _dir: dir })
    }

    /// The log.
    pub fn log(&self) -> SharedLog {
        self.thread.log()
    }
}

/// What a queue waits for.
enum Job {
    Fetch(Fetch<Shell>),
    Exposed(WeakQueue<Shell>, Position),
}

impl Job {
    /// The positions of the log and of the spill that it waits for.
    fn after(&self) -> (Position, Position) {
        match self {
            Self::Fetch(fetch) => (fetch.log.unwrap_or(Position(0)), fetch.spill.unwrap_or(Position(0))),
            Self::Exposed(_, position) => (*position, Position(0)),
        }
    }
}

struct Inner {
    store: Store<RealDisk>,
    spilled: Store<MemoryDisk>,
    log: SharedLog,
    spill: SharedLog,
    jobs: Mutex<Vec<Job>>,
    waker: TaskWaker,
    broker: OnceLock<Weak<Broker<Shell>>>,
}

/// Asks the reading thread.
#[derive(Clone)]
pub struct Reader(Arc<Inner>);

impl Reader {
    /// Starts the thread; it works once it has its broker.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(store: Store<RealDisk>, log: SharedLog, spill: &Spill) -> std::io::Result<Self> {
        let reader = Self(Arc::new(Inner {
            store,
            spilled: spill.store.clone(),
            log,
            spill: spill.log(),
            jobs: Mutex::new(Vec::new()),
            waker: TaskWaker::default(),
            broker: OnceLock::new(),
        }));
        let inner = Arc::downgrade(&reader.0);
        let waker = reader.0.waker.clone();
        let runtime = runtime::Builder::new_current_thread().build()?;
        thread::Builder::new().name("reader".to_owned()).spawn(move || {
            while let Some(inner) = inner.upgrade() {
                inner.work();
                drop(inner);
                runtime.block_on(waker.woken());
            }
        })?;
        Ok(reader)
    }

    /// Whom to give what was read.
    pub fn serve(&self, broker: &Arc<Broker<Shell>>) {
        // Nobody else sets it.
        _ = self.0.broker.set(Arc::downgrade(broker));
        self.0.waker.wake();
    }

    fn ask(&self, job: Job) {
        self.0.jobs.lock().push(job);
        self.0.waker.wake();
    }
}

impl Inner {
    /// Does what the log is far enough for.
    fn work(&self) {
        let Some(broker) = self.broker.get().and_then(Weak::upgrade) else { return };
        let (log, spill) = (self.log.synced(), self.spill.synced());
        let is_due = |job: &Job| job.after().0 <= log && job.after().1 <= spill;
        let (due, later): (Vec<Job>, Vec<Job>) =
            std::mem::take(&mut *self.jobs.lock()).into_iter().partition(is_due);
        if let Some(job) = later.first() {
            let after = job.after();
            self.jobs.lock().extend(later);
            if after.0 > log {
                self.log.wake_when_synced(after.0, &self.waker);
            } else {
                self.spill.wake_when_synced(after.1, &self.waker);
            }
        }
        for job in due {
            match job {
                Job::Fetch(fetch) => {
                    if let Some(queue) = fetch.queue.upgrade() {
                        broker.fetched(&queue, self.read(&fetch));
                    }
                }
                Job::Exposed(queue, _) => queue.upgrade().iter().for_each(|queue| broker.exposed(queue)),
            }
        }
    }

    fn read(&self, fetch: &Fetch<Shell>) -> Result<Fetched, Damage> {
        let mut fetched = Fetched::default();
        if fetch.log.is_some() {
            fetched.log = fetch.read(&self.store)?;
        }
        if fetch.spill.is_some() {
            fetched.spill = fetch.read(&self.spilled)?;
        }
        Ok(fetched)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.waker.wake();
    }
}

impl ColdStore<Shell> for Reader {
    fn fetch(&self, fetch: Fetch<Shell>) {
        self.ask(Job::Fetch(fetch));
    }

    fn call_when_synced(&self, queue: WeakQueue<Shell>, position: Position) {
        self.ask(Job::Exposed(queue, position));
    }
}
