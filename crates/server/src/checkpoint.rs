//! The thread that keeps the log short: checkpoints, and tidying up between them.
//!
//! The log's thread asks before each write. Past the first threshold it wakes this thread; past twice that it waits for
//! one whole checkpoint, so that the log cannot outgrow what is checkpointed. A checkpoint that freed nothing (a long
//! transaction stands open) does not keep the log waiting: its end lets one more write through.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use leveret_storage::{CheckpointDone, Disk, Position, StorageError, Store};
use parking_lot::{Condvar, Mutex};

use crate::log::EndsProcess;

/// Time between two looks for something to tidy.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Time between two tries while the disk is full.
const FULL_RETRY: Duration = Duration::from_millis(250);

#[derive(Default)]
struct Rounds {
    is_due: bool,
    begun: u64,
    ended: u64,
    stop: bool,
}

struct Inner<D: Disk> {
    store: Store<D>,
    rounds: Mutex<Rounds>,
    changed: Condvar,
    /// The disk is short of room: nothing is held ready.
    is_short: Arc<AtomicBool>,
    /// The log has no room at all.
    is_full: AtomicBool,
    /// Whether room is held ready at all; not for what may be lost.
    holds_ready: bool,
    /// Bytes of the log's tail at the last look.
    seen_bytes: AtomicU64,
}

/// Has the definitions kept up to a position before the log below it may go.
pub type KeepDefinitions = Box<dyn FnMut(Position) -> Result<(), StorageError> + Send>;

/// What the log's thread asks before each write. Clones share it.
pub struct Pacer<D: Disk>(Arc<Inner<D>>);

impl<D: Disk> Clone for Pacer<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Disk> Pacer<D> {
    /// For the log that feeds this store. `is_short` says whether the disk is short of room; `holds_ready` whether
    /// slots are written ahead in idle moments.
    pub fn new(store: Store<D>, is_short: Arc<AtomicBool>, holds_ready: bool) -> Self {
        Self(Arc::new(Inner {
            store,
            rounds: Mutex::default(),
            changed: Condvar::new(),
            is_short,
            is_full: AtomicBool::new(false),
            holds_ready,
            seen_bytes: AtomicU64::new(0),
        }))
    }

    /// The log has no room for what waits to be written, or has it again.
    pub fn set_full(&self, is_full: bool) {
        self.0.is_full.store(is_full, Ordering::Relaxed);
        self.0.changed.notify_all();
    }

    /// Wakes the checkpoint when it is due, and waits for one when it is overdue.
    pub fn hold(&self) {
        let Inner { store, rounds, changed, .. } = &*self.0;
        if !store.checkpoint_is_due() {
            return;
        }
        let mut rounds = rounds.lock();
        rounds.is_due = true;
        changed.notify_all();
        if store.checkpoint_is_overdue() {
            let needed = rounds.begun + 1;
            while rounds.ended < needed && !rounds.stop && store.checkpoint_is_overdue() {
                rounds.is_due = true;
                changed.wait(&mut rounds);
            }
        }
    }

    /// Makes a checkpoint here and now: for a start, before the thread runs. Whom it kept waiting goes on.
    ///
    /// # Errors
    /// As [`Store::checkpoint`].
    pub fn checkpoint(
        &self,
        keep: &mut dyn FnMut(Position) -> Result<(), StorageError>,
    ) -> Result<CheckpointDone, StorageError> {
        self.0.rounds.lock().begun += 1;
        let result = self.0.store.checkpoint(keep);
        let mut rounds = self.0.rounds.lock();
        rounds.ended = rounds.begun;
        self.0.changed.notify_all();
        result
    }
}

/// The thread.
pub struct CheckpointThread<D: Disk> {
    pacer: Pacer<D>,
    thread: thread::JoinHandle<()>,
}

impl<D: Disk> CheckpointThread<D> {
    /// Starts the thread under this name. `failed` is called once if the store can no longer be written.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        name: &str,
        pacer: Pacer<D>,
        mut keep: KeepDefinitions,
        failed: impl FnOnce(&StorageError) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = pacer.clone();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _guard = EndsProcess;
            if let Err(error) = shared.run(&mut keep) {
                failed(&error);
            }
        })?;
        Ok(Self { pacer, thread })
    }

    /// Ends the thread after what it does now. Nobody is held any more.
    pub fn stop(self) {
        self.pacer.0.rounds.lock().stop = true;
        self.pacer.0.changed.notify_all();
        // A panic ended the process when it happened.
        _ = self.thread.join();
    }
}

impl<D: Disk> Pacer<D> {
    fn run(&self, keep: &mut KeepDefinitions) -> Result<(), StorageError> {
        let inner = &*self.0;
        let mut rest = LOOK_EVERY;
        while inner.wait(rest) {
            rest = if inner.store.checkpoint_is_due() {
                self.round(keep)?
            } else if inner.is_short() && inner.store.statistics().tail_records > 0 {
                // Publishers wait, so no threshold is ever reached; what consumers settle frees slots only so.
                self.round(keep)?;
                while inner.tidy()?.is_zero() && !inner.store.checkpoint_is_due() {}
                inner.make_room()?;
                LOOK_EVERY
            } else {
                inner.tidy()?
            };
        }
        Ok(())
    }

    fn round(&self, keep: &mut KeepDefinitions) -> Result<Duration, StorageError> {
        let begun = Instant::now();
        match self.checkpoint(keep) {
            Ok(done) => {
                tracing::debug!(messages = done.messages, slots = done.slots, took = ?begun.elapsed(), "checkpoint");
                Ok(Duration::ZERO)
            }
            Err(error) if error.is_full() => {
                if self.0.store.spend_reserve()? {
                    return Ok(Duration::ZERO);
                }
                tracing::error!("no checkpoint, as the disk is full: {error}");
                Ok(FULL_RETRY)
            }
            Err(error) => Err(error),
        }
    }
}

impl<D: Disk> Inner<D> {
    /// Waits until something is due, or for this long. False at a stop.
    fn wait(&self, rest: Duration) -> bool {
        let mut rounds = self.rounds.lock();
        if !rounds.is_due && !rounds.stop {
            self.changed.wait_for(&mut rounds, rest);
        }
        rounds.is_due = false;
        !rounds.stop
    }

    /// One step, so that a checkpoint that becomes due meanwhile waits for no more than that.
    fn tidy(&self) -> Result<Duration, StorageError> {
        match self.store.tidy() {
            // There may be no idle moment for as long as a backlog is drained, and each step frees a slot or so.
            Ok(true) => self.store.trim(self.is_short()).map(|_| Duration::ZERO),
            Ok(false) => self.make_room().map(|()| LOOK_EVERY),
            Err(error) if error.is_full() => {
                if self.store.spend_reserve()? {
                    return Ok(Duration::ZERO);
                }
                tracing::warn!("the disk is too full to tidy up: {error}");
                Ok(FULL_RETRY)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives back what is too much, and in idle moments holds ready what will be needed.
    fn make_room(&self) -> Result<(), StorageError> {
        let is_short = self.is_short();
        self.store.trim(is_short)?;
        let appended = self.store.statistics().tail_bytes;
        let is_idle = self.seen_bytes.swap(appended, Ordering::Relaxed) == appended;
        if is_idle && !is_short && self.holds_ready {
            self.store.spare()?;
        }
        Ok(())
    }

    /// There is little room on the disk, or none.
    fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed) || self.is_full.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use leveret_storage::{
        DataDir, LogWriter, MemoryDisk, MessageFlags, Payload, StorageOptions, open_store,
    };

    use super::*;

    /// A log of which a checkpoint is overdue, and its pacer, behind which no thread runs.
    fn overdue() -> (LogWriter<MemoryDisk>, Pacer<MemoryDisk>) {
        let options = StorageOptions { tail_messages: Some(2), ..StorageOptions::default() };
        let dir = DataDir::open(MemoryDisk::new(1), Path::new("/data"), options).unwrap();
        let recovered = open_store(&dir, None).unwrap();
        let mut log = LogWriter::open(&dir, recovered.tail).unwrap();
        let mut gather = log.gather();
        for seq in 1..=4 {
            gather.message(1, seq, MessageFlags::NONE, 0, 0, Payload::parts(&[b"body"]));
        }
        log.step(&mut gather).unwrap();
        (log, Pacer::new(recovered.store, Arc::default(), false))
    }

    #[test]
    fn the_checkpoint_of_a_start_lets_the_log_go_on() {
        let (_log, pacer) = overdue();
        assert!(pacer.0.store.checkpoint_is_overdue());
        let (tell, told) = mpsc::channel();
        let held = {
            let pacer = pacer.clone();
            thread::spawn(move || {
                pacer.hold();
                tell.send(()).unwrap();
            })
        };
        // It asked for a checkpoint, so it waits, or is about to.
        let mut rounds = pacer.0.rounds.lock();
        while !rounds.is_due {
            pacer.0.changed.wait(&mut rounds);
        }
        drop(rounds);
        assert!(told.try_recv().is_err());
        pacer.checkpoint(&mut |_| Ok(())).unwrap();
        told.recv_timeout(Duration::from_secs(60)).expect("the log goes on");
        held.join().unwrap();
    }
}
