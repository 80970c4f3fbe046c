//! Tests of the whole crate through its public face, on a disk in memory that can crash.

mod accounting;
mod blobs;
mod checkpoint;
mod damage;
mod data_rot;
mod definitions;
mod definitions_rot;
mod full_disk;
mod golden;
mod inspect;
mod model;
mod modes;
mod pool;
mod room;
mod rot;
mod roundtrip;
mod sink;
mod store;
mod tidy;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::test_runner::Config as ProptestConfig;

use crate::*;

/// What recovery gave.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Collected {
    pub(crate) definitions: Definitions,
    pub(crate) queues: BTreeMap<u64, Vec<RecoveredMessage>>,
}

impl Collected {
    /// The numbers of a queue's messages, in the order they came.
    pub(crate) fn seqs(&self, queue: u64) -> Vec<u64> {
        self.queues.get(&queue).into_iter().flatten().map(|message| message.seq).collect()
    }

    /// Everything but the bodies, which are only measured.
    pub(crate) fn in_short(&self) -> String {
        let message = |m: &RecoveredMessage| (m.seq, m.flags.bits(), m.delivery_count, m.payload.len());
        let queues = self.queues.iter().map(|(queue, m)| (queue, m.iter().map(message).collect::<Vec<_>>()));
        format!("{:?} and {:?}", self.definitions, queues.collect::<Vec<_>>())
    }

    pub(crate) fn body(&self, queue: u64, seq: u64) -> &[u8] {
        let found = self.queues[&queue].iter().find(|message| message.seq == seq);
        &found.expect("a message that should live").payload
    }

    pub(crate) fn is_seen(&self, queue: u64, seq: u64) -> bool {
        let found = self.queues[&queue].iter().find(|message| message.seq == seq);
        found.expect("a message that should live").flags.contains(MessageFlags::SEEN)
    }
}

impl RecoverySink for Collected {
    fn definitions(&mut self, definitions: &Definitions) {
        assert!(self.queues.is_empty(), "definitions come before messages");
        self.definitions = definitions.clone();
    }

    fn message(&mut self, message: RecoveredMessage) {
        self.queues.entry(message.queue).or_default().push(message);
    }
}

/// A broker's storage as it runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) log: LogWriter<MemoryDisk>,
    pub(crate) gather: Gather,
    pub(crate) recovered: Facts,
    pub(crate) collected: Collected,
    pub(crate) dir: DataDir<MemoryDisk>,
    pub(crate) store: Store<MemoryDisk>,
    pub(crate) definitions: DefinitionStore<MemoryDisk>,
    /// Changes of definitions that were not fed to their store.
    pub(crate) changes: Vec<(Position, u64, DefinitionChange)>,
    exported_at_ms: u64,
}

/// What is left of a [`Recovered`] once its tail went to the writer.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) next_position: Position,
    pub(crate) queues: BTreeMap<u64, RecoveredQueue>,
    pub(crate) clean_stop: bool,
    pub(crate) quarantined: Vec<Quarantined>,
    pub(crate) statistics: RecoveryStatistics,
    pub(crate) source: DefinitionsSource,
}

pub(crate) const ROOT: &str = "/data";

pub(crate) fn small() -> StorageOptions {
    let (slot_bytes, batch_bytes) = (Some(64 << 10), Some(32 << 10));
    let (runs_of_a_tier, step_entries) = (Some(3), Some(20));
    StorageOptions { slot_bytes, batch_bytes, runs_of_a_tier, step_entries, ..StorageOptions::default() }
}

pub(crate) fn start(disk: &MemoryDisk) -> Result<Running, StorageError> {
    start_with(disk, small())
}

pub(crate) fn start_with(disk: &MemoryDisk, options: StorageOptions) -> Result<Running, StorageError> {
    let dir = DataDir::open(disk.clone(), Path::new(ROOT), options)?;
    let mut collected = Collected::default();
    let recovered = recover(&dir, None, &mut collected)?;
    let source = recovered.definitions_source;
    let definitions = DefinitionStore::start(&dir, None, &recovered.definitions, source)?;
    let facts = Facts {
        next_position: recovered.next_position,
        queues: recovered.queues,
        clean_stop: recovered.clean_stop,
        quarantined: recovered.quarantined,
        statistics: recovered.statistics,
        source: recovered.definitions_source,
    };
    let store = recovered.store;
    let log = LogWriter::open(&dir, recovered.tail)?;
    let gather = log.gather();
    assert_eq!(gather.last_position().0 + 1, facts.next_position.0);
    let (changes, exported_at_ms) = (Vec::new(), 0);
    Ok(Running { log, gather, recovered: facts, collected, dir, store, definitions, changes, exported_at_ms })
}

/// Recovery alone, of a disk nobody holds.
pub(crate) fn look(disk: &MemoryDisk) -> Result<(Collected, Recovered<MemoryDisk>), StorageError> {
    let dir = DataDir::open(disk.clone(), Path::new(ROOT), small())?;
    let mut collected = Collected::default();
    let recovered = recover(&dir, None, &mut collected)?;
    Ok((collected, recovered))
}

impl Running {
    pub(crate) fn publish(&mut self, queue: u64, seq: u64, body: &[u8]) -> Position {
        self.gather.message(queue, seq, MessageFlags::SEEN, 0, 0, Payload::parts(&[body]))
    }

    pub(crate) fn step(&mut self) -> Position {
        self.log.step(&mut self.gather).expect("a step")
    }

    pub(crate) fn checkpoint(&mut self) -> Result<CheckpointDone, StorageError> {
        let Self { store, definitions, changes, exported_at_ms, .. } = self;
        store.checkpoint(&mut |position| {
            let later = changes.iter().position(|(at, ..)| *at > position).unwrap_or(changes.len());
            for (at, revision, change) in changes.drain(..later) {
                definitions.apply(at, revision, &[change])?;
            }
            *exported_at_ms += 60_000;
            definitions.export_if_due(*exported_at_ms).map(drop)
        })
    }
}

/// The files of the log, oldest first.
pub(crate) fn slot_files(disk: &MemoryDisk) -> Vec<PathBuf> {
    let folder = Path::new(ROOT).join("log");
    disk.list(&folder)
        .expect("a log")
        .into_iter()
        .filter(|name| name.starts_with("slot-"))
        .map(|name| folder.join(name))
        .collect()
}

/// Whether tests of damage try every place, or a sample: `cargo xtask nightly rot`.
pub(crate) fn is_whole_programme() -> bool {
    std::env::var("LEVERET_ROT").is_ok_and(|asked| asked == "all")
}

/// As many cases as `PROPTEST_CASES` says, or this many. What failed once becomes a test of its own.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(usual), failure_persistence: None, ..ProptestConfig::default() }
}
