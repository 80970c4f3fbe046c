//! Options and words, as RabbitMQ's tools take them: options anywhere, before or after the command; the last of the
//! same name counts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::error::Problem;
use crate::program::Program;

/// The longest wait that an option can ask for, in seconds.
const TIMEOUT_MAX_S: u64 = 1_000_000_000;

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// Nothing, or `=true` and `=false`.
    Switch,
    /// Any text.
    Text,
    /// A whole number that is not negative.
    Number,
}

/// One option.
struct Switch {
    name: &'static str,
    short: Option<char>,
    takes: Takes,
    /// The commands that take it; none is all of them.
    of: &'static [&'static str],
}

const fn all(name: &'static str, short: Option<char>, takes: Takes) -> Switch {
    Switch { name, short, takes, of: &[] }
}

const fn of(name: &'static str, short: Option<char>, takes: Takes, of: &'static [&'static str]) -> Switch {
    Switch { name, short, takes, of }
}

/// The option whose name is a no, and which takes no value therefore.
const NO_HEADERS: &str = "no-table-headers";

const SWITCHES: &[Switch] = &[
    all("node", Some('n'), Takes::Text),
    all("quiet", Some('q'), Takes::Switch),
    all("silent", Some('s'), Takes::Switch),
    all("vhost", Some('p'), Takes::Text),
    all("timeout", Some('t'), Takes::Number),
    all("formatter", Some('f'), Takes::Text),
    all("help", Some('?'), Takes::Switch),
    all("version", None, Takes::Switch),
    // Where the broker is: Leveret's own.
    all("data-dir", None, Takes::Text),
    all("url", None, Takes::Text),
    all("username", None, Takes::Text),
    all("password", None, Takes::Text),
    all("cacertfile", None, Takes::Text),
    all("certfile", None, Takes::Text),
    all("keyfile", None, Takes::Text),
    // Accepted for scripts that give them; nothing to do here.
    all("longnames", Some('l'), Takes::Switch),
    all("erlang-cookie", None, Takes::Text),
    all("script-name", None, Takes::Text),
    all("printer", None, Takes::Text),
    all("file", None, Takes::Text),
    all("rabbitmq-home", None, Takes::Text),
    all("mnesia-dir", None, Takes::Text),
    all("data-directory", None, Takes::Text),
    all("plugins-dir", None, Takes::Text),
    all("enabled-plugins-file", None, Takes::Text),
    all("print-stacktrace", None, Takes::Switch),
    all("dry-run", None, Takes::Switch),
    // Of tables; a command that lists nothing refuses it below.
    all(NO_HEADERS, None, Takes::Switch),
    of("online", None, Takes::Switch, &["list_queues", "enable", "disable", "set"]),
    of("offline", None, Takes::Switch, &["list_queues", "enable", "disable", "set"]),
    of("local", None, Takes::Switch, &["list_queues"]),
    of("idempotent", None, Takes::Switch, &["stop"]),
    of("if-empty", Some('e'), Takes::Switch, &["delete_queue", "list"]),
    of("if-unused", Some('u'), Takes::Switch, &["delete_queue"]),
    of("unit", None, Takes::Text, &["status", "check_certificate_expiration"]),
    of("within", None, Takes::Number, &["check_certificate_expiration"]),
    of("pid", Some('P'), Takes::Number, &["wait"]),
    of("wait", None, Takes::Switch, &["shutdown"]),
    of("no-wait", None, Takes::Switch, &["shutdown"]),
    of("user", None, Takes::Text, &["list_user_limits"]),
    of("pre-hashed-password", None, Takes::Switch, &["add_user"]),
    of("description", None, Takes::Text, &["add_vhost"]),
    of("tags", None, Takes::Text, &["add_vhost"]),
    of("default-queue-type", None, Takes::Text, &["add_vhost"]),
    of("global", None, Takes::Switch, &["close_all_connections", "list_vhost_limits", "list_user_limits"]),
    of("per-connection-delay", None, Takes::Number, &["close_all_connections"]),
    of("limit", None, Takes::Number, &["close_all_connections"]),
    of("format", None, Takes::Text, &["export_definitions", "import_definitions"]),
    of("skip-if-unchanged", None, Takes::Switch, &["import_definitions"]),
    of("address", None, Takes::Text, &["check_port_connectivity"]),
    of("minimal", Some('m'), Takes::Switch, &["list"]),
    of("enabled", Some('E'), Takes::Switch, &["list"]),
    of("implicitly-enabled", None, Takes::Switch, &["list"]),
    of("verbose", Some('v'), Takes::Switch, &["list"]),
    of("all", None, Takes::Switch, &["enable", "disable"]),
    of("count", None, Takes::Number, &["get"]),
];

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Formatter {
    /// Tabs between columns; the default of lists.
    Table,
    /// One array of objects.
    Json,
    /// An object a line.
    JsonStream,
    /// Everything quoted, commas between columns.
    Csv,
    /// Boxes.
    PrettyTable,
}

impl Formatter {
    /// Whether it writes a line of column names that can be left out.
    pub(crate) fn has_headers(self) -> bool {
        self == Self::Table
    }
}

/// Where the broker is looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// The data folder, whose control socket is asked.
    pub(crate) data_dir: PathBuf,
    /// The HTTP API, asked instead if it is given.
    pub(crate) url: Option<String>,
    /// The login for the HTTP API.
    pub(crate) username: String,
    /// Its password.
    pub(crate) password: String,
    /// The authorities that an HTTP API over TLS is verified against, PEM; none is the system's.
    pub(crate) cacertfile: Option<PathBuf>,
    /// A certificate to show there, PEM.
    pub(crate) certfile: Option<PathBuf>,
    /// Its private key, PEM.
    pub(crate) keyfile: Option<PathBuf>,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) program: Program,
    pub(crate) command: String,
    pub(crate) words: Vec<String>,
    pub(crate) node: Option<String>,
    pub(crate) quiet: bool,
    pub(crate) silent: bool,
    pub(crate) vhost: String,
    /// As given; `None` is the command's own.
    pub(crate) timeout: Option<Timeout>,
    /// `None` is the command's own.
    pub(crate) formatter: Option<Formatter>,
    pub(crate) headers: bool,
    pub(crate) place: Place,
    pub(crate) help: bool,
    pub(crate) dry_run: bool,
    matches: ArgMatches,
}

/// How long to wait; `None` is for ever.
pub(crate) type Timeout = Option<Duration>;

impl Options {
    /// Whether lines for people that are not the result are wanted.
    pub(crate) fn banner(&self) -> bool {
        !self.quiet
            && !self.silent
            && matches!(self.formatter, None | Some(Formatter::Table | Formatter::PrettyTable))
    }

    /// Whether a switch of the command was given.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.matches.get_one::<bool>(name).copied().unwrap_or_default()
    }

    /// The value of an option of the command.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.matches.get_one::<String>(name).map(String::as_str)
    }

    /// Whether a virtual host was named.
    pub(crate) fn vhost_given(&self) -> bool {
        self.value("vhost").is_some()
    }

    /// A word after the command; empty if there is none.
    pub(crate) fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }

    /// The time to wait, where the command waits for `default` of its own accord.
    pub(crate) fn timeout_or(&self, default: Timeout) -> Timeout {
        self.timeout.unwrap_or(default)
    }
}

/// Reads the command line.
///
/// # Errors
/// The command as far as it is known, and what is wrong.
pub(crate) fn parse(program: Program, given: &[String]) -> Result<Options, (String, Problem)> {
    let matches = parser().try_get_matches_from(given).map_err(|error| {
        let command = first_word(given);
        let wrong = invalid(given, &command);
        let shown = if wrong.is_empty() { error.to_string().trim_end().to_owned() } else { listed(&wrong) };
        (command, Problem::Usage(shown))
    })?;
    let mut words: Vec<String> = matches.get_many::<String>("words").into_iter().flatten().cloned().collect();
    let command = if words.is_empty() { String::new() } else { words.remove(0) };
    let wrong = invalid(given, &command);
    if !wrong.is_empty() {
        return Err((command, Problem::Usage(listed(&wrong))));
    }
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let flag = |name: &str| matches.get_one::<bool>(name).copied().unwrap_or_default();
    let formatter = match text("formatter").as_deref() {
        None => None,
        Some("json") => Some(Formatter::Json),
        Some("json_stream") => Some(Formatter::JsonStream),
        Some("csv") => Some(Formatter::Csv),
        Some("pretty_table") => Some(Formatter::PrettyTable),
        Some("table") => Some(Formatter::Table),
        Some(other) => {
            return Err((command, Problem::Usage(listed(&[("--formatter".to_owned(), other.to_owned())]))));
        }
    };
    let place = Place {
        data_dir: text("data-dir").unwrap_or_default().into(),
        url: text("url").filter(|url| !url.is_empty()),
        username: text("username").unwrap_or_default(),
        password: text("password").unwrap_or_default(),
        cacertfile: text("cacertfile").map(PathBuf::from),
        certfile: text("certfile").map(PathBuf::from),
        keyfile: text("keyfile").map(PathBuf::from),
    };
    Ok(Options {
        program,
        command,
        words,
        node: text("node"),
        quiet: flag("quiet"),
        silent: flag("silent"),
        vhost: text("vhost").unwrap_or_else(|| "/".to_owned()),
        timeout: text("timeout").map(|text| timeout(&text)),
        formatter,
        headers: !flag("no-table-headers") && !flag("silent"),
        place,
        help: flag("help"),
        dry_run: flag("dry-run"),
        matches,
    })
}

/// Seconds; zero is over at once.
fn timeout(text: &str) -> Timeout {
    Some(Duration::from_secs(text.parse::<u64>().unwrap_or_default().min(TIMEOUT_MAX_S)))
}

fn parser() -> Command {
    let words = Arg::new("words").num_args(0..).action(ArgAction::Append).allow_negative_numbers(true);
    let arguments = SWITCHES.iter().map(|switch| {
        let mut arg = Arg::new(switch.name).long(switch.name).overrides_with(switch.name);
        if let Some(short) = switch.short {
            arg = arg.short(short);
        }
        match switch.name {
            "data-dir" => arg = arg.env("LEVERET_DATA_DIR").default_value("leveret-data"),
            "url" => arg = arg.env("LEVERET_URL"),
            "username" => arg = arg.env("LEVERET_USERNAME").default_value("guest"),
            "password" => arg = arg.env("LEVERET_PASSWORD").hide_env_values(true).default_value("guest"),
            "cacertfile" => arg = arg.env("LEVERET_CACERTFILE"),
            "certfile" => arg = arg.env("LEVERET_CERTFILE"),
            "keyfile" => arg = arg.env("LEVERET_KEYFILE"),
            _ => {}
        }
        match switch.takes {
            // It says no already.
            Takes::Switch if switch.name == NO_HEADERS => arg.action(ArgAction::SetTrue),
            Takes::Switch => arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_parser(value_parser!(bool)),
            Takes::Text => arg.num_args(1),
            Takes::Number => arg.num_args(1).allow_negative_numbers(true),
        }
    });
    Command::new("leveretctl")
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(words)
        .args(arguments)
}

/// The options that the command does not take, and those with a value that is none: as given, each with its value.
fn invalid(given: &[String], command: &str) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    let mut words = given.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        let (name, attached) = word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v)));
        let Some(switch) = named(name) else {
            if is_option(word) && !is_cluster_of_switches(word) {
                wrong.push((name.to_owned(), String::new()));
            }
            continue;
        };
        let value = match (switch.takes, attached) {
            (_, Some(value)) => Some(value),
            (Takes::Switch, None) => Some("true"),
            (Takes::Number | Takes::Text, None) => words.next().map(String::as_str),
        };
        let fits = match (switch.takes, value) {
            (_, None) => false,
            (Takes::Switch, Some(_)) if switch.name == NO_HEADERS => attached.is_none(),
            (Takes::Switch, Some(value)) => matches!(value, "true" | "false"),
            (Takes::Number, Some(value)) => value.parse::<u64>().is_ok(),
            (Takes::Text, Some(_)) => true,
        };
        if !fits {
            wrong.push((name.to_owned(), value.unwrap_or_default().to_owned()));
        } else if !switch.of.is_empty() && !switch.of.contains(&command) {
            wrong.push((name.to_owned(), attached.unwrap_or_default().to_owned()));
        }
    }
    wrong
}

fn named(name: &str) -> Option<&'static Switch> {
    let short = |switch: &Switch| {
        switch.short.is_some_and(|short| name.strip_prefix('-').is_some_and(|n| n.chars().eq([short])))
    };
    SWITCHES.iter().find(|switch| name.strip_prefix("--") == Some(switch.name) || short(switch))
}

fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && word.parse::<f64>().is_err()
}

/// `-qs`
fn is_cluster_of_switches(word: &str) -> bool {
    let is_switch = |short: char| SWITCHES.iter().any(|s| s.short == Some(short) && s.takes == Takes::Switch);
    !word.starts_with("--") && word.chars().skip(1).all(is_switch)
}

fn listed(wrong: &[(String, String)]) -> String {
    let lines: Vec<String> = wrong.iter().map(|(name, value)| format!("{name} : {value}")).collect();
    format!("Invalid options for this command:\n{}", lines.join("\n"))
}

/// The command of a line that cannot be read.
fn first_word(given: &[String]) -> String {
    let mut words = given.iter();
    while let Some(word) = words.next() {
        match named(word) {
            Some(switch) if switch.takes != Takes::Switch => {
                words.next();
            }
            _ if is_option(word) => {}
            _ => return word.clone(),
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Options, Problem> {
        let given: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        parse(Program::from_path(None), &given).map_err(|(_, problem)| problem)
    }

    #[test]
    fn options_stand_anywhere_and_the_last_counts() {
        for text in [
            "-q -p v list_queues name --formatter json -t 5 -n rabbit@x",
            "list_queues -p u -q --vhost v name --formatter=json --timeout=5 --longnames",
            "--node x --erlang-cookie c list_queues name -p v -t 5 --formatter json --quiet=true",
        ] {
            let options = read(text).unwrap();
            assert_eq!((options.command.as_str(), options.word(0)), ("list_queues", "name"));
            assert_eq!((options.vhost.as_str(), options.quiet), ("v", true));
            assert_eq!(options.formatter, Some(Formatter::Json));
            assert_eq!(options.timeout, Some(Some(Duration::from_secs(5))));
        }
    }

    #[test]
    fn a_negative_number_is_a_word() {
        assert_eq!(read("set_vm_memory_high_watermark -0.5").unwrap().word(0), "-0.5");
        assert_eq!(read("export_definitions -").unwrap().word(0), "-");
        assert!(read("set_disk_free_limit -x").is_err());
    }

    #[test]
    fn everything_that_is_wrong_is_listed() {
        let cases = [
            ("list_queues --nope=1 -x", "--nope : \n-x : "),
            ("list_users --online -t", "--online : \n-t : "),
            ("list_queues --timeout 1.5 --quiet=maybe", "--timeout : 1.5\n--quiet : maybe"),
            ("list_queues --formatter xml", "--formatter : xml"),
        ];
        for (text, expected) in cases {
            let problem = read(text).unwrap_err();
            assert_eq!(
                problem,
                Problem::Usage(format!("Invalid options for this command:\n{expected}")),
                "{text}"
            );
        }
    }
}
