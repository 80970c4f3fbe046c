//! The second pass: payloads of live messages, in log order, each with its checksum verified.
//!
//! Damage here is confined to the queues whose messages it hits.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{BATCH_HEADER, Fields, PayloadPlace, Records};
use crate::log::walk::{Batch, Walk};
use crate::record::MessageFlags;
use crate::recovery::survey::{Live, Survey};
use crate::recovery::{Quarantined, RecoveredMessage, RecoverySink};

/// Batches up to this are read at once, larger ones payload by payload.
const READ_AT_ONCE: u64 = 8 << 20;

/// Gives every live message to the sink. Returns the queues that have unreadable ones.
pub(super) fn deliver<D: Disk>(
    walk: &Walk<'_, D>,
    survey: &mut Survey,
    sink: &mut dyn RecoverySink,
) -> Result<Vec<Quarantined>, StorageError> {
    let mut pass = Pass { bodies: BTreeMap::new(), quarantined: BTreeMap::new(), delivered: 0 };
    for live in survey.queues.values().flat_map(|queue| queue.live.values()).filter(|live| live.body != 0) {
        let body = pass.bodies.entry(live.body).or_default();
        body.entries += 1;
        let batch =
            survey.batches.partition_point(|batch| batch.first_position <= live.body).saturating_sub(1);
        if body.entries == 1
            && let Some(batch) = survey.batches.get_mut(batch)
        {
            batch.live += 1;
        }
    }
    for (index, at) in survey.batches.iter().enumerate().filter(|(_, at)| at.live > 0) {
        let batch = walk.read_again(at.place, at.before)?;
        let section = Section::open(walk, batch)?;
        pass.batch(walk, survey, index, &section, sink)?;
    }
    let expected = survey.statistics().messages;
    assert_eq!(pass.delivered, expected, "every live message is delivered or its queue is quarantined");
    Ok(pass.quarantined.into_values().collect())
}

struct Pass {
    /// Shared bodies by position.
    bodies: BTreeMap<u64, Body>,
    quarantined: BTreeMap<u64, Quarantined>,
    delivered: u64,
}

#[derive(Default)]
struct Body {
    entries: u64,
    payload: Option<Result<Bytes, Damage>>,
}

#[derive(Debug, Clone, Copy)]
struct Damage {
    incarnation: u64,
    offset: u64,
}

impl Pass {
    fn batch<D: Disk>(
        &mut self,
        walk: &Walk<'_, D>,
        survey: &Survey,
        index: usize,
        section: &Section,
        sink: &mut dyn RecoverySink,
    ) -> Result<(), StorageError> {
        let is_live = |queue: u64, seq: u64| {
            let live = survey.queues.get(&queue)?.live.get(&seq)?;
            (live.batch == index).then_some(*live)
        };
        for record in Records::new(&section.batch.header, &section.batch.meta) {
            let record = record.map_err(|fault| walk.unreadable(&section.batch, fault.left))?;
            let (live, message, payload) = match record.fields {
                Fields::Body { payload } => {
                    if let Some(body) = self.bodies.get_mut(&record.position) {
                        body.payload = Some(section.payload(walk, payload)?);
                    }
                    continue;
                }
                Fields::Message { queue, seq, flags, order_key, deadline_ms, payload } => {
                    let Some(live) = is_live(queue, seq) else { continue };
                    let payload = section.payload(walk, payload)?;
                    (live, recovered(queue, seq, flags, order_key, deadline_ms), payload)
                }
                Fields::Entry { body, queue, seq, flags, order_key, deadline_ms } => {
                    let Some(live) = is_live(queue, seq) else { continue };
                    let Some(payload) = self.take_body(body) else {
                        let why = format!("an entry of queue {queue} names record {body}, which is no body");
                        return Err(walk.corrupt(section.batch.place, why));
                    };
                    (live, recovered(queue, seq, flags, order_key, deadline_ms), payload)
                }
                _ => continue,
            };
            self.message(walk, &live, message, payload, sink);
        }
        Ok(())
    }

    fn message<D: Disk>(
        &mut self,
        walk: &Walk<'_, D>,
        live: &Live,
        mut message: RecoveredMessage,
        payload: Result<Bytes, Damage>,
        sink: &mut dyn RecoverySink,
    ) {
        self.delivered += 1;
        match payload {
            Ok(payload) => {
                let flags = message.flags.without(MessageFlags::SEEN);
                message.flags = if live.seen { flags.with(MessageFlags::SEEN) } else { flags };
                message.delivery_count = live.delivery_count;
                message.payload = payload;
                sink.message(message);
            }
            Err(damage) => {
                self.quarantined.entry(message.queue).or_insert_with(|| Quarantined {
                    queue: message.queue,
                    file: walk.file(damage.incarnation),
                    offset: damage.offset,
                    reason: format!("the bytes of message {} fail their checksum", message.seq),
                });
            }
        }
    }

    fn take_body(&mut self, position: u64) -> Option<Result<Bytes, Damage>> {
        let body = self.bodies.get_mut(&position)?;
        let payload = body.payload.clone()?;
        body.entries = body.entries.saturating_sub(1);
        if body.entries == 0 {
            self.bodies.remove(&position);
        }
        Some(payload)
    }
}

fn recovered(
    queue: u64,
    seq: u64,
    flags: MessageFlags,
    order_key: u64,
    deadline_ms: u64,
) -> RecoveredMessage {
    RecoveredMessage { queue, seq, flags, order_key, deadline_ms, delivery_count: 0, payload: Bytes::new() }
}

/// A batch and, if it is not too long, all its payloads.
struct Section {
    batch: Batch,
    whole: Option<Vec<u8>>,
}

impl Section {
    fn open<D: Disk>(walk: &Walk<'_, D>, batch: Batch) -> Result<Self, StorageError> {
        let is_short = batch.header.payload_len <= READ_AT_ONCE;
        let whole = if is_short { Some(walk.payload(&batch)?) } else { None };
        Ok(Self { batch, whole })
    }

    fn payload<D: Disk>(
        &self,
        walk: &Walk<'_, D>,
        at: PayloadPlace,
    ) -> Result<Result<Bytes, Damage>, StorageError> {
        let start = self.batch.place.offset + BATCH_HEADER as u64 + u64::from(self.batch.header.meta_len);
        let incarnation = self.batch.place.incarnation;
        let bytes = match &self.whole {
            Some(whole) => {
                let from = usize::try_from(at.offset).unwrap_or(usize::MAX);
                Bytes::copy_from_slice(
                    whole.get(from..from.saturating_add(at.len as usize)).unwrap_or_default(),
                )
            }
            None => Bytes::from(walk.read(incarnation, start + at.offset, at.len.into())?),
        };
        let is_whole = bytes.len() == at.len as usize && crc32fast::hash(&bytes) == at.crc;
        Ok(if is_whole { Ok(bytes) } else { Err(Damage { incarnation, offset: start + at.offset }) })
    }
}
