//! What the manifest lists, opened and checked against what is there.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::data_dir::DataDir;
use crate::definitions::Definitions;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::format::{manifest::manifest_path, run::run_number, run::run_path, slot_path};
use crate::index::{Index, Resident};
use crate::log::slots::FoundSlots;
use crate::log::walk::WalkAt;
use crate::manifest::{LastIds, Manifest, ManifestFound, ManifestState, QueueNote};
use crate::ranges::RangeSet;
use crate::run::Run;
use crate::store::{Maintenance, Usage};

/// The manifest and the runs it lists.
pub(super) struct Listed<D: Disk> {
    manifest: Option<Manifest<D>>,
    state: ManifestState,
    runs: Vec<Arc<Run<D>>>,
    /// Why the files of a manifest that are there are none. Nothing is lost if no batch ever saw one.
    invalid: Option<StorageError>,
    pub(super) last: LastIds,
    orphans: Vec<PathBuf>,
}

impl<D: Disk> Listed<D> {
    /// Opens what the manifest lists. Changes nothing.
    ///
    /// # Errors
    /// `Corrupt` for what is missing or damaged, `Version`, `Io`.
    pub(super) fn open(dir: &DataDir<D>, found: &FoundSlots<D>) -> Result<Self, StorageError> {
        let (manifest, state, invalid) = match Manifest::open(dir.disk(), dir.root(), dir.log_id())? {
            ManifestFound::Valid(manifest, state) => (Some(manifest), *state, None),
            ManifestFound::None => (None, ManifestState::default(), None),
            ManifestFound::Invalid(error) => (None, ManifestState::default(), Some(error)),
        };
        for (incarnation, note) in &state.slots {
            if !found.slots.contains_key(incarnation) {
                let why = format!(
                    "the slot of incarnation {incarnation} holds {} messages, and is missing or its header is damaged",
                    note.entries
                );
                return Err(StorageError::corrupt(&slot_path(&dir.log_folder(), note.file), 0, why));
            }
        }
        let folder = dir.runs_folder();
        let mut runs = Vec::with_capacity(state.runs.len());
        for number in state.runs.keys() {
            match Run::open(dir.disk(), &folder, *number, dir.log_id()) {
                Err(StorageError::Io { file, source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    return Err(StorageError::corrupt(
                        &file,
                        0,
                        "the manifest lists this run, and it is missing",
                    ));
                }
                opened => runs.push(opened?),
            }
        }
        let names = match dir.disk().list(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed.map_err(StorageError::io(&folder, "list"))?,
        };
        let unlisted = names
            .iter()
            .filter_map(|name| run_number(name))
            .filter(|number| !state.runs.contains_key(number));
        let orphans = unlisted.map(|number| run_path(&folder, number)).collect();
        let last = state.last;
        Ok(Self { manifest, state, runs, invalid, last, orphans })
    }

    /// Where the walk over the log begins.
    pub(super) fn walk_from(&self) -> WalkAt {
        let cut = &self.state.cut;
        WalkAt {
            end: cut.at,
            number: cut.batch,
            header_crc: cut.header_crc,
            epoch: cut.epoch,
            next_incarnation: cut.next_incarnation,
            next_position: cut.next_position,
        }
    }

    /// The number of the last batch that runs speak for.
    pub(super) fn below(&self) -> u64 {
        self.state.cut.below
    }

    /// Slots with entries of runs.
    pub(super) fn slots(&self) -> BTreeSet<u64> {
        self.state.slots.keys().copied().collect()
    }

    pub(super) fn has_slot(&self, incarnation: u64) -> bool {
        self.state.slots.contains_key(&incarnation)
    }

    /// The state of the queues below the cut.
    pub(super) fn index(&self) -> Index {
        let mut index = Index::default();
        index.definitions_position = self.state.definitions;
        for (id, note) in &self.state.queues {
            index.restore(*id, note.last_seq, resident(note));
        }
        index.last_queue = index.last_queue.max(self.last.queue);
        index
    }

    /// Refuses definitions that do not reach to where the log may have been given up.
    pub(super) fn check_definitions(&self, dir: &DataDir<D>, base: &Definitions) -> Result<(), StorageError> {
        let needed = self.state.definitions;
        if base.position.0 >= needed {
            return Ok(());
        }
        let why = format!(
            "the definitions were durable up to record {needed}, but their checkpoint and their export are lost or end at record {}",
            base.position.0
        );
        Err(StorageError::corrupt(&dir.export_path(), 0, why))
    }

    /// Refuses a manifest that is older than one that a batch saw. `seen` is the newest that any did.
    pub(super) fn check_age(&self, dir: &DataDir<D>, seen: u64) -> Result<(), StorageError> {
        let delta = self.manifest.as_ref().map_or(0, Manifest::delta);
        if seen <= delta {
            return Ok(());
        }
        if let Some(StorageError::Corrupt { file, offset, why }) = &self.invalid {
            return Err(StorageError::Corrupt { file: file.clone(), offset: *offset, why: why.clone() });
        }
        let why = format!(
            "the log was written with change {seen} of the manifest, but the last one here is {delta}"
        );
        let first = manifest_path(dir.root(), 1);
        Err(StorageError::corrupt(self.manifest.as_ref().map_or(first.as_path(), Manifest::path), 0, why))
    }

    /// For the store.
    pub(super) fn into_parts(self) -> (Vec<Arc<Run<D>>>, Maintenance<D>) {
        let usage = Usage { slots: self.state.slots, blobs: self.state.blobs, ..Usage::default() };
        let maintenance = Maintenance {
            manifest: self.manifest,
            usage,
            last: self.last,
            definitions: self.state.definitions,
            orphans: self.orphans,
            ..Maintenance::default()
        };
        (self.runs, maintenance)
    }
}

fn resident(note: &QueueNote) -> Resident {
    Resident {
        end: note.known,
        settled: note.settled.clone(),
        exposed: note.exposed.clone(),
        unexposed: note.unexposed.clone(),
        counts: note.counts.clone(),
        lines: note.lines.clone(),
        unaccounted: RangeSet::default(),
    }
}
