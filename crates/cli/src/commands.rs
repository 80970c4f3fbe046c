//! Commands: what each takes, does and says.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::args::{Options, parse};
use crate::client::{Client, encode, expect_success};
use crate::columns::connection_pid;
use crate::error::Failure;
use crate::lists::{LISTS, List, rows};
use crate::output::{write_message, write_rows};
use crate::status::write_status;
use crate::term::Kind;

/// A command that is not a list.
struct Command {
    name: &'static str,
    usage: &'static str,
    help: &'static str,
    words_min: usize,
    words_max: usize,
    run: fn(&Options, &Client, &mut dyn Write) -> Result<(), Failure>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "status",
        usage: "status [--unit <unit>] [--timeout <timeout>]",
        help: "Displays status of a node",
        words_min: 0,
        words_max: 0,
        run: status,
    },
    Command {
        name: "ping",
        usage: "ping [--timeout <timeout>]",
        help: "Checks that the broker answers",
        words_min: 0,
        words_max: 0,
        run: ping,
    },
    Command {
        name: "stop",
        usage: "stop [--idempotent] [<pidfile>]",
        help: "Stops the broker and waits until its process has ended",
        words_min: 0,
        words_max: 1,
        run: stop,
    },
    Command {
        name: "version",
        usage: "version",
        help: "Displays CLI tools version",
        words_min: 0,
        words_max: 0,
        run: |options, _, mut out| Ok(write_message(options, env!("CARGO_PKG_VERSION"), &mut out)?),
    },
    Command {
        name: "close_connection",
        usage: "close_connection <connection pid or name> <explanation>",
        help: "Instructs the broker to close a connection",
        words_min: 2,
        words_max: 2,
        run: close_connection,
    },
    Command {
        name: "delete_queue",
        usage: "delete_queue [--vhost <vhost>] <queue_name> [--if-empty|-e] [--if-unused|-u] [--timeout <timeout>]",
        help: "Deletes a queue",
        words_min: 1,
        words_max: 1,
        run: delete_queue,
    },
    Command {
        name: "purge_queue",
        usage: "purge_queue <queue> [--vhost <vhost>]",
        help: "Purges a queue (removes all messages in it)",
        words_min: 1,
        words_max: 1,
        run: purge_queue,
    },
    Command {
        name: "set_vm_memory_high_watermark",
        usage: "set_vm_memory_high_watermark <fraction> | absolute <value>",
        help: "Sets the vm_memory_high_watermark setting",
        words_min: 1,
        words_max: 2,
        run: set_memory_watermark,
    },
    Command {
        name: "set_disk_free_limit",
        usage: "set_disk_free_limit <disk_limit> | mem_relative <fraction>",
        help: "Sets the disk_free_limit setting",
        words_min: 1,
        words_max: 2,
        run: set_disk_free_limit,
    },
];

const GENERAL: &str = "leveretctl [--data-dir <dir>] [--node <node>] [--longnames] [--quiet]";

/// Runs the command that was given.
pub(crate) fn run(given: &[String], out: &mut impl Write) -> Result<(), Failure> {
    let mut options = parse(given)?;
    if options.command == "help" || options.help {
        if options.command == "help" {
            options.command = options.words.first().cloned().unwrap_or_default();
        }
        return help(&options.command, out);
    }
    let client = Client::new(options.data_dir.clone(), options.timeout);
    if let Some(list) = LISTS.iter().find(|list| list.command == options.command) {
        return run_list(list, &options, &client, out);
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == options.command) else {
        return Err(Failure::NoCommand(options.command));
    };
    if options.words.len() > command.words_max {
        return Err(Failure::usage(command.name, "too many arguments."));
    }
    if options.words.len() < command.words_min {
        return Err(Failure::usage(command.name, "not enough arguments."));
    }
    (command.run)(&options, &client, out)
}

fn run_list(list: &List, options: &Options, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
    let columns = list.chosen(&options.words).map_err(|problem| Failure::usage(list.command, problem))?;
    banner(options, &list.banner(options), out)?;
    // A virtual host that does not exist has an empty list, as with rabbitmqctl; so has a node that is not there.
    let answer = if options.offline { None } else { client.get(&list.path(options))? };
    let heads: Vec<(&str, Kind)> = columns.iter().map(|column| (column.name, column.kind)).collect();
    Ok(write_rows(options, &heads, rows(answer.unwrap_or(Value::Null), &columns), out)?)
}

fn banner(options: &Options, lines: &[String], out: &mut (impl Write + ?Sized)) -> Result<(), Failure> {
    if options.banner() {
        for line in lines {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
    }
    Ok(())
}

fn status(options: &Options, client: &Client, mut out: &mut dyn Write) -> Result<(), Failure> {
    let status = node_status(client)?;
    banner(options, &[format!("Status of node {} ...", text(&status, "node"))], out)?;
    write_status(options, &status, &mut out)
}

fn node_status(client: &Client) -> Result<Value, Failure> {
    let answer = client.get("/api/leveret/status")?;
    answer.ok_or_else(|| Failure::Unavailable("the broker has no status to give".to_owned()))
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn node_name(options: &Options, client: &Client) -> Result<String, Failure> {
    match &options.node {
        Some(node) => Ok(node.clone()),
        None => Ok(text(&node_status(client)?, "node").to_owned()),
    }
}

fn ping(options: &Options, client: &Client, mut out: &mut dyn Write) -> Result<(), Failure> {
    let timeout =
        options.timeout.map_or_else(|| "infinity".to_owned(), |timeout| timeout.as_millis().to_string());
    let line = format!(
        "Will ping the broker in {}. This only checks that it answers. Timeout: {timeout} ms.",
        options.data_dir.display()
    );
    banner(options, &[line], out)?;
    expect_success(client.request("GET", "/api/leveret/ping", &[], None)?)?;
    Ok(write_message(options, "Ping succeeded", &mut out)?)
}

fn stop(options: &Options, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let status = match node_status(client) {
        Err(Failure::Unavailable(_)) if options.idempotent => return Ok(()),
        status => status?,
    };
    banner(options, &[format!("Stopping and halting node {} ...", text(&status, "node"))], out)?;
    expect_success(client.request("PUT", "/api/leveret/stop", &[], None)?)?;
    let pid = status.get("pid").and_then(Value::as_u64).unwrap_or_default();
    wait_for_end(pid, options.timeout)
}

/// Waits until the process is gone. One in another namespace cannot be seen, and is not waited for.
fn wait_for_end(pid: u64, timeout: Option<Duration>) -> Result<(), Failure> {
    let start = Instant::now();
    while is_running(pid) {
        if timeout.is_some_and(|timeout| start.elapsed() > timeout) {
            return Err(Failure::TimedOut(format!("the broker's process {pid} has not ended yet")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// A process that has ended and that nobody has asked about is not running.
fn is_running(pid: u64) -> bool {
    let stat =
        std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn close_connection(options: &Options, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let [wanted, reason] = options.words.as_slice() else { return Ok(()) };
    banner(options, &[format!("Closing connection {wanted}, reason: {reason}...")], out)?;
    let connections = client.get("/api/connections?columns=name")?.unwrap_or(Value::Null);
    let mut names = connections.as_array().into_iter().flatten().map(|connection| text(connection, "name"));
    let not_found = || Failure::Unavailable(format!("there is no connection {wanted}"));
    let name = names.find(|name| *name == wanted || connection_pid(name) == *wanted).ok_or_else(not_found)?;
    let path = format!("/api/connections/{}", encode(name));
    let answer = client.request("DELETE", &path, &[("X-Reason", reason)], None)?;
    if answer.status == 404 {
        return Err(not_found());
    }
    expect_success(answer).map(|_| ())
}

fn queue_path(options: &Options) -> String {
    let name = options.words.first().map_or("", String::as_str);
    format!("/api/queues/{}/{}", encode(&options.vhost), encode(name))
}

fn delete_queue(options: &Options, client: &Client, mut out: &mut dyn Write) -> Result<(), Failure> {
    let name = options.words.first().map_or("", String::as_str);
    let conditions = match (options.if_empty, options.if_unused) {
        (true, true) => " if queue is empty and if queue is unused",
        (true, false) => " if queue is empty",
        (false, true) => " if queue is unused",
        (false, false) => "",
    };
    banner(options, &[format!("Deleting queue '{name}' on vhost '{}'{conditions} ...", options.vhost)], out)?;
    let not_found = || Failure::NotFound { code: 64, text: "Error:\nQueue not found".to_owned() };
    let path = queue_path(options);
    let queue = client.get(&path)?.ok_or_else(not_found)?;
    let query = format!("?if-empty={}&if-unused={}", options.if_empty, options.if_unused);
    let answer = client.request("DELETE", &format!("{path}{query}"), &[], None)?;
    if answer.status == 404 {
        return Err(not_found());
    }
    expect_success(answer)?;
    let ready = queue.get("messages_ready").and_then(Value::as_u64).unwrap_or_default();
    let message = format!("Queue was successfully deleted with {ready} ready messages");
    Ok(write_message(options, &message, &mut out)?)
}

fn purge_queue(options: &Options, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let name = options.words.first().map_or("", String::as_str);
    banner(options, &[format!("Purging queue '{name}' in vhost '{}' ...", options.vhost)], out)?;
    let answer = client.request("DELETE", &format!("{}/contents", queue_path(options)), &[], None)?;
    if answer.status == 404 {
        let text = "Object (queue, stream, exchange, etc) was not found".to_owned();
        return Err(Failure::NotFound { code: 65, text });
    }
    expect_success(answer).map(|_| ())
}

fn set_memory_watermark(options: &Options, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let bad = |problem: &str| Failure::bad_argument("set_vm_memory_high_watermark", problem);
    let (body, shown) = match options.words.as_slice() {
        [keyword, value] if keyword == "absolute" => {
            let bytes = parse_size(value).ok_or_else(|| bad("Bad argument."))?;
            (json!({"absolute": bytes}), format!("{value} bytes"))
        }
        [value] => {
            let part: f64 = value.parse().map_err(|_| bad("Bad argument."))?;
            if !(0.0..=1.0).contains(&part) {
                return Err(bad("Bad argument: The threshold should be a fraction between 0.0 and 1.0"));
            }
            (json!({"relative": part}), value.clone())
        }
        _ => return Err(Failure::usage("set_vm_memory_high_watermark", "too many arguments.")),
    };
    let node = node_name(options, client)?;
    banner(options, &[format!("Setting memory threshold on {node} to {shown} ...")], out)?;
    let answer = client.request("PUT", "/api/leveret/vm_memory_high_watermark", &[], Some(&body))?;
    expect_success(answer).map(|_| ())
}

fn set_disk_free_limit(options: &Options, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let bad = || Failure::bad_argument("set_disk_free_limit", "Bad argument.");
    let (body, shown) = match options.words.as_slice() {
        [keyword, value] if keyword == "mem_relative" => {
            let part: f64 =
                value.parse().ok().filter(|part: &f64| part.is_finite() && *part >= 0.0).ok_or_else(bad)?;
            (json!({"relative": part}), format!("{value} times the total RAM"))
        }
        [value] => (json!({"absolute": parse_size(value).ok_or_else(bad)?}), format!("{value} bytes")),
        _ => return Err(Failure::usage("set_disk_free_limit", "too many arguments.")),
    };
    let node = node_name(options, client)?;
    banner(options, &[format!("Setting disk free limit on {node} to {shown} ...")], out)?;
    let answer = client.request("PUT", "/api/leveret/disk_free_limit", &[], Some(&body))?;
    expect_success(answer).map(|_| ())
}

/// A number of bytes with RabbitMQ's units: `50MB` is decimal, `50MiB` and `50M` are binary.
fn parse_size(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "ki" | "kib" => 1 << 10,
        "m" | "mi" | "mib" => 1 << 20,
        "g" | "gi" | "gib" => 1 << 30,
        "t" | "ti" | "tib" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn help(command: &str, out: &mut impl Write) -> Result<(), Failure> {
    let helps = LISTS.iter().map(|list| (list.command, list.help));
    let found = helps
        .chain(COMMANDS.iter().map(|command| (command.name, command.help)))
        .find(|(name, _)| *name == command);
    match found {
        None if command.is_empty() => Ok(out.write_all(command_list().as_bytes())?),
        None => Err(Failure::NoCommand(command.to_owned())),
        Some((_, help)) => {
            writeln!(out, "\nUsage\n\n{}\n\n{help}.\n", usage_of(command))?;
            if let Some(list) = LISTS.iter().find(|list| list.command == command && list.chosen_columns) {
                let mut names: Vec<&str> = list.columns.iter().map(|column| column.name).collect();
                names.sort_unstable();
                writeln!(
                    out,
                    "\nArguments and Options\n\n<column>\n\tmust be one of {}\n",
                    names.join(", ")
                )?;
            }
            Ok(())
        }
    }
}

/// One command's usage line.
pub(crate) fn usage_of(command: &str) -> String {
    let usages = LISTS.iter().map(|list| (list.command, list.usage));
    let mut usages = usages.chain(COMMANDS.iter().map(|command| (command.name, command.usage)));
    let usage =
        usages.find(|(name, _)| *name == command).map_or("<command> [<command options>]", |(_, usage)| usage);
    format!("{GENERAL} {usage}")
}

/// All commands, for whoever named none.
pub(crate) fn command_list() -> String {
    let mut text = format!("\nUsage\n\n{GENERAL} <command> [<command options>]\n\nAvailable commands:\n\n");
    let lists = LISTS.iter().map(|list| (list.command, list.help));
    for (name, help) in lists.chain(COMMANDS.iter().map(|command| (command.name, command.help))) {
        text.push_str(&format!("   {name:<30}{help}\n"));
    }
    text.push_str("\nUse 'leveretctl help <command>' to learn more about a specific command\n");
    text
}
