//! Health checks, as probes of containers call them.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use serde_json::{Value, json};

use super::node::NodeState;
use super::{BASE, Call, Command, Needs, TIMEOUT, items, text};
use crate::error::{EX_UNAVAILABLE, Failure, Problem};
use crate::output::Outcome;
use crate::program::Tool;
use crate::status::{alarm_lines, listener_lines};

const DIAGNOSTICS: &[Tool] = &[Tool::Diagnostics];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "check_running",
        tools: DIAGNOSTICS,
        usage: "[--timeout <timeout>]",
        help: "Health check that exits with a non-zero code if the broker does not run on the target node",
        needs: Needs::Node,
        banner: |call| vec![format!("Checking if RabbitMQ is running on node {} ...", call.node)],
        run: |call| match running_text(call)? {
            (true, text) => Ok(Outcome::Message(text)),
            (false, text) => Err(Failure::unavailable(text)),
        },
        ..BASE
    },
    Command {
        name: "is_running",
        tools: DIAGNOSTICS,
        usage: "[--timeout <timeout>]",
        help: "Tells whether the broker runs on the target node",
        needs: Needs::Node,
        banner: |call| vec![format!("Asking node {} for its status ...", call.node)],
        run: |call| Ok(Outcome::Message(running_text(call)?.1)),
        ..BASE
    },
    Command {
        name: "is_booting",
        tools: DIAGNOSTICS,
        usage: "[--timeout <timeout>]",
        help: "Tells whether the broker is booting on the target node",
        needs: Needs::Node,
        banner: |call| vec![format!("Asking node {} for its boot status ...", call.node)],
        run: |call| {
            Ok(Outcome::Message(format!(
                "RabbitMQ on node {} is fully booted (check with is_running), stopped or has not started booting yet",
                call.node
            )))
        },
        ..BASE
    },
    Command {
        name: "check_local_alarms",
        tools: DIAGNOSTICS,
        usage: "[--timeout <timeout>]",
        help: "Health check that exits with a non-zero code if there are any alarms in effect on the target node",
        banner: |call| vec![format!("Asking node {} to report any local resource alarms ...", call.node)],
        run: check_local_alarms,
        ..BASE
    },
    Command {
        name: "check_alarms",
        tools: DIAGNOSTICS,
        usage: "[--timeout <timeout>]",
        help: "Health check that exits with a non-zero code if there are any alarms in effect",
        banner: |call| vec![format!("Asking node {} to report any local resource alarms ...", call.node)],
        run: check_alarms,
        ..BASE
    },
    Command {
        name: "alarms",
        tools: DIAGNOSTICS,
        usage: "[--timeout <timeout>]",
        help: "Lists resource alarms",
        banner: |call| vec![format!("Asking node {} to report any known resource alarms ...", call.node)],
        run: |call| {
            let lines = alarms(call)?;
            let text = if lines.is_empty() { no_alarms(call) } else { lines.join("\n") };
            Ok(Outcome::Document(format!("{text}\n"), json!({"local": lines, "global": [], "message": text})))
        },
        ..BASE
    },
    Command {
        name: "check_port_connectivity",
        tools: DIAGNOSTICS,
        usage: "[--address <target address>] [--timeout <timeout>]",
        help: "Health check that opens a TCP connection to each active listener",
        banner: |call| {
            let how = match call.options.value("address") {
                Some(address) => format!("{address} for node IP address"),
                None => "hostname resolution".to_owned(),
            };
            vec![format!(
                "Testing TCP connections to all active listeners on node {} using {how} ...",
                call.node
            )]
        },
        run: check_port_connectivity,
        ..BASE
    },
    Command {
        name: "check_port_listener",
        tools: DIAGNOSTICS,
        usage: "<port> [--timeout <timeout>]",
        help: "Health check that exits with a non-zero code if there is no active listener for this port",
        words: (1, 1),
        check: |options| match options.word(0).parse::<u32>() {
            Ok(1..) => Ok(()),
            _ => Err(Problem::BadArgument("Bad argument: Argument must be a positive integer".to_owned())),
        },
        banner: |call| {
            vec![format!(
                "Asking node {} if there's an active listener on port {} ...",
                call.node,
                call.word(0)
            )]
        },
        run: check_port_listener,
        ..BASE
    },
    Command {
        name: "check_protocol_listener",
        tools: DIAGNOSTICS,
        usage: "<protocol> [--timeout <timeout>]",
        help: "Health check that exits with a non-zero code if there is no active listener for this protocol",
        words: (1, 1),
        banner: |call| {
            let (node, protocol) = (&call.node, call.word(0));
            vec![format!("Asking node {node} if there's an active listener for protocol {protocol} ...")]
        },
        run: check_protocol_listener,
        ..BASE
    },
    Command {
        name: "listeners",
        tools: DIAGNOSTICS,
        usage: "[--timeout <timeout>]",
        help: "Lists active connection listeners on the target node",
        banner: |call| vec![format!("Asking node {} to report its protocol listeners ...", call.node)],
        run: |call| {
            let status = call.get("/api/leveret/status")?;
            let text = listener_lines(&status).join("\n") + "\n";
            let listeners = items(&status, "/listeners");
            Ok(Outcome::Document(text, json!({"result": "ok", "node": call.node, "listeners": listeners})))
        },
        ..BASE
    },
    Command {
        name: "check_virtual_hosts",
        tools: DIAGNOSTICS,
        usage: "[--timeout <timeout>]",
        help: "Health check that exits with a non-zero code if a virtual host does not run",
        banner: |call| vec![format!("Checking if all vhosts are running on node {} ...", call.node)],
        // A vhost that could not be recovered keeps the whole broker from starting.
        run: |call| {
            call.get("/api/vhosts?columns=name")?;
            let text = format!("Node {} reported all vhosts as running", call.node);
            Ok(Outcome::Checked(text, json!({"result": "ok"})))
        },
        ..BASE
    },
    Command {
        name: "server_version",
        tools: DIAGNOSTICS,
        usage: "[--timeout <timeout>]",
        help: "Displays the version that the node announces",
        banner: |call| vec![format!("Asking node {} for its RabbitMQ version...", call.node)],
        run: |call| Ok(Outcome::Message(text(&call.get("/api/overview")?, "rabbitmq_version").to_owned())),
        ..BASE
    },
];

fn running_text(call: &Call<'_>) -> Result<(bool, String), Failure> {
    let running = NodeState::ask(call.client)?.running;
    let state = if running {
        "is fully booted and running"
    } else {
        "is not running or has not fully booted yet (check with is_booting)"
    };
    Ok((running, format!("RabbitMQ on node {} {state}", call.node)))
}

fn alarms(call: &Call<'_>) -> Result<Vec<String>, Failure> {
    Ok(alarm_lines(&call.get("/api/leveret/status")?))
}

fn no_alarms(call: &Call<'_>) -> String {
    format!("Node {} reported no alarms, local or clusterwide", call.node)
}

fn check_local_alarms(call: &Call<'_>) -> Result<Outcome, Failure> {
    let lines = alarms(call)?;
    if lines.is_empty() {
        let text = format!("Node {} reported no local alarms", call.node);
        return Ok(Outcome::Checked(text, json!({"result": "ok"})));
    }
    let message = format!("Node {} reported local alarms", call.node);
    let value = json!({"local": lines, "message": message, "result": "error"});
    let text = if call.options.silent { String::new() } else { format!("Error:\n{}", lines.join("\n")) };
    Err(Failure::plain(EX_UNAVAILABLE, text).with_json(value))
}

fn check_alarms(call: &Call<'_>) -> Result<Outcome, Failure> {
    let lines = alarms(call)?;
    if lines.is_empty() {
        return Ok(Outcome::Checked(no_alarms(call), json!({"result": "ok"})));
    }
    let message = format!("Node {} reported alarms", call.node);
    let value = json!({"global": [], "local": lines, "message": message, "result": "error"});
    let text = if call.options.silent { String::new() } else { lines.join("\n") };
    Err(Failure::plain(EX_UNAVAILABLE, text).with_json(value))
}

fn listeners(call: &Call<'_>) -> Result<Vec<Value>, Failure> {
    Ok(items(&call.get("/api/leveret/status")?, "/listeners").to_vec())
}

fn port(listener: &Value) -> u64 {
    listener.get("port").and_then(Value::as_u64).unwrap_or_default()
}

fn ports(listeners: &[Value]) -> String {
    let mut ports: Vec<u64> = listeners.iter().map(port).collect();
    ports.sort_unstable();
    ports.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

fn check_port_listener(call: &Call<'_>) -> Result<Outcome, Failure> {
    let (wanted, node) = (call.word(0), &call.node);
    let all = listeners(call)?;
    if all.iter().any(|listener| port(listener).to_string() == wanted) {
        let text = format!("A listener for port {wanted} is running on node {node}.");
        return Ok(Outcome::Checked(text, json!({"node": node, "port": wanted, "result": "ok"})));
    }
    let text = format!(
        "No listener for port {wanted} is active on node {node}. Found listeners that use the following ports: {}",
        ports(&all)
    );
    let ports: Vec<u64> = all.iter().map(port).collect();
    let value = json!({"listeners": all, "missing": wanted, "ports": ports, "result": "error"});
    Err(Failure::plain(EX_UNAVAILABLE, text).with_json(value))
}

fn check_protocol_listener(call: &Call<'_>) -> Result<Outcome, Failure> {
    let (wanted, node) = (call.word(0), &call.node);
    let all = listeners(call)?;
    let known = match wanted.to_ascii_lowercase().as_str() {
        "amqp" | "amqp091" | "amqp10" | "amqp1.0" => "amqp".to_owned(),
        "amqps" | "amqp/ssl" => "amqp/ssl".to_owned(),
        "http" => "http".to_owned(),
        "https" => "https".to_owned(),
        "prometheus" | "http/prometheus" => "http/prometheus".to_owned(),
        other => other.to_owned(),
    };
    if all.iter().any(|listener| text(listener, "protocol") == known) {
        let text = format!("A listener for protocol {wanted} is running on node {node}.");
        return Ok(Outcome::Checked(text, json!({"node": node, "protocol": wanted, "result": "ok"})));
    }
    let mut protocols: Vec<&str> = all.iter().map(|listener| text(listener, "protocol")).collect();
    protocols.sort_unstable();
    Err(Failure::unavailable(format!(
        "No listener for protocol {wanted} is active on node {node}. Found listeners for the following protocols: {}",
        protocols.join(", ")
    )))
}

/// Opens each listener's port: at the address that was given, at the one it is bound to, or at the node's host. That one
/// is a name which need not be known here: a node on this machine is there without it.
fn check_port_connectivity(call: &Call<'_>) -> Result<Outcome, Failure> {
    let all = listeners(call)?;
    let address = call.options.value("address");
    let node_host = call.node.split_once('@').map_or("localhost", |(_, host)| host);
    let is_known = (node_host, 0).to_socket_addrs().is_ok_and(|mut found| found.next().is_some());
    let node_host = if call.client.is_local() && !is_known { "localhost" } else { node_host };
    let timeout = call.options.timeout_or(TIMEOUT).unwrap_or(Duration::MAX).min(Duration::from_secs(60));
    let mut said = Vec::new();
    let mut closed = Vec::new();
    for listener in &all {
        let bound = text(listener, "interface");
        let is_any = matches!(bound, "" | "[::]" | "0.0.0.0");
        let host = address.unwrap_or(if is_any { node_host } else { bound });
        let place = format!("{}:{}", host, port(listener));
        said.push(format!("Will connect to {place}"));
        if !opens(&place, timeout) {
            closed.push(listener.clone());
        }
    }
    let how = match address {
        Some(address) => format!("using {address} for target IP address"),
        None => "using node hostname resolution".to_owned(),
    };
    if closed.is_empty() {
        said.push(format!("Successfully connected to ports {} on node {} ({how})", ports(&all), call.node));
        let value =
            json!({"result": "ok", "node": call.node, "ports": all.iter().map(port).collect::<Vec<_>>()});
        return Ok(Outcome::Document(said.join("\n") + "\n", value));
    }
    let text = format!("Connection to ports of the following listeners on node {} failed:\n", call.node);
    let status = json!({"listeners": closed});
    let value = json!({"result": "error", "node": call.node, "listeners": closed});
    Err(Failure::plain(EX_UNAVAILABLE, text + &listener_lines(&status).join("\n")).with_json(value))
}

fn opens(place: &str, timeout: Duration) -> bool {
    let addresses = place.to_socket_addrs().into_iter().flatten();
    addresses.into_iter().any(|address| TcpStream::connect_timeout(&address, timeout).is_ok())
}
