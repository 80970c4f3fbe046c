//! Numbered messages in great numbers: sent, confirmed, read back in order.

use std::net::SocketAddr;

use leveret_tests::{
    awaited::Awaited,
    chance::mix,
    client::{Client, Event, message},
    describe::describe,
    methods::{Properties, basic, confirm, queue},
    wait::PATIENCE,
    wire::Table,
};

/// Messages sent together.
const TOGETHER: usize = 64;
/// Messages without a confirm.
const WINDOW: usize = 4096;
/// Deliveries acked together at most.
const ACKED: u64 = 256;

/// How long each message's body is.
pub(super) type Length = fn(u64) -> usize;

/// A message's body: its number, and octets that follow from it.
fn body(number: u64, length: Length) -> Vec<u8> {
    let length = length(number);
    let mut body = Vec::with_capacity(length + 8);
    let mut word = number;
    while body.len() < length {
        body.extend(word.to_le_bytes());
        word = mix(word);
    }
    body.truncate(length);
    body
}

/// A channel that is open.
pub(super) fn channel(address: SocketAddr) -> Client {
    let mut client = Client::login(address).expect("a login");
    client.open_channel(1).expect("a channel");
    client
}

/// Declares a durable queue.
pub(super) fn declare(address: SocketAddr, name: &str) {
    let declare = queue::declare(name, queue::DURABLE, &Table::default());
    channel(address).call(1, declare, (50, 11)).expect("a queue");
}

/// Sends the messages of these numbers, all persistent, and returns when all are confirmed; `confirmed` hears how many
/// are, again and again.
pub(super) fn publish(
    address: SocketAddr,
    (queue, length): (&str, Length),
    numbers: std::ops::Range<u64>,
    mut confirmed: impl FnMut(u64),
) {
    let mut client = channel(address);
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    let (method, properties) = (basic::publish("", queue, 0), Properties::persistent());
    let mut awaited = Awaited::new();
    let (mut next, mut count) = (numbers.start, 0);
    while next < numbers.end || !awaited.is_empty() {
        while next < numbers.end && awaited.len() + TOGETHER <= WINDOW {
            let end = numbers.end.min(next + TOGETHER as u64);
            let frames: Vec<u8> = (next..end)
                .flat_map(|number| message(1, &method, &properties, &body(number, length), client.frame_max))
                .collect();
            client.send(&frames).expect("the broker takes messages");
            (next..end).for_each(|number| awaited.expect(number));
            next = end;
        }
        count += awaited.read(&mut client).expect("confirms come").len() as u64;
        confirmed(count);
    }
}

/// A consumer that reads numbered messages and insists on their order and bytes.
#[derive(Debug)]
pub(super) struct Reader {
    client: Client,
    length: Length,
    /// The number that must come next.
    pub(super) next: u64,
    last_tag: u64,
    unacked: u64,
    /// Acks are sent for so many.
    together: u64,
}

impl Reader {
    /// Consumes a queue whose next message is number `next`, with at most so many unacked.
    pub(super) fn new(
        address: SocketAddr,
        (queue, length): (&str, Length),
        next: u64,
        prefetch: u16,
    ) -> Self {
        let mut client = channel(address);
        client.call(1, basic::qos(0, prefetch, false), (60, 11)).expect("a prefetch count");
        client.call(1, basic::consume(queue, "c", 0, &Table::default()), (60, 21)).expect("a consumer");
        let together = ACKED.min(u64::from(prefetch).div_ceil(2));
        Self { client, length, next, last_tag: 0, unacked: 0, together }
    }

    /// Reads one message and does not ack it; whether it came as redelivered.
    pub(super) fn read(&mut self) -> bool {
        let frame = loop {
            match self.client.next(PATIENCE) {
                Event::Frame(frame) if frame.channel == 0 => {}
                Event::Frame(frame) => break frame,
                other => panic!("message {} did not come: {other:?}", self.next),
            }
        };
        assert_eq!(frame.method(), Some((60, 60)), "{}", describe(&frame));
        let mut arguments = frame.arguments();
        let mut read = || Some((arguments.short()?, arguments.u64()?, arguments.bit()?));
        let (_, tag, redelivered) = read().expect("a whole basic.deliver");
        let content = self.client.content(frame).expect("a whole message");
        assert!(content.body == body(self.next, self.length), "another message than {} came", self.next);
        self.next += 1;
        self.last_tag = tag;
        self.unacked += 1;
        redelivered
    }

    /// Acks everything read so far.
    pub(super) fn ack(&mut self) {
        if std::mem::take(&mut self.unacked) > 0 {
            self.client.method(1, basic::ack(self.last_tag, true)).expect("an ack is sent");
        }
    }

    /// Reads and acks up to message `end`; `acked` hears the number behind the last acked one.
    pub(super) fn read_to(&mut self, end: u64, mut acked: impl FnMut(u64)) {
        while self.next < end {
            self.read();
            if self.unacked >= self.together {
                self.ack();
                acked(self.next);
            }
        }
        self.ack();
        acked(self.next);
    }
}
