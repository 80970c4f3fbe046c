//! The definitions' checkpoint in sled 0.34: the only file that names it.
//!
//! sled alone is not enough, and each rule here answers something that was seen to go wrong:
//! - its `flush` does not reach the drive: every flush is followed by our own sync of its files and folders;
//! - it may overwrite old data before new data is durable when more than one of its segments (512 KiB) lies
//!   between two syncs: at most 64 KiB go into one flush, and it has no flusher of its own;
//! - it takes damage for a torn tail and drops what follows: each entry has a checksum, and a summary entry,
//!   changed with each batch, holds count and hash of all, which every start verifies;
//! - it may panic on damage: every call runs inside a guard.
//!
//! What fails the verification is thrown away and rebuilt from the export or the log.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sled::{Batch, Db};

use crate::definitions::{Change, DefinitionCheckpoint, Definitions};
use crate::error::StorageError;
use crate::record::Position;

/// Most bytes between two syncs.
const FLUSH_BYTES: usize = 64 << 10;
/// What sled writes beside key and value, roughly.
const ENTRY_OVERHEAD: usize = 64;
/// The data directory is ours alone, so the lock can only be held by threads of sled's that still finish
/// for a handle this process has just dropped.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
const SUMMARY_KEY: &[u8] = b"s";
const ENTRY_PREFIX: u8 = b'e';
const FORMAT: u8 = 1;
const SUMMARY_LEN: usize = 1 + 16 + 4 * 8;

/// The checkpoint in a folder of sled's own. Nothing is opened before [`load`](DefinitionCheckpoint::load)
/// or [`reset`](DefinitionCheckpoint::reset).
#[derive(Debug)]
pub struct SledCheckpoint {
    folder: PathBuf,
    log: [u8; 16],
    db: Option<Db>,
    summary: Summary,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Summary {
    revision: u64,
    position: u64,
    count: u64,
    hash: u64,
}

impl SledCheckpoint {
    /// A checkpoint in `folder` for the log of this id.
    #[must_use]
    pub fn new(folder: PathBuf, log: [u8; 16]) -> Self {
        Self { folder, log, db: None, summary: Summary::default() }
    }

    fn failed(&self, why: impl std::fmt::Display) -> StorageError {
        StorageError::Checkpoint { folder: self.folder.clone(), why: why.to_string() }
    }

    /// Runs what calls sled; a panic in it becomes an error.
    fn guarded<T>(
        &mut self,
        action: impl FnOnce(&mut Self) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        match catch_unwind(AssertUnwindSafe(|| action(self))) {
            Ok(result) => result,
            Err(_) => {
                self.db = None;
                Err(self.failed("sled panicked"))
            }
        }
    }

    fn open(&mut self) -> Result<(), StorageError> {
        let config = sled::Config::new().path(&self.folder).flush_every_ms(None).cache_capacity(8 << 20);
        for _ in 0..LOCK_TRIES {
            match config.open() {
                Err(error) if is_lock(&error) => std::thread::sleep(LOCK_PAUSE),
                opened => {
                    self.db = Some(opened.map_err(|error| self.failed(error))?);
                    return Ok(());
                }
            }
        }
        Err(self.failed("its lock is held"))
    }

    fn db(&self) -> Result<&Db, StorageError> {
        self.db.as_ref().ok_or_else(|| self.failed("it is not open"))
    }

    /// Reads and verifies everything.
    fn read(&mut self) -> Result<Option<Definitions>, StorageError> {
        let mut definitions = Definitions::default();
        let mut summary = None;
        let mut hash = 0u64;
        for entry in self.db()?.iter() {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            let (value, check) =
                value.split_last_chunk::<4>().ok_or_else(|| self.failed("an entry is cut"))?;
            if u32::from_le_bytes(*check) != checksum(&key, value) {
                return Err(self.failed("an entry fails its checksum"));
            }
            match key.split_first() {
                Some((&ENTRY_PREFIX, name)) => {
                    hash = hash.wrapping_add(entry_hash(name, value));
                    definitions.entries.insert(name.to_vec(), value.to_vec());
                }
                _ if *key == *SUMMARY_KEY => summary = Some(self.parse(value)?),
                _ => return Err(self.failed("an entry is foreign")),
            }
        }
        let Some(summary) = summary else {
            return if definitions.entries.is_empty() {
                Ok(None)
            } else {
                Err(self.failed("it has no summary"))
            };
        };
        if summary.count != definitions.entries.len() as u64 || summary.hash != hash {
            return Err(self.failed(format!(
                "it has {} entries with hash {hash:016x}, its summary says {} with {:016x}",
                definitions.entries.len(),
                summary.count,
                summary.hash
            )));
        }
        definitions.revision = summary.revision;
        definitions.position = Position(summary.position);
        self.summary = summary;
        Ok(Some(definitions))
    }

    fn parse(&self, value: &[u8]) -> Result<Summary, StorageError> {
        let damaged = || self.failed("its summary is damaged");
        let value: &[u8; SUMMARY_LEN] = value.try_into().map_err(|_| damaged())?;
        let ([format, head @ ..], numbers) = value.split_first_chunk::<17>().ok_or_else(damaged)?;
        if *format != FORMAT {
            return Err(self.failed("its format is unknown"));
        }
        if *head != self.log {
            return Err(self.failed("it belongs to another store"));
        }
        let mut numbers = numbers.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let mut number = || numbers.next().ok_or_else(damaged);
        Ok(Summary { revision: number()?, position: number()?, count: number()?, hash: number()? })
    }

    /// Writes changes in portions, each with a summary that fits. Until the last portion is durable the
    /// summary has the position from before, so that the log's records are applied once more.
    fn write(&mut self, changes: &[Change], end: Summary, summary_from: Summary) -> Result<(), StorageError> {
        let mut summary = summary_from;
        let mut batch = Batch::default();
        let mut bytes = 0;
        let mut names = BTreeSet::new();
        for (name, value) in changes {
            let key = entry_key(name);
            let size = key.len() + value.as_ref().map_or(0, Vec::len) + ENTRY_OVERHEAD;
            // A key that stands twice must find its first value in place, for the count and the hash.
            if !names.insert(name) || (bytes > 0 && bytes + size > FLUSH_BYTES) {
                self.commit(std::mem::take(&mut batch), summary)?;
                names = BTreeSet::from([name]);
                bytes = 0;
            }
            if let Some(old) = self.db()?.get(&key).map_err(|error| self.failed(error))? {
                let old = old.split_last_chunk::<4>().map(|(value, _)| value).unwrap_or_default();
                summary.count = summary.count.wrapping_sub(1);
                summary.hash = summary.hash.wrapping_sub(entry_hash(name, old));
            }
            match value {
                Some(value) => {
                    summary.count += 1;
                    summary.hash = summary.hash.wrapping_add(entry_hash(name, value));
                    batch.insert(key.clone(), checked(&key, value.clone()));
                }
                None => batch.remove(key),
            }
            bytes += size;
        }
        summary.revision = end.revision;
        summary.position = end.position;
        self.commit(batch, summary)
    }

    fn commit(&mut self, mut batch: Batch, summary: Summary) -> Result<(), StorageError> {
        let mut value = Vec::with_capacity(SUMMARY_LEN + 4);
        value.push(FORMAT);
        value.extend_from_slice(&self.log);
        for number in [summary.revision, summary.position, summary.count, summary.hash] {
            value.extend_from_slice(&number.to_le_bytes());
        }
        batch.insert(SUMMARY_KEY, checked(SUMMARY_KEY, value));
        let db = self.db()?;
        db.apply_batch(batch).map_err(|error| self.failed(error))?;
        self.make_durable()?;
        self.summary = summary;
        Ok(())
    }

    fn make_durable(&self) -> Result<(), StorageError> {
        self.db()?.flush().map_err(|error| self.failed(error))?;
        sync_tree(&self.folder).map_err(StorageError::io(&self.folder, "sync"))
    }
}

impl DefinitionCheckpoint for SledCheckpoint {
    fn load(&mut self) -> Result<Option<Definitions>, StorageError> {
        if !self.folder.exists() {
            return Ok(None);
        }
        self.guarded(|checkpoint| {
            if checkpoint.db.is_none() {
                checkpoint.open()?;
            }
            checkpoint.read()
        })
    }

    fn apply(&mut self, position: Position, revision: u64, changes: &[Change]) -> Result<(), StorageError> {
        self.guarded(|checkpoint| {
            let end = Summary { position: position.0, revision, ..Summary::default() };
            let from = checkpoint.summary;
            checkpoint.write(changes, end, from)
        })
    }

    fn reset(&mut self, definitions: &Definitions) -> Result<(), StorageError> {
        self.guarded(|checkpoint| {
            checkpoint.db = None;
            let folder = checkpoint.folder.clone();
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StorageError::io(&folder, "remove")(error));
                }
                _ => {}
            }
            checkpoint.open()?;
            if let Some(above) = folder.parent() {
                sync_folder(above).map_err(StorageError::io(above, "sync folder"))?;
            }
            let entries = definitions.entries.iter();
            let changes: Vec<Change> =
                entries.map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
            let end = Summary {
                position: definitions.position.0,
                revision: definitions.revision,
                ..Summary::default()
            };
            checkpoint.write(&changes, end, Summary::default())
        })
    }

    fn close(mut self: Box<Self>) -> Result<(), StorageError> {
        self.guarded(|checkpoint| {
            if checkpoint.db.is_some() {
                checkpoint.make_durable()?;
                checkpoint.db = None;
                sync_tree(&checkpoint.folder).map_err(StorageError::io(&checkpoint.folder, "sync"))?;
            }
            Ok(())
        })
    }
}

fn is_lock(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

fn entry_key(name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 1);
    key.push(ENTRY_PREFIX);
    key.extend_from_slice(name);
    key
}

fn checked(key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let check = checksum(key, &value);
    value.extend_from_slice(&check.to_le_bytes());
    value
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&(key.len() as u64).to_le_bytes());
    crc.update(key);
    crc.update(value);
    crc.finalize()
}

/// Hashes of entries are added up, so the sum does not depend on their order (FNV-1a, mixed at the end).
fn entry_hash(name: &[u8], value: &[u8]) -> u64 {
    let len = (name.len() as u64).to_le_bytes();
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = len.iter().chain(name).chain(value).fold(0xcbf2_9ce4_8422_2325, step);
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Syncs every file and folder below `folder`, and it.
fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // sled removes its own old snapshots; what is gone needs no sync.
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => sync_tree(&entry.path())?,
            Ok(_) => match fs::File::open(entry.path()).and_then(|file| file.sync_data()) {
                Err(error) if !gone(&error) => return Err(error),
                _ => {}
            },
            Err(error) if gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_is_waited_for_and_then_told() {
        let folder = tempfile::tempdir().unwrap();
        let [mut first, mut second] = [(); 2].map(|()| SledCheckpoint::new(folder.path().join("s"), [1; 16]));
        first.reset(&Definitions::default()).unwrap();
        assert!(second.load().unwrap_err().to_string().contains("its lock is held"));
        drop(first);
        assert_eq!(second.load().unwrap(), Some(Definitions::default()));
    }
}
