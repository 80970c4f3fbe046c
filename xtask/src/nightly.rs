//! `nightly`: the long programmes. Each step is one line of the report; a missing tool is named, not hidden.

use std::process::Command;
use std::time::Duration;

use crate::broker::Broker;
use crate::ctl_cost;
use crate::process::{cargo, on_path, run, run_reading, target_dir};
use crate::suites::SUITES;
use crate::tally::Tally;
use crate::test::finish;
use crate::{Failure, image, root, sim};

const PROPERTY_CASES: &str = "100000";
/// Each of these writes and recovers a whole simulated disk.
const STORAGE_CASES: &str = "2000";
const FUZZ_EXECUTIONS: &str = "10000000";
const SIM_SEEDS: &str = "10000";
const CRASH_CYCLES: &str = "200";
const POWER_CUTS: &str = "500";
const DEFINITION_CYCLES: &str = "200";
const PROGRAMME_LIMIT: Duration = Duration::from_secs(4 * 3600);

type Step = (&'static str, fn() -> Result<Tally, Failure>);

const STEPS: &[Step] = &[
    ("properties", properties),
    ("fuzz", fuzz),
    ("fuzz-check", fuzz_check),
    ("sim", sim),
    ("crash", crash),
    ("syscalls", syscalls),
    ("disk-full", disk_full),
    ("powercut", powercut),
    ("rot", rot),
    ("backlog", backlog),
    ("suites", suites),
    ("ctl-cost", ctl_cost::measure),
    ("image", image),
    ("doc", doc),
    ("deny", deny),
    ("bench", bench),
];

/// Run every step, or only those named; ends with the line of counts.
pub(crate) fn run_steps(names: &[String]) -> Result<(), Failure> {
    if let Some(name) = names.iter().find(|name| !STEPS.iter().any(|(step, _)| step == name)) {
        return Err(format!("no step {name:?}"));
    }
    let mut total = Tally::default();
    for (name, step) in STEPS {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("\n=== nightly: {name}");
        let tally = step().unwrap_or_else(|failure| {
            println!("failed: {name} ({failure})");
            Tally::FAILED
        });
        println!("{name}: {tally}");
        total += tally;
    }
    finish(total)
}

/// Every property with many more cases than the commit tier gives it.
fn properties() -> Result<Tally, Failure> {
    let mut total = cases(&["leveret-protocol", "leveret-routing", "leveret-core"], PROPERTY_CASES)?;
    total += cases(&["leveret-storage", "leveret-engine"], STORAGE_CASES)?;
    Ok(total)
}

fn cases(packages: &[&str], cases: &str) -> Result<Tally, Failure> {
    let mut command = cargo(&["test", "--no-fail-fast"]);
    for package in packages {
        command.args(["--package", package]);
    }
    // The first is our own differential tests' name for it, the second proptest's.
    command.env("LEVERET_PROPERTY_CASES", cases).env("PROPTEST_CASES", cases);
    tests(&mut command)
}

fn fuzz() -> Result<Tally, Failure> {
    fuzzer(&["--executions", FUZZ_EXECUTIONS])
}

/// The fuzzer must find the faults planted for it.
fn fuzz_check() -> Result<Tally, Failure> {
    fuzzer(&["--self-check"])
}

fn fuzzer(args: &[&str]) -> Result<Tally, Failure> {
    let mut command =
        cargo(&["run", "--quiet", "--release", "--locked", "--manifest-path=fuzz/Cargo.toml", "--"]);
    passes(command.args(args).env("CARGO_TARGET_DIR", target_dir()?))
}

/// `kill -9` under confirmed load, cycle after cycle; then the same on a build that confirms before the write, which
/// must be found out. `LEVERET_CRASH_CYCLES=101-200` goes on where a run was broken off.
fn crash() -> Result<Tally, Failure> {
    programme("crash::", &[("LEVERET_CRASH_CYCLES", CRASH_CYCLES)])
}

/// Each storage call of a scripted run with a kill, EIO and ENOSPC; skipped by name without strace.
/// `LEVERET_SYSCALLS=300-600` makes those runs alone.
fn syscalls() -> Result<Tally, Failure> {
    programme("syscalls::", &[("LEVERET_SYSCALLS", "all")])
}

/// Thirty times a disk that runs full and is drained; skipped by name where nothing can be mounted.
fn disk_full() -> Result<Tally, Failure> {
    programme("disk_full::", &[("LEVERET_DISK_CYCLES", "30")])
}

/// The black-box tests of this name at their full length, which variables give unless they are set already.
fn programme(name: &str, lengths: &[(&str, &str)]) -> Result<Tally, Failure> {
    Broker::build()?;
    let mut command =
        cargo(&["test", "--package=leveret-tests", "--", "--include-ignored", "--nocapture", name]);
    for (variable, full) in lengths {
        if std::env::var_os(variable).is_none() {
            command.env(variable, full);
        }
    }
    let ended = run_reading(&mut command, PROGRAMME_LIMIT)?;
    Ok(Tally::of_cargo(&ended).less_skipped(&ended))
}

/// Power cuts under load, and under changes of definitions, on the crash disk; then the same on a build whose sync does nothing, which must be found out.
/// `LEVERET_POWERCUT_SEED` and `LEVERET_POWERCUT_POINTS` resume it where it was stopped.
fn powercut() -> Result<Tally, Failure> {
    let lengths = [("LEVERET_POWERCUT_POINTS", POWER_CUTS), ("LEVERET_POWERCUT_CYCLES", DEFINITION_CYCLES)];
    programme("powercut::", &lengths)
}

/// Backlogs larger than the memory, and queues without number, at their full figures.
fn backlog() -> Result<Tally, Failure> {
    Broker::build()?;
    let mut command =
        cargo(&["test", "--package=leveret-tests", "--", "--test-threads=1", "--nocapture", "backlog::"]);
    if std::env::var_os("LEVERET_BACKLOG_PERCENT").is_none() {
        command.env("LEVERET_BACKLOG_PERCENT", "100");
    }
    let ended = run_reading(&mut command, PROGRAMME_LIMIT)?;
    Ok(Tally::of_cargo(&ended).less_skipped(&ended))
}

/// Every byte of a small data directory flipped, every file of it cut at every length; 4,096 places of the
/// definitions; 512 places of a directory that a broker then starts on.
fn rot() -> Result<Tally, Failure> {
    let mut command = cargo(&["test", "--package=leveret-storage", "--", "--nocapture", "_rot::"]);
    let mut total = tests(command.env("LEVERET_ROT", "all"))?;
    total += programme("rot::", &[("LEVERET_ROT", "all")])?;
    Ok(total)
}

/// Ten thousand seeds of simulated lives; then each planted fault must be found.
fn sim() -> Result<Tally, Failure> {
    sim::run(&["--seeds", SIM_SEEDS].map(str::to_owned))?;
    sim::run(&["--seeds", "500", "--plant", "all"].map(str::to_owned))?;
    Ok(Tally { passed: 2, ..Tally::default() })
}

fn suites() -> Result<Tally, Failure> {
    Broker::build()?;
    let mut total = Tally::default();
    for suite in SUITES {
        total += suite.run(None);
    }
    Ok(total)
}

/// The container image, built and run; what is not installed for it is a failure that names it.
fn image() -> Result<Tally, Failure> {
    image::run_steps(&[])?;
    Ok(Tally { passed: 1, ..Tally::default() })
}

fn doc() -> Result<Tally, Failure> {
    let mut command = cargo(&["doc", "--quiet", "--workspace", "--no-deps"]);
    passes(command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Licences, bans and sources; advisories only where their database can be had, so they are a step of their own.
fn deny() -> Result<Tally, Failure> {
    if !on_path("cargo-deny") {
        println!("skipped: cargo-deny (not installed)");
        return Ok(Tally::SKIPPED);
    }
    let mut tally = passes(&mut cargo(&["deny", "check", "licenses", "bans", "sources"]))?;
    if run(&mut cargo(&["deny", "fetch", "db"])).is_ok() {
        tally += passes(&mut cargo(&["deny", "check", "advisories"]))?;
    } else {
        println!("skipped: advisories (their database cannot be fetched here)");
        tally += Tally::SKIPPED;
    }
    Ok(tally)
}

/// The micro benchmarks beside the crates, where there are any.
fn bench() -> Result<Tally, Failure> {
    let crates = std::fs::read_dir(root().join("crates")).map_err(|error| error.to_string())?;
    let any = crates.filter_map(Result::ok).any(|entry| entry.path().join("benches").is_dir());
    if !any {
        println!("skipped: benches (no crate has any)");
        return Ok(Tally::SKIPPED);
    }
    passes(&mut cargo(&["bench", "--workspace", "--benches"]))
}

fn tests(command: &mut Command) -> Result<Tally, Failure> {
    Ok(Tally::of_cargo(&run_reading(command, PROGRAMME_LIMIT)?))
}

/// A step without tests to count: one passed, or an error.
fn passes(command: &mut Command) -> Result<Tally, Failure> {
    run(command)?;
    Ok(Tally { passed: 1, ..Tally::default() })
}
