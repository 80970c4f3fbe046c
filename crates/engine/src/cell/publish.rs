//! Messages on their way into a queue.

use leveret_core::ids::QueueSeq;
use leveret_core::message::{Body, Message};
use leveret_core::queue::Keep;
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
        let position = self.append(around, purpose.group, incoming);
        self.deliver(around);
        Published { position, refused: Vec::new() }
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
            let position = self.append(around, purpose.group, std::iter::once(item));
            published.position = published.position.max(position);
            self.deliver(around);
            self.make_room(around);
        }
        self.drop_expired(around);
        self.arm(around);
        published
    }

    fn append<'a>(
        &mut self,
        around: &Around<'_, S>,
        group: Option<GroupId>,
        incoming: impl Iterator<Item = Incoming<'a>> + Clone,
    ) -> Position {
        let first = self.contents.next_seq();
        let mut now_ms = None;
        let mut any_logged = false;
        for item in incoming.clone() {
            let keep = self.keep(around, &item.terms, &mut now_ms);
            any_logged |= keep.logged;
            self.contents.enqueue(&item.message, keep);
        }
        self.stats.published += self.contents.next_seq().0 - first.0;
        if any_logged { self.log_messages(around, group, (first, now_ms), incoming) } else { Position(0) }
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
        group: Option<GroupId>,
        (first, mut now_ms): (QueueSeq, Option<u64>),
        incoming: impl Iterator<Item = Incoming<'a>>,
    ) -> Position {
        around.log.append(|gather| {
            let mut position = Position(0);
            for (seq, item) in (first.0..).zip(incoming) {
                let keep = self.keep(around, &item.terms, &mut now_ms);
                if !keep.logged {
                    continue;
                }
                if let Some(group) = group {
                    gather.within(group);
                }
                let flags =
                    if keep.annotated { MessageFlags::SEEN.with(ANNOTATED) } else { MessageFlags::SEEN };
                let (order_key, deadline_ms) = (keep.level.into(), keep.deadline_ms.unwrap_or_default());
                position = match item.shared_body {
                    Some(body) => gather.entry(body, self.id.0, seq, flags, order_key, deadline_ms),
                    None => {
                        let lengths = Lengths::of(&item.message);
                        let parts = lengths.parts(&item.message);
                        let segments = match item.message.body {
                            Body::Small(_) => &[][..],
                            Body::Large(body) => body.segments(),
                        };
                        let body_len = body_len(&item.message);
                        let payload = Payload { parts: &parts, segments, body_len };
                        gather.message(self.id.0, seq, flags, order_key, deadline_ms, payload)
                    }
                };
            }
            position
        })
    }
}
