//! What can go wrong with the bytes on disk, with what an operator needs to act.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The machine's faults: storage knows no client, so none of these is a client's.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Bytes that were durable once cannot be trusted any more. Nothing was changed; start is refused.
    #[error("{}: damaged at byte {offset}: {why}", file.display())]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// What was expected and not found.
        why: String,
    },
    /// The file system has no room for another slot. Nothing was lost: the same step may be tried again.
    #[error("{}: the file system is full: {needed} bytes are needed", file.display())]
    Full {
        /// The file that could not be allocated.
        file: PathBuf,
        /// How many bytes it asked for.
        needed: u64,
    },
    /// An operation of the file system failed.
    #[error("{}: {op} failed: {source}", file.display())]
    Io {
        /// The file or folder concerned.
        file: PathBuf,
        /// What was tried.
        op: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
    /// Another process owns the data directory.
    #[error("{}: the data directory is in use by another process{owner}", file.display())]
    Locked {
        /// The lock file.
        file: PathBuf,
        /// What the owner wrote into the lock file, ready to print, or nothing.
        owner: String,
    },
    /// The data was written by a version with another format. Nothing was touched.
    #[error("{}: format version {found} is not known here (this version knows {supported})", file.display())]
    Version {
        /// The file that names the version.
        file: PathBuf,
        /// The version found.
        found: u32,
        /// The newest version known here.
        supported: u32,
    },
    /// The checkpoint of the definitions failed; the log still has them.
    #[error("{}: the checkpoint of the definitions failed: {why}", folder.display())]
    Checkpoint {
        /// The folder of the checkpoint.
        folder: PathBuf,
        /// What failed.
        why: String,
    },
    /// An earlier write or sync failed: what the disk holds is unknown until recovery reads it again.
    #[error("the log is poisoned by an earlier failure; restart to recover")]
    Poisoned,
}

impl StorageError {
    /// For `map_err`: what failed on which file.
    pub(crate) fn io(file: &Path, op: &'static str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Io { file, op, source }
    }

    pub(crate) fn corrupt(file: &Path, offset: u64, why: impl Into<String>) -> Self {
        Self::Corrupt { file: file.to_owned(), offset, why: why.into() }
    }

    /// Whether bytes could not be read: they are damaged, or the drive gives them no more. Those who can go on
    /// without them do.
    pub(crate) fn is_unreadable(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Io { op: "read" | "read length", .. })
    }

    /// Whether the operating system lacked something for the moment, descriptors or memory, or was
    /// interrupted: the same may succeed a little later, and says nothing of the bytes on disk.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        let lacks = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN, Errno::INTR];
        let code = source.raw_os_error();
        lacks.iter().any(|errno| Some(errno.raw_os_error()) == code)
    }

    /// Whether the step that failed may be tried again once there is room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

/// Whether the operating system said that there is no room.
pub(crate) fn is_out_of_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_damage() {
        let failed = |code| StorageError::io(Path::new("f"), "open")(io::Error::from_raw_os_error(code));
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR, Errno::AGAIN] {
            assert!(failed(errno.raw_os_error()).is_passing(), "{errno}");
        }
        for errno in [Errno::IO, Errno::NOENT, Errno::ACCESS, Errno::NOSPC] {
            assert!(!failed(errno.raw_os_error()).is_passing(), "{errno}");
        }
        assert!(!StorageError::corrupt(Path::new("f"), 1, "x").is_passing());
    }
}
