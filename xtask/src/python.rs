//! The Python of the client suites: virtual environments in the cache folder, each made anew when its list changes.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::broker::cache_folder;
use crate::process::{on_path, run};
use crate::{Failure, root};

/// A virtual environment and the lists of what it holds, pinned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Environment {
    /// Its folder in the cache folder.
    pub(crate) name: &'static str,
    /// The files of requirements, from the checkout's top folder.
    pub(crate) requirements: &'static [&'static str],
}

/// The Python packages that our tests need; the clients' own tests have an environment apart.
pub(crate) const OUR_CLIENTS: Environment = Environment {
    name: "venv",
    requirements: &[
        "interop/pika/requirements.txt",
        "interop/aio-pika/requirements.txt",
        "interop/py-amqp/requirements.txt",
        "interop/kombu/requirements.txt",
        "interop/librabbitmq/requirements.txt",
    ],
};

impl Environment {
    /// The interpreter with the pinned packages, or `None` when this machine has no Python.
    pub(crate) fn interpreter(&self) -> Result<Option<PathBuf>, Failure> {
        if !on_path("python3") {
            return Ok(None);
        }
        let mut wanted = String::new();
        for file in self.requirements {
            let text =
                std::fs::read_to_string(root().join(file)).map_err(|error| format!("{file}: {error}"))?;
            wanted.push_str(&text);
        }
        let folder = cache_folder()?.join(self.name);
        let python = folder.join("bin").join("python");
        let stamp = folder.join("requirements.txt");
        let made = std::fs::read_to_string(&stamp).unwrap_or_default();
        if made == wanted && on_path(&python.to_string_lossy()) {
            return Ok(Some(python));
        }
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        for file in self.requirements {
            install.arg("-r").arg(root().join(file));
        }
        run(&mut install)?;
        std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
        Ok(Some(python))
    }
}

/// A pytest run in a folder.
pub(crate) fn pytest(python: &Path, folder: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pytest"]).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(folder);
    command
}
