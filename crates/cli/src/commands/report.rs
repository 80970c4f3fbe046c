//! Everything that the status commands and the lists show, one after another, for whoever helps.

use super::{BASE, Call, Command, find, items, text};
use crate::error::Failure;
use crate::output::{Outcome, write_outcome};

/// What is shown of the node.
const OF_NODE: &[&str] = &["status", "cluster_status", "environment", "list_connections", "list_channels"];

/// What is shown of each virtual host.
const OF_VHOST: &[&str] = &[
    "list_queues",
    "list_exchanges",
    "list_bindings",
    "list_permissions",
    "list_policies",
    "list_global_parameters",
    "list_parameters",
];

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "report",
    help: "Generates a server status report: all server status information, for support purposes",
    banner: |call| {
        vec![format!("Reporting server status of node {} ...", call.node), "[]".to_owned(), String::new()]
    },
    run: report,
    ..BASE
}];

fn report(call: &Call<'_>) -> Result<Outcome, Failure> {
    let mut out = Vec::new();
    for name in OF_NODE {
        append(call, name, &mut out)?;
    }
    let vhosts = call.get("/api/vhosts?columns=name")?;
    for vhost in items(&vhosts, "") {
        let mut options = call.options.clone();
        text(vhost, "name").clone_into(&mut options.vhost);
        let call = Call { options: &options, client: call.client, node: call.node.clone() };
        for name in OF_VHOST {
            append(&call, name, &mut out)?;
        }
    }
    Ok(Outcome::Text(String::from_utf8_lossy(&out).into_owned()))
}

/// What a command says and shows, as if it were called without words of its own.
fn append(call: &Call<'_>, name: &str, out: &mut Vec<u8>) -> Result<(), Failure> {
    let mut options = call.options.clone();
    name.clone_into(&mut options.command);
    let call = Call { options: &options, client: call.client, node: call.node.clone() };
    let command = find(&options.program, name).ok_or_else(|| Failure::unavailable(name))?;
    // RabbitMQ's tool shows its options, which are none, once.
    for line in (command.banner)(&call).into_iter().filter(|line| line != "[]") {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    write_outcome(&call, (command.run)(&call)?, out)?;
    out.push(b'\n');
    Ok(())
}
