//! Definitions: opaque keys and values that the log changes and a checkpoint keeps beside it.
//!
//! The log is the truth. The checkpoint (sled) and the export (`definitions.json`) each hold the state up
//! to a position; what the log has beyond is applied on top. Losing both costs nothing while the log is
//! whole from its first slot, as it is in this version.

pub(crate) mod export;
mod sled;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::log::pool::SlotPool;
use crate::record::Position;

pub use self::sled::SledCheckpoint;

/// The export is written at most this often, except at a clean stop.
const EXPORT_EVERY_MS: u64 = 30_000;
/// Changes are given to the checkpoint in portions of about this size, somewhat less than it writes between two syncs.
const TOGETHER_BYTES: usize = 48 << 10;
/// What it writes beside key and value, roughly.
const CHANGE_OVERHEAD: usize = 64;

/// A key with its new value, or without one when it is deleted.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// The state of the definitions at a position of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Definitions {
    /// Keys and values; storage knows the meaning of neither.
    pub entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The revision of the last change, or 0.
    pub revision: u64,
    /// The position of the last change, or 0.
    pub position: Position,
}

impl Definitions {
    /// Applies one record.
    pub fn apply(&mut self, position: Position, revision: u64, changes: &[Change]) {
        for (key, value) in changes {
            match value {
                Some(value) => self.entries.insert(key.clone(), value.clone()),
                None => self.entries.remove(key),
            };
        }
        self.revision = self.revision.max(revision);
        self.position = self.position.max(position);
    }

    /// What turns these entries into those of `later`.
    fn changes_to(&self, later: &Self) -> Vec<Change> {
        let gone = self.entries.keys().filter(|key| !later.entries.contains_key(*key));
        let new = later.entries.iter().filter(|(key, value)| self.entries.get(*key) != Some(*value));
        let gone = gone.map(|key| (key.clone(), None));
        gone.chain(new.map(|(key, value)| (key.clone(), Some(value.clone())))).collect()
    }
}

/// Where the definitions of a start came from, apart from the log's later records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefinitionsSource {
    /// There was no store.
    New,
    /// The checkpoint, verified.
    Checkpoint,
    /// The export: the checkpoint was missing or failed its verification.
    Export,
    /// The log alone: both were missing or damaged.
    Log,
}

/// A place for the definitions beside the log. It may lose everything but must never give wrong bytes.
pub trait DefinitionCheckpoint: Send {
    /// All definitions and the position they cover; `None` if it is empty.
    ///
    /// # Errors
    /// `Checkpoint` if what is there cannot be verified: it will be rebuilt by [`reset`](Self::reset).
    fn load(&mut self) -> Result<Option<Definitions>, StorageError>;

    /// Adds one change that is durable in the log. When this returns it is durable here.
    ///
    /// # Errors
    /// `Checkpoint` or `Io`: the process must stop, as what is on disk is unknown.
    fn apply(&mut self, position: Position, revision: u64, changes: &[Change]) -> Result<(), StorageError>;

    /// Replaces everything.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    fn reset(&mut self, definitions: &Definitions) -> Result<(), StorageError>;

    /// Ends its use in good order.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    fn close(self: Box<Self>) -> Result<(), StorageError>;
}

/// Keeps checkpoint and export behind the log while the broker runs. Belongs to a thread that may wait
/// for the disk, and is fed in log order with what is already durable in the log.
pub struct DefinitionStore<D: Disk> {
    disk: D,
    slots: Arc<SlotPool<D>>,
    export_path: PathBuf,
    log: [u8; 16],
    checkpoint: Option<Box<dyn DefinitionCheckpoint>>,
    state: Definitions,
    exported: Option<Position>,
    exported_at_ms: Option<u64>,
}

impl<D: Disk> DefinitionStore<D> {
    /// Begins with what recovery found. A checkpoint that was not the source, or is behind, is made whole.
    ///
    /// # Errors
    /// `Checkpoint` or `Io` if that fails.
    pub fn start(
        dir: &DataDir<D>,
        mut checkpoint: Option<Box<dyn DefinitionCheckpoint>>,
        recovered: &Definitions,
        source: DefinitionsSource,
    ) -> Result<Self, StorageError> {
        if let Some(checkpoint) = &mut checkpoint {
            let current = match source {
                DefinitionsSource::Checkpoint => checkpoint.load()?,
                DefinitionsSource::New | DefinitionsSource::Export | DefinitionsSource::Log => None,
            };
            match current {
                Some(current) if current == *recovered => {}
                Some(current) => {
                    let changes = current.changes_to(recovered);
                    checkpoint.apply(recovered.position, recovered.revision, &changes)?;
                }
                None => checkpoint.reset(recovered)?,
            }
        }
        let mut store = Self {
            disk: dir.disk().clone(),
            slots: Arc::clone(dir.pool()),
            export_path: dir.export_path(),
            log: dir.log_id(),
            checkpoint,
            state: recovered.clone(),
            exported: None,
            exported_at_ms: None,
        };
        let exported = export::read(&store.disk, &store.export_path, &store.log);
        store.exported =
            exported.ok().flatten().filter(|found| *found == store.state).map(|found| found.position);
        Ok(store)
    }

    /// Adds a change that is durable in the log at `position`.
    ///
    /// # Errors
    /// `Checkpoint` or `Io`: the process must stop.
    pub fn apply(
        &mut self,
        position: Position,
        revision: u64,
        changes: &[Change],
    ) -> Result<(), StorageError> {
        assert!(position > self.state.position, "definitions go to the checkpoint in log order");
        self.state.apply(position, revision, changes);
        self.slots.sync_written()?;
        match &mut self.checkpoint {
            Some(checkpoint) => checkpoint.apply(position, revision, changes),
            None => Ok(()),
        }
    }

    /// Adds records that are durable in the log, many of them at once: a hundred thousand declared queues are a few
    /// hundred writes of the checkpoint, not as many as records. Of several changes of one key the last one counts.
    ///
    /// # Errors
    /// `Checkpoint` or `Io`: the process must stop.
    pub fn apply_all<'r>(
        &mut self,
        records: impl IntoIterator<Item = (Position, u64, &'r [Change])>,
    ) -> Result<(), StorageError> {
        let mut together: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
        let mut bytes = 0;
        for (position, revision, changes) in records {
            assert!(position > self.state.position, "definitions go to the checkpoint in log order");
            self.state.apply(position, revision, changes);
            for (key, value) in changes {
                bytes += key.len() + value.as_ref().map_or(0, Vec::len) + CHANGE_OVERHEAD;
                together.insert(key, value.as_deref());
            }
            if bytes >= TOGETHER_BYTES {
                self.keep(&mut together)?;
                bytes = 0;
            }
        }
        self.keep(&mut together)
    }

    /// Gives the checkpoint what leads it to the present state, whose position it covers then.
    fn keep(&mut self, together: &mut BTreeMap<&[u8], Option<&[u8]>>) -> Result<(), StorageError> {
        let together = std::mem::take(together);
        let Some(checkpoint) = self.checkpoint.as_mut().filter(|_| !together.is_empty()) else {
            return Ok(());
        };
        // What is beside the log must not be ahead of it after a power cut; a log that syncs each batch has done this.
        self.slots.sync_written()?;
        let owned = |(key, value): (&[u8], Option<&[u8]>)| (key.to_vec(), value.map(<[u8]>::to_vec));
        let changes: Vec<Change> = together.into_iter().map(owned).collect();
        checkpoint.apply(self.state.position, self.state.revision, &changes)
    }

    /// Writes the export if the definitions moved and the last one is old enough. Says whether it did.
    ///
    /// # Errors
    /// `Full` or `Io`: the one before is still there.
    pub fn export_if_due(&mut self, now_ms: u64) -> Result<bool, StorageError> {
        let is_recent = self.exported_at_ms.is_some_and(|at| now_ms < at.saturating_add(EXPORT_EVERY_MS));
        if is_recent || self.exported == Some(self.state.position) {
            return Ok(false);
        }
        self.exported_at_ms = Some(now_ms);
        self.export()?;
        Ok(true)
    }

    /// Writes the export if the definitions moved, and closes the checkpoint.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn close(mut self) -> Result<(), StorageError> {
        self.export()?;
        self.checkpoint.take().map_or(Ok(()), DefinitionCheckpoint::close)
    }

    /// The definitions as fed so far.
    #[must_use]
    pub fn definitions(&self) -> &Definitions {
        &self.state
    }

    /// Writes the export if the definitions moved since the last one.
    ///
    /// # Errors
    /// `Full` or `Io`: the one before is still there.
    pub fn export(&mut self) -> Result<(), StorageError> {
        if self.exported == Some(self.state.position) {
            return Ok(());
        }
        self.slots.sync_written()?;
        export::write(&self.disk, &self.export_path, &self.log, &self.state)?;
        self.exported = Some(self.state.position);
        Ok(())
    }
}

impl<D: Disk> std::fmt::Debug for DefinitionStore<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DefinitionStore")
            .field("export_path", &self.export_path)
            .field("entries", &self.state.entries.len())
            .field("position", &self.state.position)
            .finish_non_exhaustive()
    }
}

/// The best state beside the log: the verified checkpoint, else the export, else none.
pub(crate) fn load<D: Disk>(
    dir: &DataDir<D>,
    checkpoint: Option<&mut dyn DefinitionCheckpoint>,
) -> Result<(Definitions, DefinitionsSource), StorageError> {
    match checkpoint.map_or(Ok(None), |checkpoint| checkpoint.load()) {
        Ok(Some(definitions)) => return Ok((definitions, DefinitionsSource::Checkpoint)),
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "the definitions' checkpoint is rebuilt"),
    }
    match export::read(dir.disk(), &dir.export_path(), &dir.log_id()) {
        Ok(Some(definitions)) => return Ok((definitions, DefinitionsSource::Export)),
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "the definitions' export is not used"),
    }
    Ok((Definitions::default(), DefinitionsSource::Log))
}
