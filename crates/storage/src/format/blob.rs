//! A blob's header and the name of its file.

use std::path::{Path, PathBuf};

use super::{FORMAT_VERSION, LogId, Reader, file_number};

/// Bytes of a blob's header; its checksums follow.
pub(crate) const BLOB_HEADER: u64 = 64;

const BLOB_MAGIC: [u8; 8] = *b"LVRTBLOB";
const BLOB_CHECKED: usize = BLOB_HEADER as usize - 4;

/// The name of a blob's file.
pub(crate) fn blob_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("blob-{number:010}"))
}

/// The number in a blob's file name.
pub(crate) fn blob_number(name: &str) -> Option<u64> {
    file_number(name, "blob-")
}

/// What stands before a blob's checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlobHeader {
    pub(crate) log: LogId,
    pub(crate) number: u64,
    /// Bytes of the payload.
    pub(crate) len: u64,
    /// Checksum of the checksums.
    pub(crate) table_crc: u32,
}

impl BlobHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BLOB_HEADER as usize);
        out.extend_from_slice(&BLOB_MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&self.log);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&self.table_crc.to_le_bytes());
        debug_assert_eq!(out.len(), BLOB_CHECKED);
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out
    }

    /// The version and the header, or `None` if these are not the bytes of one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(u16, Self)> {
        let mut at = Reader::new(bytes);
        if at.array::<8>()? != BLOB_MAGIC {
            return None;
        }
        let version = at.u16()?;
        at.array::<6>()?;
        let (log, number, len) = (at.array()?, at.u64()?, at.u64()?);
        at.array::<8>()?;
        let header = Self { log, number, len, table_crc: at.u32()? };
        (at.u32()? == crc32fast::hash(bytes.get(..BLOB_CHECKED)?)).then_some((version, header))
    }
}
