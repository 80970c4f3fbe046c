//! The first pass: which messages live, from the heads of all records.
//!
//! Owns the meaning of each record. Holds some forty bytes for each message that lives at that point of
//! the log, and sixteen for each batch; no payload.

use std::collections::BTreeMap;

use crate::definitions::{Change, Definitions};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{EPOCH_START, Fields, Place, Ranges, Record, Records};
use crate::log::walk::{Batch, Walk};
use crate::record::{MessageFlags, Position, SettleReason};
use crate::recovery::{RecoveredQueue, RecoveryStatistics};

/// A live message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Live {
    /// Index of the batch with its record.
    pub(super) batch: usize,
    pub(super) delivery_count: u64,
    /// The position of its body's record, or 0 if the body stands in its own.
    pub(super) body: u64,
    pub(super) seen: bool,
}

/// A batch, to be found again.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchAt {
    pub(super) place: Place,
    pub(super) before: Place,
    pub(super) first_position: u64,
    /// Live messages whose records stand in it.
    pub(super) live: u64,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) live: BTreeMap<u64, Live>,
    pub(super) last_seq: u64,
}

#[derive(Debug, Default)]
struct Group {
    /// They count as live at once, so that a settlement outside the group finds them.
    messages: Vec<(u64, u64)>,
    /// The rest, to be done when the group commits.
    later: Vec<Later>,
}

#[derive(Debug)]
enum Later {
    Settle { queue: u64, reason: u8, ranges: Vec<(u64, u64)> },
    Expose { queue: u64, withdrawn: bool, ranges: Vec<(u64, u64)> },
    Return { queue: u64, delivery_count: u64, ranges: Vec<(u64, u64)> },
    Definition { position: u64, revision: u64, changes: Vec<Change> },
}

#[derive(Debug)]
pub(super) struct Survey {
    pub(super) queues: BTreeMap<u64, Queue>,
    pub(super) batches: Vec<BatchAt>,
    groups: BTreeMap<u64, Group>,
    definitions: Definitions,
    definitions_base: u64,
    last_queue: u64,
    statistics: RecoveryStatistics,
}

impl Survey {
    pub(super) fn new(base: Definitions) -> Self {
        Self {
            queues: BTreeMap::new(),
            batches: Vec::new(),
            groups: BTreeMap::new(),
            definitions_base: base.position.0,
            definitions: base,
            last_queue: 0,
            statistics: RecoveryStatistics::default(),
        }
    }

    /// The position up to which the definitions were known before the log was read.
    pub(super) fn definitions_base(&self) -> u64 {
        self.definitions_base
    }

    pub(super) fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    pub(super) fn statistics(&self) -> RecoveryStatistics {
        self.statistics
    }

    pub(super) fn into_parts(self) -> (Definitions, BTreeMap<u64, RecoveredQueue>, u64) {
        let queues = self.queues.into_iter().map(|(queue, found)| {
            (queue, RecoveredQueue { last_seq: found.last_seq, messages: found.live.len() as u64 })
        });
        (self.definitions, queues.collect(), self.last_queue)
    }

    pub(super) fn batch<D: Disk>(&mut self, walk: &Walk<'_, D>, batch: &Batch) -> Result<(), StorageError> {
        self.batches.push(BatchAt {
            place: batch.place,
            before: batch.before,
            first_position: batch.header.first_position,
            live: 0,
        });
        self.statistics.batches += 1;
        self.statistics.bytes += batch.header.total_len().unwrap_or_default();
        let mut count = 0;
        for record in Records::new(&batch.header, &batch.meta) {
            let record = record.map_err(|fault| walk.unreadable(batch, fault.left))?;
            self.record(record).map_err(|why| walk.corrupt(batch.place, why.to_owned()))?;
            count += 1;
        }
        if count != batch.header.record_count {
            return Err(
                walk.corrupt(batch.place, "the batch has not as many records as its header says".to_owned())
            );
        }
        self.statistics.records += u64::from(count);
        if batch.header.flags & EPOCH_START != 0 {
            // The process that began these groups ended before it committed them.
            self.abort_groups();
        }
        Ok(())
    }

    /// No record follows.
    pub(super) fn end(&mut self) {
        self.abort_groups();
        self.statistics.messages = self.queues.values().map(|queue| queue.live.len() as u64).sum();
    }

    fn record(&mut self, record: Record<'_>) -> Result<(), &'static str> {
        let Record { position, group, fields } = record;
        if group != 0 && !self.groups.contains_key(&group) {
            return Err("a record belongs to a group that was never begun");
        }
        if let Some((ranges, queue)) = ranges_of(&fields) {
            self.last_queue = self.last_queue.max(queue);
            if ranges.iter().any(|(first, last)| first > last) {
                return Err("a range ends before it begins");
            }
        }
        match fields {
            Fields::Message { queue, seq, flags, .. } => self.message(group, queue, seq, flags, 0),
            Fields::Entry { body, queue, seq, flags, .. } => {
                if body >= position || body == 0 {
                    return Err("an entry names a body that does not precede it");
                }
                self.message(group, queue, seq, flags, body);
            }
            Fields::Body { .. } => {}
            Fields::GroupBegin => {
                self.groups.insert(position, Group::default());
            }
            Fields::GroupCommit { group } => {
                let Some(group) = self.groups.remove(&group) else {
                    return Err("a group is committed that was never begun");
                };
                for later in group.later {
                    self.apply(&later);
                }
            }
            // Most of a log is messages and single settlements; these allocate nothing.
            Fields::Settle { queue, reason, ranges }
                if group == 0 && reason != SettleReason::QueueDeleted as u8 =>
            {
                ranges.iter().for_each(|(first, last)| self.settle(queue, first, last));
            }
            fields => self.change(position, group, &fields),
        }
        Ok(())
    }

    fn message(&mut self, group: u64, queue: u64, seq: u64, flags: MessageFlags, body: u64) {
        self.last_queue = self.last_queue.max(queue);
        let batch = self.batches.len().saturating_sub(1);
        let found = self.queues.entry(queue).or_default();
        found.last_seq = found.last_seq.max(seq);
        let live = Live { batch, delivery_count: 0, body, seen: flags.contains(MessageFlags::SEEN) };
        // Replay is idempotent: the first record of a message is the one that counts.
        if let std::collections::btree_map::Entry::Vacant(vacant) = found.live.entry(seq) {
            vacant.insert(live);
            if let Some(at) = self.batches.last_mut() {
                at.live += 1;
            }
        }
        if let Some(group) = self.groups.get_mut(&group) {
            group.messages.push((queue, seq));
        }
    }

    /// What changes messages that are there, or definitions: at once, or when its group commits.
    fn change(&mut self, position: u64, group: u64, fields: &Fields<'_>) {
        let owned = |ranges: &Ranges<'_>| ranges.iter().collect();
        let later = match fields {
            Fields::Settle { queue, reason, ranges } => {
                Later::Settle { queue: *queue, reason: *reason, ranges: owned(ranges) }
            }
            Fields::Expose { queue, withdrawn, ranges } => {
                Later::Expose { queue: *queue, withdrawn: *withdrawn, ranges: owned(ranges) }
            }
            Fields::Return { queue, delivery_count, ranges } => {
                Later::Return { queue: *queue, delivery_count: *delivery_count, ranges: owned(ranges) }
            }
            Fields::Definition { revision, changes } => {
                let changes = changes.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)));
                Later::Definition { position, revision: *revision, changes: changes.collect() }
            }
            Fields::Message { .. }
            | Fields::Body { .. }
            | Fields::Entry { .. }
            | Fields::GroupBegin
            | Fields::GroupCommit { .. } => return,
        };
        match self.groups.get_mut(&group) {
            Some(group) => group.later.push(later),
            None => self.apply(&later),
        }
    }

    fn apply(&mut self, later: &Later) {
        match later {
            Later::Settle { queue, reason, ranges } => {
                for (first, last) in ranges {
                    self.settle(*queue, *first, *last);
                }
                if *reason == SettleReason::QueueDeleted as u8 && ranges.contains(&(0, u64::MAX)) {
                    self.queues.remove(queue);
                }
            }
            Later::Expose { queue, withdrawn, ranges } => {
                let Some(found) = self.queues.get_mut(queue) else { return };
                for (first, last) in ranges {
                    found.live.range_mut(first..=last).for_each(|(_, live)| live.seen = !withdrawn);
                }
            }
            Later::Return { queue, delivery_count, ranges } => {
                let Some(found) = self.queues.get_mut(queue) else { return };
                for (first, last) in ranges {
                    found
                        .live
                        .range_mut(first..=last)
                        .for_each(|(_, live)| live.delivery_count = *delivery_count);
                }
            }
            Later::Definition { position, revision, changes } if *position > self.definitions_base => {
                self.definitions.apply(Position(*position), *revision, changes);
            }
            Later::Definition { .. } => {}
        }
    }

    fn settle(&mut self, queue: u64, first: u64, last: u64) {
        let Some(found) = self.queues.get_mut(&queue) else { return };
        if first == last {
            if let Some(live) = found.live.remove(&first) {
                release(&mut self.batches, &live);
            }
            return;
        }
        while let Some((&seq, live)) = found.live.range(first..=last).next() {
            release(&mut self.batches, live);
            found.live.remove(&seq);
        }
    }

    fn abort_groups(&mut self) {
        for group in std::mem::take(&mut self.groups).into_values() {
            for (queue, seq) in group.messages {
                self.settle(queue, seq, seq);
            }
        }
    }
}

fn release(batches: &mut [BatchAt], live: &Live) {
    if let Some(batch) = batches.get_mut(live.batch) {
        batch.live = batch.live.saturating_sub(1);
    }
}

fn ranges_of<'a>(fields: &'a Fields<'a>) -> Option<(&'a Ranges<'a>, u64)> {
    match fields {
        Fields::Settle { queue, ranges, .. }
        | Fields::Expose { queue, ranges, .. }
        | Fields::Return { queue, ranges, .. } => Some((ranges, *queue)),
        _ => None,
    }
}
