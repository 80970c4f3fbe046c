//! Every slot and every batch that can be read, whatever lies between them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{self, BATCH_HEADER, BLOCK, BatchHeader, EPOCH_START, FORMAT_VERSION, LogId, Place};
use crate::format::{SLOT_HEADER, SlotHeader};
use crate::inspect::loss::{Damage, Loss, Lost, Progress, Verified, Watch};
use crate::log::blob::Blob;
use crate::manifest::ManifestState;

/// How much of a slot is read at once.
const READ_BYTES: u64 = 1 << 20;

/// The slots that were found, and their batches.
#[derive(Debug)]
pub(super) struct Slots<D: Disk> {
    disk: D,
    folder: PathBuf,
    log: LogId,
    files: BTreeMap<u64, SlotFile<D>>,
    batches: Vec<FoundBatch>,
    pub(super) losses: Vec<Loss>,
}

#[derive(Debug)]
struct SlotFile<D: Disk> {
    file: D::File,
    path: PathBuf,
    length: u64,
}

/// What comes before the first batch that is looked for. Unknown where a manifest cannot be read: then the
/// log's first slots may have been freed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LogBegin {
    /// The number of the batch before.
    pub(super) number: u64,
    /// Where that ends.
    pub(super) place: Place,
    /// The position of the next record.
    pub(super) position: u64,
    /// The slot that it names as the next, or 0.
    pub(super) next_incarnation: u64,
}

/// A batch with a valid header.
#[derive(Debug, Clone, Copy)]
pub(super) struct FoundBatch {
    pub(super) at: Place,
    pub(super) header: BatchHeader,
}

impl<D: Disk> Slots<D> {
    /// Looks through the log's folder. With a manifest, slots that lie below its cut are not searched.
    pub(super) fn find(
        disk: &D,
        folder: &Path,
        log: LogId,
        state: Option<&ManifestState>,
        begin: Option<LogBegin>,
        watch: Watch<'_>,
    ) -> Result<Self, StorageError> {
        let names = match disk.list(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed.map_err(StorageError::io(folder, "list"))?,
        };
        let mut found = Self {
            disk: disk.clone(),
            folder: folder.to_owned(),
            log,
            files: BTreeMap::new(),
            batches: Vec::new(),
            losses: Vec::new(),
        };
        let numbers: Vec<u64> = names.iter().filter_map(|name| format::slot_number(name)).collect();
        for (done, number) in (0..).zip(&numbers) {
            watch(Progress { part: "slots", done, total: numbers.len() as u64 });
            found.open(*number, state)?;
        }
        found.drop_void();
        found.batches.sort_by_key(|batch| (batch.header.number, batch.header.flags & EPOCH_START));
        // A batch and its copy are the same: the copy stays.
        found.batches.reverse();
        found.batches.dedup_by_key(|batch| batch.header.number);
        found.batches.reverse();
        if let Some(state) = state {
            found.batches.retain(|batch| batch.header.number > state.cut.batch);
        }
        found.note_gaps(begin);
        if let Some(state) = state {
            // Runs speak for what the last batch below the cut says.
            found.batches.retain(|batch| batch.header.number > state.cut.below);
        }
        Ok(found)
    }

    /// All that count, in order.
    pub(super) fn batches(&self) -> Vec<FoundBatch> {
        self.batches.clone()
    }

    /// The file of a slot.
    pub(super) fn path(&self, incarnation: u64) -> PathBuf {
        self.files.get(&incarnation).map_or_else(|| self.folder.clone(), |slot| slot.path.clone())
    }

    /// The records of a batch, or the loss of them.
    pub(super) fn meta(&self, batch: &FoundBatch) -> Result<Result<Vec<u8>, Loss>, StorageError> {
        let offset = batch.at.offset + BATCH_HEADER as u64;
        let Some(slot) = self.files.get(&batch.at.incarnation) else { return Ok(Ok(Vec::new())) };
        let mut meta = vec![0; batch.header.meta_len as usize];
        self.disk.read_at(&slot.file, offset, &mut meta).map_err(StorageError::io(&slot.path, "read"))?;
        if crc32fast::hash(&meta) == batch.header.meta_crc {
            return Ok(Ok(meta));
        }
        let first = batch.header.first_position;
        let last = first.saturating_add(u64::from(batch.header.record_count).saturating_sub(1));
        Ok(Err(Loss::new(
            Lost::Records { first, last },
            &slot.path,
            batch.at.offset,
            "the records of a batch fail their checksum",
        )))
    }

    /// A payload of a slot.
    pub(super) fn payload(
        &self,
        incarnation: u64,
        offset: u64,
        (len, crc): (u32, u32),
    ) -> Result<Verified, StorageError> {
        let Some(slot) = self.files.get(&incarnation) else {
            let why = format!("the slot with incarnation {incarnation} is missing");
            return Ok(Err(Damage { file: self.folder.clone(), offset: 0, reason: why }));
        };
        let wrong = |why: &str| Ok(Err(Damage { file: slot.path.clone(), offset, reason: why.to_owned() }));
        if offset.checked_add(len.into()).is_none_or(|end| end > slot.length) {
            return wrong("the slot is cut before the end of a message");
        }
        let mut bytes = vec![0; len as usize];
        self.disk.read_at(&slot.file, offset, &mut bytes).map_err(StorageError::io(&slot.path, "read"))?;
        if crc32fast::hash(&bytes) != crc {
            return wrong("the bytes of a message fail their checksum");
        }
        Ok(Ok(bytes))
    }

    /// The payload of a blob, verified.
    pub(super) fn blob(&self, number: u64) -> Result<Vec<u8>, StorageError> {
        Blob::open(&self.disk, &self.folder, self.log, number)?.read()
    }

    /// The file of a blob.
    pub(super) fn blob_path(&self, number: u64) -> PathBuf {
        format::blob_path(&self.folder, number)
    }

    fn open(&mut self, number: u64, state: Option<&ManifestState>) -> Result<(), StorageError> {
        let path = format::slot_path(&self.folder, number);
        let file = self.disk.open(&path).map_err(StorageError::io(&path, "open"))?;
        let length = self.disk.length(&file).map_err(StorageError::io(&path, "read length"))?;
        let mut bytes = vec![0; usize::try_from(SLOT_HEADER.min(length)).unwrap_or_default()];
        self.disk.read_at(&file, 0, &mut bytes).map_err(StorageError::io(&path, "read"))?;
        let header = match SlotHeader::decode(&bytes) {
            Some((version, _)) if version != FORMAT_VERSION => {
                let (found, supported) = (version.into(), FORMAT_VERSION.into());
                return Err(StorageError::Version { file: path, found, supported });
            }
            Some((_, header)) if header.log != self.log => {
                let why = "the slot belongs to another log";
                self.losses.push(Loss::new(Lost::Nothing, &path, 0, why));
                return Ok(());
            }
            header => header.map(|(_, header)| header),
        };
        let slot = SlotFile { file, path, length };
        // A slot below the cut holds nothing that is read from batches.
        let is_below =
            |header: &SlotHeader| state.is_some_and(|state| header.incarnation < state.cut.at.incarnation);
        let batches = if header.as_ref().is_some_and(is_below) { Vec::new() } else { self.scan(&slot)? };
        let listed = state.and_then(|state| state.slots.iter().find(|(_, note)| note.file == number));
        let said = header.map(|header| header.incarnation);
        let highest = batches.iter().map(|batch| batch.at.incarnation).max();
        // Without a batch of its own a header may be another slot's: if younger batches follow it, or that
        // other slot is there too. Older ones are what an earlier use of the file left.
        let is_wrong = |said: u64| {
            batches.iter().all(|batch| batch.at.incarnation != said)
                && (highest.is_some_and(|highest| highest > said) || self.files.contains_key(&said))
        };
        let incarnation = said.filter(|said| !is_wrong(*said));
        if incarnation.is_none() && (said.is_some() || highest.is_some() || listed.is_some()) {
            let why = "the header of a slot is damaged or another one's";
            self.losses.push(Loss::new(Lost::Nothing, &slot.path, 0, why));
        }
        let known = highest.or(listed.map(|(incarnation, _)| *incarnation));
        let Some(incarnation) = incarnation.or(known) else { return Ok(()) };
        self.batches.extend(batches.into_iter().filter(|batch| batch.at.incarnation == incarnation));
        // One that took this place by a wrong header is known by its own batches.
        if let Some(other) = self.files.insert(incarnation, slot) {
            self.rename(other, incarnation)?;
        }
        Ok(())
    }

    /// Gives a slot, whose header named `taken` wrongly, the incarnation of its batches.
    fn rename(&mut self, slot: SlotFile<D>, taken: u64) -> Result<(), StorageError> {
        let batches = self.scan(&slot)?;
        let others =
            batches.iter().map(|batch| batch.at.incarnation).filter(|incarnation| *incarnation != taken);
        let why = "the header of a slot is another one's";
        self.losses.push(Loss::new(Lost::Nothing, &slot.path, 0, why));
        if let Some(incarnation) = others.max().filter(|incarnation| !self.files.contains_key(incarnation)) {
            self.batches.extend(batches.into_iter().filter(|batch| batch.at.incarnation == incarnation));
            self.files.insert(incarnation, slot);
        }
        Ok(())
    }

    /// Finds all batches of this log in a slot, those of earlier uses of its file too.
    fn scan(&self, slot: &SlotFile<D>) -> Result<Vec<FoundBatch>, StorageError> {
        let mut batches = Vec::new();
        let mut at = SLOT_HEADER.min(slot.length);
        let (mut buffer, mut start) = (Vec::new(), 0_u64);
        while at + BATCH_HEADER as u64 <= slot.length {
            if at < start || at + BATCH_HEADER as u64 > start + buffer.len() as u64 {
                start = at;
                buffer.resize(usize::try_from(READ_BYTES.min(slot.length - at)).unwrap_or_default(), 0);
                self.disk
                    .read_at(&slot.file, at, &mut buffer)
                    .map_err(StorageError::io(&slot.path, "read"))?;
            }
            let from = usize::try_from(at - start).unwrap_or_default();
            let header = buffer.get(from..from + BATCH_HEADER).and_then(BatchHeader::decode);
            let header = header.map(|(_, header, _)| header).filter(|header| header.log == self.log);
            let end = header.as_ref().and_then(BatchHeader::total_len).and_then(|len| at.checked_add(len));
            if let Some((header, _)) = header.zip(end.filter(|end| *end <= slot.length)) {
                let place = Place { incarnation: header.incarnation, offset: at };
                batches.push(FoundBatch { at: place, header });
            }
            // Not over the whole batch: its header may be what an earlier use of the file left behind.
            at += BLOCK;
        }
        Ok(batches)
    }

    /// Batches that a later epoch left behind count no more.
    fn drop_void(&mut self) {
        let mut ends: BTreeMap<u64, u64> = BTreeMap::new();
        for FoundBatch { header, .. } in
            self.batches.iter().filter(|batch| batch.header.flags & EPOCH_START != 0)
        {
            let end = ends.entry(header.prior_epoch).or_insert(header.number);
            *end = header.number.min(*end);
        }
        self.batches.retain(|FoundBatch { header, .. }| {
            ends.get(&header.epoch).is_none_or(|end| header.number < *end)
        });
    }

    /// Numbers that are missing before, between and behind those found.
    fn note_gaps(&mut self, mut before: Option<LogBegin>) {
        let mut losses = Vec::new();
        for FoundBatch { at, header } in &self.batches {
            if let Some(LogBegin { number, place, position, .. }) =
                before.filter(|before| header.number > before.number + 1)
            {
                let file = self.files.get(&place.incarnation).map_or(&self.folder, |slot| &slot.path);
                let why = format!("batches {} to {} are damaged or missing", number + 1, header.number - 1);
                let last = header.first_position.saturating_sub(1);
                losses.push(Loss::new(Lost::Records { first: position, last }, file, place.offset, why));
            }
            let end = at.offset.saturating_add(header.total_len().unwrap_or_default());
            let next = header.first_position.saturating_add(header.record_count.into());
            before = Some(LogBegin {
                number: header.number,
                place: Place { offset: end, ..*at },
                position: next,
                next_incarnation: header.next_incarnation,
            });
        }
        let named = before.filter(|last| last.next_incarnation != 0);
        if let Some(last) = named.filter(|last| !self.files.contains_key(&last.next_incarnation)) {
            let why = format!(
                "the slot with incarnation {} comes next, and is missing or its header is damaged",
                last.next_incarnation
            );
            let file = self.files.get(&last.place.incarnation).map_or(&self.folder, |slot| &slot.path);
            let lost = Lost::Records { first: last.position, last: u64::MAX };
            losses.push(Loss::new(lost, file, last.place.offset, why));
        }
        self.losses.extend(losses);
    }
}
