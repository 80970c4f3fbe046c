//! `leveret-sim --seeds N [--from S] [--operations N] [--watch MESSAGE]`: plays seeds on all cores; a violation prints its seed.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks on its terminal")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use leveret_sim::{Coverage, Game, run};

const USAGE: &str = "usage: leveret-sim --seeds N [--from S] [--operations N] [--watch MESSAGE]";

/// What was asked for.
#[derive(Clone, Copy)]
struct Ask {
    seeds: u64,
    from: u64,
    operations: u64,
    watched: Option<u64>,
}

impl Ask {
    fn parse(mut args: impl Iterator<Item = String>) -> Option<Self> {
        let mut ask = Self { seeds: 1, from: 1, operations: 1_000, watched: None };
        while let Some(name) = args.next() {
            let number = args.next()?.replace('_', "").parse().ok()?;
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
        let (operations, watched) = (self.operations, self.watched);
        Game { operations, watched, ..Game::new(seed) }
    }
}

fn main() -> ExitCode {
    let Some(ask) = Ask::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let next = AtomicU64::new(ask.from);
    let total: Mutex<(Coverage, Vec<u64>)> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= ask.from.saturating_add(ask.seeds) {
                        break;
                    }
                    let played = play(ask.game(seed));
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    match played {
                        Ok(coverage) => total.0.merge(&coverage),
                        Err(what) => {
                            println!("seed {seed}: {what}");
                            total.1.push(seed);
                        }
                    }
                }
            });
        }
    });
    let (coverage, mut failed) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort_unstable();
    println!("{} seeds from {}: {} with a violation; {coverage}", ask.seeds, ask.from, failed.len());
    if let Some(seed) = failed.first() {
        println!("again: cargo xtask sim --seeds 1 --from {seed}");
        return ExitCode::FAILURE;
    }
    let missing = coverage.missing();
    if ask.seeds >= 100 && !missing.is_empty() {
        println!("never happened: {}", missing.join(", "));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// A panic of what is simulated is a violation like any other.
fn play(game: Game) -> Result<Coverage, String> {
    match catch_unwind(AssertUnwindSafe(|| run(&game))) {
        Ok(played) => played.map_err(|violation| violation.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("panicked: {}", text.unwrap_or("without a word")))
        }
    }
}
