//! Bytes that survive: the log, its slots, recovery and the checkpoint of definitions.
//!
//! The log is the only truth for definitions, messages and settlements. The promise: **when the synced
//! position has passed a record's position, that record survives the death of the process and of the
//! machine at any instant**, on a drive that keeps what it was told to flush. A record of a group survives
//! with the group's commit. What is damaged is never served: recovery refuses to start, naming file and
//! offset, or quarantines the queues the damage hits.
//!
//! This crate knows no AMQP, no threads and no clock. It appends, writes and reads when told to, through
//! the [`Disk`] trait; sled's own folder is the one exception. `docs/STORAGE.md` describes the bytes.
//!
//! ```
//! use std::path::Path;
//! use leveret_storage::{DataDir, LogWriter, MemoryDisk, MessageFlags, Payload, StorageOptions, recover};
//! # use leveret_storage::{Definitions, RecoveredMessage, RecoverySink, StorageError};
//! # #[derive(Default)]
//! # struct Bodies(Vec<bytes::Bytes>);
//! # impl RecoverySink for Bodies {
//! #     fn definitions(&mut self, _: &Definitions) {}
//! #     fn message(&mut self, message: RecoveredMessage) { self.0.push(message.payload); }
//! # }
//! # fn main() -> Result<(), StorageError> {
//! let disk = MemoryDisk::new(1);
//! let open = || DataDir::open(disk.clone(), Path::new("/data"), StorageOptions::default());
//!
//! let dir = open()?;
//! let mut log = LogWriter::open(&dir, recover(&dir, None, &mut Bodies::default())?.tail)?;
//! let mut gather = log.gather();
//! let position = gather.message(1, 1, MessageFlags::SEEN, 0, 0, Payload::parts(&[b"hello"]));
//! assert!(log.step(&mut gather)? >= position); // now it may be confirmed
//! drop((log, dir));
//!
//! let mut survived = Bodies::default();
//! recover(&open()?, None, &mut survived)?;
//! assert_eq!(survived.0, ["hello"]);
//! # Ok(())
//! # }
//! ```

mod data_dir;
mod definitions;
mod disk;
mod error;
mod format;
mod index;
mod inspect;
mod log;
mod manifest;
pub mod planted;
mod ranges;
mod record;
mod recovery;
mod run;
mod store;

pub use data_dir::{DataDir, Durability, StorageOptions};
pub use definitions::{
    Change as DefinitionChange, DefinitionCheckpoint, DefinitionStore, Definitions, DefinitionsSource,
    SledCheckpoint,
};
pub use disk::{CrashKeeps, Disk, MemoryDisk, MemoryFile, MemoryLock, RealDisk, RealLock, Space};
pub use error::StorageError;
pub use index::LineCount;
pub use inspect::{Checkpoints, Loss, Lost, Progress, Report, Watch, salvage, verify};
pub use log::gather::Gather;
pub use log::writer::{LogWriter, WriterStatistics};
pub use record::{BodyRef, GroupId, MessageFlags, Payload, Position, SettleReason};
pub use recovery::{
    LogTail, Quarantined, Recovered, RecoveredMessage, RecoveredQueue, RecoverySink, RecoveryStatistics,
    open_store, recover,
};
pub use store::{CheckpointDone, Found, Located, Read, Store, StoreRoom, StoreStatistics, open_spill};

#[cfg(test)]
mod tests;
