//! The thread that keeps the log short: checkpoints, and tidying up between them.
//!
//! The log's thread asks before each write. Past the first threshold it wakes this thread; past twice that it waits for
//! one whole checkpoint, so that the log cannot outgrow what is checkpointed. A checkpoint that freed nothing (a long
//! transaction stands open) does not keep the log waiting: its end lets one more write through.
//!
//! So it is where the files take too much beside what lives ([`Store::room_over`]): the log waits, and connections are
//! not read ([`Pacer::is_held`]), as what is acknowledged meanwhile would make it more. The thread then gives free slots
//! back, makes a checkpoint, and tidies up until there is room or nothing is left to do. In that case the log may go on
//! until another slot has come to it.

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
    /// How often room was made.
    relieved: u64,
    /// The thread is there.
    runs: bool,
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
    /// The log waits for room.
    is_held: Arc<AtomicBool>,
    /// What the files may take, as no less could be reached; 0 while there is no such thing.
    conceded: AtomicU64,
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
            is_held: Arc::default(),
            conceded: AtomicU64::new(0),
        }))
    }

    /// The log has no room for what waits to be written, or has it again.
    pub fn set_full(&self, is_full: bool) {
        self.0.is_full.store(is_full, Ordering::Relaxed);
        self.0.changed.notify_all();
    }

    /// Whether the log waits for room now. Then what clients send is better not read.
    pub fn is_held(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.is_held)
    }

    /// Wakes the checkpoint when it is due, and waits for one when it is overdue, and for room where there is too little.
    pub fn hold(&self) {
        self.hold_for_room();
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

    /// Waits until the files take no more than they may, or the thread could do nothing about it.
    fn hold_for_room(&self) {
        let Inner { rounds, changed, is_held, .. } = &*self.0;
        if !self.0.needs_room() {
            return;
        }
        let mut rounds = rounds.lock();
        // What it does now may have been begun too early.
        let last = rounds.relieved + 2;
        is_held.store(true, Ordering::Release);
        while rounds.runs && !rounds.stop && rounds.relieved < last && self.0.needs_room() {
            rounds.is_due = true;
            changed.notify_all();
            changed.wait(&mut rounds);
        }
        is_held.store(false, Ordering::Release);
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
        inner.rounds.lock().runs = true;
        while inner.wait(rest) {
            if inner.needs_room() {
                self.relieve(keep)?;
            } else {
                inner.look_again();
            }
            rest = if inner.store.checkpoint_is_due() {
                self.round(keep)?
            } else if inner.is_short() && inner.store.statistics().tail_records > 0 {
                // Publishers wait, so no threshold is ever reached; what consumers settle frees slots only so.
                self.round(keep)?;
                inner.tidy_all()?;
                inner.make_room()?;
                LOOK_EVERY
            } else {
                inner.tidy()?
            };
        }
        Ok(())
    }

    /// Does what can be done about too much room that is taken, and lets those go on who wait for it.
    fn relieve(&self, keep: &mut KeepDefinitions) -> Result<(), StorageError> {
        let inner = &*self.0;
        let store = &inner.store;
        store.trim(true)?;
        let mut is_begun = false;
        while !store.room_is_eased() && !inner.rounds.lock().stop {
            let is_due = !is_begun && store.statistics().tail_records > 0;
            is_begun = true;
            let rest = if is_due || store.checkpoint_is_due() { self.round(keep)? } else { inner.step()? };
            if !rest.is_zero() {
                break;
            }
            store.trim(true)?;
        }
        inner.conceded.store(store.room_over().unwrap_or(0), Ordering::Relaxed);
        inner.rounds.lock().relieved += 1;
        inner.changed.notify_all();
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

    /// Has the log look again if it waits for room: there is room, and not by [`Pacer::relieve`], which would tell it.
    fn look_again(&self) {
        if self.is_held.load(Ordering::Acquire) {
            // The log looks, and begins to wait, under this lock.
            drop(self.rounds.lock());
            self.changed.notify_all();
        }
    }

    /// Whether the files take more than they may, and than what was conceded.
    fn needs_room(&self) -> bool {
        self.store.room_over().is_some_and(|taken| {
            let conceded = self.conceded.load(Ordering::Relaxed);
            conceded == 0 || taken > conceded + self.store.room().slot_bytes
        })
    }

    /// Steps until there is nothing to tidy, or a checkpoint is due, or the thread is to end.
    fn tidy_all(&self) -> Result<(), StorageError> {
        while !self.rounds.lock().stop && self.tidy()?.is_zero() && !self.store.checkpoint_is_due() {}
        Ok(())
    }

    /// One step, so that a checkpoint that becomes due meanwhile waits for no more than that.
    fn tidy(&self) -> Result<Duration, StorageError> {
        let rest = self.step()?;
        if rest.is_zero() {
            // There may be no idle moment for as long as a backlog is drained, and each step frees a slot or so.
            self.store.trim(self.is_short())?;
        } else if rest == LOOK_EVERY {
            self.make_room()?;
        }
        Ok(rest)
    }

    /// One step, and after what time there may be another.
    fn step(&self) -> Result<Duration, StorageError> {
        match self.store.tidy() {
            Ok(true) => Ok(Duration::ZERO),
            Ok(false) => Ok(LOOK_EVERY),
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
        DataDir, Gather, LogWriter, MemoryDisk, MessageFlags, Payload, SettleReason, StorageOptions,
        open_store,
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

    const SLOT: u64 = 1 << 20;
    const BODY: usize = 100;
    /// A message's payload, record, and place in a run.
    const MESSAGE: u64 = BODY as u64 + 36 + 14;

    /// What log, runs and manifests take. Files may come and go meanwhile.
    fn disk_bytes(disk: &MemoryDisk) -> u64 {
        let root = Path::new("/data");
        let length = |path: &Path| disk.open(path).and_then(|file| disk.length(&file)).unwrap_or(0);
        let mut sum = 0;
        for folder in [root.join("log"), root.join("runs"), root.to_owned()] {
            let names = disk.list(&folder).unwrap_or_default();
            let names = names.into_iter().filter(|name| folder != root || name.starts_with("manifest"));
            sum += names.map(|name| length(&folder.join(name))).sum::<u64>();
        }
        sum
    }

    /// A new log with small slots, and its pacer.
    fn paced(disk: &MemoryDisk) -> (LogWriter<MemoryDisk>, Pacer<MemoryDisk>) {
        let options = StorageOptions { slot_bytes: Some(SLOT), ..StorageOptions::default() };
        let dir = DataDir::open(disk.clone(), Path::new("/data"), options).unwrap();
        let recovered = open_store(&dir, None).unwrap();
        let log = LogWriter::open(&dir, recovered.tail).unwrap();
        (log, Pacer::new(recovered.store, Arc::default(), true))
    }

    #[test]
    fn a_drain_waits_for_the_room_that_it_makes() {
        const COUNT: u64 = 120_000;
        let disk = MemoryDisk::new(1);
        let (mut log, pacer) = paced(&disk);
        let thread = CheckpointThread::start("test", pacer.clone(), Box::new(|_| Ok(())), |_| {}).unwrap();
        let mut gather = log.gather();
        let mut live = 0;
        let mut step = |gather: &mut Gather, live: u64| {
            pacer.hold();
            log.step(gather).unwrap();
            let (taken, bound) = (disk_bytes(&disk), 16 * SLOT + 2 * live * MESSAGE);
            assert!(taken <= bound, "{taken} bytes with {live} messages alive");
        };
        for seq in 0..COUNT {
            gather.message(1, seq, MessageFlags::SEEN, 0, 0, Payload::parts(&[&[7; BODY]]));
            live += 1;
            if seq % 1000 == 999 {
                step(&mut gather, live);
            }
        }
        // The first one is held for ever.
        for first in (1..COUNT).step_by(4000) {
            let last = (first + 3999).min(COUNT - 1);
            gather.settle(1, &[(first, last)], SettleReason::Acknowledged);
            live -= last + 1 - first;
            step(&mut gather, live);
        }
        assert_eq!(live, 1);
        assert!(!pacer.is_held().load(Ordering::Relaxed));
        thread.stop();
    }

    #[test]
    fn a_stop_does_not_wait_until_everything_is_tidy() {
        let (mut log, pacer) = paced(&MemoryDisk::new(1));
        let mut gather = log.gather();
        for seq in 1..=40 {
            gather.message(1, seq, MessageFlags::SEEN, 0, 0, Payload::parts(&[&[7; BODY]]));
            log.step(&mut gather).unwrap();
            pacer.checkpoint(&mut |_| Ok(())).unwrap();
        }
        let inner = &*pacer.0;
        let runs = inner.store.room().runs;
        inner.rounds.lock().stop = true;
        inner.tidy_all().unwrap();
        assert_eq!(inner.store.room().runs, runs);
        inner.rounds.lock().stop = false;
        inner.tidy_all().unwrap();
        assert!(inner.store.room().runs < runs, "there was something to tidy");
    }

    /// Writes until the log should wait for room.
    fn fill(log: &mut LogWriter<MemoryDisk>, pacer: &Pacer<MemoryDisk>) {
        let mut gather = log.gather();
        // No checkpoint was ever made, so all of these slots are in use and nothing lives in runs.
        while pacer.0.store.room_over().is_none() {
            for seq in 0..8 {
                let seq = log.synced().0 + seq + 1;
                gather.message(1, seq, MessageFlags::SEEN, 0, 0, Payload::parts(&[&[7; 100_000]]));
            }
            log.step(&mut gather).unwrap();
        }
    }

    #[test]
    fn who_waits_for_room_is_told_of_room_that_came_by_itself() {
        let (mut log, pacer) = paced(&MemoryDisk::new(1));
        fill(&mut log, &pacer);
        // The thread is in the middle of something.
        pacer.0.rounds.lock().runs = true;
        let (tell, told) = mpsc::channel();
        let held = {
            let pacer = pacer.clone();
            thread::spawn(move || {
                pacer.hold_for_room();
                tell.send(()).unwrap();
            })
        };
        let mut rounds = pacer.0.rounds.lock();
        while !rounds.is_due {
            pacer.0.changed.wait(&mut rounds);
        }
        drop(rounds);
        // What it does makes room, and it was not begun for that.
        pacer.0.store.checkpoint(&mut |_| Ok(())).unwrap();
        assert!(!pacer.0.needs_room());
        let thread = CheckpointThread::start("test", pacer.clone(), Box::new(|_| Ok(())), |_| {}).unwrap();
        told.recv_timeout(Duration::from_secs(60)).expect("the log goes on");
        held.join().unwrap();
        thread.stop();
    }

    #[test]
    fn nobody_waits_for_room_without_the_thread_or_after_it() {
        let (mut log, pacer) = paced(&MemoryDisk::new(1));
        fill(&mut log, &pacer);
        pacer.hold_for_room();
        pacer.0.rounds.lock().runs = true;
        pacer.0.rounds.lock().stop = true;
        pacer.hold_for_room();
        // What could not be helped keeps nobody waiting either, until there is another slot of it.
        pacer.0.rounds.lock().stop = false;
        pacer.0.conceded.store(pacer.0.store.room_over().unwrap(), Ordering::Relaxed);
        pacer.hold_for_room();
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
