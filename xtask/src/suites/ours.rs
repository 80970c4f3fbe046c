//! Our own tests of unmodified clients, in `interop/`, one folder a client.

use std::path::PathBuf;
use std::process::Command;

use super::{Ran, Site, certificates, published, reading};
use crate::broker::{Setup, cache_folder};
use crate::process::{cargo, on_path, run, starts, target_dir};
use crate::python::{OUR_CLIENTS, pytest};
use crate::tally::Tally;
use crate::{Failure, root};

pub(super) fn pika(site: &Site) -> Result<Ran, Failure> {
    python("pika", site)
}

pub(super) fn aio_pika(site: &Site) -> Result<Ran, Failure> {
    python("aio-pika", site)
}

pub(super) fn py_amqp(site: &Site) -> Result<Ran, Failure> {
    python("py-amqp", site)
}

pub(super) fn kombu(site: &Site) -> Result<Ran, Failure> {
    python("kombu", site)
}

/// Through the programs of Debian's amqp-tools.
pub(super) fn librabbitmq(site: &Site) -> Result<Ran, Failure> {
    if !starts("amqp-publish", "--help") {
        return Ok(Ran::Missing("amqp-publish (Debian's amqp-tools)"));
    }
    python("librabbitmq", site)
}

fn python(folder: &str, site: &Site) -> Result<Ran, Failure> {
    let Some(python) = OUR_CLIENTS.interpreter()? else {
        return Ok(Ran::Missing("python3"));
    };
    let ended = reading(placed(&mut pytest(&python, &interop(folder)), site)?)?;
    Ok(Ran::Counted(Tally::of_pytest(&ended)))
}

/// A broker that listens for TLS too, and takes the client's certificate for guest's.
pub(super) fn with_tls() -> Result<Setup, Failure> {
    let folder = tls_folder()?;
    certificates::write(&folder, "guest")?;
    let file = |name: &str| folder.join(name);
    let mut setup =
        published::tls(&file("ca_certificate.pem"), &file("server_certificate.pem"), &file("server_key.pem"));
    setup.config.push_str("ssl_cert_login_from = common_name\n");
    for (number, mechanism) in ["PLAIN", "AMQPLAIN", "ANONYMOUS", "EXTERNAL"].iter().enumerate() {
        setup.config.push_str(&format!("auth_mechanisms.{number} = {mechanism}\n"));
    }
    Ok(setup)
}

fn tls_folder() -> Result<PathBuf, Failure> {
    Ok(cache_folder()?.join("tls"))
}

/// The command told where the broker is; on one without TLS the tests of that skip themselves.
fn placed<'c>(command: &'c mut Command, site: &Site) -> Result<&'c mut Command, Failure> {
    command.env("AMQP_URL", &site.url).env_remove("AMQPS_PORT");
    if let Some(port) = site.tls_port {
        command.env("AMQPS_PORT", port.to_string()).env("TLS_FOLDER", tls_folder()?);
    }
    Ok(command)
}

/// On the default port with nothing set: so it is not told the address.
pub(super) fn tutorials(_site: &Site) -> Result<Ran, Failure> {
    let Some(python) = OUR_CLIENTS.interpreter()? else {
        return Ok(Ran::Missing("python3"));
    };
    let ended = reading(pytest(&python, &interop("tutorials")).env_remove("AMQP_URL"))?;
    Ok(Ran::Counted(Tally::of_pytest(&ended)))
}

pub(super) fn lapin(site: &Site) -> Result<Ran, Failure> {
    rust("interop/lapin/Cargo.toml", site)
}

pub(super) fn amqprs(site: &Site) -> Result<Ran, Failure> {
    rust("interop/amqprs/Cargo.toml", site)
}

fn rust(manifest: &str, site: &Site) -> Result<Ran, Failure> {
    let mut command = cargo(&["test", "--quiet", "--locked", "--manifest-path", manifest]);
    command.env("CARGO_TARGET_DIR", target_dir()?);
    Ok(Ran::Counted(Tally::of_cargo(&reading(placed(&mut command, site)?)?)))
}

pub(super) fn amqplib(site: &Site) -> Result<Ran, Failure> {
    node("amqplib", site)
}

pub(super) fn rabbitmq_client(site: &Site) -> Result<Ran, Failure> {
    node("rabbitmq-client", site)
}

/// The packages of the lock file into the folder's `node_modules`, then node's own test runner.
fn node(folder: &str, site: &Site) -> Result<Ran, Failure> {
    if !on_path("node") || !on_path("npm") {
        return Ok(Ran::Missing("node with npm"));
    }
    let folder = interop(folder);
    run(Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    let ended = reading(
        Command::new("npm").args(["test", "--silent"]).current_dir(&folder).env("AMQP_URL", &site.url),
    )?;
    Ok(Ran::Counted(Tally::of_tap(&ended)))
}

pub(super) fn amqp091_go(site: &Site) -> Result<Ran, Failure> {
    if !starts("go", "version") {
        return Ok(Ran::Missing("go"));
    }
    let mut command = Command::new("go");
    command.args(["test", "-count=1", "-v", "./..."]).current_dir(interop("amqp091-go"));
    Ok(Ran::Counted(Tally::of_go(&reading(placed(&mut command, site)?)?)))
}

pub(super) fn java_client(site: &Site) -> Result<Ran, Failure> {
    if !on_path("mvn") || !on_path("java") {
        return Ok(Ran::Missing("java with mvn"));
    }
    let mut command = Command::new("mvn");
    command.args(["--batch-mode", "--no-transfer-progress", "test"]).current_dir(interop("java-client"));
    Ok(Ran::Counted(Tally::of_surefire(&reading(placed(&mut command, site)?)?)))
}

fn interop(folder: &str) -> PathBuf {
    root().join("interop").join(folder)
}
