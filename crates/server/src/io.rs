//! The threads that read messages from the disk.
//!
//! A queue asks for what is not in memory; the log and the spill must have written it first, and then one of these
//! threads reads and hands it over. No tokio worker and no lock ever waits for the disk.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use leveret_engine::{Broker, ColdStore, Damage, Fetch, Fetched, Log, WeakQueue};
use leveret_storage::{Position, RealDisk, StorageError, Store};
use parking_lot::{Condvar, Mutex};

use crate::log::{EndsProcess, SharedLog};
use crate::seams::Shell;

/// Reads that wait for the disk at once.
const THREADS: usize = 2;

/// After so long what the system refused for the moment is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(100);

enum Job {
    Read(Fetch<Shell>),
    Exposed(WeakQueue<Shell>),
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    /// Reads for which descriptors or memory were short, and when they are tried again.
    put_off: Vec<Job>,
    again_at: Option<Instant>,
    stop: bool,
}

impl Jobs {
    /// The next job to do now.
    fn take(&mut self) -> Option<Job> {
        if self.again_at.is_some_and(|at| at <= Instant::now()) {
            self.again_at = None;
            self.waiting.extend(self.put_off.drain(..));
        }
        self.waiting.pop_front()
    }
}

struct Inner {
    log: SharedLog,
    spill: SharedLog,
    log_store: Store<RealDisk>,
    spill_store: Store<RealDisk>,
    jobs: Mutex<Jobs>,
    arrived: Condvar,
}

/// What queues ask for, for the threads to do. Clones share it.
#[derive(Clone)]
pub struct Io(Arc<Inner>);

impl Io {
    /// Reads from the log's store and the spill's, each once its log has written what is asked for.
    pub fn new(
        (log, log_store): (SharedLog, Store<RealDisk>),
        (spill, spill_store): (SharedLog, Store<RealDisk>),
    ) -> Self {
        let jobs = Mutex::default();
        Self(Arc::new(Inner { log, spill, log_store, spill_store, jobs, arrived: Condvar::new() }))
    }

    /// The log's store.
    pub fn log_store(&self) -> &Store<RealDisk> {
        &self.0.log_store
    }

    /// The spill's store.
    pub fn spill_store(&self) -> &Store<RealDisk> {
        &self.0.spill_store
    }

    fn push(&self, job: Job) {
        self.0.jobs.lock().waiting.push_back(job);
        self.0.arrived.notify_one();
    }

    /// The next job; none at a stop.
    fn next(&self) -> Option<Job> {
        let mut jobs = self.0.jobs.lock();
        loop {
            if jobs.stop {
                return None;
            }
            if let Some(job) = jobs.take() {
                return Some(job);
            }
            match jobs.again_at {
                Some(at) => _ = self.0.arrived.wait_until(&mut jobs, at),
                None => self.0.arrived.wait(&mut jobs),
            }
        }
    }

    /// Does a read again a little later: it failed for want of something that comes back.
    fn put_off(&self, job: Job, error: &StorageError) {
        let mut jobs = self.0.jobs.lock();
        if jobs.again_at.is_none() {
            tracing::warn!("messages cannot be read for the moment, trying again: {error}");
            jobs.again_at = Some(Instant::now() + TRY_AGAIN);
        }
        jobs.put_off.push(job);
        self.0.arrived.notify_one();
    }

    fn run(&self, broker: &Weak<Broker<Shell>>) {
        let _guard = EndsProcess;
        while let Some(job) = self.next() {
            let Some(broker) = broker.upgrade() else { return };
            match job {
                Job::Read(fetch) => {
                    let Some(queue) = fetch.queue.upgrade() else { continue };
                    match self.read(&fetch) {
                        Err(error) if error.is_passing() => self.put_off(Job::Read(fetch), &error),
                        result => broker.fetched(&queue, result.map_err(Damage::from)),
                    }
                }
                Job::Exposed(queue) => {
                    if let Some(queue) = queue.upgrade() {
                        broker.exposed(&queue);
                    }
                }
            }
        }
    }

    fn read(&self, fetch: &Fetch<Shell>) -> Result<Fetched, StorageError> {
        let mut fetched = Fetched::default();
        if fetch.log.is_some() {
            fetched.log = fetch.read(&self.0.log_store)?;
        }
        if fetch.spill.is_some() {
            fetched.spill = fetch.read(&self.0.spill_store)?;
        }
        Ok(fetched)
    }
}

impl ColdStore<Shell> for Io {
    fn fetch(&self, fetch: Fetch<Shell>) {
        let io = self.clone();
        match (fetch.log, fetch.spill) {
            (Some(position), _) if position > self.0.log.synced() => {
                self.0.log.call_when_synced(position, move || io.fetch(fetch));
            }
            (_, Some(position)) if position > self.0.spill.synced() => {
                self.0.spill.call_when_synced(position, move || io.fetch(fetch));
            }
            _ => self.push(Job::Read(fetch)),
        }
    }

    fn call_when_synced(&self, queue: WeakQueue<Shell>, position: Position) {
        let io = self.clone();
        self.0.log.call_when_synced(position, move || io.push(Job::Exposed(queue)));
    }
}

/// The threads.
pub struct IoThreads {
    io: Io,
    threads: Vec<thread::JoinHandle<()>>,
}

impl IoThreads {
    /// Starts them.
    ///
    /// # Errors
    /// If one cannot be started.
    pub fn start(io: &Io, broker: &Arc<Broker<Shell>>) -> std::io::Result<Self> {
        let mut started = Self { io: io.clone(), threads: Vec::with_capacity(THREADS) };
        for number in 1..=THREADS {
            let (io, broker) = (io.clone(), Arc::downgrade(broker));
            let thread = thread::Builder::new().name(format!("io-{number}"));
            started.threads.push(thread.spawn(move || io.run(&broker))?);
        }
        Ok(started)
    }

    /// They end after what they do now. What waits is not done.
    pub fn stop(&self) {
        self.io.0.jobs.lock().stop = true;
        self.io.0.arrived.notify_all();
    }

    /// Waits for their end.
    pub fn join(self) {
        self.stop();
        for thread in self.threads {
            // A panic was reported when it happened.
            _ = thread.join();
        }
    }
}
