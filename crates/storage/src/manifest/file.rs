//! The manifest's file: appended to, rewritten, and read back.

use std::io;
use std::path::{Path, PathBuf};

use super::{Delta, ManifestState};
use crate::disk::Disk;
use crate::error::{StorageError, is_out_of_space};
use crate::format::manifest::{
    FRAME_HEAD, FrameHead, manifest_number, manifest_path, put_delta, put_state, take_delta,
};
use crate::format::{BLOCK, FORMAT_VERSION, LogId};
use crate::planted::{Plant, is_planted};

/// Room kept allocated behind the last delta, so that a full disk does not stop the next one.
const RESERVE: u64 = 256 << 10;
/// A file with less than this in deltas is not rewritten.
const LEAST_REWRITE: u64 = 256 << 10;
/// How much is read at once when looking behind the end.
const SCAN_BYTES: u64 = 1 << 20;

/// The manifest in force.
#[derive(Debug)]
pub(crate) struct Manifest<D: Disk> {
    disk: D,
    folder: PathBuf,
    log: LogId,
    file: D::File,
    path: PathBuf,
    number: u64,
    /// The number of the last durable delta.
    delta: u64,
    base_len: u64,
    /// Where the next delta goes.
    end: u64,
    allocated: u64,
    /// Other manifests' files. They must be gone for good before a delta is appended.
    stale: Vec<PathBuf>,
    last_number: u64,
    /// What the disk holds is unknown after a failed write or sync.
    is_poisoned: bool,
}

/// What a folder holds.
#[derive(Debug)]
pub(crate) enum ManifestFound<D: Disk> {
    /// No manifest.
    None,
    /// Files, but none with a valid base. If the log never saw a manifest, making the first was cut short,
    /// and [`Manifest::create`] may begin again. Otherwise this is the damage.
    Invalid(StorageError),
    /// The newest valid one, and what it says.
    Valid(Manifest<D>, Box<ManifestState>),
}

impl<D: Disk> Manifest<D> {
    /// Makes the first manifest. Remainders of an earlier try are removed.
    ///
    /// # Errors
    /// `Full`, `Io`: nothing was changed that counts.
    pub(crate) fn create(
        disk: &D,
        folder: &Path,
        log: LogId,
        state: &ManifestState,
    ) -> Result<Self, StorageError> {
        let numbers = numbers(disk, folder)?;
        let last_number = numbers.last().copied().unwrap_or(0);
        let stale = numbers.iter().map(|number| manifest_path(folder, *number)).collect();
        let mut made = Self::write_new(disk, folder, log, (last_number + 1, 1), state)?;
        made.stale = stale;
        made.remove_stale()?;
        Ok(made)
    }

    /// Reads what a folder holds. Changes nothing.
    ///
    /// # Errors
    /// `Corrupt` if a delta is damaged that was durable once, with its place; `Version`; `Io`.
    pub(crate) fn open(disk: &D, folder: &Path, log: LogId) -> Result<ManifestFound<D>, StorageError> {
        let numbers = numbers(disk, folder)?;
        let last_number = numbers.last().copied().unwrap_or(0);
        let mut damage = None;
        for number in numbers.iter().rev() {
            match Self::open_one(disk, folder, log, *number)? {
                Ok((mut manifest, state)) => {
                    let others = numbers.iter().filter(|other| *other != number);
                    manifest.stale = others.map(|other| manifest_path(folder, *other)).collect();
                    manifest.last_number = last_number;
                    return Ok(ManifestFound::Valid(manifest, Box::new(state)));
                }
                Err(error) => damage = damage.or(Some(error)),
            }
        }
        Ok(damage.map_or(ManifestFound::None, ManifestFound::Invalid))
    }

    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of the last durable delta. It rises over all files; batches name it.
    pub(crate) fn delta(&self) -> u64 {
        self.delta
    }

    /// Bytes of its file, the room behind the last delta included.
    pub(crate) fn bytes(&self) -> u64 {
        self.allocated
    }

    /// Appends a change with one sync. When this returns it is durable.
    ///
    /// # Errors
    /// `Full`: nothing was changed; `Io`, and then `Poisoned` ever after.
    pub(crate) fn append(&mut self, delta: &Delta) -> Result<u64, StorageError> {
        self.check_poison()?;
        self.remove_stale()?;
        let mut bytes = vec![0; FRAME_HEAD];
        put_delta(&mut bytes, delta);
        let head = FrameHead {
            is_base: false,
            log: self.log,
            manifest: self.number,
            delta: self.delta + 1,
            body_len: 0,
            body_crc: 0,
        };
        let bytes = frame(bytes, head);
        let end = self.end + bytes.len() as u64;
        self.allocate(end)?;
        self.is_poisoned = true;
        self.disk.write_at(&self.file, self.end, &bytes).map_err(StorageError::io(&self.path, "write"))?;
        if !is_planted(Plant::EarlyReuse) {
            self.disk.sync_data(&self.file).map_err(StorageError::io(&self.path, "sync"))?;
        }
        self.is_poisoned = false;
        self.end = end;
        self.delta += 1;
        match self.allocate(end + RESERVE / 2) {
            // The reserve is not there to be used up: the delta is durable all the same.
            Ok(()) | Err(StorageError::Full { .. }) => Ok(self.delta),
            Err(error) => Err(error),
        }
    }

    /// Whether the deltas outweigh the base.
    pub(crate) fn rewrite_is_due(&self) -> bool {
        self.end - self.base_len > self.base_len.max(LEAST_REWRITE)
    }

    /// Puts a new file with `state`, which is the state now, in the place of this one.
    ///
    /// # Errors
    /// `Full`: this one stays in force; `Io`, and then `Poisoned` ever after.
    pub(crate) fn rewrite(&mut self, state: &ManifestState) -> Result<(), StorageError> {
        self.check_poison()?;
        self.remove_stale()?;
        let number = self.last_number.max(self.number) + 1;
        let mut new = match Self::write_new(&self.disk, &self.folder, self.log, (number, self.delta), state) {
            Err(error) if error.is_full() => return Err(error),
            Err(error) => {
                self.is_poisoned = true;
                return Err(error);
            }
            Ok(made) => made,
        };
        new.stale.push(self.path.clone());
        *self = new;
        self.remove_stale()
    }

    fn check_poison(&self) -> Result<(), StorageError> {
        if self.is_poisoned { Err(StorageError::Poisoned) } else { Ok(()) }
    }

    /// Removes the other files for good.
    fn remove_stale(&mut self) -> Result<(), StorageError> {
        if self.stale.is_empty() {
            return Ok(());
        }
        self.is_poisoned = true;
        for path in &self.stale {
            match self.disk.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StorageError::io(path, "remove")(error));
                }
                _ => {}
            }
        }
        self.disk.sync_folder(&self.folder).map_err(StorageError::io(&self.folder, "sync folder"))?;
        self.stale.clear();
        self.is_poisoned = false;
        Ok(())
    }

    fn allocate(&mut self, length: u64) -> Result<(), StorageError> {
        if length <= self.allocated {
            return Ok(());
        }
        let length = length.next_multiple_of(RESERVE);
        match self.disk.extend(&self.file, length) {
            Err(error) if is_out_of_space(&error) => {
                Err(StorageError::Full { file: self.path.clone(), needed: length })
            }
            extended => {
                extended.map_err(StorageError::io(&self.path, "allocate"))?;
                self.allocated = length;
                Ok(())
            }
        }
    }

    /// Writes a file and makes it and its name durable.
    fn write_new(
        disk: &D,
        folder: &Path,
        log: LogId,
        (number, delta): (u64, u64),
        state: &ManifestState,
    ) -> Result<Self, StorageError> {
        let path = manifest_path(folder, number);
        let mut bytes = vec![0; FRAME_HEAD];
        put_state(&mut bytes, state);
        let head = FrameHead { is_base: true, log, manifest: number, delta, body_len: 0, body_crc: 0 };
        let bytes = frame(bytes, head);
        let base_len = bytes.len() as u64;
        let allocated = base_len + RESERVE;
        match disk.remove(&path) {
            // What an earlier try left for want of room has no base.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StorageError::io(&path, "remove")(error));
            }
            _ => {}
        }
        let file = match disk.create(&path, allocated) {
            Err(error) if is_out_of_space(&error) => {
                // Best effort: the next try removes it too.
                let _ = disk.remove(&path);
                return Err(StorageError::Full { file: path, needed: allocated });
            }
            made => made.map_err(StorageError::io(&path, "allocate"))?,
        };
        disk.write_at(&file, 0, &bytes).map_err(StorageError::io(&path, "write"))?;
        disk.sync_data(&file).map_err(StorageError::io(&path, "sync"))?;
        disk.sync_folder(folder).map_err(StorageError::io(folder, "sync folder"))?;
        Ok(Self {
            disk: disk.clone(),
            folder: folder.to_owned(),
            log,
            file,
            path,
            number,
            delta,
            base_len,
            end: base_len,
            allocated,
            stale: Vec::new(),
            last_number: number,
            is_poisoned: false,
        })
    }
}

/// Reading.
impl<D: Disk> Manifest<D> {
    /// A manifest with all its deltas; the inner error: it has no valid base.
    #[allow(clippy::type_complexity, reason = "two kinds of failure that the one caller tells apart")]
    fn open_one(
        disk: &D,
        folder: &Path,
        log: LogId,
        number: u64,
    ) -> Result<Result<(Self, ManifestState), StorageError>, StorageError> {
        let path = manifest_path(folder, number);
        let file = disk.open(&path).map_err(StorageError::io(&path, "open"))?;
        let allocated = disk.length(&file).map_err(StorageError::io(&path, "read length"))?;
        let mut manifest = Self {
            disk: disk.clone(),
            folder: folder.to_owned(),
            log,
            file,
            path,
            number,
            delta: 0,
            base_len: 0,
            end: 0,
            allocated,
            stale: Vec::new(),
            last_number: number,
            is_poisoned: false,
        };
        let mut state = ManifestState::default();
        let Some((head, base)) = manifest.frame_at_end()?.filter(|(head, _)| head.is_base) else {
            return Ok(Err(manifest.damaged("the manifest has no valid base")));
        };
        state.apply(base);
        manifest.advance(&head);
        manifest.base_len = manifest.end;
        while let Some((head, delta)) =
            manifest.frame_at_end()?.filter(|(head, _)| !head.is_base && head.delta == manifest.delta + 1)
        {
            state.apply(delta);
            manifest.advance(&head);
        }
        manifest.check_end()?;
        Ok(Ok((manifest, state)))
    }

    fn advance(&mut self, head: &FrameHead) {
        self.delta = head.delta;
        self.end += (FRAME_HEAD as u64 + head.body_len).next_multiple_of(BLOCK);
    }

    /// The frame that stands at the end of what was read so far, if it is whole.
    fn frame_at_end(&self) -> Result<Option<(FrameHead, Delta)>, StorageError> {
        let room = self.allocated.saturating_sub(self.end);
        let Some(room) = room.checked_sub(FRAME_HEAD as u64) else { return Ok(None) };
        let mut bytes = [0; FRAME_HEAD];
        self.read(self.end, &mut bytes)?;
        let Some(head) = self.head(&bytes)?.filter(|head| head.body_len <= room) else { return Ok(None) };
        let mut body = vec![0; usize::try_from(head.body_len).unwrap_or_default()];
        self.read(self.end + FRAME_HEAD as u64, &mut body)?;
        if crc32fast::hash(&body) != head.body_crc {
            return Ok(None);
        }
        match take_delta(&body) {
            Some(delta) => Ok(Some((head, delta))),
            None => Err(self.damaged("the manifest has its checksum and cannot be read")),
        }
    }

    /// A frame that is not whole was cut short by a crash, unless a later one stands behind it.
    fn check_end(&self) -> Result<(), StorageError> {
        let mut at = self.end;
        let mut buffer = Vec::new();
        while at < self.allocated {
            buffer.resize(usize::try_from(SCAN_BYTES.min(self.allocated - at)).unwrap_or_default(), 0);
            self.read(at, &mut buffer)?;
            for block in buffer.chunks(BLOCK as usize) {
                let later = self.head(block)?.filter(|head| head.delta > self.delta);
                if let Some(head) = later.filter(|head| at != self.end || head.delta != self.delta + 1) {
                    let why = format!(
                        "delta {} of the manifest is damaged or missing, but delta {} stands at byte {at}",
                        self.delta + 1,
                        head.delta
                    );
                    return Err(self.damaged(&why));
                }
                at += block.len() as u64;
            }
        }
        Ok(())
    }

    /// The head of a frame of this manifest.
    fn head(&self, bytes: &[u8]) -> Result<Option<FrameHead>, StorageError> {
        let bytes = bytes.get(..FRAME_HEAD).unwrap_or_default();
        let Some((version, head)) = FrameHead::decode(bytes) else { return Ok(None) };
        if version != FORMAT_VERSION {
            let (file, found, supported) = (self.path.clone(), version.into(), FORMAT_VERSION.into());
            return Err(StorageError::Version { file, found, supported });
        }
        Ok((head.log == self.log && head.manifest == self.number).then_some(head))
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), StorageError> {
        self.disk.read_at(&self.file, at, into).map_err(StorageError::io(&self.path, "read"))
    }

    fn damaged(&self, why: &str) -> StorageError {
        StorageError::corrupt(&self.path, self.end, why)
    }
}

/// The numbers of all manifests in a folder, ascending.
fn numbers<D: Disk>(disk: &D, folder: &Path) -> Result<Vec<u64>, StorageError> {
    let names = match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        listed => listed.map_err(StorageError::io(folder, "list"))?,
    };
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| manifest_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Completes a frame whose body stands behind room for the head.
fn frame(mut bytes: Vec<u8>, mut head: FrameHead) -> Vec<u8> {
    let body = bytes.get(FRAME_HEAD..).unwrap_or_default();
    (head.body_len, head.body_crc) = (body.len() as u64, crc32fast::hash(body));
    if let Some(place) = bytes.get_mut(..FRAME_HEAD) {
        place.copy_from_slice(&head.encode());
    }
    bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
    bytes
}
