//! `kill -9` under confirmed load loses, alters, repeats and reorders nothing.
//!
//! A cycle is: load until enough is confirmed, kill at a random moment, restart, and a second restart soon after, which
//! finds what the first recovery made worse. Every fourth kill is followed by another one in the middle of recovery,
//! and every fifth cycle ends by a clean stop instead. Publishers and consumers run through all of it and connect
//! again by themselves.
//!
//! `LEVERET_CRASH_CYCLES` is the number of cycles, or a range of their numbers such as `101-150`, to go on with a run
//! that was broken off: a cycle's number says all that is random about its kills. A few by default. Every
//! [`BLOCK`] cycles the book is closed and the next ones begin on an empty folder.

mod consumer;
mod load;
mod publisher;
mod topology;

use std::{
    ops::RangeInclusive,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use leveret_tests::{
    binary,
    broker::{Broker, Options},
    ledger::{End, Report},
    wait::{PATIENCE, pass},
};

use load::Load;
use topology::{declare, route};

/// Cycles of the commit tier, and messages confirmed in each before its kill.
const FEW_CYCLES: (u32, u64) = (10, 1_500);
/// Messages confirmed in each cycle of a longer run: 200 cycles make more than a million.
const CONFIRMS_A_CYCLE: u64 = 5_000;
/// What publishers go on with beyond that: the load must not have ended at the moment of the kill.
const BEYOND: u64 = 8_000;
/// Small slots, so that a run goes through many checkpoints and reuses slots, and little memory, so that backlogs lie
/// on disk.
const CONFIG: &str = "leveret.slot_size = 1MiB\nleveret.hot_window = 4MiB\n";
/// Cycles with `durability = os`, where a confirm waits for the system alone: a kill loses nothing there either.
const OS_CYCLES: u32 = 20;
const FEW_OS_CYCLES: u32 = 2;
/// Cycles on one data folder.
const BLOCK: u32 = 50;
/// The kill comes within so many milliseconds after enough is confirmed.
const KILL_WITHIN_MS: u64 = 150;

#[test]
fn confirmed_messages_survive_kill_9_under_load() {
    let (cycles, confirms) = match std::env::var("LEVERET_CRASH_CYCLES") {
        Ok(text) => (range(&text).expect("a number of cycles, or FIRST-LAST"), CONFIRMS_A_CYCLE),
        Err(_) => (1..=FEW_CYCLES.0, FEW_CYCLES.1),
    };
    let mut confirmed = 0;
    let mut first = *cycles.start();
    while first <= *cycles.end() {
        let last = (first + BLOCK - 1).min(*cycles.end());
        let Outcome { report, slowest, unread } = run(None, CONFIG, first..=last, confirms);
        println!("cycles {first}-{last} of kill -9: {report}; slowest start {slowest:?}");
        assert!(
            report.is_clean() && unread == 0,
            "cycles {first}-{last}: {report}; {unread} queues without an end"
        );
        confirmed += report.confirmed;
        first = last + 1;
    }
    let count = u64::from(cycles.end() + 1 - cycles.start());
    println!("{count} cycles of kill -9: {confirmed} messages confirmed, every promise kept");
    assert!(confirmed >= count * confirms, "{confirmed} confirmed in {count} cycles");
}

#[test]
fn confirmed_messages_survive_kill_9_where_only_the_system_has_them() {
    let is_long = std::env::var_os("LEVERET_CRASH_CYCLES").is_some();
    let (cycles, confirms) =
        if is_long { (OS_CYCLES, CONFIRMS_A_CYCLE) } else { (FEW_OS_CYCLES, FEW_CYCLES.1) };
    let config = format!("{CONFIG}leveret.durability = os\n");
    let Outcome { report, slowest, unread } = run(None, &config, 1..=cycles, confirms);
    println!("{cycles} cycles of kill -9, durability = os: {report}; slowest start {slowest:?}");
    assert!(report.is_clean() && unread == 0, "{report}; {unread} queues without an end");
    assert!(report.confirmed >= u64::from(cycles) * confirms, "{report}");
}

#[test]
#[ignore = "builds a second broker: nightly"]
fn the_crash_test_fails_on_a_broker_that_confirms_before_it_writes() {
    let binary = binary::leveret_with_features("planted-early-confirm");
    let Outcome { report, unread, .. } = run(Some(binary), CONFIG, 1..=6, FEW_CYCLES.1);
    println!("a broker that confirms before it writes: {report}; {unread} queues without an end");
    // Such a broker asks its store for what is not there yet, so it may lose a queue's last message without a kill.
    assert!(report.lost > 0 || unread > 0, "the planted fault was not found: {report}");
}

/// `8` is the cycles 1 to 8, `101-150` those.
fn range(text: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = text.split_once('-').unwrap_or(("1", text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

/// What cycles came to.
struct Outcome {
    report: Report,
    /// The longest time from launch to service.
    slowest: Duration,
    /// Queues whose last message never came.
    unread: usize,
}

/// Runs these cycles on an empty folder, reads every queue to its end and closes the book.
fn run(binary: Option<PathBuf>, config: &str, cycles: RangeInclusive<u32>, confirms: u64) -> Outcome {
    let mut broker = Broker::start_with(Options { binary, ..Options::config(config) });
    declare(broker.amqp());
    let load = Load::new(broker.amqp());
    let mut starts = Starts::default();
    thread::scope(|scope| {
        load.start(scope);
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for cycle in cycles {
                load.begin(cycle);
                crash(&mut broker, &load, &mut starts, cycle, confirms);
            }
            finish(&load);
        }));
        load.stop();
        if let Err(cause) = done {
            std::panic::resume_unwind(cause);
        }
    });
    Outcome { report: load.ledger.report(route), slowest: starts.slowest, unread: load.unread() }
}

/// One cycle: an end under load and two restarts.
fn crash(broker: &mut Broker, load: &Load, starts: &mut Starts, cycle: u32, confirms: u64) {
    let mut random = Random::new(cycle.into());
    load.confirm_more(confirms, BEYOND);
    pass(Duration::from_millis(random.below(KILL_WITHIN_MS)));
    if cycle.is_multiple_of(5) {
        assert!(broker.stop().success(), "a clean stop is a success");
        load.ledger.next_life(End::Stopped);
    } else {
        broker.kill();
        load.ledger.next_life(End::Killed);
    }
    if cycle.is_multiple_of(4) {
        broker.launch();
        // Nothing tells how far recovery is; a part of the time it took before is as good as any moment.
        pass(starts.last.mul_f64(random.below(100) as f64 / 100.0));
    } else {
        starts.restart(broker);
        load.confirm_more(50, BEYOND);
    }
    broker.kill();
    load.ledger.next_life(End::Killed);
    starts.restart(broker);
}

/// How long starts take.
struct Starts {
    last: Duration,
    slowest: Duration,
}

impl Default for Starts {
    fn default() -> Self {
        Self { last: Duration::from_millis(20), slowest: Duration::ZERO }
    }
}

impl Starts {
    fn restart(&mut self, broker: &mut Broker) {
        let launched = Instant::now();
        broker.restart();
        self.last = launched.elapsed();
        self.slowest = self.slowest.max(self.last);
    }
}

/// Ends the publishing, and waits until the consumers have read all queues to their end, or have stopped reading.
fn finish(load: &Load) {
    load.stop_publishing();
    load.send_last_messages();
    pass_while(PATIENCE * 4, || load.unread() > 0);
    // A queue with two consumers may hand the last message to one while the other still reads what came before.
    pass_while(Duration::from_secs(5), || !load.ledger.missing(route).is_empty());
}

/// Waits while this is so, and no longer than that.
fn pass_while(most: Duration, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < most && is_so() {
        pass(Duration::from_millis(20));
    }
}

/// Numbers that look random and follow from a seed (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 to below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}
