//! The automation of this project: what CI runs, what a developer runs, and the checks no compiler makes.
//!
//! Each command is a thin list of steps; see CONTRIBUTING.md for what each is for. Nothing here knows the
//! insides of a crate: it builds, starts and reads text.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks on its terminal")]

mod broker;
mod ci;
mod ctl_cost;
mod image;
mod interop;
mod nightly;
mod process;
mod python;
mod redis;
mod sim;
mod suites;
mod tally;
mod test;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  ci                       format, clippy, tidy, then test; changes no tracked file
  test [NAME...]           the commit tier: every crate's tests, then the quick client suites
                           (NAME: workspace, or a client as under interop)
  sim --seeds N [--from S] [--operations N] [--watch MESSAGE] [--plant NAME|all]
                           simulated lives of the broker from seeds, on all cores; a violation prints its seed;
                           with a planted fault there must be one
  nightly [STEP...]        the long programmes (properties, fuzz, fuzz-check,
                           sim, crash, powercut, rot, backlog, suites, ctl-cost, image, doc, deny, bench)
  interop [CLIENT...] [--url AMQP_URL]
                           the client suites, their results written into docs/COMPATIBILITY.md;
                           with --url against a running broker, and nothing is written
  image [build|check]      the container image: built by buildah from static binaries, then run and checked
  tidy                     the checks of the source text
  fix                      format and apply clippy's suggestions";

/// Why a command did not succeed, in words for the terminal.
type Failure = String;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", [].as_slice()),
    };
    let result = match command {
        "ci" => ci::run(),
        "test" => test::run(rest),
        "nightly" => nightly::run_steps(rest),
        "sim" => sim::run(rest),
        "interop" => interop::run(rest),
        "image" => image::run_steps(rest),
        "tidy" => tidy::run(),
        "fix" => ci::fix(),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => Err(format!("no command {other:?}\n{USAGE}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask {command}: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The checkout's top folder.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}
