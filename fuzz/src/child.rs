//! Runs executions one after the other and tells the parent, on standard output, how far they are.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use crate::Arguments;
use crate::grammar::Grammar;
use crate::oracle;
use crate::planted::{Plant, Planted};

/// The code of a child that found something and said so.
pub(crate) const FOUND: u8 = 3;

/// Stack of the thread that decodes: an eighth of a tokio worker's, so that recursion shows soon.
const STACK_BYTES: usize = 256 * 1024;

/// Runs the executions that the arguments say; prints `at N` before each batch, `found N: why` for a
/// finding.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let arguments = arguments.clone();
    let thread = std::thread::Builder::new()
        .name("decoder".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || execute_all(&arguments));
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) => ExitCode::from(FOUND),
        _ => ExitCode::from(2),
    }
}

fn execute_all(arguments: &Arguments) -> bool {
    let decoder = Planted(arguments.plant);
    let seed = arguments.seed.unwrap_or_default();
    let mut grammar = Grammar::new();
    for number in (arguments.first..).take(usize::try_from(arguments.executions).unwrap_or(usize::MAX)) {
        if (number - arguments.first).is_multiple_of(arguments.batch) {
            tell(&format!("at {number}"));
        }
        let input = grammar.input(seed, number);
        let outcome = catch_unwind(AssertUnwindSafe(|| oracle::judge(decoder, input)));
        let why = match outcome {
            Ok(Ok(())) => continue,
            Ok(Err(why)) => why,
            Err(_) => "panicked".to_owned(),
        };
        tell(&format!("found {number}: {why}"));
        return false;
    }
    true
}

/// A parent that went away is no reason to go on.
fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(2);
    }
}

/// The command line of a child.
pub(crate) fn command_line(
    seed: u64,
    first: u64,
    executions: u64,
    batch: u64,
    plant: Option<Plant>,
) -> Vec<String> {
    let mut words = vec!["--child".to_owned()];
    for (name, value) in [("seed", seed), ("first", first), ("executions", executions), ("batch", batch)] {
        words.push(format!("--{name}={value}"));
    }
    words.extend(plant.map(|plant| format!("--plant={}", plant.name())));
    words
}
