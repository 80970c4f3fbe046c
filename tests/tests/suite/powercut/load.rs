//! Publishers and consumers on one life of the broker.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::Scope,
    time::Duration,
};

use leveret_tests::{
    awaited::Awaited,
    chance::Chance,
    client::{Client, Content, message},
    describe::describe,
    ledger::{MessageId, body},
    methods::{self, Properties, basic, confirm, tx},
    wire::Table,
};

use super::{
    events::{Event, Events},
    topology::{
        CONSUMED, EXCHANGE, IN_TRANSACTION, PUBLISHERS, REJECTED, REQUEUED, TRANSACTIONS, is_rejected, key,
        name,
    },
};

/// Bodies of one run, so that the drive does not fill up.
const MOST_BYTES: u64 = 40 << 20;

/// The load of one run and what it saw.
#[derive(Debug)]
pub(super) struct Load<'e> {
    address: SocketAddr,
    seed: u64,
    events: &'e Events,
    ending: AtomicBool,
    bytes: AtomicU64,
    /// What ended a thread while the broker should have lived.
    faults: Mutex<Vec<String>>,
}

impl<'e> Load<'e> {
    pub(super) fn new(address: SocketAddr, seed: u64, events: &'e Events) -> Self {
        let (ending, bytes) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { address, seed, events, ending, bytes, faults: Mutex::default() }
    }

    /// Starts all threads.
    pub(super) fn start<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        for number in 0..PUBLISHERS {
            scope.spawn(move || {
                let publish = if number == TRANSACTIONS { Self::commit } else { Self::publish };
                self.note_fault("a publisher", publish(self, number));
            });
        }
        for queue in CONSUMED {
            scope.spawn(move || self.note_fault("a consumer", self.consume(queue)));
        }
    }

    /// From now on the broker may go away.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    /// Whether all has been published that there is room for.
    pub(super) fn is_spent(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= MOST_BYTES
    }

    /// What went wrong while the broker should have lived.
    pub(super) fn faults(&self) -> Vec<String> {
        self.faults.lock().expect("no other thread panicked").clone()
    }

    fn note_fault(&self, who: &str, ended: io::Result<()>) {
        if let Err(error) = ended
            && !self.is_ending()
        {
            self.faults.lock().expect("no other thread panicked").push(format!("{who}: {error}"));
        }
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    fn goes_on(&self) -> bool {
        !self.is_ending() && !self.is_spent()
    }

    fn channel(&self) -> io::Result<Client> {
        let mut client = Client::login(self.address)?;
        client.open_channel(1)?;
        Ok(client)
    }

    /// A message's frames; it counts as published from here on.
    fn next_message(&self, id: MessageId, frame_max: u32) -> Vec<u8> {
        self.events.note([Event::Published(id)]);
        let body = body(id);
        self.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        let method = basic::publish(EXCHANGE, &key(id).to_string(), 0);
        message(1, &method, &properties(id), &body, frame_max)
    }

    fn publish(&self, publisher: usize) -> io::Result<()> {
        let window = Chance::new(self.seed + publisher as u64).of(&[1, 10, 100, 400]);
        let mut client = self.channel()?;
        client.call(1, confirm::select(), (85, 11))?;
        let mut awaited = Awaited::new();
        let mut number = 0;
        while self.goes_on() || !awaited.is_empty() {
            let mut bytes = Vec::new();
            while awaited.len() < window && self.goes_on() {
                let id = MessageId { publisher, number };
                bytes.extend(self.next_message(id, client.frame_max));
                awaited.expect(id);
                number += 1;
            }
            client.send(&bytes)?;
            if !awaited.is_empty() {
                let confirmed = awaited.read(&mut client)?;
                self.events.note(confirmed.into_iter().map(Event::Confirmed));
            }
        }
        Ok(())
    }

    fn commit(&self, publisher: usize) -> io::Result<()> {
        let mut client = self.channel()?;
        client.call(1, tx::select(), (90, 11))?;
        let mut number = 0;
        while self.goes_on() {
            let ids: Vec<_> =
                (number..number + IN_TRANSACTION).map(|n| MessageId { publisher, number: n }).collect();
            let frames: Vec<u8> =
                ids.iter().flat_map(|id| self.next_message(*id, client.frame_max)).collect();
            client.send(&frames)?;
            client.call(1, tx::commit(), (90, 21))?;
            self.events.note(ids.into_iter().map(Event::Confirmed));
            number += IN_TRANSACTION;
        }
        Ok(())
    }

    /// Reads a queue and settles what comes, in runs; now and then one message goes back.
    fn consume(&self, queue: usize) -> io::Result<()> {
        let mut client = self.channel()?;
        let prefetch = Chance::new(self.seed + queue as u64).of(&[1, 20, 200]);
        client.call(1, basic::qos(0, prefetch, false), (60, 11))?;
        let consume = basic::consume(&name(queue), "c", 0, &Table::default());
        client.call(1, consume, (60, 21))?;
        let mut unsettled = Vec::new();
        for received in 0_u64.. {
            let Some(content) = self.delivery(&mut client)? else { return Ok(()) };
            let (tag, _) = tag_and_flag(&content);
            let id = id(&content).ok_or_else(|| io::Error::other("a message came that is not ours"))?;
            self.events.note([Event::Delivered(queue, id)]);
            if queue == REQUEUED && received.is_multiple_of(13) {
                client.method(1, basic::nack(tag, false, true))?;
                continue;
            }
            if queue == REJECTED && is_rejected(id) {
                self.events.note([Event::Rejected(id)]);
                client.method(1, basic::reject(tag, false))?;
                continue;
            }
            unsettled.push(id);
            if unsettled.len() > usize::from(prefetch) / 4 {
                // Everything up to this tag: what was requeued or rejected is settled already.
                self.events.note(unsettled.drain(..).map(|id| Event::Acked(queue, id)));
                client.method(1, basic::ack(tag, true))?;
            }
        }
        Ok(())
    }

    /// The next delivery; `None` when the run ends.
    fn delivery(&self, client: &mut Client) -> io::Result<Option<Content>> {
        loop {
            match client.next(Duration::from_millis(50)) {
                leveret_tests::client::Event::Frame(frame) if frame.method() == Some((60, 60)) => {
                    return client.content(frame).map(Some);
                }
                leveret_tests::client::Event::Frame(frame) if frame.channel == 0 => {}
                leveret_tests::client::Event::Frame(frame) => return Err(io::Error::other(describe(&frame))),
                leveret_tests::client::Event::Closed => return Err(io::ErrorKind::ConnectionReset.into()),
                leveret_tests::client::Event::Silence if self.is_ending() => return Ok(None),
                leveret_tests::client::Event::Silence => {}
            }
        }
    }
}

/// The properties that a message is sent with.
pub(super) fn properties(id: MessageId) -> Properties {
    Properties { message_id: Some(id.to_text()), ..Properties::persistent() }
}

/// The name of a message that came.
pub(super) fn id(content: &Content) -> Option<MessageId> {
    MessageId::from_text(&methods::message_id(&content.properties)?)
}

/// Delivery tag and redelivered flag of a `basic.deliver`.
pub(super) fn tag_and_flag(content: &Content) -> (u64, bool) {
    let mut arguments = content.method.arguments();
    let mut read = || Some((arguments.short()?, arguments.u64()?, arguments.bit()?));
    let (_, tag, redelivered) = read().expect("a whole basic.deliver");
    (tag, redelivered)
}
