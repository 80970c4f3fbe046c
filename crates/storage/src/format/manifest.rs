//! The bytes of the manifest: frames, and the state and its changes within them.
//!
//! A frame begins on 4,096 bytes: a head of 64, then the body. The first holds the state as a whole, the
//! others a change each. Body: cut, runs, slots, blobs, queues, definitions, last ids; all numbers are
//! variable-length integers, what may be absent has a byte 0 or 1 before it, and a list its length.

use std::path::{Path, PathBuf};

use super::{FORMAT_VERSION, LogId, Place, Reader, put_varint};
use crate::index::LineCount;
use crate::manifest::{BlobNote, Cut, Delta, LastIds, ManifestState, QueueNote, RunNote, SlotNote};
use crate::ranges::RangeSet;

/// Bytes of a frame's head.
pub(crate) const FRAME_HEAD: usize = 64;
const FRAME_MAGIC: [u8; 8] = *b"LVRTMNFT";
const FRAME_CHECKED: usize = FRAME_HEAD - 4;

/// The name of a manifest's file.
pub(crate) fn manifest_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("manifest-{number:010}"))
}

/// The number in a manifest's file name.
pub(crate) fn manifest_number(name: &str) -> Option<u64> {
    super::file_number(name, "manifest-")
}

/// What stands before a state or a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHead {
    /// Whether it holds the state as a whole.
    pub(crate) is_base: bool,
    pub(crate) log: LogId,
    /// The number of the manifest's file.
    pub(crate) manifest: u64,
    /// Counts the changes over all files: the last one that the state holds.
    pub(crate) delta: u64,
    pub(crate) body_len: u64,
    pub(crate) body_crc: u32,
}

impl FrameHead {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FRAME_HEAD);
        out.extend_from_slice(&FRAME_MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&u16::from(self.is_base).to_le_bytes());
        out.extend_from_slice(&self.body_crc.to_le_bytes());
        out.extend_from_slice(&self.log);
        for number in [self.manifest, self.delta, self.body_len] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.resize(FRAME_CHECKED, 0);
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out
    }

    /// The version and the head, or `None` if these are not the bytes of one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(u16, Self)> {
        let mut at = Reader::new(bytes);
        if at.array::<8>()? != FRAME_MAGIC {
            return None;
        }
        let version = at.u16()?;
        let is_base = at.u16()? == 1;
        let body_crc = at.u32()?;
        let log = at.array()?;
        let head =
            Self { is_base, log, manifest: at.u64()?, delta: at.u64()?, body_len: at.u64()?, body_crc };
        let crc = Reader::new(bytes.get(FRAME_CHECKED..)?).u32()?;
        (crc == crc32fast::hash(bytes.get(..FRAME_CHECKED)?)).then_some((version, head))
    }
}

/// The state as a whole: the change that makes it from nothing.
pub(crate) fn put_state(out: &mut Vec<u8>, state: &ManifestState) {
    put_optional(out, Some(&state.cut), put_cut);
    put_map(out, state.runs.iter().map(|(id, note)| (*id, Some(note))), put_run);
    put_map(out, state.slots.iter().map(|(id, note)| (*id, Some(note))), put_slot);
    put_map(out, state.blobs.iter().map(|(id, note)| (*id, Some(note))), put_blob);
    put_map(out, state.queues.iter().map(|(id, note)| (*id, Some(note))), put_queue);
    put_optional(out, Some(&state.definitions), |out, position| put_varint(out, *position));
    put_last(out, &state.last);
}

/// A change.
pub(crate) fn put_delta(out: &mut Vec<u8>, delta: &Delta) {
    put_optional(out, delta.cut.as_ref(), put_cut);
    put_map(out, delta.runs.iter().map(|(id, note)| (*id, note.as_ref())), put_run);
    put_map(out, delta.slots.iter().map(|(id, note)| (*id, note.as_ref())), put_slot);
    put_map(out, delta.blobs.iter().map(|(id, note)| (*id, note.as_ref())), put_blob);
    put_map(out, delta.queues.iter().map(|(id, note)| (*id, note.as_ref())), put_queue);
    put_optional(out, delta.definitions.as_ref(), |out, position| put_varint(out, *position));
    put_last(out, &delta.last);
}

/// Reads a change, or `None` if these are not the bytes of one.
pub(crate) fn take_delta(bytes: &[u8]) -> Option<Delta> {
    let mut at = Reader::new(bytes);
    let delta = Delta {
        cut: take_optional(&mut at, take_cut)?,
        runs: take_map(&mut at, |at| Some(RunNote { entries: at.varint()?, bytes: at.varint()? }))?,
        slots: take_map(&mut at, take_slot)?,
        blobs: take_map(&mut at, |at| Some(BlobNote { len: at.varint()?, entries: at.varint()? }))?,
        queues: take_map(&mut at, take_queue)?,
        definitions: take_optional(&mut at, Reader::varint)?,
        last: take_last(&mut at)?,
    };
    at.is_empty().then_some(delta)
}

fn put_numbers<const N: usize>(out: &mut Vec<u8>, numbers: [u64; N]) {
    numbers.iter().for_each(|number| put_varint(out, *number));
}

fn put_optional<T>(out: &mut Vec<u8>, what: Option<&T>, put: impl Fn(&mut Vec<u8>, &T)) {
    out.push(what.is_some().into());
    if let Some(what) = what {
        put(out, what);
    }
}

fn take_optional<'a, T>(
    at: &mut Reader<'a>,
    take: impl Fn(&mut Reader<'a>) -> Option<T>,
) -> Option<Option<T>> {
    match at.array()? {
        [0] => Some(None),
        [1] => take(at).map(Some),
        _ => None,
    }
}

fn put_map<'a, T: 'a>(
    out: &mut Vec<u8>,
    entries: impl ExactSizeIterator<Item = (u64, Option<&'a T>)>,
    put: impl Fn(&mut Vec<u8>, &T),
) {
    put_varint(out, entries.len() as u64);
    for (id, note) in entries {
        put_varint(out, id);
        put_optional(out, note, &put);
    }
}

/// A list with its length; each entry takes a byte at least, so damage cannot make it long.
fn take_list<'a, T>(at: &mut Reader<'a>, take: impl Fn(&mut Reader<'a>) -> Option<T>) -> Option<Vec<T>> {
    (0..at.varint()?).map(|_| take(at)).collect()
}

fn take_map<'a, T>(
    at: &mut Reader<'a>,
    take: impl Fn(&mut Reader<'a>) -> Option<T>,
) -> Option<Vec<(u64, Option<T>)>> {
    take_list(at, |at| Some((at.varint()?, take_optional(at, &take)?)))
}

fn put_cut(out: &mut Vec<u8>, cut: &Cut) {
    let Cut { at, batch, header_crc, epoch, next_position, next_incarnation, below } = *cut;
    put_numbers(
        out,
        [at.incarnation, at.offset, batch, header_crc.into(), epoch, next_position, next_incarnation, below],
    );
}

fn take_cut(at: &mut Reader<'_>) -> Option<Cut> {
    Some(Cut {
        at: Place { incarnation: at.varint()?, offset: at.varint()? },
        batch: at.varint()?,
        header_crc: u32::try_from(at.varint()?).ok()?,
        epoch: at.varint()?,
        next_position: at.varint()?,
        next_incarnation: at.varint()?,
        below: at.varint()?,
    })
}

fn put_run(out: &mut Vec<u8>, note: &RunNote) {
    put_numbers(out, [note.entries, note.bytes]);
}

fn put_slot(out: &mut Vec<u8>, note: &SlotNote) {
    put_numbers(out, [note.file, note.length, note.entries, note.live_bytes]);
}

fn take_slot(at: &mut Reader<'_>) -> Option<SlotNote> {
    Some(SlotNote {
        file: at.varint()?,
        length: at.varint()?,
        entries: at.varint()?,
        live_bytes: at.varint()?,
    })
}

fn put_blob(out: &mut Vec<u8>, note: &BlobNote) {
    put_numbers(out, [note.len, note.entries]);
}

fn put_queue(out: &mut Vec<u8>, note: &QueueNote) {
    put_numbers(out, [note.last_seq, note.known]);
    for set in [&note.settled, &note.exposed, &note.unexposed] {
        set.encode(out);
    }
    put_varint(out, note.counts.len() as u64);
    for (count, messages) in &note.counts {
        put_varint(out, (*count).into());
        messages.encode(out);
    }
    put_varint(out, note.lines.len() as u64);
    for (order_key, LineCount { messages, body_bytes, timed }) in &note.lines {
        put_numbers(out, [*order_key, *messages, *body_bytes, *timed]);
    }
}

fn take_queue(at: &mut Reader<'_>) -> Option<QueueNote> {
    Some(QueueNote {
        last_seq: at.varint()?,
        known: at.varint()?,
        settled: RangeSet::decode(at)?,
        exposed: RangeSet::decode(at)?,
        unexposed: RangeSet::decode(at)?,
        counts: take_list(at, |at| Some((u32::try_from(at.varint()?).ok()?, RangeSet::decode(at)?)))?,
        lines: take_list(at, |at| {
            let order_key = at.varint()?;
            let (messages, body_bytes, timed) = (at.varint()?, at.varint()?, at.varint()?);
            Some((order_key, LineCount { messages, body_bytes, timed }))
        })?,
    })
}

fn put_last(out: &mut Vec<u8>, last: &LastIds) {
    put_numbers(out, [last.queue, last.incarnation, last.slot_file, last.run, last.blob]);
}

fn take_last(at: &mut Reader<'_>) -> Option<LastIds> {
    Some(LastIds {
        queue: at.varint()?,
        incarnation: at.varint()?,
        slot_file: at.varint()?,
        run: at.varint()?,
        blob: at.varint()?,
    })
}
