//! The data directory: one owner, one identity, one layout.
//!
//! ```text
//! leveret-data/            0700
//!   lock                   held with flock while the broker runs; names its process
//!   identity               log id, format version, slot size; written once
//!   log/slot-0000000001    the log
//!   runs/run-0000000001    sorted indexes of what lives in it
//!   manifest-0000000001    which of both live
//!   definitions/           sled's own folder
//!   definitions.json       the definitions' export
//! ```
//!
//! Owns those names and the identity file. Does not read the log.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{self, BLOCK, FORMAT_VERSION, LogId, SLOT_HEADER, SlotHeader};
use crate::log::pool::SlotPool;

const SMALLEST_SLOT: u64 = 1 << 20;
const LARGEST_SLOT: u64 = 64 << 20;
/// The log does not run in less: a batch must fit in half a slot with room to spare.
const LEAST_SLOT: u64 = 16 * BLOCK;
const DEFAULT_BATCH: u64 = 4 << 20;
const TAIL_MESSAGES: u64 = 256 << 10;
const TAIL_RECORDS: u64 = 2 << 20;
const RUNS_OF_A_TIER: usize = 8;
/// Some 10 ms, so that a checkpoint never waits for more.
const STEP_ENTRIES: u64 = 32 << 10;

/// What an operator may choose about storage.
#[derive(Debug, Clone, Copy, Default)]
pub struct StorageOptions {
    /// Bytes of a slot, for a new store only; by default 1/64 of the file system, 1 to 64 MiB.
    pub slot_bytes: Option<u64>,
    /// Most bytes of a batch; by default 4 MiB, or a quarter of a slot if that is less; never more than half a slot.
    pub batch_bytes: Option<u64>,
    /// What a confirm waits for.
    pub durability: Durability,
    /// Unsettled messages above the cut at which a checkpoint is due; by default 256 Ki.
    pub tail_messages: Option<u64>,
    /// Records above the cut at which a checkpoint is due; by default 2 Mi.
    pub tail_records: Option<u64>,
    /// So many runs of like size are merged into one; by default 8, at least 2.
    pub runs_of_a_tier: Option<usize>,
    /// Entries of runs that one step of [`Store::tidy`](crate::Store::tidy) goes through; by default 32 Ki.
    pub step_entries: Option<u64>,
}

/// What a confirm waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// The drive has it: it survives the death of the machine.
    #[default]
    Fsync,
    /// The operating system has it: it survives the death of the process only. At a power cut what was
    /// confirmed since the last checkpoint may be lost; recovery says how much.
    Os,
}

/// A data directory that this process owns. The lock is released when it is dropped.
#[derive(Debug)]
pub struct DataDir<D: Disk> {
    disk: D,
    root: PathBuf,
    _lock: D::Lock,
    identity: Identity,
    options: StorageOptions,
    is_new: bool,
    pool: Arc<SlotPool<D>>,
    spill_pool: Arc<SlotPool<D>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    log: LogId,
    slot_bytes: u64,
}

impl<D: Disk> DataDir<D> {
    /// Takes ownership of a data directory, creating it if it is not there.
    ///
    /// # Errors
    /// `Locked` at once if another process has it; `Version` if a newer version wrote it (nothing was
    /// touched); `Corrupt` if its identity is damaged; `Io`.
    pub fn open(disk: D, root: &Path, options: StorageOptions) -> Result<Self, StorageError> {
        disk.create_folder(root).map_err(StorageError::io(root, "create folder"))?;
        let lock = take_lock(&disk, root)?;
        let path = root.join("identity");
        let (identity, is_new) = match disk.read_all(&path) {
            Ok(bytes) => (Identity::parse(&bytes, &path)?, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (Identity::fresh(&disk, root, &options)?, true)
            }
            Err(error) => return Err(StorageError::io(&path, "read")(error)),
        };
        Ok(Self::of(disk, root, lock, identity, (options, is_new)))
    }

    /// Takes ownership of a data directory whose identity is damaged or missing: it is that of most of the
    /// slots in it. `None` if there is no slot with a valid header.
    ///
    /// # Errors
    /// `Locked`; `Io`.
    pub(crate) fn open_by_slots(disk: D, root: &Path) -> Result<Option<Self>, StorageError> {
        let lock = take_lock(&disk, root)?;
        let identity = Identity::of_slots(&disk, &root.join("log"))?;
        let options = (StorageOptions::default(), false);
        Ok(identity.map(|identity| Self::of(disk, root, lock, identity, options)))
    }

    fn of(
        disk: D,
        root: &Path,
        lock: D::Lock,
        identity: Identity,
        (options, is_new): (StorageOptions, bool),
    ) -> Self {
        let folder = root.join("log");
        let pool = SlotPool::new(disk.clone(), folder, identity.log, identity.slot_bytes, true);
        let spill = root.join("spill").join("log");
        let spill_pool = SlotPool::new(disk.clone(), spill, identity.log, identity.slot_bytes, false);
        Self {
            disk,
            root: root.to_owned(),
            _lock: lock,
            identity,
            options,
            is_new,
            pool: Arc::new(pool),
            spill_pool: Arc::new(spill_pool),
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where sled keeps its files.
    #[must_use]
    pub fn definitions_folder(&self) -> PathBuf {
        self.root.join("definitions")
    }

    /// The log's own name, random when the store was made.
    #[must_use]
    pub fn log_id(&self) -> [u8; 16] {
        self.identity.log
    }

    /// Whether no log was ever started here.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Bytes of a slot of this store.
    #[must_use]
    pub fn slot_bytes(&self) -> u64 {
        self.identity.slot_bytes
    }

    /// Most bytes of a batch.
    #[must_use]
    pub fn batch_bytes(&self) -> u64 {
        let slot = self.identity.slot_bytes;
        // Up to one batch's room is left empty at the end of a slot.
        let usual = DEFAULT_BATCH.min(slot / 4);
        self.options.batch_bytes.unwrap_or(usual).clamp(BLOCK, slot / 2)
    }

    /// What a confirm waits for.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.options.durability
    }

    pub(crate) fn disk(&self) -> &D {
        &self.disk
    }

    /// The log's slots: empty until recovery adopts what it found.
    pub(crate) fn pool(&self) -> &Arc<SlotPool<D>> {
        &self.pool
    }

    /// The slots of what may be lost with the process.
    pub(crate) fn spill_pool(&self) -> &Arc<SlotPool<D>> {
        &self.spill_pool
    }

    pub(crate) fn tail_messages(&self) -> u64 {
        self.options.tail_messages.unwrap_or(TAIL_MESSAGES).max(1)
    }

    pub(crate) fn tail_records(&self) -> u64 {
        self.options.tail_records.unwrap_or(TAIL_RECORDS).max(1)
    }

    pub(crate) fn runs_of_a_tier(&self) -> usize {
        self.options.runs_of_a_tier.unwrap_or(RUNS_OF_A_TIER).max(2)
    }

    pub(crate) fn step_entries(&self) -> u64 {
        self.options.step_entries.unwrap_or(STEP_ENTRIES).max(1)
    }

    pub(crate) fn runs_folder(&self) -> PathBuf {
        self.root.join("runs")
    }

    pub(crate) fn spill_runs_folder(&self) -> PathBuf {
        self.root.join("spill").join("runs")
    }

    pub(crate) fn log_folder(&self) -> PathBuf {
        self.root.join("log")
    }

    pub(crate) fn export_path(&self) -> PathBuf {
        self.root.join("definitions.json")
    }

    /// Makes the identity durable, once the log it names exists.
    pub(crate) fn write_identity(&self) -> Result<(), StorageError> {
        let path = self.root.join("identity");
        self.disk.replace(&path, self.identity.print().as_bytes()).map_err(StorageError::io(&path, "write"))
    }
}

fn take_lock<D: Disk>(disk: &D, root: &Path) -> Result<D::Lock, StorageError> {
    let path = root.join("lock");
    match disk.lock(&path).map_err(StorageError::io(&path, "lock"))? {
        Some(lock) => {
            note_owner(disk, &path).map_err(StorageError::io(&path, "write"))?;
            Ok(lock)
        }
        None => {
            let text = disk.read_all(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let owner = match text.trim() {
                "" => String::new(),
                pid => format!(" ({pid})"),
            };
            Err(StorageError::Locked { file: path, owner })
        }
    }
}

/// For people only: the lock itself is the kernel's.
fn note_owner<D: Disk>(disk: &D, path: &Path) -> io::Result<()> {
    let file = match disk.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    disk.truncate(&file, 0)?;
    disk.write_at(&file, 0, format!("process {}\n", std::process::id()).as_bytes())
}

impl Identity {
    fn fresh<D: Disk>(disk: &D, root: &Path, options: &StorageOptions) -> Result<Self, StorageError> {
        let log = disk.entropy().map_err(StorageError::io(root, "read entropy"))?;
        let slot_bytes = match options.slot_bytes {
            Some(bytes) => bytes.max(LEAST_SLOT),
            None => {
                let space = disk.space(root).map_err(StorageError::io(root, "read free space"))?;
                (space.total / 64).clamp(SMALLEST_SLOT, LARGEST_SLOT)
            }
        };
        Ok(Self { log, slot_bytes: slot_bytes.next_multiple_of(BLOCK) })
    }

    /// What most valid headers of slots say.
    fn of_slots<D: Disk>(disk: &D, folder: &Path) -> Result<Option<Self>, StorageError> {
        let names = match disk.list(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed.map_err(StorageError::io(folder, "list"))?,
        };
        let mut votes: BTreeMap<(LogId, u64), u32> = BTreeMap::new();
        for number in names.iter().filter_map(|name| format::slot_number(name)) {
            let path = format::slot_path(folder, number);
            let file = disk.open(&path).map_err(StorageError::io(&path, "open"))?;
            let mut bytes = [0; SLOT_HEADER as usize];
            if disk.read_at(&file, 0, &mut bytes).is_ok()
                && let Some((FORMAT_VERSION, header)) = SlotHeader::decode(&bytes)
            {
                *votes.entry((header.log, header.allocated)).or_default() += 1;
            }
        }
        let most = votes.into_iter().max_by_key(|(_, votes)| *votes);
        let fit = most.filter(|((_, slot_bytes), _)| *slot_bytes >= LEAST_SLOT);
        Ok(fit.map(|((log, slot_bytes), _)| Self { log, slot_bytes }))
    }

    fn print(&self) -> String {
        let log: String = self.log.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("leveret\nformat {FORMAT_VERSION}\nlog {log}\nslot_bytes {}\n", self.slot_bytes);
        format!("{text}check {:08x}\n", crc32fast::hash(text.as_bytes()))
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self, StorageError> {
        let damaged = |why: &str| StorageError::corrupt(path, 0, format!("the identity of the store {why}"));
        let text = str::from_utf8(bytes).map_err(|_| damaged("is not text"))?;
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .ok_or_else(|| damaged("is cut"))
        };
        if !text.starts_with("leveret\n") {
            return Err(damaged("is not ours"));
        }
        let found: u32 = field("format")?.parse().map_err(|_| damaged("has no format"))?;
        if found != u32::from(FORMAT_VERSION) {
            return Err(StorageError::Version {
                file: path.to_owned(),
                found,
                supported: FORMAT_VERSION.into(),
            });
        }
        let (checked, _) = text.split_once("check ").ok_or_else(|| damaged("is cut"))?;
        if field("check")? != format!("{:08x}", crc32fast::hash(checked.as_bytes())) {
            return Err(damaged("fails its checksum"));
        }
        let log =
            u128::from_str_radix(field("log")?, 16).map_err(|_| damaged("has no log id"))?.to_be_bytes();
        let slot_bytes: u64 = field("slot_bytes")?.parse().map_err(|_| damaged("has no slot size"))?;
        if slot_bytes < LEAST_SLOT || !slot_bytes.is_multiple_of(BLOCK) {
            return Err(damaged("has an impossible slot size"));
        }
        Ok(Self { log, slot_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{MemoryDisk, RealDisk};

    #[test]
    fn an_identity_reads_back_and_any_changed_byte_is_refused() {
        let path = Path::new("/identity");
        let identity = Identity { log: *b"0123456789abcdef", slot_bytes: 1 << 20 };
        let text = identity.print();
        assert_eq!(Identity::parse(text.as_bytes(), path).unwrap(), identity);
        for at in 0..text.len() - 1 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert!(Identity::parse(&bytes, path).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_newer_format_is_refused_by_its_number() {
        let text = Identity { log: [7; 16], slot_bytes: 1 << 20 }.print().replace("format 1", "format 9");
        let error = Identity::parse(text.as_bytes(), Path::new("/identity")).unwrap_err();
        assert!(matches!(error, StorageError::Version { found: 9, supported: 1, .. }), "{error}");
    }

    #[test]
    fn the_second_owner_is_told_who_has_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::open(RealDisk, folder.path(), StorageOptions::default()).unwrap();
        let error = DataDir::open(RealDisk, folder.path(), StorageOptions::default()).unwrap_err();
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        assert!(DataDir::open(RealDisk, folder.path(), StorageOptions::default()).is_ok());
    }

    #[test]
    fn the_slot_size_follows_the_file_system_within_its_bounds() {
        for (total, slot) in [(1 << 20, 1 << 20), (128 << 20, 2 << 20), (1 << 40, 64 << 20)] {
            let disk = MemoryDisk::new(1);
            disk.set_capacity(Some(total));
            let dir = DataDir::open(disk, Path::new("/d"), StorageOptions::default()).unwrap();
            assert_eq!(dir.slot_bytes(), slot);
            assert!(dir.batch_bytes() <= slot / 2);
        }
    }
}
