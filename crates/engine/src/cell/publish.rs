//! Messages on their way into a queue.

use leveret_core::ids::QueueSeq;
use leveret_core::message::{Body, Message};
use leveret_core::queue::{ENTRY_BYTES, Keep};
use leveret_storage::{BodyRef, GroupId, MessageFlags, Payload, Position};

use super::QueueCell;
use crate::around::Around;
use crate::payload::{ANNOTATED, Lengths, body_len};
use crate::seams::{Log, Seams};

/// A message on its way into a queue.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Its bytes.
    pub message: Message<'a>,
    /// What its properties say of how it is kept.
    pub terms: Terms,
    /// Its body in the log, if other queues share it.
    pub shared_body: Option<BodyRef>,
}

/// What a message's properties say of how it is kept. 16 bytes: every publish of a batch has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Its publisher asked for it to survive a restart.
    pub persistent: bool,
    /// Its priority; 0 without one.
    pub priority: u8,
    /// Its own time to live.
    pub expiration: Expiration,
    /// Its properties carry notes (`leveret_core::dead_letter::Notes`).
    pub annotated: bool,
    /// How often it was rejected from quorum queues before.
    pub rejections: u32,
}

/// A message's own time to live, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiration(u64);

impl Expiration {
    /// None. RabbitMQ's longest one is ten years.
    pub const NEVER: Self = Self(u64::MAX);

    /// In milliseconds.
    #[must_use]
    pub fn ms(self) -> Option<u64> {
        (self != Self::NEVER).then_some(self.0)
    }
}

impl Default for Expiration {
    fn default() -> Self {
        Self::NEVER
    }
}

impl From<u64> for Expiration {
    fn from(ms: u64) -> Self {
        Self(ms)
    }
}

const _: () = assert!(size_of::<Terms>() == 16);

/// On whose behalf messages are published.
#[derive(Clone, Copy, Debug, Default)]
pub struct Purpose {
    /// The group of the log that they belong to.
    pub group: Option<GroupId>,
    /// They are dead letters: whoever moves them sees to those that are refused.
    pub is_move: bool,
}

/// What became of published messages.
#[derive(Debug, Default)]
pub struct Published {
    /// The log position that makes those durable that must be; 0 waits for none.
    pub position: Position,
    /// Which of them the queue refused, by their place among those that came.
    pub refused: Vec<u32>,
    /// Some of them are cold and belong to a group: the queue must hear of its end.
    pub awaits_group: bool,
    /// Consumers are far behind, so whoever published is to be held back.
    pub is_far_behind: bool,
}

impl<S: Seams> QueueCell<S> {
    /// Appends messages and offers them.
    pub fn publish<'a>(
        &mut self,
        around: &Around<'_, S>,
        purpose: Purpose,
        incoming: impl Iterator<Item = Incoming<'a>> + Clone,
    ) -> Published {
        if self.dead {
            return Published::default();
        }
        if around.queue.is_limited || self.could_overtake(incoming.clone()) {
            return self.publish_singly(around, purpose, incoming);
        }
        let mut published = self.append(around, purpose.group, incoming);
        self.deliver(around);
        published.is_far_behind = self.is_far_behind(around);
        published
    }

    /// Whether a message would go before an earlier one for which a consumer waits.
    fn could_overtake<'a>(&self, mut incoming: impl Iterator<Item = Incoming<'a>>) -> bool {
        self.contents.has_levels()
            && self.consumers.ready() > 0
            && incoming.any(|item| self.contents.level(item.terms.priority) > 0)
    }

    /// Offers each message before the next is taken, and looks at the length limit before and after each.
    fn publish_singly<'a>(
        &mut self,
        around: &Around<'_, S>,
        purpose: Purpose,
        incoming: impl Iterator<Item = Incoming<'a>> + Clone,
    ) -> Published {
        let mut published = Published::default();
        for (at, item) in (0u32..).zip(incoming) {
            if self.contents.would_reject(item.message.body.len() as u64) {
                published.refused.push(at);
                if !purpose.is_move {
                    self.refuse(around, &item.message, item.terms.annotated);
                }
                continue;
            }
            let appended = self.append(around, purpose.group, std::iter::once(item));
            published.position = published.position.max(appended.position);
            published.awaits_group |= appended.awaits_group;
            self.deliver(around);
            self.make_room(around, purpose.group);
        }
        self.drop_expired(around);
        self.arm(around);
        published.is_far_behind = self.is_far_behind(around);
        published
    }

    fn append<'a>(
        &mut self,
        around: &Around<'_, S>,
        group: Option<GroupId>,
        incoming: impl Iterator<Item = Incoming<'a>> + Clone,
    ) -> Published {
        let mut batch = Batch {
            group,
            first: self.contents.next_seq(),
            now_ms: None,
            is_seen: self.marks_seen(around),
            any_cold: false,
        };
        let mut room = self.room(around);
        let (mut any_logged, mut any_spilled) = (false, false);
        for item in incoming.clone() {
            let mut keep = self.keep(around, &item.terms, &mut batch.now_ms);
            keep.exposed = batch.is_seen;
            any_logged |= keep.logged;
            let bytes = item.message.stored_bytes() as u64 + ENTRY_BYTES;
            if room < bytes || self.contents.goes_cold(keep.level) {
                // What follows goes the same way, so that a batch is cut once.
                room = 0;
                batch.any_cold = true;
                any_spilled |= !keep.logged;
                let body_len = item.message.body.len() as u64;
                self.contents.enqueue_cold(keep.level, body_len, keep.deadline_ms.is_some());
            } else {
                room -= bytes;
                self.contents.enqueue(&item.message, keep);
            }
        }
        self.stats.published += self.contents.next_seq().0 - batch.first.0;
        if any_spilled {
            self.spill_messages(around, batch, incoming.clone());
        }
        if !any_logged {
            return Published::default();
        }
        self.beyond.marked_seen |= batch.is_seen;
        let position = self.log_messages(around, batch, incoming);
        if batch.any_cold {
            self.note_cold(group, batch.first, position);
        }
        Published { position, awaits_group: batch.any_cold && group.is_some(), ..Published::default() }
    }

    /// How a message is kept. The time is asked for once, and only where there is a deadline.
    #[inline]
    fn keep(&self, around: &Around<'_, S>, terms: &Terms, now_ms: &mut Option<u64>) -> Keep {
        let settings = &around.queue.settings;
        let mut keep = Keep {
            logged: self.durable && (terms.persistent || self.all_persistent),
            annotated: terms.annotated,
            redelivered: terms.rejections > 0 && self.contents.counts_deliveries(),
            ..Keep::default()
        };
        if settings.message_ttl_ms.is_some() || terms.expiration != Expiration::NEVER {
            let now_ms = *now_ms.get_or_insert_with(|| around.now_ms());
            keep.deadline_ms = settings.deadline_ms(now_ms, terms.expiration.ms());
        }
        if self.contents.has_levels() {
            keep.level = self.contents.level(terms.priority);
        }
        keep
    }

    fn log_messages<'a>(
        &self,
        around: &Around<'_, S>,
        mut batch: Batch,
        incoming: impl Iterator<Item = Incoming<'a>>,
    ) -> Position {
        around.log.append(|gather| {
            let mut position = Position(0);
            for (seq, item) in (batch.first.0..).zip(incoming) {
                let keep = self.keep(around, &item.terms, &mut batch.now_ms);
                if !keep.logged {
                    continue;
                }
                if let Some(group) = batch.group {
                    gather.within(group);
                }
                let is_cold = batch.any_cold && self.contents.holds_cold(keep.level, QueueSeq(seq));
                let flags = flags(batch.is_seen && !is_cold, keep.annotated);
                let (order_key, deadline_ms) = (keep.level.into(), keep.deadline_ms.unwrap_or_default());
                position = match item.shared_body {
                    Some(body) => gather.entry(body, self.id.0, seq, flags, order_key, deadline_ms),
                    None => with_payload(&item.message, |payload| {
                        gather.message(self.id.0, seq, flags, order_key, deadline_ms, payload)
                    }),
                };
            }
            position
        })
    }

    /// Writes those to the spill that are not logged and not in memory either.
    fn spill_messages<'a>(
        &mut self,
        around: &Around<'_, S>,
        mut batch: Batch,
        incoming: impl Iterator<Item = Incoming<'a>>,
    ) {
        let position = around.spill.append(|gather| {
            let mut position = Position(0);
            for (seq, item) in (batch.first.0..).zip(incoming) {
                let keep = self.keep(around, &item.terms, &mut batch.now_ms);
                if keep.logged || !self.contents.holds_cold(keep.level, QueueSeq(seq)) {
                    continue;
                }
                let (order_key, deadline_ms) = (keep.level.into(), keep.deadline_ms.unwrap_or_default());
                position = with_payload(&item.message, |payload| {
                    let flags = flags(false, keep.annotated);
                    gather.message(self.id.0, seq, flags, order_key, deadline_ms, payload)
                });
            }
            position
        });
        self.beyond.spilled_until = Some(position);
    }
}

/// Messages that come in together.
#[derive(Clone, Copy, Debug)]
struct Batch {
    group: Option<GroupId>,
    /// The number of the first.
    first: QueueSeq,
    /// The time, once it was needed.
    now_ms: Option<u64>,
    /// Those in memory are marked as seen.
    is_seen: bool,
    /// Some are not in memory.
    any_cold: bool,
}

fn flags(is_seen: bool, is_annotated: bool) -> MessageFlags {
    let flags = if is_seen { MessageFlags::SEEN } else { MessageFlags::NONE };
    if is_annotated { flags.with(ANNOTATED) } else { flags }
}

#[inline]
fn with_payload<R>(message: &Message<'_>, run: impl FnOnce(Payload<'_>) -> R) -> R {
    let lengths = Lengths::of(message);
    let parts = lengths.parts(message);
    let segments = match message.body {
        Body::Small(_) => &[][..],
        Body::Large(body) => body.segments(),
    };
    run(Payload { parts: &parts, segments, body_len: body_len(message) })
}
