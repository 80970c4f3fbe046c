//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::error::PerfError;
use crate::load::Plan;

/// A load generator for any AMQP 0-9-1 broker.
#[derive(Debug, Parser)]
#[command(name = "leveret-perf", version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Publish and consume as fast as the broker allows
    Throughput(LoadArgs),
    /// The same at a small, steady backlog
    Backlog(BacklogArgs),
    /// Run the same load on two brokers in turn and print the ratio
    Compare(CompareArgs),
    /// Start a broker and count its system calls and allocations for each message
    Counts(CountsArgs),
}

/// Options of one load.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// The broker
    #[arg(long, default_value = "amqp://guest:guest@127.0.0.1:5672/%2f")]
    pub(crate) uri: String,
    /// Bytes of each body
    #[arg(long, default_value_t = 16)]
    pub(crate) size: usize,
    /// Seconds of measurement
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Seconds before measurement begins
    #[arg(long, default_value_t = 0.5)]
    pub(crate) warm_up: f64,
    /// Publishing connections
    #[arg(long, default_value_t = 1)]
    pub(crate) producers: usize,
    /// Consuming connections
    #[arg(long, default_value_t = 1)]
    pub(crate) consumers: usize,
    /// A durable queue of this name, kept afterwards; otherwise an auto-delete one of our own
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// Publisher confirms, with at most WINDOW unconfirmed publishes for each producer
    #[arg(long, value_name = "WINDOW")]
    pub(crate) confirms: Option<u64>,
    /// Manual acks, one for each N deliveries
    #[arg(long, value_name = "N")]
    pub(crate) ack: Option<u64>,
    /// Prefetch of each consumer; 0 is unlimited
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) prefetch: u16,
    /// Persistent messages in a durable queue
    #[arg(long)]
    pub(crate) persistent: bool,
    /// How many messages producers may run before the consumers
    #[arg(long, value_name = "MESSAGES", default_value_t = 100_000)]
    pub(crate) max_ahead: u64,
}

impl LoadArgs {
    /// The load that was asked for.
    pub(crate) fn plan(&self) -> Plan {
        Plan {
            size: self.size,
            producers: self.producers,
            consumers: self.consumers,
            queue: self.queue.clone(),
            confirms: self.confirms,
            ack: self.ack,
            prefetch: self.prefetch,
            persistent: self.persistent,
            ahead: self.max_ahead,
            most: None,
        }
    }
}

/// Options of a steady backlog.
#[derive(Debug, clap::Args)]
pub(crate) struct BacklogArgs {
    /// Messages between producers and consumers, at most
    #[arg(long, default_value_t = 1_000)]
    pub(crate) messages: u64,
    /// The load
    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

/// Options of a comparison.
#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    /// The broker to be judged
    #[arg(long)]
    pub(crate) uri: String,
    /// The broker it is compared with
    #[arg(long)]
    pub(crate) peer: String,
    /// Rounds for each broker, alternated
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Seconds of each round
    #[arg(long, default_value_t = 4.0)]
    pub(crate) seconds: f64,
    /// Seconds of each round before measurement begins
    #[arg(long, default_value_t = 0.5)]
    pub(crate) warm_up: f64,
    /// Body sizes in bytes, one comparison each
    #[arg(long, value_delimiter = ',', default_value = "16,1024")]
    pub(crate) sizes: Vec<usize>,
    /// How many messages the producer may run before the consumer
    #[arg(long, value_name = "MESSAGES", default_value_t = 100_000)]
    pub(crate) max_ahead: u64,
    /// Foreign load, in cores, beyond which a round counts as disturbed [default: 0.2 x the cores]
    #[arg(long, value_name = "CORES")]
    pub(crate) max_foreign: Option<f64>,
    /// How often a disturbed round is repeated before it is kept with a mark
    #[arg(long, default_value_t = 0)]
    pub(crate) repeats: usize,
    /// Fail unless the ratio of medians at SIZE is at least RATIO
    #[arg(long, value_name = "SIZE:RATIO", value_delimiter = ',', value_parser = parse_floor)]
    pub(crate) at_least: Vec<(usize, f64)>,
}

/// Options of the counts.
#[derive(Debug, clap::Args)]
pub(crate) struct CountsArgs {
    /// The binary leveret, built with --features count-allocations
    #[arg(long)]
    pub(crate) broker: PathBuf,
    /// Messages between producer and consumer, at most
    #[arg(long, default_value_t = 1_000)]
    pub(crate) messages: u64,
    /// Bytes of each body
    #[arg(long, default_value_t = 16)]
    pub(crate) size: usize,
    /// Seconds of each run
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Fail below so many messages for each system call
    #[arg(long, default_value_t = 20.0)]
    pub(crate) per_call: f64,
    /// Fail below so many messages for each allocation
    #[arg(long, default_value_t = 10.0)]
    pub(crate) per_allocation: f64,
}

fn parse_floor(text: &str) -> Result<(usize, f64), PerfError> {
    let parsed =
        text.split_once(':').and_then(|(size, ratio)| Some((size.parse().ok()?, ratio.parse().ok()?)));
    parsed.ok_or_else(|| PerfError::Options(format!("'{text}' is not SIZE:RATIO, as in 16:10")))
}
