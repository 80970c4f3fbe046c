//! Dead-lettering: what queues gave up goes to their dead-letter exchanges, with no queue locked meanwhile.
//!
//! A message and its settlement in the old queue, its entries in the new ones: all are one group of the log. So after a
//! crash it is in its old place or in its new ones, never in both or in none. A target that is full may give something
//! up in turn; that queue joins the work list, in which each queue stands once. A target that refuses the message and
//! dead-letters it (`reject-publish-dlx`) is a stop on the way, within the same group.
//!
//! One at a time moves what a queue gave up, so it arrives in order. Cycles end by RabbitMQ's rule
//! (`DeadLetter::is_cycle`): no message comes by itself to a queue where it was. While too much waits for the log the
//! rest stays where it is, and the queue's timer goes on with it.

use std::collections::VecDeque;

use leveret_core::arguments::Overflow;
use leveret_core::dead_letter::{DeadLetter, Reason, Source};
use leveret_core::ids::QueueSeq;
use leveret_core::message::{Body, Message};
use leveret_core::queue::SeqRanges;
use leveret_protocol::properties::PropertyView;
use leveret_routing::{Publication, Routes};
use leveret_storage::{BodyRef, GroupId, Payload, Position};

use crate::around::Around;
use crate::broker::Broker;
use crate::cell::{Expiration, GivenUp, Incoming, Purpose, QueueCell, Terms, settle_reason};
use crate::payload::{Lengths, body_len};
use crate::queue::QueueRef;
use crate::seams::{Log, Registry, Seams, SharedRw};

/// So many messages go within one group of the log.
const BATCH: usize = 256;

/// Queues whose given up messages this thread has claimed.
type WorkList<S> = VecDeque<QueueRef<S>>;

impl<S: Seams> Broker<S> {
    /// Runs a closure on a queue's cell, then moves what the cell gave up. The caller holds no lock.
    pub fn work<R>(
        &self,
        queue: &QueueRef<S>,
        run: impl FnOnce(&mut QueueCell<S>, &Around<'_, S>) -> R,
    ) -> R {
        let (result, claimed) = self.visit(queue, run);
        if claimed {
            self.dead_letter(queue.clone());
        }
        result
    }

    /// Runs a closure on a queue's cell. With true the caller owes it [`Broker::dead_letter`].
    pub(crate) fn visit<R>(
        &self,
        queue: &QueueRef<S>,
        run: impl FnOnce(&mut QueueCell<S>, &Around<'_, S>) -> R,
    ) -> (R, bool) {
        let around = self.around(queue);
        let (result, errands, claimed) = queue.with(|cell| {
            let result = run(cell, &around);
            (result, cell.errands(&around), cell.claim_given_up())
        });
        if let Some(errands) = errands {
            self.run_errands(queue, errands);
        }
        (result, claimed)
    }

    /// Moves what a queue gave up, and what that makes other queues give up. The caller claimed it and holds no lock.
    pub(crate) fn dead_letter(&self, first: QueueRef<S>) {
        let mut work = WorkList::from([first]);
        while let Some(queue) = work.pop_front() {
            loop {
                let around = self.around(&queue);
                let is_behind = self.log.backlog_bytes() >= self.settings.log_backlog_bytes;
                let batch = queue.with(|cell| {
                    if is_behind { cell.pause_moving(&around) } else { cell.take_given_up(&around, BATCH) }
                });
                if batch.is_empty() {
                    break;
                }
                self.move_batch(&queue, &batch, &mut work);
            }
        }
    }

    fn move_batch(&self, source: &QueueRef<S>, batch: &[GivenUp], work: &mut WorkList<S>) {
        let any_logged = batch.iter().any(|given_up| given_up.logged.is_some());
        let group = any_logged.then(|| self.log.append(|gather| gather.begin_group()));
        let mut mover = Mover { broker: self, group, work, routes: Routes::new(), awaiting: Vec::new() };
        for given_up in batch {
            mover.send(source, given_up);
        }
        let awaiting = mover.awaiting;
        let Some(group) = group else { return };
        source.with(|cell| {
            for reason in [Reason::Rejected, Reason::Expired, Reason::MaxLength, Reason::DeliveryLimit] {
                let of_reason = batch.iter().filter(|given_up| given_up.reason == reason);
                let mut settled = SeqRanges::default();
                of_reason.filter_map(|given_up| given_up.logged).for_each(|seq: QueueSeq| settled.push(seq));
                cell.log_settled(&self.log, Some(group), &settled, settle_reason(reason));
            }
        });
        let position = self.log.append(|gather| gather.commit_group(group));
        work.extend(self.end_group(group, position, awaiting));
    }

    /// Tells queues with cold messages of a group that it is committed. The caller owes those that it gets
    /// [`Broker::dead_letter`].
    pub(crate) fn end_group(
        &self,
        group: GroupId,
        position: Position,
        mut queues: Vec<QueueRef<S>>,
    ) -> Vec<QueueRef<S>> {
        queues.retain(|queue| self.visit(queue, |cell, _| cell.end_group(group, position)).1);
        queues
    }
}

/// Sends the messages of one group on their way.
struct Mover<'a, S: Seams> {
    broker: &'a Broker<S>,
    group: Option<GroupId>,
    work: &'a mut WorkList<S>,
    routes: Routes,
    /// Queues that hear of the group's end.
    awaiting: Vec<QueueRef<S>>,
}

impl<S: Seams> Mover<'_, S> {
    /// Publishes one message to where its queue's dead letters go, and on from every queue there that refuses it.
    fn send(&mut self, source: &QueueRef<S>, given_up: &GivenUp) {
        let mut refused = VecDeque::new();
        let message = given_up.message();
        self.publish(source, &message, given_up.annotated, given_up.reason, &mut refused);
        while let Some((by, letter)) = refused.pop_front() {
            let stored = letter.notes.behind(&letter.properties);
            let message = Message {
                exchange: &letter.exchange,
                routing_key: &letter.routing_key,
                properties: &stored,
                body: message.body,
            };
            self.publish(&by, &message, true, Reason::MaxLength, &mut refused);
        }
    }

    fn publish(
        &mut self,
        source: &QueueRef<S>,
        message: &Message<'_>,
        annotated: bool,
        reason: Reason,
        refused: &mut VecDeque<(QueueRef<S>, DeadLetter)>,
    ) {
        let settings = &source.settings;
        let Some(exchange) = &settings.dead_letter_exchange else { return };
        let letters_go = Source {
            queue: &source.name,
            exchange,
            routing_key: settings.dead_letter_routing_key.as_deref(),
            counts: source.all_persistent,
        };
        let time = (self.broker.clock.of_day)();
        let letter = DeadLetter::new(message, annotated, &letters_go, reason, time);
        let targets = self.targets(source, &letter);
        let stored = letter.notes.behind(&letter.properties);
        let dead = Message {
            exchange: &letter.exchange,
            routing_key: &letter.routing_key,
            properties: &stored,
            body: message.body,
        };
        let terms = terms(&letter);
        let shared_body = self.share_body(&targets, &dead, terms);
        for target in targets {
            let purpose = Purpose { group: self.group, is_move: true };
            let incoming = std::iter::once(Incoming { message: dead, terms, shared_body });
            let (published, claimed) =
                self.broker.visit(&target, |cell, around| cell.publish(around, purpose, incoming));
            if claimed {
                self.work.push_back(target.clone());
            }
            if published.awaits_group && !self.awaiting.contains(&target) {
                self.awaiting.push(target.clone());
            }
            let goes_on = target.settings.overflow() == Overflow::RejectPublishDlx;
            if !published.refused.is_empty() && goes_on {
                refused.push_back((target, letter.clone()));
            }
        }
        if let Some(body) = shared_body {
            self.broker.log.append(|gather| gather.end_body(body));
        }
    }

    /// The queues that a dead letter reaches. None if its exchange is gone: RabbitMQ drops it then.
    fn targets(&mut self, source: &QueueRef<S>, letter: &DeadLetter) -> Vec<QueueRef<S>> {
        let Some(vhost) = self.broker.vhosts.find(&source.vhost) else { return Vec::new() };
        let view = PropertyView::parse_kept(&letter.properties).ok();
        let extra_keys: Vec<&[u8]> = letter.notes.extra_keys.iter().map(|key| &**key).collect();
        let publication = Publication {
            routing_key: &letter.routing_key,
            extra_keys: &extra_keys,
            headers: view.and_then(|view| view.headers_table()),
        };
        let routes = &mut self.routes;
        let mut targets: Vec<QueueRef<S>> = vhost.topology.read(|topology| {
            let name = std::str::from_utf8(&letter.exchange).ok();
            let Some(key) = name.and_then(|name| topology.exchange(name).map(|exchange| exchange.key)) else {
                return Vec::new();
            };
            topology.route(key, &publication, routes);
            routes.queues().iter().filter_map(|key| vhost.queue_by_id((*key).into())).collect()
        });
        targets.retain(|target| {
            let is_cycle = letter.is_cycle(&target.name);
            if is_cycle {
                tracing::debug!(
                    vhost = %source.vhost,
                    queue = %target.name,
                    "a dead letter came round without being rejected by a client and is dropped"
                );
            }
            !is_cycle
        });
        targets
    }

    /// Writes a body that several queues will log once.
    fn share_body(&self, targets: &[QueueRef<S>], message: &Message<'_>, terms: Terms) -> Option<BodyRef> {
        let keeps = |queue: &&QueueRef<S>| queue.durable && (terms.persistent || queue.all_persistent);
        if targets.iter().filter(keeps).count() < 2 {
            return None;
        }
        let lengths = Lengths::of(message);
        let parts = lengths.parts(message);
        let segments = match message.body {
            Body::Small(_) => &[][..],
            Body::Large(body) => body.segments(),
        };
        let payload = Payload { parts: &parts, segments, body_len: body_len(message) };
        Some(self.broker.log.append(|gather| gather.body(payload)).0)
    }
}

/// A dead letter has no expiration of its own any more.
fn terms(letter: &DeadLetter) -> Terms {
    let view = PropertyView::parse_kept(&letter.properties).ok();
    Terms {
        persistent: view.as_ref().is_some_and(PropertyView::is_persistent),
        priority: view.as_ref().and_then(PropertyView::priority).unwrap_or_default(),
        expiration: Expiration::NEVER,
        annotated: true,
        rejections: letter.notes.rejections,
    }
}
