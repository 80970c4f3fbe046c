//! The Python of the client suites: a virtual environment in the cache folder, made anew when its list changes.

use std::path::PathBuf;
use std::process::Command;

use crate::broker::cache_folder;
use crate::process::{on_path, run};
use crate::{Failure, root};

const REQUIREMENTS: &str = "interop/pika/requirements.txt";

/// The interpreter with the pinned packages, or `None` when this machine has no Python.
pub(crate) fn interpreter() -> Result<Option<PathBuf>, Failure> {
    if !on_path("python3") {
        return Ok(None);
    }
    let requirements = root().join(REQUIREMENTS);
    let wanted =
        std::fs::read_to_string(&requirements).map_err(|error| format!("{REQUIREMENTS}: {error}"))?;
    let folder = cache_folder()?.join("venv");
    let python = folder.join("bin").join("python");
    let stamp = folder.join("requirements.txt");
    let made = std::fs::read_to_string(&stamp).unwrap_or_default();
    if made == wanted && on_path(&python.to_string_lossy()) {
        return Ok(Some(python));
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .arg("-r")
        .arg(&requirements))?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(Some(python))
}

/// A pytest run in a folder of `interop/`.
pub(crate) fn pytest(python: &PathBuf, folder: &str) -> Command {
    let mut command = Command::new(python);
    command
        .args(["-m", "pytest"])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(root().join("interop").join(folder));
    command
}
