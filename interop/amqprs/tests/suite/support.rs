//! The broker's address, names of a test's own, and short ways to say what tests say often.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amqprs::callbacks::ChannelCallback;
use amqprs::channel::{
    BasicConsumeArguments, BasicGetArguments, BasicPublishArguments, Channel, ConfirmSelectArguments,
    ConsumerMessage, QueueDeclareArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::error::Error;
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, FieldTable, FieldValue, Nack, Return};
use async_trait::async_trait;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// Ends a wait in vain; nothing here is expected to take as long.
const LIMIT: Duration = Duration::from_secs(20);

/// How to connect, from `AMQP_URL` (its vhost is the default one).
pub(crate) fn address() -> OpenConnectionArguments {
    let url =
        std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@localhost:5672/%2f".to_owned());
    let rest = url.strip_prefix("amqp://").expect("an amqp address");
    let (login, rest) = rest.split_once('@').expect("a login");
    let (user, password) = login.split_once(':').expect("a password");
    let (host, _) = rest.split_once('/').expect("a vhost");
    let (host, port) = host.rsplit_once(':').unwrap_or((host, "5672"));
    OpenConnectionArguments::new(host, port.parse().expect("a port"), user, password)
}

/// A name that no other test uses.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("leveret-amqprs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What the broker tells a channel of its own accord.
#[derive(Debug)]
pub(crate) enum Told {
    Acked(u64, bool),
    Nacked(u64),
    Returned(u16, String, Vec<u8>),
    Cancelled(String),
    Closed(u16, String),
}

struct Listener(UnboundedSender<Told>);

impl Listener {
    fn tell(&self, told: Told) {
        // A test that has what it waits for listens no more.
        drop(self.0.send(told));
    }
}

#[async_trait]
impl ChannelCallback for Listener {
    async fn close(&mut self, _: &Channel, close: CloseChannel) -> Result<(), Error> {
        self.tell(Told::Closed(close.reply_code(), close.reply_text().clone()));
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, cancel: Cancel) -> Result<(), Error> {
        self.tell(Told::Cancelled(cancel.consumer_tag().clone()));
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, Error> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        self.tell(Told::Acked(ack.delivery_tag(), ack.mutiple()));
    }

    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        self.tell(Told::Nacked(nack.delivery_tag()));
    }

    async fn publish_return(&mut self, _: &Channel, returned: Return, _: BasicProperties, body: Vec<u8>) {
        self.tell(Told::Returned(returned.reply_code(), returned.reply_text().clone(), body));
    }
}

/// A channel on a connection of its own; it ends with this value.
pub(crate) struct Client {
    pub(crate) connection: Connection,
    pub(crate) channel: Channel,
    told: UnboundedReceiver<Told>,
}

impl Client {
    pub(crate) async fn open() -> Self {
        let connection = Connection::open(&address()).await.expect("connection");
        Self::on(connection).await
    }

    pub(crate) async fn on(connection: Connection) -> Self {
        let channel = connection.open_channel(None).await.expect("channel");
        let (sender, told) = mpsc::unbounded_channel();
        channel.register_callback(Listener(sender)).await.expect("callback");
        Self { connection, channel, told }
    }

    pub(crate) async fn confirming() -> Self {
        let client = Self::open().await;
        client.channel.confirm_select(ConfirmSelectArguments::default()).await.expect("confirm.select");
        client
    }

    /// What the broker tells next.
    pub(crate) async fn told(&mut self) -> Told {
        soon(self.told.recv()).await.expect("the channel's callbacks")
    }

    /// Waits until publish number `tag` is confirmed.
    pub(crate) async fn confirmed(&mut self, tag: u64) {
        loop {
            match self.told().await {
                Told::Acked(number, multiple) if number == tag || (multiple && number > tag) => return,
                Told::Acked(..) => {}
                other => panic!("{other:?} instead of an ack of {tag}"),
            }
        }
    }

    /// A queue that goes with its connection.
    pub(crate) async fn queue(&self, arguments: FieldTable) -> String {
        let name = unique();
        let declare = QueueDeclareArguments::new(&name).exclusive(true).arguments(arguments).finish();
        self.channel.queue_declare(declare).await.expect("declare-ok");
        name
    }

    /// Ready messages of a queue.
    pub(crate) async fn ready(&self, queue: &str) -> u32 {
        let declare = QueueDeclareArguments::new(queue).passive(true).finish();
        self.channel.queue_declare(declare).await.expect("declare-ok").expect("an answer").1
    }

    pub(crate) async fn send(&self, queue: &str, body: &str, properties: BasicProperties) {
        self.publish("", queue, body.as_bytes().to_vec(), properties, false).await;
    }

    pub(crate) async fn publish(
        &self,
        exchange: &str,
        key: &str,
        body: Vec<u8>,
        properties: BasicProperties,
        mandatory: bool,
    ) {
        let publish = BasicPublishArguments::new(exchange, key).mandatory(mandatory).finish();
        self.channel.basic_publish(properties, body, publish).await.expect("publish");
    }

    pub(crate) async fn get(
        &self,
        queue: &str,
        no_ack: bool,
    ) -> Option<(u64, bool, BasicProperties, String)> {
        let get = BasicGetArguments::new(queue).no_ack(no_ack).finish();
        let (ok, properties, body) = self.channel.basic_get(get).await.expect("get")?;
        Some((ok.delivery_tag(), ok.redelivered(), properties, String::from_utf8(body).expect("text")))
    }

    /// Deliveries of a new consumer.
    pub(crate) async fn consume(&self, queue: &str, no_ack: bool) -> UnboundedReceiver<ConsumerMessage> {
        let consume = BasicConsumeArguments::new(queue, &unique()).manual_ack(!no_ack).finish();
        self.channel.basic_consume_rx(consume).await.expect("consume-ok").1
    }
}

/// What comes within the limit.
pub(crate) async fn soon<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, wait).await.expect("nothing came")
}

/// Tag, redelivered mark, properties and text of the next delivery.
pub(crate) async fn next(
    from: &mut UnboundedReceiver<ConsumerMessage>,
) -> (u64, bool, BasicProperties, String) {
    let message = soon(from.recv()).await.expect("a consumer");
    let deliver = message.deliver.expect("deliver");
    let body = message.content.expect("content");
    let properties = message.basic_properties.expect("properties");
    (deliver.delivery_tag(), deliver.redelivered(), properties, String::from_utf8(body).expect("text"))
}

/// The texts of the next deliveries.
pub(crate) async fn texts(from: &mut UnboundedReceiver<ConsumerMessage>, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        texts.push(next(from).await.3);
    }
    texts
}

/// A table of some fields.
pub(crate) fn table<const N: usize>(fields: [(&str, FieldValue); N]) -> FieldTable {
    let mut table = FieldTable::new();
    for (name, value) in fields {
        table.insert(name.try_into().expect("short"), value);
    }
    table
}

/// A field of a table.
pub(crate) fn field(table: &FieldTable, name: &str) -> Option<FieldValue> {
    table.get(&name.try_into().expect("short")).cloned()
}
