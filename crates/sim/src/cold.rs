//! Reads of what is not in memory: asked, found, read, and answered in four steps, with anything between them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leveret_engine::{Broker, ColdStore, Damage, Fetch, Fetched, Log, WeakQueue};
use leveret_storage::{Located, MemoryDisk, Position, Store};

use crate::chance::Chance;
use crate::seams::Plain;
use crate::topology::QueueAt;

/// What was found is read in one of so many steps, so that files change under it now and then.
const LINGERS: u64 = 4;

/// What a queue waits for.
enum Job {
    /// To be looked for, once it is written.
    Asked(Fetch<Plain>),
    /// Found, in the log and in the spill, and to be read.
    Found(WeakQueue<Plain>, Places),
    /// Read, and not told.
    Read(WeakQueue<Plain>, Result<Fetched, Damage>),
    /// To be told once the log is synced so far.
    Exposed(WeakQueue<Plain>, Position),
}

/// Where messages lie: whatever happens to the files, they can be read from there as long as this is held.
struct Places {
    log: Option<Located<MemoryDisk>>,
    spill: Option<Located<MemoryDisk>>,
}

impl Places {
    fn load(self) -> Result<Fetched, Damage> {
        let mut fetched = Fetched::default();
        if let Some(log) = self.log {
            fetched.log = log.load()?.into();
        }
        if let Some(spill) = self.spill {
            fetched.spill = spill.load()?.into();
        }
        Ok(fetched)
    }
}

/// The stores of the log and of the spill, and what is asked of them.
pub struct SimStore {
    log: Store<MemoryDisk>,
    spill: Store<MemoryDisk>,
    jobs: Mutex<Vec<Job>>,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing waits, or what was picked waits for its log.
    Nothing,
    /// A read was begun or an answer given.
    Done,
    /// The same, and messages came from the spill.
    Spilled,
    /// A read found damage.
    Damaged,
    /// The drive failed a read of this queue, as it was told to.
    Unreadable(QueueAt),
}

impl SimStore {
    /// Reads from these.
    #[must_use]
    pub fn new(log: Store<MemoryDisk>, spill: Store<MemoryDisk>) -> Self {
        Self { log, spill, jobs: Mutex::default() }
    }

    /// The log's store.
    #[must_use]
    pub fn log(&self) -> &Store<MemoryDisk> {
        &self.log
    }

    /// The spill's store.
    #[must_use]
    pub fn spill(&self) -> &Store<MemoryDisk> {
        &self.spill
    }

    /// Whether nothing is asked.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.jobs().is_empty()
    }

    fn jobs(&self) -> MutexGuard<'_, Vec<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locate(&self, fetch: &Fetch<Plain>) -> Result<Places, Damage> {
        let log = fetch.log.map(|_| fetch.locate(&self.log)).transpose()?;
        let spill = fetch.spill.map(|_| fetch.locate(&self.spill)).transpose()?;
        Ok(Places { log, spill })
    }
}

impl ColdStore<Plain> for SimStore {
    fn fetch(&self, fetch: Fetch<Plain>) {
        self.jobs().push(Job::Asked(fetch));
    }

    fn call_when_synced(&self, queue: WeakQueue<Plain>, position: Position) {
        self.jobs().push(Job::Exposed(queue, position));
    }
}

/// One step of one job that chance picks. The reads of `failing` fail.
pub fn step(broker: &Arc<Broker<Plain>>, chance: &mut Chance, failing: Option<&MemoryDisk>) -> Step {
    let store = &broker.store;
    let job = {
        let mut jobs = store.jobs();
        if jobs.is_empty() {
            return Step::Nothing;
        }
        let at = usize::try_from(chance.below(jobs.len() as u64)).unwrap_or(0);
        jobs.swap_remove(at)
    };
    match job {
        Job::Asked(fetch) => {
            let is_written = fetch.log.is_none_or(|at| broker.log.synced() >= at)
                && fetch.spill.is_none_or(|at| broker.spill.synced() >= at);
            if !is_written {
                store.jobs().push(Job::Asked(fetch));
                return Step::Nothing;
            }
            match store.locate(&fetch) {
                Ok(places) => {
                    store.jobs().push(Job::Found(fetch.queue, places));
                    Step::Done
                }
                Err(damage) => {
                    store.jobs().push(Job::Read(fetch.queue, Err(damage)));
                    Step::Damaged
                }
            }
        }
        Job::Found(queue, places) if !chance.one_in(LINGERS) => {
            store.jobs().push(Job::Found(queue, places));
            Step::Nothing
        }
        Job::Found(queue, places) => {
            let name = queue.upgrade().and_then(|queue| QueueAt::named(queue.name.as_bytes()));
            if let Some(disk) = failing {
                disk.fail_reads(true);
            }
            let found = places.load();
            if let Some(disk) = failing {
                disk.fail_reads(false);
            }
            let step = match (&found, name) {
                (Err(_), Some(queue)) if failing.is_some() => Step::Unreadable(queue),
                // The queue is gone, nobody hears of it.
                (Err(_), None) if failing.is_some() => Step::Done,
                (found, _) => told(found),
            };
            store.jobs().push(Job::Read(queue, found));
            step
        }
        Job::Read(queue, found) => {
            if let Some(queue) = queue.upgrade() {
                broker.fetched(&queue, found);
            }
            Step::Done
        }
        Job::Exposed(queue, position) if broker.log.synced() < position => {
            store.jobs().push(Job::Exposed(queue, position));
            Step::Nothing
        }
        Job::Exposed(queue, _) => {
            if let Some(queue) = queue.upgrade() {
                broker.exposed(&queue);
            }
            Step::Done
        }
    }
}

/// What a read came to.
fn told(found: &Result<Fetched, Damage>) -> Step {
    match found {
        Err(_) => Step::Damaged,
        Ok(fetched) if !fetched.spill.messages.is_empty() => Step::Spilled,
        Ok(_) => Step::Done,
    }
}
