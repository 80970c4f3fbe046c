//! The thread that keeps the definitions' checkpoint and export behind the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use leveret_engine::{Broker, Log};
use leveret_storage::{DefinitionStore, Disk, StorageError};

use crate::clock::Clock;
use crate::seams::Shell;

/// Time between two looks for changes that the log has synced.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Feeds the checkpoint in log order with what is synced.
pub struct DefinitionThread<D: Disk> {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Result<DefinitionStore<D>, StorageError>>,
}

impl<D: Disk + Send + 'static> DefinitionThread<D> {
    /// Starts the thread. `failed` is called once if the checkpoint can no longer be written.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        mut store: DefinitionStore<D>,
        broker: Arc<Broker<Shell>>,
        clock: Clock,
        failed: impl FnOnce(&StorageError) + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("definitions".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                if let Err(error) = feed(&mut store, &broker, clock) {
                    failed(&error);
                    return Err(error);
                }
                thread::park_timeout(LOOK_EVERY);
            }
            feed(&mut store, &broker, clock).map(|()| store)
        })?;
        Ok(Self { stop, thread })
    }

    /// Takes what is left, writes the export and closes the checkpoint. The log must be synced before.
    ///
    /// # Errors
    /// What kept the checkpoint from being written.
    pub fn stop(self) -> Result<(), StorageError> {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        match self.thread.join() {
            Ok(store) => store?.close(),
            Err(_) => Ok(()),
        }
    }
}

fn feed<D: Disk>(
    store: &mut DefinitionStore<D>,
    broker: &Broker<Shell>,
    clock: Clock,
) -> Result<(), StorageError> {
    for record in broker.take_definition_records(broker.log.synced()) {
        store.apply(record.position, record.revision, &record.changes)?;
    }
    if let Err(error) = store.export_if_due(clock.now().0) {
        // The export before it is still there, and the log is the truth; a later look tries again.
        tracing::warn!("the definitions' export was not written: {error}");
    }
    Ok(())
}
