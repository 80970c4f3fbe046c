//! The binary leveret-perf.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use leveret_perf::Args;

fn main() -> ExitCode {
    match leveret_perf::run(&Args::parse(), &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails.
            _ = writeln!(std::io::stderr(), "leveret-perf: {error}");
            ExitCode::FAILURE
        }
    }
}
