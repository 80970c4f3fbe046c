//! AMQP as a client speaks it: what it sends as bytes, what it is sent as events.

use bytes::{Buf, BytesMut};
use leveret_protocol::amqp::{AMQPClass, basic, channel, confirm, connection, exchange, queue, tx};
use leveret_protocol::frame::{FrameKind, parse_frame};
use leveret_protocol::method::{Method, Publish, decode_method};
use leveret_protocol::properties::{PropertiesBuilder, Property, PropertyView, parse_content_header};
use leveret_protocol::{DecodeError, encode};

/// The largest frame.
pub const FRAME_MAX: u32 = 131_072;

/// What a client is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// basic.deliver or basic.get-ok with its message.
    Message {
        /// The channel.
        channel: u16,
        /// The consumer's tag; none for a get.
        consumer: Option<Vec<u8>>,
        /// The delivery tag.
        tag: u64,
        /// Delivered before.
        redelivered: bool,
        /// The message.
        content: Content,
    },
    /// basic.get-empty.
    Empty(u16),
    /// basic.ack of a publish: tag, multiple.
    Confirmed(u64, bool),
    /// basic.nack of a publish: tag, multiple.
    Refused(u64, bool),
    /// queue.purge-ok: how many.
    Purged(u32),
    /// queue.delete-ok.
    Deleted,
    /// queue.declare-ok.
    Declared,
    /// queue.bind-ok.
    Bound,
    /// tx.commit-ok.
    Committed,
    /// The broker ends a consumer.
    Cancelled(Vec<u8>),
    /// The broker closes a channel or the connection: code and text.
    Closed(u16, String),
    /// Anything else.
    Other,
}

/// A message as it arrives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The message's number, from its message-id.
    pub message: Option<u64>,
    /// x-first-death-queue.
    pub first_death: Option<Vec<u8>>,
    /// The body.
    pub body: Vec<u8>,
}

/// Reads frames into events; a message is an event once it is whole.
#[derive(Debug, Default)]
pub struct Reader {
    unread: BytesMut,
    open: Option<(Event, u64)>,
}

impl Reader {
    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// The next event that is whole.
    ///
    /// # Errors
    /// Bytes that are no frames.
    pub fn event(&mut self) -> Result<Option<Event>, DecodeError> {
        while let Some((frame, used)) = parse_frame(&self.unread, FRAME_MAX)? {
            let event = match frame.kind {
                FrameKind::Method => event_of(frame.channel, decode_method(frame.payload)?),
                FrameKind::Header => header(&mut self.open, frame.payload)?,
                FrameKind::Body => body(&mut self.open, frame.payload),
                FrameKind::Heartbeat => None,
            };
            self.unread.advance(used);
            match event {
                Some(event @ Event::Message { .. }) if frame_begins_message(&event, &self.open) => {
                    self.open = Some((event, u64::MAX));
                }
                Some(event) => return Ok(Some(event)),
                None => {}
            }
        }
        Ok(None)
    }
}

/// A deliver or get-ok whose header has not come.
fn frame_begins_message(event: &Event, open: &Option<(Event, u64)>) -> bool {
    open.is_none() && matches!(event, Event::Message { content, .. } if content.message.is_none())
}

fn header(open: &mut Option<(Event, u64)>, payload: &[u8]) -> Result<Option<Event>, DecodeError> {
    let header = parse_content_header(payload)?;
    let view = PropertyView::parse_kept(header.properties)?;
    if let Some((Event::Message { content, .. }, left)) = open {
        let number = view.message_id().and_then(|id| str::from_utf8(id).ok()?.parse().ok());
        content.message = Some(number.unwrap_or(0));
        content.first_death = view.headers().and_then(|headers| text_header(headers, b"x-first-death-queue"));
        *left = header.body_size;
    }
    Ok(finished(open))
}

fn body(open: &mut Option<(Event, u64)>, payload: &[u8]) -> Option<Event> {
    if let Some((Event::Message { content, .. }, left)) = open {
        content.body.extend_from_slice(payload);
        *left = left.saturating_sub(payload.len() as u64);
    }
    finished(open)
}

fn finished(open: &mut Option<(Event, u64)>) -> Option<Event> {
    let (event, _) = open.take_if(|(_, left)| *left == 0)?;
    Some(event)
}

/// The text value of a header; a table's entry is its key, then `S` and a long string.
fn text_header(headers: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let at = headers.windows(name.len()).position(|window| window == name)?;
    let rest = headers.get(at + name.len()..)?.strip_prefix(b"S")?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    rest.get(..u32::from_be_bytes(*len) as usize).map(<[u8]>::to_vec)
}

fn event_of(on: u16, method: Method<'_>) -> Option<Event> {
    let message = |consumer, tag, redelivered| Event::Message {
        channel: on,
        consumer,
        tag,
        redelivered,
        content: Content::default(),
    };
    Some(match method {
        Method::Deliver(d) => message(Some(d.consumer_tag.to_vec()), d.delivery_tag, d.redelivered),
        Method::GetOk(g) => message(None, g.delivery_tag, g.redelivered),
        Method::Ack(ack) => Event::Confirmed(ack.delivery_tag, ack.multiple),
        Method::Nack(nack) => Event::Refused(nack.delivery_tag, nack.multiple),
        Method::Cold(class) => cold(on, class),
        _ => Event::Other,
    })
}

fn cold(on: u16, class: AMQPClass) -> Event {
    match class {
        AMQPClass::Basic(basic::AMQPMethod::GetEmpty(_)) => Event::Empty(on),
        AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)) => {
            Event::Cancelled(cancel.consumer_tag.as_str().as_bytes().to_vec())
        }
        AMQPClass::Queue(queue::AMQPMethod::PurgeOk(ok)) => Event::Purged(ok.message_count),
        AMQPClass::Queue(queue::AMQPMethod::DeleteOk(_)) => Event::Deleted,
        AMQPClass::Queue(queue::AMQPMethod::DeclareOk(_)) => Event::Declared,
        AMQPClass::Queue(queue::AMQPMethod::BindOk(_)) => Event::Bound,
        AMQPClass::Tx(tx::AMQPMethod::CommitOk(_)) => Event::Committed,
        AMQPClass::Channel(channel::AMQPMethod::Close(close)) => {
            Event::Closed(close.reply_code, close.reply_text.as_str().to_owned())
        }
        AMQPClass::Connection(connection::AMQPMethod::Close(close)) => {
            Event::Closed(close.reply_code, close.reply_text.as_str().to_owned())
        }
        _ => Event::Other,
    }
}

/// Wraps a class's method.
pub trait IntoClass {
    /// The method with its class.
    fn into_class(self) -> AMQPClass;
}

macro_rules! classes {
    ($($module:ident => $class:ident),*) => {
        $(impl IntoClass for $module::AMQPMethod {
            fn into_class(self) -> AMQPClass {
                AMQPClass::$class(self)
            }
        })*
    };
}

classes!(connection => Connection, channel => Channel, exchange => Exchange, queue => Queue, basic => Basic,
    confirm => Confirm, tx => Tx);

/// What a publish says besides its body.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The message's number.
    pub message: u64,
    /// delivery-mode 2.
    pub persistent: bool,
    /// priority.
    pub priority: Option<u8>,
    /// expiration, in milliseconds.
    pub expires_ms: Option<u64>,
}

/// A publish as it stands on the wire.
#[must_use]
pub fn publish(channel: u16, exchange: &str, key: &str, terms: Terms, body: &[u8]) -> Vec<u8> {
    let mut properties = PropertiesBuilder::new();
    let (id, expiration) = (terms.message.to_string(), terms.expires_ms.map(|ms| ms.to_string()));
    properties.set_octet(Property::DeliveryMode, if terms.persistent { 2 } else { 1 });
    properties.set_text(Property::MessageId, id.as_bytes());
    if let Some(priority) = terms.priority {
        properties.set_octet(Property::Priority, priority);
    }
    if let Some(expiration) = &expiration {
        properties.set_text(Property::Expiration, expiration.as_bytes());
    }
    let mut bytes = Vec::with_capacity(body.len() + 128);
    let publish = Publish {
        exchange: exchange.as_bytes(),
        routing_key: key.as_bytes(),
        mandatory: false,
        immediate: false,
    };
    encode::encode_publish(&mut bytes, channel, &publish);
    encode::encode_content_header(&mut bytes, channel, 60, body.len() as u64, &properties.to_vec());
    encode::encode_body(&mut bytes, channel, FRAME_MAX, body);
    bytes
}
