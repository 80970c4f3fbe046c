//! What the log's records say of each queue, as far as they can be read.
//!
//! Unlike the index it goes on where something is missing, and keeps what it knows in plain maps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::definitions::Definitions;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{BATCH_HEADER, EPOCH_START, Fields, PayloadPlace, Place, Record, Records};
use crate::index::{Group, Later};
use crate::inspect::loss::{Loss, Lost};
use crate::inspect::slots::{FoundBatch, Slots};
use crate::manifest::ManifestState;
use crate::ranges::RangeSet;
use crate::record::{MessageFlags, Position, SettleReason};
use crate::run::{BodyAt, RunEntry, RunKey};

/// A queue as far as it is known.
#[derive(Debug, Default)]
pub(super) struct FoundQueue {
    /// The highest number seen.
    pub(super) last_seq: u64,
    /// Messages with numbers below this are in runs, or settled.
    known: u64,
    /// Messages of the log that are not settled.
    live: BTreeMap<u64, RunEntry>,
    settled: RangeSet,
    exposed: RangeSet,
    unexposed: RangeSet,
    counts: BTreeMap<u32, RangeSet>,
}

/// All queues and what changed the definitions.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) queues: BTreeMap<u64, FoundQueue>,
    /// Queues that were deleted.
    deleted: BTreeSet<u64>,
    bodies: BTreeMap<u64, BodyAt>,
    groups: BTreeMap<u64, Group>,
    pub(super) definitions: Definitions,
    base: u64,
    has_manifest: bool,
    pub(super) losses: Vec<Loss>,
}

impl Tail {
    /// Begins with what the manifest says and the definitions found beside the log.
    pub(super) fn new(state: Option<&ManifestState>, definitions: Definitions) -> Self {
        let queue = |note: &crate::manifest::QueueNote| FoundQueue {
            last_seq: note.last_seq,
            known: note.known,
            live: BTreeMap::new(),
            settled: note.settled.clone(),
            exposed: note.exposed.clone(),
            unexposed: note.unexposed.clone(),
            counts: note.counts.iter().cloned().collect(),
        };
        let queues = state.iter().flat_map(|state| &state.queues).map(|(id, note)| (*id, queue(note)));
        Self {
            queues: queues.collect(),
            deleted: BTreeSet::new(),
            bodies: BTreeMap::new(),
            groups: BTreeMap::new(),
            base: definitions.position.0,
            definitions,
            has_manifest: state.is_some(),
            losses: Vec::new(),
        }
    }

    /// Applies every record of every batch that can be read.
    pub(super) fn read<D: Disk>(&mut self, slots: &Slots<D>) -> Result<(), StorageError> {
        for batch in slots.batches() {
            match slots.meta(&batch)? {
                Ok(meta) => self.batch(&batch, &meta, &slots.path(batch.at.incarnation)),
                Err(loss) => self.losses.push(loss),
            }
        }
        self.abort_groups();
        Ok(())
    }

    /// Messages of the log that live, by key.
    pub(super) fn live(&self) -> Vec<RunEntry> {
        let mut live: Vec<RunEntry> =
            self.queues.values().flat_map(|queue| queue.live.values().copied()).collect();
        live.sort_unstable_by_key(|entry| entry.key);
        live
    }

    /// What is true now of an entry of a run, or `None` if its message is settled.
    pub(super) fn now(&self, mut entry: RunEntry) -> Option<RunEntry> {
        let RunKey { queue, seq, .. } = entry.key;
        if self.deleted.contains(&queue) || (self.has_manifest && !self.queues.contains_key(&queue)) {
            return None;
        }
        let Some(found) = self.queues.get(&queue) else { return Some(entry) };
        if found.settled.contains(seq) || (self.has_manifest && seq >= found.known) {
            return None;
        }
        if found.exposed.contains(seq) {
            entry.flags = entry.flags.with(MessageFlags::SEEN);
        } else if found.unexposed.contains(seq) {
            entry.flags = entry.flags.without(MessageFlags::SEEN);
        }
        if let Some((count, _)) = found.counts.iter().find(|(_, numbers)| numbers.contains(seq)) {
            entry.delivery_count = *count;
        }
        Some(entry)
    }

    fn batch(&mut self, batch: &FoundBatch, meta: &[u8], file: &Path) {
        let mut payloads = batch.at;
        payloads.offset += BATCH_HEADER as u64 + u64::from(batch.header.meta_len);
        for record in Records::new(&batch.header, meta) {
            let Ok(record) = record else {
                let first = batch.header.first_position;
                let last = first.saturating_add(batch.header.record_count.into()).saturating_sub(1);
                let why = format!(
                    "a record of batch {} is of a kind or version that is not known here",
                    batch.header.number
                );
                self.losses.push(Loss::new(Lost::Records { first, last }, file, batch.at.offset, why));
                break;
            };
            self.record(&record, payloads, (file, batch.at.offset));
        }
        if batch.header.flags & EPOCH_START != 0 {
            self.abort_groups();
        }
    }

    fn record(&mut self, record: &Record<'_>, payloads: Place, (file, offset): (&Path, u64)) {
        let Record { position, group, fields } = *record;
        match fields {
            Fields::Message { queue, seq, flags, order_key, deadline_ms, payload } => {
                let (key, at) = (RunKey { queue, order_key, seq }, body_at(payloads, &payload));
                self.message(group, RunEntry { key, at, flags, deadline_ms, delivery_count: 0, shared: 1 });
            }
            Fields::Entry { body, queue, seq, flags, order_key, deadline_ms } => {
                let key = RunKey { queue, order_key, seq };
                match self.bodies.get(&body).copied() {
                    Some(at) => {
                        self.message(
                            group,
                            RunEntry { key, at, flags, deadline_ms, delivery_count: 0, shared: 1 },
                        );
                    }
                    None => {
                        let lost = Lost::Messages { queue, first: seq, last: seq };
                        let why = format!("record {body} with the body of record {position} is lost");
                        self.losses.push(Loss::new(lost, file, offset, why));
                    }
                }
            }
            Fields::Body { payload } => {
                self.bodies.insert(position, body_at(payloads, &payload));
            }
            Fields::GroupBegin => {
                self.groups.insert(position, Group::default());
            }
            Fields::GroupCommit { group } => {
                let later = self.groups.remove(&group).map(|group| group.later).unwrap_or_default();
                later.into_iter().for_each(|later| self.change(later));
            }
            fields => match Later::new(position, &fields) {
                // The begin of the group may be what is lost.
                Some(later) if group != 0 => self.groups.entry(group).or_default().later.push(later),
                Some(later) => self.change(later),
                None => {}
            },
        }
    }

    fn message(&mut self, group: u64, entry: RunEntry) {
        let RunKey { queue, seq, .. } = entry.key;
        let found = self.queues.entry(queue).or_default();
        found.last_seq = found.last_seq.max(seq);
        if seq >= found.known && !found.settled.contains(seq) {
            found.live.insert(seq, entry);
            if group != 0 {
                self.groups.entry(group).or_default().messages.push((queue, seq));
            }
        }
    }

    fn change(&mut self, later: Later) {
        match later {
            Later::Settle { queue, reason, ranges } => {
                if reason == SettleReason::QueueDeleted as u8 && ranges.contains(&(0, u64::MAX)) {
                    self.queues.remove(&queue);
                    self.deleted.insert(queue);
                    return;
                }
                ranges.into_iter().for_each(|(first, last)| self.settle(queue, first, last));
            }
            Later::Expose { queue, withdrawn, ranges } => {
                let found = self.queues.entry(queue).or_default();
                ranges.into_iter().for_each(|(first, last)| found.expose(first, last, withdrawn));
            }
            Later::Return { queue, delivery_count, ranges } => {
                let count = u32::try_from(delivery_count).unwrap_or(u32::MAX);
                let found = self.queues.entry(queue).or_default();
                ranges.into_iter().for_each(|(first, last)| found.returned(first, last, count));
            }
            Later::Definition { position, revision, changes } if position > self.base => {
                self.definitions.apply(Position(position), revision, &changes);
            }
            Later::Definition { .. } => {}
        }
    }

    fn settle(&mut self, queue: u64, first: u64, last: u64) {
        let has_manifest = self.has_manifest;
        let found = self.queues.entry(queue).or_default();
        // Numbers never given yet are not settled by this.
        let last = if has_manifest { last.min(found.last_seq) } else { last };
        if first <= last {
            found.settled.add(first, last);
            let settled: Vec<u64> = found.live.range(first..=last).map(|(seq, _)| *seq).collect();
            settled.iter().for_each(|seq| {
                found.live.remove(seq);
            });
        }
    }

    /// What was begun and not committed is void.
    fn abort_groups(&mut self) {
        for (queue, seq) in std::mem::take(&mut self.groups).into_values().flat_map(|group| group.messages) {
            self.settle(queue, seq, seq);
        }
    }
}

impl FoundQueue {
    fn expose(&mut self, first: u64, last: u64, withdrawn: bool) {
        let (to, from) = if withdrawn {
            (&mut self.unexposed, &mut self.exposed)
        } else {
            (&mut self.exposed, &mut self.unexposed)
        };
        to.add(first, last);
        from.remove(first, last);
        if first <= last {
            for entry in self.live.range_mut(first..=last).map(|(_, entry)| entry) {
                let flags = entry.flags.without(MessageFlags::SEEN);
                entry.flags = if withdrawn { flags } else { flags.with(MessageFlags::SEEN) };
            }
        }
    }

    fn returned(&mut self, first: u64, last: u64, count: u32) {
        self.counts.values_mut().for_each(|numbers| numbers.remove(first, last));
        self.counts.entry(count).or_default().add(first, last);
        self.counts.retain(|_, numbers| !numbers.is_empty());
        if first <= last {
            self.live.range_mut(first..=last).for_each(|(_, entry)| entry.delivery_count = count);
        }
    }
}

fn body_at(payloads: Place, payload: &PayloadPlace) -> BodyAt {
    let PayloadPlace { blob, offset, len, crc, body_len } = *payload;
    if blob != 0 {
        return BodyAt { incarnation: 0, offset: blob, len, crc, body_len };
    }
    let offset = payloads.offset.saturating_add(offset);
    BodyAt { incarnation: payloads.incarnation, offset, len, crc, body_len }
}
