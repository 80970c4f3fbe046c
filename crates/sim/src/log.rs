//! The log as the engine sees it: a buffer, a synced position, and who waits for it. The simulation decides when its
//! writer takes the buffer, writes, and says so: three steps, with anything between them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use leveret_engine::{Log, Wake};
use leveret_storage::{Disk, Gather, LogWriter, Position, StorageError, WriterStatistics};

use crate::seams::Wakes;

/// What connections share of the log.
#[derive(Debug)]
pub struct SimLog {
    gather: Mutex<Gather>,
    synced: AtomicU64,
    /// Bytes that the writer has taken.
    writing: AtomicU64,
    waiting: Mutex<Vec<(Position, Wakes)>>,
}

impl SimLog {
    /// The log behind a writer.
    #[must_use]
    pub fn new<D: Disk>(writer: &LogWriter<D>) -> Self {
        Self {
            gather: Mutex::new(writer.gather()),
            synced: AtomicU64::new(writer.synced().0),
            writing: AtomicU64::new(0),
            waiting: Mutex::default(),
        }
    }

    /// Moves the synced position, and wakes who waited for it.
    pub fn publish(&self, synced: Position) {
        self.synced.store(synced.0, Ordering::Release);
        locked(&self.waiting).retain(|(position, waker)| {
            let waits = *position > synced;
            if !waits {
                waker.wake();
            }
            waits
        });
    }

    fn hand_over(&self, batch: &mut Gather) {
        let mut gather = locked(&self.gather);
        if batch.is_empty() && !gather.is_empty() {
            self.writing.store(gather.bytes() as u64, Ordering::Relaxed);
            gather.hand_over(batch);
        }
    }

    fn is_empty(&self) -> bool {
        locked(&self.gather).is_empty()
    }
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log for SimLog {
    type Waker = Wakes;

    fn append<R>(&self, append: impl FnOnce(&mut Gather) -> R) -> R {
        append(&mut self.gather.try_lock().expect("the log's buffer is a leaf among the locks"))
    }

    fn synced(&self) -> Position {
        Position(self.synced.load(Ordering::Acquire))
    }

    fn wake_when_synced(&self, position: Position, waker: &Wakes) {
        if position <= self.synced() {
            waker.wake();
        } else {
            locked(&self.waiting).push((position, waker.clone()));
        }
    }

    fn backlog_bytes(&self) -> usize {
        let writing = usize::try_from(self.writing.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        locked(&self.gather).bytes() + writing
    }
}

/// The log's writer, step by step.
#[derive(Debug)]
pub struct SimWriter<D: Disk> {
    writer: LogWriter<D>,
    batch: Gather,
}

impl<D: Disk> SimWriter<D> {
    /// Wraps a writer.
    #[must_use]
    pub fn new(writer: LogWriter<D>) -> Self {
        Self { batch: writer.gather(), writer }
    }

    /// Takes what was gathered, unless something taken before is not written yet.
    pub fn take(&mut self, log: &SimLog) {
        log.hand_over(&mut self.batch);
    }

    /// Writes and syncs what was taken. Nobody hears of it yet.
    ///
    /// # Errors
    /// The writer's.
    pub fn write(&mut self, log: &SimLog) -> Result<(), StorageError> {
        self.writer.step(&mut self.batch)?;
        log.writing.store(self.batch.bytes() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Says what is synced.
    pub fn publish(&self, log: &SimLog) {
        log.publish(self.writer.synced());
    }

    /// Prepares the next slot, and proves the last batch if nothing waits.
    ///
    /// # Errors
    /// The writer's.
    pub fn tend(&mut self, log: &SimLog) -> Result<(), StorageError> {
        self.writer.tend()?;
        if self.batch.is_empty() && log.is_empty() { self.writer.idle() } else { Ok(()) }
    }

    /// Takes, writes and says so until nothing is left.
    ///
    /// # Errors
    /// The writer's.
    pub fn sync(&mut self, log: &SimLog) -> Result<(), StorageError> {
        loop {
            self.take(log);
            self.write(log)?;
            self.publish(log);
            if log.is_empty() {
                return Ok(());
            }
        }
    }

    /// What it did so far.
    #[must_use]
    pub fn statistics(&self) -> WriterStatistics {
        self.writer.statistics()
    }

    /// Ends the log with the mark of a clean stop.
    ///
    /// # Errors
    /// The writer's.
    pub fn stop(mut self, log: &SimLog) -> Result<(), StorageError> {
        self.sync(log)?;
        self.writer.stop(&mut self.batch).map(drop)
    }
}
