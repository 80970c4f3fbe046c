//! A broker that a measurement starts for itself.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::{Client, Target};
use crate::error::PerfError;

/// Names the file for the counting build's report.
const REPORT_VARIABLE: &str = "LEVERET_COUNT_ALLOCATIONS";

/// How old a report may be.
const REPORT_AGE: Duration = Duration::from_millis(300);

/// How long the broker may take to start.
const START: Duration = Duration::from_secs(20);

/// A broker of our own, in a folder of its own. Both end with this value.
#[derive(Debug)]
pub struct Broker {
    process: Child,
    target: Target,
    folder: tempfile::TempDir,
}

impl Broker {
    /// Starts `program` in `folder` with these lines of rabbitmq.conf, and waits until it answers.
    ///
    /// # Errors
    /// If it does not run, or ends, or does not answer within 20 s.
    pub fn start(program: &Path, folder: tempfile::TempDir, settings: &str) -> Result<Self, PerfError> {
        let (amqp, http) = (free_port()?, free_port()?);
        let (config, said) = (folder.path().join("rabbitmq.conf"), folder.path().join("said"));
        fs::write(&config, settings)?;
        let process = Command::new(program)
            .arg("--config")
            .arg(config)
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .args(["--amqp", &format!("127.0.0.1:{amqp}"), "--http", &format!("127.0.0.1:{http}")])
            .env(REPORT_VARIABLE, report_in(&folder))
            .env("LEVERET_PROMETHEUS", "127.0.0.1:0")
            .env("LEVERET_LOG", "warn,leveret_server::log=info")
            .stdin(Stdio::null())
            .stdout(File::create(said)?)
            .spawn()
            .map_err(|source| PerfError::Program { program: program.to_owned(), source })?;
        let target = Target::parse(&format!("amqp://guest:guest@127.0.0.1:{amqp}/%2f"))?;
        let mut broker = Self { process, target, folder };
        let end = Instant::now() + START;
        while let Err(error) = broker.target.connect("leveret-perf").and_then(Client::close) {
            if Instant::now() >= end || broker.process.try_wait()?.is_some() {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(broker)
    }

    /// Where it listens.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its folder: `data` in it is the data directory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The counting build's newest report; `None` from any other build.
    pub(crate) fn allocations(&self) -> Option<u64> {
        std::thread::sleep(REPORT_AGE);
        let report = report_in(&self.folder);
        // A report that is just being written reads as nothing.
        (0..10).find_map(|_| {
            let text = fs::read_to_string(&report).ok()?;
            text.trim().parse().ok()
        })
    }

    /// Asks it to stop, waits for its end, and gives what it logged.
    ///
    /// # Errors
    /// If it cannot be asked or waited for.
    pub fn stop(&mut self) -> Result<String, PerfError> {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).map_err(std::io::Error::from)?;
        }
        self.process.wait()?;
        Ok(fs::read_to_string(self.folder.path().join("said"))?)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // After a clean stop there is nothing left to kill.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn report_in(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("allocations")
}

/// A port that nobody uses now.
fn free_port() -> Result<u16, PerfError> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
