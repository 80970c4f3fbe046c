//! Queues whose messages are not all in memory, or may not leave yet.

mod harness;

use harness::Argument::Number;
use harness::{Client, World, publish_bytes};
use leveret_engine::{Damage, Registry};
use leveret_protocol::amqp::{basic, queue, tx};

/// A window that a handful of messages fills.
const SMALL: u64 = 1024;

/// Publishes numbered messages, every third of them transient.
fn publish_mixed(client: &mut Client, queue: &str, numbers: std::ops::Range<u32>) {
    let mut batch = Vec::new();
    for number in numbers {
        let body = format!("{number:06}");
        batch.extend(publish_bytes(1, "", queue, body.as_bytes(), number % 3 != 0));
    }
    client.bytes(&batch);
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!("{number:06}")).collect()
}

/// Answers what waits for the log.
fn settle(world: &World, client: &mut Client) {
    world.sync();
    client.frames();
}

fn purge(client: &mut Client, queue: &str) {
    let purge = queue::Purge { queue: queue.into(), nowait: false };
    client.method(1, queue::AMQPMethod::Purge(purge));
}

fn delivered(frames: &[String]) -> Vec<&String> {
    frames.iter().filter(|frame| frame.contains("deliver ")).collect()
}

#[test]
fn what_does_not_fit_into_memory_comes_back_in_order() {
    let world = World::with_hot_window(SMALL);
    let mut client = world.client();
    client.open(1);
    client.declare(1, "q", true);
    settle(&world, &mut client);
    for start in [0, 1000, 2000] {
        publish_mixed(&mut client, "q", start..start + 1000);
    }
    assert_eq!(world.counts("q"), Some((3000, 0)));
    assert!(world.broker.hot.used() <= 2 * SMALL, "{} bytes are hot", world.broker.hot.used());
    assert_eq!(client.take_all(1, "q"), numbers(0..3000));
    assert_eq!((world.counts("q"), world.broker.hot.used()), (Some((0, 0)), 0));
}

#[test]
fn a_consumer_reads_a_cold_queue_to_its_end_and_what_comes_in_meanwhile() {
    let world = World::with_hot_window(SMALL);
    let mut client = world.client();
    client.open(1);
    client.declare(1, "q", false);
    settle(&world, &mut client);
    publish_mixed(&mut client, "q", 0..700);
    client.consume(1, "q", "c", true);
    publish_mixed(&mut client, "q", 700..1500);
    assert_eq!(client.bodies(), numbers(0..1500));
    assert_eq!(world.counts("q"), Some((0, 0)));
    publish_mixed(&mut client, "q", 1500..1501);
    assert_eq!(client.bodies(), numbers(1500..1501), "an empty queue is in memory again");
}

#[test]
fn a_start_reads_nothing_and_gets_wait_for_what_is_there() {
    let world = World::new();
    let mut client = world.client();
    client.open(1);
    client.declare(1, "q", true);
    settle(&world, &mut client);
    (0..5).for_each(|number| client.publish(1, "", "q", number.to_string().as_bytes()));
    world.sync();
    drop(client);
    let world = world.crash();
    assert_eq!((world.counts("q"), world.broker.hot.used()), (Some((5, 0)), 0));
    let mut client = world.client();
    client.open(1);
    client.frames();
    world.broker.store.hold(true);
    client.get(1, "q", false);
    client.method(1, basic::AMQPMethod::Qos(basic::Qos { prefetch_count: 1, global: false }));
    assert!(client.frames().is_empty(), "not empty, and nothing behind the get is answered before it");
    world.broker.store.hold(false);
    assert_eq!(client.frames(), ["1 get-ok 1", "1 qos-ok"]);
}

/// Without a consumer nothing is seen; a message that may leave is exposed first, durably.
#[test]
fn a_delivery_leaves_only_behind_its_durable_expose() {
    let world = World::new();
    let mut client = world.client();
    client.open(1);
    client.declare(1, "q", true);
    settle(&world, &mut client);
    client.publish(1, "", "q", b"one");
    client.publish(1, "", "q", b"two");
    world.sync();
    client.frames();
    world.broker.store.hold(true);
    client.consume(1, "q", "c", false);
    assert_eq!(client.frames(), ["1 consume-ok"], "the log does not say yet that it was seen");
    drop(client);
    let world = world.crash();
    let mut client = world.client();
    client.open(1);
    client.consume(1, "q", "c", false);
    let frames = client.frames();
    assert_eq!(delivered(&frames), ["1 deliver c 1", "1 deliver c 2"], "nobody saw it before");
    drop(client);
    let world = world.crash();
    let mut client = world.client();
    client.open(1);
    client.consume(1, "q", "c", false);
    let frames = client.frames();
    assert_eq!(delivered(&frames), ["1 deliver c 1 again", "1 deliver c 2 again"]);
}

#[test]
fn a_clean_stop_forgets_what_was_marked_and_never_delivered() {
    let world = World::new();
    let mut client = world.client();
    client.open(1);
    client.declare(1, "q", true);
    settle(&world, &mut client);
    client.qos(1, 2, false);
    client.consume(1, "q", "c", false);
    (0..4).for_each(|number| client.publish(1, "", "q", number.to_string().as_bytes()));
    world.sync();
    assert_eq!(world.counts("q"), Some((2, 2)));
    let settings = leveret_engine::broker::Settings::default();
    let world = world.restart_with(settings);
    drop(client);
    let mut client = world.client();
    client.open(1);
    client.consume(1, "q", "c", false);
    let frames = client.frames();
    let expected = ["1 deliver c 1 again", "1 deliver c 2 again", "1 deliver c 3", "1 deliver c 4"];
    assert_eq!(delivered(&frames), expected);
    drop(client);
    // What was delivered in that life was exposed for it.
    let world = world.crash();
    let mut client = world.client();
    client.open(1);
    client.consume(1, "q", "c", false);
    assert!(delivered(&client.frames()).iter().all(|frame| frame.ends_with("again")));
}

#[test]
fn a_purge_overtakes_a_read() {
    let world = World::with_hot_window(SMALL);
    let mut client = world.client();
    client.open(1);
    client.declare(1, "q", true);
    settle(&world, &mut client);
    publish_mixed(&mut client, "q", 1..500);
    client.get(1, "q", false);
    world.broker.store.hold(true);
    client.consume(1, "q", "c", true);
    purge(&mut client, "q");
    assert_eq!(world.counts("q"), Some((0, 1)));
    client.frames();
    world.broker.store.hold(false);
    publish_mixed(&mut client, "q", 500..503);
    assert_eq!(client.bodies(), numbers(500..503));
    world.sync();
    drop(client);
    let world = world.crash();
    assert_eq!(world.counts("q"), Some((1, 0)), "the one that was out");
}

#[test]
fn a_groups_cold_messages_are_read_once_it_is_committed() {
    let world = World::with_hot_window(SMALL);
    let mut client = world.client();
    client.open(1);
    client.declare(1, "q", true);
    settle(&world, &mut client);
    publish_mixed(&mut client, "q", 0..300);
    client.open(2);
    client.method(2, tx::AMQPMethod::Select(tx::Select {}));
    for number in 300..400 {
        client.publish(2, "", "q", format!("{number:06}").as_bytes());
    }
    client.method(2, tx::AMQPMethod::Commit(tx::Commit {}));
    assert_eq!(world.counts("q"), Some((400, 0)));
    assert_eq!(client.take_all(1, "q"), numbers(0..400));
}

#[test]
fn a_limit_holds_for_cold_messages_too() {
    let world = World::with_hot_window(0);
    let mut client = world.client();
    client.open(1);
    client.declare_with(1, "q", &[("x-max-length", Number(10))]);
    settle(&world, &mut client);
    publish_mixed(&mut client, "q", 0..100);
    assert_eq!(world.counts("q"), Some((10, 0)));
    assert_eq!(client.take_all(1, "q"), numbers(90..100));
}

#[test]
fn cold_messages_expire() {
    let world = World::with_hot_window(0);
    let mut client = world.client();
    client.open(1);
    client.declare_with(1, "q", &[("x-message-ttl", Number(100))]);
    settle(&world, &mut client);
    publish_mixed(&mut client, "q", 0..100);
    world.pass(99);
    assert_eq!(world.counts("q"), Some((100, 0)));
    world.pass(1);
    assert_eq!(world.counts("q"), Some((0, 0)));
}

#[test]
fn a_damaged_message_stops_its_queue_alone() {
    let world = World::with_hot_window(0);
    let mut client = world.client();
    client.open(1);
    for name in ["bad", "good"] {
        client.declare(1, name, true);
        publish_mixed(&mut client, name, 0..3);
    }
    settle(&world, &mut client);
    let damage = Damage { file: "log/slot-7".into(), offset: 4096, reason: "checksum".to_owned() };
    world.broker.store.damage(damage.clone());
    client.consume(1, "bad", "c", false);
    assert_eq!(client.frames(), ["1 consume-ok", "1 cancel"]);
    let vhost = world.broker.vhosts.find("/").unwrap();
    assert_eq!(vhost.queue(&"bad".into()).unwrap().damage(), Some(&damage));
    type Use = fn(&mut Client);
    let uses: [(&str, Use); 4] = [
        ("declare", |client| client.declare(1, "bad", true)),
        ("consume", |client| client.consume(1, "bad", "d", false)),
        ("get", |client| client.get(1, "bad", false)),
        ("publish", |client| client.publish(1, "", "bad", b"more")),
    ];
    for (name, makes_use) in uses {
        let mut other = world.client();
        other.open(1);
        settle(&world, &mut other);
        makes_use(&mut other);
        assert_eq!(other.frames(), ["0 connection.close 541"], "{name}");
    }
    assert_eq!(client.take_all(1, "good"), numbers(0..3));
}

/// A reply that waits for the log keeps a get back, so that delivery tags leave in order.
#[test]
fn a_got_message_is_not_overtaken_by_deliveries_with_higher_tags() {
    let world = World::new();
    let mut client = world.client();
    client.open(1);
    client.declare(1, "got", true);
    client.declare(1, "consumed", true);
    client.publish(1, "", "got", b"x");
    world.sync();
    client.consume(1, "consumed", "c", false);
    client.frames();
    client.declare(1, "another", true);
    client.get(1, "got", false);
    let mut other = world.client();
    other.open(1);
    other.publish(1, "", "consumed", b"y");
    let before = client.frames();
    world.sync();
    let after = client.frames();
    assert_eq!(
        (before, after),
        (vec!["1 deliver c 1".to_owned()], vec!["1 queue.declare-ok".to_owned(), "1 get-ok 2".to_owned()])
    );
}
