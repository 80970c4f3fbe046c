//! `sim`: the simulator, built as tests are (assertions and overflow checks on) and run with what is left of the line.

use crate::Failure;
use crate::process::{self, cargo, target_dir};

/// Build and play.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let mut command = cargo(&["run", "--quiet", "--package", "leveret-sim", "--"]);
    process::run(command.args(args).env("CARGO_TARGET_DIR", target_dir()?))
}
