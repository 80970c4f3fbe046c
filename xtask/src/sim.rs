//! `sim`: the simulator, built as tests are (assertions and overflow checks on) and run with what is left of the line.

use crate::Failure;
use crate::process::{self, cargo, target_dir};

/// Build and play. Only a build that is to plant faults has any.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let mut command = cargo(&["run", "--quiet", "--package", "leveret-sim"]);
    if args.iter().any(|arg| arg == "--plant") {
        command.arg("--features=planted");
    }
    process::run(command.arg("--").args(args).env("CARGO_TARGET_DIR", target_dir()?))
}
