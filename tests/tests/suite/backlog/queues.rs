//! A hundred thousand durable queues with a message each.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use leveret_tests::{
    awaited::Awaited,
    broker::Broker,
    client::{Client, Event, message},
    methods::{Properties, basic, confirm, queue},
    wait::{PATIENCE, until},
    wire::Table,
};
use tempfile::TempDir;

use super::{flow::channel, scaled, skip};

/// Queues that are drained together.
const TOGETHER: u64 = 1000;

fn name(number: u64) -> String {
    format!("one-of-many-{number}")
}

#[test]
fn a_hundred_thousand_queues_are_declared_restarted_and_drained() {
    let count = scaled(100_000);
    let began = Instant::now();
    let mut broker = Broker::start();
    declare(broker.amqp(), count);
    let declared = began.elapsed();
    // From here on the definitions stay as they are.
    broker.stop();
    broker.restart();
    fill(broker.amqp(), count);
    broker.kill();
    let killed = Instant::now();
    broker.restart();
    let started = killed.elapsed();
    broker.kill();
    broker.restart();
    let drained = Instant::now();
    drain(broker.amqp(), count);
    println!(
        "{count} queues: declared in {declared:?}, started in {started:?} after kill -9, drained in {:?}",
        drained.elapsed()
    );
    broker.kill();
    broker.restart();
    let mut client = channel(broker.amqp());
    for number in [0, count / 2, count - 1] {
        client
            .call(1, queue::declare(&name(number), queue::PASSIVE, &Table::default()), (50, 11))
            .expect("it is there");
    }
}

#[test]
fn a_checkpoint_takes_as_many_syncs_for_many_queues_as_for_one() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("counting the syncs of a checkpoint", "no strace");
    }
    let one = syncs_of_a_stop(1);
    let many = syncs_of_a_stop(scaled(100_000).max(2));
    println!("syncs of a clean stop with one queue changed: {one:?}, with many: {many:?}");
    // The log's own batches follow the number of records.
    let checkpoint = |mut counts: BTreeMap<&'static str, usize>| {
        counts.remove("log");
        counts
    };
    assert_eq!(checkpoint(one), checkpoint(many));
}

/// Changes `count` queues whose definitions are in their checkpoint, stops the broker, and counts its syncs by the
/// folder that they concern.
fn syncs_of_a_stop(count: u64) -> BTreeMap<&'static str, usize> {
    let mut broker = Broker::start();
    declare(broker.amqp(), count);
    broker.stop();
    broker.restart();
    fill(broker.amqp(), count);
    let folder = TempDir::new().expect("a temporary folder");
    let trace = folder.path().join("trace");
    let mut strace = Command::new("strace")
        .args([
            "-f",
            "-y",
            "-e",
            "trace=fsync,fdatasync,sync_file_range,msync",
            "-p",
            &broker.pid().to_string(),
            "-o",
        ])
        .arg(&trace)
        .stderr(Stdio::null())
        .spawn()
        .expect("strace starts");
    until("strace has attached", PATIENCE, || is_traced(broker.pid()).then_some(()));
    broker.stop();
    strace.wait().expect("strace ends with the broker");
    count_syncs(&trace)
}

/// Whether every thread of a process is traced.
fn is_traced(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a living process").filter_map(Result::ok);
    threads.filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok()).all(|status| {
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_some_and(|tracer| tracer.trim() != "0")
    })
}

fn count_syncs(trace: &Path) -> BTreeMap<&'static str, usize> {
    let text = fs::read_to_string(trace).expect("a trace");
    let mut counts = BTreeMap::new();
    for line in text.lines().filter(|line| line.contains("sync(") && !line.contains("resumed")) {
        let place =
            ["/log", "/runs", "/manifest", "/definitions"].into_iter().find(|place| line.contains(place));
        *counts.entry(place.map_or("other", |place| &place[1..])).or_default() += 1;
    }
    counts
}

fn declare(address: SocketAddr, count: u64) {
    let mut client = channel(address);
    for number in 0..count {
        let declare = queue::declare(&name(number), queue::DURABLE | queue::NOWAIT, &Table::default());
        client.method(1, declare).expect("a declare is sent");
    }
    client
        .call(1, queue::declare(&name(0), queue::DURABLE, &Table::default()), (50, 11))
        .expect("all are made");
}

/// Puts a message into each queue, confirmed.
fn fill(address: SocketAddr, count: u64) {
    let mut client = channel(address);
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    let mut awaited = Awaited::new();
    for number in 0..count {
        let method = basic::publish("", &name(number), 0);
        let text = number.to_string();
        let frames = message(1, &method, &Properties::persistent(), text.as_bytes(), client.frame_max);
        client.send(&frames).expect("a message is sent");
        awaited.expect(number);
        while awaited.len() >= 2000 {
            awaited.read(&mut client).expect("confirms come");
        }
    }
    while !awaited.is_empty() {
        awaited.read(&mut client).expect("confirms come");
    }
}

/// Takes the message out of each queue, some queues at a time.
fn drain(address: SocketAddr, count: u64) {
    for first in (0..count).step_by(usize::try_from(TOGETHER).expect("a small number")) {
        let numbers = first..count.min(first + TOGETHER);
        let mut client = channel(address);
        for number in numbers.clone() {
            let consume =
                basic::consume(&name(number), &number.to_string(), basic::NOWAIT, &Table::default());
            client.method(1, consume).expect("a consume is sent");
        }
        let mut left: std::collections::BTreeSet<u64> = numbers.clone().collect();
        let mut last_tag = 0;
        while !left.is_empty() {
            let (number, tag) = delivery(&mut client);
            assert!(left.remove(&number), "queue {number} gave a second message");
            last_tag = tag;
        }
        client.method(1, basic::ack(last_tag, true)).expect("an ack is sent");
        // Answered when all before was handled.
        client.call(1, basic::qos(0, 0, false), (60, 11)).expect("the channel still works");
    }
}

/// The queue's number and the delivery tag of the next delivery, whose body must be that number.
fn delivery(client: &mut Client) -> (u64, u64) {
    let frame = loop {
        match client.next(PATIENCE) {
            Event::Frame(frame) if frame.channel == 0 => {}
            Event::Frame(frame) => break frame,
            other => panic!("a queue's message did not come: {other:?}"),
        }
    };
    let mut arguments = frame.arguments();
    let mut read = || Some((arguments.short()?, arguments.u64()?));
    let (number, tag) = read().expect("a basic.deliver");
    let content = client.content(frame).expect("a whole message");
    assert_eq!(String::from_utf8_lossy(&content.body), number, "the message of another queue");
    (number.parse().expect("our own tag"), tag)
}
