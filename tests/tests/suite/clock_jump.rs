//! The time of day jumps by a day while the broker runs: nothing is lost and no heartbeat stops.

use std::time::{Duration, Instant};

use leveret_tests::{
    broker::{Broker, Options},
    client::{Client, Event},
    clock_shift::ClockShift,
    login::Login,
    methods::{Properties, confirm, queue},
    wait::{PATIENCE, until},
    wire::{self, Frame, Table},
};

const DAY: i64 = 86_400;
const HOUR_MS: &str = "3600000";

/// The day that the broker's last line bears.
fn last_day(broker: &Broker) -> String {
    broker.log().lines().last().and_then(|line| line.get(..10)).unwrap_or_default().to_owned()
}

fn publish(client: &mut Client, properties: &Properties, body: &[u8]) {
    client.publish(1, ("", "q", 0), properties, body).expect("a publish");
    client.expect_method(1, (60, 80)).expect("a confirm");
}

fn with_heartbeat(broker: &Broker) -> Client {
    Client::login_with(broker.amqp(), &Login { heartbeat: 1, ..Login::default() }).expect("a login")
}

/// The broker sends heartbeats, keeps who answers and drops who does not.
fn check_heartbeats(broker: &Broker, mut lively: Client) {
    let mut silent = with_heartbeat(broker);
    let start = Instant::now();
    // Beyond the two intervals after which a connection without heartbeats is dropped.
    while start.elapsed() < Duration::from_secs(3) {
        lively.send(&wire::frame(wire::HEARTBEAT, 0, b"")).expect("an open connection");
        assert_eq!(lively.next(Duration::from_millis(300)), Event::Silence);
    }
    lively.open_channel(1).expect("service");
    let mut octets = silent.read_to_close(PATIENCE).expect("the close of a silent connection");
    let heartbeat = Frame { kind: wire::HEARTBEAT, channel: 0, payload: Vec::new() };
    assert_eq!(Frame::take(&mut octets), Some(heartbeat));
}

/// A jump by `seconds`; `left` is what the queue holds after a kill and a start behind the jump.
fn jump(shift: &ClockShift, seconds: i64, left: &[&str]) {
    let mut broker = Broker::start_with(Options { environment: shift.environment(), ..Options::default() });
    let mut client = broker.channel();
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    client.call(1, queue::declare("q", queue::DURABLE, &Table::default()), (50, 11)).expect("a queue");
    let hour = Properties { expiration: Some(HOUR_MS.to_owned()), ..Properties::persistent() };
    publish(&mut client, &Properties::persistent(), b"before");
    publish(&mut client, &hour, b"for an hour");
    let lively = with_heartbeat(&broker);
    let day = last_day(&broker);
    shift.set(seconds);
    let mut other = broker.channel();
    until("the broker sees the jump", PATIENCE, || (last_day(&broker) != day).then_some(()));
    check_heartbeats(&broker, lively);
    publish(&mut client, &Properties::persistent(), b"after");
    let passive = queue::declare("q", queue::PASSIVE, &Table::default());
    let answer = other.call(1, passive, (50, 11)).expect("the queue");
    let mut arguments = answer.arguments();
    arguments.short();
    assert_eq!(arguments.u32(), Some(3), "nothing expires by the jump itself");
    broker.kill();
    broker.restart();
    let mut client = broker.channel();
    let mut found = Vec::new();
    while let Some(content) = client.get(1, "q").expect("an answer") {
        found.push(String::from_utf8(content.body).expect("text"));
    }
    assert_eq!(found, left);
}

#[test]
fn a_day_forward_loses_nothing_but_what_expired_by_the_new_time_at_the_next_start() {
    match ClockShift::build() {
        Some(shift) => jump(&shift, DAY, &["before", "after"]),
        None => println!("skipped: a day forward (no C compiler)"),
    }
}

#[test]
fn a_day_back_loses_nothing() {
    match ClockShift::build() {
        Some(shift) => jump(&shift, -DAY, &["before", "for an hour", "after"]),
        None => println!("skipped: a day back (no C compiler)"),
    }
}
