//! Power cuts under load lose, alter, reorder and tear nothing that was confirmed.
//!
//! A run is a broker on a drive of the crash disk under publishers (confirms in windows of several sizes, and
//! transactions) and consumers (acks, requeues, dead-lettering). Its power is cut again and again, at random instants
//! and behind random writes, in every mode; the run itself goes on. On what each cut left, a second broker is started
//! and read to its end. Some recoveries are cut too, and some recovered brokers killed and read again.
//!
//! `LEVERET_POWERCUT_POINTS` is the number of cuts, a few by default; `LEVERET_POWERCUT_SEED` the seed of the first run.

mod definitions;
mod drain;
mod events;
mod load;
mod point;
mod topology;
mod verdict;

use leveret_tests::{binary, crash_disk::CrashDisk};

use point::run;
use verdict::Verdict;

/// Cuts of the commit tier.
const FEW_POINTS: usize = 4;

#[test]
fn confirmed_messages_survive_power_cuts_under_load() {
    let Some(disk) = disk() else { return };
    let (points, mut seed) =
        (number("LEVERET_POWERCUT_POINTS", FEW_POINTS), number("LEVERET_POWERCUT_SEED", 1));
    let mut total = Verdict::default();
    while total.points < points {
        println!("seed {seed}: {} of {points} power cuts done", total.points);
        total.add(run(&disk, seed as u64, None, points - total.points));
        assert!(total.is_clean(), "seed {seed}: {total}");
        seed += 1;
    }
    println!("{total}");
    assert!(total.confirmed > total.points, "{total}");
}

#[test]
#[ignore = "builds a second broker: nightly"]
fn the_power_cut_test_fails_on_a_broker_whose_sync_does_nothing() {
    let Some(disk) = disk() else { return };
    let planted = binary::leveret_with_features("planted-no-sync");
    let verdict = run(&disk, 1, Some(&planted), FEW_POINTS);
    println!("with a planted fault: {verdict}");
    assert!(verdict.lost() > 0, "the harness is blind: {verdict}");
}

/// The crash disk; where it cannot be had, this says why, and nothing is shown.
#[allow(clippy::print_stdout, reason = "what cannot run is named")]
fn disk() -> Option<CrashDisk> {
    match CrashDisk::mount() {
        Ok(disk) => Some(disk),
        Err(missing) => {
            println!("skipped: power cuts ({missing})");
            None
        }
    }
}

fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |text| text.parse().expect("a number"))
}
