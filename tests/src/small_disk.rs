//! A small file system of its own: ext4 in a file, mounted by a loop device. Needs root.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// A mounted file system. Dropping it takes it away.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Why there can be none here, if so.
    #[must_use]
    pub fn missing() -> Option<&'static str> {
        if !rustix::process::geteuid().is_root() {
            return Some("only root may mount");
        }
        if !Path::new("/dev/loop-control").exists() {
            return Some("there are no loop devices");
        }
        let found = |program: &str| {
            let paths = std::env::var_os("PATH").unwrap_or_default();
            let mut folders: Vec<PathBuf> = std::env::split_paths(&paths).collect();
            folders.extend(["/sbin".into(), "/usr/sbin".into()]);
            folders.iter().any(|folder| folder.join(program).exists())
        };
        if !["mkfs.ext4", "mount", "umount"].into_iter().all(found) {
            return Some("mkfs.ext4, mount or umount is not installed");
        }
        None
    }

    /// Makes and mounts a file system on `bytes`, without blocks kept for root.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let disk = Self { folder: TempDir::with_prefix("leveret-disk-").expect("a temporary folder") };
        let image = disk.folder.path().join("image");
        let file = fs::File::create(&image).expect("an image");
        file.set_len(bytes).expect("a sparse image");
        fs::create_dir(disk.path()).expect("a mount point");
        run(Command::new("/sbin/mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(disk.path()));
        disk
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    /// Free octets.
    ///
    /// # Panics
    /// When the file system does not answer.
    #[must_use]
    pub fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(self.path()).expect("a mounted file system");
        found.f_bavail * found.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A broker that was killed a moment ago may hold it still.
        let mut command = Command::new("umount");
        command.arg("--lazy").arg(self.path()).stderr(Stdio::null());
        let _ = command.status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
