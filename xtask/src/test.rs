//! `test`: the commit tier. Everything quick: the workspace's own tests, then the clients on the built broker.

use std::time::Duration;

use crate::Failure;
use crate::broker::Broker;
use crate::process::{cargo, run_reading};
use crate::suites::{SUITES, Suite, find};
use crate::tally::Tally;

const WORKSPACE_LIMIT: Duration = Duration::from_secs(20 * 60);

/// Run the tier, or only the parts named; ends with the line of counts.
pub(crate) fn run(names: &[String]) -> Result<(), Failure> {
    let workspace = names.is_empty() || names.iter().any(|name| name == "workspace");
    let suites = chosen(names)?;
    let mut total = Tally::default();
    Broker::build()?;
    if workspace {
        total += workspace_tests()?;
    }
    for suite in suites {
        total += suite.run(None);
    }
    finish(total)
}

/// Print the closing line, and fail when a test did.
pub(crate) fn finish(total: Tally) -> Result<(), Failure> {
    if total.failed > 0 {
        eprintln!("xtask: {} failed", total.failed);
    }
    println!("\n{total}");
    if total.failed == 0 { Ok(()) } else { Err("not all tests passed".to_owned()) }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Suite>, Failure> {
    if names.is_empty() {
        return Ok(SUITES.iter().filter(|suite| suite.quick).collect());
    }
    let suites = names.iter().filter(|name| *name != "workspace");
    suites.map(|name| find(name)).collect()
}

fn workspace_tests() -> Result<Tally, Failure> {
    println!("\n=== the workspace's own tests");
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
    let ended = run_reading(&mut command, WORKSPACE_LIMIT)?;
    let tally = Tally::of_cargo(&ended);
    println!("workspace: {tally}");
    Ok(tally)
}
