//! The clients' suites: what each needs, how it is run, and what came of it.

use std::process::Command;
use std::time::Duration;

use crate::Failure;
use crate::broker::{Broker, Port, cache_folder};
use crate::process::{Ended, cargo, output, run, run_reading, target_dir};
use crate::python::{interpreter, pytest};
use crate::tally::Tally;

/// Longer than any suite takes, its compiling included; a suite that hangs is ended by it.
const SUITE_LIMIT: Duration = Duration::from_secs(30 * 60);

/// One client's suite.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suite {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it is, for the table of results.
    pub(crate) title: &'static str,
    /// Whether it belongs to the commit tier.
    pub(crate) quick: bool,
    port: Port,
    run: fn(&str) -> Result<Ran, Failure>,
}

/// What running a suite gave.
#[derive(Debug)]
enum Ran {
    Counted(Tally),
    /// Its language is missing here: which program was looked for.
    Missing(&'static str),
}

/// Every suite, in the order of running.
pub(crate) const SUITES: &[Suite] = &[
    Suite { name: "pika", title: "pika (our tests)", quick: true, port: Port::Free, run: pika },
    Suite { name: "lapin", title: "lapin (our tests)", quick: true, port: Port::Free, run: lapin },
    Suite {
        name: "tutorials",
        title: "pika (RabbitMQ's tutorials, default port)",
        quick: true,
        port: Port::Default,
        run: tutorials,
    },
    Suite {
        name: "lapin-own",
        title: "lapin (its own tests)",
        quick: false,
        port: Port::Free,
        run: lapin_own,
    },
];

/// The suite of that name.
pub(crate) fn find(name: &str) -> Result<&'static Suite, Failure> {
    SUITES.iter().find(|suite| suite.name == name).ok_or_else(|| {
        let names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
        format!("no suite {name:?}; there are {}", names.join(", "))
    })
}

impl Suite {
    /// Run it on a broker of its own, or on the one at `url`. Never fails as a whole: what goes wrong is counted.
    pub(crate) fn run(&self, url: Option<&str>) -> Tally {
        println!("\n=== {}", self.title);
        let tally = match url {
            Some(url) => self.counted(url),
            None => self.on_own_broker(),
        };
        match tally {
            Ok(tally) => {
                println!("{}: {tally}", self.name);
                tally
            }
            Err(failure) => {
                println!("failed: {} ({failure})", self.name);
                Tally::FAILED
            }
        }
    }

    fn on_own_broker(&self) -> Result<Tally, Failure> {
        let mut broker = Broker::start(self.port)?;
        let tally = self.counted(&broker.url());
        let alive = broker.alive();
        if !alive || !matches!(tally, Ok(tally) if tally.failed == 0) {
            broker.show_log();
        }
        if alive { tally } else { Err("the broker ended while the suite ran".to_owned()) }
    }

    fn counted(&self, url: &str) -> Result<Tally, Failure> {
        match (self.run)(url)? {
            Ran::Counted(tally) => Ok(tally),
            Ran::Missing(program) => {
                println!("skipped: {} (no {program} on PATH)", self.name);
                Ok(Tally::SKIPPED)
            }
        }
    }
}

fn pika(url: &str) -> Result<Ran, Failure> {
    let Some(python) = interpreter()? else {
        return Ok(Ran::Missing("python3"));
    };
    let ended = reading(pytest(&python, "pika").env("AMQP_URL", url))?;
    Ok(Ran::Counted(Tally::of_pytest(&ended)))
}

/// On the default port with nothing set: so it is not told the address.
fn tutorials(_url: &str) -> Result<Ran, Failure> {
    let Some(python) = interpreter()? else {
        return Ok(Ran::Missing("python3"));
    };
    let ended = reading(pytest(&python, "tutorials").env_remove("AMQP_URL"))?;
    Ok(Ran::Counted(Tally::of_pytest(&ended)))
}

fn lapin(url: &str) -> Result<Ran, Failure> {
    let mut command = cargo(&["test", "--quiet", "--locked", "--manifest-path", "interop/lapin/Cargo.toml"]);
    command.env("AMQP_URL", url).env("CARGO_TARGET_DIR", target_dir()?);
    Ok(Ran::Counted(Tally::of_cargo(&reading(&mut command)?)))
}

/// lapin's tests as published: the crate's source copied out of cargo's registry into the cache folder.
fn lapin_own(url: &str) -> Result<Ran, Failure> {
    let folder = cache_folder()?.join("lapin-own");
    let source = lapin_source()?;
    if !folder.join("Cargo.toml").exists() {
        run(Command::new("cp").arg("-r").arg(source).arg(&folder))?;
    }
    let mut command = cargo(&["test", "--features", "smol", "--", "--test-threads=1"]);
    command.current_dir(&folder).env("AMQP_ADDR", url).env("CARGO_TARGET_DIR", target_dir()?);
    Ok(Ran::Counted(Tally::of_cargo(&reading(&mut command)?)))
}

/// Where cargo has unpacked the lapin that `interop/lapin` is locked to; fetched when it is not there yet.
fn lapin_source() -> Result<String, Failure> {
    let metadata = output(&mut cargo(&[
        "metadata",
        "--locked",
        "--format-version=1",
        "--manifest-path",
        "interop/lapin/Cargo.toml",
    ]))?;
    // "manifest_path":"<registry>/lapin-4.12.3/Cargo.toml"; no JSON reader is worth this one value.
    metadata
        .split("\"manifest_path\":\"")
        .skip(1)
        .filter_map(|rest| rest.split_once("/Cargo.toml\""))
        .map(|(folder, _)| folder)
        .find(|folder| {
            let name = folder.rsplit('/').next().unwrap_or_default();
            name.strip_prefix("lapin-")
                .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
        })
        .map(str::to_owned)
        .ok_or_else(|| "cargo metadata names no lapin".to_owned())
}

fn reading(command: &mut Command) -> Result<Ended, Failure> {
    run_reading(command, SUITE_LIMIT)
}
