//! Every entry of every run that can be read: block by block, over damaged ones, without fences or footer.

use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::run::{
    RUN_BLOCK, RUN_FOOTER, RunBlockId, RunFooter, RunPacking, open_run_block, run_number, run_path,
};
use crate::format::{LogId, Reader};
use crate::inspect::loss::{Loss, Lost};
use crate::manifest::{ManifestState, RunNote};
use crate::run::{RunEntry, RunKey};

/// A run being read, whatever is damaged in it.
#[derive(Debug)]
struct RunRemains<D: Disk> {
    disk: D,
    file: D::File,
    path: PathBuf,
    log: LogId,
    number: u64,
    blocks: u64,
    next_block: u64,
    /// Of the block read last, to be given in order.
    entries: std::vec::IntoIter<RunEntry>,
    last: Option<RunKey>,
    read: u64,
    /// How many entries it should have, if anything says so.
    expected: Option<u64>,
    /// A gap whose end is not known yet.
    gap: Option<(u64, &'static str)>,
}

/// Entries of several runs and of the log's tail in order, the newest of equal keys.
#[derive(Debug)]
pub(super) struct Entries<D: Disk> {
    runs: Vec<RunRemains<D>>,
    tail: std::vec::IntoIter<RunEntry>,
    /// The next of each, the tail's last.
    heads: Vec<Option<RunEntry>>,
    pub(super) losses: Vec<Loss>,
}

impl<D: Disk> Entries<D> {
    /// The runs that the manifest lists; without one, every run that is there.
    pub(super) fn open(
        disk: &D,
        folder: &Path,
        log: LogId,
        state: Option<&ManifestState>,
        tail: Vec<RunEntry>,
    ) -> Result<Self, StorageError> {
        let mut losses = Vec::new();
        let listed: Vec<(u64, Option<RunNote>)> = match state {
            Some(state) => state.runs.iter().map(|(number, note)| (*number, Some(*note))).collect(),
            None => {
                let names = disk.list(folder).unwrap_or_default();
                names.iter().filter_map(|name| Some((run_number(name)?, None))).collect()
            }
        };
        let mut runs = Vec::new();
        for (number, note) in listed {
            match RunRemains::open(disk, folder, log, number, &mut losses) {
                Ok(mut run) => {
                    run.expected = note.map(|note| note.entries).or(run.expected);
                    runs.push(run);
                }
                Err(error) => {
                    let lost = everything(note);
                    losses.push(Loss::of(lost, error)?);
                }
            }
        }
        let mut entries = Self { heads: vec![None; runs.len() + 1], runs, tail: tail.into_iter(), losses };
        for index in 0..entries.heads.len() {
            entries.advance(index)?;
        }
        Ok(entries)
    }

    /// How many entries there may be.
    pub(super) fn expected(&self) -> u64 {
        let runs: u64 = self.runs.iter().map(|run| run.expected.unwrap_or(0)).sum();
        runs + self.tail.len() as u64
    }

    /// The next entry, and whether it is the tail's.
    pub(super) fn next(&mut self) -> Result<Option<(RunEntry, bool)>, StorageError> {
        let Some(key) = self.heads.iter().flatten().map(|entry| entry.key).min() else { return Ok(None) };
        let mut newest = None;
        // Runs stand in the order of their numbers, the tail behind them.
        for index in 0..self.heads.len() {
            let head = self.heads.get(index).copied().flatten();
            if let Some(entry) = head.filter(|entry| entry.key == key) {
                newest = Some((entry, index + 1 == self.heads.len()));
                self.advance(index)?;
            }
        }
        Ok(newest)
    }

    fn advance(&mut self, index: usize) -> Result<(), StorageError> {
        let next = match self.runs.get_mut(index) {
            Some(run) => run.next(&mut self.losses)?,
            None => self.tail.next(),
        };
        if let Some(head) = self.heads.get_mut(index) {
            *head = next;
        }
        Ok(())
    }
}

/// A run that is not there at all: nothing says which queues it spoke of.
fn everything(note: Option<RunNote>) -> Lost {
    match note {
        Some(RunNote { entries: 0, .. }) => Lost::Nothing,
        _ => Lost::Index { from_queue: 0, from_seq: 0, to_queue: u64::MAX, to_seq: u64::MAX },
    }
}

impl<D: Disk> RunRemains<D> {
    fn open(
        disk: &D,
        folder: &Path,
        log: LogId,
        number: u64,
        losses: &mut Vec<Loss>,
    ) -> Result<Self, StorageError> {
        let path = run_path(folder, number);
        let file = disk.open(&path).map_err(StorageError::io(&path, "open"))?;
        let length = disk.length(&file).map_err(StorageError::io(&path, "read length"))?;
        let mut bytes = [0; RUN_FOOTER];
        let mut footer = None;
        if let Some(at) = length.checked_sub(RUN_FOOTER as u64) {
            disk.read_at(&file, at, &mut bytes).map_err(StorageError::io(&path, "read"))?;
            footer = RunFooter::decode(&bytes).map(|(_, footer)| footer);
        }
        let footer = footer.filter(|footer| footer.run == number && footer.log == log);
        let footer = footer.filter(|footer| footer.lengths().is_some_and(|(_, all)| all == length));
        if footer.is_none() {
            let why = "the end of a run is damaged or cut";
            losses.push(Loss::new(Lost::Nothing, &path, length.saturating_sub(RUN_FOOTER as u64), why));
        }
        let blocks = footer.map_or(length / RUN_BLOCK as u64, |footer| footer.blocks);
        Ok(Self {
            disk: disk.clone(),
            file,
            path,
            log,
            number,
            blocks,
            next_block: 0,
            entries: Vec::new().into_iter(),
            last: None,
            read: 0,
            expected: footer.map(|footer| footer.entries),
            gap: None,
        })
    }

    fn next(&mut self, losses: &mut Vec<Loss>) -> Result<Option<RunEntry>, StorageError> {
        loop {
            if let Some(entry) = self.entries.next() {
                self.end_gap(Some(entry.key), losses);
                self.last = Some(entry.key);
                self.read += 1;
                return Ok(Some(entry));
            }
            if self.next_block >= self.blocks {
                self.end_gap(None, losses);
                return Ok(None);
            }
            let block = self.next_block;
            self.next_block += 1;
            let mut bytes = vec![0; RUN_BLOCK];
            let offset = block * RUN_BLOCK as u64;
            self.disk
                .read_at(&self.file, offset, &mut bytes)
                .map_err(StorageError::io(&self.path, "read"))?;
            let id = RunBlockId { log: self.log, run: self.number, block };
            match open_run_block(&bytes, &id).and_then(|(bytes, count)| unpack(bytes, count)) {
                Ok(entries) => self.entries = entries.into_iter(),
                Err(why) => self.gap = self.gap.or(Some((offset, why))),
            }
        }
    }

    fn end_gap(&mut self, next: Option<RunKey>, losses: &mut Vec<Loss>) {
        let Some((offset, why)) = self.gap.take() else { return };
        // Without its end nothing tells the fences of a run from blocks.
        if next.is_none() && self.expected == Some(self.read) {
            return;
        }
        let (from_queue, from_seq) = self.last.map_or((0, 0), |key| (key.queue, key.seq));
        let (to_queue, to_seq) = next.map_or((u64::MAX, u64::MAX), |key| (key.queue, key.seq));
        let lost = Lost::Index { from_queue, from_seq, to_queue, to_seq };
        losses.push(Loss::new(lost, &self.path, offset, why));
    }
}

fn unpack(bytes: &[u8], count: u32) -> Result<Vec<RunEntry>, &'static str> {
    let (mut at, mut packing) = (Reader::new(bytes), RunPacking::default());
    let entries: Option<Vec<RunEntry>> = (0..count).map(|_| packing.take(&mut at)).collect();
    entries.ok_or("an entry is not readable")
}
