//! The bytes of runs: blocks of entries, fences, footer.
//!
//! ```text
//! block 0 … block n-1     16 KiB each: header of 48 bytes, entries, zeros
//! fences                  the first key of each block, 24 bytes
//! places                  what the entries refer to: incarnation (0: blobs) and number of entries, 16 bytes
//! footer                  128 bytes
//! ```
//!
//! Entries are packed against the one before in their block. A message of 1 KiB takes about 14 bytes.

use std::path::{Path, PathBuf};

use super::{FORMAT_VERSION, LogId, Reader, put_varint};
use crate::record::MessageFlags;
use crate::run::{BodyAt, RunEntry, RunKey};

/// Bytes of a block of a run.
pub(crate) const RUN_BLOCK: usize = 16 << 10;
/// Bytes of a block's header.
pub(crate) const RUN_BLOCK_HEADER: usize = 48;
/// Bytes of a fence.
pub(crate) const RUN_FENCE: usize = 24;
/// Bytes of an incarnation with its number of entries.
pub(crate) const RUN_PLACE: usize = 16;
/// Bytes of the footer.
pub(crate) const RUN_FOOTER: usize = 128;
/// No entry takes more.
pub(crate) const RUN_ENTRY_MOST: usize = 96;

const FOOTER_MAGIC: [u8; 8] = *b"LVRTRUNF";
const FOOTER_CHECKED: usize = RUN_FOOTER - 4;

/// The name of a run's file.
pub(crate) fn run_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("run-{number:010}"))
}

/// The number in a run's file name.
pub(crate) fn run_number(name: &str) -> Option<u64> {
    super::file_number(name, "run-")
}

/// Which block of which run of which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunBlockId {
    pub(crate) log: LogId,
    pub(crate) run: u64,
    pub(crate) block: u64,
}

/// Completes a block whose entries stand behind room for the header.
pub(crate) fn seal_run_block(block: &mut Vec<u8>, id: &RunBlockId, entries: u32) {
    debug_assert!((RUN_BLOCK_HEADER..=RUN_BLOCK).contains(&block.len()));
    let used = (block.len() - RUN_BLOCK_HEADER) as u32;
    let mut header = Vec::with_capacity(RUN_BLOCK_HEADER);
    header.extend_from_slice(&[0; 4]);
    header.extend_from_slice(&used.to_le_bytes());
    header.extend_from_slice(&id.run.to_le_bytes());
    header.extend_from_slice(&id.block.to_le_bytes());
    header.extend_from_slice(&id.log);
    header.extend_from_slice(&entries.to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    block.resize(RUN_BLOCK, 0);
    if let Some(place) = block.get_mut(..RUN_BLOCK_HEADER) {
        place.copy_from_slice(&header);
    }
    let crc = crc32fast::hash(block.get(4..).unwrap_or_default());
    if let Some(place) = block.get_mut(..4) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
}

/// The entries' bytes and their number, or what is wrong with the block.
pub(crate) fn open_run_block<'a>(block: &'a [u8], id: &RunBlockId) -> Result<(&'a [u8], u32), &'static str> {
    let read = || {
        let mut at = Reader::new(block);
        let crc = at.u32()?;
        let used = usize::try_from(at.u32()?).ok()?;
        let found = (at.u64()?, at.u64()?, at.array()?);
        let entries = at.u32()?;
        at.u32()?;
        Some((crc, found, entries, at.take(used)))
    };
    let (crc, (run, number, log), entries, bytes) = read().ok_or("the block is cut")?;
    if crc != crc32fast::hash(block.get(4..).unwrap_or_default()) {
        return Err("the block fails its checksum");
    }
    if (RunBlockId { log, run, block: number }) != *id {
        return Err("the block belongs to another place");
    }
    Ok((bytes.ok_or("the block is cut")?, entries))
}

const HAS_QUEUE: u8 = 1;
const HAS_ORDER_KEY: u8 = 2;
const HAS_INCARNATION: u8 = 4;
const HAS_DEADLINE: u8 = 8;
const HAS_COUNT: u8 = 16;
/// Absent means one message.
const HAS_SHARED: u8 = 32;
const KNOWN_BITS: u8 = 2 * HAS_SHARED - 1;

/// Packs and unpacks the entries of one block, in order.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RunPacking {
    key: RunKey,
    incarnation: u64,
    /// Where the payload of the entry before ends: most begin there.
    offset: u64,
}

impl RunPacking {
    /// Appends an entry, whose key lies above those before.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, entry: &RunEntry) {
        let RunEntry { key, at, flags, deadline_ms, delivery_count, shared } = entry;
        let bit = |bit: u8, is_set: bool| if is_set { bit } else { 0 };
        let bits = bit(HAS_QUEUE, key.queue != self.key.queue)
            | bit(
                HAS_ORDER_KEY,
                key.order_key != if key.queue == self.key.queue { self.key.order_key } else { 0 },
            )
            | bit(HAS_INCARNATION, at.incarnation != self.incarnation)
            | bit(HAS_DEADLINE, *deadline_ms != 0)
            | bit(HAS_COUNT, *delivery_count != 0)
            | bit(HAS_SHARED, *shared != 1);
        out.extend_from_slice(&[bits, flags.bits()]);
        if bits & HAS_QUEUE != 0 {
            put_varint(out, key.queue - self.key.queue);
            self.key = RunKey { queue: key.queue, ..RunKey::default() };
        }
        if bits & HAS_ORDER_KEY != 0 {
            put_varint(out, key.order_key - self.key.order_key);
            self.key.seq = 0;
        }
        put_varint(out, key.seq - self.key.seq);
        if bits & HAS_INCARNATION != 0 {
            put_varint(out, at.incarnation);
            self.offset = 0;
        }
        put_varint(out, zigzag(at.offset.wrapping_sub(self.offset)));
        put_varint(out, at.len.into());
        put_varint(out, at.len.wrapping_sub(at.body_len).into());
        out.extend_from_slice(&at.crc.to_le_bytes());
        if bits & HAS_DEADLINE != 0 {
            put_varint(out, *deadline_ms);
        }
        if bits & HAS_COUNT != 0 {
            put_varint(out, (*delivery_count).into());
        }
        if bits & HAS_SHARED != 0 {
            put_varint(out, (*shared).into());
        }
        self.remember(entry);
    }

    /// The next entry, or `None` where these are not the bytes of one.
    pub(crate) fn take(&mut self, from: &mut Reader<'_>) -> Option<RunEntry> {
        let [bits, flags] = from.array()?;
        if bits & !KNOWN_BITS != 0 {
            return None;
        }
        let mut key = self.key;
        if bits & HAS_QUEUE != 0 {
            key = RunKey { queue: key.queue.checked_add(from.varint()?)?, ..RunKey::default() };
        }
        if bits & HAS_ORDER_KEY != 0 {
            key.order_key = key.order_key.checked_add(from.varint()?)?;
            key.seq = 0;
        }
        key.seq = key.seq.checked_add(from.varint()?)?;
        let (mut incarnation, mut offset) = (self.incarnation, self.offset);
        if bits & HAS_INCARNATION != 0 {
            (incarnation, offset) = (from.varint()?, 0);
        }
        offset = offset.wrapping_add(unzigzag(from.varint()?));
        let len = u32::try_from(from.varint()?).ok()?;
        let body_len = len.wrapping_sub(u32::try_from(from.varint()?).ok()?);
        let crc = from.u32()?;
        let deadline_ms = if bits & HAS_DEADLINE != 0 { from.varint()? } else { 0 };
        let delivery_count = if bits & HAS_COUNT != 0 { u32::try_from(from.varint()?).ok()? } else { 0 };
        let shared = if bits & HAS_SHARED != 0 { u32::try_from(from.varint()?).ok()? } else { 1 };
        let at = BodyAt { incarnation, offset, len, crc, body_len };
        let flags = MessageFlags::from_bits(flags);
        let entry = RunEntry { key, at, flags, deadline_ms, delivery_count, shared };
        self.remember(&entry);
        Some(entry)
    }

    fn remember(&mut self, entry: &RunEntry) {
        self.key = entry.key;
        self.incarnation = entry.at.incarnation;
        self.offset = entry.at.offset.wrapping_add(entry.at.len.into());
    }
}

/// Small numbers for small distances in both directions.
fn zigzag(distance: u64) -> u64 {
    distance << 1 ^ if distance >> 63 == 1 { u64::MAX } else { 0 }
}

fn unzigzag(number: u64) -> u64 {
    number >> 1 ^ if number & 1 == 1 { u64::MAX } else { 0 }
}

/// What stands at the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunFooter {
    pub(crate) log: LogId,
    pub(crate) run: u64,
    pub(crate) blocks: u64,
    pub(crate) entries: u64,
    /// How many incarnations the entries refer to.
    pub(crate) places: u64,
    pub(crate) last: RunKey,
    /// Checksum of the fences and the places.
    pub(crate) index_crc: u32,
}

impl RunFooter {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(RUN_FOOTER);
        out.extend_from_slice(&FOOTER_MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&self.log);
        for number in [self.run, self.blocks, self.entries, self.places] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_run_key(&mut out, &self.last);
        out.extend_from_slice(&self.index_crc.to_le_bytes());
        out.resize(FOOTER_CHECKED, 0);
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out
    }

    /// The version and the footer, or `None` if these are not the bytes of one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(u16, Self)> {
        let mut at = Reader::new(bytes);
        if at.array::<8>()? != FOOTER_MAGIC {
            return None;
        }
        let version = at.u16()?;
        at.array::<6>()?;
        let footer = Self {
            log: at.array()?,
            run: at.u64()?,
            blocks: at.u64()?,
            entries: at.u64()?,
            places: at.u64()?,
            last: take_run_key(&mut at)?,
            index_crc: at.u32()?,
        };
        let crc = Reader::new(bytes.get(FOOTER_CHECKED..)?).u32()?;
        (crc == crc32fast::hash(bytes.get(..FOOTER_CHECKED)?)).then_some((version, footer))
    }

    /// Bytes of fences and places, and of the whole file; `None` if the numbers are absurd.
    pub(crate) fn lengths(&self) -> Option<(u64, u64)> {
        let fences = self.blocks.checked_mul(RUN_FENCE as u64)?;
        let index = self.places.checked_mul(RUN_PLACE as u64)?.checked_add(fences)?;
        let blocks = self.blocks.checked_mul(RUN_BLOCK as u64)?;
        Some((index, blocks.checked_add(index)?.checked_add(RUN_FOOTER as u64)?))
    }
}

/// Appends a fence.
pub(crate) fn put_run_key(out: &mut Vec<u8>, key: &RunKey) {
    for number in [key.queue, key.order_key, key.seq] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// Reads a fence.
pub(crate) fn take_run_key(at: &mut Reader<'_>) -> Option<RunKey> {
    Some(RunKey { queue: at.u64()?, order_key: at.u64()?, seq: at.u64()? })
}
