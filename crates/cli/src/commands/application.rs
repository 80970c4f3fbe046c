//! The application within its node: start, stop, wait for it.

use std::time::{Duration, Instant};

use serde_json::json;

use super::node::NodeState;
use super::{BASE, Call, Command, Needs};
use crate::client::expect_success;
use crate::error::{EX_SOFTWARE, EX_UNAVAILABLE, Failure};
use crate::output::Outcome;

/// How long `await_startup` waits unless it is told.
const STARTUP: Duration = Duration::from_secs(300);

/// Time between two looks for a node that starts.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "stop_app",
        help: "Stops the broker: clients are disconnected, listeners closed. The process goes on",
        needs: Needs::Node,
        banner: |call| vec![format!("Stopping rabbit application on node {} ...", call.node)],
        run: |call| order(call, "stop_app"),
        ..BASE
    },
    Command {
        name: "start_app",
        help: "Starts the broker within its process",
        needs: Needs::Node,
        banner: |call| vec![format!("Starting node {} ...", call.node)],
        run: |call| order(call, "start_app"),
        ..BASE
    },
    Command {
        name: "await_startup",
        help: "Waits for the broker to start on the target node",
        needs: Needs::Nothing,
        run: await_startup,
        ..BASE
    },
];

fn order(call: &Call<'_>, what: &str) -> Result<Outcome, Failure> {
    if !call.client.is_local() {
        return Err(Failure::unavailable(format!("{what} works over the control socket only")));
    }
    // It takes as long as it takes: a start may have much to recover.
    call.client.set_timeout(call.options.timeout.flatten());
    let answer = call.client.request("PUT", &format!("/api/leveret/node/{what}"), &[], None)?;
    if answer.status == 503 {
        return Err(Failure::error(EX_SOFTWARE, answer.reason()));
    }
    expect_success(answer)?;
    Ok(Outcome::Done)
}

/// Waits for a node that is not there yet; one whose application is stopped does not start by itself.
fn await_startup(call: &Call<'_>) -> Result<Outcome, Failure> {
    let start = Instant::now();
    let timeout = call.options.timeout_or(Some(STARTUP)).unwrap_or(STARTUP);
    loop {
        match NodeState::ask(call.client) {
            Ok(node) if node.running => {
                return Ok(Outcome::Remark(String::new(), json!({"node": node.name, "result": "ok"})));
            }
            Ok(_) => return Err(Failure::error(EX_UNAVAILABLE, "rabbit_is_not_running")),
            Err(failure) if failure.code == EX_UNAVAILABLE && start.elapsed() < timeout => {
                std::thread::sleep(LOOK_EVERY);
            }
            Err(failure) => return Err(failure),
        }
    }
}
