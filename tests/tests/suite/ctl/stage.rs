//! Where a scenario plays: a broker, clients of it, and its command line; and what that answered.

use std::{
    fmt,
    io::Write as _,
    net::{SocketAddr, ToSocketAddrs as _},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use leveret_tests::{
    binary,
    broker::{Broker, Options},
    client::Client,
    login::Login,
    wait::{PATIENCE, until},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::normal::Normal;

/// The names that the command line goes by.
const PROGRAMS: [&str; 5] =
    ["rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-plugins", "rabbitmq-queues", "rabbitmq-upgrade"];

/// How Leveret's command line reaches the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    ControlSocket,
    Http,
}

/// What one command answered, without what is volatile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) command: String,
    pub(super) code: i64,
    pub(super) stdout: Vec<String>,
    pub(super) stderr: Vec<String>,
}

impl Answer {
    pub(super) fn to_json(&self) -> Value {
        json!({"command": self.command, "code": self.code, "stdout": self.stdout, "stderr": self.stderr})
    }

    pub(super) fn from_json(value: &Value) -> Self {
        let lines = |key: &str| {
            let lines = value[key].as_array().expect("lines");
            lines.iter().map(|line| line.as_str().expect("a line").to_owned()).collect()
        };
        Self {
            command: value["command"].as_str().expect("a command").to_owned(),
            code: value["code"].as_i64().expect("an exit code"),
            stdout: lines("stdout"),
            stderr: lines("stderr"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.command, self.code)?;
        for line in &self.stdout {
            write!(f, "\n      | {line}")?;
        }
        for line in &self.stderr {
            write!(f, "\n      ! {line}")?;
        }
        Ok(())
    }
}

enum Place {
    Leveret { broker: Box<Broker>, links: TempDir, over: Over },
    RabbitMq { amqp: SocketAddr, program: PathBuf },
}

/// Where a scenario plays.
pub(super) struct Stage {
    place: Place,
    folder: String,
    _folder: Option<TempDir>,
    normal: Normal,
    answers: Vec<Answer>,
}

impl Stage {
    pub(super) fn leveret(over: Over) -> Self {
        let broker = Broker::start_with(Options::config("leveret.node.name = rabbit@localhost\n"));
        let links = TempDir::with_prefix("leveret-ctl-").expect("a temporary folder");
        for name in PROGRAMS {
            symlink(binary::leveretctl(), links.path().join(name)).expect("a link");
        }
        let folder = TempDir::with_prefix("leveret-ctl-files-").expect("a temporary folder");
        let mut normal = Normal::default();
        normal.name("rabbit@localhost", "NODE");
        normal.name(&broker.data_dir().display().to_string(), "DATA_DIR");
        normal.name(&folder.path().display().to_string(), "FOLDER");
        normal.port(broker.amqp().port(), "AMQP");
        normal.port(broker.http().port(), "HTTP");
        Self {
            place: Place::Leveret { broker: Box::new(broker), links, over },
            folder: folder.path().display().to_string(),
            _folder: Some(folder),
            normal,
            answers: Vec::new(),
        }
    }

    /// The node at `LEVERET_GOLDEN_URI`, with nothing in it.
    pub(super) fn rabbitmq() -> Self {
        let uri = std::env::var("LEVERET_GOLDEN_URI").expect("LEVERET_GOLDEN_URI says where RabbitMQ is");
        let place = uri.strip_prefix("amqp://").unwrap_or(&uri);
        let amqp = place.to_socket_addrs().expect("a host and a port").next().expect("an address");
        let program = std::env::var_os("LEVERET_GOLDEN_CTL").expect("LEVERET_GOLDEN_CTL names a program");
        let mut normal = Normal::default();
        normal.name(&format!("rabbit-{}@localhost", amqp.port()), "NODE");
        normal.name("/tmp/leveret-golden", "FOLDER");
        normal.port(amqp.port(), "AMQP");
        normal.port(amqp.port() + 10_000, "HTTP");
        let mut stage = Self {
            place: Place::RabbitMq { amqp, program: program.into() },
            folder: "/tmp/leveret-golden".to_owned(),
            _folder: None,
            normal,
            answers: Vec::new(),
        };
        for command in ["stop_app", "reset", "start_app"] {
            let output = stage.output(&format!("rabbitmqctl {command}"));
            assert!(output.status.success(), "{command}: {output:?}");
        }
        stage
    }

    /// Writes a file into `FOLDER`.
    pub(super) fn write(&self, name: &str, text: &str) {
        let folder = match &self.place {
            Place::Leveret { .. } => self.folder.clone(),
            // The tools may stand in a root folder of their own.
            Place::RabbitMq { .. } => {
                std::env::var("LEVERET_GOLDEN_FOLDER").unwrap_or_else(|_| self.folder.clone())
            }
        };
        std::fs::write(Path::new(&folder).join(name), text).expect("a file");
    }

    fn node(&self) -> &str {
        self.normal.named("NODE")
    }

    pub(super) fn amqp(&self) -> SocketAddr {
        match &self.place {
            Place::Leveret { broker, .. } => broker.amqp(),
            Place::RabbitMq { amqp, .. } => *amqp,
        }
    }

    /// A connection that says who it is; its channel 1 is open. Its port is `CLIENT` from now on.
    pub(super) fn client(&mut self) -> Client {
        let mut client = self.login(&Login::default());
        client.open_channel(1).expect("a channel");
        client
    }

    /// A connection as told; its port is `CLIENT` from now on.
    pub(super) fn login(&mut self, login: &Login) -> Client {
        let client = Client::login_with(self.amqp(), login).expect("a login");
        self.normal.port(client.local_addr().expect("its address").port(), "CLIENT");
        client
    }

    /// Runs a command and keeps its answer. Words are parted by blanks, `'…'` keeps blanks; `< text` at the end is
    /// what the command reads; `FOLDER` is a
    /// folder that it may write to, `NODE` the node's name.
    pub(super) fn run(&mut self, command: &str) {
        let answer = self.answer(command);
        self.answers.push(answer);
    }

    /// Runs a list whose rows have no order, and keeps its answer sorted. The lines that stay at the top are those up
    /// to the first that holds `head`, if there is a head.
    pub(super) fn run_sorted(&mut self, command: &str, head: &str) {
        let mut answer = self.answer(command);
        for line in &mut answer.stdout {
            // The comma of a JSON list stands before every item but the first.
            if let Some(item) = line.strip_prefix(",{") {
                *line = format!("{{{item}");
            }
        }
        let is_head = |line: &String| !head.is_empty() && line.contains(head);
        let top = answer.stdout.iter().position(is_head).map_or(0, |index| index + 1);
        if let Some(rows) = answer.stdout.get_mut(top..) {
            rows.sort();
        }
        self.answers.push(answer);
    }

    /// Runs a command and keeps its exit code and the first lines that it printed, up to `lines` each.
    pub(super) fn run_head(&mut self, command: &str, lines: usize) {
        let mut answer = self.answer(command);
        answer.stdout.truncate(lines);
        answer.stderr.truncate(lines);
        self.answers.push(answer);
    }

    /// Runs a command until it ends with `code`; what it answers is not kept.
    pub(super) fn wait_for(&mut self, command: &str, code: i32) {
        until(command, PATIENCE * 2, || (self.output(command).status.code() == Some(code)).then_some(()));
    }

    /// Runs a command whose answer nobody keeps; gives what it printed.
    pub(super) fn ask(&mut self, command: &str) -> String {
        String::from_utf8_lossy(&self.output(command).stdout).into_owned()
    }

    pub(super) fn answers(self) -> Vec<Answer> {
        self.answers
    }

    fn answer(&mut self, command: &str) -> Answer {
        let output = self.output(command);
        let lines = |bytes: &[u8]| self.normal.lines(&String::from_utf8_lossy(bytes));
        Answer {
            command: self.normal.line(command),
            code: output.status.code().map_or(-1, i64::from),
            stdout: lines(&output.stdout),
            stderr: lines(&output.stderr),
        }
    }

    fn output(&mut self, line: &str) -> Output {
        let (line, input) = line.split_once(" < ").unwrap_or((line, ""));
        let words = words(line);
        let (program, arguments) = words.split_first().expect("a program");
        let mut command = match &self.place {
            Place::RabbitMq { program: runner, .. } => {
                let mut command = Command::new(runner);
                command.arg(program);
                command
            }
            Place::Leveret { broker, links, over } => leveretctl(broker, links.path(), *over, program),
        };
        command.args(
            arguments.iter().map(|word| word.replace("FOLDER", &self.folder).replace("NODE", self.node())),
        );
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command line");
        // A command that reads nothing may be gone already.
        let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
        child.wait_with_output().expect("its output")
    }
}

fn leveretctl(broker: &Broker, links: &Path, over: Over, program: &str) -> Command {
    let mut command = Command::new(links.join(program));
    match over {
        Over::ControlSocket => command.env("LEVERET_DATA_DIR", broker.data_dir()),
        Over::Http => command
            .env("LEVERET_DATA_DIR", "/nonexistent")
            .env("LEVERET_URL", format!("http://{}", broker.http()))
            .env("LEVERET_USERNAME", "guest")
            .env("LEVERET_PASSWORD", "guest"),
    };
    command
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, tail) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').expect("a closing quote"),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = tail.trim_start();
    }
    words
}
