//! Finds the broker's executable, building it once when nobody has.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Names another executable to test; it must take Leveret's command line.
pub const BINARY_ENV: &str = "LEVERET_BIN";

/// The broker to test: `LEVERET_BIN`, else `leveret` of the profile that this test was built in.
///
/// # Panics
/// When it cannot be built.
pub fn leveret() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| match std::env::var_os(BINARY_ENV) {
        Some(path) => PathBuf::from(path),
        None => build(&target_dir(), ("leveret-server", "leveret"), &[]),
    })
}

/// Names another executable of the command line to test.
pub const CTL_BINARY_ENV: &str = "LEVERETCTL_BIN";

/// The command line to test: `LEVERETCTL_BIN`, else `leveretctl` of the profile that this test was built in.
///
/// # Panics
/// When it cannot be built.
pub fn leveretctl() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| match std::env::var_os(CTL_BINARY_ENV) {
        Some(path) => PathBuf::from(path),
        None => build(&target_dir(), ("leveret-cli", "leveretctl"), &[]),
    })
}

/// Builds the broker with `features` in a target folder of its own, so that no other build is replaced by it.
///
/// # Panics
/// When the build fails.
#[must_use]
pub fn leveret_with_features(features: &str) -> PathBuf {
    build(&target_dir().join(features), ("leveret-server", "leveret"), &["--features", features])
}

fn build(target: &Path, (package, binary): (&str, &str), extra: &[&str]) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "-p", package, "--bin", binary])
        .arg("--target-dir")
        .arg(target)
        .args(extra);
    if profile() == "release" {
        command.arg("--release");
    }
    let status = command.status().expect("cargo starts");
    assert!(status.success(), "building {binary} failed: {command:?}");
    target.join(profile()).join(binary)
}

/// `debug` or `release`: the folder this executable was built into.
fn profile() -> String {
    let folder = executable_folder();
    let name = folder.file_name().expect("a profile's folder");
    name.to_string_lossy().into_owned()
}

fn target_dir() -> PathBuf {
    let folder = executable_folder();
    folder.parent().expect("a target folder").to_owned()
}

/// `target/<profile>`, from `target/<profile>/deps/suite-…`.
fn executable_folder() -> PathBuf {
    let executable = std::env::current_exe().expect("a path of this executable");
    let mut folder = executable.parent().expect("a folder").to_owned();
    if folder.ends_with("deps") {
        folder.pop();
    }
    folder
}
