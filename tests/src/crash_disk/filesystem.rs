//! The FUSE file system whose files are drives.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, UNIX_EPOCH},
};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyWrite,
    Request, TimeOrNow, WriteFlags,
};
use tempfile::TempDir;

use crate::wait::{PATIENCE, until};

use super::image::Image;

/// What a drive's file is called: its number with this behind it.
const SUFFIX: &str = ".img";
/// The folder; drives are numbered from there on.
const ROOT: u64 = INodeNo::ROOT.0;
/// Attributes never change.
const FOREVER: Duration = Duration::from_secs(3600);

/// What is missing for a crash disk on this machine, in words; `None` when nothing is.
#[must_use]
pub fn why_not() -> Option<String> {
    if fs::metadata("/proc/self").is_ok_and(|own| own.uid() != 0) {
        return Some("not root".to_owned());
    }
    let devices = ["/dev/fuse", "/dev/loop-control"];
    if let Some(missing) = devices.into_iter().find(|path| !Path::new(path).exists()) {
        return Some(format!("no {missing}"));
    }
    let programs = ["mkfs.ext4", "e2fsck", "mount", "umount"];
    // `mount --version` and `mkfs.ext4 -V` differ; whether one can be started at all is what counts.
    let starts = |program: &&str| Command::new(program).arg("-V").output().is_ok();
    programs.into_iter().find(|program| !starts(program)).map(|missing| format!("no {missing}"))
}

/// What is called after a write to a drive, with the drive; false ends it.
pub(super) type Watch = Box<dyn FnMut(&Image) -> bool + Send>;

/// The mounted file system. Volumes on it must be dropped before it.
#[derive(Debug)]
pub struct CrashDisk {
    drives: Arc<Mutex<Drives>>,
    session: Option<BackgroundSession>,
    folder: TempDir,
}

impl CrashDisk {
    /// Mounts it on a temporary folder.
    ///
    /// # Errors
    /// What [`why_not`] says, or why the mount failed.
    pub fn mount() -> Result<Self, String> {
        if let Some(missing) = why_not() {
            return Err(missing);
        }
        let folder = TempDir::with_prefix("leveret-crash-disk-").map_err(|error| error.to_string())?;
        let drives = Arc::new(Mutex::new(Drives::default()));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("leveret-crash-disk".to_owned())];
        let session = fuser::spawn_mount(Files { drives: Arc::clone(&drives) }, folder.path(), &config);
        let session = session.map_err(|error| format!("/dev/fuse: {error}"))?;
        Ok(Self { drives, session: Some(session), folder })
    }

    /// Puts a drive in; gives its number.
    pub(super) fn insert(&self, image: Image) -> u64 {
        let mut drives = lock(&self.drives);
        drives.last = drives.last.max(ROOT) + 1;
        let number = drives.last;
        drives.files.insert(number, Drive { image, watch: None });
        number
    }

    /// Takes a drive out. Nothing may use it any more.
    pub(super) fn remove(&self, number: u64) {
        lock(&self.drives).files.remove(&number);
    }

    /// Shows a drive to `look`, between two writes.
    pub(super) fn with<T>(&self, number: u64, look: impl FnOnce(&mut Image) -> T) -> T {
        look(&mut lock(&self.drives).drive(number).image)
    }

    /// Calls `watch` after each write to a drive, until it says false.
    pub(super) fn watch(&self, number: u64, watch: Watch) {
        lock(&self.drives).drive(number).watch = Some(watch);
    }

    /// Ends that.
    pub(super) fn unwatch(&self, number: u64) {
        lock(&self.drives).drive(number).watch = None;
    }

    /// Where a drive's file lies.
    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.folder.path().join(format!("{number}{SUFFIX}"))
    }
}

impl Drop for CrashDisk {
    fn drop(&mut self) {
        let folder = self.folder.path();
        let unmount = |options: &[&str]| {
            let done = Command::new("umount").args(options).arg(folder).output();
            done.is_ok_and(|done| done.status.success()).then_some(())
        };
        if std::thread::panicking() {
            // A second panic would hide the first: what is still in use goes with its last user.
            unmount(&["-l"]);
        } else {
            // The kernel lets go of a loop device a moment after the unmount that freed it.
            until("nothing uses the crash disk any more", PATIENCE, || unmount(&[]));
        }
        drop(self.session.take());
    }
}

#[derive(Default)]
struct Drives {
    files: BTreeMap<u64, Drive>,
    last: u64,
}

struct Drive {
    image: Image,
    watch: Option<Watch>,
}

impl Drives {
    fn drive(&mut self, number: u64) -> &mut Drive {
        self.files.get_mut(&number).expect("a drive that is still there")
    }
}

impl std::fmt::Debug for Drives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.files.keys()).finish()
    }
}

fn lock(drives: &Mutex<Drives>) -> MutexGuard<'_, Drives> {
    drives.lock().expect("no other thread panicked")
}

/// What the kernel talks to.
struct Files {
    drives: Arc<Mutex<Drives>>,
}

impl Files {
    fn attributes(&self, number: u64) -> Option<FileAttr> {
        let size = match number {
            ROOT => 0,
            _ => lock(&self.drives).files.get(&number)?.image.size(),
        };
        let (kind, perm) =
            if number == ROOT { (FileType::Directory, 0o700) } else { (FileType::RegularFile, 0o600) };
        Some(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn reply_attributes(&self, number: u64, reply: ReplyAttr) {
        match self.attributes(number) {
            Some(attributes) => reply.attr(&FOREVER, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
        match number.and_then(|number| self.attributes(number)) {
            Some(attributes) => reply.entry(&FOREVER, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.reply_attributes(number.0, reply);
    }

    /// Times and modes are taken and forgotten: a drive has none.
    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<std::time::SystemTime>,
        _: Option<FileHandle>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        self.reply_attributes(number.0, reply);
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let drives = lock(&self.drives);
        match drives.files.get(&number.0) {
            Some(drive) => reply.data(&drive.image.read(offset, size as usize)),
            None => reply.error(Errno::EIO),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut drives = lock(&self.drives);
        let Some(drive) = drives.files.get_mut(&number.0) else { return reply.error(Errno::EIO) };
        if offset + bytes.len() as u64 > drive.image.size() {
            return reply.error(Errno::ENOSPC);
        }
        drive.image.write(offset, bytes);
        if let Some(watch) = &mut drive.watch
            && !watch(&drive.image)
        {
            drive.watch = None;
        }
        reply.written(u32::try_from(bytes.len()).expect("a write of less than 4 GiB"));
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let mut drives = lock(&self.drives);
        let drive = drives.files.get_mut(&number.0);
        if drive.is_some_and(|drive| drive.image.flush()) { reply.ok() } else { reply.error(Errno::EIO) }
    }

    /// Closing a file makes nothing durable.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }
}
