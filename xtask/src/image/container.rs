//! A container of the image, run by podman as a user would run it.

use std::path::PathBuf;

use super::build::TAG;
use super::network::Network;
use super::{quiet, said};
use crate::Failure;

/// What a machine without systemd and without the right to raise limits needs.
const GLOBAL: [&str; 8] = [
    "--runtime",
    "/usr/sbin/runc",
    "--storage-driver",
    "overlay",
    "--cgroup-manager",
    "cgroupfs",
    "--events-backend",
    "none",
];

/// Runs podman; gives its standard output.
pub(super) fn podman(args: &[&str]) -> Result<String, Failure> {
    quiet("podman", &GLOBAL, args)
}

/// The command of the image's health check.
pub(super) fn health_check() -> Result<Vec<String>, Failure> {
    let format = "{{range .HealthCheck.Test}}{{println .}}{{end}}";
    let text = podman(&["image", "inspect", "--format", format, TAG])?;
    let mut words = text.lines().filter(|line| !line.is_empty()).map(str::to_owned);
    match words.next().as_deref() {
        Some("CMD") => Ok(words.collect()),
        other => Err(format!("the image's health check begins with {other:?}, not with CMD")),
    }
}

/// A file of this machine at a path of the container, read-only.
#[derive(Debug, Clone)]
pub(super) struct Mount {
    pub(super) from: PathBuf,
    pub(super) to: String,
}

/// A container with its volume; dropped, both are gone.
pub(super) struct Container {
    name: String,
    volume: String,
    options: Vec<String>,
}

impl Container {
    /// Starts the image with an empty volume for `/var/lib/rabbitmq`.
    pub(super) fn start(hostname: &str, network: &Network, mounts: &[Mount]) -> Result<Self, Failure> {
        let name = format!("leveret-image-{}", std::process::id());
        let mut options: Vec<String> =
            ["--detach", "--read-only", "--cap-drop=all", "--no-healthcheck"].map(str::to_owned).into();
        // The limits of this process: podman's own are higher, and may not be given here.
        options.extend(["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"].map(str::to_owned));
        options.push(format!("--network=ns:{}", network.inside()));
        for Mount { from, to } in mounts {
            options.push(format!("--volume={}:{to}:ro", from.display()));
        }
        let container = Self { volume: format!("{name}-data"), name, options };
        podman(&["volume", "create", &container.volume])?;
        container.run(hostname)?;
        Ok(container)
    }

    fn run(&self, hostname: &str) -> Result<(), Failure> {
        let named = [
            format!("--name={}", self.name),
            format!("--hostname={hostname}"),
            format!("--volume={}:/var/lib/rabbitmq", self.volume),
        ];
        let mut args = vec!["run"];
        args.extend(named.iter().chain(&self.options).map(String::as_str));
        args.push(TAG);
        podman(&args)?;
        said(&format!("started read-only, without capabilities, hostname {hostname}"));
        Ok(())
    }

    /// Another container on the same volume, in place of this one that has ended.
    pub(super) fn again(self, hostname: &str) -> Result<Self, Failure> {
        podman(&["rm", "--force", &self.name])?;
        self.run(hostname)?;
        Ok(self)
    }

    /// Runs a command inside; gives what it printed, and fails when it does.
    pub(super) fn exec(&self, command: &[String]) -> Result<String, Failure> {
        let mut args = vec!["exec", self.name.as_str()];
        args.extend(command.iter().map(String::as_str));
        podman(&args)
    }

    /// The id of its first process, as this machine counts.
    pub(super) fn process(&self) -> Result<String, Failure> {
        Ok(self.state("{{.State.Pid}}")?.trim().to_owned())
    }

    /// Whether it runs.
    pub(super) fn is_running(&self) -> Result<bool, Failure> {
        Ok(self.state("{{.State.Running}}")?.trim() == "true")
    }

    /// Everything it printed.
    pub(super) fn log(&self) -> Result<String, Failure> {
        podman(&["logs", &self.name])
    }

    /// SIGTERM; its exit code must be 0.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        podman(&["stop", "--time", "60", &self.name])?;
        match self.state("{{.State.ExitCode}}")?.trim() {
            "0" => Ok(()),
            code => Err(format!("it ended with {code}\n{}", self.log()?)),
        }
    }

    /// SIGKILL, and waits for the end.
    pub(super) fn kill(&mut self) -> Result<(), Failure> {
        podman(&["kill", &self.name])?;
        podman(&["wait", &self.name])?;
        said("killed with SIGKILL");
        Ok(())
    }

    fn state(&self, format: &str) -> Result<String, Failure> {
        podman(&["inspect", "--format", format, &self.name])
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // What is gone already need not be removed.
        drop(podman(&["rm", "--force", &self.name]));
        drop(podman(&["volume", "rm", "--force", &self.volume]));
    }
}
