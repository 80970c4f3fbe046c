//! What has been appended and not yet written.
//!
//! A plain struct behind its owner's mutex: no IO, no clock, no allocation per record once its buffers
//! have grown. Small payloads are copied, large ones kept by reference. It also finds the places where
//! what was gathered is cut into batches, so that the writer never looks at a record.

use std::io::IoSlice;

use bytes::Bytes;

use crate::definitions::Change;
use crate::format::{self, BODY_FIELDS, MESSAGE_FIELDS, PayloadSum, RECORD_HEAD};
use crate::log::blob::PendingBlob;
use crate::record::{BodyRef, Extras, GroupId, Kind, MessageFlags, Payload, Position, SettleReason};

/// Segments below this are cheaper to copy than to write from where they lie.
const COPY_BELOW: usize = 4096;
/// Ranges or changes beyond this go into another record.
const RANGES_PER_RECORD: usize = 16_384;
/// A buffer that grew beyond this by one burst is given back once written.
const KEEP_CAPACITY: usize = 16 << 20;

/// Records on their way to the log. See the crate's documentation for an example.
///
/// Several threads append one call at a time under a mutex; the log's thread takes everything with
/// [`Gather::hand_over`] and writes it without that mutex.
#[derive(Debug)]
pub struct Gather {
    first: u64,
    next: u64,
    batch_bytes: usize,
    group: Option<GroupId>,
    /// Positions of the bodies that still get entries and of the groups that still get records, rising.
    open: Vec<u64>,
    /// Once handed over: the first that was open then, or the position that came next.
    floor: Option<u64>,
    meta: Vec<u8>,
    small: Vec<u8>,
    large: Vec<Large>,
    large_bytes: usize,
    /// A payload longer than this goes into a blob.
    blob_over: usize,
    last_blob: u64,
    blobs: Vec<PendingBlob>,
    /// Ends of the batches before the one that is being filled.
    cuts: Vec<Cut>,
    filling: usize,
    written: usize,
}

#[derive(Debug)]
struct Large {
    /// How many small bytes come before it.
    at: usize,
    bytes: Bytes,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cut {
    meta: usize,
    small: usize,
    large: usize,
    blobs: usize,
    position: u64,
    floor: u64,
}

/// What goes into one batch.
#[derive(Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) meta: &'a [u8],
    pub(crate) payload: Vec<IoSlice<'a>>,
    pub(crate) payload_len: u64,
    /// To be durable before the batch is written.
    pub(crate) blobs: &'a [PendingBlob],
    pub(crate) first_position: u64,
    pub(crate) record_count: u32,
    pub(crate) floor: Position,
}

impl Gather {
    /// A gather whose first record gets `next`, cut into batches of at most `batch_bytes` (a larger
    /// record has a batch of its own). [`LogWriter::gather`](crate::LogWriter::gather) makes the right one.
    #[must_use]
    pub fn new(next: Position, batch_bytes: usize) -> Self {
        Self {
            first: next.0,
            next: next.0,
            batch_bytes,
            group: None,
            open: Vec::new(),
            floor: None,
            meta: Vec::new(),
            small: Vec::new(),
            large: Vec::new(),
            large_bytes: 0,
            blob_over: usize::MAX,
            last_blob: 0,
            blobs: Vec::new(),
            cuts: Vec::new(),
            filling: 0,
            written: 0,
        }
    }

    /// Puts payloads longer than `over` bytes into files of their own, numbered after `last_blob`.
    pub(crate) fn with_blobs(self, over: usize, last_blob: u64) -> Self {
        Self { blob_over: over, last_blob, ..self }
    }

    /// Makes the next record, and only that one, part of a group.
    #[inline]
    pub fn within(&mut self, group: GroupId) -> &mut Self {
        self.group = Some(group);
        self
    }

    /// A message for one queue. `deadline_ms` and `order_key` are 0 for none; `seq` must be new in that queue.
    #[inline]
    pub fn message(
        &mut self,
        queue: u64,
        seq: u64,
        flags: MessageFlags,
        order_key: u64,
        deadline_ms: u64,
        payload: Payload<'_>,
    ) -> Position {
        let mut extras = self.extras(order_key, deadline_ms);
        let len = payload.len();
        let beside = self.len_in_batch(len, &mut extras);
        self.make_room(RECORD_HEAD + format::extras_len(&extras) + MESSAGE_FIELDS + beside);
        let sum = self.put_payload(payload, len);
        format::put_head(&mut self.meta, Kind::Message, flags.bits(), &extras, MESSAGE_FIELDS as u32);
        format::put_message(&mut self.meta, queue, seq, sum);
        self.close_record()
    }

    /// A body that several queues will share; each gets an [`entry`](Self::entry). Without one it is garbage.
    /// Once it gets no more, [`end_body`](Self::end_body) must say so: until then no checkpoint passes it.
    pub fn body(&mut self, payload: Payload<'_>) -> (BodyRef, Position) {
        self.group = None;
        let len = payload.len();
        let mut extras = Extras::default();
        let beside = self.len_in_batch(len, &mut extras);
        self.make_room(RECORD_HEAD + format::extras_len(&extras) + BODY_FIELDS + beside);
        let sum = self.put_payload(payload, len);
        format::put_head(&mut self.meta, Kind::Body, 0, &extras, BODY_FIELDS as u32);
        format::put_body(&mut self.meta, sum);
        let position = self.close_record();
        self.open.push(position.0);
        (BodyRef(position.0), position)
    }

    /// The body gets no more entries. Writes nothing.
    pub fn end_body(&mut self, body: BodyRef) {
        self.close(body.0);
    }

    /// A message whose body stands in the log already.
    pub fn entry(
        &mut self,
        body: BodyRef,
        queue: u64,
        seq: u64,
        flags: MessageFlags,
        order_key: u64,
        deadline_ms: u64,
    ) -> Position {
        assert!(body.0 < self.next, "an entry names a body that is not in the log");
        let extras = self.extras(order_key, deadline_ms);
        self.make_room(RECORD_HEAD + format::extras_len(&extras) + 24);
        format::put_head(&mut self.meta, Kind::Entry, flags.bits(), &extras, 24);
        format::put_numbers(&mut self.meta, &[body.0, queue, seq]);
        self.close_record()
    }

    /// Messages that left the queue for good. Ranges hold both their ends.
    pub fn settle(&mut self, queue: u64, ranges: &[(u64, u64)], reason: SettleReason) -> Position {
        self.ranges(Kind::Settle, reason as u8, &[queue], ranges)
    }

    /// Messages that came back and now have this delivery count.
    pub fn returned(&mut self, queue: u64, ranges: &[(u64, u64)], delivery_count: u64) -> Position {
        self.ranges(Kind::Return, 0, &[queue, delivery_count], ranges)
    }

    /// Messages that may be delivered once this record is synced: after a crash they count as seen.
    pub fn expose(&mut self, queue: u64, ranges: &[(u64, u64)]) -> Position {
        self.ranges(Kind::Expose, 0, &[queue], ranges)
    }

    /// Messages that were exposed or marked seen, and never delivered: they count as not seen again. For a
    /// clean stop, after the queue's last delivery.
    pub fn unexpose(&mut self, queue: u64, ranges: &[(u64, u64)]) -> Position {
        self.ranges(Kind::Expose, format::WITHDRAWN, &[queue], ranges)
    }

    /// A change of the definitions: puts and, without a value, deletes, all or none of which count.
    pub fn definition(&mut self, revision: u64, changes: &[Change]) -> Position {
        let extras = self.extras(0, 0);
        let bytes = |(key, value): &Change| 8 + key.len() + value.as_ref().map_or(0, Vec::len);
        let fields = 8 + changes.iter().map(bytes).sum::<usize>();
        self.make_room(RECORD_HEAD + format::extras_len(&extras) + fields);
        format::put_head(&mut self.meta, Kind::Definition, 0, &extras, length(fields));
        format::put_numbers(&mut self.meta, &[revision]);
        for (key, value) in changes {
            format::put_change(&mut self.meta, key, value.as_deref());
        }
        self.close_record()
    }

    /// Opens a group: records put [`within`](Self::within) it count only if its commit does. Others may
    /// come between. Until its commit no checkpoint passes it.
    pub fn begin_group(&mut self) -> GroupId {
        self.group = None;
        self.make_room(RECORD_HEAD);
        format::put_head(&mut self.meta, Kind::GroupBegin, 0, &Extras::default(), 0);
        let position = self.close_record().0;
        self.open.push(position);
        GroupId(position)
    }

    /// Commits a group: durable with this position, all of it.
    pub fn commit_group(&mut self, group: GroupId) -> Position {
        self.group = None;
        self.make_room(RECORD_HEAD + 8);
        format::put_head(&mut self.meta, Kind::GroupCommit, 0, &Extras::default(), 8);
        format::put_numbers(&mut self.meta, &[group.0]);
        self.close(group.0);
        self.close_record()
    }

    /// Bytes that wait to be written, to hold publishers back.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.meta.len() + self.small.len() + self.large_bytes
    }

    /// Gives back buffers that a burst has left large. For a quiet moment, and an empty gather.
    pub fn release(&mut self) {
        if self.is_empty() {
            (self.meta, self.small) = (Vec::new(), Vec::new());
            (self.large, self.blobs, self.cuts) = (Vec::new(), Vec::new(), Vec::new());
        }
    }

    /// Whether nothing waits to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first == self.next
    }

    /// The position of the record appended last, in this gather or before it.
    #[must_use]
    pub fn last_position(&self) -> Position {
        Position(self.next - 1)
    }

    /// Moves everything gathered into `into`, which must be empty, and goes on numbering where it was.
    /// The buffers change places, so two gathers serve for ever.
    pub fn hand_over(&mut self, into: &mut Self) {
        assert!(into.is_empty(), "records not yet written would be lost");
        into.first = self.next;
        into.next = self.next;
        into.batch_bytes = self.batch_bytes;
        into.blob_over = self.blob_over;
        into.last_blob = self.last_blob;
        into.group = None;
        into.floor = None;
        self.floor = Some(self.first_open());
        std::mem::swap(&mut self.open, &mut into.open);
        std::mem::swap(self, into);
    }

    #[inline]
    fn extras(&mut self, order_key: u64, deadline_ms: u64) -> Extras {
        Extras { group: self.group.take().map_or(0, |group| group.0), order_key, deadline_ms, blob: 0 }
    }

    fn ranges(&mut self, kind: Kind, flags: u8, numbers: &[u64], ranges: &[(u64, u64)]) -> Position {
        let group = self.group;
        let mut rest = ranges;
        loop {
            let most = (self.batch_bytes / 32).clamp(1, RANGES_PER_RECORD);
            let (now, later) = rest.split_at(rest.len().min(most));
            self.group = group;
            let extras = self.extras(0, 0);
            let fields = 8 * numbers.len() + 16 * now.len();
            self.make_room(RECORD_HEAD + format::extras_len(&extras) + fields);
            format::put_head(&mut self.meta, kind, flags, &extras, length(fields));
            format::put_numbers(&mut self.meta, numbers);
            format::put_ranges(&mut self.meta, now);
            let position = self.close_record();
            if later.is_empty() {
                return position;
            }
            rest = later;
        }
    }

    /// Starts another batch if the record would make this one too large.
    #[inline]
    fn make_room(&mut self, record: usize) {
        if self.filling + record > self.batch_bytes && self.filling > 0 {
            self.cuts.push(self.end());
            self.filling = 0;
        }
        self.filling += record;
    }

    #[inline]
    fn close_record(&mut self) -> Position {
        let position = Position(self.next);
        self.next += 1;
        position
    }

    /// The first position that a cut of the log must not pass: of a body or a group that is still open, or
    /// of the next record.
    fn first_open(&self) -> u64 {
        self.open.first().copied().unwrap_or(self.next)
    }

    /// The first position that a cut behind all of this must not pass.
    pub(crate) fn floor(&self) -> Position {
        Position(self.floor.unwrap_or_else(|| self.first_open()))
    }

    fn close(&mut self, position: u64) {
        // Those opened last are mostly the first to be closed.
        if let Some(at) = self.open.iter().rposition(|open| *open == position) {
            self.open.remove(at);
        }
    }

    /// How many bytes of a payload go into its batch: all, or none where it gets a blob.
    #[inline]
    fn len_in_batch(&self, len: usize, extras: &mut Extras) -> usize {
        if len <= self.blob_over {
            return len;
        }
        extras.blob = self.last_blob + 1;
        0
    }

    #[inline]
    fn put_payload(&mut self, payload: Payload<'_>, len: usize) -> PayloadSum {
        if len > self.blob_over {
            return self.put_blob(payload, len);
        }
        let from = self.small.len();
        for part in payload.parts {
            self.small.extend_from_slice(part);
        }
        let mut crc = crc32fast::hash(self.small.get(from..).unwrap_or_default());
        if !payload.segments.is_empty() {
            crc = self.put_segments(crc, payload.segments);
        }
        PayloadSum { len: length(len), crc, body_len: payload.body_len }
    }

    #[cold]
    fn put_blob(&mut self, payload: Payload<'_>, len: usize) -> PayloadSum {
        let head = payload.parts.concat();
        let mut crc = crc32fast::Hasher::new();
        let segments = std::iter::once(Bytes::from(head)).chain(payload.segments.iter().cloned());
        let segments: Vec<Bytes> = segments.filter(|segment| !segment.is_empty()).collect();
        segments.iter().for_each(|segment| crc.update(segment));
        self.large_bytes += len;
        self.last_blob += 1;
        self.blobs.push(PendingBlob { number: self.last_blob, len: len as u64, segments });
        PayloadSum { len: length(len), crc: crc.finalize(), body_len: payload.body_len }
    }

    fn put_segments(&mut self, crc: u32, segments: &[Bytes]) -> u32 {
        let mut crc = crc32fast::Hasher::new_with_initial(crc);
        for segment in segments {
            crc.update(segment);
            if segment.len() < COPY_BELOW {
                self.small.extend_from_slice(segment);
            } else {
                self.large_bytes += segment.len();
                self.large.push(Large { at: self.small.len(), bytes: segment.clone() });
            }
        }
        crc.finalize()
    }

    fn end(&self) -> Cut {
        Cut {
            meta: self.meta.len(),
            small: self.small.len(),
            large: self.large.len(),
            blobs: self.blobs.len(),
            position: self.next,
            floor: self.floor().0,
        }
    }

    /// The first batch that is not written yet.
    pub(crate) fn chunk(&self) -> Option<Chunk<'_>> {
        let start = match self.written.checked_sub(1) {
            Some(before) => *self.cuts.get(before)?,
            None => Cut { position: self.first, ..Cut::default() },
        };
        let end = self.cuts.get(self.written).copied().unwrap_or_else(|| self.end());
        let record_count = u32::try_from(end.position - start.position).ok()?;
        if record_count == 0 {
            return None;
        }
        let mut payload = Vec::new();
        let mut payload_len = 0;
        let mut small_at = start.small;
        let mut put = |bytes| {
            let bytes: &[u8] = bytes;
            if !bytes.is_empty() {
                payload_len += bytes.len() as u64;
                payload.push(IoSlice::new(bytes));
            }
        };
        for large in self.large.get(start.large..end.large)? {
            put(self.small.get(small_at..large.at)?);
            put(&large.bytes);
            small_at = large.at;
        }
        put(self.small.get(small_at..end.small)?);
        let meta = self.meta.get(start.meta..end.meta)?;
        Some(Chunk {
            meta,
            payload,
            payload_len,
            blobs: self.blobs.get(start.blobs..end.blobs)?,
            first_position: start.position,
            record_count,
            floor: Position(end.floor),
        })
    }

    /// The first batch is durable.
    pub(crate) fn chunk_written(&mut self) {
        self.written += 1;
        if self.written <= self.cuts.len() {
            return;
        }
        self.first = self.next;
        self.floor = None;
        self.written = 0;
        self.filling = 0;
        self.cuts.clear();
        self.large.clear();
        self.blobs.clear();
        self.large_bytes = 0;
        for buffer in [&mut self.meta, &mut self.small] {
            buffer.clear();
            buffer.shrink_to(KEEP_CAPACITY);
        }
    }

    /// The position of the first record that is not durable.
    pub(crate) fn first_position(&self) -> Position {
        match self.written.checked_sub(1).and_then(|before| self.cuts.get(before)) {
            Some(cut) => Position(cut.position),
            None => Position(self.first),
        }
    }
}

/// A length inside a record. Nothing near 4 GiB comes here: messages are bounded far below.
fn length(len: usize) -> u32 {
    assert!(len < u32::MAX as usize, "a record of 4 GiB cannot be written");
    len as u32
}
