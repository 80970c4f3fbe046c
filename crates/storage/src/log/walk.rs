//! Reading the log back, batch by batch, and telling where it ends.
//!
//! The unit is the batch. The log ends before the first batch that is not whole. That is a torn tail, cut
//! short by a crash, only if no later batch is whole: a batch is written once the one before it is
//! durable, so a later one proves that what is damaged was whole once, and then it is corruption.
//!
//! Each recovery begins a new epoch in a fresh slot, with a copy of the last batch that names the place
//! where the batch before it ended. From that place the walk goes to the copy; what else lay there is void.

use std::collections::{BTreeMap, BTreeSet};

use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{
    BATCH_HEADER, BLOCK, BatchHeader, EPOCH_START, FORMAT_VERSION, Fields, MODE_OS, Place, Records,
    SLOT_HEADER,
};
use crate::log::blob;
use crate::log::slots::{FoundSlots, Slot};
use crate::planted::{Plant, is_planted};

/// How much is read at once when looking for later batches.
const SCAN_BYTES: u64 = 1 << 20;

static ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];

/// A batch whose header and meta section are whole.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) place: Place,
    /// Where the batch before it ends.
    pub(crate) before: Place,
    pub(crate) header: BatchHeader,
    pub(crate) meta: Vec<u8>,
}

impl Batch {
    pub(crate) fn end_place(&self) -> Place {
        let len = self.header.total_len().unwrap_or(u64::MAX);
        Place { offset: self.place.offset.saturating_add(len), ..self.place }
    }
}

/// How the walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TornTail {
    /// Bytes after the last whole batch that are not zeros, in whole blocks.
    pub(crate) bytes: u64,
}

/// Where a walk is: between two batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct WalkAt {
    /// Where the batch before it ends; all zero before the first.
    pub(crate) end: Place,
    /// That batch's number.
    pub(crate) number: u64,
    /// The checksum of its header.
    pub(crate) header_crc: u32,
    /// Its epoch.
    pub(crate) epoch: u64,
    /// The slot that it names as the next, or 0.
    pub(crate) next_incarnation: u64,
    /// The position of the first record after it, or 0 before the first.
    pub(crate) next_position: u64,
}

impl WalkAt {
    /// After a batch at this place.
    pub(crate) fn after(place: Place, header: &BatchHeader, header_crc: u32) -> Self {
        let len = header.total_len().unwrap_or(u64::MAX);
        Self {
            end: Place { offset: place.offset.saturating_add(len), ..place },
            number: header.number,
            header_crc,
            epoch: header.epoch,
            next_incarnation: header.next_incarnation,
            next_position: header.first_position.saturating_add(header.record_count.into()),
        }
    }
}

/// A walk over all batches in their order.
#[derive(Debug)]
pub(crate) struct Walk<'d, D: Disk> {
    disk: &'d D,
    found: &'d FoundSlots<D>,
    /// Copies that begin an epoch, by the place from which the walk goes to them.
    starts: BTreeMap<Place, u64>,
    /// Epochs that a later one has ended.
    closed: BTreeSet<u64>,
    visited: BTreeSet<u64>,
    at: WalkAt,
    /// Slots before this one hold nothing above the beginning of the walk.
    first_slot: u64,
    listed: BTreeSet<u64>,
    /// The header after the last whole batch was read and only the rest of that batch was damaged.
    last_is_proven: bool,
}

impl<'d, D: Disk> Walk<'d, D> {
    /// Looks for the beginnings of all epochs. The walk begins at `from`; in the slots of `listed` a
    /// manifest vouches for what is below.
    pub(crate) fn new(
        disk: &'d D,
        found: &'d FoundSlots<D>,
        from: WalkAt,
        listed: BTreeSet<u64>,
    ) -> Result<Self, StorageError> {
        let mut walk = Self {
            disk,
            found,
            starts: BTreeMap::new(),
            closed: BTreeSet::new(),
            visited: BTreeSet::new(),
            at: WalkAt { next_position: from.next_position.max(1), ..from },
            first_slot: from.end.incarnation,
            listed,
            last_is_proven: false,
        };
        for (incarnation, (slot, _)) in &found.slots {
            let place = Place { incarnation: *incarnation, offset: SLOT_HEADER };
            let Some((header, _)) = walk.header_at(slot, place.offset)? else { continue };
            if header.flags & EPOCH_START == 0 {
                continue;
            }
            // The log below the beginning of the walk is not judged: much of it may be gone.
            if header.number <= from.number {
                walk.closed.insert(header.prior_epoch);
                continue;
            }
            let Some(meta) = walk.meta_at(slot, place.offset, &header)? else { continue };
            let batch = Batch { place, before: header.prior_end, header, meta };
            if walk.is_followed(&batch)? || walk.payload_is_whole(&batch)? {
                // Ascending incarnations: a later copy from the same place replaces an earlier one.
                walk.starts.insert(header.prior_end, *incarnation);
                walk.closed.insert(header.prior_epoch);
            }
        }
        Ok(walk)
    }

    /// The next batch, or `None` at the end.
    ///
    /// # Errors
    /// `Corrupt` where a slot or an epoch is missing that durable batches name.
    pub(crate) fn next(&mut self) -> Result<Option<Batch>, StorageError> {
        if let Some(incarnation) = self.starts.remove(&self.at.end) {
            let place = Place { incarnation, offset: SLOT_HEADER };
            let Some(batch) = self.candidate(place, true)? else {
                let why = format!("the epoch that starts here does not follow batch {}", self.at.number);
                return Err(self.corrupt(place, why));
            };
            return Ok(Some(self.accept(batch)));
        }
        if self.at.number == 0 {
            return Ok(None);
        }
        if let Some(batch) = self.candidate(self.at.end, false)? {
            return Ok(Some(self.accept(batch)));
        }
        if self.at.next_incarnation != 0 {
            let place = Place { incarnation: self.at.next_incarnation, offset: SLOT_HEADER };
            if !self.found.slots.contains_key(&self.at.next_incarnation) {
                let why = format!(
                    "batch {} names slot incarnation {} as the next, and that slot is missing or its header is damaged",
                    self.at.number, self.at.next_incarnation
                );
                return Err(self.corrupt(self.at.end, why));
            }
            if let Some(batch) = self.candidate(place, false)? {
                return Ok(Some(self.accept(batch)));
            }
        }
        Ok(None)
    }

    /// Steps back before the batch that [`next`](Self::next) gave last, whose payload is not whole.
    pub(crate) fn drop_last(&mut self, last: &Batch, before: &Batch) {
        let (_, header_crc) = before.header.encode();
        self.at = WalkAt::after(before.place, &before.header, header_crc);
        debug_assert_eq!(self.at.end, last.before);
        if last.place.incarnation != before.place.incarnation {
            self.visited.remove(&last.place.incarnation);
        }
    }

    /// Whether the last batch is known to have been durable, because the one after it was begun.
    pub(crate) fn last_is_proven(&self) -> bool {
        self.last_is_proven
    }

    /// Where the walk is.
    pub(crate) fn at(&self) -> WalkAt {
        self.at
    }

    /// The slots in which the walk found batches.
    pub(crate) fn visited(&self) -> &BTreeSet<u64> {
        &self.visited
    }

    /// After the end: makes sure that it is one, and measures what a crash left there.
    ///
    /// # Errors
    /// `Corrupt` if a later batch exists, an epoch does not join, or the last slot was cut.
    pub(crate) fn check_end(&self) -> Result<TornTail, StorageError> {
        if let Some((place, incarnation)) = self.starts.iter().next() {
            let why = format!(
                "an epoch starts here after byte {} of slot incarnation {}, which the log does not reach (it ends after batch {})",
                place.offset, place.incarnation, self.at.number
            );
            return Err(self.corrupt(Place { incarnation: *incarnation, offset: SLOT_HEADER }, why));
        }
        let mut bytes = 0;
        for (incarnation, (slot, header)) in self.found.slots.range(self.first_slot..) {
            let ends_here = *incarnation == self.at.end.incarnation;
            if (ends_here || *incarnation == self.at.next_incarnation) && slot.length < header.allocated {
                let why = format!("the slot was {} bytes long and is cut", header.allocated);
                return Err(StorageError::corrupt(&slot.path, slot.length, why));
            }
            let from = match (ends_here, self.visited.contains(incarnation)) {
                (true, _) => self.at.end.offset,
                (false, true) => continue,
                (false, false) if self.listed.contains(incarnation) => continue,
                (false, false) => SLOT_HEADER,
            };
            bytes += self.scan(slot, from)?;
        }
        // A slot is used only once its header is durable: one without holds no batch, or is damaged.
        for slot in &self.found.headless {
            bytes += self.scan(slot, 0)?;
        }
        if bytes > 0 && is_planted(Plant::TornIsCorrupt) {
            return Err(self.corrupt(self.at.end, "bytes behind the end of the log".to_owned()));
        }
        Ok(TornTail { bytes })
    }

    /// Looks at every block from `from` on for batches later than the last.
    fn scan(&self, slot: &Slot<D>, from: u64) -> Result<u64, StorageError> {
        let mut dirty = 0;
        let mut at = from;
        let mut buffer = Vec::new();
        while at < slot.length {
            buffer.resize(usize::try_from(SCAN_BYTES.min(slot.length - at)).unwrap_or_default(), 0);
            self.disk.read_at(&slot.file, at, &mut buffer).map_err(StorageError::io(&slot.path, "read"))?;
            for block in buffer.chunks(BLOCK as usize) {
                if ZEROS.get(..block.len()) != Some(block) {
                    dirty += block.len() as u64;
                    self.judge(slot, at, block)?;
                }
                at += block.len() as u64;
            }
        }
        Ok(dirty)
    }

    fn judge(&self, slot: &Slot<D>, offset: u64, block: &[u8]) -> Result<(), StorageError> {
        let Some((_, header, _)) = BatchHeader::decode(block) else { return Ok(()) };
        let is_ours = self.found.log == Some(header.log)
            && (slot.incarnation == 0 || slot.incarnation == header.incarnation);
        let is_void = header.epoch != self.at.epoch && self.closed.contains(&header.epoch);
        if !is_ours || is_void || header.number <= self.at.number || header.mode == MODE_OS {
            return Ok(());
        }
        let place = Place { incarnation: slot.incarnation, offset };
        let is_expected = place == self.at.end
            || place == Place { incarnation: self.at.next_incarnation, offset: SLOT_HEADER };
        if is_expected && header.epoch == self.at.epoch && header.number == self.at.number + 1 {
            return Ok(());
        }
        let why = format!(
            "batch {} is not whole or missing, but batch {} stands at byte {} of {}: this is damage, not a write cut short",
            self.at.number + 1,
            header.number,
            offset,
            slot.path.display()
        );
        Err(self.corrupt(self.at.end, why))
    }

    /// The batch at this place, if it is the one that must come next.
    fn candidate(&mut self, place: Place, starts_epoch: bool) -> Result<Option<Batch>, StorageError> {
        let Some((slot, _)) = self.found.slots.get(&place.incarnation) else { return Ok(None) };
        let Some((header, _)) = self.header_at(slot, place.offset)? else { return Ok(None) };
        let is_next = header.number == self.at.number + 1
            && header.previous_crc == self.at.header_crc
            && (header.flags & EPOCH_START != 0) == starts_epoch
            && (starts_epoch || header.epoch == self.at.epoch);
        if !is_next {
            return Ok(None);
        }
        if header.first_position != self.at.next_position {
            let why = format!(
                "its records begin at {} and not at {}",
                header.first_position, self.at.next_position
            );
            return Err(self.corrupt(place, why));
        }
        let Some(meta) = self.meta_at(slot, place.offset, &header)? else {
            self.last_is_proven = header.mode != MODE_OS;
            return Ok(None);
        };
        let batch = Batch { place, before: self.at.end, header, meta };
        // Nothing proves that a batch was durable for whose sync nobody waited: it counts only whole.
        let counts = header.mode != MODE_OS || self.payload_is_whole(&batch)?;
        Ok(counts.then_some(batch))
    }

    fn accept(&mut self, batch: Batch) -> Batch {
        let (_, header_crc) = batch.header.encode();
        self.at = WalkAt::after(batch.place, &batch.header, header_crc);
        self.visited.insert(batch.place.incarnation);
        batch
    }

    /// Whether the batch after this one was begun, which proves that this one was durable.
    fn is_followed(&self, batch: &Batch) -> Result<bool, StorageError> {
        let named = Place { incarnation: batch.header.next_incarnation, offset: SLOT_HEADER };
        for place in [batch.end_place(), named] {
            if let Some((slot, _)) = self.found.slots.get(&place.incarnation)
                && let Some((next, _)) = self.header_at(slot, place.offset)?
                && next.epoch == batch.header.epoch
                && next.number.checked_sub(1) == Some(batch.header.number)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether every payload of the batch has its checksum.
    pub(crate) fn payload_is_whole(&self, batch: &Batch) -> Result<bool, StorageError> {
        let payload = self.payload(batch)?;
        for record in Records::new(&batch.header, &batch.meta) {
            let record = record.map_err(|fault| self.unreadable(batch, fault.left))?;
            let (Fields::Message { payload: at, .. } | Fields::Body { payload: at }) = record.fields else {
                continue;
            };
            if at.blob != 0 {
                // A blob was durable before the batch that names it.
                continue;
            }
            let from = usize::try_from(at.offset).unwrap_or(usize::MAX);
            let bytes = payload.get(from..from.saturating_add(at.len as usize)).unwrap_or_default();
            if bytes.len() != at.len as usize || crc32fast::hash(bytes) != at.crc {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All payloads of a batch, as they are on disk.
    pub(crate) fn payload(&self, batch: &Batch) -> Result<Vec<u8>, StorageError> {
        let offset = batch.place.offset + BATCH_HEADER as u64 + u64::from(batch.header.meta_len);
        self.read(batch.place.incarnation, offset, batch.header.payload_len)
    }

    /// Bytes of a slot; the range lies within it.
    pub(crate) fn read(&self, incarnation: u64, offset: u64, len: u64) -> Result<Vec<u8>, StorageError> {
        let Some((slot, _)) = self.found.slots.get(&incarnation) else { return Ok(Vec::new()) };
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        self.disk.read_at(&slot.file, offset, &mut bytes).map_err(StorageError::io(&slot.path, "read"))?;
        Ok(bytes)
    }

    /// The highest number of a blob, or 0.
    pub(crate) fn last_blob(&self) -> Result<u64, StorageError> {
        Ok(blob::list(self.disk, &self.found.folder)?.last().copied().unwrap_or(0))
    }

    /// Refuses at a place of the log.
    pub(crate) fn corrupt(&self, place: Place, why: String) -> StorageError {
        match self.found.slots.get(&place.incarnation) {
            Some((slot, _)) => StorageError::corrupt(&slot.path, place.offset, why),
            None => StorageError::corrupt(&self.found.folder, place.offset, why),
        }
    }

    /// Refuses a log of which not even the first batch was found.
    pub(crate) fn no_start(&self) -> StorageError {
        let why = "the first slot of the log is missing or damaged";
        match (self.found.headless.first(), self.found.slots.values().next()) {
            (Some(slot), _) => StorageError::corrupt(&slot.path, 0, why),
            (None, Some((slot, _))) => StorageError::corrupt(&slot.path, SLOT_HEADER, why),
            (None, None) => StorageError::corrupt(&self.found.folder, 0, why),
        }
    }

    /// Refuses a record that has its checksum and cannot be read.
    pub(crate) fn unreadable(&self, batch: &Batch, left: usize) -> StorageError {
        let from_start = (batch.meta.len().saturating_sub(left) + BATCH_HEADER) as u64;
        let place = Place { offset: batch.place.offset + from_start, ..batch.place };
        self.corrupt(place, "a record of a kind or version that is not known here".to_owned())
    }

    fn header_at(&self, slot: &Slot<D>, offset: u64) -> Result<Option<(BatchHeader, u32)>, StorageError> {
        if offset.checked_add(BATCH_HEADER as u64).is_none_or(|end| end > slot.length) {
            return Ok(None);
        }
        let mut bytes = [0; BATCH_HEADER];
        self.disk.read_at(&slot.file, offset, &mut bytes).map_err(StorageError::io(&slot.path, "read"))?;
        let Some((version, header, crc)) = BatchHeader::decode(&bytes) else { return Ok(None) };
        let log = self.found.slots.get(&slot.incarnation).map(|(_, header)| header.log);
        if Some(header.log) != log || header.incarnation != slot.incarnation {
            return Ok(None);
        }
        if version != FORMAT_VERSION {
            let file = slot.path.clone();
            return Err(StorageError::Version {
                file,
                found: version.into(),
                supported: FORMAT_VERSION.into(),
            });
        }
        let end = header.total_len().and_then(|len| len.checked_add(offset));
        Ok(end.is_some_and(|end| end <= slot.length).then_some((header, crc)))
    }

    fn meta_at(
        &self,
        slot: &Slot<D>,
        offset: u64,
        header: &BatchHeader,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let meta = self.read(slot.incarnation, offset + BATCH_HEADER as u64, header.meta_len.into())?;
        Ok((crc32fast::hash(&meta) == header.meta_crc).then_some(meta))
    }
}
