//! The tests that clients' published packages carry, run as they come. Each is fetched into the cache folder by its
//! registry's ordinary client.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::certificates;
use super::{Ran, Site, reading};
use crate::broker::{Setup, cache_folder};
use crate::process::{cargo, on_path, output, run, starts, target_dir};
use crate::python::{Environment, pytest};
use crate::redis::Redis;
use crate::tally::Tally;
use crate::{Failure, root};

const PYTHON: Environment =
    Environment { name: "venv-published", requirements: &["interop/published/requirements.txt"] };

/// lapin's tests as published: the crate's source copied out of cargo's registry into the cache folder.
pub(super) fn lapin(site: &Site) -> Result<Ran, Failure> {
    let folder = crate_copy("lapin", "interop/lapin/Cargo.toml")?;
    let mut command = cargo(&["test", "--features", "smol", "--", "--test-threads=1"]);
    command.current_dir(&folder).env("AMQP_ADDR", &site.url).env("CARGO_TARGET_DIR", target_dir()?);
    Ok(Ran::Counted(Tally::of_cargo(&reading(&mut command)?)))
}

/// They log in as this user, on the default port.
pub(super) fn amqprs_login() -> Result<Setup, Failure> {
    Ok(Setup { config: "default_user = user\ndefault_pass = bitnami\n".to_owned(), tls: false })
}

pub(super) fn amqprs(_site: &Site) -> Result<Ran, Failure> {
    let folder = crate_copy("amqprs", "interop/amqprs/Cargo.toml")?;
    // One test wants the demonstration login RABBIT-CR-DEMO, which RabbitMQ 4.0.5 does not offer either.
    let skipped = "net::split_connection::test::test_open_amqp_connection";
    let mut command = cargo(&["test", "--no-fail-fast", "--", "--test-threads=1", "--skip", skipped]);
    command.current_dir(&folder).env("CARGO_TARGET_DIR", target_dir()?);
    Ok(Ran::Counted(Tally::of_cargo(&reading(&mut command)?)))
}

/// A copy of a crate's source, which cargo has unpacked for the package at `manifest`.
fn crate_copy(name: &str, manifest: &str) -> Result<PathBuf, Failure> {
    let folder = cache_folder()?.join(format!("{name}-own"));
    if !folder.join("Cargo.toml").exists() {
        run(Command::new("cp").arg("-r").arg(crate_source(name, manifest)?).arg(&folder))?;
    }
    Ok(folder)
}

/// Where cargo has unpacked the crate that a package is locked to; fetched when it is not there yet.
fn crate_source(name: &str, manifest: &str) -> Result<String, Failure> {
    let metadata =
        output(&mut cargo(&["metadata", "--locked", "--format-version=1", "--manifest-path", manifest]))?;
    // "manifest_path":"<registry>/lapin-4.12.3/Cargo.toml"; no JSON reader is worth this one value.
    metadata
        .split("\"manifest_path\":\"")
        .skip(1)
        .filter_map(|rest| rest.split_once("/Cargo.toml\""))
        .map(|(folder, _)| folder)
        .find(|folder| {
            let base = folder.rsplit('/').next().unwrap_or_default();
            base.strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('-'))
                .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
        })
        .map(str::to_owned)
        .ok_or_else(|| format!("cargo metadata names no {name}"))
}

/// The module's source copied out of Go's module cache, which is read-only.
pub(super) fn amqp091_go(site: &Site) -> Result<Ran, Failure> {
    if !starts("go", "version") {
        return Ok(Ran::Missing("go"));
    }
    let folder = cache_folder()?.join("amqp091-go-own");
    if !folder.join("go.mod").exists() {
        let module = "github.com/rabbitmq/amqp091-go";
        let list = ["list", "-m", "-f", "{{.Dir}}", module];
        let ours = root().join("interop/amqp091-go");
        run(Command::new("go").args(["mod", "download", module]).current_dir(&ours))?;
        let source = output(Command::new("go").args(list).current_dir(&ours))?;
        run(Command::new("cp").args(["-r", "--no-preserve=mode"]).arg(source.trim()).arg(&folder))?;
    }
    let mut command = Command::new("go");
    command.args(["test", "-count=1", "-v", "-tags", "integration", "."]).current_dir(&folder);
    if let Some(data_dir) = &site.data_dir {
        // One test raises the memory alarm by rabbitmqctl.
        let ctl = target_dir()?.join("debug").join("leveretctl");
        command.env("RABBITMQ_RABBITMQCTL_PATH", ctl).env("LEVERET_DATA_DIR", data_dir);
    }
    Ok(Ran::Counted(Tally::of_go(&reading(command.env("AMQP_URL", &site.url))?)))
}

/// The certificates that aiormq's tests carry; aio-pika's take any.
pub(super) fn aiormq_tls() -> Result<Setup, Failure> {
    if !on_path("python3") {
        return Ok(Setup::default());
    }
    let certs = source("aiormq", "7.2.4")?.join("tests/certs");
    Ok(tls(&certs.join("ca.pem"), &certs.join("server.pem"), &certs.join("server.key")))
}

pub(super) fn aio_pika(site: &Site) -> Result<Ran, Failure> {
    // The first two race within the client, and fail as often on RabbitMQ 4.0.5; the others stop and start a container.
    let left_out = [
        "tests/test_memory_leak.py::test_leak_unclosed_channel",
        "tests/test_reconnect_channel_snapshot.py::test_create_channels_during_reconnect",
        "tests/test_robust_recovery.py::test_restore_topology_and_consumers",
        "tests/test_robust_recovery.py::test_pool_consumer_survives_broker_restart",
    ];
    with_stand_in("aio_pika", "10.2.1", &left_out, site)
}

pub(super) fn aiormq(site: &Site) -> Result<Ran, Failure> {
    // Both race within the client, and fail as often on RabbitMQ 4.0.5.
    let racing = [
        "tests/test_connection.py::test_closing_waiter_cancellation",
        "tests/test_connection_futures.py::test_connection_close_during_publish_drain",
    ];
    with_stand_in("aiormq", "7.2.4", &racing, site)
}

/// Both start RabbitMQ in Docker; a plugin of ours gives them the running broker in its stead.
fn with_stand_in(package: &str, version: &str, left_out: &[&str], site: &Site) -> Result<Ran, Failure> {
    let Some(python) = PYTHON.interpreter()? else {
        return Ok(Ran::Missing("python3"));
    };
    let Some(tls_port) = site.tls_port else {
        return Ok(Ran::Missing("port for TLS"));
    };
    let (host, port) = site.host_and_port()?;
    let mut command = pytest(&python, &source(package, version)?);
    command
        .args(["-q", "-p", "leveret_stand_in", "-o", "log_cli=false", "tests"])
        .env("PYTHONPATH", root().join("interop/published"))
        .env("LEVERET_HOST", host)
        .env("LEVERET_AMQP_PORT", port)
        .env("LEVERET_AMQPS_PORT", tls_port.to_string());
    for test in left_out {
        command.args(["--deselect", test]);
    }
    Ok(Ran::Counted(Tally::of_pytest(&reading(&mut command)?)))
}

/// Its published tests name certificates that the package does not hold.
pub(super) fn py_amqp_tls() -> Result<Setup, Failure> {
    if !on_path("python3") {
        return Ok(Setup::default());
    }
    let certs = source("amqp", "5.4.2")?.join("t/certs");
    certificates::write(&certs, "guest")?;
    let file = |name: &str| certs.join(name);
    Ok(tls(&file("ca_certificate.pem"), &file("server_certificate.pem"), &file("server_key.pem")))
}

pub(super) fn py_amqp(site: &Site) -> Result<Ran, Failure> {
    let Some(python) = PYTHON.interpreter()? else {
        return Ok(Ran::Missing("python3"));
    };
    let Some(tls_port) = site.tls_port else {
        return Ok(Ran::Missing("port for TLS"));
    };
    let (_, port) = site.host_and_port()?;
    let mut command = pytest(&python, &source("amqp", "5.4.2")?);
    // Three are left out: two reach for a site on the internet, one for a broken certificate that is not published.
    command
        .args(["-q", "-p", "no:rerunfailures", "t/integration"])
        .args(["--deselect", "t/integration/test_rmq.py::test_tls_connect_fails"])
        .args(["--deselect", "t/integration/test_rmq.py::test_tls_default_certs"])
        .args(["--deselect", "t/integration/test_rmq.py::test_tls_no_default_certs_fails"])
        .env("RABBITMQ_HOST", "localhost")
        .env("RABBITMQ_5672_TCP", port)
        .env("RABBITMQ_5671_TCP", tls_port.to_string());
    Ok(Ran::Counted(Tally::of_pytest(&reading(&mut command)?)))
}

pub(super) fn kombu(site: &Site) -> Result<Ran, Failure> {
    let Some(python) = PYTHON.interpreter()? else {
        return Ok(Ran::Missing("python3"));
    };
    let (host, port) = site.host_and_port()?;
    let mut command = pytest(&python, &source("kombu", "5.7.0")?);
    command
        .args(["-q", "t/integration/test_py_amqp.py"])
        .env("RABBITMQ_HOST", host)
        .env("RABBITMQ_5672_TCP", port);
    Ok(Ran::Counted(Tally::of_pytest(&reading(&mut command)?)))
}

/// Tasks through the broker, results through a redis of its own.
pub(super) fn celery(site: &Site) -> Result<Ran, Failure> {
    let Some(python) = PYTHON.interpreter()? else {
        return Ok(Ran::Missing("python3"));
    };
    if !on_path("redis-server") {
        return Ok(Ran::Missing("redis-server"));
    }
    let redis = Redis::start()?;
    let mut command = pytest(&python, &source("celery", "5.7.0")?);
    command
        .args(["-q", "t/integration/test_tasks.py", "t/integration/test_inspect.py"])
        // What its worker logs does not reach these two; they fail in the same way on RabbitMQ 4.0.5.
        .args(["--deselect", "t/integration/test_tasks.py::test_trace_log_arguments::test_task_success"])
        .args(["--deselect", "t/integration/test_tasks.py::test_trace_log_arguments::test_task_failed"])
        // Clears its flag only after it has sent the task whose arrival sets it.
        .args([
            "--deselect",
            "t/integration/test_tasks.py::test_task_replacement::test_replaced_task_nesting_level_0",
        ])
        .env("TEST_BROKER", site.url.replace("amqp://", "pyamqp://").replace("/%2f", "//"))
        .env("TEST_BACKEND", redis.url())
        // Some tests look into redis themselves.
        .env("REDIS_HOST", "127.0.0.1")
        .env("REDIS_PORT", redis.port().to_string());
    Ok(Ran::Counted(Tally::of_pytest(&reading(&mut command)?)))
}

/// The unpacked source distribution of a Python package.
fn source(package: &str, version: &str) -> Result<PathBuf, Failure> {
    let cache = cache_folder()?;
    let folder = cache.join(format!("{package}-{version}"));
    if folder.join("PKG-INFO").exists() {
        return Ok(folder);
    }
    let python = PYTHON.interpreter()?.ok_or("no python3")?;
    run(Command::new(python)
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--no-binary", package, "--dest"])
        .arg(&cache)
        .arg(format!("{package}=={version}")))?;
    let archive = cache.join(format!("{package}-{version}.tar.gz"));
    run(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&cache))?;
    Ok(folder)
}

/// A broker that verifies clients' certificates and requires none.
pub(super) fn tls(ca: &Path, certificate: &Path, key: &Path) -> Setup {
    let config = format!(
        "ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
         ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = false\n",
        ca.display(),
        certificate.display(),
        key.display()
    );
    Setup { config, tls: true }
}
