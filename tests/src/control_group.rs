//! A control group of the memory controller, version 1, with a limit.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::wait::{PATIENCE, until};

const CONTROLLER: &str = "/sys/fs/cgroup/memory";

/// A group of processes that may use so much memory together. It goes when this does, and must be empty by then.
#[derive(Debug)]
pub struct ControlGroup {
    folder: PathBuf,
}

impl ControlGroup {
    /// A new group with a limit in bytes.
    ///
    /// # Errors
    /// Why there can be none on this machine.
    pub fn with_memory(limit: u64) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !Path::new(CONTROLLER).join("memory.limit_in_bytes").exists() {
            return Err("no memory controller of cgroup v1".to_owned());
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(CONTROLLER).join(format!("leveret-test-{}-{number}", std::process::id()));
        let words = |error: io::Error| format!("{}: {error}", folder.display());
        fs::create_dir(&folder).map_err(words)?;
        let group = Self { folder: folder.clone() };
        fs::write(folder.join("memory.limit_in_bytes"), limit.to_string()).map_err(words)?;
        Ok(group)
    }

    /// Where processes are put into it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many of its processes the kernel killed for want of memory.
    ///
    /// # Panics
    /// When the kernel does not count them.
    #[must_use]
    pub fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.folder.join("memory.oom_control")).expect("its counts");
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|count| count.trim().parse().ok()).expect("a count of kills")
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // It may still hold a process, and a second panic would hide the first.
            drop(fs::remove_dir(&self.folder));
        } else {
            until("the control group is empty", PATIENCE, || fs::remove_dir(&self.folder).ok());
        }
    }
}
