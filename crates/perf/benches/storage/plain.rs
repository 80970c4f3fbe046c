//! A program without a broker or a store in it: the bytes that both wrote, with the same syncs.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate};

use crate::Outcome;

const BLOCK: u64 = 4096;
const SLOT: u64 = 64 << 20;
const RUN_WRITE: usize = 256 << 10;

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes {
    /// Of the log, in so many batches with a sync each.
    pub(crate) log: u64,
    pub(crate) batches: u64,
    /// Of runs and manifest, in so many files.
    pub(crate) index: u64,
    pub(crate) files: u64,
}

/// Writes it all; gives the time it took.
pub(crate) fn write(dir: &Path, bytes: Bytes) -> Outcome<Duration> {
    let folder = tempfile::tempdir_in(dir)?;
    let written = AtomicU64::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| -> Outcome<()> {
        let index =
            scope.spawn(|| write_index(folder.path(), bytes, &written).map_err(|error| error.to_string()));
        let log = write_log(folder.path(), bytes, &written);
        // Whatever happened, the other thread waits for no more.
        written.store(u64::MAX, Ordering::Release);
        index.join().map_err(|_| "the index's thread panicked")??;
        log
    })?;
    Ok(begun.elapsed())
}

fn create(path: &Path, allocate: u64) -> Outcome<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    if allocate > 0 {
        fallocate(&file, FallocateFlags::empty(), 0, allocate)?;
    }
    Ok(file)
}

fn write_log(folder: &Path, bytes: Bytes, written: &AtomicU64) -> Outcome<()> {
    let names = File::open(folder)?;
    let batch = vec![7; (bytes.log / bytes.batches).next_multiple_of(BLOCK) as usize];
    let (mut done, mut slots, mut at, mut file) = (0, 0, SLOT, None);
    while done < bytes.log {
        let slot = match file.take().filter(|_| at + batch.len() as u64 <= SLOT) {
            Some(slot) => slot,
            None => {
                slots += 1;
                let slot = create(&folder.join(format!("slot-{slots}")), SLOT)?;
                names.sync_all()?;
                slot.write_all_at(&vec![1; BLOCK as usize], 0)?;
                slot.sync_data()?;
                at = BLOCK;
                slot
            }
        };
        slot.write_all_at(&batch, at)?;
        slot.sync_data()?;
        at += batch.len() as u64;
        done += batch.len() as u64;
        written.store(done, Ordering::Release);
        file = Some(slot);
    }
    Ok(())
}

fn write_index(folder: &Path, bytes: Bytes, written: &AtomicU64) -> Outcome<()> {
    let names = File::open(folder)?;
    let manifest = create(&folder.join("manifest"), 1 << 20)?;
    let part = vec![7; RUN_WRITE];
    for number in 0..bytes.files {
        while written.load(Ordering::Acquire) < bytes.log / bytes.files * number {
            std::thread::sleep(Duration::from_millis(1));
        }
        let run = create(&folder.join(format!("run-{number}")), 0)?;
        let (mut at, end) = (0, bytes.index / bytes.files);
        while at < end {
            let part = part.get(..(end - at).min(RUN_WRITE as u64) as usize).unwrap_or(&part);
            run.write_all_at(part, at)?;
            at += part.len() as u64;
        }
        run.sync_data()?;
        names.sync_all()?;
        manifest.write_all_at(&vec![1; BLOCK as usize], number % 256 * BLOCK)?;
        manifest.sync_data()?;
    }
    Ok(())
}
