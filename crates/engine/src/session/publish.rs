//! basic.publish: a read's worth of messages at once.
//!
//! Whole publishes are found in the read buffer without copying, routed through a cache, dealt out to their
//! queues, and each queue is locked once for its share. What did not arrive whole, and what waits for a
//! transaction, comes here as [`OwnedPublish`] and takes the same way.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use foldhash::fast::RandomState;
use leveret_core::BrokerError;
use leveret_core::admin::ConnectionStats;
use leveret_core::channel::Verdict;
use leveret_core::dead_letter::Notes;
use leveret_core::ids::{ConfirmSeq, QueueId};
use leveret_core::limits::SMALL_BODY_BYTES;
use leveret_core::message::{Body, Message, SharedBody};
use leveret_protocol::constants::{basic_method_id, class_id, reply_code};
use leveret_protocol::content::Progress;
use leveret_protocol::encode;
use leveret_protocol::frame::{Frame, FrameKind, parse_frame};
use leveret_protocol::method::{Method, Publish, Return, decode_method};
use leveret_protocol::properties::{PropertyView, parse_content_header};
use leveret_storage::{BodyRef, GroupId, Payload, Position};

use super::content::{self, OwnedPublish, Span};
use super::methods::header_failure;
use super::{Failure, Session};
use crate::cell::{Incoming, Purpose, Terms};
use crate::payload::{Lengths, body_len};
use crate::queue::QueueRef;
use crate::route::{Route, RouteCache, Routing};
use crate::seams::{Log, Seams};

/// At most this many messages in one batch: its items fit the cache, and what waits behind them gets its turn.
const BATCH_MESSAGES: usize = 512;

/// Lists of items that are kept for the next batch: enough for most, little after one large fan-out.
const SPARE_LISTS: usize = 16;

/// One publish of a batch.
pub(super) struct Item<S: Seams> {
    channel: u16,
    mandatory: bool,
    terms: Terms,
    /// A queue refused it.
    refused: bool,
    /// Which of the batch's sources the spans lie in.
    source: u32,
    exchange: Span,
    routing_key: Span,
    properties: Span,
    body: Span,
    large_body: Option<SharedBody>,
    /// Properties that were changed on the way (reply-to, BCC).
    changed_properties: Option<Box<[u8]>>,
    route: Option<Arc<Route<S>>>,
    shared_body: Option<BodyRef>,
}

/// A queue's share of a batch: items by their place in it.
struct Share<S: Seams> {
    queue: QueueRef<S>,
    items: Vec<u32>,
}

/// The publishes of one read, kept to be filled again.
pub(super) struct Publisher<S: Seams> {
    items: Vec<Item<S>>,
    scanned: usize,
    shares: Vec<Share<S>>,
    spare: Vec<Vec<u32>>,
    /// Which share a queue has in this batch.
    share_of: HashMap<QueueId, usize, RandomState>,
    /// The shares of the route dealt last.
    places: Vec<usize>,
    /// Queues whose consumers are far behind.
    pub(super) far_behind: Vec<QueueRef<S>>,
    routes: RouteCache<S>,
}

impl<S: Seams> Default for Publisher<S> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            scanned: 0,
            shares: Vec::new(),
            spare: Vec::new(),
            share_of: HashMap::default(),
            places: Vec::new(),
            far_behind: Vec::new(),
            routes: RouteCache::default(),
        }
    }
}

impl<S: Seams> Publisher<S> {
    /// Bytes that the scanned publishes take at the start of the input.
    pub(super) fn scanned(&self) -> usize {
        self.scanned
    }
}

/// Method, header and body of one publish, whole in the input.
struct Whole<'a> {
    channel: u16,
    publish: Publish<'a>,
    properties: &'a [u8],
    body: &'a [u8],
    used: usize,
}

/// The publish at the start of the input, if all of it is there in its simplest form. Anything else, damage
/// included, is left to the general path.
fn whole_publish(buf: &[u8], frame_max: u32) -> Option<Whole<'_>> {
    const METHOD: [u8; 4] = [0, class_id::BASIC as u8, 0, basic_method_id::PUBLISH as u8];
    let next = |at: usize| -> Option<(Frame<'_>, usize)> { parse_frame(buf.get(at..)?, frame_max).ok()? };
    let (method, method_used) = next(0)?;
    if method.kind != FrameKind::Method || method.channel == 0 || !method.payload.starts_with(&METHOD) {
        return None;
    }
    let (header, header_used) = next(method_used)?;
    if header.kind != FrameKind::Header || header.channel != method.channel {
        return None;
    }
    let content = parse_content_header(header.payload).ok()?;
    if content.class_id != class_id::BASIC {
        return None;
    }
    let mut used = method_used + header_used;
    let mut body: &[u8] = &[];
    if content.body_size > 0 {
        let (frame, body_used) = next(used)?;
        let whole = frame.kind == FrameKind::Body
            && frame.channel == method.channel
            && frame.payload.len() as u64 == content.body_size;
        if !whole {
            return None;
        }
        body = frame.payload;
        used += body_used;
    }
    let Ok(Method::Publish(publish)) = decode_method(method.payload) else { return None };
    Some(Whole { channel: method.channel, publish, properties: content.properties, body, used })
}

impl<S: Seams> Session<S> {
    /// Collects the whole publishes at the start of the input. False if there is none.
    pub(super) fn scan_publishes(&mut self, buf: &[u8]) -> bool {
        let frame_max = self.connection.frame_max();
        let max_size = self.broker.settings.max_message_size;
        self.publisher.items.clear();
        self.publisher.scanned = 0;
        let mut usable_channel = 0;
        while self.publisher.items.len() < BATCH_MESSAGES {
            let at = self.publisher.scanned;
            let Some(whole) = buf.get(at..).and_then(|rest| whole_publish(rest, frame_max)) else { break };
            if whole.channel != usable_channel {
                let usable = self.channels.get(&whole.channel).is_some_and(|channel| {
                    !channel.core.closing && !channel.core.is_transactional() && !channel.content.is_open()
                });
                if !usable {
                    break;
                }
                usable_channel = whole.channel;
            }
            if whole.publish.immediate || whole.body.len() as u64 > max_size {
                break;
            }
            let span = |part: &[u8]| match part.len() {
                // An empty slice may point anywhere.
                0 => Span::default(),
                len => Span::new(part.as_ptr() as usize - buf.as_ptr() as usize, len),
            };
            self.publisher.items.push(Item {
                channel: whole.channel,
                mandatory: whole.publish.mandatory,
                terms: Terms::default(),
                refused: false,
                source: 0,
                exchange: span(whole.publish.exchange),
                routing_key: span(whole.publish.routing_key),
                properties: span(whole.properties),
                body: span(whole.body),
                large_body: None,
                changed_properties: None,
                route: None,
                shared_body: None,
            });
            self.publisher.scanned += whole.used;
        }
        !self.publisher.items.is_empty()
    }

    /// Publishes what was scanned; `bytes` are the input it was scanned from.
    pub(super) fn publish_scanned(&mut self, bytes: Bytes) -> Result<(), Failure> {
        let mut items = std::mem::take(&mut self.publisher.items);
        for item in &mut items {
            if item.body.len as usize > SMALL_BODY_BYTES {
                let body = item.body.at as usize..item.body.at as usize + item.body.len as usize;
                // A slice keeps the whole read alive: one that is a small part of it is copied.
                let is_small_part = body.len() < bytes.len() / 4;
                let body = bytes.slice(body);
                let body = if is_small_part { Bytes::copy_from_slice(&body) } else { body };
                item.large_body = Some(SharedBody::from(body));
            }
        }
        let result = self.publish_items(&mut items, &[bytes]);
        items.clear();
        self.publisher.items = items;
        result
    }

    /// Publishes a message that owns its bytes.
    fn publish_owned(&mut self, channel: u16, publish: OwnedPublish) -> Result<(), Failure> {
        let head = publish.head.clone();
        self.publish_items(&mut [Item::owned(channel, 0, publish)], &[head])
    }

    /// Routes and publishes a batch, in order. A refused publish closes its channel; those before it are
    /// published, those after it on the same channel are dropped.
    fn publish_items(&mut self, items: &mut [Item<S>], sources: &[Bytes]) -> Result<(), Failure> {
        self.block_if_alarmed();
        let mut from = 0;
        while from < items.len() {
            let mut until = from;
            let mut refused = None;
            while let Some((before, [item, ..])) = items.split_at_mut_checked(until) {
                let previous = before.get(from..).and_then(<[_]>::last);
                if let Err(error) = self.prepare(item, previous, sources) {
                    let ids = (class_id::BASIC, basic_method_id::PUBLISH);
                    refused = Some(Failure::new(error, item.channel, ids));
                    break;
                }
                until += 1;
            }
            if let Some(ready) = items.get_mut(from..until) {
                self.publish_prepared(ready, sources, None);
            }
            let Some(failure) = refused else { break };
            let connection_ends = failure.error.scope == leveret_core::Scope::Connection;
            if connection_ends || until + 1 == items.len() {
                return Err(failure);
            }
            self.channel_failure(&failure);
            from = until + 1;
        }
        Ok(())
    }

    /// Checks one publish as RabbitMQ does and finds its route. Publishes on a channel that closed meanwhile
    /// are left without one. What repeats the publish before it in the batch has that one's answers.
    fn prepare(
        &mut self,
        item: &mut Item<S>,
        previous: Option<&Item<S>>,
        sources: &[Bytes],
    ) -> Result<(), BrokerError> {
        let Some(channel) = self.channels.get_mut(&item.channel) else { return Ok(()) };
        if channel.core.closing {
            return Ok(());
        }
        let source = sources.get(item.source as usize).map_or(&[][..], |bytes| bytes);
        if let Some(previous) = previous.filter(|previous| item.repeats(previous, source)) {
            item.route.clone_from(&previous.route);
            item.terms = previous.terms;
        } else {
            let raw = item.properties.of(source);
            let view = PropertyView::parse(raw)
                .map_err(|error| BrokerError::new(error.reply_code(), error.explanation(raw)))?;
            let routing = Routing {
                exchange: item.exchange.of(source),
                routing_key: item.routing_key.of(source),
                properties: &view,
                raw,
            };
            let no = |what| BrokerError::internal(format!("connection has no {what}"));
            let vhost = self.vhost.as_ref().ok_or_else(|| no("vhost"))?;
            let user = self.user.as_ref().ok_or_else(|| no("user"))?;
            let reply_name = self.reply_consumers.name(item.channel);
            let found = self.publisher.routes.find(&self.broker, vhost, Some(user), &routing, reply_name)?;
            item.route = Some(found.route);
            item.changed_properties = found.changed_properties;
            item.terms = found.terms;
        }
        if let Some(confirms) = channel.core.confirms() {
            confirms.publish();
        }
        Ok(())
    }

    /// Publishes what was checked and routed, within a group of the log if one is given: the queues that must hear of
    /// that group's end.
    pub(super) fn publish_prepared(
        &mut self,
        items: &mut [Item<S>],
        sources: &[Bytes],
        group: Option<GroupId>,
    ) -> Vec<QueueRef<S>> {
        let mut awaiting = Vec::new();
        self.share_bodies(items, sources);
        self.deal_out(items);
        let mut position = Position(0);
        let mut any_refused = false;
        let mut shares = std::mem::take(&mut self.publisher.shares);
        for share in &shares {
            let incoming = share
                .items
                .iter()
                .filter_map(|at| items.get(*at as usize))
                .map(|item| item.incoming(sources));
            let queue = &share.queue;
            let purpose = Purpose { group, is_move: false };
            let (published, claimed) =
                self.broker.visit(queue, |cell, around| cell.publish(around, purpose, incoming));
            position = position.max(published.position);
            if claimed {
                self.claimed.push(queue.clone());
            }
            if published.awaits_group {
                awaiting.push(queue.clone());
            }
            if published.is_far_behind {
                self.publisher.far_behind.push(queue.clone());
            }
            any_refused |= !published.refused.is_empty();
            for at in published.refused {
                let item = share.items.get(at as usize).and_then(|at| items.get_mut(*at as usize));
                item.into_iter().for_each(|item| item.refused = true);
            }
        }
        self.end_shared_bodies(items);
        for Share { mut items, .. } in shares.drain(..) {
            if self.publisher.spare.len() < SPARE_LISTS {
                items.clear();
                self.publisher.spare.push(items);
            }
        }
        self.publisher.shares = shares;
        self.answer(items, sources, position, any_refused);
        if group.is_none() {
            self.move_given_up();
            self.wait_for_consumers();
        }
        awaiting
    }

    /// Writes bodies that several queues will log once, before their entries.
    fn share_bodies(&self, items: &mut [Item<S>], sources: &[Bytes]) {
        for item in items {
            let shared =
                item.route.as_ref().is_some_and(|route| route.durable_queues(item.terms.persistent) > 1);
            if !shared {
                continue;
            }
            let message = item.stored(sources);
            let lengths = Lengths::of(&message);
            let parts = lengths.parts(&message);
            let segments = item.large_body.as_ref().map_or(&[][..], |body| body.segments());
            let payload = Payload { parts: &parts, segments, body_len: body_len(&message) };
            item.shared_body = Some(self.broker.log.append(|gather| gather.body(payload)).0);
        }
    }

    /// Tells the log that no queue will log these bodies any more.
    fn end_shared_bodies(&mut self, items: &mut [Item<S>]) {
        if items.iter().any(|item| item.shared_body.is_some()) {
            let bodies = items.iter_mut().filter_map(|item| item.shared_body.take());
            self.broker.log.append(|gather| bodies.for_each(|body| gather.end_body(body)));
        }
    }

    /// Lists for each queue which items it gets, in order.
    fn deal_out(&mut self, items: &[Item<S>]) {
        let Publisher { shares, spare, share_of, places, .. } = &mut self.publisher;
        share_of.clear();
        let mut dealt: Option<&Arc<Route<S>>> = None;
        for (at, item) in (0u32..).zip(items) {
            let Some(route) = &item.route else { continue };
            // Runs of one route, the usual case, look its queues up once.
            if !dealt.is_some_and(|dealt| Arc::ptr_eq(dealt, route)) {
                dealt = Some(route);
                places.clear();
                places.extend(route.queues.iter().map(|queue| {
                    *share_of.entry(queue.id).or_insert_with(|| {
                        let items = spare.pop().unwrap_or_default();
                        shares.push(Share { queue: queue.clone(), items });
                        shares.len() - 1
                    })
                }));
            }
            for place in places.iter() {
                if let Some(share) = shares.get_mut(*place) {
                    share.items.push(at);
                }
            }
        }
    }

    /// Returns what no queue took, hands replies over, and says what the confirms wait for.
    fn answer(&mut self, items: &[Item<S>], sources: &[Bytes], position: Position, any_refused: bool) {
        if any_refused {
            self.conclude_each(items, position);
        }
        let mut confirmed_channel = 0;
        let mut is_confirming = false;
        let mut batch = ConnectionStats::default();
        for item in items {
            let Some(route) = &item.route else { continue };
            batch.received += 1;
            if let Some(reply) = &route.reply {
                batch.routed += 1;
                reply.deliver(&item.message(sources));
            } else if !route.queues.is_empty() {
                batch.routed += 1;
            } else if item.mandatory {
                batch.returned += 1;
                self.return_unroutable(item.channel, &item.message(sources));
            } else {
                batch.dropped += 1;
            }
            if item.channel != confirmed_channel {
                confirmed_channel = item.channel;
                is_confirming = self.conclude_channel(item.channel, position);
            }
            batch.received_confirm += u64::from(is_confirming);
        }
        self.entry.counters.publishes(&batch);
    }

    /// Says what all confirms of a channel wait for. True if it has any.
    fn conclude_channel(&mut self, number: u16, position: Position) -> bool {
        let channel = self.channels.get_mut(&number);
        let Some((confirms, counters)) =
            channel.and_then(|channel| Some((channel.core.confirms()?, &channel.counters)))
        else {
            return false;
        };
        confirms.conclude_all(Verdict::AfterSync(position.0));
        counters.unconfirmed.store(confirms.outstanding(), Ordering::Relaxed);
        self.note_waiting(number);
        true
    }

    /// Says of each publish what its confirm waits for. RabbitMQ nacks if any of its queues refused it.
    fn conclude_each(&mut self, items: &[Item<S>], position: Position) {
        let mut left: HashMap<u16, u64> = HashMap::new();
        for item in items.iter().filter(|item| item.route.is_some()) {
            *left.entry(item.channel).or_default() += 1;
        }
        for item in items.iter().filter(|item| item.route.is_some()) {
            let Some(left) = left.get_mut(&item.channel) else { continue };
            *left -= 1;
            let channel = self.channels.get_mut(&item.channel);
            let Some(confirms) = channel.and_then(|channel| channel.core.confirms()) else { continue };
            // The batch's publishes have the last numbers of their channel.
            let number = ConfirmSeq(confirms.given().0 - *left);
            let verdict = if item.refused { Verdict::Refused } else { Verdict::AfterSync(position.0) };
            confirms.conclude(number, verdict);
        }
    }

    /// basic.return; it leaves before the confirm of its message.
    fn return_unroutable(&mut self, channel: u16, message: &Message<'_>) {
        self.answered_bytes += message.stored_bytes();
        let returned = Return {
            reply_code: reply_code::NO_ROUTE,
            reply_text: b"NO_ROUTE",
            exchange: message.exchange,
            routing_key: message.routing_key,
        };
        self.outbox.with(|outbox| {
            let out = outbox.out.tail();
            encode::encode_return(out, channel, &returned);
            let size = message.body.len() as u64;
            encode::encode_content_header(out, channel, class_id::BASIC, size, message.properties);
            outbox.out.push_body(channel, outbox.frame_max, message.body);
        });
    }

    /// A content header frame that is not part of a whole publish.
    pub(super) fn content_header(&mut self, channel: u16, payload: &Bytes) -> Result<(), Failure> {
        let ids = (class_id::BASIC, basic_method_id::PUBLISH);
        let max_size = self.broker.settings.max_message_size;
        let Some(state) = self.content_channel(channel, FrameKind::Header, payload)? else { return Ok(()) };
        let header = parse_content_header(payload).map_err(|error| header_failure(&error, payload))?;
        let was_open = state.content.is_open();
        let progress = state.content.header(&header).map_err(|error| {
            let ids = if was_open { ids } else { (0, 0) };
            Failure::new(content::content_error(error), channel, ids)
        })?;
        content::check_size(header.body_size, max_size).map_err(|error| Failure::new(error, channel, ids))?;
        self.content_progress(channel, progress)
    }

    /// A body frame that is not part of a whole publish.
    pub(super) fn content_body(&mut self, channel: u16, payload: Bytes) -> Result<(), Failure> {
        let unfinished = Arc::clone(&self.broker.unfinished_bytes);
        let limit = self.broker.settings.unfinished_bytes;
        let Some(state) = self.content_channel(channel, FrameKind::Body, &payload)? else { return Ok(()) };
        let was_open = state.content.is_open();
        let bytes = payload.len() as u64;
        let ids = (class_id::BASIC, basic_method_id::PUBLISH);
        let progress = state.content.body(payload).map_err(|error| {
            Failure::new(content::content_error(error), channel, if was_open { ids } else { (0, 0) })
        })?;
        if progress == Progress::More {
            let counted = state.content.count(bytes, &unfinished, limit);
            counted.map_err(|error| Failure::new(error, channel, ids))?;
        }
        self.content_progress(channel, progress)
    }

    fn content_progress(&mut self, channel: u16, progress: Progress) -> Result<(), Failure> {
        let Some(state) = self.channels.get_mut(&channel) else { return Ok(()) };
        if progress == Progress::More {
            return Ok(());
        }
        let publish = state.content.finish();
        if !state.core.is_transactional() {
            return self.publish_owned(channel, publish);
        }
        self.block_if_alarmed();
        // Checked and routed now, as in RabbitMQ: what the topology becomes until the commit is no matter.
        let (bytes, head) = (publish.bytes(), publish.head.clone());
        let mut item = Item::owned(channel, 0, publish);
        let ids = (class_id::BASIC, basic_method_id::PUBLISH);
        self.prepare(&mut item, None, std::slice::from_ref(&head))
            .map_err(|error| Failure::new(error, channel, ids))?;
        let unfinished = Arc::clone(&self.broker.unfinished_bytes);
        let limit = self.broker.settings.unfinished_bytes;
        let Some(state) = self.channels.get_mut(&channel) else { return Ok(()) };
        content::count(&mut state.transaction.held, bytes, &unfinished, limit)
            .map_err(|error| Failure::new(error, channel, ids))?;
        state.transaction.add(item, head);
        let waiting = state.transaction.publishes() as u64;
        state.counters.uncommitted.store(waiting, Ordering::Relaxed);
        Ok(())
    }
}

impl<S: Seams> Item<S> {
    /// A publish that owns its bytes; its head is the batch's source of that number.
    fn owned(channel: u16, source: u32, publish: OwnedPublish) -> Self {
        Self {
            channel,
            mandatory: publish.mandatory,
            terms: Terms::default(),
            refused: false,
            source,
            exchange: publish.exchange,
            routing_key: publish.routing_key,
            properties: publish.properties,
            body: publish.small_body,
            large_body: publish.large_body,
            changed_properties: None,
            route: None,
            shared_body: None,
        }
    }

    /// Whether checks and route of another publish of the same read are this one's too: same channel, exchange, key
    /// and properties, which went on as they came.
    fn repeats(&self, other: &Self, source: &[u8]) -> bool {
        self.channel == other.channel
            && self.source == other.source
            && other.changed_properties.is_none()
            && other.route.as_ref().is_some_and(|route| route.reply.is_none())
            && self.routing_key.of(source) == other.routing_key.of(source)
            && self.exchange.of(source) == other.exchange.of(source)
            && self.properties.of(source) == other.properties.of(source)
    }

    /// Whether a queue refused it.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// The same publish in another batch.
    pub(super) fn set_source(&mut self, source: u32) {
        self.source = source;
    }

    /// The message as others see it.
    fn message<'a>(&'a self, sources: &'a [Bytes]) -> Message<'a> {
        let stored = self.stored(sources);
        match self.terms.annotated {
            true => Message { properties: Notes::before(stored.properties), ..stored },
            false => stored,
        }
    }

    /// The message as its queues keep it.
    fn stored<'a>(&'a self, sources: &'a [Bytes]) -> Message<'a> {
        let source = sources.get(self.source as usize).map_or(&[][..], |bytes| bytes);
        Message {
            exchange: self.exchange.of(source),
            routing_key: self.routing_key.of(source),
            properties: match &self.changed_properties {
                Some(changed) => changed,
                None => self.properties.of(source),
            },
            body: match &self.large_body {
                Some(body) => Body::Large(body),
                None => Body::Small(self.body.of(source)),
            },
        }
    }

    fn incoming<'a>(&'a self, sources: &'a [Bytes]) -> Incoming<'a> {
        Incoming { message: self.stored(sources), terms: self.terms, shared_body: self.shared_body }
    }
}
