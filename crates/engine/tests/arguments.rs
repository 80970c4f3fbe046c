//! Queue arguments where time, crashes or other queues matter, with a clock that a test steps.

#![allow(clippy::unwrap_used, reason = "a test ends where what it needs is missing")]

mod harness;

use harness::Argument::{Flag, Number, Text};
use harness::{Client, World, publish_with};
use leveret_engine::Registry;
use leveret_protocol::amqp::confirm;

const DLX: &str = "x-dead-letter-exchange";
const KEY: &str = "x-dead-letter-routing-key";

fn opened(world: &World) -> Client {
    let mut client = world.client();
    client.open(1);
    client
}

/// Lets everything so far be answered.
fn settle(world: &World, client: &mut Client) {
    world.sync();
    client.frames();
}

/// A persistent publish with a priority.
fn publish_at(client: &mut Client, queue: &str, body: &str, priority: u8) {
    client.bytes(&publish_with(1, "", queue, body.as_bytes(), &[0x18, 0x00, 2, priority]));
}

#[test]
fn an_unused_queue_goes_and_use_keeps_it() {
    let world = World::new();
    let mut client = opened(&world);
    client.declare_with(1, "q", &[("x-expires", Number(1000)), (DLX, Text("")), (KEY, Text("dlq"))]);
    client.declare_with(1, "dlq", &[]);
    client.publish(1, "", "q", b"m");
    settle(&world, &mut client);
    world.pass(900);
    client.get(1, "q", false);
    world.pass(900);
    assert!(world.counts("q").is_some(), "basic.get is use");
    client.declare_with(1, "q", &[("x-expires", Number(1000)), (DLX, Text("")), (KEY, Text("dlq"))]);
    world.pass(900);
    assert!(world.counts("q").is_some(), "a declaration is use");
    client.consume(1, "q", "c", false);
    world.pass(5000);
    assert!(world.counts("q").is_some(), "a consumer keeps it");
    client.method(
        1,
        leveret_protocol::amqp::basic::AMQPMethod::Cancel(leveret_protocol::amqp::basic::Cancel {
            consumer_tag: "c".into(),
            nowait: false,
        }),
    );
    world.pass(999);
    client.publish(1, "", "q", b"no use");
    assert!(world.counts("q").is_some(), "its time begins when the last consumer goes");
    world.pass(1);
    assert_eq!(world.counts("q"), None);
    assert_eq!(world.counts("dlq"), Some((0, 0)), "what goes with a queue is not dead-lettered");
    assert_eq!(world.broker.next_deadline(), None, "nothing is left among the timers");
}

#[test]
fn a_start_gives_an_unused_queue_all_its_time_again() {
    let world = World::new();
    let mut client = opened(&world);
    client.declare_with(1, "q", &[("x-expires", Number(1000))]);
    world.sync();
    drop(client);
    let world = world.crash_after(5000);
    world.pass(999);
    assert!(world.counts("q").is_some());
    world.pass(1);
    assert_eq!(world.counts("q"), None);
}

#[test]
fn what_lives_for_no_time_reaches_only_who_waits() {
    let world = World::new();
    let mut client = opened(&world);
    client.declare_with(1, "q", &[("x-message-ttl", Number(0)), (DLX, Text("")), (KEY, Text("dlq"))]);
    client.declare_with(1, "dlq", &[]);
    settle(&world, &mut client);
    client.qos(1, 1, false);
    client.consume(1, "q", "c", false);
    client.publish(1, "", "q", b"1");
    client.publish(1, "", "q", b"2");
    assert_eq!((world.counts("q"), world.counts("dlq")), (Some((0, 1)), Some((1, 0))));
    client.nack(1, 1, false);
    assert_eq!(world.counts("q"), Some((0, 0)), "its time is over when it comes back");
    assert_eq!(client.take_all(1, "dlq"), ["2", "1"]);
}

#[test]
fn a_backlog_that_expires_at_once_moves_whole_and_in_order() {
    const MESSAGES: usize = 10_000;
    let world = World::new();
    let mut client = opened(&world);
    client.declare_with(1, "q", &[("x-message-ttl", Number(50)), (DLX, Text("")), (KEY, Text("dlq"))]);
    client.declare_with(1, "dlq", &[]);
    settle(&world, &mut client);
    for i in 0..MESSAGES {
        client.publish(1, "", "q", i.to_string().as_bytes());
    }
    world.pass(50);
    assert_eq!(world.counts("q"), Some((0, 0)));
    let expected: Vec<String> = (0..MESSAGES).map(|i| i.to_string()).collect();
    assert!(client.take_all(1, "dlq") == expected);
}

#[test]
fn dead_letters_wait_while_the_log_is_behind() {
    const MESSAGES: u64 = 1000;
    let world = World::new();
    let mut client = opened(&world);
    client.declare_with(1, "q", &[("x-message-ttl", Number(50)), (DLX, Text("")), (KEY, Text("dlq"))]);
    client.declare_with(1, "dlq", &[]);
    let body = vec![b'b'; 100_000];
    for _ in 0..MESSAGES {
        client.publish(1, "", "q", &body);
        world.sync();
    }
    world.pass(50);
    let moved = world.counts("dlq").unwrap().0;
    assert!(moved > 0 && moved < MESSAGES, "{moved} fill the log's buffer");
    world.pass(20);
    assert_eq!(world.counts("dlq"), Some((moved, 0)), "nothing is moved before the log has caught up");
    world.sync();
    world.pass(20);
    assert_eq!((world.counts("q"), world.counts("dlq")), (Some((0, 0)), Some((MESSAGES, 0))));
}

#[test]
fn wherever_a_log_that_is_behind_stops_a_backlog_it_goes_on() {
    const MESSAGES: u64 = 5000;
    for limit in (1..50).map(|step| step * 40_000) {
        let mut world = World::new();
        let mut client = opened(&world);
        client.declare_with(1, "q", &[("x-message-ttl", Number(50)), (DLX, Text("")), (KEY, Text("dlq"))]);
        client.declare_with(1, "dlq", &[]);
        for number in 0..MESSAGES {
            client.publish(1, "", "q", number.to_string().as_bytes());
        }
        drop(client);
        world.sync();
        world.set_log_backlog(limit);
        world.pass(50);
        for _ in 0..MESSAGES {
            world.sync();
            world.pass(20);
        }
        assert_eq!((world.counts("q"), world.counts("dlq")), (Some((0, 0)), Some((MESSAGES, 0))), "{limit}");
    }
}

#[test]
fn a_refusal_by_one_queue_of_several_is_a_nack() {
    let world = World::new();
    let mut client = opened(&world);
    client.declare_with(1, "full", &[("x-max-length", Number(1)), ("x-overflow", Text("reject-publish"))]);
    client.declare_with(1, "free", &[]);
    client.bind(1, "fan", "fanout", &["full", "free"]);
    client.method(1, confirm::AMQPMethod::Select(confirm::Select { nowait: false }));
    settle(&world, &mut client);
    let mut batch = Vec::new();
    for (exchange, key, body) in [("fan", "", "1"), ("fan", "", "2"), ("", "free", "3"), ("fan", "", "4")] {
        batch.extend(harness::publish_bytes(1, exchange, key, body.as_bytes(), true));
    }
    client.bytes(&batch);
    world.sync();
    assert_eq!(client.frames(), ["1 ack 1", "1 nack 2", "1 ack 3", "1 nack 4"]);
    assert_eq!((world.counts("full"), world.counts("free")), (Some((1, 0)), Some((4, 0))));
}

#[test]
fn a_refused_message_is_dead_lettered_where_that_is_asked_for() {
    let world = World::new();
    let mut client = opened(&world);
    let overflow = ("x-overflow", Text("reject-publish-dlx"));
    let arguments = [(DLX, Text("")), (KEY, Text("dlq")), ("x-max-length", Number(1)), overflow];
    client.declare_with(1, "q", &arguments);
    client.declare_with(1, "dlq", &[]);
    client.method(1, confirm::AMQPMethod::Select(confirm::Select { nowait: false }));
    client.publish(1, "", "q", b"1");
    client.publish(1, "", "q", b"2");
    world.sync();
    let frames = client.frames();
    assert!(frames.ends_with(&["1 ack 1".to_owned(), "1 nack 2".to_owned()]), "{frames:?}");
    assert_eq!(client.take_all(1, "dlq"), ["2"]);
    assert_eq!(client.take_all(1, "q"), ["1"]);
}

#[test]
fn returns_are_counted_over_a_crash() {
    let world = World::new();
    let mut client = opened(&world);
    let arguments = [
        ("x-queue-type", Text("quorum")),
        ("x-delivery-limit", Number(2)),
        (DLX, Text("")),
        (KEY, Text("dlq")),
    ];
    client.declare_with(1, "q", &arguments);
    client.declare_with(1, "dlq", &[]);
    client.publish(1, "", "q", b"m");
    settle(&world, &mut client);
    for tag in 1..=2 {
        client.get(1, "q", false);
        client.nack(1, tag, false);
    }
    world.sync();
    drop(client);
    let world = world.crash();
    let mut client = opened(&world);
    assert_eq!(world.counts("q"), Some((1, 0)));
    client.get(1, "q", false);
    client.nack(1, 1, false);
    assert_eq!(
        (world.counts("q"), world.counts("dlq")),
        (Some((0, 0)), Some((1, 0))),
        "the third return is too many"
    );
}

#[test]
fn priorities_hold_over_a_crash() {
    let world = World::new();
    let mut client = opened(&world);
    client.declare_with(1, "q", &[("x-max-priority", Number(9))]);
    for (body, priority) in [("low", 1), ("none", 0), ("high", 9), ("low too", 1), ("higher than all", 200)] {
        publish_at(&mut client, "q", body, priority);
    }
    world.sync();
    drop(client);
    let world = world.crash();
    let mut client = opened(&world);
    assert_eq!(client.take_all(1, "q"), ["high", "higher than all", "low", "low too", "none"]);
}

#[test]
fn the_active_consumer_is_followed_by_the_next() {
    let world = World::new();
    let (mut first, mut second) = (opened(&world), opened(&world));
    first.declare_with(1, "q", &[("x-single-active-consumer", Flag(true))]);
    settle(&world, &mut first);
    first.consume(1, "q", "first", false);
    second.consume(1, "q", "second", false);
    first.publish(1, "", "q", b"1");
    first.publish(1, "", "q", b"2");
    assert_eq!(first.frames().iter().filter(|frame| frame.contains("deliver first")).count(), 2);
    assert!(!second.frames().iter().any(|frame| frame.contains("deliver")), "it waits");
    drop(first);
    assert_eq!(second.frames(), ["1 deliver second 1 again", "1 deliver second 2 again"]);
}

#[test]
fn very_many_queues_that_are_due_at_once_go_bit_by_bit() {
    const QUEUES: usize = 3000;
    let world = World::new();
    let mut client = world.client();
    client.open(1);
    for number in 0..QUEUES {
        client.declare_with(1, &format!("q{number}"), &[("x-expires", Number(100))]);
    }
    world.step_clock(100);
    world.broker.tick();
    let left = || world.broker.vhosts.find("/").unwrap().queues().len();
    assert!((1..QUEUES).contains(&left()), "{} are left", left());
    world.pass(0);
    assert_eq!(left(), 0);
}

#[test]
fn publishes_of_one_read_are_each_checked_and_routed() {
    let world = World::new();
    let mut client = opened(&world);
    client.declare_with(1, "a", &[("x-max-priority", Number(9))]);
    client.declare_with(1, "b", &[]);
    client.bind(1, "amq.fanout", "fanout", &["a", "b"]);
    settle(&world, &mut client);
    let properties = |priority: u8| [0x18, 0x00, 2, priority];
    let publishes = [
        ("", "a", 1, "1"),
        ("", "a", 1, "2"),
        ("", "a", 5, "first by its priority"),
        ("", "b", 5, "another key"),
        ("amq.fanout", "b", 5, "another exchange"),
        ("amq.fanout", "b", 5, "again"),
        ("", "nowhere", 5, "lost"),
    ];
    let read: Vec<u8> = publishes
        .iter()
        .flat_map(|(exchange, key, priority, body)| {
            publish_with(1, exchange, key, body.as_bytes(), &properties(*priority))
        })
        .collect();
    client.bytes(&read);
    let expected = ["first by its priority", "another exchange", "again", "1", "2"];
    assert_eq!(client.take_all(1, "a"), expected);
    assert_eq!(client.take_all(1, "b"), ["another key", "another exchange", "again"]);
}
