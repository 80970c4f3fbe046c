//! Reads from both logs, when the harness says so.

use std::sync::{Arc, Mutex};

use leveret_engine::{Broker, ColdStore, Damage, Fetch, Fetched, Log, WeakQueue};
use leveret_storage::{DataDir, MemoryDisk, Position, Store};

use super::{HeldLog, Plain};

/// What a queue waits for.
enum Job {
    Fetch(Fetch<Plain>),
    Exposed(WeakQueue<Plain>, Position),
}

/// The stores of the log and the spill, and what is asked of them.
pub(crate) struct TestStore {
    log: Store<MemoryDisk>,
    spill: Store<MemoryDisk>,
    jobs: Mutex<Vec<Job>>,
    damage: Mutex<Option<Damage>>,
    is_held: std::sync::atomic::AtomicBool,
    _spill_dir: DataDir<MemoryDisk>,
}

impl TestStore {
    pub(super) fn new(
        log: Store<MemoryDisk>,
        spill: Store<MemoryDisk>,
        spill_dir: DataDir<MemoryDisk>,
    ) -> Self {
        Self {
            log,
            spill,
            jobs: Mutex::default(),
            damage: Mutex::default(),
            is_held: false.into(),
            _spill_dir: spill_dir,
        }
    }

    /// Answers nothing until it is let go again.
    pub(crate) fn hold(&self, is_held: bool) {
        self.is_held.store(is_held, std::sync::atomic::Ordering::Relaxed);
    }

    /// What is asked now.
    pub(crate) fn waiting(&self) -> usize {
        self.jobs.lock().unwrap().len()
    }

    /// The next read finds this.
    pub(crate) fn damage(&self, damage: Damage) {
        *self.damage.lock().unwrap() = Some(damage);
    }

    fn read(&self, fetch: &Fetch<Plain>) -> Result<Fetched, Damage> {
        if let Some(damage) = self.damage.lock().unwrap().take() {
            return Err(damage);
        }
        let mut fetched = Fetched::default();
        if fetch.log.is_some() {
            fetched.log = fetch.read(&self.log)?;
        }
        if fetch.spill.is_some() {
            fetched.spill = fetch.read(&self.spill)?;
        }
        Ok(fetched)
    }
}

impl ColdStore<Plain> for TestStore {
    fn fetch(&self, fetch: Fetch<Plain>) {
        self.jobs.lock().unwrap().push(Job::Fetch(fetch));
    }

    fn call_when_synced(&self, queue: WeakQueue<Plain>, position: Position) {
        self.jobs.lock().unwrap().push(Job::Exposed(queue, position));
    }
}

/// Does what was asked until nothing is, as the threads of a server do. True if there was anything.
pub(crate) fn pump(broker: &Arc<Broker<Plain>>) -> bool {
    let store = &broker.store;
    let mut any = false;
    while !store.is_held.load(std::sync::atomic::Ordering::Relaxed) {
        let Some(job) = store.jobs.lock().unwrap().pop() else { break };
        any = true;
        let reach = |log: &HeldLog, position: Position| log.synced() >= position || log.try_sync();
        match job {
            Job::Fetch(fetch) => {
                let is_there = fetch.log.is_none_or(|at| reach(&broker.log, at))
                    && fetch.spill.is_none_or(|at| reach(&broker.spill, at));
                if let (Some(queue), true) = (fetch.queue.upgrade(), is_there) {
                    broker.fetched(&queue, store.read(&fetch));
                }
            }
            Job::Exposed(queue, position) => {
                if let (Some(queue), true) = (queue.upgrade(), reach(&broker.log, position)) {
                    broker.exposed(&queue);
                }
            }
        }
    }
    any
}
