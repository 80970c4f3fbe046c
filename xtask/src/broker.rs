//! One broker process for a suite: built here, data in a temporary folder, killed and cleaned up when dropped.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::process::{cargo, run, target_dir};
use crate::suites::Site;
use crate::{Failure, root};

const DEFAULT_PORT: u16 = 5672;
const START_LIMIT: Duration = Duration::from_secs(30);
const LOG_LINES_SHOWN: usize = 150;

/// Where a suite's broker listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    /// 5672, with no address given on the command line: what a user gets.
    Default,
    /// Any free one, on the loopback address.
    Free,
}

/// What a suite's broker needs beyond the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Setup {
    /// Lines of a `rabbitmq.conf`.
    pub(crate) config: String,
    /// Whether it listens for TLS too, on any free port of the loopback address.
    pub(crate) tls: bool,
}

/// A running `leveret`.
#[derive(Debug)]
pub(crate) struct Broker {
    child: Child,
    port: u16,
    tls_port: Option<u16>,
    folder: PathBuf,
}

impl Broker {
    /// Build the broker, and the other programs beside it that black-box tests start.
    pub(crate) fn build() -> Result<(), Failure> {
        run(&mut cargo(&["build", "--quiet", "--workspace", "--bins"]))
    }

    /// Start a built broker and wait until it accepts connections.
    pub(crate) fn start(port: Port, setup: &Setup) -> Result<Self, Failure> {
        let folder = temporary_folder()?;
        let [amqp, http, amqps, prometheus] = free_ports()?;
        let config = folder.join("rabbitmq.conf");
        let tls_port = setup.tls.then_some(amqps);
        let mut lines = format!("{}prometheus.tcp.port = {prometheus}\n", setup.config);
        if let Some(port) = tls_port {
            lines.push_str(&format!("listeners.ssl.default = 127.0.0.1:{port}\n"));
        }
        std::fs::write(&config, lines).map_err(|error| format!("configuration: {error}"))?;
        let log = File::create(folder.join("log")).map_err(|error| format!("log: {error}"))?;
        let errors = log.try_clone().map_err(|error| format!("log: {error}"))?;
        let mut command = Command::new(target_dir()?.join("debug").join("leveret"));
        command
            .args(["--data-dir".as_ref(), folder.join("data").as_os_str()])
            .args(["--config".as_ref(), config.as_os_str()])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let number = match port {
            Port::Default => {
                refuse_taken(DEFAULT_PORT)?;
                DEFAULT_PORT
            }
            Port::Free => {
                command.args(["--amqp", &format!("127.0.0.1:{amqp}")]);
                command.args(["--http", &format!("127.0.0.1:{http}")]);
                command.env("LEVERET_PROMETHEUS", "127.0.0.1:0");
                amqp
            }
        };
        let child = command.spawn().map_err(|error| format!("leveret: {error}"))?;
        let mut broker = Self { child, port: number, tls_port, folder };
        match broker.wait_ready() {
            Ok(()) => Ok(broker),
            Err(failure) => {
                broker.show_log();
                Err(failure)
            }
        }
    }

    /// A folder of its own, with its data in it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Its AMQP port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where clients find it.
    pub(crate) fn site(&self) -> Site {
        Site {
            url: format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port),
            tls_port: self.tls_port,
            data_dir: Some(self.folder.join("data")),
        }
    }

    /// Whether the process is still there; a broker that ended by itself is a failure whatever the suite says.
    pub(crate) fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Print the end of its log.
    pub(crate) fn show_log(&self) {
        let text = std::fs::read(self.folder.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES_SHOWN);
        println!("--- the broker's log, last {LOG_LINES_SHOWN} lines");
        for line in lines.iter().skip(from) {
            println!("{line}");
        }
        println!("--- end of the broker's log");
    }

    fn wait_ready(&mut self) -> Result<(), Failure> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("leveret ended while starting ({status})"));
            }
            if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "leveret does not accept on {address} after {} s",
                    START_LIMIT.as_secs()
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Errors mean that it is gone already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// A clear word when something else owns the default port.
fn refuse_taken(port: u16) -> Result<(), Failure> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
        Ok(_) => Err(format!(
            "port {port} is taken by another program; this suite needs it, so stop that one first"
        )),
        Err(_) => Ok(()),
    }
}

/// Ports that were free just now.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N], Failure> {
    // All are held until all are known, so they differ.
    let held: std::io::Result<Vec<TcpListener>> =
        (0..N).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect();
    let held = held.map_err(|error| format!("a free port: {error}"))?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr().map_err(|error| format!("a free port: {error}"))?.port();
    }
    Ok(ports)
}

pub(crate) fn temporary_folder() -> Result<PathBuf, Failure> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("leveret-xtask-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    create(&folder)?;
    Ok(folder)
}

fn create(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// The folder for what is fetched and built beside cargo's own; ignored by git.
pub(crate) fn cache_folder() -> Result<PathBuf, Failure> {
    let folder = root().join(".cache");
    create(&folder)?;
    Ok(folder)
}
