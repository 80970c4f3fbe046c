//! Clients that vanish, read slowly, send too much or are too many.

use std::time::Duration;

use leveret_tests::{
    broker::{Broker, Options},
    client::{Client, Event},
    describe::describe,
    http::Http,
    login::{Login, capabilities},
    methods::{Properties, access, basic, confirm, content_header, queue},
    process::{open_descriptors, resident_bytes},
    wait::{PATIENCE, until},
    wire::{self, Table},
};

use crate::neighbour::Neighbour;

const MIB: u64 = 1 << 20;

fn declare(client: &mut Client, name: &str, flags: u8) {
    let declare = queue::declare(name, flags, &Table::default());
    client.call(1, declare, (50, 11)).expect("a queue");
}

#[test]
fn a_client_that_vanishes_in_the_middle_of_a_message_leaves_nothing_behind() {
    let broker = Broker::start();
    let mut witness = broker.channel();
    declare(&mut witness, "q", 0);
    let descriptors = open_descriptors(broker.pid());
    let before = resident_bytes(broker.pid());
    for _ in 0..50 {
        let mut client = broker.channel();
        client.method(1, basic::publish("", "q", 0)).expect("a publish");
        let header = content_header(8 * MIB, &Properties::persistent());
        client.send(&wire::frame(wire::HEADER, 1, &header)).expect("a header");
        for _ in 0..16 {
            client.send(&wire::frame(wire::BODY, 1, &[b'.'; 100_000])).expect("a piece");
        }
    }
    until("the connections are gone", PATIENCE, || {
        (open_descriptors(broker.pid()) <= descriptors).then_some(())
    });
    assert!(witness.get(1, "q").expect("an answer").is_none());
    let after = resident_bytes(broker.pid());
    assert!(after.saturating_sub(before) < 64 * MIB, "memory went from {before} to {after}");
}

#[test]
fn a_consumer_that_does_not_read_takes_no_memory_and_disturbs_nobody() {
    let broker = Broker::start();
    let mut client = broker.channel();
    declare(&mut client, "slow", queue::DURABLE);
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    let count = 1_600_u32;
    for number in 0..count {
        let mut body = vec![b'.'; 65_536];
        body[..4].copy_from_slice(&number.to_be_bytes());
        client.publish(1, ("", "slow", 0), &Properties::default(), &body).expect("a publish");
    }
    let mut confirmed = 0;
    while confirmed < u64::from(count) {
        let ack = client.expect_method(1, (60, 80)).expect("a confirm");
        confirmed = confirmed.max(ack.arguments().u64().expect("a tag"));
    }
    let before = resident_bytes(broker.pid());
    let mut slow = broker.channel();
    let consume = basic::consume("slow", "t", basic::NO_ACK, &Table::default());
    slow.call(1, consume, (60, 21)).expect("a consumer");
    Neighbour::start(broker.amqp()).finish();
    let after = resident_bytes(broker.pid());
    assert!(after.saturating_sub(before) < 64 * MIB, "memory went from {before} to {after}");
    for number in 0..count {
        let deliver = slow.expect_method(1, (60, 60)).expect("a delivery");
        let content = slow.content(deliver).expect("its content");
        assert_eq!(content.body[..4], number.to_be_bytes());
    }
}

#[test]
fn over_the_memory_watermark_publishers_are_blocked_and_consumers_go_on() {
    let mut broker = Broker::start();
    let mut client = broker.channel();
    declare(&mut client, "q", queue::DURABLE);
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    client.publish(1, ("", "q", 0), &Properties::persistent(), b"before").expect("a publish");
    client.expect_method(1, (60, 80)).expect("a confirm");
    broker.stop();
    broker.set_options(Options::config("vm_memory_high_watermark.absolute = 1MB\n"));
    broker.restart();

    let mut publisher = broker.channel();
    publisher.call(1, confirm::select(), (85, 11)).expect("no block without a publish");
    publisher.publish(1, ("", "q", 0), &Properties::persistent(), b"over").expect("a publish");
    let Event::Frame(blocked) = publisher.next(PATIENCE) else {
        panic!("connection.blocked did not come");
    };
    assert_eq!(describe(&blocked), "connection.blocked \"low on memory\"");

    let mut consumer = broker.channel();
    let content = consumer.get(1, "q").expect("an answer").expect("the message");
    assert_eq!(content.body, b"before");

    // Whoever does not know connection.blocked is told nothing; once what was already read is done, nothing more of
    // it is.
    let login = Login { properties: capabilities(false), ..Login::default() };
    let mut old = Client::login_with(broker.amqp(), &login).expect("a login");
    old.open_channel(1).expect("a channel");
    old.publish(1, ("", "q", 0), &Properties::persistent(), b"over").expect("a publish");
    until("the publisher is not read any more", PATIENCE, || {
        old.method(1, access::request()).expect("room in the socket");
        match old.next(Duration::from_millis(300)) {
            Event::Silence => Some(()),
            Event::Frame(answer) if answer.method() == Some((30, 11)) => None,
            other => panic!("the blocked publisher got {other:?}"),
        }
    });
}

/// As RabbitMQ 4.0.5 lists them: an alarm makes every connection `blocking`, and `blocked` the one that publishes.
#[test]
fn lists_tell_who_is_blocking_and_who_is_blocked() {
    let broker = Broker::start_with(Options::config("vm_memory_high_watermark.relative = 0\n"));
    let mut clients = [broker.channel(), broker.channel()];
    let ports = clients.each_ref().map(|client| client.local_addr().expect("an address").port());
    let mut http = Http::new(broker.http());
    let mut states = || {
        let all = http.call("GET", "/api/connections", Some("guest:guest"), None).json();
        let all = all.as_array().expect("a list").clone();
        ports.map(|port| {
            let ours = all.iter().find(|connection| connection["peer_port"] == port).expect("listed");
            ours["state"].as_str().expect("text").to_owned()
        })
    };
    until("the alarm shows", PATIENCE, || (states() == ["blocking", "blocking"]).then_some(()));
    let [publisher, _] = &mut clients;
    publisher.publish(1, ("", "nowhere", 0), &Properties::default(), b"x").expect("a publish");
    until("the publisher is blocked", PATIENCE, || (states() == ["blocked", "blocking"]).then_some(()));
}

#[test]
fn at_the_descriptor_limit_accepting_pauses_and_the_log_says_nothing_of_it_failing() {
    let broker = Broker::start_with(Options { descriptors: Some(200), ..Options::default() });
    let mut served = broker.channel();
    let many: Vec<Client> =
        (0..250).map(|_| Client::connect(broker.amqp()).expect("the system's backlog takes it")).collect();
    served.call(1, access::request(), (30, 11)).expect("the served are served");
    let mut waiting = Client::connect(broker.amqp()).expect("the system's backlog takes it");
    waiting.send(wire::PROTOCOL_HEADER).expect("a header");
    assert_eq!(
        waiting.next(Duration::from_millis(300)),
        Event::Silence,
        "more were accepted than there is room"
    );
    served.call(1, access::request(), (30, 11)).expect("the served are served");
    drop(many);
    waiting.expect_method(0, (10, 10)).expect("accepting goes on when there is room");
    let log = broker.log();
    for word in ["EMFILE", "Too many open files", "os error 24"] {
        assert!(!log.contains(word), "{word} in the log: {log}");
    }
}
