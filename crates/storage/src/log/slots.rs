//! Slots as files: allocating one, giving it a durable header, finding those that are there.
//!
//! Does not know batches.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::disk::Disk;
use crate::error::{StorageError, is_out_of_space};
use crate::format::{self, FORMAT_VERSION, LogId, SLOT_HEADER, SlotHeader};

/// An open slot.
#[derive(Debug)]
pub(crate) struct Slot<D: Disk> {
    pub(crate) file: D::File,
    pub(crate) path: PathBuf,
    pub(crate) number: u64,
    pub(crate) incarnation: u64,
    /// The file's length. It may be less than was allocated once the slot is sealed.
    pub(crate) length: u64,
    /// Batches were written to it that no sync followed.
    pub(crate) is_unsynced: AtomicBool,
}

impl<D: Disk> Slot<D> {
    /// Allocates a slot; it has no header yet, and its name is not durable.
    ///
    /// # Errors
    /// `Full` if there is no room; `Io`. Nothing is left behind.
    pub(crate) fn allocate(disk: &D, folder: &Path, number: u64, length: u64) -> Result<Self, StorageError> {
        let path = format::slot_path(folder, number);
        match disk.create(&path, length) {
            Ok(file) => {
                let is_unsynced = AtomicBool::new(false);
                Ok(Self { file, path, number, incarnation: 0, length, is_unsynced })
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(StorageError::io(&path, "allocate")(error))
            }
            Err(error) => {
                // Best effort: what is left has no header, and recovery removes it.
                let _ = disk.remove(&path);
                if is_out_of_space(&error) {
                    return Err(StorageError::Full { file: path, needed: length });
                }
                Err(StorageError::io(&path, "allocate")(error))
            }
        }
    }

    /// Makes this header, and with it another incarnation, durable.
    pub(crate) fn begin(&mut self, disk: &D, header: &SlotHeader, syncs: bool) -> Result<(), StorageError> {
        disk.write_at(&self.file, 0, &header.encode()).map_err(StorageError::io(&self.path, "write"))?;
        if syncs {
            disk.sync_data(&self.file).map_err(StorageError::io(&self.path, "sync"))?;
        }
        self.incarnation = header.incarnation;
        self.is_unsynced = AtomicBool::new(false);
        Ok(())
    }
}

/// The slots of a log as they were found.
#[derive(Debug)]
pub(crate) struct FoundSlots<D: Disk> {
    pub(crate) folder: PathBuf,
    /// By incarnation, each with what its header says.
    pub(crate) slots: BTreeMap<u64, (Slot<D>, SlotHeader)>,
    /// Files without a valid header: one that was being made, or a damaged one. Their incarnation is 0.
    pub(crate) headless: Vec<Slot<D>>,
    /// The id they all carry, if it is known.
    pub(crate) log: Option<LogId>,
    /// The highest number of any slot file, or 0.
    pub(crate) last_number: u64,
}

impl<D: Disk> FoundSlots<D> {
    /// Opens every slot in the folder. `log` is the id they must carry, if it is known.
    pub(crate) fn open(disk: &D, folder: &Path, log: Option<LogId>) -> Result<Self, StorageError> {
        let names = match disk.list(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed.map_err(StorageError::io(folder, "list"))?,
        };
        let mut found = Self {
            folder: folder.to_owned(),
            slots: BTreeMap::new(),
            headless: Vec::new(),
            log,
            last_number: 0,
        };
        for number in names.iter().filter_map(|name| format::slot_number(name)) {
            found.last_number = found.last_number.max(number);
            found.open_one(disk, format::slot_path(folder, number), number)?;
        }
        Ok(found)
    }

    fn open_one(&mut self, disk: &D, path: PathBuf, number: u64) -> Result<(), StorageError> {
        let file = disk.open(&path).map_err(StorageError::io(&path, "open"))?;
        let length = disk.length(&file).map_err(StorageError::io(&path, "read length"))?;
        let mut bytes = vec![0; usize::try_from(SLOT_HEADER.min(length)).unwrap_or_default()];
        disk.read_at(&file, 0, &mut bytes).map_err(StorageError::io(&path, "read"))?;
        let mut slot =
            Slot { file, path, number, incarnation: 0, length, is_unsynced: AtomicBool::new(true) };
        let Some((version, header)) = SlotHeader::decode(&bytes) else {
            self.headless.push(slot);
            return Ok(());
        };
        if version != FORMAT_VERSION {
            let file = slot.path;
            return Err(StorageError::Version {
                file,
                found: version.into(),
                supported: FORMAT_VERSION.into(),
            });
        }
        if self.log.is_some_and(|log| log != header.log) {
            return Err(StorageError::corrupt(&slot.path, 0, "the slot belongs to another log"));
        }
        if let Some((first, _)) = self.slots.get(&header.incarnation) {
            let why = format!("the slot has the incarnation of {}", first.path.display());
            return Err(StorageError::corrupt(&slot.path, 0, why));
        }
        slot.incarnation = header.incarnation;
        self.slots.insert(header.incarnation, (slot, header));
        Ok(())
    }
}
