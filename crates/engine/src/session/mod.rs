//! One client connection, without its socket: bytes in, bytes out, and everything between.
//!
//! The connection's task owns a [`Session`]. It feeds what it read to [`Session::input`], writes what
//! [`Session::take_output`] gives, and calls [`Session::woken`], [`Session::tick`] and [`Session::flushed`] when
//! they are due. Nothing here blocks or reads a clock.

mod acks;
mod ahead;
mod blocking;
mod channels;
mod close;
mod consume;
mod content;
mod handshake;
mod held;
mod later;
mod methods;
mod publish;
mod replies;
mod reply_to;
mod transaction;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::BytesMut;
use foldhash::fast::RandomState;
use leveret_core::BrokerError;
use leveret_core::access::sasl::Origin;
use leveret_core::channel::Channel;
use leveret_core::connection::{Connection, Due, Phase, TlsFacts};
use leveret_core::ids::{ConnectionId, MonotonicMillis, UnixMillis};
use leveret_core::limits;
use leveret_core::names::UserName;
use leveret_protocol::amqp::AMQPClass;
use leveret_protocol::error::DecodeErrorKind;
use leveret_protocol::frame::{FrameKind, parse_frame};
use leveret_protocol::protocol_header::{GARBAGE_REPLY, HeaderVerdict, check_protocol_header};
use leveret_protocol::{DecodeError, encode};
use leveret_storage::Position;

use crate::broker::{Broker, ChannelCounters, ConnectionEntry};
use crate::outbox::{Notice, OutboxRef, WriteQueue};
use crate::queue::QueueRef;
use crate::seams::{Log, Registry, Seams};
use crate::vhost::Vhost;

pub(crate) use replies::write_method;
pub use reply_to::ReplyTarget;
pub(crate) use reply_to::{REPLY_PREFIX, REPLY_TO};

/// What the connection's task does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Goes on.
    Go,
    /// Writes what is left, then closes the socket.
    CloseAfterFlush,
    /// Writes what is left, then leaves it to the client to close the socket: it has close-ok, and a socket that
    /// ends before all of the client's threads know would look like a lost connection to them.
    AwaitClose,
    /// Closes the socket at once.
    Close,
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The client's address.
    pub host: IpAddr,
    /// The client's port.
    pub port: u16,
    /// The address it was accepted on.
    pub local_host: IpAddr,
    /// The port it was accepted on.
    pub local_port: u16,
    /// When it was accepted.
    pub connected_at: UnixMillis,
    /// What its TLS handshake gave; `None` over plain TCP.
    pub tls: Option<Arc<TlsFacts>>,
}

impl Peer {
    /// RabbitMQ's name of a connection.
    #[must_use]
    pub fn connection_name(&self) -> String {
        format!("{}:{} -> {}:{}", self.host, self.port, self.local_host, self.local_port)
    }

    /// Where it comes from, for those who decide on its login.
    pub(crate) fn origin(&self) -> Origin<'_> {
        Origin { is_loopback: self.is_loopback(), tls: self.tls.as_deref() }
    }

    /// Whether the client is on this machine, IPv4 mapped into IPv6 included.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host {
            IpAddr::V4(host) => host.is_loopback(),
            IpAddr::V6(host) => {
                host.is_loopback() || host.to_ipv4_mapped().is_some_and(|mapped| mapped.is_loopback())
            }
        }
    }
}

/// A channel of this connection.
struct SessionChannel<S: Seams> {
    core: Channel,
    content: content::PendingContent,
    transaction: transaction::Transaction<S>,
    held: held::HeldReplies<S>,
    /// The client closed it; it goes once its close-ok has left.
    leaving: bool,
    /// The client's channel.close crossed ours.
    crossed: bool,
    counters: Arc<ChannelCounters>,
    /// It stands among the session's waiting channels.
    is_waiting: bool,
}

impl<S: Seams> SessionChannel<S> {
    fn new(held: held::HeldReplies<S>) -> Self {
        Self {
            core: Channel::default(),
            content: content::PendingContent::default(),
            transaction: transaction::Transaction::default(),
            held,
            leaving: false,
            crossed: false,
            counters: Arc::default(),
            is_waiting: false,
        }
    }
}

/// An error with the method that caused it, as channel.close and connection.close name it.
struct Failure {
    error: BrokerError,
    class_id: u16,
    method_id: u16,
    channel: u16,
    /// What follows in the input can no longer be read as frames.
    desynchronized: bool,
}

impl Failure {
    fn new(error: BrokerError, channel: u16, (class_id, method_id): (u16, u16)) -> Self {
        Self { error, class_id, method_id, channel, desynchronized: false }
    }
}

/// One client connection.
pub struct Session<S: Seams> {
    broker: Arc<Broker<S>>,
    id: ConnectionId,
    peer: Peer,
    header_seen: bool,
    connection: Connection,
    outbox: OutboxRef<S>,
    entry: Arc<ConnectionEntry<S>>,
    /// Bytes of the input that the last reading left there.
    left_over: usize,
    user: Option<UserName>,
    vhost: Option<Arc<Vhost<S>>>,
    channels: HashMap<u16, SessionChannel<S>, RandomState>,
    /// Channels whose confirms or replies wait for the log.
    waiting: Vec<u16>,
    waits_until: Option<Position>,
    /// The position at which a publisher that the log holds back is woken.
    catches_up_at: Option<Position>,
    publisher: publish::Publisher<S>,
    acks: acks::AckBatch<S>,
    /// Queues whose given up messages this session is to move.
    claimed: Vec<QueueRef<S>>,
    reply_consumers: reply_to::ReplyConsumers,
    blocked: bool,
    /// Queues that hold it back, since it is far ahead of their consumers.
    held_by: Vec<ahead::HeldBy<S>>,
    /// What waits, and everything behind it.
    later: Option<later::Later<S>>,
    /// It was answered, and what the input held behind it is still to be performed.
    is_resumed: bool,
    /// Bytes of answers, got and returned messages since the socket last took everything.
    answered_bytes: usize,
    /// The client closed the connection; close-ok waits for the log.
    peer_closing: bool,
    flow: Flow,
    ended: bool,
}

impl<S: Seams> Session<S> {
    /// A connection that was just accepted. Its waker is called when [`Session::woken`] is due.
    #[must_use]
    pub fn new(broker: &Arc<Broker<S>>, peer: Peer, waker: S::Waker, now: MonotonicMillis) -> Self {
        let id = broker.next_connection_id();
        let outbox = OutboxRef::new(waker);
        let entry = Arc::new(ConnectionEntry::new(id, peer.clone(), outbox.clone()));
        broker.connections.insert(id, Arc::clone(&entry));
        Self {
            broker: Arc::clone(broker),
            id,
            header_seen: false,
            connection: Connection::new(broker.settings.tuning.clone(), now),
            peer,
            outbox,
            entry,
            left_over: 0,
            user: None,
            vhost: None,
            channels: HashMap::default(),
            waiting: Vec::new(),
            waits_until: None,
            catches_up_at: None,
            publisher: publish::Publisher::default(),
            acks: acks::AckBatch::default(),
            claimed: Vec::new(),
            reply_consumers: reply_to::ReplyConsumers::default(),
            blocked: false,
            held_by: Vec::new(),
            later: None,
            is_resumed: false,
            answered_bytes: 0,
            peer_closing: false,
            flow: Flow::Go,
            ended: false,
        }
    }

    /// Takes what was read. Whole frames are consumed; the rest of one stays in `buf` for the next call.
    pub fn input(&mut self, buf: &mut BytesMut, now: MonotonicMillis) -> Flow {
        self.connection.heartbeat().received(now);
        self.entry.counters.read(buf.len().saturating_sub(self.left_over));
        let flow = self.take_input(buf, now);
        self.left_over = buf.len();
        flow
    }

    fn take_input(&mut self, buf: &mut BytesMut, now: MonotonicMillis) -> Flow {
        if !self.header_seen && !self.take_header(buf) {
            return self.flow;
        }
        while self.flow == Flow::Go && !self.peer_closing && self.later.is_none() {
            match self.step(buf, now) {
                Ok(true) => {}
                Ok(false) => break,
                Err(failure) => self.fail(failure, now),
            }
        }
        if self.flow != Flow::Go || self.peer_closing {
            // Nothing counts behind a close.
            buf.clear();
        }
        self.release();
        self.flow
    }

    fn take_header(&mut self, buf: &mut BytesMut) -> bool {
        match check_protocol_header(buf) {
            HeaderVerdict::NeedMore => false,
            HeaderVerdict::Amqp091 => {
                _ = buf.split_to(8);
                self.header_seen = true;
                let settings = &self.broker.settings;
                let offered = settings.sasl.offered(self.peer.origin());
                let start = Connection::start(&settings.announcement, &offered);
                self.send(0, start);
                true
            }
            HeaderVerdict::Reply(header) => self.refuse_header(header, buf),
            HeaderVerdict::Http => self.not_amqp("an HTTP request", buf),
            HeaderVerdict::Tls => self.not_amqp("a TLS handshake", buf),
        }
    }

    fn not_amqp(&mut self, what: &str, buf: &mut BytesMut) -> bool {
        tracing::warn!(connection = %self.name(), "{what} came in on the AMQP port");
        self.refuse_header(GARBAGE_REPLY, buf)
    }

    fn refuse_header(&mut self, header: [u8; 8], buf: &mut BytesMut) -> bool {
        self.outbox.with(|outbox| outbox.out.tail().extend_from_slice(&header));
        buf.clear();
        self.flow = Flow::CloseAfterFlush;
        false
    }

    /// Performs the next run of publishes, run of acks, or single frame. False if more bytes are needed.
    fn step(&mut self, buf: &mut BytesMut, now: MonotonicMillis) -> Result<bool, Failure> {
        if self.connection.phase() == Phase::Running {
            if self.scan_publishes(buf) {
                let scanned = buf.split_to(self.publisher.scanned()).freeze();
                self.publish_scanned(scanned)?;
                return Ok(true);
            }
            if let Some(scanned) = self.scan_acks(buf) {
                _ = buf.split_to(scanned);
                self.apply_acks()?;
                return Ok(true);
            }
        }
        let parsed =
            parse_frame(buf, self.connection.frame_max()).map_err(|e| Self::framing_failure(&e, buf))?;
        let Some((frame, used)) = parsed else { return Ok(false) };
        let misplaced = frame.check_channel().map_err(|error| Self::framing_failure(&error, frame.payload));
        let (kind, channel, payload_len) = (frame.kind, frame.channel, frame.payload.len());
        let bytes = buf.split_to(used).freeze();
        let payload = bytes.slice(7..7 + payload_len);
        // Only once the frame is taken from the input: the next call must not meet it again.
        misplaced?;
        match (kind, channel) {
            (FrameKind::Heartbeat, _) => Ok(()),
            (FrameKind::Method, 0) => self.connection_method(&payload, now),
            (FrameKind::Method, _) => self.channel_method(channel, &payload),
            (FrameKind::Header, _) => self.content_header(channel, &payload),
            (FrameKind::Body, _) => self.content_body(channel, payload),
        }?;
        Ok(true)
    }

    fn framing_failure(error: &DecodeError, buf: &[u8]) -> Failure {
        let mut failure = methods::decode_failure(error, buf);
        failure.desynchronized = !matches!(error.kind, DecodeErrorKind::WrongChannel(_));
        failure
    }

    /// The task was woken: notices from others, syncs of the log.
    pub fn woken(&mut self, now: MonotonicMillis) -> Flow {
        let notices = self.outbox.with(|outbox| std::mem::take(&mut outbox.notices));
        for notice in notices {
            match notice {
                Notice::ConsumerGone { channel, key } => self.consumer_gone(channel, key),
                Notice::Close(error) => _ = self.shut_down(error, now),
            }
        }
        self.unblock_if_cleared();
        self.go_on_if_released();
        if self.later.is_some() {
            self.release();
            self.perform_later(now);
        }
        self.release();
        if self.peer_closing && self.waiting.is_empty() && self.flow == Flow::Go {
            self.answer_close();
        }
        self.flow
    }

    /// Goes on with the rest of the input, if [`Session::woken`] has answered what it waited behind.
    pub fn resume(&mut self, buf: &mut BytesMut, now: MonotonicMillis) -> Flow {
        if std::mem::take(&mut self.is_resumed) && self.flow == Flow::Go {
            let flow = self.take_input(buf, now);
            self.left_over = buf.len();
            return flow;
        }
        self.flow
    }

    /// When [`Session::tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<MonotonicMillis> {
        self.connection.deadline()
    }

    /// A deadline passed: heartbeats and time-outs.
    pub fn tick(&mut self, now: MonotonicMillis) -> Flow {
        if self.connection.timed_out(now) {
            self.flow = Flow::Close;
        } else if self.connection.phase() == Phase::Running {
            if self.blocked || self.is_ahead() || self.later.is_some() || self.log_is_behind() {
                // What the peer sends is not read now, so its silence says nothing.
                self.connection.heartbeat().received(now);
            }
            match self.connection.heartbeat().due(now) {
                Due::Nothing => {}
                Due::PeerGone => self.flow = Flow::Close,
                Due::Send => {
                    self.outbox.with(|outbox| encode::encode_heartbeat(outbox.out.tail()));
                    self.connection.heartbeat().sent(now);
                }
            }
        }
        self.flow
    }

    /// Moves what is to be written; only when nothing is left of the last time.
    pub fn take_output(&mut self, into: &mut WriteQueue) {
        let bytes = self.outbox.with(|outbox| {
            let bytes = outbox.out.len();
            outbox.take(into);
            bytes
        });
        self.entry.counters.written(bytes);
    }

    /// Everything taken was written: consumers that waited for room go on.
    pub fn flushed(&mut self, now: MonotonicMillis) {
        self.connection.heartbeat().sent(now);
        self.answered_bytes = 0;
        let stalled = self.outbox.with(|outbox| std::mem::take(&mut outbox.stalled));
        for (queue, key) in stalled {
            self.broker.work(&queue, |cell, around| cell.resume(around, key));
        }
    }

    /// Whether the task may read more: not while this publisher is blocked, or far ahead of consumers, or too much waits
    /// for the log.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.blocked
            && !self.is_ahead()
            && self.later.is_none()
            && !self.log_is_behind()
            && self.answered_bytes < limits::UNREAD_ANSWER_BYTES
            && self.waiting.iter().all(|number| {
                self.channels.get(number).is_none_or(|c| c.held.bytes() < limits::HELD_REPLY_BYTES)
            })
    }

    fn log_is_behind(&self) -> bool {
        let broker = &self.broker;
        broker.log.backlog_bytes() + broker.spill.backlog_bytes() >= broker.settings.log_backlog_bytes
    }

    /// For a task that is held back by the log: asks for a wake once it has caught up.
    pub fn wake_when_log_catches_up(&mut self) {
        let synced = self.broker.log.synced();
        if self.log_is_behind() && self.catches_up_at.is_none_or(|position| position <= synced) {
            let spill = &self.broker.spill;
            if spill.backlog_bytes() > self.broker.log.backlog_bytes() {
                let position = spill.append(|gather| gather.last_position());
                spill.wake_when_synced(position, self.outbox.waker());
                return;
            }
            let position = self.broker.last_position();
            self.catches_up_at = Some(position);
            self.broker.log.wake_when_synced(position, self.outbox.waker());
        }
    }

    /// The connection's number.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Whether login and vhost are done.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.connection.phase() == Phase::Running
    }

    /// Why the connection is being closed can be told by this name in logs.
    #[must_use]
    pub fn name(&self) -> String {
        self.peer.connection_name()
    }

    fn vhost(&self) -> Result<Arc<Vhost<S>>, BrokerError> {
        self.vhost.clone().ok_or_else(|| BrokerError::internal("connection has no vhost"))
    }

    fn send(&mut self, channel: u16, method: AMQPClass) {
        let bytes = self.outbox.with(|outbox| {
            let out = outbox.out.tail();
            let before = out.len();
            write_method(out, channel, method);
            out.len() - before
        });
        self.answered_bytes += bytes;
    }
}
