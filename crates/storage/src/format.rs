//! The bytes of slots, batches and records: the only file that knows their layout.
//!
//! All integers are little-endian, all checksums CRC-32. `docs/STORAGE.md` has the same in tables.
//! Reading never trusts a length and never panics. Owns no file and no order of writes. Runs and the
//! manifest have modules of their own below.

pub(crate) mod manifest;
pub(crate) mod run;

use std::path::{Path, PathBuf};

use crate::record::{Extras, Kind, MessageFlags};

/// Slots and batches start on multiples of this, so that no synced block is ever written again.
pub(crate) const BLOCK: u64 = 4096;
/// The format this version writes, and the newest it reads.
pub(crate) const FORMAT_VERSION: u16 = 1;
/// A slot's header takes the first block.
pub(crate) const SLOT_HEADER: u64 = BLOCK;
/// Bytes of a blob's header; its checksums follow.
pub(crate) const BLOB_HEADER: u64 = 64;
/// Bytes of a batch's header.
pub(crate) const BATCH_HEADER: usize = 160;
/// Bytes of a record's head, before anything optional.
pub(crate) const RECORD_HEAD: usize = 8;

const SLOT_MAGIC: [u8; 8] = *b"LVRTSLOT";
const BATCH_MAGIC: [u8; 8] = *b"LVRTBTCH";
const BLOB_MAGIC: [u8; 8] = *b"LVRTBLOB";
const SLOT_CHECKED: usize = 56;
const BLOB_CHECKED: usize = BLOB_HEADER as usize - 4;
const BATCH_CHECKED: usize = BATCH_HEADER - 4;

/// The batch begins an epoch: it repeats the last batch of the epoch before.
pub(crate) const EPOCH_START: u8 = 1;
/// The batch ends a clean stop.
pub(crate) const CLEAN_STOP: u8 = 2;

/// Nobody was told of the batch before it was synced.
pub(crate) const MODE_FSYNC: u8 = 0;
/// Its confirms waited for the write alone: after a power cut what follows damage may be there all the same.
pub(crate) const MODE_OS: u8 = 1;

/// A log's own random name; no other store's blocks carry it.
pub(crate) type LogId = [u8; 16];

/// The name of a slot's file.
pub(crate) fn slot_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("slot-{number:010}"))
}

/// The number in a slot's file name.
pub(crate) fn slot_number(name: &str) -> Option<u64> {
    file_number(name, "slot-")
}

/// The name of a blob's file.
pub(crate) fn blob_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("blob-{number:010}"))
}

/// The number in a blob's file name.
pub(crate) fn blob_number(name: &str) -> Option<u64> {
    file_number(name, "blob-")
}

/// The number in a file name of ours.
fn file_number(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    (digits.len() >= 10 && digits.bytes().all(|digit| digit.is_ascii_digit())).then(|| digits.parse().ok())?
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

/// Bytes of what is optional in a record.
pub(crate) fn extras_len(extras: &Extras) -> usize {
    8 * (usize::from(extras.group != 0)
        + usize::from(extras.order_key != 0)
        + usize::from(extras.deadline_ms != 0)
        + usize::from(extras.blob != 0))
}

const HAS_GROUP: u8 = 1;
const HAS_ORDER_KEY: u8 = 2;
const HAS_DEADLINE: u8 = 4;
/// Group, term and index of a replicated log follow; without it they are 0.
const HAS_RAFT: u8 = 8;
/// The payload stands in a file of its own, whose number follows; without it, in the payload section.
const HAS_BLOB: u8 = 16;
const RECORD_VERSION: u8 = 1;
/// Of an `Expose`: takes back what was exposed or marked seen, and was never delivered.
pub(crate) const WITHDRAWN: u8 = 2;

/// Writes a record's head and its optional parts; `fields_len` bytes must follow.
pub(crate) fn put_head(meta: &mut Vec<u8>, kind: Kind, flags: u8, extras: &Extras, fields_len: u32) {
    let bits = if extras.group != 0 { HAS_GROUP } else { 0 }
        | if extras.order_key != 0 { HAS_ORDER_KEY } else { 0 }
        | if extras.deadline_ms != 0 { HAS_DEADLINE } else { 0 }
        | if extras.blob != 0 { HAS_BLOB } else { 0 };
    let [a, b, c, d] = fields_len.to_le_bytes();
    meta.extend_from_slice(&[kind as u8, bits, RECORD_VERSION, flags, a, b, c, d]);
    if bits != 0 {
        for extra in [extras.group, extras.order_key, extras.deadline_ms, extras.blob] {
            if extra != 0 {
                meta.extend_from_slice(&extra.to_le_bytes());
            }
        }
    }
}

/// Bytes of the fields of a `Message`.
pub(crate) const MESSAGE_FIELDS: usize = 28;
/// Bytes of the fields of a `Body`.
pub(crate) const BODY_FIELDS: usize = 12;

/// Length and checksum of a payload, and how much of it is the message's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PayloadSum {
    pub(crate) len: u32,
    pub(crate) crc: u32,
    pub(crate) body_len: u32,
}

impl PayloadSum {
    fn put<const N: usize>(&self, out: &mut Writer<N>) {
        out.put(&self.len.to_le_bytes());
        out.put(&self.crc.to_le_bytes());
        out.put(&self.body_len.to_le_bytes());
    }
}

/// The fields of a `Message`.
#[inline]
pub(crate) fn put_message(meta: &mut Vec<u8>, queue: u64, seq: u64, sum: PayloadSum) {
    let mut out = Writer { bytes: [0; MESSAGE_FIELDS], at: 0 };
    out.put(&queue.to_le_bytes());
    out.put(&seq.to_le_bytes());
    sum.put(&mut out);
    meta.extend_from_slice(&out.bytes);
}

/// The fields of a `Body`.
pub(crate) fn put_body(meta: &mut Vec<u8>, sum: PayloadSum) {
    let mut out = Writer { bytes: [0; BODY_FIELDS], at: 0 };
    sum.put(&mut out);
    meta.extend_from_slice(&out.bytes);
}

/// Fields that are all numbers of 64 bits.
pub(crate) fn put_numbers(meta: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        meta.extend_from_slice(&number.to_le_bytes());
    }
}

/// Ranges with both ends in them.
pub(crate) fn put_ranges(meta: &mut Vec<u8>, ranges: &[(u64, u64)]) {
    for (first, last) in ranges {
        meta.extend_from_slice(&first.to_le_bytes());
        meta.extend_from_slice(&last.to_le_bytes());
    }
}

/// A put or, without a value, a delete.
pub(crate) fn put_change(meta: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    meta.extend_from_slice(&(key.len() as u32).to_le_bytes());
    meta.extend_from_slice(&value.map_or(u32::MAX, |value| value.len() as u32).to_le_bytes());
    meta.extend_from_slice(key);
    meta.extend_from_slice(value.unwrap_or_default());
}

/// Where a payload lies, and its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PayloadPlace {
    /// The number of its blob, or 0 if it lies in its batch's payload section.
    pub(crate) blob: u64,
    /// Where in the payload section; 0 for a blob.
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) crc: u32,
    /// How many of its bytes, at its end, are the message's body.
    pub(crate) body_len: u32,
}

/// One record, read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) position: u64,
    /// The group of atomicity it belongs to, or 0.
    pub(crate) group: u64,
    pub(crate) fields: Fields<'a>,
}

/// What is particular to each kind.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fields<'a> {
    Message {
        queue: u64,
        seq: u64,
        flags: MessageFlags,
        order_key: u64,
        deadline_ms: u64,
        payload: PayloadPlace,
    },
    Body {
        payload: PayloadPlace,
    },
    Entry {
        body: u64,
        queue: u64,
        seq: u64,
        flags: MessageFlags,
        order_key: u64,
        deadline_ms: u64,
    },
    Settle {
        queue: u64,
        reason: u8,
        ranges: Ranges<'a>,
    },
    Expose {
        queue: u64,
        /// True where these were exposed or marked seen, and were never delivered.
        withdrawn: bool,
        ranges: Ranges<'a>,
    },
    Return {
        queue: u64,
        delivery_count: u64,
        ranges: Ranges<'a>,
    },
    Definition {
        revision: u64,
        changes: Changes<'a>,
    },
    GroupBegin,
    GroupCommit {
        group: u64,
    },
}

/// Ranges with both ends in them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ranges<'a>(&'a [u8]);

impl Ranges<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.chunks_exact(16).filter_map(|pair| {
            let mut at = Reader::new(pair);
            Some((at.u64()?, at.u64()?))
        })
    }
}

/// Puts and deletes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changes<'a>(&'a [u8]);

impl<'a> Changes<'a> {
    /// Each key with its new value, or `None` when it is deleted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + 'a {
        let mut at = Reader::new(self.0);
        std::iter::from_fn(move || at.change())
    }

    fn is_whole(&self) -> bool {
        let mut at = Reader::new(self.0);
        while at.change().is_some() {}
        at.is_empty()
    }
}

/// Reads the records of a meta section in order, until the end or the first fault.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    at: Reader<'a>,
    position: u64,
    payload_at: u64,
    payload_len: u64,
}

impl<'a> Records<'a> {
    pub(crate) fn new(header: &BatchHeader, meta: &'a [u8]) -> Self {
        Self {
            at: Reader::new(meta),
            position: header.first_position,
            payload_at: 0,
            payload_len: header.payload_len,
        }
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let [kind, bits, version, flags] = self.at.array()?;
        let fields_len = self.at.u32()?;
        if version != RECORD_VERSION
            || bits & !(HAS_GROUP | HAS_ORDER_KEY | HAS_DEADLINE | HAS_RAFT | HAS_BLOB) != 0
        {
            return None;
        }
        let mut optional = |bit: u8| if bits & bit != 0 { self.at.u64() } else { Some(0) };
        let group = optional(HAS_GROUP)?;
        let order_key = optional(HAS_ORDER_KEY)?;
        let deadline_ms = optional(HAS_DEADLINE)?;
        if bits & HAS_RAFT != 0 {
            // This version neither writes nor understands any but zeros here.
            (self.at.array::<24>()? == [0; 24]).then_some(())?;
        }
        let blob = if bits & HAS_BLOB != 0 { self.at.u64().filter(|blob| *blob != 0)? } else { 0 };
        let mut at = Reader::new(self.at.take(usize::try_from(fields_len).ok()?)?);
        let flags_of_message = MessageFlags::from_bits(flags);
        let fields = match Kind::from_code(kind)? {
            Kind::Message => Fields::Message {
                queue: at.u64()?,
                seq: at.u64()?,
                flags: flags_of_message,
                order_key,
                deadline_ms,
                payload: self.payload(blob, &mut at)?,
            },
            Kind::Body => Fields::Body { payload: self.payload(blob, &mut at)? },
            Kind::Entry => Fields::Entry {
                body: at.u64()?,
                queue: at.u64()?,
                seq: at.u64()?,
                flags: flags_of_message,
                order_key,
                deadline_ms,
            },
            Kind::Settle => Fields::Settle { queue: at.u64()?, reason: flags, ranges: at.ranges()? },
            Kind::Expose => {
                Fields::Expose { queue: at.u64()?, withdrawn: flags & WITHDRAWN != 0, ranges: at.ranges()? }
            }
            Kind::Return => {
                Fields::Return { queue: at.u64()?, delivery_count: at.u64()?, ranges: at.ranges()? }
            }
            Kind::Definition => {
                let revision = at.u64()?;
                let changes = Changes(std::mem::take(&mut at.rest));
                Fields::Definition { revision, changes: changes.is_whole().then_some(changes)? }
            }
            Kind::GroupBegin => Fields::GroupBegin,
            Kind::GroupCommit => Fields::GroupCommit { group: at.u64()? },
            Kind::Vote | Kind::Truncate => return None,
        };
        let position = self.position;
        self.position = position.checked_add(1)?;
        at.is_empty().then_some(Record { position, group, fields })
    }

    fn payload(&mut self, blob: u64, at: &mut Reader<'a>) -> Option<PayloadPlace> {
        let (len, crc, body_len) = (at.u32()?, at.u32()?, at.u32()?);
        if blob != 0 {
            return Some(PayloadPlace { blob, offset: 0, len, crc, body_len });
        }
        let place = PayloadPlace { blob, offset: self.payload_at, len, crc, body_len };
        self.payload_at = self.payload_at.checked_add(u64::from(len))?;
        (self.payload_at <= self.payload_len).then_some(place)
    }
}

impl<'a> Iterator for Records<'a> {
    /// A record, or the offset in the meta section of one that is none.
    type Item = Result<Record<'a>, UnreadableRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at.rest.is_empty() {
            return None;
        }
        let left = self.at.rest.len();
        let record = self.record();
        if record.is_none() {
            self.at.rest = &[];
        }
        Some(record.ok_or(UnreadableRecord { left }))
    }
}

/// A record whose checksum holds but which this version cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnreadableRecord {
    /// Bytes from its start to the end of the meta section.
    pub(crate) left: usize,
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

    fn ranges(&mut self) -> Option<Ranges<'a>> {
        let rest = std::mem::take(&mut self.rest);
        rest.len().is_multiple_of(16).then_some(Ranges(rest))
    }

    fn change(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let key_len = self.u32()?;
        let value_len = self.u32()?;
        let key = self.take(usize::try_from(key_len).ok()?)?;
        let value = match value_len {
            u32::MAX => None,
            len => Some(self.take(usize::try_from(len).ok()?)?),
        };
        Some((key, value))
    }
}

#[cfg(test)]
mod tests {
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
