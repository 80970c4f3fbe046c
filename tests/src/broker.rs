//! A broker process under test: start, wait, stop, kill, start again on the same data.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use tempfile::TempDir;

use crate::{
    binary,
    client::Client,
    process,
    wait::{PATIENCE, until},
};

/// Lines for the configuration of every broker, from whoever runs the tests: `leveret.hot_window = 0` runs them with
/// every message read from the disk.
const MORE_CONFIG: &str = "LEVERET_TEST_CONFIG";

/// How to start a broker.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Lines of a configuration file; no file is given when empty.
    pub config: String,
    /// Environment variables to set.
    pub environment: Vec<(String, String)>,
    /// Another executable than the usual one.
    pub binary: Option<PathBuf>,
    /// Open file descriptors that the process may have at most; the system's limit when `None`.
    pub descriptors: Option<u64>,
    /// Where its data lies, kept when the broker goes; a temporary folder when `None`.
    pub data_dir: Option<PathBuf>,
    /// The folder of a control group that the process is to run in.
    pub control_group: Option<PathBuf>,
    /// A program and its first arguments, which starts the broker in its own process (a tracer does, or a shell);
    /// nothing when empty.
    pub starter: Vec<String>,
}

impl Options {
    /// Default options with a configuration file.
    #[must_use]
    pub fn config(lines: &str) -> Self {
        Self { config: lines.to_owned(), ..Self::default() }
    }
}

/// A running or stopped broker and its data folder. Dropping it kills the process and removes the folder.
#[derive(Debug)]
pub struct Broker {
    child: Option<Child>,
    folder: TempDir,
    options: Options,
    amqp: SocketAddr,
    http: SocketAddr,
    prometheus: SocketAddr,
}

impl Broker {
    /// Starts a broker on an empty data folder and waits until AMQP answers.
    ///
    /// # Panics
    /// When it does not come up; the text ends with its log.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    /// Starts a broker with `options` on an empty data folder and waits until AMQP answers.
    ///
    /// # Panics
    /// When it does not come up; the text ends with its log.
    #[must_use]
    pub fn start_with(options: Options) -> Self {
        let mut broker = Self::prepare(options);
        broker.launch();
        broker.wait_ready();
        broker
    }

    /// A broker that is not started yet.
    ///
    /// # Panics
    /// When there is no place for its data.
    #[must_use]
    pub fn prepare(options: Options) -> Self {
        Self {
            child: None,
            folder: TempDir::with_prefix("leveret-test-").expect("a temporary folder"),
            options,
            amqp: local(process::free_port()),
            http: local(process::free_port()),
            prometheus: local(process::free_port()),
        }
    }

    /// Starts the process and waits for nothing.
    ///
    /// # Panics
    /// When it cannot be started, or already runs.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "the broker already runs");
        self.child = Some(self.command(&self.data_dir(), self.amqp, self.http).spawn().expect("the broker"));
    }

    /// Waits until AMQP answers with `connection.start`.
    ///
    /// # Panics
    /// When the process ends or the time is over; the text ends with its log.
    pub fn wait_ready(&mut self) {
        if let Err(status) = self.try_ready() {
            panic!("the broker ended with {status}\n{}", self.log_tail());
        }
    }

    /// Waits until AMQP answers with `connection.start`.
    ///
    /// # Errors
    /// How the process ended, when it did.
    ///
    /// # Panics
    /// When the time is over.
    pub fn try_ready(&mut self) -> Result<(), ExitStatus> {
        let address = self.amqp;
        until("the broker answers AMQP", PATIENCE * 2, || match self.try_exit() {
            Some(status) => Some(Err(status)),
            None => Client::start(address).ok().map(|_| Ok(())),
        })
    }

    /// Runs a second process on ports of its own with `data_dir` as its data, to its end; gives what it printed too.
    ///
    /// # Panics
    /// When it cannot be started, or does not end.
    #[must_use]
    pub fn run_another(&self, data_dir: &Path) -> (ExitStatus, String) {
        let log = self.folder.path().join("another.log");
        // Ports of its own: it must fail for its data folder and for nothing else.
        let mut command = self.command(data_dir, local(process::free_port()), local(process::free_port()));
        let file = File::create(&log).expect("a log file");
        command.stderr(file.try_clone().expect("the same file")).env("LEVERET_PROMETHEUS", "127.0.0.1:0");
        let mut child = command.stdout(file).spawn().expect("the broker");
        let status = until("the other broker ends", PATIENCE, || child.try_wait().expect("its status"));
        (status, fs::read_to_string(&log).unwrap_or_default())
    }

    fn command(&self, data_dir: &Path, amqp: SocketAddr, http: SocketAddr) -> Command {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).expect("a log file");
        let binary = self.options.binary.as_deref().unwrap_or_else(|| binary::leveret());
        let mut first = String::new();
        if let Some(limit) = self.options.descriptors {
            first.push_str(&format!("ulimit -n {limit} && "));
        }
        if let Some(group) = &self.options.control_group {
            first.push_str(&format!("echo $$ > '{}/cgroup.procs' && ", group.display()));
        }
        // The shell becomes the broker, so the process id stays.
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{first}exec \"$0\" \"$@\"")).args(&self.options.starter).arg(binary);
        if first.is_empty() {
            let mut words = self.options.starter.iter().map(OsStr::new).chain([binary.as_os_str()]);
            command = Command::new(words.next().expect("the broker at least"));
            command.args(words);
        }
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("the same file"))
            .stdout(log)
            .env_remove("LEVERET_DATA_DIR")
            .env("LEVERET_PROMETHEUS", self.prometheus.to_string())
            .envs(self.options.environment.iter().cloned())
            .arg("--data-dir")
            .arg(data_dir)
            .args(["--amqp", &amqp.to_string()])
            .args(["--http", &http.to_string()]);
        let more = std::env::var(MORE_CONFIG).unwrap_or_default();
        if !(self.options.config.is_empty() && more.is_empty()) {
            let path = self.folder.path().join("rabbitmq.conf");
            fs::write(&path, format!("{}\n{more}\n", self.options.config)).expect("a configuration file");
            command.arg("--config").arg(path);
        }
        command
    }

    /// The AMQP listener.
    #[must_use]
    pub fn amqp(&self) -> SocketAddr {
        self.amqp
    }

    /// The HTTP listener.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The listener for Prometheus.
    #[must_use]
    pub fn prometheus(&self) -> SocketAddr {
        self.prometheus
    }

    /// The data folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.options.data_dir.clone().unwrap_or_else(|| self.folder.path().join("data"))
    }

    /// The configuration file's path, whether it is used or not.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("rabbitmq.conf")
    }

    /// Changes the options for the next launch.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// The process id.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running broker").id()
    }

    /// Whether the process still runs.
    #[must_use]
    pub fn is_alive(&mut self) -> bool {
        self.child.is_some() && self.try_exit().is_none()
    }

    fn try_exit(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().expect("the status of a child"))
    }

    /// Waits for the process to end by itself.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let status = until("the broker ends", PATIENCE, || self.try_exit());
        self.child = None;
        status
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(&mut self) -> ExitStatus {
        process::terminate(self.pid());
        self.wait_exit()
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("a running broker");
        child.kill().expect("a signal");
        child.wait().expect("the end of a killed process");
    }

    /// Starts the process again on the same data and the same ports.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        self.launch();
        self.wait_ready();
    }

    /// The path of everything it printed.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.folder.path().join("broker.log")
    }

    /// Everything it printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Its last lines.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(30);
        lines[from..].join("\n")
    }

    /// A logged-in connection.
    ///
    /// # Panics
    /// When the broker refuses.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::login(self.amqp).expect("a login")
    }

    /// A logged-in connection with channel 1 open.
    ///
    /// # Panics
    /// When the broker refuses.
    #[must_use]
    pub fn channel(&self) -> Client {
        let mut client = self.client();
        client.open_channel(1).expect("a channel");
        client
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
        if std::thread::panicking() {
            let tail = self.log_tail();
            if !tail.is_empty() {
                println_log(&tail);
            }
        }
    }
}

#[allow(clippy::print_stdout, reason = "a failing test shows the broker's last lines")]
fn println_log(tail: &str) {
    println!("--- the broker's log ends with:\n{tail}\n---");
}
