//! Backlogs larger than the memory there is.

use std::time::{Duration, Instant};

use leveret_tests::{
    broker::{Broker, Options},
    control_group::ControlGroup,
    process::{anonymous_bytes, resident_bytes},
    wait::{PATIENCE, until},
};

use super::{
    MIB,
    flow::{Length, Reader, declare, publish},
    free_bytes, scaled, skip, with_peak,
};

const QUEUE: &str = "backlog";

/// Nearly all of 1 KiB, and every thousandth of 1 MiB.
const MIXED: Length = |number| if number % 1000 == 999 { 1 << 20 } else { 1024 };
const KIB: Length = |_| 1024;

/// R1: ten times the memory of the machine, through one queue.
#[test]
fn a_backlog_of_ten_times_the_memory_is_kept_and_drained() {
    const LIMIT: u64 = 256 * MIB;
    const MOST_ANONYMOUS: u64 = 160 * MIB;
    const WHAT: &str = "a backlog under a memory limit";
    // 2.5 GiB of 2 KiB each on average.
    let count = scaled(1_312_000);
    let group = match ControlGroup::with_memory(LIMIT) {
        Ok(group) => group,
        Err(missing) => return skip(WHAT, &missing),
    };
    if free_bytes() < scaled(8 << 30) {
        return skip(WHAT, "less than 8 GiB of disk are free");
    }
    let options = Options { control_group: Some(group.folder().to_owned()), ..Options::default() };
    let mut broker = Broker::start_with(options);
    declare(broker.amqp(), QUEUE);
    let pid = broker.pid();
    let anonymous = || anonymous_bytes(pid).unwrap_or_default();
    let ((), filling) = with_peak(anonymous, || publish(broker.amqp(), (QUEUE, MIXED), 0..count, |_| {}));
    let ((), draining) = with_peak(anonymous, || {
        Reader::new(broker.amqp(), (QUEUE, MIXED), 0, 500).read_to(count, |_| {});
    });
    println!(
        "{count} messages under {} MiB: at most {} MiB of anonymous memory while they came, {} while they went",
        LIMIT / MIB,
        filling / MIB,
        draining / MIB
    );
    assert_eq!(group.kills(), 0, "killed for want of memory");
    assert!(broker.is_alive());
    assert!(filling.max(draining) <= MOST_ANONYMOUS, "{filling} {draining}");
    broker.kill();
}

/// A broker that nobody uses takes little: nothing is held that is not needed.
#[test]
fn an_idle_broker_is_small() {
    const MOST_ANONYMOUS: u64 = 16 * MIB;
    let mut broker = Broker::start();
    let anonymous = anonymous_bytes(broker.pid()).expect("a living process");
    println!(
        "idle: {} KiB anonymous, {} KiB resident",
        anonymous / 1024,
        resident_bytes(broker.pid()) / 1024
    );
    assert!(anonymous <= MOST_ANONYMOUS, "{anonymous}");
    broker.kill();
}

/// What was freed goes back to the system: an alarm that large messages have raised does not stay on, and their
/// publisher goes on without anybody else's help.
#[test]
fn large_messages_block_their_publisher_for_a_moment_at_most() {
    const LARGE: Length = |_| 1 << 20;
    const LIMIT: u64 = 64 * MIB;
    let count = scaled(2_500_000).clamp(300, 2_500);
    let config = format!("vm_memory_high_watermark.absolute = {LIMIT}\nleveret.slot_size = 4MiB\n");
    let mut broker = Broker::start_with(Options::config(&config));
    declare(broker.amqp(), QUEUE);
    let pid = broker.pid();
    let anonymous = || anonymous_bytes(pid).unwrap_or_default();
    let ((), peak) = with_peak(anonymous, || publish(broker.amqp(), (QUEUE, LARGE), 0..count, |_| {}));
    println!("{count} messages of 1 MiB under an alarm at 64 MiB: at most {} MiB anonymous", peak / MIB);
    until("memory is given back", PATIENCE, || (anonymous() <= LIMIT).then_some(()));
    Reader::new(broker.amqp(), (QUEUE, LARGE), 0, 10).read_to(count, |_| {});
    broker.kill();
}

/// Ten million messages need little memory, and a start after `kill -9` does not read them.
#[test]
fn ten_million_messages_are_ready_at_once_after_a_kill() {
    const MOST_RESIDENT: u64 = 300 * MIB;
    const READY: Duration = Duration::from_secs(2);
    let count = scaled(10_000_000);
    if free_bytes() < scaled(14 << 30) {
        return skip("ten million messages", "less than 14 GiB of disk are free");
    }
    let mut broker = Broker::start();
    declare(broker.amqp(), QUEUE);
    let pid = broker.pid();
    let ((), filling) =
        with_peak(|| resident_bytes(pid), || publish(broker.amqp(), (QUEUE, KIB), 0..count, |_| {}));
    broker.kill();
    let launched = Instant::now();
    broker.restart();
    let listening = launched.elapsed();
    let mut reader = Reader::new(broker.amqp(), (QUEUE, KIB), 0, 100);
    reader.read();
    let ready = launched.elapsed();
    reader.read_to(count.min(50_000), |_| {});
    let started = resident_bytes(broker.pid());
    println!(
        "{count} messages: at most {} MiB resident; after kill -9 AMQP was there in {listening:?}, the first delivery \
         in {ready:?}, then {} MiB resident",
        filling / MIB,
        started / MIB
    );
    assert!(ready <= READY, "{ready:?}");
    assert!(filling.max(started) <= MOST_RESIDENT, "{filling} {started}");
    broker.kill();
}
