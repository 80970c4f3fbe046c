//! A full disk: publishers wait before anything fails, consumers drain, publishing goes on when there is room again.
//!
//! The broker stands on a file system of 64 MiB and publishers wait below 8 MB. A cycle fills it, by messages or by
//! somebody else's file, in some cycles kills the broker while it is full, and drains it. Where no file system can be
//! mounted the test says so and passes. `LEVERET_DISK_CYCLES` is the number of cycles.

use std::{collections::BTreeSet, fs, time::Duration};

use leveret_tests::{
    broker::{Broker, Options},
    client::{Client, Event},
    describe::describe,
    methods::{Properties, basic, confirm, queue},
    small_disk::SmallDisk,
    wait::{PATIENCE, until},
    wire::Table,
};

const CYCLES: u32 = 30;
const DISK_BYTES: u64 = 64 << 20;
const LIMIT_BYTES: u64 = 8_000_000;
const BODY_BYTES: usize = 16_384;
/// Unconfirmed messages under way: few enough that they fit in the sockets when nobody reads.
const WINDOW: u64 = 8;
/// More than fit on the disk: a publisher that is never blocked ends here.
const MOST_MESSAGES: u64 = 6_000;
/// Publishing goes on so soon after there is room.
const GOES_ON: Duration = Duration::from_secs(5);
const QUEUE: &str = "full";
const TAG: &str = "c";

#[test]
#[ignore = "fills a disk again and again: nightly"]
fn on_a_full_disk_publishers_wait_and_nothing_confirmed_is_lost() {
    if let Some(reason) = SmallDisk::missing() {
        println!("skipped: a full disk ({reason})");
        return;
    }
    let cycles = std::env::var("LEVERET_DISK_CYCLES");
    let cycles = cycles.map_or(CYCLES, |text| text.parse().expect("a number of cycles"));
    let disk = SmallDisk::new(DISK_BYTES);
    let config = format!("disk_free_limit.absolute = {LIMIT_BYTES}\n");
    let mut broker =
        Broker::start_with(Options { data_dir: Some(disk.path().join("data")), ..Options::config(&config) });
    let declare = queue::declare(QUEUE, queue::DURABLE, &Table::default());
    broker.channel().call(1, declare, (50, 11)).expect("a queue");
    let mut book = Book::default();
    for cycle in 1..=cycles {
        run_cycle(&mut broker, &disk, &mut book, cycle);
    }
    assert!(broker.stop().success(), "a clean stop is a success");
    broker.restart();
    assert!(
        broker.channel().get(1, QUEUE).expect("an answer").is_none(),
        "all was acked before a clean stop"
    );
    println!("{cycles} cycles on a full disk: {} messages confirmed, none lost", book.confirmed_count);
}

fn run_cycle(broker: &mut Broker, disk: &SmallDisk, book: &mut Book, cycle: u32) {
    let foreign = disk.path().join("foreign");
    if cycle.is_multiple_of(3) {
        let bytes = disk.free().saturating_sub(LIMIT_BYTES * 3 / 2);
        fs::write(&foreign, vec![b'f'; usize::try_from(bytes).expect("a small file")]).expect("room for it");
    }
    let mut publisher = Publisher::start(broker);
    publisher.fill(book);
    assert!(broker.is_alive(), "cycle {cycle}: the broker ended: {}", broker.log_tail());
    assert!(!broker.log().contains("disk is full"), "cycle {cycle}: blocked too late: {}", broker.log_tail());
    if cycle.is_multiple_of(5) {
        broker.kill();
        broker.restart();
        publisher = Publisher::start(broker);
    }
    let _ = fs::remove_file(&foreign);
    drain(broker, book, cycle);
    publisher.go_on(book);
    drain(broker, book, cycle);
}

/// What was sent, confirmed and read; a message's name is its number.
#[derive(Debug, Default)]
struct Book {
    sent: u64,
    confirmed: BTreeSet<u64>,
    confirmed_count: u64,
    /// The highest number read: all are published by one connection at a time.
    read: u64,
}

impl Book {
    /// A message came: the next one, with nothing confirmed missing before it.
    fn read(&mut self, number: u64, cycle: u32) {
        assert!(number > self.read, "cycle {cycle}: {number} came after {}", self.read);
        let lost = self.confirmed.range(self.read + 1..number).next();
        assert_eq!(lost, None, "cycle {cycle}: confirmed and not come before {number}");
        self.read = number;
    }
}

struct Publisher {
    client: Client,
    blocked: bool,
    /// The number of the message before the first one of this connection.
    base: Option<u64>,
    unconfirmed: BTreeSet<u64>,
}

impl Publisher {
    fn start(broker: &Broker) -> Self {
        let mut client = broker.channel();
        client.call(1, confirm::select(), (85, 11)).expect("confirms");
        Self { client, blocked: false, base: None, unconfirmed: BTreeSet::new() }
    }

    /// Publishes until the broker says that it is blocked.
    fn fill(&mut self, book: &mut Book) {
        let first = book.sent;
        while !self.blocked {
            assert!(book.sent < first + MOST_MESSAGES, "publishers are never blocked");
            self.send(book);
            while self.unconfirmed.len() as u64 >= WINDOW && !self.blocked {
                self.read(book, PATIENCE);
            }
        }
    }

    fn send(&mut self, book: &mut Book) {
        self.base.get_or_insert(book.sent);
        book.sent += 1;
        self.unconfirmed.insert(book.sent);
        let body = body(book.sent);
        self.client.publish(1, ("", QUEUE, 0), &Properties::persistent(), &body).expect("room in the socket");
    }

    /// Publishing goes on within [`GOES_ON`], and everything is confirmed.
    fn go_on(&mut self, book: &mut Book) {
        until("publishing goes on", GOES_ON, || {
            if self.blocked {
                self.read(book, Duration::from_millis(10));
            }
            (!self.blocked).then_some(())
        });
        self.send(book);
        while !self.unconfirmed.is_empty() {
            self.read(book, GOES_ON);
        }
    }

    fn read(&mut self, book: &mut Book, patience: Duration) {
        let frame = match self.client.next(patience) {
            Event::Frame(frame) => frame,
            Event::Silence if self.blocked => return,
            other => panic!("a publisher met {other:?}"),
        };
        match frame.method() {
            Some((10, 60)) => self.blocked = true,
            Some((10, 61)) => self.blocked = false,
            Some((60, 80)) => {
                let mut arguments = frame.arguments();
                let (tag, multiple) = (arguments.u64().expect("a tag"), arguments.bit().expect("a bit"));
                let last = self.base.expect("something was sent") + tag;
                let later = self.unconfirmed.split_off(&(last + 1));
                let mut done = std::mem::replace(&mut self.unconfirmed, later);
                if !multiple {
                    assert!(done.remove(&last), "{last} was confirmed twice");
                    self.unconfirmed.extend(std::mem::take(&mut done));
                    done.insert(last);
                }
                book.confirmed_count += done.len() as u64;
                book.confirmed.extend(done);
            }
            _ => panic!("a publisher was told {}", describe(&frame)),
        }
    }
}

/// Reads and acks until everything confirmed has come, in order and unaltered.
fn drain(broker: &Broker, book: &mut Book, cycle: u32) {
    let mut client = broker.channel();
    client.call(1, basic::qos(0, 100, false), (60, 11)).expect("a prefetch");
    client.call(1, basic::consume(QUEUE, TAG, 0, &Table::default()), (60, 21)).expect("a consumer");
    let mut delivered = 0;
    let mut is_leaving = false;
    loop {
        if !is_leaving && book.confirmed.iter().all(|number| *number <= book.read) {
            client.method(1, basic::cancel(TAG, false)).expect("a cancel");
            is_leaving = true;
        }
        let frame = match client.next(PATIENCE) {
            Event::Frame(frame) if frame.method() == Some((60, 31)) => break,
            Event::Frame(frame) if frame.method() == Some((60, 60)) => frame,
            other => {
                let last = book.confirmed.last();
                panic!("cycle {cycle}: read {}, confirmed to {last:?}, then {other:?}", book.read);
            }
        };
        let content = client.content(frame).expect("a whole message");
        book.read(number(&content.body), cycle);
        delivered += 1;
        if delivered % 50 == 0 {
            client.method(1, basic::ack(delivered, true)).expect("an ack");
        }
    }
    client.method(1, basic::ack(0, true)).expect("an ack");
    client.call(1, basic::qos(0, 100, false), (60, 11)).expect("the acks were heard");
    book.confirmed.clear();
}

fn body(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut body = number.to_be_bytes().to_vec();
    while body.len() < BODY_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        body.extend(state.to_le_bytes());
    }
    body
}

fn number(bytes: &[u8]) -> u64 {
    let number = u64::from_be_bytes(bytes.get(..8).and_then(|head| head.try_into().ok()).expect("a number"));
    assert!(body(number) == bytes, "{number} came altered");
    number
}
