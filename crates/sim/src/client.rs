//! A client: a session of the engine, what it was sent, and what a well-behaved client library remembers of it.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, BytesMut};
use leveret_core::ids::{MonotonicMillis, UnixMillis};
use leveret_engine::{Flow, Peer, Session, WriteQueue};
use leveret_protocol::amqp::{AMQPValue, FieldTable, basic, channel, confirm, connection, queue, tx};
use leveret_protocol::encode;
use leveret_protocol::method::{Ack, Nack};

use crate::Violation;
use crate::ledger::TokenKey;
use crate::seams::{Plain, Wakes};
use crate::topology::{FAN, QueueAt};
use crate::wire::{self, Event, FRAME_MAX, IntoClass, Reader};
use crate::world::World;

/// The channel that publishes with confirms.
pub const CONFIRMS: u16 = 1;
/// The channel of transactions.
pub const TX: u16 = 2;
/// The channel that consumes, declares, purges and deletes.
pub const CONSUMES: u16 = 3;
/// The channel that gets, as that of transactions does.
pub const GETS: u16 = 4;

/// A consumer of a client.
#[derive(Clone, Copy, Debug)]
pub struct Consumer {
    /// Its queue.
    pub queue: QueueAt,
    /// Needs no acks.
    pub no_ack: bool,
    /// Of a get: the step and the log's position when it was asked. Its answer may be held behind others that wait for
    /// the log.
    pub asked: (u64, u64),
}

/// A client with four channels.
pub struct Client {
    /// A number no other client ever has.
    pub number: u64,
    session: Session<Plain>,
    wakes: Wakes,
    reader: Reader,
    /// What the session has handed over and the socket has not taken yet.
    unwritten: WriteQueue,
    /// What the session has not taken yet: it waits behind a get that waits for the disk.
    unsent: BytesMut,
    /// What is sent is kept until it can be sent at once.
    is_corked: bool,
    /// The publish sequence number of the next confirm.
    pub next_publish: u64,
    /// Published and not confirmed: the messages' numbers.
    pub unconfirmed: BTreeMap<u64, u64>,
    /// Deliveries that wait for an ack, by channel and tag.
    pub unacked: BTreeMap<(u16, u64), TokenKey>,
    /// Consumers by tag.
    pub consumers: BTreeMap<Vec<u8>, Consumer>,
    /// Gets that were not answered, by channel.
    pub gets: BTreeMap<u16, VecDeque<Consumer>>,
    /// What was published last by each (consumer, publisher, level) that this client has seen delivered first.
    pub seen_order: BTreeMap<(Vec<u8>, u64, u8), u64>,
    /// The step and the log's position of the last time when nothing more was to be read.
    pub drained: (u64, u64),
    /// The broker closed it.
    pub closed: bool,
    /// It did so because of a queue that was stopped meanwhile.
    pub is_turned_away: bool,
}

const NOW: MonotonicMillis = MonotonicMillis(0);

impl Client {
    /// A client that has logged in and opened its channels.
    ///
    /// # Errors
    /// The login fails.
    pub fn connect(world: &World, number: u64) -> Result<Self, Violation> {
        let peer = Peer {
            host: [127, 0, 0, 1].into(),
            port: 1,
            local_host: [127, 0, 0, 1].into(),
            local_port: 5672,
            connected_at: UnixMillis(0),
            tls: None,
        };
        let wakes = Wakes::default();
        let session = Session::new(&world.broker, peer, wakes.clone(), NOW);
        let mut client = Self {
            number,
            session,
            wakes,
            reader: Reader::default(),
            unwritten: WriteQueue::default(),
            unsent: BytesMut::new(),
            is_corked: false,
            next_publish: 1,
            unconfirmed: BTreeMap::new(),
            unacked: BTreeMap::new(),
            consumers: BTreeMap::new(),
            gets: BTreeMap::new(),
            seen_order: BTreeMap::new(),
            drained: (0, world.position()),
            closed: false,
            is_turned_away: false,
        };
        // All of it arrives before the broker can stop reading: it may be behind with the log.
        client.is_corked = true;
        client.log_in();
        client.is_corked = false;
        let flow = client.session.input(&mut client.unsent, NOW);
        client.closed |= flow != Flow::Go;
        if client.session.is_open() { Ok(client) } else { Err(Violation::new("a login failed".to_owned())) }
    }

    fn log_in(&mut self) {
        self.send(b"AMQP\0\0\x09\x01");
        let mut capabilities = FieldTable::default();
        for name in ["consumer_cancel_notify", "connection.blocked"] {
            capabilities.insert(name.into(), AMQPValue::Boolean(true));
        }
        let mut client_properties = FieldTable::default();
        client_properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
        self.method(
            0,
            connection::AMQPMethod::StartOk(connection::StartOk {
                client_properties,
                mechanism: "PLAIN".into(),
                response: "\0guest\0guest".into(),
                locale: "en_US".into(),
            }),
        );
        let tune = connection::TuneOk { channel_max: 16, frame_max: FRAME_MAX, heartbeat: 0 };
        self.method(0, connection::AMQPMethod::TuneOk(tune));
        self.method(0, connection::AMQPMethod::Open(connection::Open { virtual_host: "/".into() }));
        for number in [CONFIRMS, TX, CONSUMES, GETS] {
            self.method(number, channel::AMQPMethod::Open(channel::Open {}));
        }
        self.method(CONFIRMS, confirm::AMQPMethod::Select(confirm::Select { nowait: false }));
        self.method(TX, tx::AMQPMethod::Select(tx::Select {}));
    }

    /// Whether the broker would read from it now.
    #[must_use]
    pub fn may_send(&self) -> bool {
        !self.closed && self.unsent.is_empty() && self.session.wants_input()
    }

    /// Whether the broker closes it: what it sends counts no more, even before it reads so.
    #[must_use]
    pub fn is_being_closed(&self) -> bool {
        !self.session.is_open()
    }

    /// Whether it is not read, being far ahead of consumers.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.session.is_ahead()
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        if !self.is_corked && self.session.wants_input() {
            let flow = self.session.input(&mut self.unsent, NOW);
            self.closed |= flow != Flow::Go;
        }
    }

    /// Sends several things so that they arrive together: between two of them the broker might stop reading.
    pub fn send_together(&mut self, send: impl FnOnce(&mut Self)) {
        self.is_corked = true;
        send(self);
        self.is_corked = false;
        self.send(&[]);
    }

    /// Sends a method.
    pub fn method(&mut self, channel: u16, method: impl IntoClass) {
        let mut bytes = Vec::new();
        if encode::encode_method(&mut bytes, channel, method.into_class()).is_ok() {
            self.send(&bytes);
        }
    }

    /// Takes all there is to read. Empty when nothing more comes without anybody else's doing.
    ///
    /// # Errors
    /// Bytes that are no frames.
    pub fn read(&mut self) -> Result<Vec<Event>, Violation> {
        self.be_woken();
        // Room in the outbox lets consumers that waited for it go on: what they take comes in a later round.
        let mut empty_rounds = 0;
        while empty_rounds < 2 {
            empty_rounds = if self.receive(usize::MAX) == 0 { empty_rounds + 1 } else { 0 };
        }
        self.ask_for_wake();
        self.events()
    }

    /// Takes some of what there is to read: the socket has no room for more.
    ///
    /// # Errors
    /// Bytes that are no frames.
    pub fn read_some(&mut self, most_bytes: usize) -> Result<Vec<Event>, Violation> {
        self.be_woken();
        self.receive(most_bytes);
        self.ask_for_wake();
        self.events()
    }

    fn be_woken(&mut self) {
        while self.wakes.take() > 0 {
            let flow = self.session.woken(NOW);
            self.closed |= flow != Flow::Go;
            let flow = self.session.resume(&mut self.unsent, NOW);
            self.closed |= flow != Flow::Go;
        }
        if !self.unsent.is_empty() && self.session.wants_input() {
            let flow = self.session.input(&mut self.unsent, NOW);
            self.closed |= flow != Flow::Go;
        }
    }

    /// Reads at most so many bytes off the socket. The session hands out more only once all it gave before was taken.
    fn receive(&mut self, most_bytes: usize) -> usize {
        if !self.unwritten.has_remaining() {
            self.session.take_output(&mut self.unwritten);
        }
        let mut left = most_bytes;
        while self.unwritten.has_remaining() && left > 0 {
            let chunk = self.unwritten.chunk();
            let now = chunk.len().min(left);
            self.reader.push(chunk.get(..now).unwrap_or_default());
            self.unwritten.advance(now);
            left -= now;
        }
        if !self.unwritten.has_remaining() {
            self.session.flushed(NOW);
        }
        most_bytes - left
    }

    fn ask_for_wake(&mut self) {
        if !self.session.wants_input() {
            self.session.wake_when_log_catches_up();
        }
    }

    fn events(&mut self) -> Result<Vec<Event>, Violation> {
        let mut events = Vec::new();
        while let Some(event) = self
            .reader
            .event()
            .map_err(|error| Violation::new(format!("a client was sent garbage: {error}")))?
        {
            events.push(event);
        }
        Ok(events)
    }

    /// The connection is lost: everything of it ends, read or not.
    pub fn lose(mut self) {
        self.session.end();
    }

    /// queue.declare; and queue.bind, where it is one of the fan's.
    pub fn declare(&mut self, at: QueueAt) {
        let spec = at.spec();
        self.method(
            CONSUMES,
            queue::AMQPMethod::Declare(queue::Declare {
                queue: spec.name.into(),
                passive: false,
                durable: spec.durable,
                exclusive: false,
                auto_delete: false,
                nowait: false,
                arguments: spec.arguments(),
            }),
        );
        if spec.in_fan {
            self.method(
                CONSUMES,
                queue::AMQPMethod::Bind(queue::Bind {
                    queue: spec.name.into(),
                    exchange: FAN.into(),
                    routing_key: "".into(),
                    nowait: false,
                    arguments: FieldTable::default(),
                }),
            );
        }
    }

    /// exchange.declare of the fan.
    pub fn declare_fan(&mut self) {
        use leveret_protocol::amqp::exchange;
        self.method(
            CONSUMES,
            exchange::AMQPMethod::Declare(exchange::Declare {
                exchange: FAN.into(),
                kind: "fanout".into(),
                passive: false,
                durable: true,
                auto_delete: false,
                internal: false,
                nowait: false,
                arguments: FieldTable::default(),
            }),
        );
    }

    /// queue.delete.
    pub fn delete(&mut self, at: QueueAt) {
        let delete =
            queue::Delete { queue: at.spec().name.into(), if_unused: false, if_empty: false, nowait: false };
        self.method(CONSUMES, queue::AMQPMethod::Delete(delete));
    }

    /// queue.purge.
    pub fn purge(&mut self, at: QueueAt) {
        let purge = queue::Purge { queue: at.spec().name.into(), nowait: false };
        self.method(CONSUMES, queue::AMQPMethod::Purge(purge));
    }

    /// basic.qos, then basic.consume.
    pub fn consume(&mut self, tag: &str, consumer: Consumer, prefetch: u16) {
        self.method(CONSUMES, basic::AMQPMethod::Qos(basic::Qos { prefetch_count: prefetch, global: false }));
        self.consumers.insert(tag.as_bytes().to_vec(), consumer);
        self.method(
            CONSUMES,
            basic::AMQPMethod::Consume(basic::Consume {
                queue: consumer.queue.spec().name.into(),
                consumer_tag: tag.into(),
                no_local: false,
                no_ack: consumer.no_ack,
                exclusive: false,
                nowait: false,
                arguments: FieldTable::default(),
            }),
        );
    }

    /// basic.cancel.
    pub fn cancel(&mut self, tag: &[u8]) {
        let tag = String::from_utf8_lossy(tag).into_owned();
        let cancel = basic::Cancel { consumer_tag: tag.into(), nowait: false };
        self.method(CONSUMES, basic::AMQPMethod::Cancel(cancel));
    }

    /// basic.get.
    pub fn get(&mut self, channel: u16, get: Consumer) {
        self.gets.entry(channel).or_default().push_back(get);
        let (queue, no_ack) = (get.queue.spec().name.into(), get.no_ack);
        self.method(channel, basic::AMQPMethod::Get(basic::Get { queue, no_ack }));
    }

    /// basic.publish.
    pub fn publish(&mut self, channel: u16, exchange: &str, key: &str, terms: wire::Terms, body: &[u8]) {
        self.send(&wire::publish(channel, exchange, key, terms, body));
    }

    /// basic.ack.
    pub fn ack(&mut self, channel: u16, delivery_tag: u64, multiple: bool) {
        let mut bytes = Vec::new();
        encode::encode_ack(&mut bytes, channel, &Ack { delivery_tag, multiple });
        self.send(&bytes);
    }

    /// basic.nack.
    pub fn nack(&mut self, channel: u16, delivery_tag: u64, multiple: bool, requeue: bool) {
        let mut bytes = Vec::new();
        encode::encode_nack(&mut bytes, channel, &Nack { delivery_tag, multiple, requeue });
        self.send(&bytes);
    }

    /// tx.commit or tx.rollback.
    pub fn end_transaction(&mut self, commit: bool) {
        if commit {
            self.method(TX, tx::AMQPMethod::Commit(tx::Commit {}));
        } else {
            self.method(TX, tx::AMQPMethod::Rollback(tx::Rollback {}));
        }
    }

    /// The unacked deliveries of a channel that an ack with that tag covers.
    #[must_use]
    pub fn covered(&self, channel: u16, tag: u64, multiple: bool) -> Vec<((u16, u64), TokenKey)> {
        let first = if multiple { 0 } else { tag };
        self.unacked.range((channel, first)..=(channel, tag)).map(|(at, key)| (*at, key.clone())).collect()
    }
}
