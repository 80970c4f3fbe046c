//! The node as a whole: status, ping, stop, versions, settings.

use std::io::{self, BufRead as _};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{BASE, Call, Command, Needs, TIMEOUT, items, text};
use crate::args::{Options, Timeout};
use crate::client::{Client, expect_success};
use crate::error::{EX_TIMEOUT, Failure, Problem};
use crate::output::{Outcome, Rows};
use crate::program::Tool;
use crate::status::{Unit, cluster_text, status_text};
use crate::term::Kind;

/// The release of RabbitMQ whose tools these stand in for.
pub(super) const VERSION: &str = "4.0.5";

const BOTH: &[Tool] = &[Tool::Ctl, Tool::Diagnostics];

/// Time between two looks at a process that ends.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "status",
        tools: BOTH,
        usage: "[--unit <unit>] [--timeout <timeout>]",
        help: "Displays status of a node",
        banner: |call| vec![format!("Status of node {} ...", call.node), "[]".to_owned()],
        run: status,
        ..BASE
    },
    Command {
        name: "ping",
        tools: BOTH,
        usage: "[--timeout <timeout>]",
        help: "Checks that the node's process answers its tools",
        needs: Needs::Node,
        banner: |call| {
            let timeout = call.options.timeout_or(TIMEOUT).unwrap_or_default().as_millis();
            vec![format!(
                "Will ping {}. This only checks if the OS process is running and registered with epmd. Timeout: \
                 {timeout} ms.",
                call.node
            )]
        },
        run: |_| Ok(Outcome::Message("Ping succeeded".to_owned())),
        ..BASE
    },
    Command {
        name: "stop",
        usage: "[--idempotent] [<pidfile>]",
        help: "Stops the broker and waits until its process has ended",
        words: (0, 1),
        needs: Needs::Node,
        banner: |call| vec![format!("Stopping and halting node {} ...", call.node)],
        run: stop,
        ..BASE
    },
    Command {
        name: "version",
        tools: BOTH,
        help: "Displays CLI tools version",
        needs: Needs::Nothing,
        run: |call| {
            // In JSON it stands beside the node's name, if there is one to be asked.
            let node = match call.options.formatter {
                None => None,
                Some(_) => NodeState::ask(call.client).ok().map(|node| node.name),
            };
            let value = json!({"node": node, "result": "ok", "value": {"version": VERSION}});
            Ok(Outcome::Document(format!("{VERSION}\n"), value))
        },
        ..BASE
    },
    Command {
        name: "environment",
        tools: BOTH,
        help: "Displays the settings that the node runs with",
        needs: Needs::Node,
        banner: |call| vec![format!("Application environment of node {} ...", call.node)],
        run: environment,
        ..BASE
    },
    Command {
        name: "cluster_status",
        tools: BOTH,
        usage: "[--timeout <timeout>]",
        help: "Displays the node as a cluster of one",
        banner: |call| vec![format!("Cluster status of node {} ...", call.node)],
        run: |call| {
            let status = call.get("/api/leveret/status")?;
            let flags = call.get("/api/feature-flags")?;
            Ok(Outcome::Document(
                cluster_text(&status, items(&flags, "")),
                crate::status::cluster_json(&status, &flags),
            ))
        },
        ..BASE
    },
    Command {
        name: "list_feature_flags",
        usage: "[<column> ...] [--timeout <timeout>]",
        help: "Lists feature flags",
        words: (0, usize::MAX),
        is_list: true,
        check: |options| flag_columns(options).map(|_| ()),
        banner: |_| vec!["Listing feature flags ...".to_owned()],
        run: list_feature_flags,
        ..BASE
    },
    Command {
        name: "enable_feature_flag",
        usage: "<all | feature_flag>",
        help: "Enables a feature flag or all supported feature flags on the target node",
        words: (1, 1),
        banner: |call| match call.word(0) {
            "all" => vec!["Enabling all feature flags ...".to_owned()],
            name => vec![format!("Enabling feature flag \"{name}\" ...")],
        },
        run: enable_feature_flag,
        ..BASE
    },
    Command {
        name: "node_health_check",
        tools: BOTH,
        usage: "[--timeout <timeout>]",
        help: "DEPRECATED. Does nothing; use a check of rabbitmq-diagnostics",
        needs: Needs::Node,
        run: |_| {
            Ok(Outcome::Message(
                "This command is DEPRECATED and is a no-op. It will be removed in a future version. \nUse one of the \
                 options covered in https://www.rabbitmq.com/monitoring.html#health-checks instead."
                    .to_owned(),
            ))
        },
        ..BASE
    },
];

/// What the node says of itself, whether its application runs or not.
pub(super) struct NodeState {
    pub(super) name: String,
    pub(super) running: bool,
    /// The process id.
    pub(super) pid: u64,
}

impl NodeState {
    /// Asks the node. A RabbitMQ behind an HTTP API runs, since it answers.
    pub(super) fn ask(client: &Client) -> Result<Self, Failure> {
        let answer = match client.get("/api/leveret/node")? {
            Some(answer) => answer,
            None => client.get("/api/overview?columns=node")?.unwrap_or(Value::Null),
        };
        Ok(Self {
            name: text(&answer, "node").to_owned(),
            running: answer.get("running").and_then(Value::as_bool).unwrap_or(true),
            pid: answer.get("pid").and_then(Value::as_u64).unwrap_or_default(),
        })
    }
}

fn status(call: &Call<'_>) -> Result<Outcome, Failure> {
    let status = call.get("/api/leveret/status")?;
    let unit = Unit::parse(call.options.value("unit").unwrap_or("gb"));
    Ok(Outcome::Document(status_text(&status, &unit), status))
}

fn stop(call: &Call<'_>) -> Result<Outcome, Failure> {
    let node = NodeState::ask(call.client)?;
    expect_success(call.client.request("PUT", "/api/leveret/stop", &[], None)?)?;
    if call.client.is_local() {
        wait_for_end(node.pid, call.options.timeout_or(TIMEOUT))?;
    }
    Ok(Outcome::Done)
}

/// Waits until the process is gone. One in another namespace cannot be seen, and is not waited for.
pub(super) fn wait_for_end(pid: u64, timeout: Timeout) -> Result<(), Failure> {
    let start = Instant::now();
    while is_running(pid) {
        if timeout.is_some_and(|timeout| start.elapsed() > timeout) {
            return Err(Failure::error(EX_TIMEOUT, format!("the broker's process {pid} has not ended yet")));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// A process that has ended and that nobody has asked about is not running.
pub(super) fn is_running(pid: u64) -> bool {
    let stat =
        std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The settings as a list of Erlang pairs, which RabbitMQ shows.
fn environment(call: &Call<'_>) -> Result<Outcome, Failure> {
    let environment = call.get("/api/leveret/environment")?;
    let settings = environment.as_object().into_iter().flatten();
    let lines: Vec<String> = settings.map(|(name, value)| format!("      {{'{name}',{value}}}")).collect();
    Ok(Outcome::Document(format!("[{{rabbit,\n     [\n{}]}}]\n", lines.join(",\n")), environment))
}

fn flag_columns(options: &Options) -> Result<Vec<&'static str>, Problem> {
    let known = ["name", "state", "stability", "provided_by", "desc", "doc_url"];
    let mut chosen = Vec::new();
    let mut unknown = Vec::new();
    for word in options.words.iter().flat_map(|word| word.split(',')) {
        match known.iter().find(|name| **name == word) {
            Some(name) => chosen.push(*name),
            None => unknown.push(word),
        }
    }
    if !unknown.is_empty() {
        return Err(Problem::Usage(format!("Info key(s) {} are not supported", unknown.join(","))));
    }
    Ok(if chosen.is_empty() { vec!["name", "state"] } else { chosen })
}

fn list_feature_flags(call: &Call<'_>) -> Result<Outcome, Failure> {
    let flags = call.get("/api/feature-flags")?;
    let columns = flag_columns(call.options).unwrap_or_default();
    let row =
        |flag: &Value| columns.iter().map(|column| flag.get(*column).cloned().unwrap_or_default()).collect();
    let rows: Vec<Vec<Value>> = items(&flags, "").iter().map(row).collect();
    let columns = columns.iter().map(|column| (*column, Kind::Plain)).collect();
    Ok(Outcome::Rows(Rows { columns, rows: Box::new(rows.into_iter()), headed: true, at_once: false }))
}

/// All there are can only be on already; one that is off belongs to what this broker has not.
fn enable_feature_flag(call: &Call<'_>) -> Result<Outcome, Failure> {
    let wanted = call.word(0);
    if wanted == "all" {
        return Ok(Outcome::Done);
    }
    let flags = call.get("/api/feature-flags")?;
    match items(&flags, "").iter().find(|flag| text(flag, "name") == wanted) {
        Some(flag) if text(flag, "state") == "enabled" => Ok(Outcome::Done),
        Some(_) => {
            Err(Failure::unavailable(format!("The feature flag \"{wanted}\" is not supported by this node")))
        }
        None => Err(Failure::unavailable(":unsupported")),
    }
}

/// The first line of standard input, without its end.
pub(super) fn read_line() -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end_matches(['\n', '\r']).to_owned()))
}
