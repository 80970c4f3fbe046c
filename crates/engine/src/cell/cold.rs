//! A queue whose messages are not all in memory, or may not all leave yet: what it asks for, and what comes in.

use leveret_core::dead_letter::Notes;
use leveret_core::ids::QueueSeq;
use leveret_core::limits::SMALL_BODY_BYTES;
use leveret_core::message::{Body, Message, SharedBody};
use leveret_core::queue::{Consumer, ConsumerKey, Keep, SeqRanges, Want};
use leveret_storage::planted::{Plant, is_planted};
use leveret_storage::{GroupId, MessageFlags, Position, RecoveredMessage, SettleReason};

use super::{ConsumerHandle, QueueCell};
use crate::around::Around;
use crate::cold::{Damage, Errands, FetchTerms, Fetched, HotWindow};
use crate::payload::{self, ANNOTATED};
use crate::seams::{Log, Seams, Wake};

/// So many messages ahead of the consumers are marked as seen, and so many are marked in their own record.
pub(super) const EXPOSE_AHEAD: u64 = 4096;

/// A queue with consumers keeps so many messages in memory, while there is room.
const READ_AHEAD: usize = 1024;

/// One read takes at most so many messages.
const FETCH_MESSAGES: usize = 4096;

/// One read takes at most about so many bytes while there is room,
const FETCH_BYTES: u64 = 1 << 20;

/// and at least so many when there is none: what a consumer waits for must come in all the same.
const FETCH_BYTES_LEAST: u64 = 64 * 1024;

/// The same where only the head is looked at, for its deadline or to make room.
const HEAD_FETCH_BYTES: (u64, u64) = (4 * 1024, 32 * 1024);

/// A queue with consumers keeps its head in memory up to so many bytes, whatever the others take.
const HEAD_BYTES: u64 = 32 * 1024;

/// So long after a get a queue counts as one with a consumer.
const GET_COUNTS_MS: u64 = 60_000;

/// What a queue knows of its messages beyond memory.
pub(crate) struct Beyond<S: Seams> {
    /// The memory that the queue was last counted with.
    accounted: u64,
    /// The read that is under way.
    fetching: Option<Box<FetchTerms>>,
    /// The log's position up to which the cold messages stand in it, and the spill's.
    logged_until: Position,
    pub(super) spilled_until: Option<Position>,
    /// Groups that are not committed yet, with the number of their first cold message: it cannot be read before.
    open_groups: Vec<(GroupId, u64)>,
    /// An Expose is on its way to the disk.
    is_exposing: bool,
    /// So many of the next messages are exposed or will be, about.
    exposed_ahead: u64,
    /// No message from this number on is of a life before this one.
    pub(super) since: QueueSeq,
    /// Messages were marked as seen in this life.
    pub(super) marked_seen: bool,
    /// Until when gets count as a consumer, in milliseconds of the steady clock.
    got_until: Option<u64>,
    /// Whom to wake when there is more in memory,
    waiting: Vec<S::Waker>,
    /// and how many messages they ask for.
    asked: usize,
}

impl<S: Seams> Default for Beyond<S> {
    fn default() -> Self {
        Self {
            accounted: 0,
            fetching: None,
            logged_until: Position(0),
            spilled_until: None,
            open_groups: Vec::new(),
            is_exposing: false,
            exposed_ahead: 0,
            since: QueueSeq(0),
            marked_seen: false,
            got_until: None,
            waiting: Vec::new(),
            asked: 0,
        }
    }
}

impl<S: Seams> Beyond<S> {
    /// Messages left for consumers: so many fewer are exposed.
    pub(crate) fn count_taken(&mut self, taken: u64) {
        self.exposed_ahead = self.exposed_ahead.saturating_sub(taken);
    }
}

impl<S: Seams> QueueCell<S> {
    /// Bytes of memory that may be filled by what comes in now.
    pub(super) fn room(&self, around: &Around<'_, S>) -> u64 {
        let is_awaited = self.contents.totals().ready == 0 && self.consumers.ready() > 0;
        if is_awaited {
            return u64::MAX;
        }
        let room = around.hot.room();
        if room < HEAD_BYTES && !self.consumers.is_empty() {
            return HEAD_BYTES.saturating_sub(self.contents.memory()).max(room);
        }
        room
    }

    /// Whether what comes in now is marked as seen in its own record, so that its delivery waits for nothing.
    pub(super) fn marks_seen(&mut self, around: &Around<'_, S>) -> bool {
        self.durable && self.contents.totals().ready < EXPOSE_AHEAD && self.is_consumed(around)
    }

    /// Whether somebody takes messages, or did so lately.
    fn is_consumed(&mut self, around: &Around<'_, S>) -> bool {
        if !self.consumers.is_empty() {
            return true;
        }
        let lately = self.beyond.got_until.is_some_and(|until| around.now_ms() < until);
        if !lately {
            self.beyond.got_until = None;
        }
        lately
    }

    /// A get came: for a while the queue counts as one with a consumer.
    pub(crate) fn note_get(&mut self, around: &Around<'_, S>) {
        self.beyond.got_until = Some(around.now_ms().saturating_add(GET_COUNTS_MS));
    }

    /// Cold messages stand in the log now, within a group or not.
    pub(super) fn note_cold(&mut self, group: Option<GroupId>, first: QueueSeq, position: Position) {
        self.beyond.logged_until = self.beyond.logged_until.max(position);
        if let Some(group) = group
            && self.beyond.open_groups.iter().all(|(open, _)| *open != group)
        {
            self.beyond.open_groups.push((group, first.0));
        }
    }

    /// A group is committed, or given up, at this position: its cold messages can be read behind it.
    pub(crate) fn end_group(&mut self, group: GroupId, position: Position) {
        self.beyond.open_groups.retain(|(open, _)| *open != group);
        self.beyond.logged_until = self.beyond.logged_until.max(position);
    }

    /// Wakes a session, or whoever it is, when more than now can be given; it asks for so many messages.
    pub(crate) fn wait(&mut self, waker: Option<&S::Waker>, messages: usize) {
        self.beyond.waiting.extend(waker.cloned());
        self.beyond.asked = self.beyond.asked.max(messages);
    }

    /// Forgets the read that is under way: what it brings is not wanted.
    pub(super) fn end_fetch(&mut self) {
        self.beyond.fetching = None;
    }

    pub(super) fn wake_waiting(&mut self) {
        self.beyond.asked = 0;
        self.beyond.waiting.drain(..).for_each(|waker| waker.wake());
    }

    /// What the queue needs from others; asked whenever its lock is about to be free.
    #[inline]
    pub(crate) fn errands(&mut self, around: &Around<'_, S>) -> Option<Errands> {
        self.account(around.hot);
        self.release_if_drained(around);
        if self.contents.cold() == 0 && self.contents.unexposed() == 0 { None } else { self.attend(around) }
    }

    /// The queue is gone: so is what it spilled.
    pub(crate) fn forget_spilled(&mut self, spill: &S::Spill) {
        if self.beyond.spilled_until.take().is_some() {
            spill.append(|gather| gather.settle(self.id.0, &[(0, u64::MAX)], SettleReason::QueueDeleted));
        }
    }

    /// Counts the memory that the queue takes now, and what it is about to read.
    pub(crate) fn account(&mut self, hot: &HotWindow) {
        let reading = self.beyond.fetching.as_ref().map_or(0, |terms| terms.most_bytes as u64);
        let now = self.contents.memory() + reading;
        hot.change(self.beyond.accounted, now);
        self.beyond.accounted = now;
    }

    fn attend(&mut self, around: &Around<'_, S>) -> Option<Errands> {
        if self.dead || around.queue.damage().is_some() {
            return None;
        }
        let errands = Errands { fetch: self.begin_fetch(around), exposes_until: self.begin_exposure(around) };
        (errands.fetch.is_some() || errands.exposes_until.is_some()).then_some(errands)
    }

    /// How many messages are to be in memory.
    fn needed(&self, around: &Around<'_, S>) -> usize {
        let mut needed = self.beyond.asked;
        if !self.consumers.is_empty() && around.hot.room() > 0 {
            needed = needed.max(READ_AHEAD);
        }
        let is_head_needed =
            self.consumers.ready() > 0 || self.contents.is_timed() || self.contents.is_over_limit();
        needed.max(usize::from(is_head_needed))
    }

    fn begin_fetch(&mut self, around: &Around<'_, S>) -> Option<FetchTerms> {
        if self.beyond.fetching.is_some() {
            return None;
        }
        let Want { level, first } = self.contents.want(self.needed(around))?;
        let newest = self.contents.next_seq().0.checked_sub(1)?;
        let committed = self.beyond.open_groups.iter().map(|(_, first)| *first).min();
        let last = committed.map_or(Some(newest), |first| first.checked_sub(1))?;
        if last < first.0 {
            return None;
        }
        // Without a consumer only the head matters: very many queues may want theirs at once, as after a start.
        let is_awaited = self.beyond.asked > 0 || !self.consumers.is_empty();
        let (least, most) = if is_awaited { (FETCH_BYTES_LEAST, FETCH_BYTES) } else { HEAD_FETCH_BYTES };
        let room = around.hot.room().clamp(least, most);
        let terms = FetchTerms {
            order_key: level.into(),
            first: first.0,
            last,
            most_messages: FETCH_MESSAGES,
            most_bytes: usize::try_from(room).unwrap_or(usize::MAX),
            log: self.durable.then_some(self.beyond.logged_until),
            spill: self.beyond.spilled_until,
        };
        self.beyond.fetching = Some(Box::new(terms));
        self.account(around.hot);
        Some(terms)
    }

    /// Logs that the next messages may be delivered, if somebody takes them. The position to wait for.
    fn begin_exposure(&mut self, around: &Around<'_, S>) -> Option<Position> {
        let is_awaited = self.beyond.asked > 0 || !self.consumers.is_empty();
        if self.beyond.is_exposing || !is_awaited || self.contents.unexposed() == 0 {
            return None;
        }
        if self.beyond.exposed_ahead >= EXPOSE_AHEAD / 2 && !self.contents.is_blocked() {
            return None;
        }
        let mut ranges = SeqRanges::default();
        self.contents.begin_exposure(usize::try_from(EXPOSE_AHEAD).unwrap_or(usize::MAX), &mut ranges);
        self.beyond.exposed_ahead = EXPOSE_AHEAD;
        if ranges.is_empty() {
            return None;
        }
        self.beyond.is_exposing = true;
        self.beyond.marked_seen = true;
        if is_planted(Plant::EarlyDelivery) {
            self.contents.end_exposure();
        }
        Some(around.log.append(|gather| gather.expose(self.id.0, ranges.as_slice())))
    }

    /// The Expose that was begun is durable.
    pub(crate) fn exposed(&mut self, around: &Around<'_, S>) {
        if self.dead {
            return;
        }
        self.beyond.is_exposing = false;
        self.contents.end_exposure();
        self.deliver(around);
        self.wake_waiting();
    }

    /// Takes in what was read, and goes on.
    ///
    /// # Errors
    /// [`Damage`], if a message is none.
    pub(crate) fn fetched(&mut self, around: &Around<'_, S>, fetched: Fetched) -> Result<(), Damage> {
        let Some(terms) = self.beyond.fetching.take() else { return Ok(()) };
        if self.dead {
            return Ok(());
        }
        let (messages, until) = fetched.merge(terms.last);
        let mut spilled = SeqRanges::default();
        for (message, is_spilled) in &messages {
            if self.load(message, *is_spilled)? && *is_spilled {
                spilled.push(QueueSeq(message.seq));
            }
        }
        if !spilled.is_empty() {
            // They are in memory now, and the spill may forget them.
            around
                .spill
                .append(|gather| gather.settle(self.id.0, spilled.as_slice(), SettleReason::Acknowledged));
        }
        let left = self.contents.end_load(u8::try_from(terms.order_key).unwrap_or(u8::MAX), until);
        if left.messages > 0 {
            tracing::warn!(
                vhost = %around.queue.vhost,
                queue = %around.queue.name,
                "{} messages were counted and are not there",
                left.messages
            );
        }
        self.make_room(around, None);
        self.drop_expired(around);
        self.deliver(around);
        self.arm(around);
        self.wake_waiting();
        Ok(())
    }

    fn load(&mut self, message: &RecoveredMessage, is_spilled: bool) -> Result<bool, Damage> {
        let Some((parsed, body_at)) = payload::split(&message.payload) else {
            let reason =
                format!("message {} of queue {} has lengths that do not fit", message.seq, message.queue);
            return Err(Damage { file: "log".into(), offset: 0, reason });
        };
        let large;
        let mut body = parsed.body;
        if body.len() > SMALL_BODY_BYTES {
            large = SharedBody::from(message.payload.slice(body_at..));
            body = Body::Large(&large);
        }
        let seq = QueueSeq(message.seq);
        let keep = self.kept(message, parsed.properties, is_spilled);
        Ok(self.contents.load(seq, &Message { body, ..parsed }, keep))
    }

    /// How a message that the log kept is kept in memory.
    fn kept(&self, message: &RecoveredMessage, properties: &[u8], is_spilled: bool) -> Keep {
        let is_seen = message.flags.contains(MessageFlags::SEEN);
        let annotated = message.flags.contains(ANNOTATED);
        // What comes from another quorum queue, where it was rejected, has been out before.
        let rejected =
            || annotated && self.contents.counts_deliveries() && Notes::read(properties).rejections > 0;
        Keep {
            logged: !is_spilled,
            // In this life a message that was delivered is never cold again.
            redelivered: (is_seen && message.seq < self.beyond.since.0) || rejected(),
            exposed: is_seen,
            annotated,
            level: u8::try_from(message.order_key).unwrap_or(u8::MAX),
            deadline_ms: (message.deadline_ms != 0).then_some(message.deadline_ms),
            delivery_count: u32::try_from(message.delivery_count).unwrap_or(u32::MAX),
        }
    }

    /// Ends the queue's work: its consumers, to be told. Its messages stay on disk.
    pub(crate) fn quarantine(&mut self) -> Vec<(ConsumerKey, Consumer<ConsumerHandle<S>>)> {
        self.wake_waiting();
        self.brake.release();
        self.consumers.drain().collect()
    }
}
