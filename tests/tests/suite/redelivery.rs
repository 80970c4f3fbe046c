//! What a death keeps of deliveries: the flag, and how often a message was tried.

use leveret_tests::{
    broker::Broker,
    client::{Client, Content},
    methods::{Properties, basic, confirm, queue},
    wire::Table,
};

const LIMIT: i32 = 3;

fn declare(client: &mut Client, name: &str, arguments: &Table) {
    client.call(1, queue::declare(name, queue::DURABLE, arguments), (50, 11)).expect("a queue");
}

/// A channel that confirms.
fn channel(broker: &Broker) -> Client {
    let mut client = broker.channel();
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    client
}

/// Publishes with a confirm; what was sent to the broker before is durable then too.
fn publish(client: &mut Client, queue: &str, body: &[u8]) {
    client.publish(1, ("", queue, 0), &Properties::persistent(), body).expect("a publish");
    client.expect_method(1, (60, 80)).expect("a confirm");
}

/// Gets a message unacked: its delivery tag, its redelivered flag and itself; `None` from an empty queue.
fn get(client: &mut Client, queue: &str) -> Option<(u64, bool, Content)> {
    let frame = client.call(1, basic::get(queue, false), (60, 71)).ok()?;
    let mut arguments = frame.arguments();
    let (tag, redelivered) = (arguments.u64().expect("a tag"), arguments.bit().expect("a bit"));
    Some((tag, redelivered, client.content(frame).expect("a whole message")))
}

#[test]
fn what_was_delivered_before_a_kill_comes_with_the_flag_in_its_place() {
    let mut broker = Broker::start();
    let mut client = channel(&broker);
    declare(&mut client, "q", &Table::default());
    for body in [b"unacked", b"nacked ", b"acked  "] {
        publish(&mut client, "q", body);
    }
    let tags: Vec<u64> = (0..3).map(|_| get(&mut client, "q").expect("a message").0).collect();
    client.method(1, basic::nack(tags[1], false, true)).expect("a nack");
    client.method(1, basic::ack(tags[2], false)).expect("an ack");
    publish(&mut client, "q", b"later  ");
    broker.kill();
    broker.restart();
    let mut client = channel(&broker);
    for expected in [b"unacked", b"nacked "] {
        let (_, redelivered, content) = get(&mut client, "q").expect("a message");
        assert_eq!((&*content.body, redelivered), (&expected[..], true));
    }
    let (_, _, content) = get(&mut client, "q").expect("a message");
    assert_eq!(content.body, b"later  ");
    assert!(get(&mut client, "q").is_none(), "the ack stood before a durable message");
}

/// Gives the message back again and again until it is dead-lettered; says how often it was delivered.
fn attempts(broker: &mut Broker, name: &str, killing: bool) -> u32 {
    let dead = format!("{name}-dead");
    let mut client = channel(broker);
    declare(&mut client, &dead, &Table::default());
    let arguments = Table::default()
        .text("x-queue-type", "quorum")
        .int("x-delivery-limit", LIMIT)
        .text("x-dead-letter-exchange", "")
        .text("x-dead-letter-routing-key", &dead);
    declare(&mut client, name, &arguments);
    publish(&mut client, name, b"poison");
    let mut attempts = 0;
    while let Some((tag, redelivered, content)) = get(&mut client, name) {
        assert_eq!(content.body, b"poison");
        assert!(redelivered || attempts == 0, "attempt {attempts} comes without the flag");
        attempts += 1;
        assert!(attempts < 20, "the limit of {LIMIT} has no effect");
        client.method(1, basic::nack(tag, false, true)).expect("a nack");
        if killing {
            // What is confirmed after the nack makes the nack durable.
            publish(&mut client, &dead, b"sync");
            broker.kill();
            broker.restart();
            client = channel(broker);
        }
    }
    let mut client = channel(broker);
    let mut found = Vec::new();
    while let Some(content) = client.get(1, &dead).expect("an answer") {
        found.push(content.body);
    }
    let poison = found.iter().filter(|body| *body == b"poison").count();
    assert_eq!(poison, 1, "dead-lettered once and for all");
    attempts
}

#[test]
fn kills_neither_count_as_attempts_nor_forget_any() {
    let mut broker = Broker::start();
    let calm = attempts(&mut broker, "calm", false);
    assert_eq!(attempts(&mut broker, "killed", true), calm);
    assert_eq!(calm, 1 + LIMIT.unsigned_abs());
}
