//! A broker's time of day, set forward or back while it runs; nobody else's clock moves.

use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

/// A small library that is loaded into the broker before all others, and the file that tells it the shift.
#[derive(Debug)]
pub struct ClockShift {
    folder: TempDir,
}

impl ClockShift {
    /// Builds the library; `None` where there is no C compiler.
    ///
    /// # Panics
    /// When the compiler fails.
    #[must_use]
    pub fn build() -> Option<Self> {
        let shift = Self { folder: TempDir::with_prefix("leveret-clock-").expect("a temporary folder") };
        let source = shift.folder.path().join("clock_shift.c");
        fs::write(&source, include_str!("clock_shift.c")).expect("a source file");
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(shift.library()).arg(source);
        let output = command.output().ok()?;
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        shift.set(0);
        Some(shift)
    }

    /// What a broker needs in its environment.
    ///
    /// # Panics
    /// When the temporary folder's path is not text.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        [("LD_PRELOAD", self.library()), ("LEVERET_CLOCK_SHIFT", self.file())]
            .map(|(name, path)| (name.to_owned(), path.to_str().expect("a path as text").to_owned()))
            .to_vec()
    }

    /// Sets the time of day off by so many seconds from now on.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn set(&self, seconds: i64) {
        let new = self.folder.path().join("new");
        fs::write(&new, seconds.to_string()).expect("a file");
        fs::rename(new, self.file()).expect("a file in its place");
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("clock_shift.so")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("shift")
    }
}
