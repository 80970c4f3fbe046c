//! Runs against a model, and every kind of damage to a small one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::{BodyAt, Run, RunEntry, RunKey, RunMerge, RunWriter};
use crate::disk::{CrashKeeps, Disk, MemoryDisk};
use crate::error::StorageError;
use crate::format::run::{RUN_BLOCK, run_path};
use crate::record::MessageFlags;

const LOG: [u8; 16] = *b"the log of tests";
const LOWEST: RunKey = RunKey { queue: 0, order_key: 0, seq: 0 };
const HIGHEST: RunKey = RunKey { queue: u64::MAX, order_key: u64::MAX, seq: u64::MAX };

type Model = BTreeMap<RunKey, RunEntry>;

fn folder() -> PathBuf {
    PathBuf::from("/runs")
}

fn disk() -> MemoryDisk {
    let disk = MemoryDisk::new(1);
    disk.create_folder(&folder()).unwrap();
    disk
}

fn write(disk: &MemoryDisk, number: u64, model: &Model) -> Arc<Run<MemoryDisk>> {
    let mut writer = RunWriter::create(disk, &folder(), number, LOG).unwrap();
    for entry in model.values() {
        writer.push(entry).unwrap();
    }
    assert_eq!(writer.entries(), model.len() as u64);
    writer.finish().unwrap()
}

fn read(run: &Arc<Run<MemoryDisk>>, from: RunKey, to: RunKey) -> Result<Vec<RunEntry>, StorageError> {
    let mut cursor = run.range(from, to);
    let mut entries = Vec::new();
    while let Some(entry) = cursor.next()? {
        entries.push(entry);
    }
    Ok(entries)
}

/// As a broker writes them: payloads one behind another in a few slots.
fn plain(queues: u64, messages: u64) -> Model {
    let entry = |queue: u64, seq: u64| {
        let key = RunKey { queue, order_key: 0, seq };
        let at = BodyAt {
            incarnation: 7 + seq / 500,
            offset: 4096 + (seq * queues + queue) * 1100,
            len: 1100,
            crc: (seq as u32).wrapping_mul(0x9e37_79b9),
            body_len: 1024,
        };
        RunEntry { key, at, flags: MessageFlags::SEEN, deadline_ms: 0, delivery_count: 0, shared: 1 }
    };
    let all = (1..=queues).flat_map(|queue| (1..=messages).map(move |seq| entry(queue, seq)));
    all.map(|entry| (entry.key, entry)).collect()
}

fn key() -> impl Strategy<Value = RunKey> {
    let few = (0..4_u64, 0..4_u64, 0..200_u64);
    prop_oneof![8 => few, 1 => any::<(u64, u64, u64)>()].prop_map(|(queue, order_key, seq)| RunKey {
        queue,
        order_key,
        seq,
    })
}

fn entry() -> impl Strategy<Value = RunEntry> {
    let at = (prop_oneof![0..5_u64, any::<u64>()], any::<u64>(), any::<u32>(), any::<u32>(), any::<u32>());
    let rest = (
        any::<u8>(),
        prop_oneof![Just(0), any::<u64>()],
        prop_oneof![Just(0), any::<u32>()],
        prop_oneof![Just(1), any::<u32>()],
    );
    (key(), at, rest).prop_map(|(key, (incarnation, offset, len, crc, body_len), rest)| RunEntry {
        key,
        at: BodyAt { incarnation, offset, len, crc, body_len: body_len.min(len) },
        flags: MessageFlags::from_bits(rest.0),
        deadline_ms: rest.1,
        delivery_count: rest.2,
        shared: rest.3,
    })
}

fn model(most: usize) -> impl Strategy<Value = Model> {
    proptest::collection::vec(entry(), 0..most)
        .prop_map(|entries| entries.into_iter().map(|entry| (entry.key, entry)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn ranges_are_those_of_a_map(
        model in model(3000), bounds in proptest::collection::vec((key(), key()), 1..20)
    ) {
        let disk = disk();
        let written = write(&disk, 3, &model);
        let opened = Run::open(&disk.crash(CrashKeeps::Nothing), &folder(), 3, LOG).unwrap();
        for run in [written, opened] {
            prop_assert_eq!(run.entries(), model.len() as u64);
            prop_assert_eq!(read(&run, LOWEST, HIGHEST).unwrap(), model.values().copied().collect::<Vec<_>>());
            for (from, to) in &bounds {
                let (from, to) = (*from.min(to), *from.max(to));
                let expected: Vec<_> = model.range(from..=to).map(|(_, entry)| *entry).collect();
                prop_assert_eq!(read(&run, from, to).unwrap(), expected);
            }
            let mut places = BTreeMap::<u64, u64>::new();
            model.values().for_each(|entry| *places.entry(entry.at.incarnation).or_default() += 1);
            prop_assert_eq!(run.incarnations().collect::<BTreeMap<_, _>>(), places.clone());
            prop_assert!((0..10).all(|place| run.refers_to(place) == places.contains_key(&place)));
        }
    }

    #[test]
    fn a_merge_keeps_the_newest_of_what_may_stay(models in proptest::collection::vec(model(400), 1..10)) {
        let disk = disk();
        let mut runs: Vec<_> =
            models.iter().zip(1..).map(|(model, number)| write(&disk, number, model)).collect();
        runs.reverse();
        let keep = |entry: &RunEntry| !entry.key.seq.is_multiple_of(3);
        let mut writer = RunWriter::create(&disk, &folder(), 99, LOG).unwrap();
        let mut entries = RunMerge::new(&runs).unwrap();
        while let Some(entry) = entries.next().unwrap() {
            if keep(&entry) {
                writer.push(&entry).unwrap();
            }
        }
        let merged = writer.finish().unwrap();
        let mut expected = Model::new();
        models.into_iter().for_each(|model| expected.extend(model));
        expected.retain(|_, entry| keep(entry));
        prop_assert_eq!(read(&merged, LOWEST, HIGHEST).unwrap(), expected.into_values().collect::<Vec<_>>());
    }
}

#[test]
fn a_message_takes_few_bytes_and_a_run_little_memory() {
    let disk = disk();
    let run = write(&disk, 1, &plain(3, 20_000));
    assert!(run.bytes() / run.entries() < 20, "{} bytes for each entry", run.bytes() / run.entries());
    assert!(run.memory() < 4_000, "{} bytes of memory", run.memory());
}

#[test]
fn an_empty_run_is_a_run() {
    let disk = disk();
    write(&disk, 1, &Model::new());
    let run = Run::open(&disk, &folder(), 1, LOG).unwrap();
    assert_eq!((run.entries(), run.keys()), (0, None));
    assert_eq!(read(&run, LOWEST, HIGHEST).unwrap(), []);
}

#[test]
fn a_finished_run_survives_and_one_that_is_not_is_replaced() {
    let disk = disk();
    let model = plain(1, 10);
    let mut unfinished = RunWriter::create(&disk, &folder(), 1, LOG).unwrap();
    unfinished.push(model.values().next().unwrap()).unwrap();
    write(&disk, 1, &model);
    let after = disk.crash(CrashKeeps::Nothing);
    let run = Run::open(&after, &folder(), 1, LOG).unwrap();
    assert_eq!(read(&run, LOWEST, HIGHEST).unwrap().len(), 10);
}

#[test]
fn a_full_disk_is_told_and_the_run_given_up() {
    let disk = disk();
    disk.set_capacity(Some(600 << 10));
    let mut writer = RunWriter::create(&disk, &folder(), 1, LOG).unwrap();
    let error = plain(1, 100_000).values().find_map(|entry| writer.push(entry).err());
    assert!(error.is_some_and(|error| error.is_full()));
    writer.abandon();
    assert_eq!(disk.list(&folder()).unwrap(), Vec::<String>::new());
}

#[test]
#[should_panic(expected = "ascend")]
fn entries_out_of_order_are_a_fault_of_ours() {
    let model = plain(1, 2);
    let mut writer = RunWriter::create(&disk(), &folder(), 1, LOG).unwrap();
    for entry in model.values().rev() {
        writer.push(entry).unwrap();
    }
}

/// What a damaged run gives: entries that it had, in order and from the start, then an error that names it.
fn check_damaged(disk: &MemoryDisk, path: &Path, whole: &[RunEntry], what: &str) -> bool {
    let named = |error: StorageError| match error {
        StorageError::Corrupt { file, .. } => assert_eq!(file, path, "{what}"),
        StorageError::Version { .. } => {}
        other => panic!("{what}: {other}"),
    };
    let run = match Run::open(disk, &folder(), 1, LOG) {
        Ok(run) => run,
        Err(error) => {
            named(error);
            return true;
        }
    };
    let (mut cursor, mut read) = (run.all(), Vec::new());
    loop {
        match cursor.next() {
            Ok(Some(entry)) => read.push(entry),
            Ok(None) => break assert_eq!(read, whole, "{what}"),
            Err(error) => {
                named(error);
                assert_eq!(read, whole[..read.len()], "{what}");
                assert!(cursor.next().is_err(), "{what}: damage is no end");
                return true;
            }
        }
    }
    false
}

#[test]
fn no_changed_byte_and_no_cut_gives_other_entries() {
    let disk = disk();
    let path = run_path(&folder(), 1);
    let model = plain(2, 900);
    let whole: Vec<_> = model.values().copied().collect();
    let length = write(&disk, 1, &model).bytes() as usize;
    assert!(length > 2 * RUN_BLOCK, "more than one block");
    // Zeros behind the entries look alike: some of them are enough.
    let is_checked = |at: usize| at % RUN_BLOCK < 600 || at.is_multiple_of(13) || at >= length - 300;
    let bytes = disk.read_all(&path).unwrap();
    for at in (0..length).filter(|at| is_checked(*at)) {
        disk.tamper(&path, |bytes| bytes[at] ^= 1 << (at % 8));
        assert!(check_damaged(&disk, &path, &whole, &format!("byte {at}")), "byte {at} is found");
        disk.tamper(&path, |bytes| bytes[at] ^= 1 << (at % 8));
    }
    let lengths = (0..length).filter(|at| at.is_multiple_of(97) || *at >= length - 200);
    for cut in lengths.collect::<BTreeSet<_>>().into_iter().rev() {
        disk.tamper(&path, |bytes| bytes.truncate(cut));
        assert!(check_damaged(&disk, &path, &whole, &format!("cut at {cut}")), "cut at {cut} is found");
    }
    disk.tamper(&path, |now| *now = bytes);
    assert!(!check_damaged(&disk, &path, &whole, "mended"));
}

#[test]
fn misplaced_and_foreign_blocks_are_found() {
    let disk = disk();
    let path = run_path(&folder(), 1);
    let model = plain(2, 2000);
    let whole: Vec<_> = model.values().copied().collect();
    write(&disk, 1, &model);
    write(&disk, 2, &model);
    let mine = disk.read_all(&path).unwrap();
    let twin = disk.read_all(&run_path(&folder(), 2)).unwrap();
    type Change = fn(&mut [u8], &[u8]);
    let cases: [(&str, Change); 3] = [
        ("two blocks changed places", |bytes, _| {
            let (first, rest) = bytes.split_at_mut(RUN_BLOCK);
            first.swap_with_slice(&mut rest[..RUN_BLOCK]);
        }),
        ("a block of the twin", |bytes, twin| bytes[..RUN_BLOCK].copy_from_slice(&twin[..RUN_BLOCK])),
        ("all of the twin", |bytes, twin| bytes.copy_from_slice(twin)),
    ];
    for (what, change) in cases {
        disk.tamper(&path, |bytes| change(bytes, &twin));
        assert!(check_damaged(&disk, &path, &whole, what), "{what}");
        disk.tamper(&path, |bytes| bytes.copy_from_slice(&mine));
    }
    assert!(matches!(Run::open(&disk, &folder(), 1, [0; 16]), Err(StorageError::Corrupt { .. })));
}

#[test]
fn a_run_of_a_newer_format_is_refused_by_its_number() {
    let disk = disk();
    let length = write(&disk, 1, &plain(1, 5)).bytes() as usize;
    disk.tamper(&run_path(&folder(), 1), |bytes| {
        let footer = &mut bytes[length - 128..];
        footer[8] = 9;
        let crc = crc32fast::hash(&footer[..124]);
        footer[124..].copy_from_slice(&crc.to_le_bytes());
    });
    let error = Run::open(&disk, &folder(), 1, LOG).unwrap_err();
    assert!(matches!(error, StorageError::Version { found: 9, supported: 1, .. }), "{error}");
}
