//! The real file system, by the standard library and rustix.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use super::{Disk, Space};

/// Linux takes at most this many parts in one vectored write.
const MOST_PARTS: usize = 1024;

/// Time between two tries to open something while the system has no descriptor left.
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// The file system of the machine.
///
/// Where no descriptor is left, [`Disk::create`] and [`Disk::sync_folder`] wait for one: connections that end give theirs
/// back, and what was not begun cannot be half done. Reads do not wait; who reads tries again.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

/// A lock file held with `flock`; the kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct RealLock {
    _file: File,
}

impl Disk for RealDisk {
    type File = File;
    type Lock = RealLock;

    fn open(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(path)
    }

    fn create(&self, path: &Path, allocate: u64) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = once_a_descriptor_is_free(path, || std::thread::sleep(TRY_AGAIN), || options.open(path))?;
        self.extend(&file, allocate)?;
        Ok(file)
    }

    fn extend(&self, file: &File, length: u64) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, length)) {
            Ok(()) => Ok(()),
            // File systems without allocation: zeros take the room instead.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill_with_zeros(file, length),
            Err(error) => Err(error.into()),
        }
    }

    fn write_at(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn write_vectored_at(
        &self,
        file: &File,
        mut offset: u64,
        mut parts: &mut [IoSlice<'_>],
    ) -> io::Result<()> {
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            let at_once = parts.get(..MOST_PARTS).unwrap_or(parts);
            match rustix::io::pwritev(file, at_once, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    IoSlice::advance_slices(&mut parts, written);
                    offset += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read_at(&self, file: &File, offset: u64, into: &mut [u8]) -> io::Result<()> {
        file.read_exact_at(into, offset)
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        if cfg!(feature = "planted-no-sync") { Ok(()) } else { file.sync_data() }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let folder =
            once_a_descriptor_is_free(folder, || std::thread::sleep(TRY_AGAIN), || File::open(folder))?;
        if cfg!(feature = "planted-no-sync") { Ok(()) } else { folder.sync_all() }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn length(&self, file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }

    fn space(&self, folder: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(folder)?;
        Ok(Space {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            available: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<RealLock>> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(RealLock { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn entropy(&self) -> io::Result<[u8; 16]> {
        let mut bytes = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Opens, and pauses and opens again for as long as the process or the system has no descriptor left.
fn once_a_descriptor_is_free(
    path: &Path,
    pause: impl Fn(),
    mut open: impl FnMut() -> io::Result<File>,
) -> io::Result<File> {
    let mut is_told = false;
    loop {
        match open() {
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::error!("{}: waiting for a free file descriptor: {error}", path.display());
                }
                pause();
            }
            opened => return opened,
        }
    }
}

fn fill_with_zeros(file: &File, length: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut at = file.metadata()?.len();
    while at < length {
        let some = (length - at).min(zeros.len() as u64);
        let part = zeros.get(..usize::try_from(some).unwrap_or(zeros.len())).unwrap_or(&zeros);
        file.write_all_at(part, at)?;
        at += part.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectored_writes_longer_than_the_kernel_takes_arrive_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("many");
        let file = RealDisk.create(&path, 4096).unwrap();
        let bytes: Vec<u8> = (0..3000u32).flat_map(|n| n.to_le_bytes()).collect();
        let mut parts: Vec<IoSlice<'_>> = bytes.chunks(4).map(IoSlice::new).collect();
        RealDisk.write_vectored_at(&file, 100, &mut parts).unwrap();
        let mut back = vec![0; bytes.len()];
        RealDisk.read_at(&file, 100, &mut back).unwrap();
        assert_eq!(back, bytes);
    }

    #[test]
    fn only_want_of_a_descriptor_is_waited_out() {
        for (errno, tries) in [
            (Errno::MFILE, 4),
            (Errno::NFILE, 4),
            (Errno::NOSPC, 1),
            (Errno::IO, 1),
            (Errno::EXIST, 1),
            (Errno::NOMEM, 1),
        ] {
            let (mut opens, pauses) = (0, std::cell::Cell::new(0));
            let opened = once_a_descriptor_is_free(
                Path::new("f"),
                || pauses.set(pauses.get() + 1),
                || {
                    opens += 1;
                    if opens <= 3 { Err(errno.into()) } else { File::open("/dev/null") }
                },
            );
            assert_eq!((opens, pauses.get()), (tries, tries - 1), "{errno}");
            assert_eq!(opened.is_ok(), tries == 4, "{errno}");
        }
    }

    #[test]
    fn a_lock_is_held_once_and_released_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = RealDisk.lock(&path).unwrap();
        assert!(first.is_some());
        assert!(RealDisk.lock(&path).unwrap().is_none());
        drop(first);
        assert!(RealDisk.lock(&path).unwrap().is_some());
    }

    #[test]
    fn a_created_file_is_allocated_and_zero_and_never_replaces_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slot");
        let file = RealDisk.create(&path, 8192).unwrap();
        assert_eq!(RealDisk.length(&file).unwrap(), 8192);
        assert_eq!(RealDisk.read_all(&path).unwrap(), vec![0; 8192]);
        assert_eq!(RealDisk.create(&path, 1).err().map(|e| e.kind()), Some(io::ErrorKind::AlreadyExists));
    }
}
