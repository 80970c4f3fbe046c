//! Messages published, got and shown on behalf of management, without a channel.

use leveret_core::BrokerError;
use leveret_core::dead_letter::Notes;
use leveret_core::ids::QueueSeq;
use leveret_core::limits::SMALL_BODY_BYTES;
use leveret_core::message::{Body, Message, SharedBody};
use leveret_core::names::QueueName;
use leveret_core::queue::{Contents, Entry};
use leveret_protocol::properties::PropertyView;
use leveret_storage::Position;

use super::{Actor, Broker};
use crate::around::Around;
use crate::cell::{Incoming, Outcome, Purpose, QueueCell};
use crate::route::{RouteCache, Routing};
use crate::seams::Seams;
use crate::shown;

/// So many messages are copied at most at one time, under the queue's lock.
const COPIES_MOST: usize = 4096;

/// A message to publish.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The exchange.
    pub exchange: &'a str,
    /// The routing key.
    pub routing_key: &'a str,
    /// Property flags and values, as a content header carries them.
    pub properties: &'a [u8],
    /// The body.
    pub payload: &'a [u8],
}

/// A copy of a message in a queue.
#[derive(Clone, Debug)]
pub struct Copied {
    /// The exchange it was published to.
    pub exchange: Vec<u8>,
    /// The routing key.
    pub routing_key: Vec<u8>,
    /// Property flags and values.
    pub properties: Vec<u8>,
    /// The first bytes of the body.
    pub payload: Vec<u8>,
    /// The length of the whole body.
    pub body_len: u64,
    /// It was delivered before.
    pub redelivered: bool,
    /// Messages ready behind it.
    pub left: u64,
}

impl Copied {
    fn new(contents: &Contents, entry: &Entry, truncate: u64, left: u64) -> Self {
        let message = &contents.message(entry);
        let body_len = message.body.len() as u64;
        let most = usize::try_from(truncate.min(body_len)).unwrap_or(usize::MAX);
        let mut payload = Vec::with_capacity(most);
        let segments: &[bytes::Bytes] = match &message.body {
            Body::Small(bytes) => {
                payload.extend(bytes.iter().take(most));
                &[]
            }
            Body::Large(body) => body.segments(),
        };
        for segment in segments {
            payload.extend(segment.iter().take(most - payload.len()));
        }
        Self {
            exchange: message.exchange.to_vec(),
            routing_key: message.routing_key.to_vec(),
            properties: shown::properties(contents, message, entry).into_owned(),
            payload,
            body_len,
            redelivered: entry.is_redelivered(),
            left,
        }
    }
}

impl<S: Seams> Broker<S> {
    /// Publishes a message: whether a queue took it, and the position that makes it durable.
    ///
    /// # Errors
    /// As basic.publish; nothing was published then.
    pub fn publish(
        &self,
        actor: &Actor<S>,
        publication: &Publication<'_>,
    ) -> Result<(bool, Position), BrokerError> {
        let max = self.settings.max_message_size;
        let size = publication.payload.len();
        if size as u64 > max {
            return Err(BrokerError::precondition_failed(format!(
                "message size {size} is larger than configured max size {max}"
            )));
        }
        let raw = publication.properties;
        let view = PropertyView::parse(raw)
            .map_err(|error| BrokerError::new(error.reply_code(), error.explanation(raw)))?;
        let routing = Routing {
            exchange: publication.exchange.as_bytes(),
            routing_key: publication.routing_key.as_bytes(),
            properties: &view,
            raw,
        };
        let mut routes = RouteCache::default();
        let found = routes.find(self, &actor.vhost, actor.user.as_ref(), &routing, None)?;
        let large;
        let body = if size > SMALL_BODY_BYTES {
            large = SharedBody::from(bytes::Bytes::copy_from_slice(publication.payload));
            Body::Large(&large)
        } else {
            Body::Small(publication.payload)
        };
        let message = Message {
            exchange: routing.exchange,
            routing_key: routing.routing_key,
            properties: found.changed_properties.as_deref().unwrap_or(raw),
            body,
        };
        if let Some(reply) = &found.route.reply {
            let shown =
                if found.terms.annotated { Notes::before(message.properties) } else { message.properties };
            reply.deliver(&Message { properties: shown, ..message });
            return Ok((true, Position(0)));
        }
        let mut position = Position(0);
        for queue in &found.route.queues {
            let incoming = Incoming { message, terms: found.terms, shared_body: None };
            let one = std::iter::once(incoming);
            let published = self.work(queue, |cell, around| cell.publish(around, Purpose::default(), one));
            position = position.max(published.position);
        }
        Ok((!found.route.queues.is_empty(), position))
    }

    /// Gets up to `count` messages and settles them all with `outcome`; and the position that makes it durable. None
    /// while they are being read, or marked as seen, on the disk: to be asked again a little later. Of very many a part
    /// comes.
    ///
    /// # Errors
    /// As basic.get.
    pub fn get_messages(
        &self,
        actor: &Actor<S>,
        name: &QueueName,
        outcome: Outcome,
        (count, truncate): (u64, u64),
    ) -> Result<Option<(Vec<Copied>, Position)>, BrokerError> {
        let queue = self.queue_to_read(actor, name)?;
        let messages = self.work(&queue, |cell, around| {
            cell.renew_lease(around);
            cell.note_get(around);
            cell.drop_expired(around);
            let (messages, taken) = copy_next(cell, around, (count, truncate), Contents::take_to_deliver)?;
            cell.beyond.count_taken(taken.len() as u64);
            let mut seqs: Vec<QueueSeq> = taken.iter().map(Entry::seq).collect();
            taken.into_iter().for_each(|entry| cell.contents.hold(entry));
            seqs.sort_unstable();
            let runs: Vec<_> = seqs.into_iter().map(|seq| (seq, seq, outcome)).collect();
            cell.settle(around, None, &runs, &[]);
            Some(messages)
        });
        Ok(messages.map(|messages| (messages, self.last_position())))
    }

    /// Shows up to `count` ready messages and leaves them as they are. None as with [`Broker::get_messages`].
    ///
    /// # Errors
    /// As basic.get.
    pub fn peek_messages(
        &self,
        actor: &Actor<S>,
        name: &QueueName,
        (count, truncate): (u64, u64),
    ) -> Result<Option<Vec<Copied>>, BrokerError> {
        let queue = self.queue_to_read(actor, name)?;
        Ok(self.work(&queue, |cell, around| {
            cell.drop_expired(around);
            let (messages, taken) = copy_next(cell, around, (count, truncate), Contents::take)?;
            put_back(cell, taken);
            Some(messages)
        }))
    }
}

/// Takes and copies the next messages. With fewer than were asked for, since the next is not in memory, all are put back
/// and the queue is asked for them; but what [`COPIES_MOST`] allows is enough.
fn copy_next<S: Seams>(
    cell: &mut QueueCell<S>,
    around: &Around<'_, S>,
    (count, truncate): (u64, u64),
    take: impl Fn(&mut Contents) -> Option<Entry>,
) -> Option<(Vec<Copied>, Vec<Entry>)> {
    let most = usize::try_from(count.min(cell.totals().ready)).unwrap_or(usize::MAX).min(COPIES_MOST);
    let (mut messages, mut taken) = (Vec::new(), Vec::new());
    // With very much to be dead-lettered expiry pauses; what has expired is not shown meanwhile.
    while taken.len() < most && !cell.is_due(around) {
        let Some(entry) = take(&mut cell.contents) else { break };
        let left = cell.totals().ready;
        messages.push(Copied::new(&cell.contents, &entry, truncate, left));
        taken.push(entry);
    }
    if taken.len() < most {
        put_back(cell, taken);
        cell.wait(None, most);
        return None;
    }
    Some((messages, taken))
}

/// The last one was taken last, so it goes back first.
fn put_back<S: Seams>(cell: &mut QueueCell<S>, taken: Vec<Entry>) {
    for entry in taken.into_iter().rev() {
        cell.contents.put_back(entry);
    }
}
