//! Both logs of a broker with what reads and shortens them: which thread there is, and in which order they end.
//!
//! ```text
//!            log                          spill (what may be lost with the process)
//!   append ─► log thread ─► store        append ─► spill thread ─► store
//!              ▲ holds        ▲                      ▲ holds          ▲
//!          checkpoint thread ─┤                  spill checkpoint ────┤
//!                             └────────── io threads, for queues ─────┘
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use leveret_engine::Broker;
use leveret_engine::broker::Cold;
use leveret_storage::{DataDir, LogTail, LogWriter, RealDisk, StorageError, Store, open_spill};
use parking_lot::Mutex;

use crate::checkpoint::{CheckpointThread, Pacer};
use crate::definitions::DefinitionKeeper;
use crate::io::{Io, IoThreads};
use crate::log::{Hooks, LogThread, SharedLog};
use crate::seams::Shell;
use crate::server::{ServerError, end_process};

/// Both logs, with nobody yet to serve.
pub struct Logs {
    log: LogThread<RealDisk>,
    spill: LogThread<RealDisk>,
    pacer: Pacer<RealDisk>,
    spill_pacer: Pacer<RealDisk>,
    io: Io,
    store: Store<RealDisk>,
    is_short: Arc<AtomicBool>,
}

/// The threads that serve a broker.
pub struct StorageThreads {
    logs: Logs,
    io: IoThreads,
    checkpoint: CheckpointThread<RealDisk>,
    spill_checkpoint: CheckpointThread<RealDisk>,
}

impl Logs {
    /// Opens both logs and starts their threads. `full` hears whether the disk is full.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn open(
        dir: &DataDir<RealDisk>,
        tail: LogTail,
        store: Store<RealDisk>,
        full: impl Fn(bool) + Clone + Send + 'static,
    ) -> Result<Self, ServerError> {
        let writer = LogWriter::open(dir, tail)?;
        let (spill_store, spill_writer) = open_spill(dir)?;
        let is_short = Arc::new(AtomicBool::new(false));
        let pacer = Pacer::new(store.clone(), Arc::clone(&is_short), true);
        let spill_pacer = Pacer::new(spill_store.clone(), Arc::clone(&is_short), false);
        let full = either_full(full);
        let log = start_log("log", writer, &pacer, full.clone())?;
        let spill = start_log("spill", spill_writer, &spill_pacer, full)?;
        let io = Io::new((log.log(), store.clone()), (spill.log(), spill_store));
        Ok(Self { log, spill, pacer, spill_pacer, io, store, is_short })
    }

    /// The log.
    pub fn log(&self) -> SharedLog {
        self.log.log()
    }

    /// Where a broker's messages lie that are not in memory.
    pub fn cold(&self) -> Cold<Shell> {
        Cold { spill: self.spill.log(), store: self.io.clone() }
    }

    /// Serves a broker. What a crash left too long is made short before this returns.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn serve(
        self,
        broker: &Arc<Broker<Shell>>,
        definitions: DefinitionKeeper,
    ) -> Result<StorageThreads, ServerError> {
        if self.store.checkpoint_is_due() {
            self.pacer.checkpoint(&mut |position| definitions.keep(position)).or_else(unless_full)?;
        }
        let thread = |what: &str| ServerError::system(format!("start the {what}"));
        let io = IoThreads::start(&self.io, broker).map_err(thread("threads that read"))?;
        let keep = Box::new(move |position| definitions.keep(position));
        let checkpoint = CheckpointThread::start("checkpoint", self.pacer.clone(), keep, |error| {
            end_process("checkpoint", error);
        })
        .map_err(thread("checkpoint's thread"))?;
        // No definition is ever spilled.
        let keep = Box::new(|_| Ok(()));
        let spill_checkpoint =
            CheckpointThread::start("spill-runs", self.spill_pacer.clone(), keep, |error| {
                end_process("spill", error);
            })
            .map_err(thread("spill's checkpoint"))?;
        Ok(StorageThreads { logs: self, io, checkpoint, spill_checkpoint })
    }
}

impl StorageThreads {
    /// For who measures the disk: hears whether it is short of room, in which case no slot is held ready, and says how
    /// many bytes of it are there to be overwritten.
    pub fn reusable(&self) -> impl Fn(bool) -> u64 + Send + Sync + use<> {
        let (store, flag) = (self.logs.store.clone(), Arc::clone(&self.logs.is_short));
        move |is_short| {
            flag.store(is_short, Ordering::Relaxed);
            store.room().free_bytes
        }
    }

    /// No queue is served any more. To be called before what was delivered is logged.
    pub fn stop_reading(&self) {
        self.io.stop();
    }

    /// Makes the last checkpoint, so that the next start reads little of the log, and ends the checkpoints. The log
    /// is synced, the definitions' thread still runs.
    ///
    /// # Errors
    /// What kept the checkpoint from being written; a full disk does not count.
    pub fn stop_checkpoints(self, definitions: &DefinitionKeeper) -> Result<StoppedLogs, StorageError> {
        self.checkpoint.stop();
        self.spill_checkpoint.stop();
        self.io.join();
        let Logs { log, spill, store, .. } = self.logs;
        store.checkpoint(&mut |position| definitions.keep(position)).or_else(unless_full)?;
        Ok(StoppedLogs { log, spill })
    }
}

/// Both logs, to be closed.
pub struct StoppedLogs {
    log: LogThread<RealDisk>,
    spill: LogThread<RealDisk>,
}

impl StoppedLogs {
    /// Ends the log with the mark of a clean stop.
    ///
    /// # Errors
    /// What kept it from being written.
    pub fn stop(self) -> Result<(), StorageError> {
        let stopped = self.log.stop();
        // Nothing of it is ever read again.
        _ = self.spill.stop();
        stopped
    }
}

/// Tells `full` when the first of two logs finds the disk full, and when neither does any more. Each says so in turn.
fn either_full(full: impl Fn(bool) + Clone + Send + 'static) -> impl Fn(bool) + Clone + Send + 'static {
    let logs = Arc::new(Mutex::new(0_u8));
    move |is_full| {
        let mut logs = logs.lock();
        let before = *logs;
        *logs = if is_full { before.saturating_add(1) } else { before.saturating_sub(1) };
        // Under the lock, so that the last word is the true one.
        if (before == 0) != (*logs == 0) {
            full(is_full);
        }
    }
}

fn start_log(
    name: &'static str,
    writer: LogWriter<RealDisk>,
    pacer: &Pacer<RealDisk>,
    full: impl Fn(bool) + Send + 'static,
) -> Result<LogThread<RealDisk>, ServerError> {
    let (holding, filling) = (pacer.clone(), pacer.clone());
    let hooks = Hooks {
        failed: Box::new(move |error| end_process(name, error)),
        full: Box::new(move |is_full| {
            filling.set_full(is_full);
            full(is_full);
        }),
        is_held: holding.is_held(),
        hold: Box::new(move || holding.hold()),
    };
    LogThread::start(name, writer, hooks)
        .map_err(ServerError::system(format!("start the thread of the {name}")))
}

/// A checkpoint that had no room is made by a later start.
fn unless_full<T: Default>(error: StorageError) -> Result<T, StorageError> {
    if error.is_full() { Ok(T::default()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_full_while_either_log_finds_it_full() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let tell = either_full(move |is_full| heard.lock().push(is_full));
        let (log, spill) = (tell.clone(), tell);
        log(true);
        spill(true);
        spill(false);
        assert_eq!(*told.lock(), [true], "the log is still full");
        log(false);
        assert_eq!(*told.lock(), [true, false]);
    }
}
