//! `leveret-sim --seeds N [--from S] [--operations N] [--watch MESSAGE] [--plant NAME|all]`: plays seeds on all cores; a
//! violation prints its seed. With a planted fault it is the other way round: there must be one.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks on its terminal")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use leveret_sim::{Coverage, Game, run};

const USAGE: &str =
    "usage: leveret-sim --seeds N [--from S] [--operations N] [--watch MESSAGE] [--plant NAME|all]";

/// From so many seeds on, everything that a simulation is for must have happened.
const ENOUGH_SEEDS: u64 = 100;

/// What was asked for.
#[derive(Clone)]
struct Ask {
    seeds: u64,
    from: u64,
    operations: u64,
    watched: Option<u64>,
    plant: Option<String>,
}

/// What seeds came to.
#[derive(Default)]
struct Played {
    coverage: Coverage,
    /// What the seed with the least of it had.
    least: BTreeMap<&'static str, u64>,
    failed: Vec<(u64, String)>,
}

/// What every seed must have some of; a game that has less than it asks for ends with a violation.
const IN_EACH: [&str; 3] = ["operation", "crash", "checkpoint"];

impl Played {
    fn add(&mut self, coverage: &Coverage) {
        self.coverage.merge(coverage);
        for name in IN_EACH {
            let count = coverage.count(name);
            let least = self.least.entry(name).or_insert(count);
            *least = count.min(*least);
        }
    }
}

impl Ask {
    fn parse(mut args: impl Iterator<Item = String>) -> Option<Self> {
        let mut ask = Self { seeds: 1, from: 1, operations: 1_000, watched: None, plant: None };
        while let Some(name) = args.next() {
            let value = args.next()?;
            if name == "--plant" {
                ask.plant = Some(value);
                continue;
            }
            let number = value.replace('_', "").parse().ok()?;
            match name.as_str() {
                "--seeds" => ask.seeds = number,
                "--from" => ask.from = number,
                "--operations" => ask.operations = number,
                "--watch" => ask.watched = Some(number),
                _ => return None,
            }
        }
        Some(ask)
    }

    fn game(&self, seed: u64) -> Game {
        Game { operations: self.operations, watched: self.watched, ..Game::new(seed) }
    }
}

fn main() -> ExitCode {
    let Some(ask) = Ask::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match &ask.plant {
        Some(name) => planted(&ask, name),
        None => whole(&ask),
    }
}

/// No seed may break a promise.
fn whole(ask: &Ask) -> ExitCode {
    let Played { coverage, least, mut failed } = play_all(ask, false);
    failed.sort();
    println!("{} seeds from {}: {} with a violation; {coverage}", ask.seeds, ask.from, failed.len());
    let least: Vec<String> = least.iter().map(|(name, count)| format!("{name} {count}")).collect();
    println!("in each of the others at least: {}", least.join(", "));
    if let Some((seed, _)) = failed.first() {
        println!("again: cargo xtask sim --seeds 1 --from {seed}");
        return ExitCode::FAILURE;
    }
    let missing = coverage.missing();
    if ask.seeds >= ENOUGH_SEEDS && !missing.is_empty() {
        println!("never happened: {}", missing.join(", "));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Each fault must be found.
#[cfg(feature = "planted")]
fn planted(ask: &Ask, name: &str) -> ExitCode {
    use leveret_storage::planted::{Plant, plant};

    let plants: Vec<_> = Plant::ALL.iter().filter(|(known, _)| name == "all" || name == *known).collect();
    let mut missed = plants.is_empty();
    for (name, fault) in plants {
        plant(Some(*fault));
        let played = play_all(ask, true);
        plant(None);
        match played.failed.first() {
            Some((seed, what)) => println!("{name}: found by seed {seed}: {}", first_words(what)),
            None => {
                println!("{name}: NOT FOUND by {} seeds from {}", ask.seeds, ask.from);
                missed = true;
            }
        }
    }
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[cfg(not(feature = "planted"))]
fn planted(_: &Ask, name: &str) -> ExitCode {
    eprintln!("this build plants nothing, {name} neither: cargo xtask sim --plant {name}");
    ExitCode::from(2)
}

/// A violation without the details of its message.
#[cfg(feature = "planted")]
fn first_words(what: &str) -> String {
    what.chars().take(160).collect()
}

fn play_all(ask: &Ask, until_found: bool) -> Played {
    let next = AtomicU64::new(ask.from);
    let is_found = AtomicBool::new(false);
    let total: Mutex<Played> = Mutex::default();
    let play_some = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let is_over = seed >= ask.from.saturating_add(ask.seeds);
            if is_over || (until_found && is_found.load(Ordering::Relaxed)) {
                return;
            }
            let played = play(&ask.game(seed));
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            match played {
                Ok(coverage) => total.add(&coverage),
                Err(what) => {
                    is_found.store(true, Ordering::Relaxed);
                    if !until_found {
                        println!("seed {seed}: {what}");
                    }
                    total.failed.push((seed, what));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(play_some);
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A panic of what is simulated is a violation like any other.
fn play(game: &Game) -> Result<Coverage, String> {
    match catch_unwind(AssertUnwindSafe(|| run(game))) {
        Ok(played) => played.map_err(|violation| violation.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("panicked: {}", text.unwrap_or("without a word")))
        }
    }
}
