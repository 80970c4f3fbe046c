//! Publishers that are far ahead of a consumer: held back while it keeps up, never for good.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use leveret_tests::{
    broker::{Broker, Options},
    client::{Client, message},
    http::Http,
    login::Login,
    methods::{Properties, basic, queue},
    wait::{PATIENCE, pass, until},
    wire::{METHOD, Table, frame},
};

/// A queue's share of this is a MiB.
const SMALL_WINDOW: &str = "leveret.hot_window = 2MB\n";

/// Messages of one write, a KiB each.
const AT_ONCE: usize = 32;

fn declare(client: &mut Client, name: &str) {
    client.call(1, queue::declare(name, 0, &Table::default()), (50, 11)).expect("a queue");
}

/// What a connection's state is in the list.
fn state(http: &mut Http, client: &Client) -> String {
    let port = client.local_addr().expect("an address").port();
    let all = http.call("GET", "/api/connections", Some("guest:guest"), None).json();
    let all = all.as_array().expect("a list").clone();
    let ours = all.iter().find(|connection| connection["peer_port"] == port).expect("listed");
    ours["state"].as_str().expect("text").to_owned()
}

/// Bytes that publishers wrote and that the consumer read.
#[derive(Default)]
struct Counts {
    written: AtomicU64,
    read: AtomicU64,
    /// The consumer need not stay behind any more.
    is_free: AtomicBool,
    /// Publishers are to write some more and end.
    is_over: AtomicBool,
}

/// A client whose heartbeat is a second, and a thread that publishes over it as fast as it can. Says when it has ended.
fn start_publisher(broker: &Broker, counts: &Arc<Counts>) -> (Client, Receiver<()>) {
    let login = Login { heartbeat: 1, ..Login::default() };
    let mut client = Client::login_with(broker.amqp(), &login).expect("a login");
    client.open_channel(1).expect("a channel");
    let one =
        message(1, &basic::publish("", "q", 0), &Properties::default(), &[b'x'; 1024], client.frame_max);
    let many = one.repeat(AT_ONCE);
    let (mut writer, counts) = (client.writer().expect("a writer"), Arc::clone(counts));
    let (say, ended) = channel();
    thread::spawn(move || {
        let mut left = 512;
        while left > 0 {
            left -= u32::from(counts.is_over.load(Ordering::Relaxed));
            writer.write_all(&many).expect("the broker reads on");
            counts.written.fetch_add(many.len() as u64, Ordering::Relaxed);
        }
        say.send(()).expect("somebody waits");
    });
    (client, ended)
}

/// A thread that reads half as much as publishers write, until it is free to read all.
fn start_reader(mut socket: TcpStream, counts: &Arc<Counts>) {
    let counts = Arc::clone(counts);
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        loop {
            while counts.read.load(Ordering::Relaxed) * 2 > counts.written.load(Ordering::Relaxed)
                && !counts.is_free.load(Ordering::Relaxed)
            {
                pass(Duration::from_millis(1));
            }
            match socket.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(read) => _ = counts.read.fetch_add(read as u64, Ordering::Relaxed),
            }
        }
    });
}

/// How a consumer ends, or its queue, and with it what holds publishers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Dies,
    Cancels,
    Loses,
}

fn publishers_are_held_and_released(end: End) {
    let broker = Broker::start_with(Options::config(SMALL_WINDOW));
    let mut http = Http::new(broker.http());
    let mut consumer = broker.channel();
    declare(&mut consumer, "q");
    let consume = basic::consume("q", "t", basic::NO_ACK, &Table::default());
    consumer.call(1, consume, (60, 21)).expect("a consumer");
    let counts = Arc::new(Counts::default());
    start_reader(consumer.writer().expect("a handle"), &counts);
    let publishers = [start_publisher(&broker, &counts), start_publisher(&broker, &counts)];
    until("a publisher is shown to be held", PATIENCE, || {
        publishers.iter().any(|(client, _)| state(&mut http, client) == "flow").then_some(())
    });
    assert_ne!(state(&mut http, &consumer), "flow");
    match end {
        End::Dies => consumer.writer().expect("a handle").shutdown(Shutdown::Both).expect("an end"),
        End::Cancels => consumer.method(1, basic::cancel("t", true)).expect("a cancel"),
        End::Loses => {
            broker.channel().call(1, queue::delete("q", 0), (50, 41)).map(drop).expect("a delete");
        }
    }
    counts.is_over.store(true, Ordering::Relaxed);
    counts.is_free.store(true, Ordering::Relaxed);
    for (mut client, ended) in publishers {
        ended.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{end:?}: a publisher is stuck"));
        declare(&mut client, "next");
    }
}

#[test]
fn held_publishers_are_released_when_the_consumer_dies() {
    publishers_are_held_and_released(End::Dies);
}

#[test]
fn held_publishers_are_released_when_the_consumer_is_cancelled() {
    publishers_are_held_and_released(End::Cancels);
}

#[test]
fn held_publishers_are_released_when_the_queue_is_deleted() {
    publishers_are_held_and_released(End::Loses);
}

#[test]
fn a_connection_that_publishes_and_consumes_never_stops() {
    const COUNT: u32 = 20_000;
    let broker = Broker::start_with(Options::config(SMALL_WINDOW));
    let mut http = Http::new(broker.http());
    let mut client = broker.channel();
    declare(&mut client, "q");
    client.call(1, basic::qos(0, 100, false), (60, 11)).expect("a prefetch");
    client.call(1, basic::consume("q", "t", 0, &Table::default()), (60, 21)).expect("a consumer");
    let frame_max = client.frame_max;
    // Acks go over the same socket: whoever writes has it for a whole message.
    let socket = Arc::new(Mutex::new(client.writer().expect("a writer")));
    let writer = Arc::clone(&socket);
    thread::spawn(move || {
        for number in 0..COUNT {
            let mut body = [b'x'; 1024];
            body[..4].copy_from_slice(&number.to_be_bytes());
            let publish = basic::publish("", "q", 0);
            let bytes = message(1, &publish, &Properties::default(), &body, frame_max);
            writer.lock().expect("a lock").write_all(&bytes).expect("the broker reads on");
        }
    });
    for number in 0..COUNT {
        let deliver = client.expect_method(1, (60, 60)).expect("a delivery");
        let content = client.content(deliver).expect("its content");
        assert_eq!(content.body[..4], number.to_be_bytes());
        if number % 50 == 49 {
            let ack = frame(METHOD, 1, &basic::ack(u64::from(number) + 1, true));
            socket.lock().expect("a lock").write_all(&ack).expect("the broker reads on");
        }
        if number % 2_000 == 1_999 {
            assert_eq!(state(&mut http, &client), "running", "after {number}");
        }
    }
}
