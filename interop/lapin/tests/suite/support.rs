//! What the tests share: connections, unique names, waiting, and what a refusal says.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_lite::{FutureExt, StreamExt};
use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, Error, ErrorKind, ExchangeKind,
    Result,
};

/// How long anything may take before its test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// The broker under test, for one test: opens connections and deletes what was named.
pub struct Broker {
    queues: Mutex<Vec<ShortString>>,
    exchanges: Mutex<Vec<ShortString>>,
}

/// Run one test to its end, then delete what it declared, then say how it went.
pub fn run(test: impl AsyncFnOnce(&Broker)) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let broker = Broker { queues: Mutex::default(), exchanges: Mutex::default() };
    let result = runtime.block_on(async {
        let result = AssertUnwindSafe(in_time("the test", test(&broker))).catch_unwind().await;
        broker.clean_up().await;
        result
    });
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// What `future` gives, unless it takes too long.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took more than {} s", PATIENCE.as_secs()),
    }
}

/// The broker's address, with options such as `heartbeat=5` added.
pub fn url(options: &str) -> String {
    let base =
        std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@localhost:5672/%2f".to_owned());
    if options.is_empty() { base } else { format!("{base}?{options}") }
}

/// A name nobody else uses.
pub fn unique() -> ShortString {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    let process = std::process::id();
    format!("leveret-lapin-{process}-{}-{number}", now.as_nanos()).into()
}

impl Broker {
    /// A connection with the URI options given.
    pub async fn connect_with(&self, options: &str) -> Result<Connection> {
        let properties = ConnectionProperties::default();
        in_time("connecting", Connection::connect(&url(options), properties)).await
    }

    /// A connection.
    pub async fn connect(&self) -> Connection {
        self.connect_with("").await.expect("a connection")
    }

    /// A connection and a channel on it.
    pub async fn open(&self) -> (Connection, Channel) {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        (connection, channel)
    }

    /// A queue that every connection sees, deleted after the test.
    pub async fn queue(&self, channel: &Channel, durable: bool, kind: &str) -> ShortString {
        let name = unique();
        self.queues.lock().expect("names").push(name.clone());
        let options = QueueDeclareOptions { durable, ..QueueDeclareOptions::default() };
        let arguments = table([("x-queue-type", text(kind))]);
        channel.queue_declare(name.clone(), options, arguments).await.expect("a queue");
        name
    }

    /// An exchange, deleted after the test.
    pub async fn exchange(&self, channel: &Channel, kind: ExchangeKind) -> ShortString {
        self.exchange_with(channel, kind, FieldTable::default()).await
    }

    /// An exchange with arguments, deleted after the test.
    pub async fn exchange_with(
        &self,
        channel: &Channel,
        kind: ExchangeKind,
        arguments: FieldTable,
    ) -> ShortString {
        let name = unique();
        self.exchanges.lock().expect("names").push(name.clone());
        channel
            .exchange_declare(name.clone(), kind, Default::default(), arguments)
            .await
            .expect("an exchange");
        name
    }

    async fn clean_up(&self) {
        let queues = std::mem::take(&mut *self.queues.lock().expect("names"));
        let exchanges = std::mem::take(&mut *self.exchanges.lock().expect("names"));
        if queues.is_empty() && exchanges.is_empty() {
            return;
        }
        let (connection, channel) = self.open().await;
        for name in queues {
            channel.queue_delete(name, Default::default()).await.expect("the queue's end");
        }
        for name in exchanges {
            channel.exchange_delete(name, Default::default()).await.expect("the exchange's end");
        }
        close(&connection).await;
    }
}

/// Close in the ordinary way.
pub async fn close(connection: &Connection) {
    connection.close(200, "OK".into()).await.expect("close-ok");
}

/// A queue of this connection's own, named by the server.
pub async fn private_queue(channel: &Channel) -> ShortString {
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await.expect("a queue");
    queue.name().clone()
}

/// Bind and wait for the answer.
pub async fn bind(channel: &Channel, queue: &ShortString, exchange: &ShortString, key: &str) {
    channel
        .queue_bind(queue.clone(), exchange.clone(), key.into(), Default::default(), FieldTable::default())
        .await
        .expect("bind-ok");
}

/// Publish without looking at confirms.
pub async fn publish(channel: &Channel, exchange: &str, key: &str, body: &[u8]) {
    publish_with(channel, exchange, key, body, BasicProperties::default()).await;
}

/// Publish with properties, without looking at confirms.
pub async fn publish_with(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &[u8],
    properties: BasicProperties,
) {
    channel
        .basic_publish(exchange.into(), key.into(), BasicPublishOptions::default(), body, properties)
        .await
        .expect("published");
}

/// Publish `bodies` to a queue and wait until they are there.
pub async fn send(channel: &Channel, queue: &ShortString, bodies: &[&str]) {
    let before = count_ready(channel, queue).await;
    for body in bodies {
        publish(channel, "", queue.as_str(), body.as_bytes()).await;
    }
    let more = u32::try_from(bodies.len()).expect("a few");
    wait_ready(channel, queue, before + more).await;
}

/// The passive declaration of a queue.
pub fn passive() -> QueueDeclareOptions {
    QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() }
}

/// How many messages of the queue are ready.
pub async fn count_ready(channel: &Channel, queue: &ShortString) -> u32 {
    let queue =
        channel.queue_declare(queue.clone(), passive(), FieldTable::default()).await.expect("the queue");
    queue.message_count()
}

/// Wait until exactly `count` messages are ready.
pub async fn wait_ready(channel: &Channel, queue: &ShortString, count: u32) {
    in_time("the ready count", async {
        while count_ready(channel, queue).await != count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Get one message, waiting for it.
pub async fn take(channel: &Channel, queue: &ShortString, no_ack: bool) -> BasicGetMessage {
    in_time("a message", async {
        loop {
            let got = channel
                .basic_get(queue.clone(), BasicGetOptions { no_ack })
                .await
                .expect("get-ok or get-empty");
            if let Some(message) = got {
                return message;
            }
        }
    })
    .await
}

/// Get `count` bodies as text, and see that nothing is left.
pub async fn take_all(channel: &Channel, queue: &ShortString, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        bodies.push(body_of(&take(channel, queue, true).await.delivery));
    }
    assert!(
        channel
            .basic_get(queue.clone(), BasicGetOptions { no_ack: true })
            .await
            .expect("get-empty")
            .is_none(),
        "{queue} holds more than {count}"
    );
    bodies
}

/// A consumer with default options.
pub async fn consume(channel: &Channel, queue: &ShortString) -> Consumer {
    consume_with(channel, queue, Default::default(), FieldTable::default()).await.expect("consume-ok")
}

/// A consumer whose tag the server makes up.
pub async fn consume_with(
    channel: &Channel,
    queue: &ShortString,
    options: BasicConsumeOptions,
    arguments: FieldTable,
) -> Result<Consumer> {
    channel.basic_consume(queue.clone(), "".into(), options, arguments).await
}

/// The next delivery.
pub async fn next(consumer: &mut Consumer) -> Delivery {
    in_time("a delivery", consumer.next()).await.expect("the consumer goes on").expect("a delivery")
}

/// The bodies of the next `count` deliveries, unacked.
pub async fn next_bodies(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        bodies.push(body_of(&next(consumer).await));
    }
    bodies
}

/// A delivery's body as text.
pub fn body_of(delivery: &Delivery) -> String {
    String::from_utf8(delivery.data.clone()).expect("text")
}

/// The reply code and text of an error that the broker sent.
pub fn refusal(error: &Error) -> (u16, String) {
    match error.kind() {
        ErrorKind::ProtocolError(error) => (error.get_id(), error.get_message().to_string()),
        other => panic!("not the broker's refusal: {other:?}"),
    }
}

/// Check that the broker refused with this code and text.
pub fn assert_refused<T>(result: Result<T>, code: u16, text: &str) {
    match result {
        Ok(_) => panic!("not refused, where {code} {text} was expected"),
        Err(error) => assert_eq!(refusal(&error), (code, text.to_owned())),
    }
}

/// A field table.
pub fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let entries = entries.map(|(key, value)| (ShortString::from(key), value));
    FieldTable::from(BTreeMap::from(entries))
}

/// A long string value.
pub fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}
