//! The load: publishers that keep a window of unconfirmed messages, consumers that ack in their own rhythm.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread::Scope,
    time::Duration,
};

use leveret_tests::{
    client::{Client, Content, Event, message},
    describe::describe,
    ledger::{Delivery, Ledger, MessageId, body},
    methods::{Properties, basic, confirm, exchange, queue},
    wait::{PATIENCE, pass, until},
    wire::{Reader, Table},
};

use super::{LAST, Name};

const PUBLISHERS: usize = 4;
const QUEUES: usize = 6;
/// The queue that each consumer reads: queue 5 has two.
const CONSUMERS: [usize; 7] = [0, 1, 2, 3, 4, 5, 5];
const EXCHANGE: &str = "crash";
/// Unconfirmed messages a publisher keeps under way.
const WINDOW: usize = 200;
/// Unacked messages of a consumer.
const PREFETCH: u16 = 100;
/// Between two tries to connect: a broker that starts needs the processor itself.
const RECONNECT: Duration = Duration::from_millis(10);

/// The queues behind each routing key: from one to four.
const ROUTES: [&[usize]; 8] = [&[0], &[1, 2], &[0, 3, 4], &[1, 2, 4, 5], &[5], &[3], &[2, 5], &[0, 1, 3, 4]];

/// The queues that a message reaches.
pub(crate) fn route(id: MessageId) -> &'static [usize] {
    ROUTES[route_number(id)]
}

fn route_number(id: MessageId) -> usize {
    (id.publisher + id.number) % ROUTES.len()
}

fn queue_name(queue: usize) -> String {
    format!("crash-{queue}")
}

/// Makes the durable exchange, queues and bindings.
pub(crate) fn declare(address: SocketAddr) {
    let none = Table::default();
    let mut client = Client::login(address).expect("a login");
    client.open_channel(1).expect("a channel");
    let declare = exchange::declare(EXCHANGE, "direct", exchange::DURABLE, &none);
    client.call(1, declare, (40, 11)).expect("an exchange");
    for number in 0..QUEUES {
        let declare = queue::declare(&queue_name(number), queue::DURABLE, &none);
        client.call(1, declare, (50, 11)).expect("a queue");
    }
    for (key, queues) in ROUTES.iter().enumerate() {
        for number in *queues {
            let bind = queue::bind(&queue_name(*number), EXCHANGE, &key.to_string(), &none);
            client.call(1, bind, (50, 21)).expect("a binding");
        }
    }
}

/// All publishers and consumers, and what they share.
pub(crate) struct Load {
    pub(crate) ledger: Ledger,
    address: SocketAddr,
    publishing: AtomicBool,
    running: AtomicBool,
    publishers_left: AtomicUsize,
    /// Queues whose last message was seen.
    ended: Mutex<BTreeSet<usize>>,
    recovery_micros: AtomicU64,
}

impl Load {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            ledger: Ledger::new(PUBLISHERS, QUEUES, &CONSUMERS),
            address,
            publishing: AtomicBool::new(true),
            running: AtomicBool::new(true),
            publishers_left: AtomicUsize::new(PUBLISHERS),
            ended: Mutex::default(),
            recovery_micros: AtomicU64::new(20_000),
        }
    }

    /// Starts all threads.
    pub(crate) fn start<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        for number in 0..PUBLISHERS {
            scope.spawn(move || {
                self.publish_through_crashes(number);
                self.publishers_left.fetch_sub(1, Ordering::SeqCst);
            });
        }
        for number in 0..CONSUMERS.len() {
            scope.spawn(move || self.consume_through_crashes(number));
        }
    }

    /// No new messages; returns when every publisher has its outstanding confirms.
    pub(crate) fn stop_publishing(&self) {
        self.publishing.store(false, Ordering::SeqCst);
        until("the publishers end", PATIENCE, || {
            (self.publishers_left.load(Ordering::SeqCst) == 0).then_some(())
        });
    }

    /// Ends all threads.
    pub(crate) fn stop(&self) {
        self.publishing.store(false, Ordering::SeqCst);
        self.running.store(false, Ordering::SeqCst);
    }

    /// How long the last recovery took.
    pub(crate) fn recovery_time(&self) -> Duration {
        Duration::from_micros(self.recovery_micros.load(Ordering::Relaxed))
    }

    pub(crate) fn set_recovery_time(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.recovery_micros.store(micros, Ordering::Relaxed);
    }

    /// Puts a message behind all others into each queue.
    pub(crate) fn send_last_messages(&self) {
        let mut client = Client::login(self.address).expect("a login");
        client.open_channel(1).expect("a channel");
        client.call(1, confirm::select(), (85, 11)).expect("confirms");
        for number in 0..QUEUES {
            let place = ("", &*queue_name(number), 0);
            client.publish(1, place, &properties(LAST), b"").expect("a publish");
        }
        let mut outstanding = Outstanding::default();
        outstanding.expect((0..QUEUES).map(|number| MessageId { publisher: 0, number }));
        while !outstanding.is_empty() {
            assert!(outstanding.read(&mut client, |_| {}), "the last messages are confirmed");
        }
    }

    /// Whether the last message of every queue was seen.
    pub(crate) fn all_read(&self) -> bool {
        self.ended.lock().expect("no other thread panicked").len() == QUEUES
    }

    fn publish_through_crashes(&self, publisher: usize) {
        while self.publishing.load(Ordering::SeqCst) {
            let life = self.ledger.life();
            match self.publishing_client() {
                Ok(client) => self.publish_until_broken(client, publisher, life),
                Err(_) => pass(RECONNECT),
            }
        }
    }

    fn publishing_client(&self) -> std::io::Result<Client> {
        let mut client = Client::login(self.address)?;
        client.open_channel(1)?;
        client.call(1, confirm::select(), (85, 11))?;
        Ok(client)
    }

    /// Publishes until the broker dies, or until no more is wanted and all is confirmed.
    fn publish_until_broken(&self, mut client: Client, publisher: usize, life: u32) {
        let mut outstanding = Outstanding::default();
        loop {
            let publishing = self.publishing.load(Ordering::SeqCst);
            if publishing {
                let mut bytes = Vec::new();
                while outstanding.len() < WINDOW {
                    let id = self.ledger.publish(publisher, life);
                    bytes.extend(load_message(id, client.frame_max));
                    outstanding.expect([id]);
                }
                if client.send(&bytes).is_err() {
                    return self.read_last_confirms(&mut client, &mut outstanding);
                }
            } else if outstanding.is_empty() {
                return;
            }
            if !outstanding.read(&mut client, |id| self.ledger.confirm(id)) {
                return;
            }
        }
    }

    /// The broker died while it was written to; confirms that it had sent before still count.
    fn read_last_confirms(&self, client: &mut Client, outstanding: &mut Outstanding) {
        while outstanding.read(client, |id| self.ledger.confirm(id)) {}
    }

    fn consume_through_crashes(&self, number: usize) {
        while self.running.load(Ordering::SeqCst) {
            // An error is the broker's death; the next connection goes on.
            if self.consume_until_broken(number).is_err() {
                pass(RECONNECT);
            }
        }
    }

    fn consume_until_broken(&self, number: usize) -> std::io::Result<()> {
        let queue = CONSUMERS[number];
        let mut client = Client::login(self.address)?;
        client.open_channel(1)?;
        let life = self.ledger.life();
        client.call(1, basic::qos(0, PREFETCH, false), (60, 11))?;
        let consume = basic::consume(&queue_name(queue), "c", 0, &Table::default());
        client.call(1, consume, (60, 21))?;
        let mut rhythm = Rhythm::new(number);
        while self.running.load(Ordering::SeqCst) {
            let frame = match client.next(Duration::from_millis(50)) {
                Event::Frame(frame) => frame,
                Event::Silence => {
                    rhythm.ack_rest(&mut client)?;
                    continue;
                }
                Event::Closed => return Ok(()),
            };
            if frame.method() != Some((60, 60)) {
                self.ledger.altered(&format!("a consumer was told: {}", describe(&frame)));
                return Ok(());
            }
            let content = client.content(frame)?;
            let (tag, redelivered) = tag_and_flag(&content);
            self.note(number, queue, life, redelivered, &content);
            rhythm.settle(&mut client, tag, CONSUMERS.iter().filter(|q| **q == queue).count() == 1)?;
        }
        Ok(())
    }

    /// Writes a delivery into the book.
    fn note(&self, consumer: usize, queue: usize, life: u32, redelivered: bool, content: &Content) {
        match name(&content.properties) {
            Some(Name::Last) => {
                self.ended.lock().expect("no other thread panicked").insert(queue);
            }
            Some(Name::Message(id)) => {
                let sent = properties(&id.to_text()).bytes();
                let intact = content.properties == sent && content.body == body(id);
                self.ledger.deliver(Delivery { id, consumer, redelivered, intact, life });
            }
            None => self.ledger.altered("a message came whose id is not ours"),
        }
    }
}

/// How a consumer settles: runs of messages by one multiple ack, now and then a requeue.
struct Rhythm {
    salt: usize,
    received: usize,
    unsettled: usize,
    /// The latest tag that is neither acked nor requeued.
    last_tag: u64,
}

impl Rhythm {
    fn new(salt: usize) -> Self {
        static CONNECTIONS: AtomicU32 = AtomicU32::new(0);
        let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed) as usize;
        Self { salt: salt * 7 + connection, received: 0, unsettled: 0, last_tag: 0 }
    }

    /// Settles message `tag`, at once or with later ones. Requeues only when `alone`: with two consumers the other
    /// one may see a requeued message first, after later ones.
    fn settle(&mut self, client: &mut Client, tag: u64, alone: bool) -> std::io::Result<()> {
        self.received += 1;
        if alone && (self.received + self.salt).is_multiple_of(97) {
            return client.method(1, basic::nack(tag, false, true));
        }
        self.unsettled += 1;
        self.last_tag = tag;
        if self.unsettled > (self.received + self.salt) % 30 {
            return self.ack_rest(client);
        }
        Ok(())
    }

    fn ack_rest(&mut self, client: &mut Client) -> std::io::Result<()> {
        if self.unsettled == 0 {
            return Ok(());
        }
        self.unsettled = 0;
        client.method(1, basic::ack(self.last_tag, true))
    }
}

/// Messages sent on one confirming channel whose confirms have not come.
#[derive(Default)]
struct Outstanding {
    sequence: u64,
    waiting: std::collections::BTreeMap<u64, MessageId>,
}

impl Outstanding {
    /// The next messages that go out, in order.
    fn expect(&mut self, ids: impl IntoIterator<Item = MessageId>) {
        for id in ids {
            self.sequence += 1;
            self.waiting.insert(self.sequence, id);
        }
    }

    fn len(&self) -> usize {
        self.waiting.len()
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Reads one confirm and gives its messages to `confirmed`; false when the connection is at its end.
    fn read(&mut self, client: &mut Client, mut confirmed: impl FnMut(MessageId)) -> bool {
        let Event::Frame(frame) = client.next(PATIENCE) else {
            return false;
        };
        assert_eq!(frame.method(), Some((60, 80)), "a publisher gets acks and nothing else");
        let mut arguments = frame.arguments();
        let (tag, multiple) = (arguments.u64().expect("a tag"), arguments.bit().expect("a bit"));
        if multiple {
            let later = self.waiting.split_off(&(tag + 1));
            let done = std::mem::replace(&mut self.waiting, later);
            done.into_values().for_each(confirmed);
        } else if let Some(id) = self.waiting.remove(&tag) {
            confirmed(id);
        }
        true
    }
}

fn load_message(id: MessageId, frame_max: u32) -> Vec<u8> {
    let method = basic::publish(EXCHANGE, &route_number(id).to_string(), 0);
    message(1, &method, &properties(&id.to_text()), &body(id), frame_max)
}

fn properties(message_id: &str) -> Properties {
    Properties { message_id: Some(message_id.to_owned()), ..Properties::persistent() }
}

/// Delivery tag and redelivered flag of a `basic.deliver`.
fn tag_and_flag(content: &Content) -> (u64, bool) {
    let mut arguments = content.method.arguments();
    let mut read = || Some((arguments.short()?, arguments.u64()?, arguments.bit()?));
    let (_, tag, redelivered) = read().expect("a whole basic.deliver");
    (tag, redelivered)
}

/// Reads the message-id out of properties that hold delivery-mode and message-id.
fn name(properties: &[u8]) -> Option<Name> {
    let mut reader = Reader::new(properties);
    reader.u16()?;
    reader.u8()?;
    let text = reader.short()?;
    if text == LAST {
        return Some(Name::Last);
    }
    MessageId::from_text(&text).map(Name::Message)
}
