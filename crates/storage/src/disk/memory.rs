//! A disk in memory that keeps what was written and what is durable apart, and can crash, fill up and
//! fail. For tests and simulation: everything it does follows from its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, Space};

/// A drive writes sectors whole; a longer write may be cut between any two of them.
const SECTOR: usize = 512;

/// What a crash keeps of the writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashKeeps {
    /// Nothing.
    Nothing,
    /// Everything, as after `kill -9`.
    Everything,
    /// Each sector of each write, and each name, or not, as the seed says.
    Some(u64),
}

/// A file system in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

/// An open file of a [`MemoryDisk`].
#[derive(Debug, Clone)]
pub struct MemoryFile {
    inode: u64,
    /// As on a real disk, what is open stays readable after its last name is gone.
    _open: Arc<()>,
}

/// A lock of a [`MemoryDisk`]; released when dropped.
#[derive(Debug)]
pub struct MemoryLock {
    state: Arc<Mutex<State>>,
    path: PathBuf,
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    folders: BTreeSet<PathBuf>,
    inodes: BTreeMap<u64, Inode>,
    last_inode: u64,
    locks: BTreeSet<PathBuf>,
    seed: u64,
    capacity: Option<u64>,
    syncs_until_failure: Option<u64>,
    writes_until_failure: Option<u64>,
    sync_folder_fails: bool,
    changes_until_power_off: Option<u64>,
    unreadable: BTreeSet<u64>,
    changes: u64,
    syncs: u64,
    lost_writes: bool,
    reads_fail: bool,
}

#[derive(Debug, Default)]
struct Inode {
    open: Arc<()>,
    written: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync, in order.
    unsynced: Vec<(usize, Vec<u8>)>,
}

impl MemoryDisk {
    /// An empty disk whose entropy follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let disk = Self::default();
        disk.state().seed = seed;
        disk
    }

    /// The disk as a machine that lost its power finds it. Locks are gone; this disk is left as it is.
    #[must_use]
    pub fn crash(&self, keeps: CrashKeeps) -> Self {
        let state = self.state();
        let mut seed = match keeps {
            CrashKeeps::Some(seed) => seed,
            CrashKeeps::Nothing | CrashKeeps::Everything => 0,
        };
        let mut keep = |seed_counts: bool| match keeps {
            CrashKeeps::Nothing => false,
            CrashKeeps::Everything => true,
            CrashKeeps::Some(_) => seed_counts && splitmix(&mut seed) & 1 == 0,
        };
        let mut names = state.durable_names.clone();
        for (name, inode) in &state.names {
            if names.get(name) != Some(inode) && keep(true) {
                names.insert(name.clone(), *inode);
            }
        }
        names.retain(|name, _| state.names.contains_key(name) || !keep(true));
        let mut inodes = BTreeMap::new();
        for inode in names.values() {
            let Some(found) = state.inodes.get(inode) else { continue };
            let mut bytes = found.durable.clone();
            if bytes.len() < found.written.len() && (keep(true) || !found.unsynced.is_empty()) {
                bytes.resize(found.written.len(), 0);
            }
            for (offset, part) in &found.unsynced {
                for (index, sector) in part.chunks(SECTOR).enumerate() {
                    let from = offset + index * SECTOR;
                    if keep(true)
                        && let Some(place) = bytes.get_mut(from..from + sector.len())
                    {
                        place.copy_from_slice(sector);
                    }
                }
            }
            let found = Inode { written: bytes.clone(), durable: bytes, ..Inode::default() };
            inodes.insert(*inode, found);
        }
        let crashed = State {
            durable_names: names.clone(),
            names,
            folders: state.folders.clone(),
            inodes,
            last_inode: state.last_inode,
            seed: state.seed.wrapping_add(1),
            ..State::default()
        };
        Self { state: Arc::new(Mutex::new(crashed)) }
    }

    /// Sets how many bytes all files together may take, or no bound.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.state().capacity = capacity;
    }

    /// Lets `after` more syncs succeed and the next one fail; as Linux does, that failure drops the
    /// writes it should have kept and later syncs claim success.
    pub fn fail_sync(&self, after: u64) {
        self.state().syncs_until_failure = Some(after);
    }

    /// Lets `after` more writes succeed and the next one fail half done.
    pub fn fail_write(&self, after: u64) {
        self.state().writes_until_failure = Some(after);
    }

    /// Lets the next sync of a folder fail as where no descriptor is left to open it, and those after it succeed.
    pub fn fail_sync_folder(&self) {
        self.state().sync_folder_fails = true;
    }

    /// Whether reads fail from now on, as those of a drive do that lost some of its sectors.
    pub fn fail_reads(&self, fail: bool) {
        self.state().reads_fail = fail;
    }

    /// Makes every read of a file fail, as of a bad sector, until it `is` readable again. Says whether the file
    /// exists.
    pub fn set_unreadable(&self, path: &Path, is: bool) -> bool {
        let mut state = self.state();
        let Some(inode) = state.names.get(path).copied() else { return false };
        if is {
            state.unreadable.insert(inode)
        } else {
            state.unreadable.remove(&inode)
        };
        true
    }

    /// Lets `after` more changes succeed and cuts the power in the next one: it may have reached the drive
    /// or not, and everything after it fails. [`crash`](Self::crash) then gives what a restart finds.
    pub fn power_off(&self, after: u64) {
        self.state().changes_until_power_off = Some(after);
    }

    /// Whether a sync failed, and what was written before it may be gone with the process already.
    #[must_use]
    pub fn has_lost_writes(&self) -> bool {
        self.state().lost_writes
    }

    /// Bytes that all files take.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// How many changes (writes, syncs, names) were asked for so far.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// How many file syncs succeeded so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Changes durable bytes behind the back of the owner: bit rot, a lost file's rest, foreign bytes.
    /// Says whether the file exists.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = self.state();
        let Some(inode) = state.names.get(path).copied() else { return false };
        let Some(found) = state.inodes.get_mut(&inode) else { return false };
        change(&mut found.written);
        found.durable.clone_from(&found.written);
        found.unsynced.clear();
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts a change. `Err` once the power is off; `Ok(false)` for the change in which it goes.
    fn change(&mut self) -> io::Result<bool> {
        self.changes += 1;
        match self.changes_until_power_off {
            None => Ok(true),
            Some(0) => {
                // Every later change is refused.
                self.changes_until_power_off = Some(u64::MAX);
                Ok(false)
            }
            Some(u64::MAX) => Err(power_is_off()),
            Some(left) => {
                self.changes_until_power_off = Some(left - 1);
                Ok(true)
            }
        }
    }

    fn inode(&mut self, file: &MemoryFile) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&file.inode).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn used(&self) -> u64 {
        // As on a real disk, a removed file's room comes back once its removal is durable.
        let named: BTreeSet<&u64> = self.names.values().chain(self.durable_names.values()).collect();
        named.iter().filter_map(|inode| self.inodes.get(inode)).map(|inode| inode.written.len() as u64).sum()
    }

    fn grow(&mut self, file: &MemoryFile, length: usize) -> io::Result<()> {
        let used = self.used();
        let capacity = self.capacity;
        let inode = self.inode(file)?;
        let more = length.saturating_sub(inode.written.len()) as u64;
        if more > 0 && capacity.is_some_and(|capacity| used.saturating_add(more) > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if more > 0 {
            inode.written.resize(length, 0);
        }
        Ok(())
    }

    fn write(&mut self, file: &MemoryFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let mut bytes = bytes;
        let mut result = if self.change()? { Ok(()) } else { Err(power_is_off()) };
        if let Some(left) = self.writes_until_failure {
            if left == 0 {
                bytes = bytes.get(..bytes.len() / 2).unwrap_or(bytes);
                result = Err(io::Error::other("planted write failure"));
            }
            self.writes_until_failure = left.checked_sub(1);
        }
        self.grow(file, offset + bytes.len())?;
        let inode = self.inode(file)?;
        if let Some(place) = inode.written.get_mut(offset..offset + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        inode.unsynced.push((offset, bytes.to_vec()));
        result
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;
    type Lock = MemoryLock;

    fn open(&self, path: &Path) -> io::Result<MemoryFile> {
        let state = self.state();
        let inode = state.names.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
        let open = Arc::clone(&state.inodes.get(&inode).ok_or(io::ErrorKind::NotFound)?.open);
        Ok(MemoryFile { inode, _open: open })
    }

    fn create(&self, path: &Path, allocate: u64) -> io::Result<MemoryFile> {
        let mut state = self.state();
        if !state.change()? {
            return Err(power_is_off());
        }
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !path.parent().is_some_and(|folder| state.folders.contains(folder)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.last_inode += 1;
        let inode = Inode::default();
        let file = MemoryFile { inode: state.last_inode, _open: Arc::clone(&inode.open) };
        state.inodes.insert(file.inode, inode);
        state.names.insert(path.to_owned(), file.inode);
        state.grow(&file, usize::try_from(allocate).map_err(io::Error::other)?)?;
        Ok(file)
    }

    fn extend(&self, file: &MemoryFile, length: u64) -> io::Result<()> {
        let mut state = self.state();
        if !state.change()? {
            return Err(power_is_off());
        }
        state.grow(file, usize::try_from(length).map_err(io::Error::other)?)
    }

    fn write_at(&self, file: &MemoryFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.state().write(file, offset, bytes)
    }

    fn write_vectored_at(&self, file: &MemoryFile, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        for part in parts.iter() {
            bytes.extend_from_slice(part);
        }
        self.state().write(file, offset, &bytes)
    }

    fn read_at(&self, file: &MemoryFile, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        if state.reads_fail || state.unreadable.contains(&file.inode) {
            return Err(io::Error::other("planted read failure"));
        }
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let found = state.inode(file)?.written.get(offset..offset.saturating_add(into.len()));
        into.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn truncate(&self, file: &MemoryFile, length: u64) -> io::Result<()> {
        let mut state = self.state();
        if !state.change()? {
            return Err(power_is_off());
        }
        let length = usize::try_from(length).map_err(io::Error::other)?;
        state.grow(file, length)?;
        let inode = state.inode(file)?;
        inode.written.truncate(length);
        Ok(())
    }

    fn sync_data(&self, file: &MemoryFile) -> io::Result<()> {
        let mut state = self.state();
        if !state.change()? {
            return Err(power_is_off());
        }
        let failing = state.syncs_until_failure == Some(0);
        state.syncs_until_failure = state.syncs_until_failure.and_then(|left| left.checked_sub(1));
        let inode = state.inode(file)?;
        inode.unsynced.clear();
        if failing {
            state.lost_writes = true;
            return Err(io::Error::other("planted sync failure"));
        }
        inode.durable.clone_from(&inode.written);
        state.syncs += 1;
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.change()? {
            return Err(power_is_off());
        }
        if std::mem::take(&mut state.sync_folder_fails) {
            return Err(rustix::io::Errno::MFILE.into());
        }
        if !state.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let State { names, durable_names, .. } = &mut *state;
        durable_names.retain(|name, _| name.parent() != Some(folder));
        for (name, inode) in names.iter().filter(|(name, _)| name.parent() == Some(folder)) {
            durable_names.insert(name.clone(), *inode);
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.change()? {
            return Err(power_is_off());
        }
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.change()? {
            return Err(power_is_off());
        }
        state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        // Bytes stay while the removal is not durable, as a crash may bring the name back, and while the
        // file is open.
        let State { names, durable_names, inodes, .. } = &mut *state;
        let named: BTreeSet<u64> = names.values().chain(durable_names.values()).copied().collect();
        inodes.retain(|inode, found| named.contains(inode) || Arc::strong_count(&found.open) > 1);
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        if !state.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = state.names.keys().filter(|name| name.parent() == Some(folder));
        let folders = state.folders.iter().filter(|name| name.parent() == Some(folder));
        let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut names: Vec<String> = inside.chain(folders).filter_map(name).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn length(&self, file: &MemoryFile) -> io::Result<u64> {
        Ok(self.state().inode(file)?.written.len() as u64)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        for above in folder.ancestors() {
            state.folders.insert(above.to_owned());
        }
        Ok(())
    }

    fn space(&self, _folder: &Path) -> io::Result<Space> {
        let state = self.state();
        let total = state.capacity.unwrap_or(1 << 40);
        Ok(Space { total, available: total.saturating_sub(state.used()) })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<MemoryLock>> {
        let taken = self.state().locks.insert(path.to_owned());
        Ok(taken.then(|| MemoryLock { state: Arc::clone(&self.state), path: path.to_owned() }))
    }

    fn entropy(&self) -> io::Result<[u8; 16]> {
        let mut state = self.state();
        let mut bytes = [0; 16];
        for half in bytes.chunks_mut(8) {
            half.copy_from_slice(&splitmix(&mut state.seed).to_le_bytes());
        }
        Ok(bytes)
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).locks.remove(&self.path);
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

fn splitmix(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_synced_survives_the_hardest_crash() {
        let disk = MemoryDisk::new(1);
        let folder = Path::new("/d");
        disk.create_folder(folder).unwrap();
        let file = disk.create(&folder.join("a"), 8).unwrap();
        disk.write_at(&file, 0, b"old").unwrap();
        disk.sync_data(&file).unwrap();
        disk.sync_folder(folder).unwrap();
        disk.write_at(&file, 0, b"new").unwrap();
        disk.create(&folder.join("b"), 8).unwrap();

        let hard = disk.crash(CrashKeeps::Nothing);
        assert_eq!(hard.list(folder).unwrap(), ["a"]);
        assert_eq!(hard.read_all(&folder.join("a")).unwrap(), b"old\0\0\0\0\0");
        let soft = disk.crash(CrashKeeps::Everything);
        assert_eq!(soft.list(folder).unwrap(), ["a", "b"]);
        assert_eq!(soft.read_all(&folder.join("a")).unwrap(), b"new\0\0\0\0\0");
    }

    #[test]
    fn a_failed_sync_drops_the_writes_and_later_syncs_claim_success() {
        let disk = MemoryDisk::new(1);
        let folder = Path::new("/d");
        disk.create_folder(folder).unwrap();
        let file = disk.create(&folder.join("a"), 4).unwrap();
        disk.sync_data(&file).unwrap();
        disk.sync_folder(folder).unwrap();
        disk.write_at(&file, 0, b"gone").unwrap();
        disk.fail_sync(0);
        assert!(disk.sync_data(&file).is_err());
        let after = disk.crash(CrashKeeps::Everything);
        assert_eq!(after.read_all(&folder.join("a")).unwrap(), [0; 4]);
    }

    #[test]
    fn a_full_disk_refuses_to_grow_and_a_failing_write_is_cut_short() {
        let disk = MemoryDisk::new(1);
        let folder = Path::new("/d");
        disk.create_folder(folder).unwrap();
        disk.set_capacity(Some(10));
        let file = disk.create(&folder.join("a"), 8).unwrap();
        assert_eq!(disk.extend(&file, 11).err().map(|e| e.kind()), Some(io::ErrorKind::StorageFull));
        disk.fail_write(0);
        assert!(disk.write_at(&file, 0, b"abcdefgh").is_err());
        assert_eq!(disk.read_all(&folder.join("a")).unwrap(), b"abcd\0\0\0\0");
    }
}
