//! The bytes on disk: the only module that knows their layout.
//!
//! All integers are little-endian, all checksums CRC-32. `docs/STORAGE.md` has the same in tables.
//! Reading never trusts a length and never panics. Owns no file and no order of writes.

mod batch;
mod blob;
pub(crate) mod manifest;
mod record;
pub(crate) mod run;
mod slot;

pub(crate) use batch::{
    BATCH_HEADER, BatchHeader, CLEAN_STOP, EPOCH_START, MODE_FSYNC, MODE_OS, Place, batch_len,
};
pub(crate) use blob::{BLOB_HEADER, BlobHeader, blob_number, blob_path};
pub(crate) use record::{
    BODY_FIELDS, Fields, MESSAGE_FIELDS, PayloadPlace, PayloadSum, RECORD_HEAD, Ranges, Record, Records,
    WITHDRAWN, extras_len, put_body, put_change, put_head, put_message, put_numbers, put_ranges,
};
pub(crate) use slot::{SlotHeader, slot_number, slot_path};

/// Slots and batches start on multiples of this, so that no synced block is ever written again.
pub(crate) const BLOCK: u64 = 4096;
/// The format this version writes, and the newest it reads.
pub(crate) const FORMAT_VERSION: u16 = 1;
/// A slot's header takes the first block.
pub(crate) const SLOT_HEADER: u64 = BLOCK;

/// A log's own random name; no other store's blocks carry it.
pub(crate) type LogId = [u8; 16];

/// The number in a file name of ours.
fn file_number(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    (digits.len() >= 10 && digits.bytes().all(|digit| digit.is_ascii_digit())).then(|| digits.parse().ok())?
}

struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.at..self.at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.at += bytes.len();
        debug_assert!(self.at <= N);
    }
}

/// Appends an integer in groups of seven bits, the lowest first; all but the last have the top bit.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads bytes of which nothing is trusted: each step gives `None` where they do not reach.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    /// An integer of [`put_varint`]; not one that is longer than it need be.
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn headers_read_back_and_one_changed_byte_makes_them_none(
            numbers in any::<[u64; 10]>(), small in any::<[u32; 4]>(), log in any::<LogId>(), at in 0..160usize
        ) {
            let [incarnation, epoch, number, first_position, manifest, next_incarnation, next_file, payload_len,
                prior_epoch, offset] = numbers;
            let [record_count, meta_len, meta_crc, previous_crc] = small;
            let header = BatchHeader {
                mode: 1, flags: 2, record_count, log, incarnation, epoch, number, first_position, manifest,
                next_incarnation, next_file, payload_len, meta_len, meta_crc, previous_crc, prior_epoch,
                prior_end: Place { incarnation, offset },
            };
            let (mut bytes, crc) = header.encode();
            prop_assert_eq!(BatchHeader::decode(&bytes), Some((FORMAT_VERSION, header, crc)));
            bytes[at] ^= 0x10;
            prop_assert_eq!(BatchHeader::decode(&bytes), None);

            let blob = BlobHeader { log, number, len: epoch, table_crc: meta_crc };
            let mut bytes = blob.encode();
            prop_assert_eq!(bytes.len() as u64, BLOB_HEADER);
            prop_assert_eq!(BlobHeader::decode(&bytes), Some((FORMAT_VERSION, blob)));
            bytes[at % 64] ^= 0x10;
            prop_assert_eq!(BlobHeader::decode(&bytes), None);

            let slot = SlotHeader { log, incarnation, follows: epoch, allocated: number };
            let mut bytes = slot.encode();
            prop_assert_eq!(SlotHeader::decode(&bytes), Some((FORMAT_VERSION, slot)));
            bytes[at % 60] ^= 0x10;
            prop_assert_eq!(SlotHeader::decode(&bytes), None);
        }

        #[test]
        fn any_bytes_read_as_records_or_as_a_fault(
            mut meta in proptest::collection::vec(any::<u8>(), 0..300), kinds in proptest::collection::vec(0..40u8, 8)
        ) {
            // Mostly plausible heads, or nothing would get past the first.
            for (start, kind) in (0..meta.len().saturating_sub(8)).step_by(40).zip(kinds) {
                meta[start..start + 8].copy_from_slice(&[kind, start as u8 & 7, 1, 0, 32, 0, 0, 0]);
            }
            let header = BatchHeader { payload_len: 1000, first_position: u64::MAX - 2, ..BatchHeader::default() };
            let mut records = Records::new(&header, &meta);
            let faults = records.by_ref().take_while(|record| record.is_ok()).count();
            prop_assert!(faults <= meta.len());
            prop_assert!(records.next().is_none(), "nothing follows a fault");
        }
    }

    #[test]
    fn slot_names_read_back_and_others_are_not_slots() {
        for number in [1, 99, 10_000_000_000] {
            let path = slot_path(Path::new("/log"), number);
            assert_eq!(slot_number(&path.file_name().unwrap().to_string_lossy()), Some(number));
            let path = blob_path(Path::new("/log"), number);
            assert_eq!(blob_number(&path.file_name().unwrap().to_string_lossy()), Some(number));
        }
        for name in ["slot-1", "slot-", "slot-00000000x1", "other", "slot-0000000001.new"] {
            assert_eq!(slot_number(name), None, "{name}");
        }
    }
}
