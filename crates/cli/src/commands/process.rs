//! The node's process: wait for it to come, and end it.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::node::{NodeState, is_running, wait_for_end};
use super::{BASE, Call, Command, Needs, TIMEOUT};
use crate::args::{Formatter, Options};
use crate::client::expect_success;
use crate::error::{EX_TIMEOUT, Failure, Problem};
use crate::output::Outcome;

/// How long `wait` waits unless it is told.
const WAIT: Duration = Duration::from_secs(10);

/// Time between two looks for a file or a node that comes.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "wait",
        usage: "[<pidfile>] [--pid|-P <pid>] [--timeout <timeout>]",
        help: "Waits for the broker to run, as long as its process does: the one in a file, or of this id",
        words: (0, 1),
        needs: Needs::Nothing,
        check: |options| {
            let wrong = |text: &str| Err(Problem::Usage(format!("\"{text}\"")));
            match (options.words.is_empty(), options.value("pid").is_none()) {
                (true, true) => wrong("No pid or pidfile specified"),
                (false, false) => wrong("Cannot specify both pid and pidfile"),
                _ => Ok(()),
            }
        },
        run: wait,
        ..BASE
    },
    Command {
        name: "shutdown",
        usage: "[--wait|--no-wait]",
        help: "Stops the broker and waits until its process has ended. Needs no file with its id",
        needs: Needs::Node,
        run: shutdown,
        ..BASE
    },
    Command {
        name: "rotate_logs",
        help: "Does nothing [deprecated]",
        run: |_| Err(Failure::unavailable("This command does not rotate logs anymore [deprecated]")),
        ..BASE
    },
];

/// What a command says while it goes on: lines, or one list at its end.
struct Progress<'a> {
    options: &'a Options,
    said: Vec<Value>,
}

impl Progress<'_> {
    fn say(&mut self, text: String) -> Result<(), Failure> {
        if self.options.formatter == Some(Formatter::Json) {
            self.said.push(json!({"message": text}));
        } else if self.options.banner() {
            let mut out = std::io::stdout();
            writeln!(out, "{text}")?;
            out.flush()?;
        }
        Ok(())
    }

    fn end(self) -> Outcome {
        let lines: Vec<String> = self.said.iter().map(Value::to_string).collect();
        match self.options.formatter {
            Some(Formatter::Json) => Outcome::Text(format!("[\n{}\n]\n", lines.join("\n,"))),
            _ => Outcome::Text(String::new()),
        }
    }
}

fn wait(call: &Call<'_>) -> Result<Outcome, Failure> {
    let limit = call.options.timeout_or(Some(WAIT));
    let start = Instant::now();
    let timed_out = || {
        let (limit, node) = (limit.unwrap_or_default().as_millis(), &call.node);
        let text = format!("Error: operation wait on node {node} timed out. Timeout value used: {limit}");
        Failure::plain(EX_TIMEOUT, text)
    };
    let pause = || {
        if limit.is_some_and(|limit| start.elapsed() >= limit) {
            return Err(timed_out());
        }
        std::thread::sleep(LOOK_EVERY);
        Ok(())
    };
    let mut progress = Progress { options: call.options, said: Vec::new() };
    let pid = match call.options.value("pid") {
        Some(pid) => pid.parse().unwrap_or_default(),
        None => {
            progress.say(format!("Waiting for pid file '{}' to appear", call.word(0)))?;
            let pid = loop {
                // One that a process has left behind is not the file that is waited for.
                match pid_in(Path::new(call.word(0))).filter(|pid| is_running(*pid)) {
                    Some(pid) => break pid,
                    None => pause()?,
                }
            };
            progress.say(format!("pid is {pid}"))?;
            pid
        }
    };
    let name = if call.node.is_empty() {
        NodeState::ask(call.client).map_or_else(|_| "unknown".to_owned(), |node| node.name)
    } else {
        call.node.clone()
    };
    progress.say(format!(
        "Waiting for erlang distribution on node '{name}' while OS process '{pid}' is running"
    ))?;
    let name = loop {
        if !is_running(pid) {
            return Err(Failure::unavailable("process_not_running"));
        }
        match NodeState::ask(call.client) {
            Ok(node) => break if call.node.is_empty() { node.name } else { name },
            Err(_) => pause()?,
        }
    };
    progress.say(format!("Waiting for applications 'rabbit_and_plugins' to start on node '{name}'"))?;
    while !NodeState::ask(call.client).is_ok_and(|node| node.running) {
        if !is_running(pid) {
            return Err(Failure::unavailable("process_not_running"));
        }
        pause()?;
    }
    progress.say(format!("Applications 'rabbit_and_plugins' are running on node '{name}'"))?;
    Ok(progress.end())
}

/// The process id that stands in a file.
fn pid_in(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn shutdown(call: &Call<'_>) -> Result<Outcome, Failure> {
    let node = NodeState::ask(call.client)?;
    let place = format!("RabbitMQ node {} running at PID {}", call.node, node.pid);
    let mut progress = Progress { options: call.options, said: Vec::new() };
    progress.say(format!("Shutting down {place}"))?;
    expect_success(call.client.request("PUT", "/api/leveret/stop", &[], None)?)?;
    if call.client.is_local() && !call.options.is_set("no-wait") {
        progress.say(format!("Waiting for PID {} to terminate", node.pid))?;
        wait_for_end(node.pid, call.options.timeout_or(TIMEOUT))?;
        progress.say(format!("{place} successfully shut down"))?;
    }
    Ok(progress.end())
}
