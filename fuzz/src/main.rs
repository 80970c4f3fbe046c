//! Feeds the decoder with what the grammar of AMQP makes, damaged, and judges what comes of it.
//!
//! ```text
//! cargo run --release --manifest-path fuzz/Cargo.toml -- --executions 10000000 --seed 7
//! cargo run --release --manifest-path fuzz/Cargo.toml -- --self-check
//! ```
//!
//! An execution's input is a function of the seed and its number alone. They run in a child process on a
//! small stack, so that an overflow or an abort is a finding too. A finding prints the seed, the number
//! and the input, and ends with code 1.

mod child;
mod grammar;
mod oracle;
mod parent;
mod plain;
mod planted;

use std::process::ExitCode;

use clap::Parser;

use crate::planted::Plant;

/// Grammar-based fuzzing of Leveret's decoder.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// How many executions.
    #[arg(long, default_value_t = 1_000_000)]
    executions: u64,
    /// Seed of all inputs; one of its own each time without it.
    #[arg(long)]
    seed: Option<u64>,
    /// Number of the first execution.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// A fault put into the decoder, to see it found.
    #[arg(long)]
    plant: Option<Plant>,
    /// Prove that each planted fault is found, and that there is no finding without one.
    #[arg(long)]
    self_check: bool,
    /// Internal: run the executions in this process, telling the parent how far they are.
    #[arg(long, hide = true)]
    child: bool,
    /// Internal: executions between two words to the parent.
    #[arg(long, hide = true, default_value_t = 10_000)]
    batch: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.child {
        return child::run(&arguments);
    }
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let sound = if arguments.self_check {
        parent::self_check(seed)
    } else {
        parent::run(seed, arguments.first, arguments.executions, arguments.plant)
    };
    match sound {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the fuzzer itself failed: {error}");
            ExitCode::from(2)
        }
    }
}
