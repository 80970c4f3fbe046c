//! Room that is held back for a full disk: a file whose blocks are given back when a checkpoint has none.
//!
//! A full disk is left by consumers: they settle, and the next checkpoint frees slots. That checkpoint needs room for a run
//! and for the manifest, and gets it here. Owns one file and its bytes; does not know what they are spent on.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::disk::Disk;
use crate::error::{StorageError, is_out_of_space};

/// The room. Whether it is there is what the disk says.
#[derive(Debug)]
pub(crate) struct Reserve<D: Disk> {
    disk: D,
    folder: PathBuf,
    bytes: u64,
    /// It is known to be there, all of it.
    is_held: AtomicBool,
}

impl<D: Disk> Reserve<D> {
    /// A reserve of this size in a file of this folder.
    pub(crate) fn new(disk: D, folder: PathBuf, bytes: u64) -> Self {
        Self { disk, folder, bytes, is_held: AtomicBool::new(false) }
    }

    /// Bytes that it takes of the disk, as far as it is known.
    pub(crate) fn held_bytes(&self) -> u64 {
        if self.is_held.load(Ordering::Relaxed) { self.bytes } else { 0 }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("reserve")
    }

    /// Allocates it, if it is not there and the disk has that room. Says whether it did.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn hold(&self) -> Result<bool, StorageError> {
        if self.is_held.load(Ordering::Relaxed) {
            return Ok(false);
        }
        // One of an earlier process may have been cut short.
        self.spend()?;
        let path = self.path();
        match self.disk.create(&path, self.bytes) {
            Ok(_) => {}
            Err(error) if is_out_of_space(&error) => {
                self.spend()?;
                return Ok(false);
            }
            Err(error) => return Err(StorageError::io(&path, "allocate")(error)),
        }
        self.sync_folder()?;
        self.is_held.store(true, Ordering::Relaxed);
        Ok(true)
    }

    /// Gives the room back. Says whether there was any.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn spend(&self) -> Result<bool, StorageError> {
        self.is_held.store(false, Ordering::Relaxed);
        let path = self.path();
        match self.disk.remove(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(StorageError::io(&path, "remove")(error)),
        }
        self.sync_folder()?;
        Ok(true)
    }

    fn sync_folder(&self) -> Result<(), StorageError> {
        self.disk.sync_folder(&self.folder).map_err(StorageError::io(&self.folder, "sync folder"))
    }
}
