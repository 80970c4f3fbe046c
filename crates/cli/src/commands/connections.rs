//! Closing connections.

use serde_json::{Value, json};

use super::{BASE, Call, Command, items, text};
use crate::client::{encode, expect_success};
use crate::columns::connection_pid;
use crate::error::{Failure, Problem};
use crate::output::Outcome;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "close_connection",
        usage: "<connection pid> <explanation>",
        help: "Closes the connection that list_connections shows with this pid, or name",
        words: (2, 2),
        banner: |call| vec![format!("Closing connection {}, reason: {}...", call.word(0), call.word(1))],
        run: close_connection,
        ..BASE
    },
    Command {
        name: "close_all_connections",
        usage: "[--vhost <vhost> --limit <limit>] [-n <node> --global] [--per-connection-delay <delay>] <explanation>",
        help: "Closes all connections of a vhost, or of the node",
        words: (1, 1),
        check: |options| match (options.is_set("global"), options.vhost_given()) {
            (true, true) => {
                Err(Problem::BadArgument("Bad argument: cannot specify both --global and --vhost".to_owned()))
            }
            _ => Ok(()),
        },
        banner: |call| vec![all_banner(call)],
        run: close_all_connections,
        ..BASE
    },
    Command {
        name: "close_all_user_connections",
        usage: "<username> <explanation>",
        help: "Closes all connections of the specified user",
        words: (2, 2),
        banner: |call| {
            vec![format!("Closing connections of user {}, reason: {}...", call.word(0), call.word(1))]
        },
        run: |call| {
            close_several(call, &json!({"user": call.word(0), "reason": call.word(1)}))?;
            Ok(Outcome::Done)
        },
        ..BASE
    },
];

/// A connection that is gone is as good as closed.
fn close_connection(call: &Call<'_>) -> Result<Outcome, Failure> {
    let (wanted, reason) = (call.word(0), call.word(1));
    let connections = call.client.get("/api/connections?columns=name")?.unwrap_or(Value::Null);
    let mut names = items(&connections, "").iter().map(|connection| text(connection, "name"));
    let Some(name) = names.find(|name| *name == wanted || connection_pid(name) == *wanted) else {
        if is_pid(wanted) {
            return Ok(Outcome::Done);
        }
        return Err(Failure::unavailable(format!("Error:\n{{:invalid_pid_syntax, \"{wanted}\"}}")));
    };
    let path = format!("/api/connections/{}", encode(name));
    let answer = call.client.request("DELETE", &path, &[("X-Reason", reason)], None)?;
    if answer.status != 404 {
        expect_success(answer)?;
    }
    Ok(Outcome::Done)
}

/// Whether this could stand for a connection: one of ours, or an Erlang process with its node, `<node.1.2.3>`.
fn is_pid(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')) else {
        return false;
    };
    let mut parts = inner.rsplitn(4, '.');
    let numbers = parts.by_ref().take(3).filter(|part| part.parse::<u32>().is_ok()).count();
    inner.contains("->") || (numbers == 3 && parts.next().is_some_and(|node| !node.is_empty()))
}

fn all_banner(call: &Call<'_>) -> String {
    let (options, reason) = (call.options, call.word(0));
    if options.is_set("global") {
        return format!(
            "Closing all connections to node {} (across all vhosts), reason: {reason}...",
            call.node
        );
    }
    match options.value("limit") {
        None | Some("0") => {
            format!("Closing all connections in vhost {}, reason: {reason}...", options.vhost)
        }
        Some(limit) => format!("Closing {limit} connections in vhost {}, reason: {reason}...", options.vhost),
    }
}

fn close_all_connections(call: &Call<'_>) -> Result<Outcome, Failure> {
    let options = call.options;
    let number = |name: &str| options.value(name).and_then(|value| value.parse::<u64>().ok());
    let delay_ms = number("per-connection-delay").unwrap_or_default();
    let mut body = json!({"reason": call.word(0), "delay_ms": delay_ms});
    if !options.is_set("global") {
        body["vhost"] = options.vhost.as_str().into();
        if let Some(limit) = number("limit").filter(|limit| *limit > 0) {
            body["limit"] = limit.into();
        }
    }
    let closed = format!("Closed {} connections", close_several(call, &body)?);
    let value = json!({"node": call.node, "result": "ok", "value": closed});
    Ok(Outcome::Remark(closed, value))
}

fn close_several(call: &Call<'_>, body: &Value) -> Result<u64, Failure> {
    let answer = call.put("/api/leveret/connections/close", body)?;
    Ok(answer.get("closed").and_then(Value::as_u64).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_connection() {
        for pid in ["<127.0.0.1:1->127.0.0.1:2>", "<rabbit@a.b.1.2.3>"] {
            assert!(is_pid(pid), "{pid}");
        }
        for other in ["", "nosuch", "<0.1.0>", "<.1.2.3>", "<rabbit@h.1.x.3>", "rabbit@h.1.2.3"] {
            assert!(!is_pid(other), "{other}");
        }
    }
}
