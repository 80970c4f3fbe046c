//! What durable messages cost, beside what the disk and the log writer alone do, in one run:
//!
//! `cargo bench -p leveret-perf --bench storage`
//!
//! Builds and starts the broker that ships. `-- --publish-only 8GiB` measures a queue that only grows instead, beside
//! a plain program that writes the same bytes with the same syncs.

mod alone;
mod broker;
mod disk;
mod plain;
mod publish_only;

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use leveret_perf::{Spread, cores, rate};
use leveret_storage::Durability;

use crate::broker::{Case, Round};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The part of the log writer's rate that ten publishers must reach with fsync.
const WANTED_OF_ALONE: f64 = 0.7;

/// Bytes of each body.
const BODY: usize = 1024;

/// Confirmed messages beside the raw disk and the log writer alone.
#[derive(Debug, Parser)]
struct Args {
    /// Rounds of each case; the figures are their medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each round
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Only cases of this durability: fsync or os
    #[arg(long)]
    durability: Option<String>,
    /// Where data directories are made and removed
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// The binary leveret [default: built from this source]
    #[arg(long)]
    broker: Option<PathBuf>,
    /// Publish so much into a queue that nobody consumes, for instance 8GiB; takes a quarter more of the disk
    #[arg(long, value_parser = gibibytes)]
    publish_only: Option<u64>,
    /// Publishers of --publish-only
    #[arg(long, default_value_t = 10)]
    publishers: usize,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse(), &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails.
            _ = writeln!(std::io::stderr(), "storage: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, out: &mut impl Write) -> Outcome<()> {
    let program = match &args.broker {
        Some(program) => program.clone(),
        None => build()?,
    };
    writeln!(out, "{}", machine())?;
    disk::report(&args.dir, out)?;
    match args.publish_only {
        Some(bytes) => publish_only::report(&program, args, bytes, out),
        None => confirmed(&program, args, out),
    }
}

/// All cases, each beside the log writer with the same bytes and batches.
fn confirmed(program: &Path, args: &Args, out: &mut impl Write) -> Outcome<()> {
    writeln!(
        out,
        "\n1 KiB, persistent, 1 consumer (prefetch 1,000, an ack for 100); {} rounds of {} s, medians",
        args.rounds, args.seconds
    )?;
    writeln!(
        out,
        "| | publishers | window | confirmed/s | consumed/s | confirm p50, p99 | CPU s a million: broker, load | messages a batch, batches/s | log writer alone/s | its CPU s a million | ratio |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|---|---|")?;
    for (name, durability) in [("fsync", Durability::Fsync), ("os", Durability::Os)] {
        if args.durability.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        for (publishers, window) in [(10, 1_000), (1, 1_000), (10, 1), (1, 1)] {
            let case = Case { name, publishers, window };
            let mut rounds = Vec::new();
            for _ in 0..args.rounds {
                let round = broker::measure(program, &args.dir, &case, args.seconds)?;
                let alone = alone::measure(&args.dir, durability, &round.shape, args.seconds)?;
                rounds.push((round, alone));
            }
            row(&case, &rounds, out)?;
        }
    }
    Ok(())
}

fn row(case: &Case, rounds: &[(Round, alone::Alone)], out: &mut impl Write) -> Outcome<()> {
    let median = |of: &dyn Fn(&(Round, alone::Alone)) -> f64| {
        Spread::of(rounds.iter().map(of)).map(|spread| spread.median).ok_or("no round was measured")
    };
    let confirmed = median(&|(round, _)| round.confirmed)?;
    let ratios =
        Spread::of(rounds.iter().map(|(round, alone)| round.confirmed / alone.rate)).ok_or("no round")?;
    let alone = median(&|(_, alone)| alone.rate)?;
    let ratio = confirmed / alone;
    writeln!(
        out,
        "| {} | {} | {} | {} | {} | {:.2} ms, {:.2} ms | {:.2}, {:.2} | {:.0}, {:.0} | {} | {:.2} | {:.2} ({:.2} to {:.2}) |",
        case.name,
        case.publishers,
        case.window,
        rate(confirmed),
        rate(median(&|(round, _)| round.consumed)?),
        median(&|(round, _)| round.p50)? * 1e3,
        median(&|(round, _)| round.p99)? * 1e3,
        median(&|(round, _)| round.broker_cpu)?,
        median(&|(round, _)| round.load_cpu)?,
        median(&|(round, _)| round.shape.messages)?,
        median(&|(round, _)| round.batches)?,
        rate(alone),
        median(&|(_, alone)| alone.cpu)?,
        ratio,
        ratios.min,
        ratios.max,
    )?;
    if let Some((round, _)) = rounds.last().filter(|_| case.window > 1 && case.publishers > 1) {
        writeln!(out, "cores in the last round: {}", round.where_it_goes)?;
    }
    if case.name == "fsync" && case.publishers == 10 && case.window > 1 {
        let verdict = if ratio >= WANTED_OF_ALONE { "reached" } else { "MISSED" };
        writeln!(out, "at least {WANTED_OF_ALONE} of the log writer alone: {verdict}, {ratio:.2}")?;
    }
    out.flush()?;
    Ok(())
}

/// The broker, built as it ships.
fn build() -> Outcome<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--release", "-p", "leveret-server"]).status()?;
    if !built.success() {
        return Err("the broker could not be built".into());
    }
    // This program lies in release/deps.
    let own = std::env::current_exe()?;
    let program = own.parent().and_then(Path::parent).map(|folder| folder.join("leveret"));
    program
        .filter(|program| program.is_file())
        .ok_or_else(|| "the built broker was not found; use --broker".into())
}

fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} cores of {}, Linux {}", cores(), model.map_or("?", |(_, model)| model), kernel.trim())
}

fn gibibytes(text: &str) -> Result<u64, String> {
    let number =
        text.strip_suffix("GiB").and_then(|number| number.parse::<u64>().ok()).filter(|number| *number > 0);
    number.map(|number| number << 30).ok_or_else(|| format!("'{text}' is not like 8GiB"))
}
