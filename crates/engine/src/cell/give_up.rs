//! What a queue gives up: messages that expired, that made room, that were rejected or came back too often.
//!
//! Without a dead-letter exchange such a message is dropped, and the log hears of it at once. With one it is copied
//! out and waits among the cell's `given_up` for the broker to move it (`crate::dead_letter`), which happens as soon
//! as the cell's lock is free. Until that move is in the log the message counts, in the log, as still here.

use bytes::Bytes;
use leveret_core::arguments::Overflow;
use leveret_core::dead_letter::Reason;
use leveret_core::ids::QueueSeq;
use leveret_core::message::{Body, Message, SharedBody};
use leveret_core::queue::{Entry, SeqRanges};
use leveret_storage::{GroupId, SettleReason};

use super::QueueCell;
use crate::around::Around;
use crate::seams::Seams;

/// So many given up messages wait at most before expiry pauses: what lies behind them is not copied yet.
pub(super) const GIVEN_UP_MOST: usize = 4096;

/// How long the log has to catch up before the rest is moved.
const PAUSE_MS: u64 = 20;

/// A message that is to be dead-lettered.
#[derive(Debug)]
pub(crate) struct GivenUp {
    /// Its number, if the log still counts it in its queue.
    pub(crate) logged: Option<QueueSeq>,
    pub(crate) reason: Reason,
    /// Its properties carry notes.
    pub(crate) annotated: bool,
    bytes: OwnedMessage,
}

impl GivenUp {
    pub(crate) fn new(
        message: &Message<'_>,
        annotated: bool,
        logged: Option<QueueSeq>,
        reason: Reason,
    ) -> Self {
        Self { logged, reason, annotated, bytes: OwnedMessage::new(message) }
    }

    pub(crate) fn message(&self) -> Message<'_> {
        self.bytes.borrow()
    }
}

/// A message in memory of its own.
#[derive(Debug)]
struct OwnedMessage {
    /// Exchange, routing key and properties in a row.
    head: Box<[u8]>,
    exchange_len: usize,
    routing_key_len: usize,
    body: OwnedBody,
}

#[derive(Debug)]
enum OwnedBody {
    Small(Bytes),
    Large(SharedBody),
}

impl OwnedMessage {
    fn new(message: &Message<'_>) -> Self {
        Self {
            head: [message.exchange, message.routing_key, message.properties].concat().into(),
            exchange_len: message.exchange.len(),
            routing_key_len: message.routing_key.len(),
            body: match message.body {
                Body::Small(bytes) => OwnedBody::Small(Bytes::copy_from_slice(bytes)),
                Body::Large(body) => OwnedBody::Large(body.clone()),
            },
        }
    }

    fn borrow(&self) -> Message<'_> {
        let (exchange, rest) = self.head.split_at(self.exchange_len);
        let (routing_key, properties) = rest.split_at(self.routing_key_len);
        let body = match &self.body {
            OwnedBody::Small(bytes) => Body::Small(bytes),
            OwnedBody::Large(body) => Body::Large(body),
        };
        Message { exchange, routing_key, properties, body }
    }
}

/// What the log says of a message that left for that reason.
pub(crate) fn settle_reason(reason: Reason) -> SettleReason {
    match reason {
        Reason::Rejected => SettleReason::Rejected,
        Reason::Expired => SettleReason::Expired,
        Reason::MaxLength => SettleReason::Overflow,
        Reason::DeliveryLimit => SettleReason::DeliveryLimit,
    }
}

impl<S: Seams> QueueCell<S> {
    /// Gives up the next messages as long as their time had run out at `until_ms`.
    pub(crate) fn expire(&mut self, around: &Around<'_, S>, until_ms: u64) {
        self.give_up_while(around, None, Reason::Expired, |cell| {
            let may_wait = cell.given_up.len() < GIVEN_UP_MOST;
            if may_wait { cell.contents.pop_expired(until_ms) } else { None }
        });
    }

    /// Gives up the next messages as long as the queue holds more than it may. What gives way to messages of a group
    /// leaves with that group.
    pub(super) fn make_room(&mut self, around: &Around<'_, S>, group: Option<GroupId>) {
        self.give_up_while(around, group, Reason::MaxLength, |cell| cell.contents.pop_overflow());
    }

    fn give_up_while(
        &mut self,
        around: &Around<'_, S>,
        group: Option<GroupId>,
        reason: Reason,
        mut next: impl FnMut(&mut Self) -> Option<Entry>,
    ) {
        let mut dropped = SeqRanges::default();
        while let Some(entry) = next(self) {
            self.give_up(around, &entry, reason, &mut dropped);
        }
        self.log_settled(around.log, group, &dropped, settle_reason(reason));
    }

    /// Gives up a taken message. `dropped` receives it if it is gone and the log must hear of it.
    pub(super) fn give_up(
        &mut self,
        around: &Around<'_, S>,
        entry: &Entry,
        reason: Reason,
        dropped: &mut SeqRanges,
    ) {
        if around.queue.settings.dead_letter_exchange.is_some() {
            self.count_dead(reason);
            let message = self.contents.message(entry);
            let logged = entry.is_logged().then_some(entry.seq());
            self.gave_up += 1;
            self.given_up.push_back(GivenUp::new(&message, entry.is_annotated(), logged, reason));
        } else if entry.is_logged() {
            dropped.push(entry.seq());
        }
        self.contents.discard(entry);
    }

    fn count_dead(&mut self, reason: Reason) {
        let count = match reason {
            Reason::Rejected => &mut self.stats.dead_rejected,
            Reason::Expired => &mut self.stats.dead_expired,
            Reason::MaxLength => &mut self.stats.dead_max_length,
            Reason::DeliveryLimit => &mut self.stats.dead_delivery_limit,
        };
        *count += 1;
    }

    /// Refuses a message that never came in. With `reject-publish-dlx` it is dead-lettered all the same.
    pub(super) fn refuse(&mut self, around: &Around<'_, S>, message: &Message<'_>, annotated: bool) {
        let settings = &around.queue.settings;
        if settings.overflow() == Overflow::RejectPublishDlx && settings.dead_letter_exchange.is_some() {
            self.count_dead(Reason::MaxLength);
            self.gave_up += 1;
            self.given_up.push_back(GivenUp::new(message, annotated, None, Reason::MaxLength));
        }
    }

    /// Whether the caller is to move what was given up: it is the only one then, so that order holds.
    pub(crate) fn claim_given_up(&mut self) -> bool {
        !self.given_up.is_empty() && !std::mem::replace(&mut self.is_being_moved, true)
    }

    /// The next messages to move, for whoever claimed them. With none left the claim ends.
    pub(crate) fn take_given_up(&mut self, around: &Around<'_, S>, most: usize) -> Vec<GivenUp> {
        self.end_move();
        if self.given_up.is_empty() && self.is_due(around) {
            // Expiry paused for these.
            self.deliver(around);
            self.wake_waiting();
        }
        self.is_being_moved = !self.given_up.is_empty();
        let most = self.given_up.len().min(most);
        let batch: Vec<GivenUp> = self.given_up.drain(..most).collect();
        self.moving = batch.iter().filter_map(|given_up| given_up.logged).collect();
        batch
    }

    /// What was taken to be moved is in its new place, and the log knows.
    fn end_move(&mut self) {
        let moved = self.gave_up - self.given_up.len() as u64;
        if moved > self.moved {
            self.moved = moved;
            self.wake_waiting();
        }
        self.moving.clear();
    }

    /// How many messages this queue gave up in this life.
    pub(crate) fn gave_up(&self) -> u64 {
        self.gave_up
    }

    /// Whether the first `until` of what the queue gave up is moved; if not, the waker is woken when it may be.
    pub(crate) fn has_moved(&mut self, until: u64, waker: &S::Waker) -> bool {
        let has_moved = self.moved >= until || self.dead;
        if !has_moved {
            self.wait(Some(waker), 0);
        }
        has_moved
    }

    /// Ends the claim with messages left, since the log must catch up first: the queue's timer goes on with them, and
    /// with the expiry that has paused for those moved last.
    pub(crate) fn pause_moving(&mut self, around: &Around<'_, S>) -> Vec<GivenUp> {
        self.end_move();
        self.is_being_moved = false;
        if !self.given_up.is_empty() || self.is_due(around) {
            self.call_by(around, around.now_ms().saturating_add(PAUSE_MS));
        }
        Vec::new()
    }

    /// Whether the next message has expired and is still here, since expiry has paused.
    pub(crate) fn is_due(&self, around: &Around<'_, S>) -> bool {
        self.contents.is_timed()
            && self.contents.next_deadline_ms().is_some_and(|deadline| deadline <= around.now_ms())
    }
}
