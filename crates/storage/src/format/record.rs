//! The records of a batch's meta section.

use super::{BatchHeader, Reader, Writer};
use crate::record::{Extras, Kind, MessageFlags};

/// Bytes of a record's head, before anything optional.
pub(crate) const RECORD_HEAD: usize = 8;

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

impl<'a> Reader<'a> {
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
