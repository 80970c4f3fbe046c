//! A load generator for any AMQP 0-9-1 broker: the binary leveret-perf, and its parts for benchmarks.
//!
//! Threads and blocking sockets: publishes are framed once and sent as large writes, deliveries are read in
//! large pieces and only counted and checked. So the tool costs a small part of what any broker costs, and its
//! own CPU time is reported beside the broker's.

mod args;
mod broker;
mod client;
mod compare;
mod counts;
mod error;
mod figures;
mod load;
mod process;
mod throughput;

pub use crate::args::Args;
pub use crate::broker::Broker;
pub use crate::client::{Client, Target};
pub use crate::error::PerfError;
pub use crate::figures::{Spread, rate};
pub use crate::load::{Latencies, Load, Plan, Sample};
pub use crate::process::{CpuTimes, CpuUse, ThreadUse, cores, threads};

use std::io::Write;

use crate::args::Command;

/// Does what the command line says and writes the figures to `out`.
///
/// # Errors
/// [`PerfError`], in words for the person at the terminal.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), PerfError> {
    match &args.command {
        Command::Throughput(args) => throughput::run(args, out),
        Command::Backlog(args) => throughput::run_backlog(args, out),
        Command::Compare(args) => compare::run(args, out),
        Command::Counts(args) => counts::run(args, out),
    }
}
