//! Commands: what each takes, does and says.

mod access;
mod application;
mod certificates;
mod checks;
mod connections;
mod definitions;
mod help;
mod limits;
mod lists;
mod node;
mod object_limits;
mod parameters;
mod process;
mod queues;
mod report;
mod tools;
mod topic_permissions;
mod vhosts;

use std::io::Write;
use std::time::Duration;

use serde_json::Value;

use crate::args::{Options, Timeout, parse};
use crate::client::{Client, expect_success};
use crate::error::{EX_TIMEOUT, EX_UNAVAILABLE, Failure, Problem};
use crate::output::{Outcome, write_failure, write_outcome};
use crate::program::{Program, Tool};

/// How long a command waits unless it is told.
const TIMEOUT: Timeout = Some(Duration::from_secs(60));

/// Whether a command needs the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// It is refused while the application is stopped.
    Application,
    /// The node is enough.
    Node,
    /// Nothing is asked of the broker.
    Nothing,
}

/// One command.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// The tools that have it.
    tools: &'static [Tool],
    /// Its usage, after the program's name and the general options, and its own name.
    usage: &'static str,
    help: &'static str,
    /// How many words it takes, at least and at most.
    words: (usize, usize),
    needs: Needs,
    /// Whether its result is a table.
    is_list: bool,
    check: fn(&Options) -> Result<(), Problem>,
    /// What is said before anything is done.
    banner: fn(&Call<'_>) -> Vec<String>,
    run: fn(&Call<'_>) -> Result<Outcome, Failure>,
}

/// What most commands have in common.
const BASE: Command = Command {
    name: "",
    tools: &[Tool::Ctl],
    usage: "",
    help: "",
    words: (0, 0),
    needs: Needs::Application,
    is_list: false,
    check: |_| Ok(()),
    banner: |_| Vec::new(),
    run: |_| Ok(Outcome::Done),
};

/// A command as it is run.
pub(crate) struct Call<'a> {
    pub(crate) options: &'a Options,
    pub(crate) client: &'a Client,
    /// The node's name: as it was given, else as the broker says.
    pub(crate) node: String,
}

impl Call<'_> {
    fn word(&self, index: usize) -> &str {
        self.options.word(index)
    }

    /// Asks for something that must be there.
    fn get(&self, path: &str) -> Result<Value, Failure> {
        let answer = self.client.get(path)?;
        answer.ok_or_else(|| Failure::unavailable(format!("the broker has nothing at {path}")))
    }

    /// Sends a body; anything but a success is a failure.
    fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        expect_success(self.client.put(path, body)?)
    }
}

/// Every command, in no order.
pub(crate) fn all() -> impl Iterator<Item = &'static Command> {
    [
        access::COMMANDS,
        application::COMMANDS,
        certificates::COMMANDS,
        checks::COMMANDS,
        connections::COMMANDS,
        definitions::COMMANDS,
        limits::COMMANDS,
        lists::COMMANDS,
        node::COMMANDS,
        object_limits::COMMANDS,
        parameters::COMMANDS,
        process::COMMANDS,
        queues::COMMANDS,
        report::COMMANDS,
        tools::COMMANDS,
        topic_permissions::COMMANDS,
        vhosts::COMMANDS,
    ]
    .into_iter()
    .flatten()
}

fn find(program: &Program, name: &str) -> Option<&'static Command> {
    all().find(|command| command.name == name && program.offers(command.tools))
}

/// Runs the command line; gives the exit code. What is said goes to `out` and `err`.
pub(crate) fn run(program: Program, given: &[String], out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let usage_of = |name: &str| match find(&program, name) {
        Some(command) => help::usage(&program, command),
        None => help::general_usage(&program),
    };
    let options = match parse(program.clone(), given) {
        Ok(options) => options,
        Err((command, problem)) => {
            let failure = if find(&program, &command).is_none() && !command.is_empty() {
                help::no_such_command(&program, &command)
            } else {
                Failure::wrong(&problem, given, &usage_of(&command))
            };
            return write_failure(None, &failure, err);
        }
    };
    match obey(&options, given, out) {
        Ok(()) => 0,
        Err(failure) => write_failure(Some(&options), &failure, err),
    }
}

fn obey(options: &Options, given: &[String], out: &mut dyn Write) -> Result<(), Failure> {
    if options.help || options.command == "help" {
        return help::help(options, out);
    }
    if options.is_set("version") {
        return Ok(writeln!(out, "{}", node::VERSION)?);
    }
    let program = &options.program;
    let command =
        find(program, &options.command).ok_or_else(|| help::no_such_command(program, &options.command))?;
    let wrong = |problem: &Problem| Failure::wrong(problem, given, &help::usage(program, command));
    check(command, options).map_err(|problem| wrong(&problem))?;
    let client = Client::new(&options.place, options.timeout_or(TIMEOUT))?;
    let mut call = Call { options, client: &client, node: options.node.clone().unwrap_or_default() };
    if command.needs != Needs::Nothing {
        if options.timeout == Some(Some(Duration::ZERO)) {
            return Err(timed_out(&call));
        }
        let node = match node::NodeState::ask(&client) {
            // Only `stop` takes that option.
            Err(failure) if options.is_set("idempotent") && failure.code == EX_UNAVAILABLE => {
                return Ok(writeln!(out, "Node is no longer running (requested idempotent operation mode)")?);
            }
            node => node?,
        };
        if call.node.is_empty() {
            call.node = node.name;
        }
        if command.needs == Needs::Application && !node.running {
            return Err(wrong(&Problem::Stopped));
        }
    }
    if options.banner() {
        for line in (command.banner)(&call) {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
    }
    if options.dry_run {
        return Ok(());
    }
    let outcome = (command.run)(&call)?;
    Ok(write_outcome(&call, outcome, out)?)
}

/// The number of words, the options of tables, then the command's own checks.
fn check(command: &Command, options: &Options) -> Result<(), Problem> {
    if options.is_set("no-table-headers")
        && (!command.is_list || options.formatter.is_some_and(|f| !f.has_headers()))
    {
        return Err(Problem::Usage("Invalid options for this command:\n--no-table-headers : ".to_owned()));
    }
    let (least, most) = command.words;
    if options.words.len() < least {
        return Err(Problem::Usage("not enough arguments.".to_owned()));
    }
    if options.words.len() > most {
        return Err(Problem::Usage("too many arguments.".to_owned()));
    }
    (command.check)(options)
}

fn timed_out(call: &Call<'_>) -> Failure {
    call.client.set_timeout(TIMEOUT);
    let node = if call.node.is_empty() {
        node::NodeState::ask(call.client).map(|node| node.name).unwrap_or_default()
    } else {
        call.node.clone()
    };
    Failure::plain(
        EX_TIMEOUT,
        format!("Error: operation {} on node {node} timed out. Timeout value used: 0", call.options.command),
    )
}

/// The text of a field.
fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The items of a list, at a pointer.
fn items<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
