//! `ci`: the gate every change passes, and `fix`, which makes right the part of it that a machine can.

use std::process::Command;

use crate::process::{self, cargo, output};
use crate::{Failure, root, test, tidy};

/// Format, clippy, tidy, then the commit tier of tests. A tracked file that changed on the way is a failure.
pub(crate) fn run() -> Result<(), Failure> {
    let before = tracked_state()?;
    let result = gate();
    if tracked_state()? == before {
        result
    } else {
        Err("a tracked file changed while the gate ran; see git status".to_owned())
    }
}

/// Format, and apply what clippy can apply.
pub(crate) fn fix() -> Result<(), Failure> {
    process::run(&mut cargo(&[
        "clippy",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
        "--workspace",
        "--all-targets",
    ]))?;
    process::run(&mut cargo(&["fmt", "--all"]))
}

fn gate() -> Result<(), Failure> {
    process::run(&mut cargo(&["fmt", "--all", "--check"]))?;
    process::run(&mut cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    tidy::run()?;
    test::run(&[])
}

/// The difference of the tracked files to what is committed, as text to compare.
fn tracked_state() -> Result<String, Failure> {
    output(Command::new("git").args(["diff", "HEAD", "--stat"]).current_dir(root()))
}
