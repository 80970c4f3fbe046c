//! The index: what the log's durable prefix says, kept up batch by batch.
//!
//! Fed with the heads of the records of batches that are durable, by the log's writer and by recovery, in
//! log order. Everything here is a function of that prefix: nothing runs ahead of the log, and nothing
//! depends on who serves the queues. Holds some 64 to 96 bytes for each unsettled message above the cut,
//! nothing for one in a run, and no payload.
//!
//! Owns the meaning of each record. Reads and writes no file.

mod blobs;
mod capture;
mod groups;
mod queue;
mod tail;

use std::collections::BTreeMap;

use crate::format::{BATCH_HEADER, EPOCH_START, Fields, PayloadPlace, Place, Ranges, Record, Records};
use crate::log::sink::DurableBatch;
use crate::log::walk::WalkAt;
use crate::planted::{Plant, is_planted};
use crate::record::SettleReason;
use crate::run::BodyAt;

use blobs::Blobs;
pub(crate) use groups::{Group, Later};

pub(crate) use capture::{Capture, CapturedQueue, Unaccounted};
pub use queue::LineCount;
pub(crate) use queue::{Lines, QueueIndex, Resident};
pub(crate) use tail::TailMessage;

/// A place between two batches at which the log may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Boundary {
    /// Before the last batch below it: from here a walk gives that batch again, and then all above.
    pub(crate) before: WalkAt,
    /// After that batch.
    pub(crate) after: WalkAt,
    /// Records and bytes applied until there, since the index was made.
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// Why a batch cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit {
    /// Bytes into the meta section.
    pub(crate) at: u64,
    pub(crate) why: &'static str,
}

/// What the log says up to the last batch applied.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) queues: BTreeMap<u64, QueueIndex>,
    /// Bodies that may still get entries, by position.
    bodies: BTreeMap<u64, BodyAt>,
    groups: BTreeMap<u64, Group>,
    pub(crate) blobs: Blobs,
    /// The latest place at which the log may be cut: no group is begun below it and committed above, no body
    /// stands below it and gets entries above.
    cut: Boundary,
    /// The end of the last batch applied.
    applied: Boundary,
    /// The cut of the last checkpoint.
    checkpointed: Boundary,
    /// What queues that were deleted had in runs, until it is accounted.
    pub(crate) deleted: Vec<(u64, Box<Resident>)>,
    /// Queues that were deleted since the last capture.
    deleted_ids: Vec<u64>,
    /// The position of the last change of the definitions that counts, or 0.
    pub(crate) definitions_position: u64,
    /// The highest queue id in any record, or 0.
    pub(crate) last_queue: u64,
    /// Unsettled messages above the cut.
    pub(crate) tail_messages: u64,
    /// About how many messages in runs were settled since the last capture.
    pub(crate) unaccounted: u64,
    /// The last batch applied, and where it stood.
    last: Option<(u64, Place)>,
}

impl Index {
    /// Applies the next batch. The one applied last may come again, from another place.
    ///
    /// # Errors
    /// Its records cannot be those of a log; the index must not be used any more.
    pub(crate) fn apply(
        &mut self,
        batch: &DurableBatch<'_>,
        definitions: &mut dyn DefinitionSink,
    ) -> Result<(), Unfit> {
        let len = batch.header.total_len().unwrap_or_default();
        if let Some((number, place)) = self.last.filter(|(number, _)| *number == batch.header.number) {
            self.relocate(batch, place)?;
            self.last = Some((number, batch.at));
            self.applied.after = WalkAt::after(batch.at, batch.header, batch.header_crc);
            if self.cut.after.number == batch.header.number {
                self.cut = self.applied;
            }
            return Ok(());
        }
        let mut payloads = batch.at;
        payloads.offset += BATCH_HEADER as u64 + u64::from(batch.header.meta_len);
        let mut count = 0;
        for record in Records::new(batch.header, batch.meta) {
            let record = record.map_err(|fault| Unfit {
                at: batch.meta.len().saturating_sub(fault.left) as u64,
                why: "a record of a kind or version that is not known here",
            })?;
            let number = batch.header.number;
            self.record(&record, number, payloads, definitions).map_err(|why| Unfit { at: 0, why })?;
            count += 1;
        }
        if count != batch.header.record_count {
            return Err(Unfit { at: 0, why: "the batch has not as many records as its header says" });
        }
        if batch.header.flags & EPOCH_START != 0 {
            // The process that began these groups ended before it committed them.
            self.abort_groups();
        }
        self.last = Some((batch.header.number, batch.at));
        self.note_boundary(batch, len);
        Ok(())
    }

    /// Takes the log up at a cut: the batch is the last below it, and what it says is known.
    pub(crate) fn resume(&mut self, batch: &DurableBatch<'_>, before: WalkAt) {
        let after = WalkAt::after(batch.at, batch.header, batch.header_crc);
        self.applied = Boundary { before, after, records: 0, bytes: 0 };
        self.cut = self.applied;
        self.checkpointed = self.applied;
        self.last = Some((batch.header.number, batch.at));
    }

    /// A queue as the manifest has it.
    pub(crate) fn restore(&mut self, id: u64, last_seq: u64, resident: Resident) {
        let resident = (resident.end > 0).then(|| Box::new(resident));
        self.last_queue = self.last_queue.max(id);
        self.queues.insert(id, QueueIndex { last_seq, resident, ..QueueIndex::default() });
    }

    /// No record follows until another process goes on: what was begun is void.
    pub(crate) fn end(&mut self) {
        self.abort_groups();
        self.bodies.clear();
        self.cut = self.applied;
    }

    /// The latest place at which the log may be cut.
    pub(crate) fn cut(&self) -> Boundary {
        self.cut
    }

    /// The cut of the last checkpoint.
    pub(crate) fn checkpointed(&self) -> Boundary {
        self.checkpointed
    }

    /// Records and bytes of the log above the cut of the last checkpoint.
    pub(crate) fn above_checkpoint(&self) -> (u64, u64) {
        let (now, then) = (self.applied, self.checkpointed);
        (now.records.saturating_sub(then.records), now.bytes.saturating_sub(then.bytes))
    }

    fn note_boundary(&mut self, batch: &DurableBatch<'_>, len: u64) {
        let before = self.applied;
        let count = u64::from(batch.header.record_count);
        self.applied = Boundary {
            before: before.after,
            after: WalkAt::after(batch.at, batch.header, batch.header_crc),
            records: before.records + count,
            bytes: before.bytes + len,
        };
        let floor = batch.floor.0;
        // What was open at this batch's end would be torn apart, however soon it was closed.
        if floor >= self.applied.after.next_position {
            self.cut = self.applied;
        }
        if self.bodies.first_key_value().is_some_and(|(body, _)| *body < floor) {
            self.bodies = self.bodies.split_off(&floor);
        }
    }

    /// Lets what has its payload in the copied batch find it in the copy.
    fn relocate(&mut self, batch: &DurableBatch<'_>, from: Place) -> Result<(), Unfit> {
        let section = |at: Place| at.offset + BATCH_HEADER as u64 + u64::from(batch.header.meta_len);
        let (old, new) = (section(from), section(batch.at));
        let mut moved: BTreeMap<u64, PayloadPlace> = BTreeMap::new();
        for record in Records::new(batch.header, batch.meta) {
            let record =
                record.map_err(|_| Unfit { at: 0, why: "the copy of the last batch cannot be read" })?;
            let (queue, seq, payload) = match record.fields {
                Fields::Body { payload } => {
                    moved.insert(record.position, payload);
                    continue;
                }
                Fields::Message { queue, seq, payload, .. } => (queue, seq, payload),
                Fields::Entry { body, queue, seq, .. } => match moved.get(&body) {
                    Some(payload) => (queue, seq, *payload),
                    None => continue,
                },
                _ => continue,
            };
            let found = self.queues.get_mut(&queue).and_then(|queue| queue.tail.get_mut(seq));
            let was = (from.incarnation, old + payload.offset);
            if let Some(message) = found.filter(|found| (found.at().incarnation, found.at().offset) == was) {
                message.move_to(batch.at.incarnation, new + payload.offset);
            }
        }
        Ok(())
    }

    fn record(
        &mut self,
        record: &Record<'_>,
        batch: u64,
        payloads: Place,
        definitions: &mut dyn DefinitionSink,
    ) -> Result<(), &'static str> {
        let Record { position, group, fields } = *record;
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
            Fields::Message { queue, seq, flags, order_key, deadline_ms, payload } => {
                let at = body_at(payloads, &payload);
                self.message(group, queue, TailMessage::new(seq, order_key, deadline_ms, flags, at, batch));
            }
            Fields::Entry { body, queue, seq, flags, order_key, deadline_ms } => {
                if body >= position || body == 0 {
                    return Err("an entry names a body that does not precede it");
                }
                let Some(at) = self.bodies.get(&body).copied() else {
                    return Err("an entry names a record that is no body, or one that was closed");
                };
                let message = TailMessage::new(seq, order_key, deadline_ms, flags, at, batch);
                self.message(group, queue, message.shared());
            }
            Fields::Body { payload } => {
                self.bodies.insert(position, body_at(payloads, &payload));
            }
            Fields::GroupBegin => {
                self.groups.insert(position, Group::default());
            }
            Fields::GroupCommit { group } => {
                let Some(group) = self.groups.remove(&group) else {
                    return Err("a group is committed that was never begun");
                };
                for later in group.later {
                    self.change(later, definitions);
                }
            }
            // Most of a log is messages and settlements; these allocate nothing.
            Fields::Settle { queue, reason, ranges }
                if group == 0 && reason != SettleReason::QueueDeleted as u8 =>
            {
                if !(is_planted(Plant::DroppedSettlement) && position.is_multiple_of(16)) {
                    ranges.iter().for_each(|(first, last)| self.settle(queue, first, last));
                }
            }
            fields => {
                let Some(later) = Later::new(position, &fields) else { return Ok(()) };
                match self.groups.get_mut(&group) {
                    Some(group) => group.later.push(later),
                    None => self.change(later, definitions),
                }
            }
        }
        Ok(())
    }

    fn message(&mut self, group: u64, queue: u64, message: TailMessage) {
        self.last_queue = self.last_queue.max(queue);
        let seq = message.seq;
        // Messages of a group count at once, so that a settlement outside of it finds them.
        if self.queues.entry(queue).or_default().message(message) {
            self.tail_messages += 1;
            self.blobs.join(&message);
        }
        if let Some(group) = self.groups.get_mut(&group) {
            group.messages.push((queue, seq));
        }
    }

    /// Changes messages that are there, or definitions.
    fn change(&mut self, later: Later, definitions: &mut dyn DefinitionSink) {
        match later {
            Later::Settle { queue, reason, ranges } => {
                if reason == SettleReason::QueueDeleted as u8 && ranges.contains(&(0, u64::MAX)) {
                    return self.delete(queue);
                }
                for (first, last) in ranges {
                    self.settle(queue, first, last);
                }
            }
            Later::Expose { queue, withdrawn, ranges } => {
                let Some(found) = self.queues.get_mut(&queue) else { return };
                ranges.iter().for_each(|(first, last)| found.expose(*first, *last, withdrawn));
            }
            Later::Return { queue, delivery_count, ranges } => {
                let Some(found) = self.queues.get_mut(&queue) else { return };
                let count = u32::try_from(delivery_count).unwrap_or(u32::MAX);
                ranges.iter().for_each(|(first, last)| found.returned(*first, *last, count));
            }
            Later::Definition { position, revision, changes } => {
                self.definitions_position = self.definitions_position.max(position);
                definitions.definition(position, revision, changes);
            }
        }
    }

    fn settle(&mut self, queue: u64, first: u64, last: u64) {
        let Some(found) = self.queues.get_mut(&queue) else { return };
        let blobs = &mut self.blobs;
        let settled = found.settle(first, last, |message| blobs.leave(message));
        self.tail_messages -= settled.in_tail;
        self.unaccounted += settled.in_runs;
    }

    fn delete(&mut self, queue: u64) {
        let Some(found) = self.queues.remove(&queue) else { return };
        self.tail_messages -= found.tail.len() as u64;
        found.tail.iter().for_each(|message| self.blobs.leave(message));
        self.deleted_ids.push(queue);
        if let Some(mut resident) = found.resident {
            self.unaccounted += resident.settle(0, u64::MAX);
            self.deleted.push((queue, resident));
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

/// Takes the changes of definitions as they come to count.
pub(crate) trait DefinitionSink {
    fn definition(&mut self, position: u64, revision: u64, changes: Vec<crate::definitions::Change>);
}

/// While the broker runs they are fed to their store by another way.
pub(crate) struct NoDefinitions;

impl DefinitionSink for NoDefinitions {
    fn definition(&mut self, _: u64, _: u64, _: Vec<crate::definitions::Change>) {}
}

fn body_at(payloads: Place, payload: &PayloadPlace) -> BodyAt {
    let PayloadPlace { blob, offset, len, crc, body_len } = *payload;
    if blob != 0 {
        return BodyAt { incarnation: 0, offset: blob, len, crc, body_len };
    }
    BodyAt {
        incarnation: payloads.incarnation,
        offset: payloads.offset.saturating_add(offset),
        len,
        crc,
        body_len,
    }
}

fn ranges_of<'a>(fields: &Fields<'a>) -> Option<(Ranges<'a>, u64)> {
    match fields {
        Fields::Settle { queue, ranges, .. }
        | Fields::Expose { queue, ranges, .. }
        | Fields::Return { queue, ranges, .. } => Some((*ranges, *queue)),
        _ => None,
    }
}
