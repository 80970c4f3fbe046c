//! Writing a run: entries in ascending order, block after block, then fences and footer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Run, RunEntry, RunKey};
use crate::disk::Disk;
use crate::error::{StorageError, is_out_of_space};
use crate::format::LogId;
use crate::format::run::{
    RUN_BLOCK, RUN_BLOCK_HEADER, RUN_ENTRY_MOST, RunBlockId, RunFooter, RunPacking, put_run_key, run_path,
    seal_run_block,
};

/// How much is gathered for one write.
const WRITE_BYTES: usize = 16 * RUN_BLOCK;
/// A run that grows slowly is synced in pieces of this: the log's syncs wait behind it on the same drive.
const SYNC_BYTES: u64 = 4 << 20;

/// A run being written. Nothing refers to it before it is finished and a manifest lists it; what is left of
/// an unfinished one is removed by recovery.
#[derive(Debug)]
pub(crate) struct RunWriter<D: Disk> {
    disk: D,
    folder: PathBuf,
    path: PathBuf,
    file: D::File,
    log: LogId,
    number: u64,
    /// Whole blocks that are not written yet.
    ready: Vec<u8>,
    written: u64,
    synced: u64,
    block: Vec<u8>,
    block_entries: u32,
    packing: RunPacking,
    fences: Vec<RunKey>,
    places: BTreeMap<u64, u64>,
    entries: u64,
    last: RunKey,
}

impl<D: Disk> RunWriter<D> {
    /// Begins run `number`. A file of that name is a remainder of an unfinished one and is replaced.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn create(disk: &D, folder: &Path, number: u64, log: LogId) -> Result<Self, StorageError> {
        let path = run_path(folder, number);
        match disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StorageError::io(&path, "remove")(error));
            }
            _ => {}
        }
        let file = disk.create(&path, 0).map_err(StorageError::io(&path, "create"))?;
        Ok(Self {
            disk: disk.clone(),
            folder: folder.to_owned(),
            path,
            file,
            log,
            number,
            ready: Vec::with_capacity(WRITE_BYTES),
            written: 0,
            synced: 0,
            block: vec![0; RUN_BLOCK_HEADER],
            block_entries: 0,
            packing: RunPacking::default(),
            fences: Vec::new(),
            places: BTreeMap::new(),
            entries: 0,
            last: RunKey::default(),
        })
    }

    /// Entries so far.
    #[cfg(test)]
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// `Full`: give up this run ([`abandon`](Self::abandon)), nothing is lost; `Io`.
    ///
    /// # Panics
    /// If its key is not above the one before: such a run would hide messages.
    pub(crate) fn push(&mut self, entry: &RunEntry) -> Result<(), StorageError> {
        assert!(self.entries == 0 || entry.key > self.last, "entries of a run ascend");
        debug_assert!(entry.at.body_len <= entry.at.len);
        if self.block.len() + RUN_ENTRY_MOST > RUN_BLOCK {
            self.end_block()?;
        }
        if self.block_entries == 0 {
            self.fences.push(entry.key);
        }
        self.packing.put(&mut self.block, entry);
        self.block_entries += 1;
        *self.places.entry(entry.at.incarnation).or_default() += 1;
        self.entries += 1;
        self.last = entry.key;
        Ok(())
    }

    /// Syncs what was written, if that is enough to wait for. [`finish`](Self::finish) is needed all the same.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn sync_some(&mut self) -> Result<(), StorageError> {
        if self.written - self.synced >= SYNC_BYTES {
            self.disk.sync_data(&self.file).map_err(StorageError::io(&self.path, "sync"))?;
            self.synced = self.written;
        }
        Ok(())
    }

    /// Ends the run and makes its bytes and its name durable.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(crate) fn finish(self) -> Result<Arc<Run<D>>, StorageError> {
        let (folder, disk) = (self.folder.clone(), self.disk.clone());
        let run = self.finish_unsynced()?;
        disk.sync_data(&run.file).map_err(StorageError::io(&run.path, "sync"))?;
        disk.sync_folder(&folder).map_err(StorageError::io(&folder, "sync folder"))?;
        Ok(run)
    }

    /// Ends a run that need not survive the process.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(crate) fn finish_unsynced(mut self) -> Result<Arc<Run<D>>, StorageError> {
        if self.block_entries > 0 {
            self.end_block()?;
        }
        let mut index = Vec::new();
        self.fences.iter().for_each(|fence| put_run_key(&mut index, fence));
        for (incarnation, entries) in &self.places {
            index.extend_from_slice(&incarnation.to_le_bytes());
            index.extend_from_slice(&entries.to_le_bytes());
        }
        let footer = RunFooter {
            log: self.log,
            run: self.number,
            blocks: self.fences.len() as u64,
            entries: self.entries,
            places: self.places.len() as u64,
            last: self.last,
            index_crc: crc32fast::hash(&index),
        };
        self.ready.extend_from_slice(&index);
        self.ready.extend_from_slice(&footer.encode());
        if let Err(error) = self.flush() {
            self.abandon();
            return Err(error);
        }
        self.fences.shrink_to_fit();
        Ok(Arc::new(Run {
            disk: self.disk,
            file: self.file,
            path: self.path,
            footer,
            bytes: self.written,
            fences: self.fences,
            places: self.places.into_iter().collect(),
        }))
    }

    /// Gives the run up and removes its file.
    pub(crate) fn abandon(self) {
        // Best effort: recovery removes what no manifest lists.
        let _ = self.disk.remove(&self.path);
    }

    fn end_block(&mut self) -> Result<(), StorageError> {
        let id = RunBlockId { log: self.log, run: self.number, block: self.fences.len() as u64 - 1 };
        seal_run_block(&mut self.block, &id, self.block_entries);
        self.ready.extend_from_slice(&self.block);
        self.block.truncate(RUN_BLOCK_HEADER);
        self.block_entries = 0;
        self.packing = RunPacking::default();
        if self.ready.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        match self.disk.write_at(&self.file, self.written, &self.ready) {
            Err(error) if is_out_of_space(&error) => {
                let needed = self.written + self.ready.len() as u64;
                return Err(StorageError::Full { file: self.path.clone(), needed });
            }
            written => written.map_err(StorageError::io(&self.path, "write"))?,
        }
        self.written += self.ready.len() as u64;
        self.ready.clear();
        Ok(())
    }
}
