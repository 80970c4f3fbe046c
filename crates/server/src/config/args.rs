//! The command line of `leveret`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::values::BindAddress;

/// AMQP 0-9-1 broker that replaces RabbitMQ unchanged for its clients.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "leveret", version, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Something else than running the broker
    #[command(subcommand)]
    pub offline: Option<Offline>,

    /// Configuration file in rabbitmq.conf syntax
    #[arg(long, value_name = "FILE", env = "RABBITMQ_CONFIG_FILE")]
    pub config: Option<PathBuf>,

    /// Folder whose rabbitmq.conf and conf.d/*.conf are read where they are there
    #[arg(long, value_name = "DIR", env = "LEVERET_CONFIG_DIR")]
    pub config_dir: Option<PathBuf>,

    /// Folder for everything durable [default: ./leveret-data]
    #[arg(long, value_name = "DIR", env = "LEVERET_DATA_DIR")]
    pub data_dir: Option<PathBuf>,

    /// Where AMQP clients connect: PORT (all addresses) or ADDR:PORT; port 0 takes any free one; repeatable
    /// [default: 5672]
    #[arg(long, value_name = "ADDR:PORT")]
    pub amqp: Vec<BindAddress>,

    /// Where the HTTP API listens: PORT (all addresses) or ADDR:PORT; repeatable [default: 15672]
    #[arg(long, value_name = "ADDR:PORT")]
    pub http: Vec<BindAddress>,

    /// Where Prometheus scrapes /metrics: PORT (all addresses) or ADDR:PORT; repeatable [default: 15692]
    #[arg(long, value_name = "ADDR:PORT", env = "LEVERET_PROMETHEUS")]
    pub prometheus: Vec<BindAddress>,

    /// Write docs/CONFIGURATION.md to standard output and exit
    #[arg(long, hide = true)]
    pub print_config_docs: bool,
}

/// What is done to a data directory that no broker uses.
#[derive(Clone, Debug, Subcommand)]
pub enum Offline {
    /// Check a data directory from end to end; changes nothing
    ///
    /// Exit codes: 0 all is whole, 65 something is damaged, 66 there is no store, 75 a broker uses it.
    Verify {
        /// The data directory
        dir: PathBuf,
    },
    /// Write all that can be read of a data directory as a fresh one, with a report of every loss
    ///
    /// The report is salvage-report.json in OUT. Exit codes: 0 all was saved, 65 something is lost, 66 there is no
    /// store, 73 OUT cannot be written or is not empty, 75 a broker uses DIR.
    Salvage {
        /// The data directory; it stays as it is
        dir: PathBuf,
        /// The fresh one, which must not exist or be empty
        out: PathBuf,
    },
}
