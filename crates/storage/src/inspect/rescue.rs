//! A fresh data directory that takes what was saved.

use std::path::Path;

use bytes::Bytes;

use crate::data_dir::{DataDir, StorageOptions};
use crate::definitions::{Change, DefinitionStore, Definitions, DefinitionsSource};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::log::gather::Gather;
use crate::log::writer::LogWriter;
use crate::record::Payload;
use crate::recovery::open_store;
use crate::run::RunEntry;
use crate::store::Store;

/// Definitions go into records of about this size.
const CHANGES_BYTES: usize = 32 << 10;

/// The directory being written.
#[derive(Debug)]
pub(super) struct Rescue<D: Disk> {
    dir: DataDir<D>,
    log: LogWriter<D>,
    gather: Gather,
    store: Store<D>,
}

impl<D: Disk> Rescue<D> {
    pub(super) fn create(disk: &D, root: &Path, options: StorageOptions) -> Result<Self, StorageError> {
        let dir = DataDir::open(disk.clone(), root, options)?;
        let recovered = open_store(&dir, None)?;
        let store = recovered.store;
        let log = LogWriter::open(&dir, recovered.tail)?;
        let gather = log.gather();
        Ok(Self { dir, log, gather, store })
    }

    /// All definitions, before the first message. They are in the log and in the export then.
    pub(super) fn definitions(&mut self, definitions: &Definitions) -> Result<(), StorageError> {
        let nothing = Definitions::default();
        let mut export = DefinitionStore::start(&self.dir, None, &nothing, DefinitionsSource::New)?;
        let mut changes: Vec<Change> = Vec::new();
        let (mut bytes, mut left) = (0, definitions.entries.len());
        for (key, value) in &definitions.entries {
            bytes += key.len() + value.len();
            left -= 1;
            changes.push((key.clone(), Some(value.clone())));
            if bytes >= CHANGES_BYTES || left == 0 {
                let position = self.gather.definition(definitions.revision, &changes);
                self.write()?;
                export.apply(position, definitions.revision, &changes)?;
                changes.clear();
                bytes = 0;
            }
        }
        if definitions.entries.is_empty() {
            let position = self.gather.definition(definitions.revision, &[]);
            self.write()?;
            export.apply(position, definitions.revision, &[])?;
        }
        export.close()
    }

    /// A message. In a queue they come by rising numbers: a checkpoint may be made between any two.
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
        self.log.tend()?;
        if self.store.checkpoint_is_due() {
            // The export has all definitions since before the first message.
            self.store.checkpoint(&mut |_| Ok(()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;
    use crate::record::MessageFlags;
    use crate::run::{BodyAt, RunKey};

    /// More is saved than a tail holds: checkpoints are made on the way, and nothing falls between.
    #[test]
    fn more_than_a_tail_is_saved_whole() {
        let (disk, root) = (MemoryDisk::new(1), Path::new("/out"));
        let options = StorageOptions {
            slot_bytes: Some(64 << 10),
            tail_messages: Some(50),
            ..StorageOptions::default()
        };
        let mut rescue = Rescue::create(&disk, root, options).unwrap();
        let mut definitions = Definitions { revision: 7, ..Definitions::default() };
        for number in 0..900_u32 {
            definitions.entries.insert(number.to_le_bytes().to_vec(), vec![1; 100]);
        }
        rescue.definitions(&definitions).unwrap();
        for seq in 0..400 {
            let at = BodyAt { len: 3000, body_len: 2900, ..BodyAt::default() };
            let key = RunKey { queue: 1, order_key: seq % 3, seq };
            let count = u32::from(seq % 5 == 0);
            let entry = RunEntry {
                key,
                at,
                flags: MessageFlags::NONE,
                deadline_ms: 0,
                delivery_count: count,
                shared: 1,
            };
            rescue.message(&entry, vec![seq as u8; 3000]).unwrap();
        }
        assert!(rescue.store.statistics().tail_messages < 400, "checkpoints were made");
        rescue.finish().unwrap();

        let dir = DataDir::open(disk, root, options).unwrap();
        let recovered = open_store(&dir, None).unwrap();
        assert_eq!(
            (recovered.definitions.revision, &recovered.definitions.entries),
            (7, &definitions.entries)
        );
        let mut seqs = Vec::new();
        for order_key in 0..3 {
            let (most_messages, most_bytes) = (1000, usize::MAX);
            let read =
                crate::Read { queue: 1, order_key, first: 0, last: u64::MAX, most_messages, most_bytes };
            for message in recovered.store.read(&read).unwrap().messages {
                assert_eq!(message.payload, vec![message.seq as u8; 3000]);
                assert_eq!(message.delivery_count, u64::from(message.seq % 5 == 0));
                seqs.push(message.seq);
            }
        }
        seqs.sort_unstable();
        assert_eq!(seqs, (0..400).collect::<Vec<_>>());
    }
}
