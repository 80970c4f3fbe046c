//! The log writer without a broker: the same records, bytes and batches, appended by one thread and written by another.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
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

/// Batches that wait to be written, so that the writer never waits for the other thread to be woken.
const READY: usize = 4;

/// What the log writer did alone.
pub(crate) struct Alone {
    /// Messages for each second.
    pub(crate) rate: f64,
    /// CPU seconds for a million messages.
    pub(crate) cpu: f64,
}

struct Shared {
    stop: AtomicBool,
    /// Messages that are durable.
    durable: AtomicU64,
}

/// Ends the other threads when one ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Writes batches of this shape for a while, with checkpoints as they become due.
pub(crate) fn measure(dir: &Path, durability: Durability, shape: &Shape, seconds: f64) -> Outcome<Alone> {
    let folder = tempfile::tempdir_in(dir)?;
    let options = StorageOptions { durability, ..StorageOptions::default() };
    let data = DataDir::open(RealDisk, &folder.path().join("data"), options)?;
    let recovered = open_store(&data, None)?;
    let store = recovered.store;
    let writer = LogWriter::open(&data, recovered.tail)?;
    let shared = Shared { stop: AtomicBool::new(false), durable: AtomicU64::new(0) };
    let messages = shape.messages.round().max(1.0) as u64;
    let (give, filled) = mpsc::sync_channel(READY);
    let (give_back, empty) = mpsc::sync_channel(READY);
    for _ in 0..READY {
        give_back.send(writer.gather())?;
    }
    let gather = writer.gather();
    let (rate, cpu) = std::thread::scope(|scope| -> Outcome<(f64, f64)> {
        let shared = &shared;
        let writing = scope.spawn(move || write(writer, shared, messages, &filled, &give_back));
        let keeping = scope.spawn(|| keep(&store, shared));
        scope.spawn(move || append(gather, shape, &empty, &give));
        std::thread::sleep(Duration::from_millis(500));
        let before = (Instant::now(), shared.durable.load(Ordering::Relaxed), CpuTimes::now(&[]));
        std::thread::sleep(Duration::from_secs_f64(seconds));
        let after = (shared.durable.load(Ordering::Relaxed), CpuTimes::now(&[]));
        let took = before.0.elapsed().as_secs_f64();
        drop(Ends(&shared.stop));
        writing.join().map_err(|_| "the log's thread panicked")??;
        keeping.join().map_err(|_| "the checkpoint's thread panicked")??;
        let done = (after.0 - before.1) as f64;
        Ok((done / took, after.1.since(&before.2).own.unwrap_or(f64::NAN) * 1e6 / done))
    })?;
    Ok(Alone { rate, cpu })
}

/// Appends batches until nobody takes them.
fn append(
    mut gather: Gather,
    shape: &Shape,
    empty: &mpsc::Receiver<Gather>,
    give: &mpsc::SyncSender<Gather>,
) {
    let body = vec![b'x'; BODY];
    let messages = shape.messages.round().max(1.0) as u64;
    let settles = (shape.records - shape.messages).round().max(0.0) as u64;
    // What of a batch is neither its header, nor padding, nor heads of records: bodies and what stands beside them.
    let beside = shape.bytes - 160.0 - 2048.0 - 36.0 * shape.messages - 40.0 * settles as f64;
    let head = vec![b'h'; (beside / shape.messages - BODY as f64).clamp(0.0, 256.0) as usize];
    let mut next = 1;
    while let Ok(mut filled) = empty.recv() {
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
        gather.hand_over(&mut filled);
        if give.send(filled).is_err() {
            return;
        }
    }
}

fn write(
    mut writer: LogWriter<RealDisk>,
    shared: &Shared,
    messages: u64,
    filled: &mpsc::Receiver<Gather>,
    give_back: &mpsc::SyncSender<Gather>,
) -> Result<(), StorageError> {
    let _ends = Ends(&shared.stop);
    while !shared.stop.load(Ordering::Acquire)
        && let Ok(mut batch) = filled.recv()
    {
        writer.step(&mut batch)?;
        shared.durable.fetch_add(messages, Ordering::Relaxed);
        writer.tend()?;
        // There is room for all that there are.
        _ = give_back.send(batch);
    }
    Ok(())
}

fn keep(store: &Store<RealDisk>, shared: &Shared) -> Result<(), StorageError> {
    let _ends = Ends(&shared.stop);
    while !shared.stop.load(Ordering::Acquire) {
        if store.checkpoint_is_due() {
            store.checkpoint(&mut |_| Ok(()))?;
        } else {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}
