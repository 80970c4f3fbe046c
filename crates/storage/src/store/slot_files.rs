//! The files of the log's slots, for readers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{self, BatchHeader};

/// Files kept open for reading.
const MOST_OPEN: usize = 64;

/// Knows the file of every slot, and keeps those open that were read last.
#[derive(Debug)]
pub(crate) struct SlotFiles<D: Disk> {
    disk: D,
    folder: PathBuf,
    known: Mutex<Known<D>>,
}

#[derive(Debug)]
struct Known<D: Disk> {
    /// File numbers by incarnation.
    numbers: BTreeMap<u64, u64>,
    /// With the turn in which each was used last.
    open: BTreeMap<u64, (u64, Arc<D::File>)>,
    turn: u64,
}

impl<D: Disk> SlotFiles<D> {
    /// File numbers by incarnation.
    pub(crate) fn new(disk: D, folder: PathBuf, numbers: BTreeMap<u64, u64>) -> Self {
        let known = Mutex::new(Known { numbers, open: BTreeMap::new(), turn: 0 });
        Self { disk, folder, known }
    }

    /// A batch may name a slot that is new.
    pub(crate) fn note(&self, header: &BatchHeader) {
        if header.next_incarnation != 0 {
            self.known.lock().numbers.insert(header.next_incarnation, header.next_file);
        }
    }

    /// The path of a slot, for people.
    pub(crate) fn path(&self, incarnation: u64) -> PathBuf {
        let number = self.known.lock().numbers.get(&incarnation).copied();
        number.map_or_else(|| self.folder.clone(), |number| format::slot_path(&self.folder, number))
    }

    /// The file of a slot, open.
    ///
    /// # Errors
    /// `Corrupt` if no such slot is known; `Io`.
    pub(crate) fn open(&self, incarnation: u64) -> Result<Arc<D::File>, StorageError> {
        let mut known = self.known.lock();
        known.turn += 1;
        let turn = known.turn;
        if let Some((used, file)) = known.open.get_mut(&incarnation) {
            *used = turn;
            return Ok(Arc::clone(file));
        }
        let Some(number) = known.numbers.get(&incarnation).copied() else {
            let why = format!("a message lies in slot incarnation {incarnation}, which is not there");
            return Err(StorageError::corrupt(&self.folder, 0, why));
        };
        let path = format::slot_path(&self.folder, number);
        let file = Arc::new(self.disk.open(&path).map_err(StorageError::io(&path, "open"))?);
        if known.open.len() >= MOST_OPEN
            && let Some(oldest) = known.open.iter().min_by_key(|(_, (used, _))| *used).map(|(slot, _)| *slot)
        {
            known.open.remove(&oldest);
        }
        known.open.insert(incarnation, (turn, Arc::clone(&file)));
        Ok(file)
    }
}
