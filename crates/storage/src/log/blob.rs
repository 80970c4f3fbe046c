//! Payloads too large for the log, each in a file of its own.
//!
//! ```text
//! header (64) │ checksum of every 64 KiB of the payload (4 each) │ zeros to the next block │ payload
//! ```
//! A blob is written and synced, name included, before the batch with the record that names it is written;
//! so a named blob that is missing or damaged is a loss. Does not know who names it: unlinking it is up to
//! whoever counts that.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::disk::Disk;
use crate::error::{StorageError, is_out_of_space};
use crate::format::{self, BLOB_HEADER, BLOCK, BlobHeader, FORMAT_VERSION, LogId};

/// Bytes of a payload under one checksum.
pub(crate) const BLOB_PIECE: u64 = 64 << 10;

/// A payload on its way into a blob.
#[derive(Debug, Clone)]
pub(crate) struct PendingBlob {
    pub(crate) number: u64,
    pub(crate) len: u64,
    pub(crate) segments: Vec<Bytes>,
}

/// An open blob: its header and checksums were verified.
#[derive(Debug)]
pub(crate) struct Blob<D: Disk> {
    disk: D,
    file: D::File,
    path: PathBuf,
    len: u64,
    sums: Vec<u32>,
}

impl<D: Disk> Blob<D> {
    /// Writes a blob and makes its bytes durable; its name is once the folder is synced.
    ///
    /// # Errors
    /// `Full` if there is no room, and then nothing is left behind. `Io`.
    pub(crate) fn write(
        disk: &D,
        folder: &Path,
        log: LogId,
        blob: &PendingBlob,
        syncs: bool,
    ) -> Result<(), StorageError> {
        let path = format::blob_path(folder, blob.number);
        let head = head_of(log, blob);
        let length = head.len() as u64 + blob.len;
        let file = match disk.create(&path, length) {
            Err(error) if is_out_of_space(&error) => {
                let _ = disk.remove(&path);
                return Err(StorageError::Full { file: path, needed: length });
            }
            made => made.map_err(StorageError::io(&path, "allocate"))?,
        };
        let mut parts: Vec<_> = std::iter::once(&head[..])
            .chain(blob.segments.iter().map(|segment| &segment[..]))
            .map(std::io::IoSlice::new)
            .collect();
        disk.write_vectored_at(&file, 0, &mut parts).map_err(StorageError::io(&path, "write"))?;
        if syncs {
            disk.sync_data(&file).map_err(StorageError::io(&path, "sync"))?;
        }
        Ok(())
    }

    /// Opens the blob of this number.
    ///
    /// # Errors
    /// `Corrupt` if it is missing, cut, of another log, or its header or checksums are damaged; `Version`;
    /// `Io`.
    pub(crate) fn open(disk: &D, folder: &Path, log: LogId, number: u64) -> Result<Self, StorageError> {
        let path = format::blob_path(folder, number);
        let damaged = |offset, why: &str| StorageError::corrupt(&path, offset, format!("the blob {why}"));
        let file = match disk.open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(0, "is missing"));
            }
            opened => opened.map_err(StorageError::io(&path, "open"))?,
        };
        let length = disk.length(&file).map_err(StorageError::io(&path, "read length"))?;
        let read = |offset, len: u64| {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
            disk.read_at(&file, offset, &mut bytes).map_err(StorageError::io(&path, "read"))?;
            Ok::<_, StorageError>(bytes)
        };
        if length < BLOB_HEADER {
            return Err(damaged(length, "is cut"));
        }
        let Some((version, header)) = BlobHeader::decode(&read(0, BLOB_HEADER)?) else {
            return Err(damaged(0, "has a damaged header"));
        };
        if version != FORMAT_VERSION {
            let (found, supported) = (version.into(), FORMAT_VERSION.into());
            return Err(StorageError::Version { file: path, found, supported });
        }
        if header.log != log || header.number != number {
            return Err(damaged(0, "is another one"));
        }
        // The length stands under a checksum, but what it asks for must be there before it is allocated.
        let table = pieces(header.len).and_then(|pieces| pieces.checked_mul(4));
        if table.and_then(|_| payload_at(header.len)?.checked_add(header.len)).is_none_or(|end| end > length)
        {
            return Err(damaged(length, "is cut"));
        }
        let table = read(BLOB_HEADER, table.unwrap_or_default())?;
        if crc32fast::hash(&table) != header.table_crc {
            return Err(damaged(BLOB_HEADER, "has damaged checksums"));
        }
        let sums = table.chunks_exact(4).filter_map(|sum| sum.try_into().ok()).map(u32::from_le_bytes);
        let sums = sums.collect();
        Ok(Self { disk: disk.clone(), file, path, len: header.len, sums })
    }

    /// The whole payload, every piece of it verified.
    ///
    /// # Errors
    /// `Corrupt`, naming the first damaged piece; `Io`.
    pub(crate) fn read(&self) -> Result<Vec<u8>, StorageError> {
        let start = payload_at(self.len).unwrap_or(u64::MAX);
        let mut bytes = vec![0; usize::try_from(self.len).unwrap_or_default()];
        self.disk.read_at(&self.file, start, &mut bytes).map_err(StorageError::io(&self.path, "read"))?;
        let mut at = start;
        for (piece, sum) in bytes.chunks(BLOB_PIECE as usize).zip(&self.sums) {
            if crc32fast::hash(piece) != *sum {
                return Err(StorageError::corrupt(&self.path, at, "a piece of a blob fails its checksum"));
            }
            at += BLOB_PIECE;
        }
        Ok(bytes)
    }

    /// Bytes of the payload.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }
}

/// Unlinks a blob; an absent one is none. Durable once the folder is synced.
///
/// # Errors
/// `Io`.
pub(crate) fn unlink<D: Disk>(disk: &D, folder: &Path, number: u64) -> Result<(), StorageError> {
    let path = format::blob_path(folder, number);
    match disk.remove(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StorageError::io(&path, "remove")(error))
        }
        _ => Ok(()),
    }
}

/// The numbers of all blobs in a folder, rising.
///
/// # Errors
/// `Io`.
pub(crate) fn list<D: Disk>(disk: &D, folder: &Path) -> Result<Vec<u64>, StorageError> {
    let names = match disk.list(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(StorageError::io(folder, "list"))?,
    };
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| format::blob_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn pieces(len: u64) -> Option<u64> {
    Some(len.checked_add(BLOB_PIECE - 1)? / BLOB_PIECE)
}

/// Where the payload starts in the file.
fn payload_at(len: u64) -> Option<u64> {
    pieces(len)?.checked_mul(4)?.checked_add(BLOB_HEADER)?.checked_next_multiple_of(BLOCK)
}

/// Header, checksums and padding.
fn head_of(log: LogId, blob: &PendingBlob) -> Vec<u8> {
    let mut sums = Vec::new();
    let mut sum = crc32fast::Hasher::new();
    let mut room = BLOB_PIECE as usize;
    for segment in &blob.segments {
        let mut rest = &segment[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(room));
            sum.update(now);
            room -= now.len();
            rest = later;
            if room == 0 {
                sums.extend_from_slice(&std::mem::take(&mut sum).finalize().to_le_bytes());
                room = BLOB_PIECE as usize;
            }
        }
    }
    if room < BLOB_PIECE as usize {
        sums.extend_from_slice(&sum.finalize().to_le_bytes());
    }
    let header = BlobHeader { log, number: blob.number, len: blob.len, table_crc: crc32fast::hash(&sums) };
    let mut head = header.encode();
    head.extend_from_slice(&sums);
    head.resize(head.len().next_multiple_of(BLOCK as usize), 0);
    head
}
