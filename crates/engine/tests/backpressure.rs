//! Publishers that are far ahead of consumers: who is held back, by what, and what lets them go.

mod harness;

use harness::{Client, World, publish_bytes};
use leveret_core::ids::MonotonicMillis;
use leveret_engine::broker::Settings;
use leveret_engine::{Damage, Flow, Registry};
use leveret_protocol::amqp::{basic, queue};

/// A body of this size makes some 300 messages of a queue's share.
const BODY: [u8; 1000] = [b'x'; 1000];

/// What the consumer takes in a round, and what the publisher sends meanwhile.
const TAKEN: u16 = 100;
const SENT: usize = 150;
const ROUND_MS: u64 = 10;

/// A broker, and a publisher and a consumer of one queue.
struct Scene {
    world: World,
    publisher: Client,
    consumer: Client,
    /// How often the consumer took its share.
    taken: u32,
}

impl Scene {
    fn new(hot_window_bytes: u64) -> Self {
        let held_backlog_bytes = hot_window_bytes / 64;
        let settings = Settings { hot_window_bytes, held_backlog_bytes, ..Settings::default() };
        let world = World::new().restart_with(settings);
        let (mut publisher, mut consumer) = (world.client(), world.client());
        publisher.open(1);
        consumer.open(1);
        consumer.declare(1, "q", false);
        consumer.qos(1, TAKEN, false);
        consumer.consume(1, "q", "c", false);
        publisher.frames();
        consumer.frames();
        Self { world, publisher, consumer, taken: 0 }
    }

    /// With room for some hundreds of messages.
    fn narrow() -> Self {
        Self::new(1 << 20)
    }

    /// Once the publisher is held.
    fn held() -> Self {
        let mut scene = Self::narrow();
        let is_held = (0..20).any(|_| {
            scene.round(SENT);
            scene.is_held()
        });
        assert!(is_held, "the publisher is held before long");
        scene.publisher.wakes.take();
        scene
    }

    fn is_held(&self) -> bool {
        assert_eq!(self.publisher.session.is_ahead(), !self.publisher.session.wants_input());
        self.publisher.session.is_ahead()
    }

    /// The consumer takes its share, the publisher sends so much if it is read.
    fn round(&mut self, sent: usize) {
        self.world.pass(ROUND_MS);
        self.take();
        self.publisher.wake();
        if !self.is_held() {
            publish(&mut self.publisher, "q", sent);
        }
    }

    /// The consumer acks all that it has, and reads what comes for it.
    fn take(&mut self) {
        self.consumer.ack(1, 0, true);
        self.consumer.frames();
        self.taken += 1;
    }

    /// Whether the publisher was woken and goes on.
    fn goes_on(&mut self) -> bool {
        self.publisher.wake();
        !self.is_held()
    }

    fn ready(&self) -> u64 {
        self.world.counts("q").map_or(0, |(ready, _)| ready)
    }

    fn shown_as_flow(&self) -> usize {
        let broker = &self.world.broker;
        broker.connections.values().iter().filter(|entry| broker.is_in_flow(entry)).count()
    }
}

fn publish(client: &mut Client, queue: &str, count: usize) {
    let one = publish_bytes(1, "", queue, &BODY, false);
    client.bytes(&one.repeat(count));
}

#[test]
fn a_publisher_waits_until_half_of_a_queues_share_is_left_and_all_stays_in_memory() {
    let mut scene = Scene::held();
    assert_eq!(scene.shown_as_flow(), 1);
    let most = scene.ready();
    let mut last = most;
    while !scene.goes_on() {
        scene.take();
        assert!(scene.ready() < last, "it is let go before the queue is empty");
        last = scene.ready();
    }
    assert!(last > 0 && last < most * 2 / 3, "{last} of {most} are left");
    assert!(scene.world.broker.hot.used() < 1 << 20);
    assert_eq!(scene.shown_as_flow(), 1, "it comes and goes, and is shown for a second");
    scene.world.step_clock(1_000);
    assert_eq!(scene.shown_as_flow(), 0);
}

#[test]
fn steady_work_stays_in_memory_for_ever() {
    let mut scene = Scene::narrow();
    let mut held = 0;
    for _ in 0..500 {
        scene.round(SENT);
        held += u32::from(scene.is_held());
        assert!(scene.world.broker.hot.used() < 1 << 20, "{} of 1 MiB", scene.world.broker.hot.used());
    }
    assert!((100..400).contains(&held), "held in {held} of 500 rounds");
}

#[test]
fn what_ends_a_hold_ends_it_at_once() {
    type End = fn(&mut Scene);
    let ends: [(&str, End); 6] = [
        ("the consumer is cancelled", |scene| {
            let cancel = basic::Cancel { consumer_tag: "c".into(), nowait: false };
            scene.consumer.method(1, basic::AMQPMethod::Cancel(cancel));
        }),
        ("its connection is lost", |scene| scene.consumer.session.end()),
        ("the queue is purged", |scene| {
            let purge = queue::Purge { queue: "q".into(), nowait: false };
            scene.consumer.method(1, queue::AMQPMethod::Purge(purge));
        }),
        ("the queue is deleted", |scene| {
            let (if_unused, if_empty) = (false, false);
            let delete = queue::Delete { queue: "q".into(), if_unused, if_empty, nowait: false };
            scene.consumer.method(1, queue::AMQPMethod::Delete(delete));
        }),
        ("the queue is stopped", |scene| {
            let vhost = scene.world.broker.vhosts.find("/").unwrap();
            let damage = Damage { file: "f".into(), offset: 1, reason: "r".to_owned() };
            scene.world.broker.quarantine(&vhost.queue(&"q".into()).unwrap(), damage);
        }),
        ("the consumer takes nothing for a look", |scene| scene.world.pass(50)),
    ];
    for (name, end) in ends {
        let mut scene = Scene::held();
        assert!(!scene.goes_on(), "{name}: nothing has happened yet");
        end(&mut scene);
        assert!(scene.publisher.wakes.take() > 0, "{name}: it is woken");
        scene.publisher.session.woken(scene.publisher.now);
        assert!(scene.goes_on(), "{name}");
    }
}

#[test]
fn a_slow_consumer_or_none_holds_nobody() {
    for taken in [0, 1, TAKEN / 4] {
        let mut scene = Scene::narrow();
        scene.consumer.qos(1, taken.max(1), false);
        scene.consumer.consume(1, "q", "slow", false);
        let cancel = basic::Cancel { consumer_tag: "c".into(), nowait: false };
        scene.consumer.method(1, basic::AMQPMethod::Cancel(cancel));
        if taken == 0 {
            let cancel = basic::Cancel { consumer_tag: "slow".into(), nowait: false };
            scene.consumer.method(1, basic::AMQPMethod::Cancel(cancel));
        }
        for round in 0..100 {
            scene.round(SENT);
            assert!(!scene.is_held(), "{taken} of {SENT}, round {round}");
        }
    }
}

#[test]
fn a_consumer_that_becomes_slow_lets_publishers_go_and_one_that_recovers_holds_them_again() {
    let mut scene = Scene::held();
    let first = u64::from(TAKEN) * u64::from(scene.taken - 1);
    let mut rounds = 0;
    while scene.is_held() {
        scene.world.pass(ROUND_MS);
        rounds += 1;
        scene.consumer.ack(1, first + rounds, false);
        assert!(scene.consumer.frames()[0].contains("deliver"));
        scene.publisher.wake();
    }
    assert!(rounds <= 6, "let go after a look, not {rounds} rounds");
    // It goes on while the consumer takes next to nothing, and fills more than the window.
    for _ in 0..50 {
        scene.world.pass(ROUND_MS);
        publish(&mut scene.publisher, "q", SENT);
        assert!(!scene.is_held());
    }
    let ready = scene.ready();
    assert!(ready > 5_000, "most of {ready} are on disk");
    // The consumer is back, at a pace that ends this within half a second.
    let mut was_held = false;
    for _ in 0..200 {
        (0..3).for_each(|_| scene.take());
        scene.round(1);
        was_held |= scene.is_held();
    }
    assert!(was_held && scene.ready() < 400, "held: {was_held}, {} left", scene.ready());
    assert!(scene.goes_on() || scene.ready() > 0);
}

#[test]
fn whoever_consumes_or_has_something_to_settle_is_never_held() {
    type Role = fn(&mut Client);
    let roles: [(&str, Role); 3] = [
        ("consumes from another queue", |client| client.consume(1, "other", "mine", true)),
        ("has got a message", |client| {
            client.publish(1, "", "other", b"one");
            client.get(1, "other", false);
        }),
        ("waits for replies", |client| client.consume(1, "amq.rabbitmq.reply-to", "mine", true)),
    ];
    for (name, role) in roles {
        let mut scene = Scene::narrow();
        scene.publisher.declare(1, "other", false);
        role(&mut scene.publisher);
        scene.publisher.frames();
        for _ in 0..30 {
            scene.round(SENT);
            assert!(!scene.is_held(), "who {name}");
        }
    }
    // And is, once it no longer does.
    let mut scene = Scene::narrow();
    scene.publisher.declare(1, "other", false);
    scene.publisher.publish(1, "", "other", b"one");
    scene.publisher.get(1, "other", false);
    scene.publisher.ack(1, 1, false);
    scene.publisher.consume(1, "other", "mine", true);
    let cancel = basic::Cancel { consumer_tag: "mine".into(), nowait: false };
    scene.publisher.method(1, basic::AMQPMethod::Cancel(cancel));
    let is_held = (0..30).any(|_| {
        scene.round(SENT);
        scene.is_held()
    });
    assert!(is_held);
}

#[test]
fn no_hold_is_longer_than_a_second_whoever_fills_the_queue_meanwhile() {
    let mut scene = Scene::held();
    let mut other = scene.world.client();
    other.open(1);
    other.declare(1, "other", false);
    other.consume(1, "other", "mine", true);
    other.frames();
    let mut ms = 0;
    while scene.is_held() {
        assert!(ms <= 1_050, "held for {ms} ms");
        scene.world.pass(ROUND_MS);
        scene.take();
        publish(&mut other, "q", TAKEN.into());
        scene.publisher.wake();
        ms += ROUND_MS;
    }
    assert!(ms >= 900, "the consumer keeps up, so it is held: {ms} ms");
    // It is read for a while before it is held again.
    for _ in 0..4 {
        scene.round(10);
        assert!(!scene.is_held());
    }
}

#[test]
fn who_is_held_sends_heartbeats_and_is_not_missed() {
    let mut scene = Scene::held();
    let mut now = 0;
    for _ in 0..20 {
        let deadline = scene.publisher.session.deadline().unwrap();
        now = deadline.0;
        assert_eq!(scene.publisher.session.tick(deadline), Flow::Go, "after {now} ms");
    }
    assert!(now > 200_000, "a silence of {now} ms is more than two heartbeats of 60 s");
    assert!(scene.is_held());
    // Once it is read again its silence counts again.
    scene.consumer.session.end();
    assert!(scene.goes_on());
    let flow = (0..20).map(|_| {
        let deadline = scene.publisher.session.deadline().unwrap_or(MonotonicMillis(now));
        scene.publisher.session.tick(deadline)
    });
    assert_eq!(flow.last(), Some(Flow::Close));
}

#[test]
fn one_slow_queue_of_many_stops_nobody_and_a_fast_one_for_as_long_as_it_is_behind() {
    let mut scene = Scene::new(8 << 20);
    scene.consumer.declare(1, "slow", false);
    scene.consumer.bind(1, "fan", "fanout", &["q", "slow"]);
    scene.consumer.frames();
    let mut slow = scene.world.client();
    slow.open(1);
    slow.qos(1, 1, false);
    slow.consume(1, "slow", "s", false);
    slow.frames();
    let one = publish_bytes(1, "fan", "", &BODY, false);
    let mut held = 0;
    let mut sent = 0;
    for _ in 0..400 {
        scene.world.pass(ROUND_MS);
        scene.take();
        if !scene.is_held() {
            scene.publisher.bytes(&one.repeat(SENT));
            sent += SENT;
        }
        held += u32::from(scene.is_held());
        scene.publisher.wake();
    }
    let taken = 400 * usize::from(TAKEN);
    assert!(held > 0 && sent >= taken * 9 / 10, "held {held} times, sent {sent} for {taken}");
    assert!(scene.ready() < 4_000, "{} wait for the fast one", scene.ready());
}

#[test]
fn a_stop_reaches_who_is_held() {
    let mut scene = Scene::held();
    for entry in scene.world.broker.connections.values() {
        entry.close("shutdown");
    }
    let frames = scene.publisher.frames();
    assert_eq!(frames, ["0 connection.close 320"]);
    assert!(scene.publisher.session.wants_input(), "its close-ok is to be read");
}
