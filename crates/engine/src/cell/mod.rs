//! One queue under its lock: its contents, its consumers, and what the log hears of both.
//!
//! Publishing takes numbers, enters the log's buffer, then offers; settling applies, then logs. So in the log no
//! settlement precedes its message, and log order is apply order for each queue.

mod brake;
mod cold;
mod get;
mod give_up;
mod publish;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use leveret_core::BrokerError;
use leveret_core::admin::QueueStats;
use leveret_core::arguments::{Arguments, QueueSettings};
use leveret_core::dead_letter::Reason;
use leveret_core::deliveries::OriginId;
use leveret_core::ids::{ConnectionId, QueueId, QueueSeq};
use leveret_core::names::ConsumerTag;
use leveret_core::queue::{
    ColdCounts, Consumer, ConsumerKey, Consumers, Contents, Requeued, SeqRanges, Totals,
};
use leveret_storage::{GroupId, Position, SettleReason};

use crate::around::Around;
use crate::outbox::OutboxRef;
use crate::queue::Queue;
use crate::seams::{Log, Seams};

pub use get::Got;
pub(crate) use give_up::{GivenUp, settle_reason};
pub use publish::{Expiration, Incoming, Published, Purpose, Terms};

/// Where a consumer's deliveries go.
pub struct ConsumerHandle<S: Seams> {
    /// Its connection's outbox.
    pub outbox: OutboxRef<S>,
    /// Its channel.
    pub channel: u16,
    /// Its place among the channel's deliveries.
    pub origin: OriginId,
    /// Its tag.
    pub tag: ConsumerTag,
    /// Whether its deliveries need no ack.
    pub no_ack: bool,
    /// What lists show of it.
    pub details: Arc<ConsumerDetails>,
}

/// What lists show of a consumer.
#[derive(Clone, Debug)]
pub struct ConsumerDetails {
    /// Its connection.
    pub connection: ConnectionId,
    /// Its prefetch; 0 is unlimited.
    pub prefetch: u32,
    /// The arguments of basic.consume.
    pub arguments: Arguments,
}

impl<S: Seams> Clone for ConsumerHandle<S> {
    fn clone(&self) -> Self {
        Self {
            outbox: self.outbox.clone(),
            channel: self.channel,
            origin: self.origin,
            tag: self.tag.clone(),
            no_ack: self.no_ack,
            details: Arc::clone(&self.details),
        }
    }
}

/// How settled messages leave the unacked ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged: gone.
    Acked,
    /// Rejected without requeue: gone, for another reason.
    Rejected,
    /// Back to their place, marked redelivered.
    Requeued,
}

/// One queue's state.
pub struct QueueCell<S: Seams> {
    id: QueueId,
    durable: bool,
    all_persistent: bool,
    pub(crate) contents: Contents,
    pub(crate) consumers: Consumers<ConsumerHandle<S>>,
    pub(crate) stats: QueueStats,
    /// Where the log last heard of messages leaving.
    last_settlement: Position,
    /// Set when the queue is deleted: what still comes in is dropped.
    dead: bool,
    /// What waits to be dead-lettered, in order.
    given_up: VecDeque<GivenUp>,
    /// Somebody moves `given_up`, one at a time.
    is_being_moved: bool,
    /// When the queue's timer calls, in milliseconds of the steady clock.
    called_at: Option<u64>,
    /// Until when the queue may be unused (x-expires).
    lease_ms: Option<u64>,
    /// How many messages waited there in this life, and how many of them are moved.
    gave_up: u64,
    moved: u64,
    /// What is moved just now: the log counts it as here until that is logged.
    moving: Vec<QueueSeq>,
    pub(crate) beyond: cold::Beyond<S>,
    brake: brake::Brake<S>,
}

impl<S: Seams> QueueCell<S> {
    /// An empty queue.
    #[must_use]
    pub fn new(id: QueueId, durable: bool, settings: &QueueSettings) -> Self {
        Self {
            id,
            durable,
            all_persistent: settings.is_all_persistent(),
            contents: Contents::new(settings),
            consumers: Consumers::new(settings),
            stats: QueueStats::default(),
            last_settlement: Position(0),
            dead: false,
            given_up: VecDeque::new(),
            is_being_moved: false,
            called_at: None,
            lease_ms: None,
            gave_up: 0,
            moved: 0,
            moving: Vec::new(),
            beyond: cold::Beyond::default(),
            brake: brake::Brake::default(),
        }
    }

    /// Adds a consumer; [`QueueCell::resume`] lets it take what is ready.
    ///
    /// # Errors
    /// 404 if the queue was deleted meanwhile; 403 if it or another consumer wants the queue for itself.
    pub fn add_consumer(
        &mut self,
        queue: &Queue<S>,
        key: ConsumerKey,
        handle: ConsumerHandle<S>,
        terms: ConsumerTerms,
    ) -> Result<(), BrokerError> {
        let Queue { name, vhost, .. } = queue;
        if self.dead {
            return Err(BrokerError::not_found(format!("no queue '{name}' in vhost '{vhost}'")));
        }
        if !self.consumers.admits(terms.exclusive) {
            let text = format!("queue '{name}' in vhost '{vhost}' in exclusive use");
            return Err(BrokerError::access_refused(text));
        }
        self.consumers.add(key, handle, terms.priority, terms.exclusive);
        Ok(())
    }

    /// A consumer has room again.
    pub fn resume(&mut self, around: &Around<'_, S>, key: ConsumerKey) {
        self.consumers.unpark(key);
        self.deliver(around);
    }

    /// Ends a consumer. True if none is left.
    pub fn cancel(&mut self, around: &Around<'_, S>, key: ConsumerKey) -> bool {
        // A delivery may have found it gone, and removed it, before this.
        self.consumers.remove(key);
        if self.consumers.is_empty() {
            self.renew_lease(around);
        } else if self.consumers.is_single_active() {
            // Another one may be the active one now.
            self.deliver(around);
        }
        self.consumers.is_empty()
    }

    /// Settles or returns unacked messages, and makes `resumed` ready again.
    pub fn settle(
        &mut self,
        around: &Around<'_, S>,
        group: Option<GroupId>,
        runs: &[(QueueSeq, QueueSeq, Outcome)],
        resumed: &[ConsumerKey],
    ) {
        let mut acked = SeqRanges::default();
        let mut rejected = SeqRanges::default();
        let mut returned = Returned::default();
        let keeps_rejected = around.queue.settings.dead_letter_exchange.is_some();
        for &(first, last, outcome) in runs {
            if outcome == Outcome::Acked {
                self.stats.acked += last.0 - first.0 + 1;
            }
            for seq in (first.0..=last.0).map(QueueSeq) {
                match outcome {
                    Outcome::Requeued => self.requeue(around, seq, &mut returned),
                    Outcome::Acked if self.contents.settle(seq) => acked.push(seq),
                    Outcome::Rejected if keeps_rejected => {
                        if let Some(entry) = self.contents.withdraw(seq) {
                            self.give_up(around, &entry, Reason::Rejected, &mut rejected);
                        }
                    }
                    Outcome::Rejected if self.contents.settle(seq) => rejected.push(seq),
                    Outcome::Acked | Outcome::Rejected => {}
                }
            }
        }
        self.log_settled(around.log, group, &acked, SettleReason::Acknowledged);
        self.log_settled(around.log, group, &rejected, SettleReason::Rejected);
        self.log_returned(around.log, group, &returned);
        if returned.any {
            self.make_room(around, None);
            self.drop_expired(around);
        }
        for key in resumed {
            self.consumers.unpark(*key);
        }
        self.deliver(around);
    }

    fn requeue(&mut self, around: &Around<'_, S>, seq: QueueSeq, returned: &mut Returned) {
        match self.contents.requeue(seq) {
            Requeued::Back(count) => {
                returned.any = true;
                if let Some(count) = count {
                    returned.counted.entry(count).or_default().push(seq);
                }
            }
            Requeued::OverLimit(entry) => {
                self.give_up(around, &entry, Reason::DeliveryLimit, &mut returned.dropped);
            }
            Requeued::Unknown => {}
        }
    }

    fn log_returned(&mut self, log: &S::Log, group: Option<GroupId>, returned: &Returned) {
        self.log_settled(log, group, &returned.dropped, SettleReason::DeliveryLimit);
        if returned.counted.is_empty() || self.dead {
            return;
        }
        log.append(|gather| {
            for (count, ranges) in &returned.counted {
                if let Some(group) = group {
                    gather.within(group);
                }
                gather.returned(self.id.0, ranges.as_slice(), u64::from(*count));
            }
        });
    }

    pub(crate) fn log_settled(
        &mut self,
        log: &S::Log,
        group: Option<GroupId>,
        ranges: &SeqRanges,
        reason: SettleReason,
    ) -> Position {
        if ranges.is_empty() || self.dead {
            return Position(0);
        }
        let position = log.append(|gather| {
            if let Some(group) = group {
                gather.within(group);
            }
            gather.settle(self.id.0, ranges.as_slice(), reason)
        });
        self.last_settlement = position;
        position
    }

    /// Drops all ready messages; their number, and the log position of it. Of an empty queue too: what emptied it
    /// may still wait for its sync.
    pub fn purge(&mut self, around: &Around<'_, S>) -> (u64, Position) {
        let kept = self.leaving();
        let was_cold = self.contents.cold() > 0;
        let mut settled = SeqRanges::default();
        let count = self.contents.purge(&kept, &mut settled);
        if self.durable {
            self.log_settled(around.log, None, &settled, SettleReason::Purged);
        }
        if was_cold && self.beyond.spilled_until.is_some() && !settled.is_empty() {
            around.spill.append(|gather| gather.settle(self.id.0, settled.as_slice(), SettleReason::Purged));
        }
        (count, self.last_settlement)
    }

    /// What was taken to be dead-lettered and stands in the log as here, by rising numbers.
    fn leaving(&self) -> Vec<QueueSeq> {
        let given_up = self.given_up.iter().filter_map(|given_up| given_up.logged);
        let mut kept: Vec<QueueSeq> = given_up.chain(self.moving.iter().copied()).collect();
        kept.sort_unstable();
        kept
    }

    /// Ends the queue.
    pub fn kill(&mut self) -> Remains<S> {
        self.dead = true;
        self.brake.release();
        self.end_fetch();
        self.wake_waiting();
        Remains {
            stats: self.stats,
            consumers: self.consumers.drain().collect(),
            contents: std::mem::take(&mut self.contents),
            called_at: self.called_at.take(),
        }
    }

    /// Whether it was deleted.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// Counts and bytes.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.contents.totals()
    }

    /// What happened in it since the start.
    #[must_use]
    pub fn stats(&self) -> QueueStats {
        self.stats
    }

    /// How many consumers it has.
    #[must_use]
    pub fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// Its consumers.
    #[must_use]
    pub fn consumers(&self) -> &Consumers<ConsumerHandle<S>> {
        &self.consumers
    }

    /// Takes what the log says of a queue that was just made: the highest number ever given, and how many messages each
    /// level has. None of them is in memory.
    pub fn restore(&mut self, last: QueueSeq, lines: &[(u8, ColdCounts)]) {
        self.contents.reserve_until(QueueSeq(last.0.saturating_add(1)));
        self.beyond.since = self.contents.next_seq();
        for (level, counts) in lines {
            self.contents.restore_cold(*level, *counts);
        }
    }

    /// The start of service: what fell due while nobody served goes, and the queue's lease begins anew, as RabbitMQ's
    /// does.
    pub(crate) fn begin(&mut self, around: &Around<'_, S>) {
        self.make_room(around, None);
        self.renew_lease(around);
        self.drop_expired(around);
        self.arm(around);
    }

    /// The queue's timer called. True if nobody has used the queue for as long as it may be unused.
    pub(crate) fn tick(&mut self, around: &Around<'_, S>) -> bool {
        self.called_at = None;
        self.drop_expired(around);
        self.arm(around);
        self.look_at_held(around);
        self.is_lease_over(around)
    }

    /// Whether the queue has been unused for as long as it may be.
    pub(crate) fn is_lease_over(&self, around: &Around<'_, S>) -> bool {
        !self.dead
            && self.consumers.is_empty()
            && self.lease_ms.is_some_and(|lease_ms| lease_ms <= around.now_ms())
    }

    /// The queue was used: declared, got from, or left by its last consumer.
    pub(crate) fn renew_lease(&mut self, around: &Around<'_, S>) {
        if let Some(expires_ms) = around.queue.settings.expires_ms {
            self.lease_ms = Some(around.now_ms().saturating_add(expires_ms));
            self.arm(around);
        }
    }

    /// Gives up what has expired by now.
    pub(crate) fn drop_expired(&mut self, around: &Around<'_, S>) {
        if self.contents.is_timed() {
            self.expire(around, around.now_ms());
        }
    }

    /// Sees to it that the timer calls when the next thing falls due.
    pub(crate) fn arm(&mut self, around: &Around<'_, S>) {
        // With all that may wait given up already, expiry goes on when that is moved.
        let expires = self.contents.is_timed() && self.given_up.len() < give_up::GIVEN_UP_MOST;
        let expiry = if expires { self.contents.next_deadline_ms() } else { None };
        let lease = self.lease_ms.filter(|_| self.consumers.is_empty());
        let Some(next) = expiry.into_iter().chain(lease).min() else { return };
        self.call_by(around, next);
    }

    /// Asks the timer for a call at `deadline_ms`, unless it calls earlier anyway.
    fn call_by(&mut self, around: &Around<'_, S>, deadline_ms: u64) {
        if !self.dead && self.called_at.is_none_or(|called_at| deadline_ms < called_at) {
            around.call_at(deadline_ms, self.called_at.replace(deadline_ms));
        }
    }

    /// Takes back what the log has as seen and what was never delivered, at a clean stop.
    pub fn log_delivered(&self, log: &S::Log) {
        if !self.durable || self.dead || !self.beyond.marked_seen {
            return;
        }
        let mut never = SeqRanges::default();
        self.contents.undelivered(self.beyond.since, &self.leaving(), &mut never);
        if !never.is_empty() {
            log.append(|gather| gather.unexpose(self.id.0, never.as_slice()));
        }
    }
}

/// What a deleted queue leaves.
pub struct Remains<S: Seams> {
    /// Its consumers, for their connections to be told.
    pub consumers: Vec<(ConsumerKey, Consumer<ConsumerHandle<S>>)>,
    /// Its messages, maybe millions: to be dropped once no lock is held.
    pub contents: Contents,
    /// Its place among the timers.
    pub(crate) called_at: Option<u64>,
    /// What happened in it.
    pub(crate) stats: QueueStats,
}

/// How a consumer takes part in its queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsumerTerms {
    /// Higher ones are served first while they have credit.
    pub priority: i32,
    /// It refuses to share the queue.
    pub exclusive: bool,
}

/// What requeueing came to.
#[derive(Default)]
struct Returned {
    /// Some message is ready again.
    any: bool,
    /// Which messages have come back how often, where that is counted.
    counted: BTreeMap<u32, SeqRanges>,
    /// Those that came back too often, with nowhere to go.
    dropped: SeqRanges,
}
