//! A batch's header.

use super::{BLOCK, FORMAT_VERSION, LogId, Reader, Writer};

/// Bytes of a batch's header.
pub(crate) const BATCH_HEADER: usize = 160;

const BATCH_MAGIC: [u8; 8] = *b"LVRTBTCH";
const BATCH_CHECKED: usize = BATCH_HEADER - 4;

/// The batch begins an epoch: it repeats the last batch of the epoch before.
pub(crate) const EPOCH_START: u8 = 1;
/// The batch ends a clean stop.
pub(crate) const CLEAN_STOP: u8 = 2;

/// Nobody was told of the batch before it was synced.
pub(crate) const MODE_FSYNC: u8 = 0;
/// Its confirms waited for the write alone: after a power cut what follows damage may be there all the same.
pub(crate) const MODE_OS: u8 = 1;

/// A place in the log: a slot's incarnation and a byte offset in it. All zero: before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Place {
    pub(crate) incarnation: u64,
    pub(crate) offset: u64,
}

/// What stands before a batch's records and payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BatchHeader {
    /// [`MODE_FSYNC`]: the batch was synced before anyone was told of it; [`MODE_OS`]: only written.
    pub(crate) mode: u8,
    pub(crate) flags: u8,
    pub(crate) record_count: u32,
    pub(crate) log: LogId,
    /// The slot's, so that blocks of an earlier use of its file are never taken for this one's.
    pub(crate) incarnation: u64,
    pub(crate) epoch: u64,
    /// One more than the batch before.
    pub(crate) number: u64,
    /// The position of the first record.
    pub(crate) first_position: u64,
    /// The manifest in force; 0 while there is none.
    pub(crate) manifest: u64,
    /// The slot that comes next, 0 while none is prepared.
    pub(crate) next_incarnation: u64,
    /// The number of that slot's file.
    pub(crate) next_file: u64,
    pub(crate) payload_len: u64,
    pub(crate) meta_len: u32,
    pub(crate) meta_crc: u32,
    /// Checksum of the header before this one.
    pub(crate) previous_crc: u32,
    /// Of a batch that starts an epoch: the epoch it ends.
    pub(crate) prior_epoch: u64,
    /// Of a batch that starts an epoch: where the batch before it ends. What lies beyond is void.
    pub(crate) prior_end: Place,
}

impl BatchHeader {
    /// The bytes and their checksum.
    pub(crate) fn encode(&self) -> ([u8; BATCH_HEADER], u32) {
        let mut out = Writer { bytes: [0; BATCH_HEADER], at: 0 };
        out.put(&BATCH_MAGIC);
        out.put(&FORMAT_VERSION.to_le_bytes());
        out.put(&[self.mode, self.flags]);
        out.put(&self.record_count.to_le_bytes());
        out.put(&self.log);
        for number in [
            self.incarnation,
            self.epoch,
            self.number,
            self.first_position,
            self.manifest,
            self.next_incarnation,
            self.next_file,
            self.payload_len,
        ] {
            out.put(&number.to_le_bytes());
        }
        for number in [self.meta_len, self.meta_crc, self.previous_crc, 0] {
            out.put(&number.to_le_bytes());
        }
        for number in [self.prior_epoch, self.prior_end.incarnation, self.prior_end.offset] {
            out.put(&number.to_le_bytes());
        }
        out.at = BATCH_CHECKED;
        let (checked, _) = out.bytes.split_at(BATCH_CHECKED);
        let crc = crc32fast::hash(checked);
        out.put(&crc.to_le_bytes());
        (out.bytes, crc)
    }

    /// The version, the header and its checksum, or `None` if these are not the bytes of one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(u16, Self, u32)> {
        let mut at = Reader::new(bytes);
        if at.array::<8>()? != BATCH_MAGIC {
            return None;
        }
        let version = at.u16()?;
        let [mode, flags] = at.array()?;
        let mut header = Self { mode, flags, record_count: at.u32()?, log: at.array()?, ..Self::default() };
        for number in [
            &mut header.incarnation,
            &mut header.epoch,
            &mut header.number,
            &mut header.first_position,
            &mut header.manifest,
            &mut header.next_incarnation,
            &mut header.next_file,
            &mut header.payload_len,
        ] {
            *number = at.u64()?;
        }
        header.meta_len = at.u32()?;
        header.meta_crc = at.u32()?;
        header.previous_crc = at.u32()?;
        at.u32()?;
        header.prior_epoch = at.u64()?;
        header.prior_end = Place { incarnation: at.u64()?, offset: at.u64()? };
        let crc = Reader::new(bytes.get(BATCH_CHECKED..)?).u32()?;
        (crc == crc32fast::hash(bytes.get(..BATCH_CHECKED)?)).then_some((version, header, crc))
    }

    /// What the whole batch takes, in whole blocks; `None` if the lengths are absurd.
    pub(crate) fn total_len(&self) -> Option<u64> {
        batch_len(u64::from(self.meta_len), self.payload_len)
    }
}

/// What a batch of these lengths takes, in whole blocks.
pub(crate) fn batch_len(meta_len: u64, payload_len: u64) -> Option<u64> {
    (BATCH_HEADER as u64).checked_add(meta_len)?.checked_add(payload_len)?.checked_next_multiple_of(BLOCK)
}
