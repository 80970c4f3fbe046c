//! tx: publishes and acks wait, and become one group of the log at commit.
//!
//! RabbitMQ's commit is not atomic over a crash; here all records of one commit count at recovery, or none.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use leveret_core::BrokerError;
use leveret_core::ids::DeliveryTag;
use leveret_protocol::constants::class_id;
use leveret_storage::Position;

use super::acks::AckOp;
use super::content::Receiving;
use super::publish::Item;
use super::{Failure, Session, SessionChannel};
use crate::seams::{Log, Seams};

/// What waits for tx.commit.
pub(super) struct Transaction<S: Seams> {
    items: Vec<Item<S>>,
    /// The bytes that the items' spans lie in, one for each.
    heads: Vec<Bytes>,
    acks: Vec<AckOp>,
    /// The tags in `acks` that were acked alone, and the highest up to which all were.
    acked_singly: BTreeSet<DeliveryTag>,
    acked_until: Option<DeliveryTag>,
    /// The bytes of the publishes, counted with all other unfinished messages.
    pub(super) held: Option<Receiving>,
}

impl<S: Seams> Default for Transaction<S> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            heads: Vec::new(),
            acks: Vec::new(),
            acked_singly: BTreeSet::new(),
            acked_until: None,
            held: None,
        }
    }
}

impl<S: Seams> Transaction<S> {
    /// A publish that was checked and routed.
    pub(super) fn add(&mut self, mut item: Item<S>, head: Bytes) {
        item.set_source(u32::try_from(self.heads.len()).unwrap_or(u32::MAX));
        self.items.push(item);
        self.heads.push(head);
    }

    /// Whether deliveries were acked in it.
    pub(super) fn has_acks(&self) -> bool {
        !self.acks.is_empty()
    }

    /// Those of the outstanding deliveries that were not acked in it.
    pub(super) fn not_acked(&self, outstanding: impl Iterator<Item = DeliveryTag>) -> Vec<DeliveryTag> {
        outstanding.filter(|tag| Some(*tag) > self.acked_until && !self.acked_singly.contains(tag)).collect()
    }

    /// Adds an ack, unless it names what an earlier one took.
    fn ack(&mut self, op: AckOp) -> bool {
        if self.acked_singly.contains(&op.tag) || (!op.multiple && Some(op.tag) <= self.acked_until) {
            return false;
        }
        if op.multiple {
            self.acked_until = self.acked_until.max(Some(op.tag));
        } else {
            self.acked_singly.insert(op.tag);
        }
        self.acks.push(op);
        true
    }

    /// How many publishes wait.
    pub(super) fn publishes(&self) -> usize {
        self.items.len()
    }
}

impl<S: Seams> Session<S> {
    /// An ack on a transactional channel: checked now, applied at commit. Tag 0 means what is outstanding now.
    pub(super) fn transaction_ack(&mut self, mut op: AckOp) -> Result<(), Failure> {
        let unknown = |tag: DeliveryTag| {
            let error = BrokerError::precondition_failed(format!("unknown delivery tag {tag}"));
            Failure::new(error, op.channel, (class_id::BASIC, op.method_id))
        };
        let (outstanding, newest) = self.outbox.with(|outbox| match outbox.channels.get(&op.channel) {
            Some(deliveries) => (deliveries.is_outstanding(op.tag, op.multiple), deliveries.newest()),
            None => (false, None),
        });
        if op.multiple && op.tag.0 == 0 {
            let Some(newest) = newest else { return Ok(()) };
            op.tag = newest;
        }
        let Some(channel) = self.channels.get_mut(&op.channel) else { return Err(unknown(op.tag)) };
        if !outstanding || !channel.transaction.ack(op) {
            return Err(unknown(op.tag));
        }
        let waiting = channel.transaction.acks.len() as u64;
        channel.counters.acks_uncommitted.store(waiting, Ordering::Relaxed);
        Ok(())
    }

    /// tx.commit, and its answer.
    ///
    /// # Errors
    /// 406 if a queue refused a message, as RabbitMQ says it; all else is done then.
    pub(super) fn commit(&mut self, number: u16) -> Result<(), BrokerError> {
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        let Transaction { mut items, heads, acks, held, .. } = channel.take_transaction();
        if items.is_empty() && acks.is_empty() {
            self.commit_ok(number, Position(0));
            return Ok(());
        }
        let group = self.broker.log.append(|gather| gather.begin_group());
        let awaiting = self.publish_prepared(&mut items, &heads, Some(group));
        drop(held);
        for op in acks {
            // Checked when it came; what a queue's deletion took meanwhile is gone anyway.
            _ = self.collect_ack(op);
        }
        let rejecting = self.settle_collected(Some(group));
        let position = self.broker.log.append(|gather| gather.commit_group(group));
        self.claimed.extend(self.broker.end_group(group, position, awaiting));
        self.move_given_up();
        self.wait_for_consumers();
        if items.iter().any(Item::is_refused) {
            return Err(BrokerError::precondition_failed("partial tx completion"));
        }
        // A rejected message leaves its queue with its move, whoever makes it: commit-ok waits for that too.
        if rejecting.is_empty() {
            self.commit_ok(number, position);
        } else {
            self.commit_later(number, rejecting);
        }
        Ok(())
    }

    /// tx.rollback: what waited is forgotten; the messages acked in it are unacked still.
    pub(super) fn roll_back(&mut self, number: u16) {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.take_transaction();
        }
    }
}

impl<S: Seams> SessionChannel<S> {
    fn take_transaction(&mut self) -> Transaction<S> {
        self.counters.uncommitted.store(0, Ordering::Relaxed);
        self.counters.acks_uncommitted.store(0, Ordering::Relaxed);
        std::mem::take(&mut self.transaction)
    }
}
