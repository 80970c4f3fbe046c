//! A client: a session, what it sends and what it was sent.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use leveret_core::ids::MonotonicMillis;
use leveret_engine::{Broker, Flow, Session, WriteQueue};
use leveret_protocol::amqp::{
    AMQPClass, AMQPValue, FieldTable, basic, channel, confirm, connection, exchange, queue, tx,
};
use leveret_protocol::encode;
use leveret_protocol::frame::{FrameKind, parse_frame};
use leveret_protocol::method::{Ack, Method, Nack, Publish, decode_method};
use leveret_protocol::properties::{PropertyView, parse_content_header};

use super::store::pump;
use super::{Plain, Wakes};

pub(super) fn client_properties() -> FieldTable {
    let mut capabilities = FieldTable::default();
    for name in ["consumer_cancel_notify", "connection.blocked"] {
        capabilities.insert(name.into(), AMQPValue::Boolean(true));
    }
    let mut properties = FieldTable::default();
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    properties
}

/// An argument of a declaration.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Argument<'a> {
    /// A number.
    Number(i64),
    /// A text.
    Text(&'a str),
    /// A boolean.
    Flag(bool),
}

impl Argument<'_> {
    fn to_amqp(self) -> AMQPValue {
        match self {
            Self::Number(number) => AMQPValue::LongLongInt(number),
            Self::Text(text) => AMQPValue::LongString(text.into()),
            Self::Flag(flag) => AMQPValue::Boolean(flag),
        }
    }
}

/// A session, and what it was sent.
pub(crate) struct Client {
    /// The session.
    pub(crate) session: Session<Plain>,
    /// The wakes of its task.
    pub(crate) wakes: Wakes,
    /// Its clock.
    pub(crate) now: MonotonicMillis,
    pub(super) broker: Arc<Broker<Plain>>,
    /// What it sent and the session has not taken.
    pub(super) unsent: BytesMut,
    pub(super) unread: BytesMut,
}

/// Wraps a class's method.
pub(crate) trait IntoClass {
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

impl Client {
    /// Sends bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Flow {
        self.unsent.extend_from_slice(bytes);
        let mut flow = Flow::Go;
        if self.session.wants_input() {
            flow = self.session.input(&mut self.unsent, self.now);
        }
        if pump(&self.broker) {
            self.wake();
        }
        flow
    }

    /// Sends a method.
    pub(crate) fn method(&mut self, channel: u16, method: impl IntoClass) -> Flow {
        let mut bytes = Vec::new();
        encode::encode_method(&mut bytes, channel, method.into_class()).unwrap();
        self.bytes(&bytes)
    }

    /// The task was woken, if it was.
    pub(crate) fn wake(&mut self) {
        while self.wakes.take() > 0 {
            self.session.woken(self.now);
            self.session.resume(&mut self.unsent, self.now);
            pump(&self.broker);
        }
    }

    /// Reads everything that was sent, in short: `channel method details`.
    pub(crate) fn frames(&mut self) -> Vec<String> {
        self.collect();
        let mut frames = Vec::new();
        while let Some((frame, used)) = parse_frame(&self.unread, 131_072).unwrap() {
            if frame.kind == FrameKind::Method {
                frames.push(format!("{} {}", frame.channel, described(frame.payload)));
            }
            self.unread.advance(used);
        }
        frames
    }

    /// What the task does: looks at its wake, then writes all there is.
    fn collect(&mut self) {
        pump(&self.broker);
        self.wake();
        loop {
            let mut output = WriteQueue::default();
            self.session.take_output(&mut output);
            if !output.has_remaining() {
                break;
            }
            while output.has_remaining() {
                let chunk = output.chunk().len();
                self.unread.extend_from_slice(output.chunk());
                output.advance(chunk);
            }
            self.session.flushed(self.now);
            pump(&self.broker);
            self.wake();
        }
    }

    /// The bodies that it was sent, one a frame; reads everything that was sent.
    pub(crate) fn bodies(&mut self) -> Vec<String> {
        self.collect();
        let mut bodies = Vec::new();
        while let Some((frame, used)) = parse_frame(&self.unread, 131_072).unwrap() {
            if frame.kind == FrameKind::Body {
                bodies.push(String::from_utf8(frame.payload.to_vec()).unwrap());
            }
            self.unread.advance(used);
        }
        bodies
    }

    /// The reply-to of the message that was got last; reads everything that was sent.
    pub(crate) fn reply_to(&mut self) -> String {
        self.collect();
        let mut name = String::new();
        while let Some((frame, used)) = parse_frame(&self.unread, 131_072).unwrap() {
            if frame.kind == FrameKind::Header {
                let header = parse_content_header(frame.payload).unwrap();
                let properties = PropertyView::parse(header.properties).unwrap();
                name = String::from_utf8(properties.reply_to().unwrap_or_default().to_vec()).unwrap();
            }
            self.unread.advance(used);
        }
        name
    }

    /// channel.open.
    pub(crate) fn open(&mut self, channel: u16) {
        self.method(channel, channel::AMQPMethod::Open(channel::Open {}));
    }

    /// queue.declare.
    pub(crate) fn declare(&mut self, channel: u16, queue: &str, durable: bool) {
        self.declare_as(channel, queue, durable, false, false);
    }

    /// queue.declare with all flags.
    pub(crate) fn declare_as(
        &mut self,
        channel: u16,
        queue: &str,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
    ) {
        self.method(
            channel,
            queue::AMQPMethod::Declare(queue::Declare {
                queue: queue.into(),
                passive: false,
                durable,
                exclusive,
                auto_delete,
                nowait: false,
                arguments: FieldTable::default(),
            }),
        );
    }

    /// queue.declare of a durable queue with arguments.
    pub(crate) fn declare_with(&mut self, channel: u16, queue: &str, arguments: &[(&str, Argument<'_>)]) {
        let mut table = FieldTable::default();
        for (name, value) in arguments {
            table.insert((*name).into(), value.to_amqp());
        }
        self.method(
            channel,
            queue::AMQPMethod::Declare(queue::Declare {
                queue: queue.into(),
                passive: false,
                durable: true,
                exclusive: false,
                auto_delete: false,
                nowait: false,
                arguments: table,
            }),
        );
    }

    /// Exchange and queues bound to it.
    pub(crate) fn bind(&mut self, channel: u16, exchange: &str, kind: &str, queues: &[&str]) {
        self.method(
            channel,
            exchange::AMQPMethod::Declare(exchange::Declare {
                exchange: exchange.into(),
                kind: kind.into(),
                passive: false,
                durable: true,
                auto_delete: false,
                internal: false,
                nowait: false,
                arguments: FieldTable::default(),
            }),
        );
        for queue in queues {
            self.method(
                channel,
                queue::AMQPMethod::Bind(queue::Bind {
                    queue: (*queue).into(),
                    exchange: exchange.into(),
                    routing_key: (*queue).into(),
                    nowait: false,
                    arguments: FieldTable::default(),
                }),
            );
        }
    }

    /// basic.reject without requeue.
    pub(crate) fn reject(&mut self, channel: u16, delivery_tag: u64, multiple: bool) {
        let mut bytes = Vec::new();
        encode::encode_nack(&mut bytes, channel, &Nack { delivery_tag, multiple, requeue: false });
        self.bytes(&bytes);
    }

    /// Gets and keeps all messages of a queue: their bodies.
    pub(crate) fn take_all(&mut self, channel: u16, queue: &str) -> Vec<String> {
        self.frames();
        let mut bodies = Vec::new();
        loop {
            self.get(channel, queue, true);
            self.collect();
            let mut got = None;
            while let Some((frame, used)) = parse_frame(&self.unread, 131_072).unwrap() {
                if frame.kind == FrameKind::Body {
                    got = Some(String::from_utf8(frame.payload.to_vec()).unwrap());
                }
                self.unread.advance(used);
            }
            let Some(body) = got else { return bodies };
            bodies.push(body);
        }
    }

    /// A persistent basic.publish.
    pub(crate) fn publish(&mut self, channel: u16, exchange: &str, key: &str, body: &[u8]) {
        let bytes = publish_bytes(channel, exchange, key, body, true);
        self.bytes(&bytes);
    }

    /// basic.consume with a tag.
    pub(crate) fn consume(&mut self, channel: u16, queue: &str, tag: &str, no_ack: bool) {
        self.method(
            channel,
            basic::AMQPMethod::Consume(basic::Consume {
                queue: queue.into(),
                consumer_tag: tag.into(),
                no_local: false,
                no_ack,
                exclusive: false,
                nowait: false,
                arguments: FieldTable::default(),
            }),
        );
    }

    /// basic.get.
    pub(crate) fn get(&mut self, channel: u16, queue: &str, no_ack: bool) {
        self.method(channel, basic::AMQPMethod::Get(basic::Get { queue: queue.into(), no_ack }));
    }

    /// basic.qos.
    pub(crate) fn qos(&mut self, channel: u16, prefetch_count: u16, global: bool) {
        self.method(channel, basic::AMQPMethod::Qos(basic::Qos { prefetch_count, global }));
    }

    /// basic.ack.
    pub(crate) fn ack(&mut self, channel: u16, delivery_tag: u64, multiple: bool) {
        let mut bytes = Vec::new();
        encode::encode_ack(&mut bytes, channel, &Ack { delivery_tag, multiple });
        self.bytes(&bytes);
    }

    /// basic.nack with requeue.
    pub(crate) fn nack(&mut self, channel: u16, delivery_tag: u64, multiple: bool) {
        let mut bytes = Vec::new();
        encode::encode_nack(&mut bytes, channel, &Nack { delivery_tag, multiple, requeue: true });
        self.bytes(&bytes);
    }
}

/// A publish as it stands on the wire.
pub(crate) fn publish_bytes(
    channel: u16,
    exchange: &str,
    key: &str,
    body: &[u8],
    persistent: bool,
) -> Vec<u8> {
    // delivery-mode alone: bit 12.
    let properties = [0x10, 0x00, if persistent { 2 } else { 1 }];
    publish_with(channel, exchange, key, body, &properties)
}

/// A publish with raw properties.
pub(crate) fn publish_with(
    channel: u16,
    exchange: &str,
    key: &str,
    body: &[u8],
    properties: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let publish = Publish {
        exchange: exchange.as_bytes(),
        routing_key: key.as_bytes(),
        mandatory: false,
        immediate: false,
    };
    encode::encode_publish(&mut bytes, channel, &publish);
    encode::encode_content_header(&mut bytes, channel, 60, body.len() as u64, properties);
    encode::encode_body(&mut bytes, channel, 131_072, body);
    bytes
}

fn described(payload: &[u8]) -> String {
    match decode_method(payload).unwrap() {
        Method::Ack(ack) => format!("ack {}{}", ack.delivery_tag, if ack.multiple { "+" } else { "" }),
        Method::Nack(nack) => format!("nack {}{}", nack.delivery_tag, if nack.multiple { "+" } else { "" }),
        Method::Deliver(d) => {
            let again = if d.redelivered { " again" } else { "" };
            format!("deliver {} {}{again}", String::from_utf8_lossy(d.consumer_tag), d.delivery_tag)
        }
        Method::GetOk(g) => format!("get-ok {}{}", g.delivery_tag, if g.redelivered { " again" } else { "" }),
        Method::Return(r) => format!("return {}", r.reply_code),
        Method::Cold(AMQPClass::Channel(channel::AMQPMethod::Close(close))) => {
            format!("channel.close {}", close.reply_code)
        }
        Method::Cold(AMQPClass::Connection(connection::AMQPMethod::Close(close))) => {
            format!("connection.close {}", close.reply_code)
        }
        method => {
            let (class, id) = method.ids();
            let name = NAMES.iter().find(|(ids, _)| *ids == (class, id)).map(|(_, name)| *name);
            name.map_or_else(|| format!("{class}.{id}"), str::to_owned)
        }
    }
}

const NAMES: [((u16, u16), &str); 19] = [
    ((10, 51), "connection.close-ok"),
    ((10, 60), "connection.blocked"),
    ((10, 61), "connection.unblocked"),
    ((20, 11), "channel.open-ok"),
    ((20, 41), "channel.close-ok"),
    ((40, 11), "exchange.declare-ok"),
    ((40, 21), "exchange.delete-ok"),
    ((50, 11), "queue.declare-ok"),
    ((50, 31), "queue.purge-ok"),
    ((50, 41), "queue.delete-ok"),
    ((60, 11), "qos-ok"),
    ((60, 21), "consume-ok"),
    ((60, 30), "cancel"),
    ((60, 31), "cancel-ok"),
    ((60, 72), "get-empty"),
    ((85, 11), "confirm.select-ok"),
    ((90, 11), "tx.select-ok"),
    ((90, 21), "commit-ok"),
    ((90, 31), "rollback-ok"),
];
