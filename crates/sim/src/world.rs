//! One life of a broker on the simulated disk: from recovery to a stop or to the loss of power.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leveret_core::access::{Access, PasswordHash, Permission, User};
use leveret_core::definition::{Definition, VhostDefinition};
use leveret_engine::boot::{BootError, boot, is_first_start};
use leveret_engine::broker::{Cold, Settings};
use leveret_engine::{Broker, Log, Registry};
use leveret_storage::{
    CheckpointDone, CrashKeeps, DataDir, DefinitionStore, Disk, Durability, LogWriter, MemoryDisk,
    StorageError, StorageOptions, StoreStatistics, WriterStatistics, open_spill,
};

use crate::chance::Chance;
use crate::clock::SimClock;
use crate::cold::{self, SimStore, Step};
use crate::definitions::SimCheckpoint;
use crate::log::{SimLog, SimWriter};
use crate::seams::Plain;
use crate::topology::QueueAt;

/// Where the store lies on the simulated disk.
const ROOT: &str = "/data";

/// The smallest slots that the log runs in, so that a short life uses many.
const SLOT_BYTES: u64 = 64 * 1024;

/// What the log may hold above its cut before a checkpoint is due: little, so that a short life makes many.
const TAIL_MESSAGES: u64 = 150;
const TAIL_RECORDS: u64 = 400;

/// So much of a merge is one step: little, so that there is time for other things between two.
const STEP_ENTRIES: u64 = 50;

/// What a life needs of the one before.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The disk.
    pub disk: MemoryDisk,
    /// The checkpoint of the definitions.
    pub checkpoint: SimCheckpoint,
    /// The clock.
    pub clock: SimClock,
}

impl Machine {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            disk: MemoryDisk::new(seed),
            checkpoint: SimCheckpoint::default(),
            clock: SimClock::new(1_000_000),
        }
    }

    /// A copy of what is there, to look into without changing it.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            disk: self.disk.crash(CrashKeeps::Everything),
            checkpoint: self.checkpoint.copy(),
            clock: SimClock::new(self.clock.now_ms()),
        }
    }
}

/// A queue may hold publishers back from a handful of messages on.
const HELD_BACKLOG_BYTES: u64 = 512;

/// What an operator sets.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Bytes of messages that may be in memory.
    pub hot_window_bytes: u64,
    /// What a confirm waits for.
    pub durability: Durability,
    /// Clients are not read while so many bytes wait for the log.
    pub log_backlog_bytes: usize,
}

/// A running broker.
pub struct World {
    /// The broker.
    pub broker: Arc<Broker<Plain>>,
    /// The log's end as recovery found it: its last position.
    pub recovered_end: u64,
    /// Whether the stop before was clean.
    pub clean_stop: bool,
    machine: Machine,
    writer: SimWriter<MemoryDisk>,
    spill_writer: SimWriter<MemoryDisk>,
    definitions: DefinitionStore<MemoryDisk>,
    _dir: DataDir<MemoryDisk>,
}

/// Why a life did not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Recovery refused, or the disk failed.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The log could not be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl StartError {
    /// Whether the disk failed, in place of what is on it being refused.
    #[must_use]
    pub fn is_of_disk(&self) -> bool {
        matches!(
            self,
            Self::Storage(StorageError::Io { .. }) | Self::Boot(BootError::Storage(StorageError::Io { .. }))
        ) || self.is_full()
    }

    /// Whether there was no room on the disk.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(
            self,
            Self::Storage(StorageError::Full { .. })
                | Self::Boot(BootError::Storage(StorageError::Full { .. }))
        )
    }
}

impl World {
    /// Recovers what is on the disk and begins service.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(machine: Machine, terms: Terms) -> Result<Self, StartError> {
        let options = StorageOptions {
            slot_bytes: Some(SLOT_BYTES),
            tail_messages: Some(TAIL_MESSAGES),
            tail_records: Some(TAIL_RECORDS),
            step_entries: Some(STEP_ENTRIES),
            durability: terms.durability,
            ..StorageOptions::default()
        };
        let dir = DataDir::open(machine.disk.clone(), Path::new(ROOT), options)?;
        let mut checkpoint = machine.checkpoint.clone();
        let (booted, recovered) = boot::<Plain, MemoryDisk>(&dir, Some(&mut checkpoint), Access::new([]))?;
        let first_start = is_first_start(&booted);
        let recovered_end = recovered.next_position.0 - 1;
        let writer = LogWriter::open(&dir, recovered.tail)?;
        let definitions = DefinitionStore::start(
            &dir,
            Some(Box::new(checkpoint)),
            &recovered.definitions,
            recovered.definitions_source,
        )?;
        let log = SimLog::new(&writer);
        let (spill_store, spill_writer) = open_spill(&dir)?;
        let store = SimStore::new(recovered.store, spill_store);
        let cold = Cold { spill: SimLog::new(&spill_writer), store };
        let settings = Settings {
            hot_window_bytes: terms.hot_window_bytes,
            log_backlog_bytes: terms.log_backlog_bytes,
            held_backlog_bytes: HELD_BACKLOG_BYTES,
            ..Settings::default()
        };
        let random = AtomicU64::new(0);
        let entropy = move || u128::from(random.fetch_add(1, Ordering::Relaxed)).to_le_bytes();
        let clock = machine.clock.as_engine();
        let broker = Arc::new(Broker::new(settings, booted, log, cold, Box::new(entropy), clock));
        let mut world = Self {
            broker,
            recovered_end,
            clean_stop: recovered.clean_stop,
            machine,
            writer: SimWriter::new(writer),
            definitions,
            _dir: dir,
            spill_writer: SimWriter::new(spill_writer),
        };
        if world.broker.store.log().checkpoint_is_due() {
            // A crash loop takes no further slots.
            world.checkpoint()?;
        }
        if first_start {
            world.create_defaults()?;
        }
        Ok(world)
    }

    fn create_defaults(&mut self) -> Result<(), StorageError> {
        let definitions = [
            Definition::Vhost(VhostDefinition::new("/".into())),
            Definition::User(User {
                name: "guest".into(),
                password: PasswordHash::salted_sha256([1, 2, 3, 4], b"guest"),
                tags: vec!["administrator".into()],
            }),
            Definition::Permission(Permission {
                vhost: "/".into(),
                user: "guest".into(),
                configure: ".*".into(),
                write: ".*".into(),
                read: ".*".into(),
            }),
        ];
        self.broker.create_defaults(&definitions).expect("the patterns of guest's permission are valid");
        self.sync()
    }

    /// The position of everything appended so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.broker.last_position().0
    }

    /// The position up to which the log says it is durable.
    #[must_use]
    pub fn synced(&self) -> u64 {
        self.broker.log.synced().0
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &SimClock {
        &self.machine.clock
    }

    /// The disk.
    #[must_use]
    pub fn disk(&self) -> &MemoryDisk {
        &self.machine.disk
    }

    /// The log's writer takes what was gathered.
    pub fn take(&mut self) {
        self.writer.take(&self.broker.log);
    }

    /// The log's writer writes and syncs.
    ///
    /// # Errors
    /// The writer's.
    pub fn write(&mut self) -> Result<(), StorageError> {
        self.writer.write(&self.broker.log)
    }

    /// The log's writer says what is synced.
    pub fn publish(&self) {
        self.writer.publish(&self.broker.log);
    }

    /// The log's writer has nothing else to do.
    ///
    /// # Errors
    /// The writer's.
    pub fn tend(&mut self) -> Result<(), StorageError> {
        self.writer.tend(&self.broker.log)
    }

    /// Everything appended is written, synced and told.
    ///
    /// # Errors
    /// The writer's.
    pub fn sync(&mut self) -> Result<(), StorageError> {
        self.writer.sync(&self.broker.log)
    }

    /// Whether so much lies above the cut that the log's writer must wait for a checkpoint.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.broker.store.log().checkpoint_is_overdue()
    }

    /// Makes a checkpoint. The definitions and the log's writer go on while it is under way.
    ///
    /// # Errors
    /// The store's or a writer's.
    pub fn checkpoint(&mut self) -> Result<CheckpointDone, StorageError> {
        let Self { broker, definitions, writer, .. } = self;
        broker.store.log().checkpoint(&mut |position| {
            writer.sync(&broker.log)?;
            for record in broker.take_definition_records(broker.log.synced()) {
                definitions.apply(record.position, record.revision, &record.changes)?;
            }
            assert!(
                definitions.definitions().position >= position,
                "the definitions' feed has what is synced"
            );
            definitions.export()
        })
    }

    /// A step of merging, compacting and freeing; true if more is to be done. Where nothing is, what is too much is given
    /// back, and in idle moments slots are written ahead.
    ///
    /// # Errors
    /// The store's.
    pub fn tidy(&mut self, is_short: bool, is_idle: bool) -> Result<bool, StorageError> {
        let store = self.broker.store.log();
        if store.tidy()? {
            return Ok(true);
        }
        store.trim(is_short)?;
        if is_idle && !is_short {
            store.spare()?;
        }
        Ok(false)
    }

    /// The room that was held back for a checkpoint on a full disk is given up.
    ///
    /// # Errors
    /// The store's.
    pub fn spend_reserve(&mut self) -> Result<(), StorageError> {
        self.broker.store.log().spend_reserve().map(drop)
    }

    /// The spill is kept short as the log is: a checkpoint where one is due or asked for, else a step of tidying.
    ///
    /// # Errors
    /// The spill's store's.
    pub fn tidy_spill(&mut self, checkpoint: bool) -> Result<(), StorageError> {
        let store = self.broker.store.spill();
        if checkpoint || store.checkpoint_is_due() {
            // No definition is ever spilled.
            return store.checkpoint(&mut |_| Ok(())).map(drop);
        }
        if !store.tidy()? {
            store.trim(false)?;
        }
        Ok(())
    }

    /// What was done to the files of the log, and of the spill.
    #[must_use]
    pub fn store_statistics(&self) -> (StoreStatistics, StoreStatistics) {
        (self.broker.store.log().statistics(), self.broker.store.spill().statistics())
    }

    /// What the log's writer did so far.
    #[must_use]
    pub fn log_statistics(&self) -> WriterStatistics {
        self.writer.statistics()
    }

    /// The spill's writer takes, writes and tells.
    ///
    /// # Errors
    /// The writer's.
    pub fn spill(&mut self) -> Result<(), StorageError> {
        self.spill_writer.sync(&self.broker.spill)
    }

    /// One step of a read, or of who waits for an Expose. With `fails` the drive fails it.
    pub fn read(&self, chance: &mut Chance, fails: bool) -> Step {
        cold::step(&self.broker, chance, fails.then_some(&self.machine.disk))
    }

    /// Everything is written and synced, and everything asked is answered.
    ///
    /// # Errors
    /// A writer's.
    pub fn settle(&mut self, chance: &mut Chance) -> Result<(), StorageError> {
        loop {
            self.sync()?;
            self.spill()?;
            if self.broker.store.is_idle() {
                return Ok(());
            }
            self.read(chance, false);
        }
    }

    /// Queues that are due are called.
    pub fn tick(&self) {
        while self.broker.next_deadline().is_some_and(|at| at.0 <= self.machine.clock.now_ms()) {
            self.broker.tick();
        }
    }

    /// The definitions' checkpoint takes what is durable, and the export is written if it is due.
    ///
    /// # Errors
    /// The store's.
    pub fn feed_definitions(&mut self) -> Result<(), StorageError> {
        for record in self.broker.take_definition_records(self.broker.log.synced()) {
            self.definitions.apply(record.position, record.revision, &record.changes)?;
        }
        match self.definitions.export_if_due(self.machine.clock.now_ms()) {
            Ok(_) => Ok(()),
            // The export before it is still there; a later look tries again.
            Err(StorageError::Full { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ready and unacked messages of a queue; `None` if it is not there.
    #[must_use]
    pub fn counts(&self, queue: QueueAt) -> Option<(u64, u64)> {
        let vhost = self.broker.vhosts.find("/")?;
        let totals = vhost.queue(&queue.spec().name.into())?.with(|cell| cell.totals());
        Some((totals.ready, totals.unacked))
    }

    /// The power goes. The machine as its next start finds it.
    #[must_use]
    pub fn crash(self, keeps: CrashKeeps) -> Machine {
        Machine { disk: self.machine.disk.crash(keeps), ..self.machine }
    }

    /// A clean stop after all clients are gone, as the server does it; then the power goes, and nothing is lost.
    ///
    /// # Errors
    /// What could not be written.
    pub fn stop(mut self) -> Result<Machine, StorageError> {
        self.broker.log_delivered();
        self.sync()?;
        for record in self.broker.take_definition_records(self.broker.log.synced()) {
            self.definitions.apply(record.position, record.revision, &record.changes)?;
        }
        self.checkpoint()?;
        self.definitions.close()?;
        self.writer.stop(&self.broker.log)?;
        Ok(Machine { disk: self.machine.disk.crash(CrashKeeps::Nothing), ..self.machine })
    }

    /// Bytes that all files take.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.machine.disk.space(Path::new(ROOT)).map_or(0, |space| space.total - space.available)
    }
}
