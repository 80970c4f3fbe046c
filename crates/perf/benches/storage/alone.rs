//! The log writer without a broker: the same records, bytes and batches, appended by one thread and written by another.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use leveret_perf::CpuTimes;
use leveret_storage::{
    DataDir, Durability, Gather, LogWriter, MessageFlags, Payload, RealDisk, SettleReason, StorageError,
    StorageOptions, Store, open_store,
};

use crate::broker::Shape;
use crate::{BODY, Outcome};

const QUEUE: u64 = 1;

/// Messages are settled when so many batches came after them.
const SETTLED_AFTER: u64 = 2;

/// What the log writer did alone.
pub(crate) struct Alone {
    /// Messages for each second.
    pub(crate) rate: f64,
    /// CPU seconds for a million messages.
    pub(crate) cpu: f64,
}

struct Shared {
    gather: Mutex<Gather>,
    changed: Condvar,
    stop: AtomicBool,
    /// Messages that are durable.
    durable: AtomicU64,
}

/// Writes batches of this shape for a while, with checkpoints as they become due.
pub(crate) fn measure(dir: &Path, durability: Durability, shape: &Shape, seconds: f64) -> Outcome<Alone> {
    let folder = tempfile::tempdir_in(dir)?;
    let options = StorageOptions { durability, ..StorageOptions::default() };
    let data = DataDir::open(RealDisk, &folder.path().join("data"), options)?;
    let recovered = open_store(&data, None)?;
    let store = recovered.store;
    let writer = LogWriter::open(&data, recovered.tail)?;
    let shared = Shared {
        gather: Mutex::new(writer.gather()),
        changed: Condvar::new(),
        stop: AtomicBool::new(false),
        durable: AtomicU64::new(0),
    };
    let messages = shape.messages.round().max(1.0);
    let (rate, cpu) = std::thread::scope(|scope| -> Outcome<(f64, f64)> {
        let writing = scope.spawn(|| shared.ending(|| write(writer, &shared, messages as u64)));
        let keeping = scope.spawn(|| shared.ending(|| keep(&store, &shared)));
        scope.spawn(|| append(&shared, shape));
        std::thread::sleep(Duration::from_millis(500));
        let before = (Instant::now(), shared.durable.load(Ordering::Relaxed), CpuTimes::now(&[]));
        std::thread::sleep(Duration::from_secs_f64(seconds));
        let after = (shared.durable.load(Ordering::Relaxed), CpuTimes::now(&[]));
        let took = before.0.elapsed().as_secs_f64();
        shared.end();
        writing.join().map_err(|_| "the log's thread panicked")??;
        keeping.join().map_err(|_| "the checkpoint's thread panicked")??;
        let done = (after.0 - before.1) as f64;
        Ok((done / took, after.1.since(&before.2).own.unwrap_or(f64::NAN) * 1e6 / done))
    })?;
    Ok(Alone { rate, cpu })
}

impl Shared {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn end(&self) {
        let _gather = self.gather.lock().unwrap_or_else(PoisonError::into_inner);
        self.stop.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    /// Ends the others when this one ends.
    fn ending<T>(&self, work: impl FnOnce() -> T) -> T {
        let result = work();
        self.end();
        result
    }
}

/// Appends one batch while the one before is written.
fn append(shared: &Shared, shape: &Shape) {
    let body = vec![b'x'; BODY];
    let messages = shape.messages.round().max(1.0) as u64;
    let settles = (shape.records - shape.messages).round().max(0.0) as u64;
    // What of a batch is neither its header, nor padding, nor heads of records: bodies and what stands beside them.
    let beside = shape.bytes - 160.0 - 2048.0 - 36.0 * shape.messages - 40.0 * settles as f64;
    let head = vec![b'h'; (beside / shape.messages - BODY as f64).clamp(0.0, 256.0) as usize];
    let mut next = 1;
    while !shared.is_over() {
        let mut gather = shared.gather.lock().unwrap_or_else(PoisonError::into_inner);
        if !gather.is_empty() {
            drop(shared.changed.wait(gather).unwrap_or_else(PoisonError::into_inner));
            continue;
        }
        for seq in next..next + messages {
            let parts: [&[u8]; 2] = [&head, &body];
            let payload = Payload::parts(&parts).with_body(BODY as u32);
            gather.message(QUEUE, seq, MessageFlags::SEEN, 0, 0, payload);
        }
        next += messages;
        let old = next.saturating_sub(SETTLED_AFTER * messages);
        let share = messages.div_ceil(settles.max(1));
        for settle in 0..settles {
            let first = old.saturating_sub(messages) + settle * share;
            gather.settle(QUEUE, &[(first, first + share - 1)], SettleReason::Acknowledged);
        }
        drop(gather);
        shared.changed.notify_all();
    }
}

fn write(mut writer: LogWriter<RealDisk>, shared: &Shared, messages: u64) -> Result<(), StorageError> {
    let mut batch = writer.gather();
    while !shared.is_over() {
        let mut gather = shared.gather.lock().unwrap_or_else(PoisonError::into_inner);
        if gather.is_empty() {
            drop(shared.changed.wait(gather).unwrap_or_else(PoisonError::into_inner));
            continue;
        }
        gather.hand_over(&mut batch);
        drop(gather);
        shared.changed.notify_all();
        writer.step(&mut batch)?;
        shared.durable.fetch_add(messages, Ordering::Relaxed);
        writer.tend()?;
    }
    Ok(())
}

fn keep(store: &Store<RealDisk>, shared: &Shared) -> Result<(), StorageError> {
    while !shared.is_over() {
        if store.checkpoint_is_due() {
            store.checkpoint(&mut |_| Ok(()))?;
        } else {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}
