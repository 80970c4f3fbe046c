//! basic.ack, nack and reject: whole runs at once, one lock of the outbox and one of each queue for all of them.

use leveret_core::BrokerError;
use leveret_core::deliveries::{Settled, UnknownTag};
use leveret_core::ids::{DeliveryTag, QueueSeq};
use leveret_core::queue::ConsumerKey;
use leveret_protocol::constants::{basic_method_id, class_id};
use leveret_protocol::frame::{FrameKind, parse_frame};
use leveret_protocol::method::{Method, decode_method};
use leveret_storage::GroupId;

use super::{Failure, Session};
use crate::cell::Outcome;
use crate::queue::QueueRef;
use crate::seams::Seams;

/// One basic.ack, nack or reject.
#[derive(Clone, Copy, Debug)]
pub(super) struct AckOp {
    pub(super) channel: u16,
    pub(super) tag: DeliveryTag,
    pub(super) multiple: bool,
    pub(super) outcome: Outcome,
    pub(super) method_id: u16,
}

impl AckOp {
    fn new(channel: u16, method: &Method<'_>) -> Option<Self> {
        let returned = |requeue| if requeue { Outcome::Requeued } else { Outcome::Rejected };
        let (tag, multiple, outcome, method_id) = match method {
            Method::Ack(m) => (m.delivery_tag, m.multiple, Outcome::Acked, basic_method_id::ACK),
            Method::Nack(m) => (m.delivery_tag, m.multiple, returned(m.requeue), basic_method_id::NACK),
            Method::Reject(m) => (m.delivery_tag, false, returned(m.requeue), basic_method_id::REJECT),
            _ => return None,
        };
        Some(Self { channel, tag: DeliveryTag(tag), multiple, outcome, method_id })
    }
}

/// A run of settlements of one queue, built up over a batch.
struct Share<S: Seams> {
    queue: QueueRef<S>,
    runs: Vec<(QueueSeq, QueueSeq, Outcome)>,
    resumed: Vec<ConsumerKey>,
}

/// The acks of one read, and what they come to for each queue; kept to be filled again.
pub(super) struct AckBatch<S: Seams> {
    ops: Vec<AckOp>,
    settled: Vec<Settled>,
    unparked: Vec<(QueueRef<S>, ConsumerKey)>,
    shares: Vec<Share<S>>,
}

impl<S: Seams> Default for AckBatch<S> {
    fn default() -> Self {
        Self { ops: Vec::new(), settled: Vec::new(), unparked: Vec::new(), shares: Vec::new() }
    }
}

impl<S: Seams> AckBatch<S> {
    fn share(&mut self, queue: &QueueRef<S>) -> &mut Share<S> {
        let at = match self.shares.iter().rposition(|share| share.queue == *queue) {
            Some(at) => at,
            None => {
                self.shares.push(Share { queue: queue.clone(), runs: Vec::new(), resumed: Vec::new() });
                self.shares.len() - 1
            }
        };
        &mut self.shares[at]
    }
}

impl<S: Seams> Session<S> {
    /// Collects the acks at the start of the input; the bytes they take, or None if there is none.
    pub(super) fn scan_acks(&mut self, buf: &[u8]) -> Option<usize> {
        self.acks.ops.clear();
        let mut at = 0;
        while let Some((op, used)) = next_ack(buf.get(at..).unwrap_or_default(), self.connection.frame_max())
        {
            let usable = self.channels.get(&op.channel).is_some_and(|channel| {
                !channel.core.closing && !channel.core.is_transactional() && !channel.content.is_open()
            });
            if !usable {
                break;
            }
            self.acks.ops.push(op);
            at += used;
        }
        (at > 0).then_some(at)
    }

    /// Applies the scanned acks in order, up to the first that is refused.
    pub(super) fn apply_acks(&mut self) -> Result<(), Failure> {
        let ops = std::mem::take(&mut self.acks.ops);
        let mut result = Ok(());
        for (at, op) in ops.iter().enumerate() {
            // A refused ack closes its channel; later ones on that channel find it closing and are dropped.
            if self.channels.get(&op.channel).is_none_or(|channel| channel.core.closing) {
                continue;
            }
            if let Err(failure) = self.collect_ack(*op) {
                self.settle_collected(None);
                if at + 1 == ops.len() {
                    result = Err(failure);
                } else {
                    self.channel_failure(&failure);
                }
            }
        }
        self.settle_collected(None);
        self.acks.ops = ops;
        result
    }

    /// Takes an ack out of its channel's deliveries; [`Session::settle_collected`] tells the queues.
    pub(super) fn collect_ack(&mut self, op: AckOp) -> Result<(), Failure> {
        let batch = &mut self.acks;
        let channel = op.channel;
        let result = self.outbox.with(|outbox| {
            let deliveries = outbox.channels.get_mut(&channel).ok_or(UnknownTag(op.tag))?;
            batch.settled.clear();
            deliveries.settle(op.tag, op.multiple, &mut batch.settled)?;
            let settled = std::mem::take(&mut batch.settled);
            for run in &settled {
                if let Some(queue) = deliveries.queue(run.origin) {
                    batch.share(queue).runs.push((run.first, run.last, op.outcome));
                }
            }
            deliveries.forget_finished(&settled);
            batch.settled = settled;
            deliveries.take_unparked(&mut batch.unparked);
            Ok(())
        });
        let mut unparked = std::mem::take(&mut self.acks.unparked);
        for (queue, key) in unparked.drain(..) {
            self.acks.share(&queue).resumed.push(key);
        }
        self.acks.unparked = unparked;
        result.map_err(|UnknownTag(tag)| {
            let error = BrokerError::precondition_failed(format!("unknown delivery tag {tag}"));
            Failure::new(error, channel, (class_id::BASIC, op.method_id))
        })
    }

    /// Tells the queues what was collected. What they give up is moved behind the last of them, and, within a group,
    /// not before [`Session::move_given_up`]: these are the queues that did so then, with how much each has given up.
    pub(super) fn settle_collected(&mut self, group: Option<GroupId>) -> Vec<(QueueRef<S>, u64)> {
        let mut rejecting = Vec::new();
        for share in self.acks.shares.drain(..) {
            let queue = &share.queue;
            let (gave_up, claimed) = self.broker.visit(queue, |cell, around| {
                let before = cell.gave_up();
                cell.settle(around, group, &share.runs, &share.resumed);
                (cell.gave_up() > before).then_some(cell.gave_up())
            });
            if let (Some(gave_up), Some(_)) = (gave_up, group) {
                rejecting.push((queue.clone(), gave_up));
            }
            if claimed {
                self.claimed.push(share.queue);
            }
        }
        if group.is_none() {
            self.move_given_up();
        }
        rejecting
    }

    /// Moves what queues gave up in this session's hands.
    pub(super) fn move_given_up(&mut self) {
        for queue in self.claimed.drain(..) {
            self.broker.dead_letter(queue);
        }
    }

    /// One ack that came outside a run: on a transactional channel, or a closing one.
    pub(super) fn single_ack(&mut self, channel: u16, method: &Method<'_>) -> Result<(), Failure> {
        let Some(op) = AckOp::new(channel, method) else { return Ok(()) };
        if self.channels.get(&channel).is_some_and(|c| c.core.is_transactional()) {
            return self.transaction_ack(op);
        }
        self.acks.ops.push(op);
        self.apply_acks()
    }

    /// basic.recover: everything unacked returns to its place, but what a transaction has acked.
    pub(super) fn requeue_unacked(&mut self, channel: u16) {
        let requeue = |tag, multiple| AckOp {
            channel,
            tag,
            multiple,
            outcome: Outcome::Requeued,
            method_id: basic_method_id::NACK,
        };
        let state = self.channels.get(&channel);
        match state.map(|state| &state.transaction).filter(|transaction| transaction.has_acks()) {
            None => {
                // Tag 0 with multiple is never unknown.
                _ = self.collect_ack(requeue(DeliveryTag(0), true));
            }
            Some(transaction) => {
                let returned: Vec<DeliveryTag> = self.outbox.with(|outbox| {
                    let deliveries = outbox.channels.get(&channel).into_iter();
                    let tags = deliveries.flat_map(leveret_core::deliveries::Deliveries::outstanding);
                    transaction.not_acked(tags)
                });
                for tag in returned {
                    // It was outstanding a moment ago, and nobody else settles it.
                    _ = self.collect_ack(requeue(tag, false));
                }
            }
        }
        self.settle_collected(None);
    }
}

fn next_ack(buf: &[u8], frame_max: u32) -> Option<(AckOp, usize)> {
    const CLASS_BASIC: [u8; 2] = class_id::BASIC.to_be_bytes();
    // Damaged frames are left to the general path, which reports them.
    let (frame, used) = parse_frame(buf, frame_max).ok()??;
    if frame.kind != FrameKind::Method || frame.channel == 0 || !frame.payload.starts_with(&CLASS_BASIC) {
        return None;
    }
    let method_id = u16::from_be_bytes([*frame.payload.get(2)?, *frame.payload.get(3)?]);
    if !matches!(method_id, basic_method_id::ACK | basic_method_id::NACK | basic_method_id::REJECT) {
        return None;
    }
    let method = decode_method(frame.payload).ok()?;
    Some((AckOp::new(frame.channel, &method)?, used))
}
