//! The whole engine in one thread: plain mutexes, a disk in memory, and a log that syncs when a test says so.
//!
//! A [`World`] is one life of a broker; [`World::crash`] gives the next one. A [`Client`] is a session with the
//! frames it was sent. What a [`Client`] sends is taken at once; what it is sent is read by [`Client::frames`].

#![allow(dead_code, reason = "each test file uses its own part of the harness")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where what it needs is missing")]

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::Hash;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use bytes::{Buf, BytesMut};
use leveret_core::access::{Access, PasswordHash, Permission, User};
use leveret_core::definition::{Definition, VhostDefinition};
use leveret_core::ids::{MonotonicMillis, UnixMillis};
use leveret_engine::boot::{boot, is_first_start};
use leveret_engine::broker::Settings;
use leveret_engine::{
    Broker, Clock, Flow, Log, Peer, Registry, Seams, Session, Shared, SharedRw, Wake, WriteQueue,
};
use leveret_protocol::amqp::{
    AMQPClass, AMQPValue, FieldTable, basic, channel, confirm, connection, queue, tx,
};
use leveret_protocol::encode;
use leveret_protocol::frame::{FrameKind, parse_frame};
use leveret_protocol::method::{Ack, Method, Nack, Publish, decode_method};
use leveret_protocol::properties::{PropertyView, parse_content_header};
use leveret_storage::{CrashKeeps, DataDir, Gather, LogWriter, MemoryDisk, Position, StorageOptions};

/// The engine's seams for one thread of tests (or a few: the locks are real ones).
pub(crate) struct Plain;

impl Seams for Plain {
    type Lock<T: Send + 'static> = Locked<T>;
    type RwLock<T: Send + Sync + 'static> = RwLocked<T>;
    type Map<K: Hash + Eq + Ord + Clone + Send + Sync + 'static, V: Clone + Send + Sync + 'static> =
        Map<K, V>;
    type Waker = Wakes;
    type Log = HeldLog;
}

/// A mutex. Locking it twice on one thread is a fault of the engine's and fails the test.
pub(crate) struct Locked<T>(Arc<Mutex<T>>);

impl<T> Clone for Locked<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + 'static> Shared<T> for Locked<T> {
    fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    fn with<R>(&self, run: impl FnOnce(&mut T) -> R) -> R {
        run(&mut self.0.try_lock().expect("a lock is free when one thread asks for it"))
    }
}

/// A lock that readers share.
pub(crate) struct RwLocked<T>(Arc<RwLock<T>>);

impl<T> Clone for RwLocked<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + Sync + 'static> SharedRw<T> for RwLocked<T> {
    fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(value)))
    }

    fn read<R>(&self, run: impl FnOnce(&T) -> R) -> R {
        run(&self.0.try_read().expect("nobody writes"))
    }

    fn write<R>(&self, run: impl FnOnce(&mut T) -> R) -> R {
        run(&mut self.0.try_write().expect("nobody reads or writes"))
    }
}

/// A registry in order.
pub(crate) struct Map<K, V>(Mutex<BTreeMap<K, V>>);

impl<K, V> Registry<K, V> for Map<K, V>
where
    K: Hash + Eq + Ord + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn find<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + Ord + ?Sized,
    {
        self.0.lock().unwrap().get(key).cloned()
    }

    fn insert(&self, key: K, value: V) {
        let _before = self.0.lock().unwrap().insert(key, value);
    }

    fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + Ord + ?Sized,
    {
        self.0.lock().unwrap().remove(key)
    }

    fn values(&self) -> Vec<V> {
        self.0.lock().unwrap().values().cloned().collect()
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Counts the wakes of one connection's task.
#[derive(Clone, Default)]
pub(crate) struct Wakes(Arc<AtomicU64>);

impl Wake for Wakes {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    /// The wakes since the last look.
    pub(crate) fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// A real log on a disk in memory that syncs only when told to.
pub(crate) struct HeldLog {
    gather: Mutex<Gather>,
    writer: Mutex<LogWriter<MemoryDisk>>,
    synced: AtomicU64,
    /// Every append is written and synced at once, as far as the disk takes it.
    is_eager: AtomicBool,
    waiting: Mutex<Vec<(Position, Wakes)>>,
}

impl HeldLog {
    fn new(writer: LogWriter<MemoryDisk>) -> Self {
        Self {
            gather: Mutex::new(writer.gather()),
            synced: AtomicU64::new(writer.synced().0),
            writer: Mutex::new(writer),
            is_eager: AtomicBool::new(false),
            waiting: Mutex::new(Vec::new()),
        }
    }

    /// Writes and syncs what was appended, and wakes who waits for it.
    pub(crate) fn sync(&self) {
        let synced = self.writer.lock().unwrap().step(&mut self.gather.lock().unwrap()).unwrap();
        self.synced.store(synced.0, Ordering::Release);
        self.waiting.lock().unwrap().retain(|(position, waker)| {
            if *position <= synced {
                waker.wake();
            }
            *position > synced
        });
    }
}

impl Log for HeldLog {
    type Waker = Wakes;

    fn append<R>(&self, append: impl FnOnce(&mut Gather) -> R) -> R {
        let mut gather = self.gather.try_lock().expect("the log's buffer is a leaf");
        let result = append(&mut gather);
        if self.is_eager.load(Ordering::Relaxed)
            && let Ok(synced) = self.writer.lock().unwrap().step(&mut gather)
        {
            self.synced.store(synced.0, Ordering::Release);
        }
        result
    }

    fn synced(&self) -> Position {
        Position(self.synced.load(Ordering::Acquire))
    }

    fn wake_when_synced(&self, position: Position, waker: &Wakes) {
        if position <= self.synced() {
            waker.wake();
        } else {
            self.waiting.lock().unwrap().push((position, waker.clone()));
        }
    }

    fn backlog_bytes(&self) -> usize {
        self.gather.lock().unwrap().bytes()
    }
}

/// A clock that stands until a test steps it.
#[derive(Clone)]
pub(crate) struct StandingClock(Arc<AtomicU64>);

impl StandingClock {
    fn as_engine(&self) -> Clock {
        let (steady, of_day) = (Arc::clone(&self.0), Arc::clone(&self.0));
        Clock {
            steady: Box::new(move || UnixMillis(steady.load(Ordering::Relaxed))),
            of_day: Box::new(move || UnixMillis(of_day.load(Ordering::Relaxed))),
        }
    }
}

/// One life of a broker.
pub(crate) struct World {
    /// The broker.
    pub(crate) broker: Arc<Broker<Plain>>,
    /// Nothing was there: the first user is to be made.
    pub(crate) first_start: bool,
    clock: StandingClock,
    disk: MemoryDisk,
    dir: Option<DataDir<MemoryDisk>>,
}

impl World {
    /// A new broker with guest and the vhost `/`.
    pub(crate) fn new() -> Self {
        let clock = StandingClock(Arc::new(AtomicU64::new(1_000_000)));
        let world = Self::start(MemoryDisk::new(1), clock);
        let name = "guest";
        let definitions = [
            Definition::Vhost(VhostDefinition::new("/".into())),
            Definition::User(User {
                name: name.into(),
                password: PasswordHash::salted_sha256([1, 2, 3, 4], b"guest"),
                tags: vec!["administrator".into()],
            }),
            Definition::Permission(Permission {
                vhost: "/".into(),
                user: name.into(),
                configure: ".*".into(),
                write: ".*".into(),
                read: ".*".into(),
            }),
        ];
        world.broker.create_defaults(&definitions).unwrap();
        world.sync();
        world
    }

    fn start(disk: MemoryDisk, clock: StandingClock) -> Self {
        let options = StorageOptions { slot_bytes: Some(1 << 20), ..StorageOptions::default() };
        let dir = DataDir::open(disk.clone(), Path::new("/data"), options).unwrap();
        let (booted, recovered) = boot::<Plain, MemoryDisk>(&dir, None, Access::new([])).unwrap();
        let first_start = is_first_start(&booted);
        let log = HeldLog::new(LogWriter::open(&dir, recovered.tail).unwrap());
        let random = AtomicU64::new(0);
        let entropy = move || u128::from(random.fetch_add(1, Ordering::Relaxed)).to_le_bytes();
        let broker =
            Arc::new(Broker::new(Settings::default(), booted, log, Box::new(entropy), clock.as_engine()));
        Self { broker, clock, first_start, disk, dir: Some(dir) }
    }

    /// Lets time go by with no look at what is due.
    pub(crate) fn step_clock(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    /// So many bytes may wait for the log. Only while there are no clients.
    pub(crate) fn set_log_backlog(&mut self, bytes: usize) {
        Arc::get_mut(&mut self.broker).expect("nobody else holds it").settings.log_backlog_bytes = bytes;
    }

    /// Lets time go by, and calls the queues that are due as the shell's timer does.
    pub(crate) fn pass(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
        while self.broker.next_deadline().is_some_and(|at| at.0 <= self.clock.0.load(Ordering::Relaxed)) {
            self.broker.tick();
        }
    }

    /// Syncs the log.
    pub(crate) fn sync(&self) {
        self.broker.log.sync();
    }

    /// From now on every append goes to the disk at once, and the power goes after so many changes of the disk. The
    /// broker does not notice: what it appends then is lost.
    pub(crate) fn power_off_after(&self, changes: u64) {
        self.broker.log.is_eager.store(true, Ordering::Relaxed);
        self.disk.power_off(changes);
    }

    /// Changes of the disk so far.
    pub(crate) fn disk_changes(&self) -> u64 {
        self.disk.changes()
    }

    /// As [`World::crash`], with a choice of what the disk keeps.
    pub(crate) fn crash_keeping(mut self, keeps: CrashKeeps) -> Self {
        let disk = self.disk.crash(keeps);
        self.dir = None;
        Self::start(disk, self.clock)
    }

    /// As [`World::crash`], with the next life so many milliseconds later.
    pub(crate) fn crash_after(self, ms: u64) -> Self {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
        self.crash()
    }

    /// The power goes; what was synced is there in the next life. Clients must be dropped before or after.
    pub(crate) fn crash(self) -> Self {
        self.crash_keeping(CrashKeeps::Nothing)
    }

    /// Ready and unacked messages of a queue; None if it is not there.
    pub(crate) fn counts(&self, queue: &str) -> Option<(u64, u64)> {
        let vhost = self.broker.vhosts.find("/")?;
        let totals = vhost.queue(&queue.into())?.with(|cell| cell.totals());
        Some((totals.ready, totals.unacked))
    }

    /// A client that has sent nothing yet.
    pub(crate) fn stranger(&self) -> Client {
        let peer = Peer {
            host: [127, 0, 0, 1].into(),
            port: 1,
            local_host: [127, 0, 0, 1].into(),
            local_port: 5672,
            connected_at: UnixMillis(0),
            tls: None,
        };
        let wakes = Wakes::default();
        let session = Session::new(&self.broker, peer, wakes.clone(), MonotonicMillis(0));
        Client { session, wakes, now: MonotonicMillis(0), unread: BytesMut::new() }
    }

    /// A client that has logged in.
    pub(crate) fn client(&self) -> Client {
        self.client_in("/")
    }

    /// A client that has logged in to that vhost.
    pub(crate) fn client_in(&self, vhost: &str) -> Client {
        let mut client = self.stranger();
        client.bytes(b"AMQP\0\0\x09\x01");
        let capabilities = client_properties();
        client.method(
            0,
            connection::AMQPMethod::StartOk(connection::StartOk {
                client_properties: capabilities,
                mechanism: "PLAIN".into(),
                response: "\0guest\0guest".into(),
                locale: "en_US".into(),
            }),
        );
        client.method(
            0,
            connection::AMQPMethod::TuneOk(connection::TuneOk {
                channel_max: 2047,
                frame_max: 131_072,
                heartbeat: 60,
            }),
        );
        client.method(0, connection::AMQPMethod::Open(connection::Open { virtual_host: vhost.into() }));
        assert!(client.session.is_open(), "the login works");
        client.frames();
        client
    }
}

fn client_properties() -> FieldTable {
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
    unread: BytesMut,
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

use leveret_protocol::amqp::exchange;
classes!(connection => Connection, channel => Channel, exchange => Exchange, queue => Queue, basic => Basic,
    confirm => Confirm, tx => Tx);

impl Client {
    /// Sends bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Flow {
        let mut input = BytesMut::from(bytes);
        self.session.input(&mut input, self.now)
    }

    /// Sends a method.
    pub(crate) fn method(&mut self, channel: u16, method: impl IntoClass) -> Flow {
        let mut bytes = Vec::new();
        encode::encode_method(&mut bytes, channel, method.into_class()).unwrap();
        self.bytes(&bytes)
    }

    /// The task was woken, if it was.
    pub(crate) fn wake(&mut self) {
        if self.wakes.take() > 0 {
            self.session.woken(self.now);
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
        }
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
