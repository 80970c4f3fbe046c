//! A message that is being dead-lettered is in exactly one place, wherever a kill cuts its way.

use std::time::Duration;

use leveret_tests::{
    broker::Broker,
    client::Client,
    methods::{Properties, basic, confirm, queue},
    wait::{PATIENCE, pass, until},
    wire::Table,
};

const COUNT: u32 = 200;

/// Queues from the first to the last, each with its arguments; the last is where all messages end.
type Way = [(&'static str, Table)];

fn dead_letters_to(next: &str) -> Table {
    Table::default().text("x-dead-letter-exchange", "").text("x-dead-letter-routing-key", next)
}

/// Fills the first queue of `way` and waits for the confirms.
fn fill(broker: &Broker, way: &Way) -> Client {
    let mut client = broker.channel();
    for (name, arguments) in way {
        client.call(1, queue::declare(name, queue::DURABLE, arguments), (50, 11)).expect("a queue");
    }
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    for number in 0..COUNT {
        let body = number.to_string();
        let sent = client.publish(1, ("", way[0].0, 0), &Properties::persistent(), body.as_bytes());
        sent.expect("a publish");
    }
    let mut confirmed = 0;
    while confirmed < u64::from(COUNT) {
        let ack = client.expect_method(1, (60, 80)).expect("a confirm");
        confirmed = ack.arguments().u64().expect("a tag");
    }
    client
}

/// Consumes everything in `queue` and rejects it; nobody waits for the end of that.
fn reject_all(client: &mut Client, queue: &str) {
    client.call(1, basic::consume(queue, "t", 0, &Table::default()), (60, 21)).expect("a consumer");
    for _ in 0..COUNT {
        let deliver = client.expect_method(1, (60, 60)).expect("a delivery");
        client.content(deliver).expect("its content");
    }
    for tag in 1..=COUNT {
        client.method(1, basic::reject(tag.into(), false)).expect("a rejection");
    }
}

fn ready(client: &mut Client, queue: &str) -> u32 {
    let passive = queue::declare(queue, queue::PASSIVE, &Table::default());
    let declare_ok = client.call(1, passive, (50, 11)).expect("the queue");
    super::link::counts(&declare_ok).0
}

/// The bodies in `queue`, taken out and gone for good when this returns.
fn take_all(client: &mut Client, queue: &str) -> Vec<u32> {
    let mut bodies = Vec::new();
    while let Some(content) = client.get(1, queue).expect("an answer") {
        bodies.push(String::from_utf8_lossy(&content.body).parse().expect("a number"));
    }
    bodies
}

/// Fills `way`, lets `work` begin, kills the broker a little later each round, and counts every message once.
fn kill_on_the_way(way: &Way, settles: bool, mut work: impl FnMut(&mut Client)) {
    let mut broker = Broker::start();
    for round in 0..5 {
        let mut client = fill(&broker, way);
        work(&mut client);
        // Somewhere between the first death and the last.
        pass(Duration::from_micros(700 * round));
        broker.kill();
        broker.restart();
        let mut client = broker.channel();
        if settles {
            let (last, _) = way.last().expect("a last queue");
            until("all to arrive", PATIENCE, || (ready(&mut client, last) >= COUNT).then_some(()));
        }
        let mut all: Vec<u32> = way.iter().flat_map(|(name, _)| take_all(&mut client, name)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..COUNT).collect::<Vec<_>>(), "round {round}");
    }
}

#[test]
fn a_rejected_message_is_in_one_place_after_a_kill() {
    let way = [("work", dead_letters_to("dead")), ("dead", Table::default())];
    kill_on_the_way(&way, false, |client| reject_all(client, "work"));
}

#[test]
fn an_expired_message_is_in_one_place_after_a_kill() {
    let waiting = |next, ms| dead_letters_to(next).int("x-message-ttl", ms);
    let way = [("first", waiting("second", 2)), ("second", waiting("last", 1)), ("last", Table::default())];
    kill_on_the_way(&way, true, |_| {});
}

#[test]
fn a_message_that_made_room_is_in_one_place_after_a_kill() {
    let short = |next, length| dead_letters_to(next).int("x-max-length", length);
    let way = [("long", short("short", 20)), ("short", short("last", 5)), ("last", Table::default())];
    kill_on_the_way(&way, false, |_| {});
}

#[test]
fn a_message_returned_too_often_is_in_one_place_after_a_kill() {
    let quorum = dead_letters_to("dead").text("x-queue-type", "quorum").int("x-delivery-limit", 0);
    let way = [("work", quorum), ("dead", Table::default())];
    kill_on_the_way(&way, false, |client| {
        client.call(1, basic::consume("work", "t", 0, &Table::default()), (60, 21)).expect("a consumer");
        for _ in 0..COUNT {
            let deliver = client.expect_method(1, (60, 60)).expect("a delivery");
            client.content(deliver).expect("its content");
        }
        client.method(1, basic::nack(0, true, true)).expect("a return");
    });
}
