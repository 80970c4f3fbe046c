//! `kill -9` under confirmed load loses, alters and reorders nothing.
//!
//! A cycle is: load until enough is confirmed, kill, restart, and a second restart soon after, which finds what the
//! first recovery made worse. Every fourth kill is followed by another one in the middle of recovery. Publishers and
//! consumers run through all of it and connect again by themselves. `LEVERET_CRASH_CYCLES` is the number of cycles;
//! a few by default.

mod load;

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use leveret_tests::{
    binary,
    broker::{Broker, Options},
    ledger::{MessageId, Report},
    wait::{PATIENCE, pass, until},
};

use load::{Load, route};

/// Cycles of the commit tier.
const FEW_CYCLES: u32 = 8;
/// Messages confirmed in each cycle before its kill: 50 cycles make more than 100,000.
const CONFIRMS_A_CYCLE: u64 = 2_100;

#[test]
fn confirmed_messages_survive_kill_9_under_load() {
    let cycles = std::env::var("LEVERET_CRASH_CYCLES");
    let cycles = cycles.map_or(FEW_CYCLES, |text| text.parse().expect("a number of cycles"));
    let report = run(None, cycles);
    println!("{cycles} cycles of kill -9: {report}");
    assert!(report.confirmed >= u64::from(cycles) * CONFIRMS_A_CYCLE, "{report}");
    assert!(report.is_clean(), "{report}");
}

#[test]
#[ignore = "builds a second broker: nightly"]
fn the_crash_test_fails_on_a_broker_that_confirms_before_it_writes() {
    let binary = binary::leveret_with_features("planted-early-confirm");
    let report = run(Some(binary), 6);
    println!("a broker that confirms before it writes: {report}");
    assert!(report.lost > 0, "the planted fault was not found: {report}");
}

/// Runs `cycles` cycles, reads every queue to its end and closes the book.
fn run(binary: Option<PathBuf>, cycles: u32) -> Report {
    let mut broker = Broker::start_with(Options { binary, ..Options::default() });
    load::declare(broker.amqp());
    let load = Load::new(broker.amqp());
    thread::scope(|scope| {
        load.start(scope);
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for cycle in 1..=cycles {
                crash(&mut broker, &load, cycle);
            }
            finish(&load);
        }));
        load.stop();
        if let Err(cause) = done {
            std::panic::resume_unwind(cause);
        }
    });
    load.ledger.report(route)
}

/// One cycle: a kill under load and two restarts.
fn crash(broker: &mut Broker, load: &Load, cycle: u32) {
    confirm_more(load, CONFIRMS_A_CYCLE);
    broker.kill();
    load.ledger.next_life();
    let launched = Instant::now();
    broker.launch();
    if cycle.is_multiple_of(4) {
        // Nothing tells how far recovery is; the thirds of the time it took before are as good as any moment.
        pass(load.recovery_time() * (cycle / 4 % 3 + 1) / 4);
    } else {
        broker.wait_ready();
        load.set_recovery_time(launched.elapsed());
        confirm_more(load, 50);
    }
    broker.kill();
    load.ledger.next_life();
    broker.restart();
}

fn confirm_more(load: &Load, count: u64) {
    let target = load.ledger.confirmed_count() + count;
    until("the load goes on", PATIENCE * 4, || (load.ledger.confirmed_count() >= target).then_some(()));
}

/// Ends the publishing, and waits until the consumers have read all queues to their end.
fn finish(load: &Load) {
    load.stop_publishing();
    load.send_last_messages();
    until("the queues are read to their end", PATIENCE * 4, || load.all_read().then_some(()));
    // A queue with two consumers may hand the last message to one while the other still reads what came before.
    let patience = Instant::now() + Duration::from_secs(5);
    while Instant::now() < patience && !load.ledger.missing(route).is_empty() {
        pass(Duration::from_millis(20));
    }
}

/// The message that ends each queue.
pub(crate) const LAST: &str = "last";

/// A body's id as the text of its message-id, or the mark of the end.
pub(crate) enum Name {
    /// A message of the load.
    Message(MessageId),
    /// The end of a queue.
    Last,
}
