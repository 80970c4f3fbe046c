//! The log's buffer, which all connections append to, and the thread that writes it.
//!
//! Group commit without a timer: while one batch is written and synced, the next gathers. Confirms are released
//! by the synced position, which moves only after the sync.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use leveret_engine::{Log, Wake};
use leveret_storage::{Disk, Gather, LogWriter, Position, StorageError, WriterStatistics};
use parking_lot::{Condvar, Mutex};

use crate::seams::TaskWaker;

/// Time without appends after which the log proves its last batch by an empty one.
const IDLE: Duration = Duration::from_millis(200);

/// Time between two tries while the disk is full.
const FULL_RETRY: Duration = Duration::from_millis(250);

/// What a log is behind by while it is held: more than any broker's bound.
const HELD_BYTES: usize = usize::MAX / 4;

struct Inner {
    gather: Mutex<Gather>,
    appended: Condvar,
    synced: AtomicU64,
    /// Bytes gathered, and bytes being written.
    gathered: AtomicUsize,
    writing: AtomicUsize,
    /// None once the thread has ended: nobody waits any more.
    waiting: Mutex<Option<Vec<(Position, Waiter)>>>,
    is_held: Arc<AtomicBool>,
    stop: AtomicBool,
}

/// Who waits for a position to be synced.
enum Waiter {
    Task(TaskWaker),
    Call(Box<dyn FnOnce() + Send>),
}

impl Waiter {
    fn tell(self) {
        match self {
            Self::Task(waker) => waker.wake(),
            Self::Call(call) => call(),
        }
    }
}

/// What the thread of a log asks and tells while it runs.
pub struct Hooks {
    /// Called once if the log can no longer be written: nothing is confirmed after that, and the process should end.
    pub failed: Box<dyn FnOnce(&StorageError) + Send>,
    /// Hears whether the disk is full.
    pub full: Box<dyn Fn(bool) + Send>,
    /// Called before each write; it may wait, and everyone waits with it.
    pub hold: Box<dyn Fn() + Send>,
    /// Set while `hold` waits for something that what clients send would put off: they are not read then.
    pub is_held: Arc<AtomicBool>,
}

/// The log as connections share it.
#[derive(Clone)]
pub struct SharedLog(Arc<Inner>);

/// The thread behind the log.
pub struct LogThread<D: Disk> {
    log: SharedLog,
    thread: thread::JoinHandle<Result<LogWriter<D>, StorageError>>,
}

impl<D: Disk + Send + 'static> LogThread<D> {
    /// Starts the thread under this name.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(name: &str, mut writer: LogWriter<D>, hooks: Hooks) -> std::io::Result<Self> {
        let log = SharedLog(Arc::new(Inner {
            gather: Mutex::new(writer.gather()),
            appended: Condvar::new(),
            synced: AtomicU64::new(writer.synced().0),
            gathered: AtomicUsize::new(0),
            writing: AtomicUsize::new(0),
            waiting: Mutex::new(Some(Vec::new())),
            is_held: Arc::clone(&hooks.is_held),
            stop: AtomicBool::new(false),
        }));
        let shared = log.clone();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let result = shared.run(&mut writer, &hooks);
            match result {
                Ok(()) => Ok(writer),
                Err(error) => {
                    (hooks.failed)(&error);
                    Err(error)
                }
            }
        })?;
        Ok(Self { log, thread })
    }

    /// The log.
    pub fn log(&self) -> SharedLog {
        self.log.clone()
    }

    /// Writes what is left with the mark of a clean stop, and ends the thread.
    ///
    /// # Errors
    /// What kept the log from being written.
    pub fn stop(self) -> Result<(), StorageError> {
        {
            // Under the lock: between its look at the mark and its wait the thread would miss the notification.
            let _gather = self.log.0.gather.lock();
            self.log.0.stop.store(true, Ordering::Release);
        }
        self.log.0.appended.notify_one();
        let name = self.thread.thread().name().unwrap_or_default().to_owned();
        let Ok(result) = self.thread.join() else {
            // A panic of the log's thread ended the process already (see `run`).
            return Ok(());
        };
        // Whoever waits for more than was written is told by that.
        drop(self.log.0.waiting.lock().take());
        let writer = result?;
        let mut gather = self.log.0.gather.lock();
        let WriterStatistics { batches, records, bytes, .. } = writer.statistics();
        writer.stop(&mut gather)?;
        tracing::info!(log = name, batches, records, bytes, "the log is closed");
        Ok(())
    }
}

/// Ends the process if a thread of the storage panics: nothing may go on as if it were being written or read, and
/// nobody may wait for it.
pub(crate) struct EndsProcess;

impl Drop for EndsProcess {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

impl SharedLog {
    /// Whether it was stopped: what is appended from then on is never written.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.stop.load(Ordering::Acquire)
    }

    fn run<D: Disk>(&self, writer: &mut LogWriter<D>, hooks: &Hooks) -> Result<(), StorageError> {
        let _guard = EndsProcess;
        let mut batch = writer.gather();
        while self.collect(writer, &mut batch)? {
            #[cfg(feature = "planted-early-confirm")]
            thread::sleep(Duration::from_millis(20));
            (hooks.hold)();
            self.write(writer, &mut batch, &hooks.full)?;
            writer.tend().or_else(ignore_full)?;
        }
        Ok(())
    }

    /// Waits for records and takes them. False at a stop.
    fn collect<D: Disk>(&self, writer: &mut LogWriter<D>, batch: &mut Gather) -> Result<bool, StorageError> {
        let inner = &self.0;
        let mut gather = inner.gather.lock();
        let mut idle = false;
        while gather.is_empty() {
            if inner.stop.load(Ordering::Acquire) {
                return Ok(false);
            }
            if idle {
                inner.appended.wait(&mut gather);
            } else if inner.appended.wait_for(&mut gather, IDLE).timed_out() && gather.is_empty() {
                idle = true;
                gather.release();
                drop(gather);
                batch.release();
                writer.idle().or_else(ignore_full)?;
                gather = inner.gather.lock();
            }
        }
        inner.writing.store(gather.bytes(), Ordering::Relaxed);
        inner.gathered.store(0, Ordering::Relaxed);
        gather.hand_over(batch);
        Ok(true)
    }

    fn write<D: Disk>(
        &self,
        writer: &mut LogWriter<D>,
        batch: &mut Gather,
        full: &dyn Fn(bool),
    ) -> Result<(), StorageError> {
        let mut was_full = false;
        loop {
            let result = writer.step(batch);
            // Before anyone is woken: who waits for the backlog looks at it then.
            self.0.writing.store(batch.bytes(), Ordering::Relaxed);
            self.publish(writer.synced());
            match result {
                Ok(_) => break,
                Err(StorageError::Full { .. }) => {
                    if !std::mem::replace(&mut was_full, true) {
                        tracing::error!("the disk is full: confirms wait until there is room");
                        full(true);
                    }
                    thread::sleep(FULL_RETRY);
                }
                Err(error) => return Err(error),
            }
        }
        if was_full {
            full(false);
        }
        Ok(())
    }

    /// Moves the synced position and wakes who waited for it.
    fn publish(&self, synced: Position) {
        self.0.synced.store(synced.0, Ordering::Release);
        let mut reached = Vec::new();
        {
            let mut waiting = self.0.waiting.lock();
            let Some(waiting) = waiting.as_mut() else { return };
            let mut at = 0;
            while let Some((position, _)) = waiting.get(at) {
                if *position > synced {
                    at += 1;
                } else {
                    reached.push(waiting.swap_remove(at));
                }
            }
        }
        for (_, waiter) in reached {
            waiter.tell();
        }
    }

    fn tell_when_synced(&self, position: Position, waiter: Waiter) {
        {
            // The thread moves the position before it takes this lock.
            let mut waiting = self.0.waiting.lock();
            if position > Position(self.0.synced.load(Ordering::Acquire)) {
                if let Some(waiting) = waiting.as_mut() {
                    waiting.push((position, waiter));
                }
                return;
            }
        }
        waiter.tell();
    }

    /// Waits until everything up to `position` is synced; false if the log ends before. For threads that may wait for
    /// the disk.
    pub fn wait_until_synced(&self, position: Position) -> bool {
        let (say, heard) = mpsc::sync_channel(1);
        self.call_when_synced(position, move || _ = say.send(()));
        heard.recv().is_ok()
    }

    /// Calls once everything up to `position` is synced: at once, or on the log's thread, which must not wait for
    /// anything in it. Never if the log ends before.
    pub fn call_when_synced(&self, position: Position, call: impl FnOnce() + Send + 'static) {
        self.tell_when_synced(position, Waiter::Call(Box::new(call)));
    }
}

/// A full disk is met again, and reported, by the next step.
fn ignore_full(error: StorageError) -> Result<(), StorageError> {
    match error {
        StorageError::Full { .. } => Ok(()),
        error => Err(error),
    }
}

impl Log for SharedLog {
    type Waker = TaskWaker;

    fn append<R>(&self, append: impl FnOnce(&mut Gather) -> R) -> R {
        let inner = &self.0;
        let mut gather = inner.gather.lock();
        let was_empty = gather.is_empty();
        let result = append(&mut gather);
        let is_first = was_empty && !gather.is_empty();
        inner.gathered.store(gather.bytes(), Ordering::Relaxed);
        drop(gather);
        if is_first {
            inner.appended.notify_one();
        }
        result
    }

    #[cfg(not(feature = "planted-early-confirm"))]
    fn synced(&self) -> Position {
        Position(self.0.synced.load(Ordering::Acquire))
    }

    /// A planted fault: confirms before the write. The crash test must find it.
    #[cfg(feature = "planted-early-confirm")]
    fn synced(&self) -> Position {
        self.0.gather.lock().last_position()
    }

    fn wake_when_synced(&self, position: Position, waker: &TaskWaker) {
        self.tell_when_synced(position, Waiter::Task(waker.clone()));
    }

    fn backlog_bytes(&self) -> usize {
        // The batch that waits is told when it is synced, so whoever is not read now is woken.
        let held = if self.0.is_held.load(Ordering::Acquire) { HELD_BYTES } else { 0 };
        held + self.0.gathered.load(Ordering::Relaxed) + self.0.writing.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use leveret_storage::{DataDir, MemoryDisk, SettleReason, StorageOptions, open_store};

    use super::*;

    #[test]
    fn who_waits_for_a_position_is_told_of_its_sync_or_of_the_logs_end() {
        let dir = DataDir::open(MemoryDisk::new(1), Path::new("/data"), StorageOptions::default()).unwrap();
        let writer = LogWriter::open(&dir, open_store(&dir, None).unwrap().tail).unwrap();
        let hooks = Hooks {
            failed: Box::new(|_| ()),
            full: Box::new(|_| ()),
            hold: Box::new(|| ()),
            is_held: Arc::default(),
        };
        let thread = LogThread::start("log", writer, hooks).unwrap();
        let log = thread.log();
        let position = log.append(|gather| gather.settle(1, &[(1, 1)], SettleReason::Purged));
        assert!(log.wait_until_synced(position));
        assert!(log.synced() >= position);
        let never = Position(position.0 + 100);
        let waiting = thread::spawn({
            let log = log.clone();
            move || log.wait_until_synced(never)
        });
        thread.stop().unwrap();
        assert!(!waiting.join().unwrap());
        assert!(!log.wait_until_synced(never), "nor later");
    }
}
