//! The one writer of the log: batches, slots, the synced position.
//!
//! Owns the order of writes and syncs. A batch is written once the one before it is durable; a slot is
//! used once its header is durable and a durable batch of the slot before names it. The thread around
//! it, the mutex of the gather and those who wait for a position are the caller's.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::data_dir::{DataDir, Durability};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{
    self, BATCH_HEADER, BLOCK, BatchHeader, CLEAN_STOP, EPOCH_START, LogId, MODE_FSYNC, MODE_OS, Place,
    SLOT_HEADER,
};
use crate::log::blob::{self, Blob, PendingBlob};
use crate::log::gather::{Chunk, Gather};
use crate::log::pool::{Purpose, SlotPool};
use crate::log::sink::{BatchSink, DurableBatch, NoSink};
use crate::log::slots::Slot;
use crate::planted::{Plant, is_planted};
use crate::record::Position;
use crate::recovery::LogTail;

static ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];

/// Writes what was gathered. One exists for a data directory.
///
/// ```text
/// open ──► step ⟲ ──► stop
///            │ any failure but Full
///            ▼
///         poisoned: every later call fails
/// ```
#[derive(Debug)]
pub struct LogWriter<D: Disk> {
    disk: D,
    pool: Arc<SlotPool<D>>,
    mode: Mode,
    log: LogId,
    batch_bytes: u64,
    epoch: u64,
    number: u64,
    header_crc: u32,
    active: Arc<Slot<D>>,
    offset: u64,
    next: Option<Arc<Slot<D>>>,
    /// Whether a durable batch of the active slot names the next one.
    next_is_named: bool,
    last_blob: u64,
    synced: Position,
    last_batch_is_empty: bool,
    /// As of the last batch of records: see [`DurableBatch::floor`].
    floor: Position,
    sink: Box<dyn BatchSink>,
    manifest_number: Arc<AtomicU64>,
    poisoned: bool,
    statistics: WriterStatistics,
}

/// When the log calls a batch its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Once it is synced.
    Fsync,
    /// Once it is written; a checkpoint syncs what lies below its cut.
    Os,
    /// Once it is written, and no file or name is ever synced: it ends with the process.
    Spill,
}

/// What the writer did since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriterStatistics {
    /// Batches written, each with one sync.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes written, heads and padding included.
    pub bytes: u64,
    /// Slots begun, free ones overwritten included.
    pub slots: u64,
    /// Blobs written.
    pub blobs: u64,
}

impl<D: Disk> LogWriter<D> {
    /// Starts a new epoch of the log: writes the last batch that recovery found once more, into a fresh
    /// slot, and syncs it. Only then is anything of the old tail given up.
    ///
    /// # Errors
    /// `Full` or `Io`; the log is as it was then, and may be recovered again.
    pub fn open(dir: &DataDir<D>, tail: LogTail) -> Result<Self, StorageError> {
        let disk = dir.disk();
        let folder = dir.log_folder();
        disk.create_folder(&folder).map_err(StorageError::io(&folder, "create folder"))?;
        disk.sync_folder(dir.root()).map_err(StorageError::io(dir.root(), "sync folder"))?;
        if tail.header.mode == MODE_OS {
            // The new epoch is durable; what it stands on must be before it is.
            dir.pool().sync_written()?;
        }
        let mode = match dir.durability() {
            Durability::Fsync => Mode::Fsync,
            Durability::Os => Mode::Os,
        };
        let writer = Self::begin(dir, Arc::clone(dir.pool()), mode, tail)?;
        if dir.is_new() {
            dir.write_identity()?;
        }
        Ok(writer)
    }

    /// Starts the log of what may be lost with the process, after removing what an earlier process left of
    /// its own. Nothing of it is ever synced.
    ///
    /// # Errors
    /// `Full` or `Io`.
    pub(crate) fn spill(dir: &DataDir<D>, sink: Box<dyn BatchSink>) -> Result<Self, StorageError> {
        let (disk, pool) = (dir.disk(), Arc::clone(dir.spill_pool()));
        let folder = pool.folder();
        disk.create_folder(folder).map_err(StorageError::io(folder, "create folder"))?;
        for name in disk.list(folder).map_err(StorageError::io(folder, "list"))? {
            if format::slot_number(&name).or_else(|| format::blob_number(&name)).is_some() {
                let path = folder.join(name);
                disk.remove(&path).map_err(StorageError::io(&path, "remove"))?;
            }
        }
        Self::begin(dir, pool, Mode::Spill, LogTail { sink, ..LogTail::of_new_log() })
    }

    fn begin(
        dir: &DataDir<D>,
        pool: Arc<SlotPool<D>>,
        mode: Mode,
        mut tail: LogTail,
    ) -> Result<Self, StorageError> {
        let disk = dir.disk().clone();
        let folder = pool.folder();
        let entropy = disk.entropy().map_err(StorageError::io(folder, "read entropy"))?;
        let epoch = entropy.iter().fold(0, |epoch: u64, byte| epoch.rotate_left(8) ^ u64::from(*byte)).max(1);
        let repeated_len = format::batch_len(tail.meta.len() as u64, tail.payload.len() as u64)
            .ok_or_else(|| StorageError::corrupt(folder, 0, "the last batch is too long to repeat"))?;
        if tail.last_incarnation == u64::MAX {
            return Err(StorageError::corrupt(folder, 0, "no incarnation is left"));
        }
        pool.go_on_after(tail.last_incarnation, tail.last_file);
        let least = SLOT_HEADER + repeated_len + BLOCK;
        let active = match pool.take(Purpose::Log, pool.slot_bytes().max(least), tail.follows) {
            // A slot for the last batch alone will do: once it is durable, the old tail's room comes back.
            Err(error) if error.is_full() => pool.take(Purpose::Log, least, tail.follows)?,
            made => made?,
        };
        let mut writer = Self {
            log: dir.log_id(),
            batch_bytes: dir.batch_bytes(),
            epoch,
            number: tail.header.number - 1,
            header_crc: tail.header.previous_crc,
            active,
            offset: SLOT_HEADER,
            next: None,
            next_is_named: false,
            last_blob: tail.last_blob,
            synced: Position(0),
            last_batch_is_empty: tail.header.record_count == 0,
            floor: Position(0),
            sink: std::mem::replace(&mut tail.sink, Box::new(NoSink)),
            manifest_number: Arc::clone(&tail.manifest_number),
            poisoned: false,
            statistics: WriterStatistics { slots: 1, ..WriterStatistics::default() },
            pool,
            mode,
            disk,
        };
        if is_planted(Plant::SecondCrash) {
            writer.give_up(&tail)?;
        }
        writer.repeat(&tail)?;
        if !is_planted(Plant::SecondCrash) {
            writer.give_up(&tail)?;
        }
        Ok(writer)
    }

    /// An empty gather whose records follow all those in the log. Take a second one to hand over to.
    #[must_use]
    pub fn gather(&self) -> Gather {
        let heads = BATCH_HEADER as u64 + BLOCK;
        let bytes = self.batch_bytes.saturating_sub(heads).max(BLOCK);
        let blob_over = usize::try_from(self.pool.slot_bytes() / 8).unwrap_or(usize::MAX);
        Gather::new(Position(self.synced.0 + 1), usize::try_from(bytes).unwrap_or(usize::MAX))
            .with_blobs(blob_over, self.last_blob)
    }

    /// Everything up to here is durable.
    #[must_use]
    pub fn synced(&self) -> Position {
        self.synced
    }

    /// What was written so far.
    #[must_use]
    pub fn statistics(&self) -> WriterStatistics {
        self.statistics
    }

    /// Makes everything gathered durable and empties the gather. Returns the synced position.
    ///
    /// # Errors
    /// `Full`: some batches may be durable ([`synced`](Self::synced) tells), the rest stays gathered and
    /// the step may be tried again. Anything else poisons the log for good: what waits must not be
    /// confirmed, and the process should end.
    pub fn step(&mut self, gather: &mut Gather) -> Result<Position, StorageError> {
        self.check_poison()?;
        if !gather.is_empty() {
            let first = gather.first_position();
            assert_eq!(first.0, self.synced.0 + 1, "records missing between the log and what was gathered");
        }
        let floor = gather.floor();
        while let Some(chunk) = gather.chunk() {
            self.write(chunk, 0)?;
            gather.chunk_written();
        }
        self.floor = floor;
        Ok(self.synced)
    }

    /// Writes the empty batch that proves the last one: without it damage to the very last batch would be
    /// taken for a write that a crash cut short. For the moment the log goes idle; does nothing if the
    /// last batch is empty already.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn idle(&mut self) -> Result<(), StorageError> {
        self.check_poison()?;
        if self.last_batch_is_empty { Ok(()) } else { self.write(self.nothing(), 0) }
    }

    /// Prepares the next slot when the active one is half full, so that no step has to. For after the
    /// synced position was published.
    ///
    /// # Errors
    /// `Full`: no next slot yet; steps go on until the active one is full. Else as [`step`](Self::step).
    pub fn tend(&mut self) -> Result<(), StorageError> {
        self.check_poison()?;
        if self.next.is_none() && self.offset > self.active.length / 2 {
            let prepared = self.prepare_next(self.pool.slot_bytes());
            self.next = Some(self.poison_unless_full(prepared)?);
        }
        Ok(())
    }

    /// Makes what was gathered durable and ends the log with the mark of a clean stop.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn stop(mut self, gather: &mut Gather) -> Result<Position, StorageError> {
        self.step(gather)?;
        self.write(self.nothing(), CLEAN_STOP)?;
        Ok(self.synced)
    }

    fn nothing(&self) -> Chunk<'static> {
        Chunk {
            meta: &[],
            payload: Vec::new(),
            payload_len: 0,
            blobs: &[],
            first_position: self.synced.0 + 1,
            record_count: 0,
            floor: self.floor,
        }
    }

    fn check_poison(&self) -> Result<(), StorageError> {
        if self.poisoned || self.pool.is_poisoned() { Err(StorageError::Poisoned) } else { Ok(()) }
    }

    fn poison_unless_full<T>(&mut self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if result.as_ref().is_err_and(|error| !error.is_full()) {
            self.poisoned = true;
        }
        result
    }

    fn write(&mut self, chunk: Chunk<'_>, flags: u8) -> Result<(), StorageError> {
        let ready = self.make_room(&chunk).and_then(|()| self.write_blobs(chunk.blobs));
        self.poison_unless_full(ready)?;
        let header = BatchHeader { flags, ..BatchHeader::default() };
        let written = self.write_here(chunk, header);
        if written.is_err() {
            self.poisoned = true;
        }
        written
    }

    /// Sees to it that the batch fits into the active slot with one block to spare: in that block an
    /// empty batch can always name the next slot.
    fn make_room(&mut self, chunk: &Chunk<'_>) -> Result<(), StorageError> {
        let needed = format::batch_len(chunk.meta.len() as u64, chunk.payload_len)
            .ok_or_else(|| StorageError::corrupt(&self.active.path, self.offset, "a batch without bounds"))?;
        if self.offset + needed + BLOCK <= self.active.length {
            return Ok(());
        }
        let in_fresh = SLOT_HEADER + needed + BLOCK;
        let mut outgrown = None;
        if self.next.as_ref().is_none_or(|next| next.length < in_fresh) {
            let larger = self.prepare_next(in_fresh.max(self.pool.slot_bytes()))?;
            outgrown = self.next.replace(larger);
            self.next_is_named = false;
        }
        if !self.next_is_named {
            self.write_here(self.nothing(), BatchHeader::default())?;
        }
        assert!(self.next_is_named, "the next slot would be used before a durable batch names it");
        if let Some(unused) = outgrown {
            // The last durable batch names another one now.
            self.pool.free(unused.incarnation);
        }
        if let Some(next) = self.next.take() {
            self.active = next;
            self.offset = SLOT_HEADER;
            self.next_is_named = false;
        }
        Ok(())
    }

    fn prepare_next(&mut self, length: u64) -> Result<Arc<Slot<D>>, StorageError> {
        let slot = self.pool.take(Purpose::Log, length, self.active.incarnation)?;
        self.statistics.slots += 1;
        Ok(slot)
    }

    /// Makes the blobs durable that a batch is about to name. If there is no room for all, none is left.
    fn write_blobs(&mut self, blobs: &[PendingBlob]) -> Result<(), StorageError> {
        if blobs.is_empty() {
            return Ok(());
        }
        let Self { disk, pool, log, .. } = self;
        let (folder, syncs) = (pool.folder(), self.mode != Mode::Spill);
        for (written, blob) in blobs.iter().enumerate() {
            if let Err(error) = Blob::write(disk, folder, *log, blob, syncs) {
                if error.is_full() {
                    for blob in blobs.iter().take(written) {
                        blob::unlink(disk, folder, blob.number)?;
                    }
                }
                return Err(error);
            }
        }
        if syncs {
            disk.sync_folder(folder).map_err(StorageError::io(folder, "sync folder"))?;
        }
        self.statistics.blobs += blobs.len() as u64;
        Ok(())
    }

    /// One batch, one vectored write, one sync.
    fn write_here(&mut self, chunk: Chunk<'_>, start: BatchHeader) -> Result<(), StorageError> {
        let is_copy = start.flags & EPOCH_START != 0;
        let header = BatchHeader {
            mode: if self.mode == Mode::Os && !is_copy { MODE_OS } else { MODE_FSYNC },
            record_count: chunk.record_count,
            log: self.log,
            incarnation: self.active.incarnation,
            epoch: self.epoch,
            number: self.number + 1,
            first_position: chunk.first_position,
            manifest: self.manifest_number.load(Ordering::Acquire),
            next_incarnation: self.next.as_ref().map_or(0, |next| next.incarnation),
            next_file: self.next.as_ref().map_or(0, |next| next.number),
            payload_len: chunk.payload_len,
            meta_len: u32::try_from(chunk.meta.len()).unwrap_or(u32::MAX),
            meta_crc: crc32fast::hash(chunk.meta),
            previous_crc: self.header_crc,
            ..start
        };
        let unpadded = BATCH_HEADER as u64 + chunk.meta.len() as u64 + chunk.payload_len;
        let total = unpadded.next_multiple_of(BLOCK);
        assert!(
            self.offset.is_multiple_of(BLOCK) && self.offset + total <= self.active.length,
            "a batch outside its slot"
        );
        let (head, header_crc) = header.encode();
        let padding = usize::try_from(total - unpadded).unwrap_or_default();
        let mut parts = Vec::with_capacity(chunk.payload.len() + 3);
        parts.push(IoSlice::new(&head));
        parts.push(IoSlice::new(chunk.meta));
        parts.extend_from_slice(&chunk.payload);
        parts.push(IoSlice::new(ZEROS.get(..padding).unwrap_or_default()));

        let Self { disk, active, offset, .. } = self;
        disk.write_vectored_at(&active.file, *offset, &mut parts)
            .map_err(StorageError::io(&active.path, "write"))?;
        // An epoch's first batch is synced in every mode that outlives the process: the old tail goes next.
        let syncs = self.mode == Mode::Fsync || (self.mode == Mode::Os && is_copy);
        if syncs && !is_planted(Plant::EarlyConfirm) {
            disk.sync_data(&active.file).map_err(StorageError::io(&active.path, "sync"))?;
        } else {
            active.is_unsynced.store(true, Ordering::Release);
        }

        let at = Place { incarnation: self.active.incarnation, offset: self.offset };
        let batch = DurableBatch { at, header: &header, header_crc, meta: chunk.meta, floor: chunk.floor };
        self.sink.batch(batch)?;
        self.floor = chunk.floor;
        self.offset += total;
        self.number += 1;
        self.header_crc = header_crc;
        self.next_is_named = self.next.is_some();
        self.last_batch_is_empty = chunk.record_count == 0;
        self.synced = Position(chunk.first_position + u64::from(chunk.record_count) - 1);
        self.statistics.batches += 1;
        self.statistics.records += u64::from(chunk.record_count);
        self.statistics.bytes += total;
        Ok(())
    }

    /// The first batch of the epoch: the last one of the epoch before, and where that one ends. The mark
    /// of a clean stop is not repeated, as service follows.
    fn repeat(&mut self, tail: &LogTail) -> Result<(), StorageError> {
        let chunk = Chunk {
            meta: &tail.meta,
            payload: vec![IoSlice::new(&tail.payload)],
            payload_len: tail.payload.len() as u64,
            blobs: &[],
            first_position: tail.header.first_position,
            record_count: tail.header.record_count,
            floor: Position(tail.header.first_position.saturating_add(tail.header.record_count.into())),
        };
        let start = BatchHeader {
            flags: EPOCH_START,
            prior_epoch: tail.header.epoch,
            prior_end: tail.prior_end,
            ..BatchHeader::default()
        };
        self.write_here(chunk, start)
    }

    /// Removes the slots that hold nothing any more and returns the unused end of the one that was active.
    /// In ascending order and one by one: a slot that voids another must not vanish before it.
    fn give_up(&self, tail: &LogTail) -> Result<(), StorageError> {
        let folder = self.pool.folder();
        for path in &tail.void_slots {
            self.disk.remove(path).map_err(StorageError::io(path, "remove"))?;
            self.disk.sync_folder(folder).map_err(StorageError::io(folder, "sync folder"))?;
            self.pool.forget(path);
        }
        if let Some((path, length)) = &tail.trim {
            let file = self.disk.open(path).map_err(StorageError::io(path, "open"))?;
            self.disk.truncate(&file, *length).map_err(StorageError::io(path, "truncate"))?;
            self.disk.sync_data(&file).map_err(StorageError::io(path, "sync"))?;
        }
        Ok(())
    }
}

/// Where the log was before its first batch.
impl LogTail {
    pub(crate) fn of_new_log() -> Self {
        Self {
            header: BatchHeader { number: 1, first_position: 1, ..BatchHeader::default() },
            meta: Vec::new(),
            payload: Vec::new(),
            prior_end: Place::default(),
            follows: 0,
            last_incarnation: 0,
            last_file: 0,
            last_blob: 0,
            void_slots: Vec::new(),
            trim: None,
            sink: Box::new(NoSink),
            manifest_number: Arc::default(),
        }
    }
}
