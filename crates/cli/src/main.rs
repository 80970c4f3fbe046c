//! The binary `leveretctl`: RabbitMQ's command-line tools for Leveret, over its control socket or its HTTP API.
//!
//! Speaks HTTP with the management API's routes and knows nothing of the broker's insides. Commands, columns, output
//! and exit codes are those of `rabbitmqctl`, `rabbitmq-diagnostics` and the others, so that scripts go on working;
//! called by one of those names it has that tool's commands.

mod args;
mod client;
mod columns;
mod commands;
mod error;
mod output;
mod pretty;
mod program;
mod status;
mod term;
mod tls;

use std::process::ExitCode;

use program::Program;

fn main() -> ExitCode {
    let mut given = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let program = Program::from_path(given.next().as_deref());
    let given: Vec<String> = given.collect();
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    ExitCode::from(commands::run(program, &given, &mut out, &mut err))
}
