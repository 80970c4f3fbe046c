//! Starts children, watches them, and says what they found.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::child::{FOUND, command_line};
use crate::grammar::Grammar;
use crate::planted::Plant;

/// Executions between two words of a child.
const BATCH: u64 = 10_000;
/// A batch takes a fraction of a second; a child silent for this long hangs.
const SILENCE: Duration = Duration::from_secs(120);
/// Longest input printed whole; longer ones are in the file.
const PRINTED_BYTES: usize = 512;

type Failure = Box<dyn std::error::Error>;

/// What was found.
struct Finding {
    number: u64,
    why: String,
}

/// Runs the executions and reports; whether there was no finding.
pub(crate) fn run(seed: u64, first: u64, executions: u64, plant: Option<Plant>) -> Result<bool, Failure> {
    let started = Instant::now();
    println!("seed {seed}, executions {first} to {}", first.saturating_add(executions));
    match search(seed, first, executions, plant)? {
        Some(finding) => {
            report(seed, &finding, plant)?;
            Ok(false)
        }
        None => {
            println!("{executions} executions without a finding in {:.1?}", started.elapsed());
            Ok(true)
        }
    }
}

/// Whether the fuzzer finds each planted fault, and nothing without one.
pub(crate) fn self_check(seed: u64) -> Result<bool, Failure> {
    let mut sound = true;
    println!("self-check with seed {seed}");
    for plant in Plant::ALL {
        match search(seed, 0, 2_000_000, Some(plant))? {
            Some(Finding { number, why }) if why.contains(plant.finding()) => {
                println!("{}: found at execution {number}: {why}", plant.name());
            }
            Some(Finding { number, why }) => {
                println!("{}: NOT FOUND, but at execution {number}: {why}", plant.name());
                sound = false;
            }
            None => {
                println!("{}: NOT FOUND", plant.name());
                sound = false;
            }
        }
    }
    if let Some(finding) = search(seed, 0, 200_000, None)? {
        report(seed, &finding, None)?;
        sound = false;
    }
    println!("{}", if sound { "self-check passed" } else { "self-check FAILED" });
    Ok(sound)
}

/// The first finding among the executions.
fn search(seed: u64, first: u64, executions: u64, plant: Option<Plant>) -> Result<Option<Finding>, Failure> {
    let outcome = watch(&command_line(seed, first, executions, BATCH, plant))?;
    let Outcome::Died { at, how } = outcome else {
        return Ok(outcome.into_finding());
    };
    // It could not say which execution it was: go through the batch with a word before each.
    match watch(&command_line(seed, at, BATCH, 1, plant))? {
        Outcome::Died { at, how } => Ok(Some(Finding { number: at, why: how })),
        Outcome::Found(finding) => Ok(Some(finding)),
        Outcome::Clean => Err(format!("a child {how} in the batch from {at}, but not again").into()),
    }
}

enum Outcome {
    Clean,
    Found(Finding),
    Died { at: u64, how: String },
}

impl Outcome {
    fn into_finding(self) -> Option<Finding> {
        match self {
            Self::Found(finding) => Some(finding),
            Self::Clean | Self::Died { .. } => None,
        }
    }
}

/// Starts a child and listens until it ends or falls silent.
fn watch(arguments: &[String]) -> Result<Outcome, Failure> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = child.stdout.take().ok_or("a child without output")?;
    let (words, heard) = channel();
    let listener = std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).for_each(|line| {
            let _unheard = words.send(line);
        });
    });
    let mut at = 0u64;
    let outcome = loop {
        match heard.recv_timeout(SILENCE) {
            Ok(line) => match line.strip_prefix("found ").and_then(|rest| rest.split_once(": ")) {
                Some((number, why)) => {
                    break Outcome::Found(Finding { number: number.parse()?, why: why.to_owned() });
                }
                None => at = line.trim_start_matches("at ").parse()?,
            },
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                break Outcome::Died { at, how: "hung".to_owned() };
            }
            Err(RecvTimeoutError::Disconnected) => break ended(&mut child, at)?,
        }
    };
    child.wait()?;
    listener.join().map_err(|_| "the listener panicked")?;
    Ok(outcome)
}

/// How a child that closed its output ended.
fn ended(child: &mut Child, at: u64) -> Result<Outcome, Failure> {
    let status = child.wait()?;
    Ok(match status.code() {
        Some(0) => Outcome::Clean,
        Some(code) if code == i32::from(FOUND) => return Err("a finding without a word".into()),
        Some(code) => Outcome::Died { at, how: format!("ended with code {code}") },
        None => Outcome::Died { at, how: format!("died of {status}") },
    })
}

/// Prints a finding, its input and how to repeat it.
fn report(seed: u64, finding: &Finding, plant: Option<Plant>) -> Result<(), Failure> {
    let Finding { number, why } = finding;
    let mut grammar = Grammar::new();
    let input = grammar.input(seed, *number);
    let path = std::env::temp_dir().join(format!("leveret-fuzz-{seed}-{number}.bin"));
    std::fs::write(&path, input.bytes)?;
    println!("FINDING: seed {seed}, execution {number}: {why}");
    println!(
        "input: {} bytes, frame_max {}, in {}",
        input.bytes.len(),
        input.max_frame_bytes,
        path.display()
    );
    let shown = input.bytes.get(..PRINTED_BYTES).unwrap_or(input.bytes);
    let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{hex}{}", if shown.len() < input.bytes.len() { "…" } else { "" });
    let planted = plant.map(|plant| format!(" --plant {}", plant.name())).unwrap_or_default();
    println!("again: --seed {seed} --first {number} --executions 1{planted}");
    Ok(())
}
