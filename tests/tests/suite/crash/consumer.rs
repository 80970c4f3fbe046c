//! A consumer: notes what comes, and acks, nacks and rejects in a random rhythm until the broker dies.

use std::{
    collections::{BTreeMap, VecDeque},
    io, mem,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use leveret_tests::{
    client::{Client, Content, Event},
    describe::describe,
    ledger::{Delivery, MessageId, body},
    methods::{basic, connection},
    wait::{PATIENCE, pass},
    wire::{Frame, Table},
};

use super::{
    Random,
    load::Load,
    publisher::is_farewell,
    topology::{CONSUMERS, Name, queue_name},
};

/// Unacked messages of a consumer.
pub(super) const PREFETCH: u16 = 100;
const PAUSE: Duration = Duration::from_millis(20);
const TAG: &str = "c";

/// Reads the queue until the broker dies, the load ends or the queue is to go unread.
pub(super) fn run(load: &Load, number: usize) -> io::Result<()> {
    let queue = CONSUMERS[number];
    if !load.is_read(queue) {
        pass(PAUSE);
        return Ok(());
    }
    let mut client = Client::login(load.address)?;
    client.open_channel(1)?;
    let life = load.ledger.life();
    client.call(1, basic::qos(0, PREFETCH, false), (60, 11))?;
    client.call(1, basic::consume(&queue_name(queue), TAG, 0, &Table::default()), (60, 21))?;
    let mut consumer = Consumer { load, number, queue, life, client, settling: Settling::new(number) };
    while load.is_running() {
        if !load.is_read(queue) {
            return consumer.leave();
        }
        match consumer.client.next(PAUSE) {
            Event::Frame(frame) if is_farewell(&frame) => return Ok(()),
            Event::Frame(frame) => consumer.take(frame)?,
            Event::Silence => consumer.settling.settle_rest(&mut consumer.client)?,
            Event::Closed => return Ok(()),
        }
    }
    Ok(())
}

struct Consumer<'l> {
    load: &'l Load,
    number: usize,
    queue: usize,
    life: u32,
    client: Client,
    settling: Settling,
}

impl Consumer<'_> {
    /// A delivery is noted and settled some way; the answer to `basic.qos` proves what was settled before.
    fn take(&mut self, frame: Frame) -> io::Result<()> {
        match frame.method() {
            Some((60, 60)) => {
                let content = self.client.content(frame)?;
                let (tag, redelivered) = tag_and_flag(&content);
                let id = self.note(redelivered, &content);
                self.settling.received(&mut self.client, tag, id)
            }
            Some((60, 11)) => {
                for id in self.settling.answered() {
                    self.load.ledger.settled(self.queue, id, self.life);
                }
                Ok(())
            }
            _ => {
                self.load.ledger.altered(&format!("a consumer was told: {}", describe(&frame)));
                Err(io::Error::other("not what a consumer is told"))
            }
        }
    }

    /// Writes a delivery into the book; `None` for the last message.
    fn note(&self, redelivered: bool, content: &Content) -> Option<MessageId> {
        match Name::read(&content.properties) {
            Some(Name::Last) => {
                self.load.ended(self.queue);
                None
            }
            Some(name @ Name::Message(id)) => {
                let intact = content.properties == name.properties().bytes() && content.body == body(id);
                let (consumer, life) = (self.number, self.life);
                self.load.ledger.deliver(Delivery { id, consumer, redelivered, intact, life });
                Some(id)
            }
            None => {
                self.load.ledger.altered("a message came whose id is not ours");
                None
            }
        }
    }

    /// Reads what is under way and goes; nothing that the broker sent goes unnoted.
    fn leave(mut self) -> io::Result<()> {
        self.client.method(1, basic::cancel(TAG, false))?;
        self.read_until((60, 31))?;
        self.settling.settle_rest(&mut self.client)?;
        self.client.method(0, connection::close())?;
        self.read_until((10, 51))
    }

    fn read_until(&mut self, method: (u16, u16)) -> io::Result<()> {
        loop {
            match self.client.next(PATIENCE) {
                Event::Frame(frame) if frame.method() == Some(method) => return Ok(()),
                Event::Frame(frame) if is_farewell(&frame) => return Ok(()),
                Event::Frame(frame) => self.take(frame)?,
                Event::Closed => return Ok(()),
                Event::Silence => panic!("no answer {method:?} came for {PATIENCE:?}"),
            }
        }
    }
}

/// How a consumer settles: mostly runs of messages by one multiple ack, now and then each of the other ways.
struct Settling {
    random: Random,
    /// Neither acked nor given back; a message without a name is the last one.
    unsettled: BTreeMap<u64, Option<MessageId>>,
    /// Settled since the last question.
    unproved: Vec<MessageId>,
    /// What each question that is not answered yet will prove.
    asked: VecDeque<Vec<MessageId>>,
}

impl Settling {
    fn new(consumer: usize) -> Self {
        static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
        let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        Self {
            random: Random::new(connection << 8 | consumer as u64),
            unsettled: BTreeMap::new(),
            unproved: Vec::new(),
            asked: VecDeque::new(),
        }
    }

    /// Message `tag` came: something is done with it, or it waits for a later ack.
    fn received(&mut self, client: &mut Client, tag: u64, id: Option<MessageId>) -> io::Result<()> {
        self.unsettled.insert(tag, id);
        match self.random.below(200) {
            0 => self.give_back(client, tag, basic::nack(tag, false, true)),
            1 => self.give_back(client, tag, basic::reject(tag, true)),
            2 => {
                self.unsettled.clear();
                client.method(1, basic::nack(tag, true, true))
            }
            3 => self.settle(client, tag, basic::reject(tag, false)),
            4 => self.settle(client, tag, basic::nack(tag, false, false)),
            5..=25 => self.settle(client, tag, basic::ack(tag, false)),
            _ if self.unsettled.len() as u64 > self.random.below(60) => self.settle_all(client),
            _ => Ok(()),
        }
    }

    fn give_back(&mut self, client: &mut Client, tag: u64, method: Vec<u8>) -> io::Result<()> {
        self.unsettled.remove(&tag);
        client.method(1, method)
    }

    fn settle(&mut self, client: &mut Client, tag: u64, method: Vec<u8>) -> io::Result<()> {
        self.unproved.extend(self.unsettled.remove(&tag).flatten());
        client.method(1, method)
    }

    fn settle_all(&mut self, client: &mut Client) -> io::Result<()> {
        let Some((tag, _)) = self.unsettled.last_key_value() else { return Ok(()) };
        client.method(1, basic::ack(*tag, true))?;
        self.unproved.extend(mem::take(&mut self.unsettled).into_values().flatten());
        if self.random.below(8) == 0 { self.ask(client) } else { Ok(()) }
    }

    /// Acks what is left and asks whether it was heard.
    fn settle_rest(&mut self, client: &mut Client) -> io::Result<()> {
        self.settle_all(client)?;
        if self.unproved.is_empty() { Ok(()) } else { self.ask(client) }
    }

    fn ask(&mut self, client: &mut Client) -> io::Result<()> {
        self.asked.push_back(mem::take(&mut self.unproved));
        client.method(1, basic::qos(0, PREFETCH, false))
    }

    /// The oldest question was answered: what it proves.
    fn answered(&mut self) -> Vec<MessageId> {
        self.asked.pop_front().unwrap_or_default()
    }
}

/// Delivery tag and redelivered flag of a `basic.deliver`.
fn tag_and_flag(content: &Content) -> (u64, bool) {
    let mut arguments = content.method.arguments();
    let mut read = || Some((arguments.short()?, arguments.u64()?, arguments.bit()?));
    let (_, tag, redelivered) = read().expect("a whole basic.deliver");
    (tag, redelivered)
}
