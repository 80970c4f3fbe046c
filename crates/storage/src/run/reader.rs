//! Reading runs: footer and fences at the start, blocks when they are needed, each verified.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{RunEntry, RunKey};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::run::{
    RUN_BLOCK, RUN_FOOTER, RunBlockId, RunFooter, RunPacking, open_run_block, run_path, take_run_key,
};
use crate::format::{FORMAT_VERSION, LogId, Reader};

/// A cursor that goes on reads up to this many blocks at once.
const READ_AHEAD: usize = 8;

/// A finished run. In memory: 24 bytes for each 16 KiB block and 16 for each slot it refers to.
#[derive(Debug)]
pub(crate) struct Run<D: Disk> {
    pub(super) disk: D,
    pub(super) file: D::File,
    pub(super) path: PathBuf,
    pub(super) footer: RunFooter,
    /// Bytes of the file.
    pub(super) bytes: u64,
    /// The first key of each block.
    pub(super) fences: Vec<RunKey>,
    /// Incarnations (0: blobs) and how many entries refer to each, ascending.
    pub(super) places: Places,
}

/// Incarnations, each with a number of entries.
type Places = Vec<(u64, u64)>;

impl<D: Disk> Run<D> {
    /// Opens a run that a manifest lists.
    ///
    /// # Errors
    /// `Corrupt` if its footer or fences are damaged, cut or another run's; `Version`; `Io`, also if the
    /// file is missing.
    pub(crate) fn open(disk: &D, folder: &Path, number: u64, log: LogId) -> Result<Arc<Self>, StorageError> {
        let path = run_path(folder, number);
        let file = disk.open(&path).map_err(StorageError::io(&path, "open"))?;
        let bytes = disk.length(&file).map_err(StorageError::io(&path, "read length"))?;
        let damaged = |offset: u64, why: &str| StorageError::corrupt(&path, offset, format!("the run {why}"));
        let footer_at = bytes.checked_sub(RUN_FOOTER as u64).ok_or_else(|| damaged(0, "is cut"))?;
        let mut footer = [0; RUN_FOOTER];
        disk.read_at(&file, footer_at, &mut footer).map_err(StorageError::io(&path, "read"))?;
        let (version, footer) =
            RunFooter::decode(&footer).ok_or_else(|| damaged(footer_at, "has no valid footer"))?;
        if version != FORMAT_VERSION {
            let (found, supported) = (version.into(), FORMAT_VERSION.into());
            return Err(StorageError::Version { file: path, found, supported });
        }
        if footer.run != number || footer.log != log {
            return Err(damaged(footer_at, "belongs to another place or store"));
        }
        let index_len = match footer.lengths() {
            Some((index, all)) if all == bytes => index,
            _ => return Err(damaged(footer_at, "is cut")),
        };
        let index_at = footer_at - index_len;
        let mut index = vec![0; usize::try_from(index_len).unwrap_or_default()];
        disk.read_at(&file, index_at, &mut index).map_err(StorageError::io(&path, "read"))?;
        if crc32fast::hash(&index) != footer.index_crc {
            return Err(damaged(index_at, "has damaged fences"));
        }
        let (fences, places) =
            read_index(&index, &footer).ok_or_else(|| damaged(index_at, "has damaged fences"))?;
        Ok(Arc::new(Self { disk: disk.clone(), file, path, footer, bytes, fences, places }))
    }

    /// Its number.
    pub(crate) fn number(&self) -> u64 {
        self.footer.run
    }

    /// How many entries it has.
    pub(crate) fn entries(&self) -> u64 {
        self.footer.entries
    }

    /// Bytes of the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes it takes in memory.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.fences.capacity() * size_of::<RunKey>()
            + self.places.capacity() * size_of::<(u64, u64)>()
    }

    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The lowest and the highest key, if it has entries.
    pub(crate) fn keys(&self) -> Option<(RunKey, RunKey)> {
        self.fences.first().map(|first| (*first, self.footer.last))
    }

    /// Whether an entry lies in the slot of this incarnation.
    pub(crate) fn refers_to(&self, incarnation: u64) -> bool {
        self.places.binary_search_by_key(&incarnation, |(place, _)| *place).is_ok()
    }

    /// The slots in which entries lie, ascending, with the number of entries; 0 stands for all blobs.
    pub(crate) fn incarnations(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.places.iter().copied()
    }

    /// The entries from one key to another, both included.
    pub(crate) fn range(self: &Arc<Self>, from: RunKey, to_inclusive: RunKey) -> RunCursor<D> {
        let first = self.fences.partition_point(|fence| *fence <= from).saturating_sub(1);
        let end = self.fences.partition_point(|fence| *fence <= to_inclusive);
        RunCursor {
            run: Arc::clone(self),
            from,
            to: to_inclusive,
            next_block: first,
            end_block: end,
            buffer: Vec::new(),
            buffered: 0,
            read_ahead: 1,
            at: 0,
            block_end: 0,
            left: 0,
            packing: RunPacking::default(),
            last: None,
        }
    }

    /// All entries.
    pub(crate) fn all(self: &Arc<Self>) -> RunCursor<D> {
        let highest = RunKey { queue: u64::MAX, order_key: u64::MAX, seq: u64::MAX };
        self.range(RunKey::default(), highest)
    }
}

fn read_index(bytes: &[u8], footer: &RunFooter) -> Option<(Vec<RunKey>, Places)> {
    let mut at = Reader::new(bytes);
    let fences = (0..footer.blocks).map(|_| take_run_key(&mut at)).collect::<Option<_>>()?;
    let places = (0..footer.places).map(|_| Some((at.u64()?, at.u64()?))).collect::<Option<_>>()?;
    Some((fences, places))
}

/// Reads entries in order. Keeps its run open.
#[derive(Debug)]
pub(crate) struct RunCursor<D: Disk> {
    run: Arc<Run<D>>,
    from: RunKey,
    to: RunKey,
    /// The next block to decode, and the first that cannot hold an entry of the range.
    next_block: usize,
    end_block: usize,
    /// Blocks as read, of which the last `buffered` are still to be decoded.
    buffer: Vec<u8>,
    buffered: usize,
    read_ahead: usize,
    /// Where in the buffer the next entry begins, and where those of its block end.
    at: usize,
    block_end: usize,
    /// Entries left in the block.
    left: u32,
    packing: RunPacking,
    last: Option<RunKey>,
}

impl<D: Disk> RunCursor<D> {
    /// The next entry, or `None` after the last.
    ///
    /// # Errors
    /// `Corrupt` with file and offset of a block that is damaged, and then again at each further call; `Io`.
    pub(crate) fn next(&mut self) -> Result<Option<RunEntry>, StorageError> {
        loop {
            while self.left > 0 {
                let entry = self.entry()?;
                if entry.key > self.to {
                    self.left = 0;
                    self.next_block = self.end_block;
                    return Ok(None);
                }
                if entry.key >= self.from {
                    return Ok(Some(entry));
                }
            }
            if self.next_block >= self.end_block {
                return Ok(None);
            }
            self.open_block()?;
        }
    }

    /// The run it reads.
    pub(crate) fn run(&self) -> &Arc<Run<D>> {
        &self.run
    }

    fn entry(&mut self) -> Result<RunEntry, StorageError> {
        let bytes = self.buffer.get(self.at..self.block_end).unwrap_or_default();
        let mut at = Reader::new(bytes);
        let entry = self.packing.take(&mut at).filter(|entry| self.last < Some(entry.key));
        let Some(entry) = entry else {
            return Err(self.damaged(self.next_block - 1, "an entry is not readable"));
        };
        self.at = self.block_end - at.len();
        self.left -= 1;
        self.last = Some(entry.key);
        if self.left == 0 && !at.is_empty() {
            return Err(self.damaged(self.next_block - 1, "something stands behind the last entry"));
        }
        Ok(entry)
    }

    fn open_block(&mut self) -> Result<(), StorageError> {
        let block = self.next_block;
        if self.buffered == 0 {
            self.read_blocks()?;
        }
        let start = self.buffer.len() - self.buffered * RUN_BLOCK;
        let bytes = self.buffer.get(start..start + RUN_BLOCK).unwrap_or_default();
        let id = RunBlockId { log: self.run.footer.log, run: self.run.footer.run, block: block as u64 };
        let (entries, count) = open_run_block(bytes, &id).map_err(|why| self.damaged(block, why))?;
        let first = RunPacking::default().take(&mut Reader::new(entries)).map(|entry| entry.key);
        if first.is_none() || first != self.run.fences.get(block).copied() {
            return Err(self.damaged(block, "the block does not begin with the key of its fence"));
        }
        (self.left, self.at) = (count, start + crate::format::run::RUN_BLOCK_HEADER);
        self.block_end = self.at + entries.len();
        self.packing = RunPacking::default();
        self.buffered -= 1;
        self.next_block += 1;
        Ok(())
    }

    fn read_blocks(&mut self) -> Result<(), StorageError> {
        let blocks = self.read_ahead.min(self.end_block - self.next_block);
        self.buffer.resize(blocks * RUN_BLOCK, 0);
        let offset = (self.next_block * RUN_BLOCK) as u64;
        let Run { disk, file, path, .. } = &*self.run;
        disk.read_at(file, offset, &mut self.buffer).map_err(StorageError::io(path, "read"))?;
        self.buffered = blocks;
        self.read_ahead = (self.read_ahead * 2).min(READ_AHEAD);
        Ok(())
    }

    fn damaged(&self, block: usize, why: &str) -> StorageError {
        StorageError::corrupt(&self.run.path, (block * RUN_BLOCK) as u64, format!("in the run: {why}"))
    }
}
