//! `image`: builds the container image without a Docker engine, runs it as users do, and prints what it saw.
//!
//! Binaries are built here for musl and stand in for the Dockerfile's first stage, so that no base image is needed.
//! buildah builds, podman with runc runs it: read-only, not as root, in a network namespace of its own.

mod build;
mod container;
mod network;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{output, run, target_dir};
use crate::{Failure, python, root};
use container::{Container, Mount};
use network::Network;

/// The largest image, in bytes.
const SIZE_LIMIT_BYTES: u64 = 25_000_000;
const START_LIMIT: Duration = Duration::from_secs(60);
/// What a RabbitMQ 4.0.5 exported.
const DEFINITIONS: &str = "tests/golden/definitions/cluster.json";
const CLIENT: &str = "docker/check.py";

/// Programs this needs, and the Debian package that has each.
const TOOLS: [(&str, &str); 6] = [
    ("buildah", "buildah"),
    ("podman", "podman"),
    ("runc", "runc"),
    ("ip", "iproute2"),
    ("musl-gcc", "musl-tools"),
    ("strip", "binutils"),
];

/// Build and check; the words `build` or `check` ask for one of them only.
pub(crate) fn run_steps(args: &[String]) -> Result<(), Failure> {
    let (build, check) = match args {
        [] => (true, true),
        [only] if only == "build" => (true, false),
        [only] if only == "check" => (false, true),
        _ => return Err("usage: image [build|check]".to_owned()),
    };
    let missing: Vec<String> = TOOLS
        .iter()
        .filter(|(program, _)| !is_installed(program))
        .map(|(program, package)| format!("{program} (apt-get install {package})"))
        .collect();
    if !missing.is_empty() {
        return Err(format!("not installed: {}", missing.join(", ")));
    }
    if build {
        build::binaries()?;
        build::image()?;
    }
    if check {
        check_image()?;
    }
    Ok(())
}

/// Whether a program of this name is there; not all of them can be asked for their version.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn check_image() -> Result<(), Failure> {
    check_size()?;
    let python = python::OUR_CLIENTS.interpreter()?.ok_or("python3 is not installed")?;
    let network = Network::create()?;
    let settings = Settings::write()?;
    let mut container = Container::start("one", &network, &settings.mounts())?;
    wait_healthy(&container)?;
    check_confinement(&container)?;
    let client = |step: &str| client(&python, &network, step);
    client("definitions")?;
    client("publish")?;
    check_tools(&container)?;
    container.stop()?;
    said("SIGTERM ended it with exit code 0");
    let mut container = container.again("another-name")?;
    wait_healthy(&container)?;
    client("consume")?;
    client("definitions")?;
    client("publish")?;
    container.kill()?;
    let mut container = container.again("third-name")?;
    wait_healthy(&container)?;
    client("consume")?;
    container.stop()?;
    drop(container);
    let plain = Container::start("plain", &network, &[])?;
    wait_healthy(&plain)?;
    client("guest")?;
    println!("\nimage: everything was as it should be");
    Ok(())
}

fn said(what: &str) {
    println!("image: {what}");
}

fn check_size() -> Result<(), Failure> {
    let text = container::podman(&["image", "inspect", "--format", "{{.Size}}", build::TAG])?;
    let size: u64 = text.trim().parse().map_err(|error| format!("size {text:?}: {error}"))?;
    said(&format!("{size} bytes, the limit is {SIZE_LIMIT_BYTES}"));
    if size > SIZE_LIMIT_BYTES { Err("the image is too large".to_owned()) } else { Ok(()) }
}

/// Waits until the health check of the image itself, run inside the container, exits with 0.
fn wait_healthy(container: &Container) -> Result<(), Failure> {
    let command = container::health_check()?;
    let deadline = Instant::now() + START_LIMIT;
    loop {
        match container.exec(&command) {
            Ok(answer) => {
                said(&format!("`{}` exits with 0 and says {:?}", command.join(" "), answer.trim()));
                return Ok(());
            }
            Err(failure) if Instant::now() > deadline || !container.is_running()? => {
                return Err(format!("{failure}\n{}", container.log()?));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// What the kernel says of the process, not what was asked for.
fn check_confinement(container: &Container) -> Result<(), Failure> {
    let folder = PathBuf::from("/proc").join(container.process()?);
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name)).map_err(|error| format!("{name} of the process: {error}"))
    };
    let status = read("status")?;
    let ids = status.lines().find(|line| line.starts_with("Uid:")).unwrap_or_default();
    if ids.split_whitespace().skip(1).any(|id| id != "999") {
        return Err(format!("it runs as {ids}"));
    }
    let mounts = read("mountinfo")?;
    // 91 57 0:40 / / ro,relatime - overlay …
    let is_root = |line: &&str| line.split(' ').nth(4) == Some("/");
    let options = mounts.lines().find(is_root).and_then(|line| line.split(' ').nth(5)).unwrap_or_default();
    if !options.split(',').any(|option| option == "ro") {
        return Err(format!("its root is mounted {options}"));
    }
    said(&format!("the process has {} and its root is mounted {options}", ids.replace('\t', " ")));
    Ok(())
}

/// The names of RabbitMQ's tools answer.
fn check_tools(container: &Container) -> Result<(), Failure> {
    for words in [
        &["rabbitmqctl", "-q", "status"][..],
        &["rabbitmqctl", "-q", "list_queues", "-p", "shop", "name", "messages"],
        &["leveretctl", "-q", "list_users"],
        &["rabbitmq-diagnostics", "-q", "check_running"],
    ] {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        container.exec(&words)?;
        said(&format!("`{}` exits with 0", words.join(" ")));
    }
    Ok(())
}

/// One step of the client, from the other namespace.
fn client(python: &Path, network: &Network, step: &str) -> Result<(), Failure> {
    let mut command = network.outside();
    command.arg(python).arg(root().join(CLIENT)).args([step, network.broker_address()]);
    command.arg(root().join(DEFINITIONS)).env("PYTHONDONTWRITEBYTECODE", "1");
    run(&mut command)
}

/// Files that are mounted into the container.
struct Settings {
    folder: PathBuf,
}

impl Settings {
    fn write() -> Result<Self, Failure> {
        let folder = target_dir()?.join("image").join("etc");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).map_err(|error| format!("{name}: {error}"))
        };
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        write("rabbitmq.conf", "load_definitions = /etc/rabbitmq/definitions.json\n")?;
        let text = std::fs::read_to_string(root().join(DEFINITIONS))
            .map_err(|error| format!("{DEFINITIONS}: {error}"))?;
        write("definitions.json", &text)?;
        Ok(Self { folder })
    }

    fn mounts(&self) -> Vec<Mount> {
        ["rabbitmq.conf", "definitions.json"]
            .iter()
            .map(|name| Mount { from: self.folder.join(name), to: format!("/etc/rabbitmq/{name}") })
            .collect()
    }
}

/// A command's standard output; for `buildah` and `podman`, which talk on standard error when all is well.
fn quiet(program: &str, global: &[&str], args: &[&str]) -> Result<String, Failure> {
    output(Command::new(program).args(global).args(args).current_dir(root()))
}
