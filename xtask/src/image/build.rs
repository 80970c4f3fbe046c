//! Static binaries, and the image around them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{quiet, said};
use crate::process::{cargo, run, target_dir};
use crate::{Failure, root};

/// What the image is called.
pub(super) const TAG: &str = "localhost/leveret";

/// The musl target of this machine's processor.
const TARGET: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-musl" } else { "x86_64-unknown-linux-musl" };

/// Builds `leveret` and `leveretctl` for musl, stripped, where the Dockerfile's first stage would put them.
pub(super) fn binaries() -> Result<(), Failure> {
    let installed = quiet("rustup", &[], &["target", "list", "--installed"])?;
    if !installed.lines().any(|line| line == TARGET) {
        run(Command::new("rustup").args(["target", "add", TARGET]).current_dir(root()))?;
    }
    let compiler = format!("CC_{}", TARGET.replace('-', "_"));
    run(cargo(&["build", "--quiet", "--release", "--locked", "--target", TARGET])
        .args(["--package", "leveret-server", "--package", "leveret-cli"])
        .env("CARGO_TARGET_DIR", target_dir()?)
        .env(compiler, "musl-gcc"))?;
    let out = target_dir()?.join("image").join("out");
    for folder in ["bin", "home"] {
        fs::create_dir_all(out.join(folder)).map_err(|error| format!("{}: {error}", out.display()))?;
    }
    for name in ["leveret", "leveretctl"] {
        let (from, to) = (target_dir()?.join(TARGET).join("release").join(name), out.join("bin").join(name));
        fs::copy(&from, &to).map_err(|error| format!("{}: {error}", from.display()))?;
        run(Command::new("strip").arg(&to))?;
        said(&format!("{name}: {} bytes", size(&to)?));
    }
    Ok(())
}

fn size(path: &Path) -> Result<u64, Failure> {
    fs::metadata(path).map(|data| data.len()).map_err(|error| format!("{}: {error}", path.display()))
}

/// Builds the image from the Dockerfile, with the folder of binaries in the place of its first stage.
pub(super) fn image() -> Result<(), Failure> {
    let context = format!("build={}", target_dir()?.join("image").display());
    run(Command::new("buildah")
        .args(["--storage-driver", "overlay", "bud", "--quiet", "--isolation", "chroot"])
        // Docker's own format: the other has no health check.
        .args(["--format", "docker", "--build-context", &context])
        .args(["--file", "docker/Dockerfile", "--tag", TAG, "."])
        .current_dir(root()))
}
