//! Malformed input gets its reply or a close, costs no memory and disturbs nobody.
//!
//! The cases are the corpus of `crates/protocol/corpus`, with what must come of each; there the decoder meets each
//! of them cut at every byte, here the running broker meets them.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use leveret_protocol::testing::corpus::{Case, Expected, Stage, cases};
use leveret_tests::{
    broker::Broker,
    client::{Client, Event},
    describe::describe,
    methods::{Properties, access, basic, channel, connection, content_header},
    process::{open_descriptors, raise_descriptors, resident_bytes},
    wait::{PATIENCE, until},
    wire,
};

use crate::neighbour::Neighbour;

/// What the broker may take more than before.
const GROWTH: u64 = 64 << 20;
const THREADS: usize = 8;
/// How long nothing must come where the broker has to wait for more.
const QUIET: Duration = Duration::from_millis(100);

#[test]
fn every_malformed_input_gets_its_reply_and_harms_nobody() {
    against_a_broker(&cases().expect("the corpus"), |client, bytes| {
        // The broker may close before all is written; its reply is what counts.
        let _ = client.send(bytes);
    });
}

#[test]
fn malformed_input_a_byte_at_a_time_gets_the_same_reply() {
    let sample: Vec<Case> = cases().expect("the corpus");
    let sample = sample.into_iter().filter(|case| case.bytes.len() < 500).step_by(3);
    against_a_broker(&sample.collect::<Vec<_>>(), |client, bytes| {
        for byte in bytes {
            if client.send(&[*byte]).is_err() {
                return;
            }
        }
    });
}

#[test]
fn five_thousand_half_open_handshakes_leave_the_broker_serving() {
    raise_descriptors();
    let broker = Broker::start();
    let neighbour = Neighbour::start(broker.amqp());
    drop(broker.channel());
    let before = resident_bytes(broker.pid());
    let descriptors = open_descriptors(broker.pid());
    let half_open: Vec<Client> = (0..5_000).map(|number| half_open(broker.amqp(), number)).collect();
    let mut honest = broker.channel();
    honest.call(1, access::request(), (30, 11)).expect("service");
    let after = resident_bytes(broker.pid());
    assert!(after.saturating_sub(before) < GROWTH, "memory went from {before} to {after}");
    until("the broker closes what does not log in", PATIENCE * 2, || {
        (open_descriptors(broker.pid()) < descriptors + 50).then_some(())
    });
    drop(half_open);
    neighbour.finish();
}

#[test]
fn announced_bodies_take_no_memory_before_they_come() {
    let broker = Broker::start();
    let neighbour = Neighbour::start(broker.amqp());
    let mut client = broker.client();
    for number in 1..=200 {
        client.open_channel(number).expect("a channel");
    }
    let before = resident_bytes(broker.pid());
    for number in 1..=200 {
        client.method(number, basic::publish("", "nobody", 0)).expect("a publish");
        let header = content_header(100 << 20, &Properties::default());
        client.send(&wire::frame(wire::HEADER, number, &header)).expect("a header");
    }
    client.open_channel(201).expect("another channel: all before it was read");
    let after = resident_bytes(broker.pid());
    assert!(after.saturating_sub(before) < GROWTH, "memory went from {before} to {after}");
    neighbour.finish();
}

/// A connection that stops at one of four places before login.
fn half_open(address: SocketAddr, number: usize) -> Client {
    let mut client = Client::connect(address).expect("the broker accepts");
    let start_ok = connection::start_ok(&wire::Table::default(), "PLAIN", b"\0guest\0guest");
    let start_ok = wire::frame(wire::METHOD, 0, &start_ok);
    match number % 4 {
        0 => {}
        1 => client.send(b"AMQP").expect("half a header"),
        2 => client.send(wire::PROTOCOL_HEADER).expect("a header"),
        _ => {
            client.send(wire::PROTOCOL_HEADER).expect("a header");
            client.send(&start_ok[..start_ok.len() / 2]).expect("half a login");
        }
    }
    client
}

/// Sends all `cases` by `send`, each on its own connection, and compares what comes with what must come; at the end
/// the broker lives, has not grown, and its other client saw nothing.
fn against_a_broker(cases: &[Case], send: fn(&mut Client, &[u8])) {
    let mut broker = Broker::start();
    let neighbour = Neighbour::start(broker.amqp());
    warm_up(&broker);
    let before = resident_bytes(broker.pid());
    let wrong = run_all(broker.amqp(), cases, send);
    assert!(wrong.is_empty(), "{} of {} are wrong\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(broker.is_alive(), "the broker died");
    let after = resident_bytes(broker.pid());
    assert!(after.saturating_sub(before) < GROWTH, "memory went from {before} to {after}");
    neighbour.finish();
}

/// Buffers and threads that any use brings with it are not what these tests measure.
fn warm_up(broker: &Broker) {
    let clients: Vec<Client> = (0..THREADS).map(|_| broker.channel()).collect();
    for mut client in clients {
        let body = vec![0; 100_000];
        client.publish(1, ("", "nobody", 0), &Properties::default(), &body).expect("a publish");
        client.call(1, access::request(), (30, 11)).expect("an answer");
    }
}

fn run_all(address: SocketAddr, cases: &[Case], send: fn(&mut Client, &[u8])) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(words) = run(address, case, send) {
                wrong.push(format!("{}: expected {}, {words}", case.name, words_for(&case.expected)));
            }
        }
        wrong
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a judgement")).collect()
    })
}

fn run(address: SocketAddr, case: &Case, send: fn(&mut Client, &[u8])) -> Result<(), String> {
    let prepared = match case.stage {
        Stage::ProtocolHeader => Client::connect(address),
        Stage::BeforeLogin => Client::start(address),
        Stage::Open => Client::login(address).and_then(|mut client| {
            client.open_channel(1)?;
            Ok(client)
        }),
    };
    let mut client = prepared.map_err(|error| format!("could not begin: {error}"))?;
    send(&mut client, &case.bytes);
    match &case.expected {
        Expected::Reply(bytes) => match client.read_to_close(PATIENCE) {
            Some(read) if read == *bytes => Ok(()),
            other => Err(format!("got {other:?}")),
        },
        Expected::Waiting => match client.next(QUIET) {
            Event::Silence => Ok(()),
            other => Err(words_of(&other)),
        },
        Expected::Accepted => accepted(&mut client, case.stage),
        Expected::Refused(code) => refused(&mut client, case.stage, *code),
    }
}

/// The connection goes on: to the next step before login, to an answer after it.
fn accepted(client: &mut Client, stage: Stage) -> Result<(), String> {
    let (channel, answer) = match stage {
        Stage::ProtocolHeader => (0, (10, 10)),
        Stage::BeforeLogin => (0, (10, 30)),
        Stage::Open => (9, (30, 11)),
    };
    if stage == Stage::Open {
        let _ = client.method(9, channel::open());
        let _ = client.method(9, access::request());
    }
    loop {
        match client.next(PATIENCE) {
            Event::Frame(frame) if frame.channel == channel && frame.method() == Some(answer) => {
                return Ok(());
            }
            Event::Frame(frame) if frame.method() != Some((10, 50)) => {}
            other => return Err(words_of(&other)),
        }
    }
}

/// `connection.close` with `code`, then the socket's close; before login the close alone will do.
fn refused(client: &mut Client, stage: Stage, code: u16) -> Result<(), String> {
    loop {
        match client.next(PATIENCE) {
            Event::Closed if stage != Stage::Open => return Ok(()),
            Event::Frame(frame) if frame.method() == Some((10, 50)) => {
                if frame.arguments().u16() != Some(code) {
                    return Err(format!("got {}", describe(&frame)));
                }
                let _ = client.method(0, connection::close_ok());
                return match client.read_to_close(PATIENCE) {
                    Some(_) => Ok(()),
                    None => Err("the socket stays open after connection.close-ok".to_owned()),
                };
            }
            // What came before the wrong bytes is answered.
            Event::Frame(frame) if stage == Stage::Open && frame.method() != Some((20, 40)) => {}
            other => return Err(words_of(&other)),
        }
    }
}

fn words_of(event: &Event) -> String {
    match event {
        Event::Frame(frame) => format!("got {}", describe(frame)),
        Event::Closed => "was closed without a word".to_owned(),
        Event::Silence => "nothing came".to_owned(),
    }
}

fn words_for(expected: &Expected) -> String {
    match expected {
        Expected::Refused(code) => code.to_string(),
        other => format!("{other:?}"),
    }
}
