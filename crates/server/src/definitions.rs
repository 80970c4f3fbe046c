//! The thread that keeps the definitions' checkpoint and export behind the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use leveret_engine::{Broker, Log};
use leveret_storage::{DefinitionStore, Disk, Position, StorageError};
use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;
use crate::seams::Shell;

/// Time between two looks for changes that the log has synced.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a stop waits for the checkpoint. After a failed write sled now and then waits for ever for itself; the log
/// has everything, and the next start reads it from there.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What others ask of the thread.
#[derive(Default)]
struct Asked {
    /// Checkpoint and export are to cover this position.
    wanted: Position,
    /// They do up to here.
    kept: Position,
    /// Why the last try came to nothing.
    failed: Option<StorageError>,
}

struct Inner {
    stop: AtomicBool,
    asked: Mutex<Asked>,
    answered: Condvar,
}

/// Has the definitions kept beside the log, from another thread.
#[derive(Clone)]
pub struct DefinitionKeeper {
    inner: Arc<Inner>,
    thread: thread::Thread,
}

impl DefinitionKeeper {
    /// Waits until checkpoint and export cover the log up to `position`, which must be synced.
    ///
    /// # Errors
    /// What kept them from being written.
    pub fn keep(&self, position: Position) -> Result<(), StorageError> {
        let mut asked = self.inner.asked.lock();
        while asked.kept < position {
            if self.inner.stop.load(Ordering::Acquire) {
                return Err(StorageError::Poisoned);
            }
            asked.wanted = asked.wanted.max(position);
            self.thread.unpark();
            self.inner.answered.wait(&mut asked);
            if let Some(error) = asked.failed.take() {
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Feeds the checkpoint in log order with what is synced.
pub struct DefinitionThread {
    inner: Arc<Inner>,
    thread: thread::JoinHandle<()>,
    /// How its work ended; the lock is only for the type.
    ended: Mutex<Receiver<Result<(), StorageError>>>,
}

impl DefinitionThread {
    /// Starts the thread. `failed` is called once if the checkpoint can no longer be written.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start<D: Disk + Send + 'static>(
        mut store: DefinitionStore<D>,
        broker: Arc<Broker<Shell>>,
        clock: Clock,
        failed: impl FnOnce(&StorageError) + Send + 'static,
    ) -> std::io::Result<Self> {
        let inner = Arc::new(Inner {
            stop: AtomicBool::new(false),
            asked: Mutex::default(),
            answered: Condvar::new(),
        });
        let shared = Arc::clone(&inner);
        let (ends, ended) = channel();
        let thread = thread::Builder::new().name("definitions".to_owned()).spawn(move || {
            while !shared.stop.load(Ordering::Acquire) {
                if let Err(error) = feed(&mut store, &broker, clock) {
                    failed(&error);
                    let _ = ends.send(Err(error));
                    return;
                }
                if !shared.answer(&mut store) {
                    thread::park_timeout(LOOK_EVERY);
                }
            }
            let _ = ends.send(feed(&mut store, &broker, clock).and_then(|()| store.close()));
        })?;
        Ok(Self { inner, thread, ended: Mutex::new(ended) })
    }

    /// For who needs the definitions kept at once.
    pub fn keeper(&self) -> DefinitionKeeper {
        DefinitionKeeper { inner: Arc::clone(&self.inner), thread: self.thread.thread().clone() }
    }

    /// Takes what is left, writes the export and closes the checkpoint. The log must be synced before.
    ///
    /// # Errors
    /// What kept the checkpoint from being written, or that it took longer than [`STOP_PATIENCE`].
    pub fn stop(self) -> Result<(), StorageError> {
        self.inner.stop.store(true, Ordering::Release);
        {
            // Under the lock, or who is about to wait would miss it.
            let _asked = self.inner.asked.lock();
            self.inner.answered.notify_all();
        }
        self.thread.thread().unpark();
        match self.ended.into_inner().recv_timeout(STOP_PATIENCE) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => Err(StorageError::Checkpoint {
                folder: "definitions".into(),
                why: format!("it did not end within {} s", STOP_PATIENCE.as_secs()),
            }),
            // It panicked, and said so.
            Err(RecvTimeoutError::Disconnected) => Ok(()),
        }
    }
}

impl Inner {
    /// Keeps what was asked for, if the store was fed that far. True if somebody still waits for more.
    fn answer<D: Disk>(&self, store: &mut DefinitionStore<D>) -> bool {
        let (wanted, kept) = {
            let asked = self.asked.lock();
            (asked.wanted, asked.kept)
        };
        if wanted <= kept {
            return false;
        }
        let fed = store.definitions().position;
        if fed < wanted {
            // The record is synced, and on its way here.
            thread::park_timeout(Duration::from_millis(1));
            return true;
        }
        let result = store.export();
        let mut asked = self.asked.lock();
        match result {
            Ok(()) => asked.kept = fed,
            Err(error) => {
                asked.wanted = asked.kept;
                asked.failed = Some(error);
            }
        }
        self.answered.notify_all();
        false
    }
}

fn feed<D: Disk>(
    store: &mut DefinitionStore<D>,
    broker: &Broker<Shell>,
    clock: Clock,
) -> Result<(), StorageError> {
    let records = broker.take_definition_records(broker.log.synced());
    store.apply_all(records.iter().map(|record| (record.position, record.revision, &*record.changes)))?;
    if let Err(error) = store.export_if_due(clock.now().0) {
        // The export before it is still there, and the log is the truth; a later look tries again.
        tracing::warn!("the definitions' export was not written: {error}");
    }
    Ok(())
}
