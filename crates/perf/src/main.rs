//! The binary leveret-perf: a load generator for any AMQP 0-9-1 broker.
//!
//! Threads and blocking sockets: publishes are framed once and sent as large writes, deliveries are read in
//! large pieces and only counted and checked. So the tool costs a small part of what any broker costs, and its
//! own CPU time is reported beside the broker's.

mod args;
mod client;
mod compare;
mod counts;
mod error;
mod figures;
mod load;
mod process;
mod throughput;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let mut out = std::io::stdout();
    let result = match Args::parse().command {
        Command::Throughput(args) => throughput::run(&args, &mut out),
        Command::Backlog(args) => throughput::run_backlog(&args, &mut out),
        Command::Compare(args) => compare::run(&args, &mut out),
        Command::Counts(args) => counts::run(&args, &mut out),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails.
            _ = writeln!(std::io::stderr(), "leveret-perf: {error}");
            ExitCode::FAILURE
        }
    }
}
