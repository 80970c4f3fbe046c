//! The binary `leveretctl`: rabbitmqctl's commands over Leveret's control socket.
//!
//! Speaks HTTP with the management API's routes and knows nothing of the broker's insides. Commands, columns, output
//! and exit codes are rabbitmqctl's, so that scripts go on working.

mod args;
mod client;
mod columns;
mod commands;
mod error;
mod lists;
mod output;
mod status;
mod term;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let code = match commands::run(&given, &mut std::io::stdout().lock()) {
        Ok(()) => 0,
        Err(failure) => {
            let _ = std::io::stderr().write_all(failure.text(&given).as_bytes());
            failure.exit_code()
        }
    };
    ExitCode::from(code)
}
