//! Payloads from their places, neighbours with one call of the disk.

use std::path::PathBuf;

use bytes::Bytes;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::format;
use crate::log::blob::Blob;
use crate::run::BodyAt;
use crate::store::Inner;

/// Most that is read with one call, unless one payload is longer.
const READ_AT_ONCE: u64 = 1 << 20;
/// Places with no more than this between them are neighbours.
const READ_OVER: u64 = 16 << 10;

impl<D: Disk> Inner<D> {
    /// The payloads at these places, in their order, each with its checksum verified.
    ///
    /// # Errors
    /// `Corrupt` for the first that is damaged, `Io`.
    pub(super) fn payloads(&self, places: &[BodyAt]) -> Result<Vec<Bytes>, StorageError> {
        let mut payloads: Vec<Bytes> = Vec::with_capacity(places.len());
        let mut rest = places;
        while let Some(first) = rest.first() {
            let together = neighbours(rest);
            let (now, later) = rest.split_at(together);
            let end = now.iter().map(|at| at.offset.saturating_add(at.len.into())).max().unwrap_or_default();
            let (bytes, start) = self.bytes(first, end)?;
            for at in now {
                payloads.push(self.verified(at, &bytes, start)?);
            }
            rest = later;
        }
        Ok(payloads)
    }

    /// Bytes of a slot or blob from a place to `end`, and the offset of the first.
    fn bytes(&self, first: &BodyAt, end: u64) -> Result<(Bytes, u64), StorageError> {
        if first.is_blob() {
            let blob = Blob::open(&self.disk, self.slots.folder(), self.log, first.offset)?;
            return Ok((Bytes::from(blob.read()?), first.offset));
        }
        let Some(slot) = self.slots.pin(first.incarnation) else {
            let why = format!("a message lies in slot incarnation {}, which is not there", first.incarnation);
            return Err(StorageError::corrupt(self.slots.folder(), 0, why));
        };
        let length = self.disk.length(&slot.file).map_err(StorageError::io(&slot.path, "read length"))?;
        if end > length {
            let why = format!("the slot ends at byte {length}, before a message in it does");
            return Err(StorageError::corrupt(&slot.path, first.offset, why));
        }
        let mut bytes = vec![0; usize::try_from(end - first.offset).unwrap_or_default()];
        self.disk
            .read_at(&slot.file, first.offset, &mut bytes)
            .map_err(StorageError::io(&slot.path, "read"))?;
        Ok((Bytes::from(bytes), first.offset))
    }

    /// Where the bytes are, for people.
    fn file_of(&self, at: &BodyAt) -> (PathBuf, u64) {
        if at.is_blob() {
            return (format::blob_path(self.slots.folder(), at.offset), 0);
        }
        let slot = self.slots.pin(at.incarnation);
        (slot.map_or_else(|| self.slots.folder().to_owned(), |slot| slot.path.clone()), at.offset)
    }

    fn verified(&self, at: &BodyAt, bytes: &Bytes, start: u64) -> Result<Bytes, StorageError> {
        let from = usize::try_from(at.offset - start).unwrap_or(usize::MAX);
        let found = bytes.get(from..from.saturating_add(at.len as usize)).unwrap_or_default();
        if found.len() != at.len as usize || crc32fast::hash(found) != at.crc {
            let (path, offset) = self.file_of(at);
            return Err(StorageError::corrupt(&path, offset, "the bytes of a message fail their checksum"));
        }
        // One message alone keeps what was read; of several each has its own, or one would hold all.
        if found.len() == bytes.len() { Ok(bytes.clone()) } else { Ok(Bytes::copy_from_slice(found)) }
    }
}

/// How many of these, from the first on, are read with one call: they rise within one slot.
fn neighbours(places: &[BodyAt]) -> usize {
    let Some(first) = places.first() else { return 0 };
    let mut count = 1;
    let mut end = first.offset.saturating_add(first.len.into());
    for at in places.iter().skip(1) {
        let last = at.offset.saturating_add(at.len.into());
        let is_near = at.incarnation == first.incarnation
            && !at.is_blob()
            && at.offset >= first.offset
            && at.offset <= end.saturating_add(READ_OVER)
            && last.saturating_sub(first.offset) <= READ_AT_ONCE;
        if !is_near {
            break;
        }
        end = end.max(last);
        count += 1;
    }
    count
}
