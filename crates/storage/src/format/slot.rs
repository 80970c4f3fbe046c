//! A slot's header and the name of its file.

use std::path::{Path, PathBuf};

use super::{FORMAT_VERSION, LogId, Reader, SLOT_HEADER, file_number};

const SLOT_MAGIC: [u8; 8] = *b"LVRTSLOT";
const SLOT_CHECKED: usize = 56;

/// The name of a slot's file.
pub(crate) fn slot_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("slot-{number:010}"))
}

/// The number in a slot's file name.
pub(crate) fn slot_number(name: &str) -> Option<u64> {
    file_number(name, "slot-")
}

/// The first block of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotHeader {
    pub(crate) log: LogId,
    /// Never given twice in one log.
    pub(crate) incarnation: u64,
    /// The incarnation that was active when this one was made.
    pub(crate) follows: u64,
    /// How long the file was made, in bytes.
    pub(crate) allocated: u64,
}

impl SlotHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SLOT_HEADER as usize);
        out.extend_from_slice(&SLOT_MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&self.log);
        out.extend_from_slice(&self.incarnation.to_le_bytes());
        out.extend_from_slice(&self.follows.to_le_bytes());
        out.extend_from_slice(&self.allocated.to_le_bytes());
        debug_assert_eq!(out.len(), SLOT_CHECKED);
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out.resize(SLOT_HEADER as usize, 0);
        out
    }

    /// The header, or `None` if these are not the bytes of one. The version is the caller's to judge.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(u16, Self)> {
        let mut at = Reader::new(bytes);
        if at.array::<8>()? != SLOT_MAGIC {
            return None;
        }
        let version = at.u16()?;
        at.array::<6>()?;
        let header =
            Self { log: at.array()?, incarnation: at.u64()?, follows: at.u64()?, allocated: at.u64()? };
        (at.u32()? == crc32fast::hash(bytes.get(..SLOT_CHECKED)?)).then_some((version, header))
    }
}
