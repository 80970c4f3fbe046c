//! The seam to the file system: blocking calls, one at a time, so that a simulated disk can stand
//! behind the code that ships.
//!
//! Owns the trait. Does not know what the bytes mean; knows no log, slot or queue.

mod memory;
mod real;

use std::io::{self, IoSlice};
use std::path::Path;

pub use memory::{CrashKeeps, MemoryDisk, MemoryFile, MemoryLock};
pub use real::{RealDisk, RealLock};

/// Room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Its size.
    pub total: u64,
    /// What an ordinary user may still write.
    pub available: u64,
}

/// A file system as the log sees it.
///
/// A write is durable once [`Disk::sync_data`] of its file has returned; a name once
/// [`Disk::sync_folder`] has. Nothing else may be assumed: what was not synced may survive a crash in
/// any part and order. After an error of a sync nothing may be assumed about that file at all.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: std::fmt::Debug + Send + Sync + 'static;
    /// A held lock; released when dropped.
    type Lock: std::fmt::Debug + Send + Sync + 'static;

    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Self::File>;
    /// Creates a new file with all its blocks allocated and reading as zeros. Fails if the name exists.
    fn create(&self, path: &Path, allocate: u64) -> io::Result<Self::File>;
    /// Allocates so that the file is at least `length` bytes long; what is there stays.
    fn extend(&self, file: &Self::File, length: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Writes all parts one after another from `offset` on. The slices are used up.
    fn write_vectored_at(&self, file: &Self::File, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()>;
    /// Fills `into` from `offset`; a file that ends before is an error of kind `UnexpectedEof`.
    fn read_at(&self, file: &Self::File, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// Cuts the file to `length`.
    fn truncate(&self, file: &Self::File, length: u64) -> io::Result<()>;
    /// Makes what was written to this file, and its length, durable.
    fn sync_data(&self, file: &Self::File) -> io::Result<()>;
    /// Makes the names in this folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Renames a file, replacing what has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, sorted; an absent folder is an error of kind `NotFound`.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// A file's length in bytes.
    fn length(&self, file: &Self::File) -> io::Result<u64>;
    /// Creates a folder and those above it, readable by the owner alone. An existing one is left as is.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// Room on the file system that holds `folder`.
    fn space(&self, folder: &Path) -> io::Result<Space>;
    /// Takes the exclusive lock of a file, creating it; `None` if another holds it. Never waits.
    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>>;
    /// Sixteen bytes nobody could foretell (a simulated disk gives seeded ones).
    fn entropy(&self) -> io::Result<[u8; 16]>;

    /// All of a small file.
    fn read_all(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path)?;
        let length = usize::try_from(self.length(&file)?).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        self.read_at(&file, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// Replaces a small file as a whole: after a crash either the old or the new bytes are there.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let temporary = path.with_extension("new");
        match self.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.create(&temporary, 0)?;
        self.write_at(&file, 0, bytes)?;
        self.sync_data(&file)?;
        self.rename(&temporary, path)?;
        self.sync_folder(folder)
    }
}
