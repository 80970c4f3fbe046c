//! A fresh data directory that takes what was saved.

use std::path::Path;

use bytes::Bytes;

use crate::data_dir::{DataDir, StorageOptions};
use crate::definitions::{Change, Definitions};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::log::gather::Gather;
use crate::log::writer::LogWriter;
use crate::record::Payload;
use crate::recovery::open_store;
use crate::run::RunEntry;

/// Definitions go into records of about this size.
const CHANGES_BYTES: usize = 32 << 10;

/// The directory being written.
#[derive(Debug)]
pub(super) struct Rescue<D: Disk> {
    dir: DataDir<D>,
    log: LogWriter<D>,
    gather: Gather,
}

impl<D: Disk> Rescue<D> {
    pub(super) fn create(disk: &D, root: &Path, slot_bytes: u64) -> Result<Self, StorageError> {
        let options = StorageOptions { slot_bytes: Some(slot_bytes), ..StorageOptions::default() };
        let dir = DataDir::open(disk.clone(), root, options)?;
        let log = LogWriter::open(&dir, open_store(&dir, None)?.tail)?;
        let gather = log.gather();
        Ok(Self { dir, log, gather })
    }

    pub(super) fn definitions(&mut self, definitions: &Definitions) -> Result<(), StorageError> {
        let mut changes: Vec<Change> = Vec::new();
        let mut bytes = 0;
        for (key, value) in &definitions.entries {
            bytes += key.len() + value.len();
            changes.push((key.clone(), Some(value.clone())));
            if bytes >= CHANGES_BYTES {
                self.gather.definition(definitions.revision, &changes);
                self.write()?;
                changes.clear();
                bytes = 0;
            }
        }
        if !changes.is_empty() || definitions.entries.is_empty() {
            self.gather.definition(definitions.revision, &changes);
        }
        self.write()
    }

    pub(super) fn message(&mut self, entry: &RunEntry, payload: Vec<u8>) -> Result<(), StorageError> {
        let RunEntry { key, at, flags, deadline_ms, delivery_count, .. } = *entry;
        let segments = [Bytes::from(payload)];
        let payload = Payload { parts: &[], segments: &segments, body_len: at.body_len };
        self.gather.message(key.queue, key.seq, flags, key.order_key, deadline_ms, payload);
        if delivery_count > 0 {
            self.gather.returned(key.queue, &[(key.seq, key.seq)], delivery_count.into());
        }
        if self.gather.bytes() >= self.dir.batch_bytes() as usize { self.write() } else { Ok(()) }
    }

    /// Ends as a clean stop does.
    pub(super) fn finish(mut self) -> Result<(), StorageError> {
        self.log.stop(&mut self.gather).map(|_| ())
    }

    fn write(&mut self) -> Result<(), StorageError> {
        self.log.step(&mut self.gather)?;
        self.log.tend()
    }
}
