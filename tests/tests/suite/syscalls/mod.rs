//! A kill, an error, a full disk at each storage call of a scripted run: what was confirmed is there afterwards, or
//! the broker stopped without a false confirm; and no sync that failed is tried again.
//!
//! strace records which calls the script makes on the data folder, and then gives each of them a fault, one in each
//! run. There are two stages: the script from an empty folder to a clean stop, and a start on the folder of a broker
//! that was killed. Without strace the tests say so and pass.
//!
//! `LEVERET_SYSCALLS` is `all`, or a range of the runs' numbers such as `300-600`, to go on with a broken-off run, or
//! a piece of their names such as `EIO at fsync 1 of "log"`, to repeat those; a few runs by default.
#![allow(clippy::print_stdout, reason = "a long programme shows how far it is")]

mod model;
mod script;
mod short_writes;

use std::{
    collections::BTreeMap,
    fs,
    ops::{Range, RangeInclusive},
    os::unix::process::ExitStatusExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::ExitStatus,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use leveret_tests::{
    broker::{Broker, Options},
    client::Client,
    strace::{self, Fault, Point, Trace},
    wait::pass,
};

use model::Model;
use script::play;

/// Runs of the commit tier.
const FEW_RUNS: usize = 12;
/// Runs at a time.
const WORKERS: usize = 2;
/// How long a broker that broke a connection may take to end.
const FAREWELL: Duration = Duration::from_secs(3);
/// How the one line of a broker that stops names the cause: the system's text, sled's two, and our own.
const CAUSES: [&str; 5] =
    ["os error", "Os { code", "sled panicked", "file system is full", "it did not end within"];

#[test]
fn a_fault_at_any_storage_call_loses_nothing_confirmed() {
    if let Some(reason) = strace::missing() {
        println!("skipped: a fault at each storage call ({reason})");
        return;
    }
    let stages = [Stage::first(), Stage::second()];
    let mut runs = Vec::new();
    for stage in &stages {
        runs.extend(stage.runs());
    }
    let names: Vec<String> = runs
        .iter()
        .enumerate()
        .map(|(number, (stage, point, fault))| format!("run {number}, stage {stage}: {fault} at {point}"))
        .collect();
    // The few are on the log's side: where sled's threads are fast, its calls are not met in each run.
    let numbers = chosen(&names).unwrap_or_else(|| {
        let calm: Vec<usize> = (0..runs.len()).filter(|number| !is_rebuilt(&runs[*number].1)).collect();
        (0..FEW_RUNS).map(|number| calm[(2 * number + 1) * calm.len() / (2 * FEW_RUNS)]).collect()
    });
    println!("{} runs are possible, {} are made", runs.len(), numbers.len());
    let tally = Mutex::new(Tally::default());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(number) = numbers.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let (stage, point, fault) = &runs[*number];
                    let outcome = catch_unwind(AssertUnwindSafe(|| stages[*stage].run(point, *fault)));
                    tally.lock().expect("no other thread panicked").count(&names[*number], outcome.ok());
                }
            });
        }
    });
    let tally = tally.into_inner().expect("no other thread panicked");
    println!("{tally:?}");
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    // Batches fall otherwise in each run, so some calls are not made again.
    assert!(tally.missed * 2 <= numbers.len(), "too many calls were not met again: {tally:?}");
}

/// The numbers of the runs to be made; `None` when nobody said.
fn chosen(names: &[String]) -> Option<Vec<usize>> {
    let count = names.len();
    let text = std::env::var("LEVERET_SYSCALLS").ok()?;
    let range = text.split_once('-').and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?));
    let range: RangeInclusive<usize> = range.unwrap_or(0..=count);
    let is_named = |name: &str| range != (0..=count) || text == "all" || name.contains(&text);
    Some((0..count).filter(|number| range.contains(number) && is_named(&names[*number])).collect())
}

/// What came of all runs.
#[derive(Debug, Default)]
struct Tally {
    killed: usize,
    stopped: usize,
    went_on: usize,
    missed: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn count(&mut self, name: &str, outcome: Option<Outcome>) {
        let wrong = match outcome {
            Some(Outcome { end, wrong }) => {
                match end {
                    End::Missed => {
                        println!("not met: {name}");
                        self.missed += 1;
                    }
                    End::Killed => self.killed += 1,
                    End::Stopped => self.stopped += 1,
                    End::WentOn => self.went_on += 1,
                }
                wrong
            }
            None => vec!["the run panicked; its text stands above".to_owned()],
        };
        if !wrong.is_empty() {
            println!("WRONG: {name}: {}", wrong.join("; "));
        }
        self.wrong.extend(wrong.into_iter().map(|wrong| format!("{name}: {wrong}")));
    }
}

/// How a run ended.
enum End {
    /// Its call was not made this time.
    Missed,
    Killed,
    /// The broker ended itself.
    Stopped,
    /// The broker did without the call.
    WentOn,
}

struct Outcome {
    end: End,
    wrong: Vec<String>,
}

/// A part of the script, and what it begins with.
struct Stage {
    number: usize,
    rounds: Range<u32>,
    before: Model,
    /// A stopped broker whose data folder is copied; an empty one at the first stage.
    template: Option<Broker>,
}

impl Stage {
    fn first() -> Self {
        Self { number: 0, rounds: 0..24, before: Model::default(), template: None }
    }

    /// Starts on what a killed broker left.
    fn second() -> Self {
        let mut broker = Broker::start_with(options());
        let mut before = Model::default();
        play(broker.client(), &mut before, 0..21).expect("nothing fails here");
        broker.kill();
        Self { number: 1, rounds: 21..24, before, template: Some(broker) }
    }

    fn prepare(&self) -> (Broker, Model) {
        let broker = Broker::prepare(options());
        if let Some(template) = &self.template {
            copy(&template.data_dir(), &broker.data_dir());
        }
        (broker, self.before.clone())
    }

    /// Every fault at every storage call of this stage, from a record of it.
    fn runs(&self) -> Vec<(usize, Point, Fault)> {
        let (mut broker, mut model) = self.prepare();
        let trace = trace(&broker);
        broker.set_options(Options { starter: trace.recording(), ..options() });
        broker.launch();
        let pid = broker.pid();
        broker.wait_ready();
        play(broker.client(), &mut model, self.rounds.clone()).expect("nothing fails here");
        assert!(broker.stop().success(), "a clean stop is a success");
        let points = trace.of_ended(pid).points();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for point in &points {
            *counts.entry(&point.call).or_default() += 1;
        }
        println!("stage {}: {counts:?}", self.number);
        if self.template.is_none() {
            check_coverage(&points);
        }
        let mut runs = Vec::new();
        for point in points {
            if point.call == "openat" && !point.creates {
                continue;
            }
            runs.push((self.number, point.clone(), Fault::Kill));
            runs.push((self.number, point.clone(), Fault::Error("EIO")));
            if point.takes_room() {
                runs.push((self.number, point, Fault::Error("ENOSPC")));
            }
        }
        runs
    }

    /// The stage with a fault, and a start without one behind it.
    fn run(&self, point: &Point, fault: Fault) -> Outcome {
        let (mut broker, mut model) = self.prepare();
        let trace = trace(&broker);
        broker.set_options(Options { starter: trace.injecting(point, fault), ..options() });
        broker.launch();
        let pid = broker.pid();
        let status = self.go(&mut broker, &mut model);
        let record = trace.of_ended(pid);
        let mut wrong = Vec::new();
        let end = if record.met() {
            judge(point, fault, status, &broker.log(), &mut wrong)
        } else {
            if !status.success() {
                wrong.push(format!("no fault was met, and the broker ended with {status}"));
            }
            End::Missed
        };
        if point.is_sync() && !is_rebuilt(point) && record.syncs_after() > 0 {
            wrong.push(format!("{} syncs came after the failed one", record.syncs_after()));
        }
        wrong.extend(start_again(&mut broker, &model));
        Outcome { end, wrong }
    }

    /// Waits for the start and plays the stage as far as it goes; gives how the process ended.
    fn go(&self, broker: &mut Broker, model: &mut Model) -> ExitStatus {
        if broker.try_ready().is_err() {
            return broker.wait_exit();
        }
        play_to_the_end(broker, model, self.rounds.clone())
    }
}

/// Plays these rounds as far as they go and stops the broker, if it still runs; gives how the process ended.
fn play_to_the_end(broker: &mut Broker, model: &mut Model, rounds: Range<u32>) -> ExitStatus {
    let played = Client::login(broker.amqp()).and_then(|client| play(client, model, rounds));
    if played.is_err() {
        let start = Instant::now();
        while start.elapsed() < FAREWELL && broker.is_alive() {
            pass(Duration::from_millis(5));
        }
    }
    if broker.is_alive() { broker.stop() } else { broker.wait_exit() }
}

/// Starts the broker without a fault, reads all it has, and says what is wrong with that.
fn start_again(broker: &mut Broker, model: &Model) -> Vec<String> {
    broker.set_options(options());
    broker.launch();
    match broker.try_ready() {
        Ok(()) => model.check(&mut broker.client()).expect("queues can be read"),
        Err(status) => vec![format!("the next start ended with {status}: {}", broker.log_tail())],
    }
}

/// The script is no test of what it does not reach.
fn check_coverage(points: &[Point]) {
    let count = |call: &str, folder: &str, least: u32| {
        let is_one =
            |point: &&Point| point.call == call && point.path.starts_with(folder) && point.number >= least;
        points.iter().filter(is_one).count()
    };
    let reached = [
        ("checkpoints", count("fdatasync", "manifest-", 1)),
        ("runs", count("fdatasync", "runs/run-", 1)),
        ("runs removed", count("unlink", "runs/run-", 1)),
        ("blobs", count("fdatasync", "log/blob-", 1)),
        ("blobs removed", count("unlink", "log/blob-", 1)),
        // A slot's header is written alone, each time the slot is used.
        ("slots used again", count("pwrite64", "log/slot-", 2)),
    ];
    println!("the script goes through {reached:?}");
    assert!(reached.iter().all(|(_, count)| *count > 0), "not all is reached: {reached:?}");
}

/// Judges the end of a process that met a fault.
fn judge(point: &Point, fault: Fault, status: ExitStatus, log: &str, wrong: &mut Vec<String>) -> End {
    // Panics of sled are caught: they cost its copy of the definitions.
    if log.lines().any(|line| line.contains("panicked at") && !line.contains("/sled-")) {
        wrong.push(format!("a panic:\n{log}"));
    }
    if fault == Fault::Kill {
        if status.signal() != Some(9) {
            wrong.push(format!("killed, but ended with {status}"));
        }
        return End::Killed;
    }
    if status.success() {
        if point.is_sync() && !is_rebuilt(point) {
            wrong.push("a sync failed and the broker went on".to_owned());
        }
        return End::WentOn;
    }
    if status.code().is_none() {
        wrong.push(format!("ended with {status}"));
    }
    // A start that fails says so in the log and on the terminal, which are one file here.
    let texts = log.lines().filter_map(|line| line.split_once("ERROR ").map(|(_, text)| text));
    let errors: Vec<&str> = texts.collect();
    // sled does not say which of its files it was, and a file's new version bears the file's name.
    let name = match point.path.split('/').next() {
        Some("definitions" | "definitions.new") => "definitions",
        _ => point.path.trim_end_matches(".new"),
    };
    let says = |text: &&str| text.contains(name) && CAUSES.iter().any(|cause| text.contains(cause));
    if errors.len() != 1 || !errors.iter().all(says) {
        wrong.push(format!("not one clear line: {errors:?}"));
    }
    End::Stopped
}

/// Whether the file is the definitions' checkpoint or export: what was written there is verified at each start, and
/// written anew from the log where it fails.
fn is_rebuilt(point: &Point) -> bool {
    point.path.starts_with("definitions")
}

fn trace(broker: &Broker) -> Trace {
    Trace::new(broker.data_dir().with_file_name("trace"), broker.data_dir())
}

/// Small slots, so that the script goes through checkpoints, compaction and the reuse of slots, and little memory, so
/// that bodies are read back from disk.
fn options() -> Options {
    Options::config("leveret.slot_size = 1MiB\nleveret.hot_window = 256KiB\n")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let kind = entry.file_type().expect("a kind");
        let to = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &to);
        } else if kind.is_file() {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}
