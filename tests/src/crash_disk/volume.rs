//! ext4 on a drive of the crash disk.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::wait::{PATIENCE, until};

use super::{cut::Cut, filesystem::CrashDisk, image::Image};

/// A mounted ext4. Dropping it unmounts it and throws its drive away.
#[derive(Debug)]
pub struct Volume<'d> {
    disk: &'d CrashDisk,
    number: u64,
    folder: TempDir,
}

impl<'d> Volume<'d> {
    /// A new file system of `size` bytes.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn make(disk: &'d CrashDisk, size: u64) -> Self {
        let number = disk.insert(Image::new(size));
        let lazy = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        let mut mkfs = Command::new("mkfs.ext4");
        run(mkfs.args(["-q", "-F", "-b", "4096", "-E", lazy]).arg(disk.path(number)));
        Self::on(disk, number)
    }

    /// The file system on a drive that lost its power; mounting it replays its journal.
    ///
    /// # Panics
    /// When it cannot be mounted.
    #[must_use]
    pub fn of(disk: &'d CrashDisk, image: Image) -> Self {
        Self::on(disk, disk.insert(image))
    }

    fn on(disk: &'d CrashDisk, number: u64) -> Self {
        let folder = TempDir::with_prefix("leveret-volume-").expect("a temporary folder");
        run(Command::new("mount").args(["-o", "loop"]).arg(disk.path(number)).arg(folder.path()));
        Self { disk, number, folder }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The drive that a power cut at this instant leaves.
    #[must_use]
    pub fn cut(&self, cut: Cut) -> Image {
        self.disk.with(self.number, |image| image.cut(cut))
    }

    /// Shows the drive to `look`, between two of its writes.
    pub fn look<T>(&self, look: impl FnOnce(&Image) -> T) -> T {
        self.disk.with(self.number, |image| look(image))
    }

    /// Makes everything durable that was written so far.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn sync(&self) {
        let folder = File::open(self.path()).expect("a mounted volume");
        rustix::fs::syncfs(folder).expect("a sync of the file system");
    }

    /// Calls `watch` with the drive after each write that reaches it, until it says false. It must not touch the
    /// volume, which waits for it.
    pub fn watch(&self, watch: impl FnMut(&Image) -> bool + Send + 'static) {
        self.disk.watch(self.number, Box::new(watch));
    }

    /// Ends [`Self::watch`].
    pub fn unwatch(&self) {
        self.disk.unwatch(self.number);
    }

    /// Lets the next `count` flushes fail: the file system above gets an input/output error.
    pub fn fail_flushes(&self, count: u32) {
        self.disk.with(self.number, |image| image.fail_flushes(count));
    }

    /// Unmounts it and checks the file system; its words when something is wrong with it.
    ///
    /// # Panics
    /// When it is still in use.
    #[must_use]
    pub fn check(self) -> Option<String> {
        self.unmount();
        let found = Command::new("e2fsck").args(["-f", "-n"]).arg(self.disk.path(self.number)).output();
        let found = found.expect("e2fsck starts");
        (!found.status.success()).then(|| words(&found))
    }

    fn unmount(&self) {
        until("the volume is unmounted", PATIENCE, || {
            if !is_mounted(self.path()) {
                return Some(());
            }
            let done = Command::new("umount").arg(self.path()).output();
            done.is_ok_and(|done| done.status.success()).then_some(())
        });
    }
}

impl Drop for Volume<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A second panic would hide the first: what is still in use goes with its last user.
            drop(Command::new("umount").arg("-l").arg(self.path()).output());
            return;
        }
        self.unmount();
        self.disk.remove(self.number);
    }
}

/// Keeps a drive in a file, with holes where it is zero, to be mounted by hand.
///
/// # Panics
/// When it cannot be written.
pub fn keep(image: &Image, path: &Path) {
    let file = File::create(path).expect("a file for a drive");
    file.set_len(image.size()).expect("its length");
    for (offset, bytes) in image.blocks() {
        file.write_all_at(bytes, offset).expect("its blocks");
    }
}

/// Whether something is mounted at `folder`.
fn is_mounted(folder: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("the list of mounts");
    mounts.lines().any(|line| line.split(' ').nth(1).is_some_and(|at| Path::new(at) == folder))
}

fn run(command: &mut Command) {
    let done = command.output().expect("a program of the system");
    assert!(done.status.success(), "{command:?}: {}", words(&done));
}

fn words(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

#[cfg(test)]
mod tests {
    use super::super::cut::Mode;
    use super::*;

    /// The disk, or a word about what is missing for it.
    fn disk() -> Option<CrashDisk> {
        match CrashDisk::mount() {
            Ok(disk) => Some(disk),
            Err(missing) => {
                println_skipped(&missing);
                None
            }
        }
    }

    #[allow(clippy::print_stdout, reason = "what cannot run is named")]
    fn println_skipped(missing: &str) {
        println!("skipped: the crash disk ({missing})");
    }

    #[test]
    fn what_is_synced_survives_and_what_is_not_goes() {
        let Some(disk) = disk() else { return };
        let volume = Volume::make(&disk, 32 << 20);
        let synced = File::create(volume.path().join("synced")).expect("a file");
        synced.write_all_at(b"kept", 0).expect("a write");
        synced.sync_all().expect("a sync");
        File::open(volume.path()).and_then(|folder| folder.sync_all()).expect("a sync");
        std::fs::write(volume.path().join("unsynced"), b"gone").expect("a write");
        drop(synced);
        for mode in Mode::ALL {
            let copy = Volume::of(&disk, volume.cut(Cut { mode, seed: 5 }));
            assert_eq!(std::fs::read(copy.path().join("synced")).expect("it is there"), b"kept");
            assert!(!copy.path().join("unsynced").exists(), "{mode:?}");
            assert_eq!(copy.check(), None, "{mode:?}");
        }
        drop(volume);
    }

    #[test]
    fn a_failed_flush_is_an_error_of_the_sync() {
        let Some(disk) = disk() else { return };
        let volume = Volume::make(&disk, 32 << 20);
        let file = File::create(volume.path().join("file")).expect("a file");
        file.write_all_at(b"one", 0).expect("a write");
        volume.fail_flushes(1);
        let failed = file.sync_all();
        assert!(failed.is_err(), "{failed:?}");
    }

    #[test]
    fn every_write_that_reaches_the_drive_is_seen() {
        let Some(disk) = disk() else { return };
        let volume = Volume::make(&disk, 32 << 20);
        let (sender, receiver) = std::sync::mpsc::channel();
        volume.watch(move |image| sender.send(image.pending_writes()).is_ok());
        let file = File::create(volume.path().join("file")).expect("a file");
        file.write_all_at(&[1; 4096], 0).expect("a write");
        file.sync_all().expect("a sync");
        assert!(receiver.recv_timeout(PATIENCE).is_ok_and(|pending| pending > 0));
        volume.unwatch();
    }
}
