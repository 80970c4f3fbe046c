//! Options and words, as rabbitmqctl takes them: options anywhere, before or after the command.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::Failure;

/// The longest wait that an option can ask for, in seconds.
const TIMEOUT_MAX_S: f64 = 1e9;

#[derive(Debug, Default, Parser)]
#[command(name = "leveretctl", disable_help_flag = true, disable_version_flag = true)]
struct Raw {
    command: Option<String>,
    words: Vec<String>,
    #[arg(short = 'n', long)]
    node: Option<String>,
    #[arg(short, long)]
    quiet: bool,
    #[arg(short, long)]
    silent: bool,
    #[arg(short = 'p', long, default_value = "/")]
    vhost: String,
    #[arg(short, long, allow_hyphen_values = true)]
    timeout: Option<String>,
    #[arg(long)]
    formatter: Option<String>,
    #[arg(long)]
    no_table_headers: bool,
    #[arg(long, env = "LEVERET_DATA_DIR", default_value = "leveret-data")]
    data_dir: PathBuf,
    #[arg(short = '?', long)]
    help: bool,
    // Of single commands.
    #[arg(long)]
    online: bool,
    #[arg(long)]
    offline: bool,
    #[arg(long)]
    local: bool,
    #[arg(long)]
    idempotent: bool,
    #[arg(short = 'e', long)]
    if_empty: bool,
    #[arg(short = 'u', long)]
    if_unused: bool,
    #[arg(long)]
    unit: Option<String>,
    // Accepted for scripts that give them; nothing to do here.
    #[arg(short, long)]
    longnames: bool,
    #[arg(long)]
    erlang_cookie: Option<String>,
    #[arg(long)]
    script_name: Option<String>,
    #[arg(long)]
    printer: Option<String>,
    #[arg(long)]
    dry_run: bool,
    #[arg(long)]
    print_stacktrace: bool,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Formatter {
    /// Tabs between columns; the default.
    Table,
    /// One array of objects.
    Json,
    /// Everything quoted, commas between columns.
    Csv,
}

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) command: String,
    pub(crate) words: Vec<String>,
    pub(crate) node: Option<String>,
    pub(crate) quiet: bool,
    pub(crate) silent: bool,
    pub(crate) vhost: String,
    /// `None` waits for ever.
    pub(crate) timeout: Option<Duration>,
    pub(crate) formatter: Formatter,
    pub(crate) headers: bool,
    pub(crate) data_dir: PathBuf,
    pub(crate) help: bool,
    pub(crate) offline: bool,
    pub(crate) idempotent: bool,
    pub(crate) if_empty: bool,
    pub(crate) if_unused: bool,
    pub(crate) unit: Option<String>,
}

impl Options {
    /// Whether lines for people that are not the result are wanted.
    pub(crate) fn banner(&self) -> bool {
        !self.quiet && !self.silent && self.formatter == Formatter::Table
    }
}

/// Options that only some commands take, and those commands.
const OF_COMMANDS: [(&str, &[&str]); 7] = [
    ("--online", &["list_queues"]),
    ("--offline", &["list_queues"]),
    ("--local", &["list_queues"]),
    ("--idempotent", &["stop"]),
    ("--if-empty", &["delete_queue"]),
    ("--if-unused", &["delete_queue"]),
    ("--unit", &["status"]),
];

/// Reads the command line.
pub(crate) fn parse(given: &[String]) -> Result<Options, Failure> {
    let program = std::iter::once("leveretctl".to_owned());
    let raw =
        Raw::try_parse_from(program.chain(given.iter().cloned())).map_err(|error| refuse(&error, given))?;
    let command = raw.command.clone().unwrap_or_default();
    check_options_of_commands(&raw, &command)?;
    let invalid = |option: &str, value: &str| {
        Failure::usage(&command, format!("Invalid options for this command:\n{option} : {value}"))
    };
    let timeout = match raw.timeout.as_deref() {
        None => Some(Duration::from_secs(60)),
        Some("infinity") => None,
        Some(text) => match text.parse::<f64>() {
            Ok(seconds) if seconds > 0.0 => Some(Duration::from_secs_f64(seconds.min(TIMEOUT_MAX_S))),
            Ok(0.0) => None,
            _ => return Err(invalid("--timeout", text)),
        },
    };
    let formatter = match raw.formatter.as_deref() {
        None | Some("table") => Formatter::Table,
        Some("json") => Formatter::Json,
        Some("csv") => Formatter::Csv,
        Some(other) => return Err(invalid("--formatter", other)),
    };
    Ok(Options {
        command,
        words: raw.words,
        node: raw.node,
        quiet: raw.quiet,
        silent: raw.silent,
        vhost: raw.vhost,
        timeout,
        formatter,
        headers: !raw.no_table_headers && !raw.silent,
        data_dir: raw.data_dir,
        help: raw.help,
        offline: raw.offline,
        idempotent: raw.idempotent,
        if_empty: raw.if_empty,
        if_unused: raw.if_unused,
        unit: raw.unit,
    })
}

fn check_options_of_commands(raw: &Raw, command: &str) -> Result<(), Failure> {
    let given =
        [raw.online, raw.offline, raw.local, raw.idempotent, raw.if_empty, raw.if_unused, raw.unit.is_some()];
    for ((option, commands), given) in OF_COMMANDS.iter().zip(given) {
        if given && !commands.contains(&command) {
            let problem = format!("Invalid options for this command:\n{option} : ");
            return Err(Failure::usage(command, problem));
        }
    }
    Ok(())
}

fn refuse(error: &clap::Error, given: &[String]) -> Failure {
    let command = given.iter().find(|word| !word.starts_with('-')).cloned().unwrap_or_default();
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.split(' ').next().unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let problem = match error.kind() {
        ErrorKind::ArgumentConflict => format!("{argument} is given twice"),
        ErrorKind::InvalidValue => format!("{argument} needs a value"),
        _ => format!("Invalid options for this command:\n{argument} : "),
    };
    Failure::usage(&command, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Options, Failure> {
        parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_stand_anywhere() {
        for text in [
            "-q -p v list_queues name --formatter json -t 5 -n rabbit@x",
            "list_queues -q --vhost v name --formatter=json --timeout=5 --longnames",
            "--node x --erlang-cookie c list_queues name -p v -t 5 --formatter json --quiet",
        ] {
            let options = read(text).unwrap();
            assert_eq!(
                (options.command.as_str(), options.words.as_slice()),
                ("list_queues", ["name".to_owned()].as_slice())
            );
            assert_eq!(
                (options.vhost.as_str(), options.quiet, options.formatter),
                ("v", true, Formatter::Json)
            );
            assert_eq!(options.timeout, Some(Duration::from_secs(5)));
        }
    }

    #[test]
    fn defaults() {
        let options = read("list_queues").unwrap();
        assert_eq!((options.vhost.as_str(), options.timeout), ("/", Some(Duration::from_secs(60))));
        assert!(options.headers && options.banner());
        assert!(!read("list_queues -s").unwrap().headers);
        assert!(!read("list_queues --no-table-headers").unwrap().headers);
        assert!(!read("list_queues --formatter json").unwrap().banner());
        assert_eq!(read("x -t infinity").unwrap().timeout, None);
        assert_eq!(read("x -t 0").unwrap().timeout, None);
    }

    #[test]
    fn refused() {
        let cases = [
            ("list_queues --nope", "Invalid options for this command:\n--nope : "),
            ("list_queues --timeout abc", "Invalid options for this command:\n--timeout : abc"),
            ("list_queues --timeout -5", "Invalid options for this command:\n--timeout : -5"),
            ("list_queues --timeout nan", "Invalid options for this command:\n--timeout : nan"),
            ("list_queues --formatter xml", "Invalid options for this command:\n--formatter : xml"),
            ("list_users --online", "Invalid options for this command:\n--online : "),
            ("ping --unit mb", "Invalid options for this command:\n--unit : "),
            ("list_queues -p", "--vhost needs a value"),
            ("list_queues -p a -p b", "--vhost is given twice"),
        ];
        for (text, expected) in cases {
            let failure = read(text).unwrap_err();
            assert_eq!(failure.exit_code(), 64);
            let Failure::Usage { problem, .. } = failure else { panic!("{text}: {failure:?}") };
            assert_eq!(problem, expected, "{text}");
        }
    }
}
