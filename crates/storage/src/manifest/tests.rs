//! The manifest against a model, with the power cut at any change, and every kind of damage to a small one.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{
    BlobNote, Cut, Delta, LastIds, Manifest, ManifestFound, ManifestState, QueueNote, RunNote, SlotNote,
};
use crate::disk::{CrashKeeps, Disk, MemoryDisk};
use crate::error::StorageError;
use crate::format::Place;
use crate::format::manifest::manifest_path;
use crate::index::LineCount;
use crate::ranges::RangeSet;

const LOG: [u8; 16] = *b"the log of tests";

fn folder() -> PathBuf {
    PathBuf::from("/data")
}

fn disk() -> MemoryDisk {
    let disk = MemoryDisk::new(1);
    disk.create_folder(&folder()).unwrap();
    disk
}

fn found(disk: &MemoryDisk) -> Option<(Manifest<MemoryDisk>, ManifestState)> {
    match Manifest::open(disk, &folder(), LOG).unwrap() {
        ManifestFound::Valid(manifest, state) => Some((manifest, *state)),
        ManifestFound::None | ManifestFound::Invalid(_) => None,
    }
}

fn set() -> impl Strategy<Value = RangeSet> {
    proptest::collection::vec((0..100_000_u64, 0..9000_u64), 0..4).prop_map(|ranges| {
        let mut set = RangeSet::default();
        ranges.into_iter().for_each(|(first, len)| set.add(first, first + len));
        set
    })
}

fn changed<T: std::fmt::Debug>(
    note: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<(u64, Option<T>)>> {
    proptest::collection::vec((0..6_u64, proptest::option::weighted(0.7, note)), 0..4)
}

fn queue() -> impl Strategy<Value = QueueNote> {
    let counts = proptest::collection::vec((any::<u32>(), set()), 0..3);
    let lines = proptest::collection::vec(
        (any::<u64>(), any::<[u64; 3]>()).prop_map(|(order_key, [messages, body_bytes, timed])| {
            (order_key, LineCount { messages, body_bytes, timed })
        }),
        0..3,
    );
    (any::<[u64; 2]>(), (set(), set(), set()), counts, lines).prop_map(
        |([last_seq, known], (settled, exposed, unexposed), counts, lines)| QueueNote {
            last_seq,
            known,
            settled,
            exposed,
            unexposed,
            counts,
            lines,
        },
    )
}

fn delta() -> impl Strategy<Value = Delta> {
    let cut = any::<([u64; 7], u32)>().prop_map(
        |([incarnation, offset, batch, epoch, next_position, next_incarnation, below], header_crc)| Cut {
            at: Place { incarnation, offset },
            batch,
            header_crc,
            epoch,
            next_position,
            next_incarnation,
            below,
        },
    );
    let runs = any::<[u64; 2]>().prop_map(|[entries, bytes]| RunNote { entries, bytes });
    let slots = any::<[u64; 4]>().prop_map(|[file, length, entries, live_bytes]| SlotNote {
        file,
        length,
        entries,
        live_bytes,
    });
    let blobs = any::<[u64; 2]>().prop_map(|[len, entries]| BlobNote { len, entries });
    let last = any::<[u64; 5]>().prop_map(|[queue, incarnation, slot_file, run, blob]| LastIds {
        queue,
        incarnation,
        slot_file,
        run,
        blob,
    });
    let maps = (changed(runs), changed(slots), changed(blobs), changed(queue()));
    (proptest::option::of(cut), maps, proptest::option::of(any::<u64>()), last).prop_map(
        |(cut, (runs, slots, blobs, queues), definitions, last)| Delta {
            cut,
            runs,
            slots,
            blobs,
            queues,
            definitions,
            last,
        },
    )
}

/// Makes a manifest and takes the steps until one fails. Returns the states that were made durable.
fn live(disk: &MemoryDisk, steps: &[(Delta, bool)]) -> Vec<ManifestState> {
    let mut state = ManifestState::default();
    let mut states = Vec::new();
    let Ok(mut manifest) = Manifest::create(disk, &folder(), LOG, &state) else { return states };
    states.push(state.clone());
    for (delta, rewrites) in steps {
        if *rewrites && manifest.rewrite(&state).is_err() {
            break;
        }
        let Ok(number) = manifest.append(delta) else { break };
        state.apply(delta.clone());
        states.push(state.clone());
        assert_eq!((number, manifest.delta()), (states.len() as u64, states.len() as u64));
    }
    states
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_was_appended_is_read_whenever_the_power_goes(
        steps in proptest::collection::vec((delta(), proptest::bool::weighted(0.2)), 1..8),
        at in 0..60_u64, seed in any::<u64>()
    ) {
        let whole = disk();
        let states = live(&whole, &steps);
        prop_assert_eq!(states.len(), steps.len() + 1);
        let (manifest, state) = found(&whole.crash(CrashKeeps::Nothing)).unwrap();
        prop_assert_eq!((Some(&state), manifest.delta()), (states.last(), states.len() as u64));

        for keeps in [CrashKeeps::Nothing, CrashKeeps::Everything, CrashKeeps::Some(seed)] {
            let disk = disk();
            disk.power_off(at);
            let durable = live(&disk, &steps).len();
            let after = disk.crash(keeps);
            let Some((mut manifest, state)) = found(&after) else {
                prop_assert_eq!(durable, 0);
                // The creation was cut short, and may be begun again.
                prop_assert_eq!(live(&after, &steps).len(), states.len());
                continue;
            };
            let count = manifest.delta() as usize;
            prop_assert!(count == durable || count == durable + 1, "{} of {}", count, durable);
            prop_assert_eq!(&state, &states[count - 1]);
            // It goes on from there, whatever lies behind its end.
            let next = Delta { definitions: Some(77), ..Delta::default() };
            prop_assert_eq!(manifest.append(&next).unwrap(), count as u64 + 1);
            let (manifest, state) = found(&after.crash(CrashKeeps::Nothing)).unwrap();
            prop_assert_eq!((state.definitions, manifest.delta()), (77, count as u64 + 1));
        }
    }
}

fn some_queue() -> QueueNote {
    let mut note = QueueNote { last_seq: 900, known: 800, ..QueueNote::default() };
    note.settled.add(1, 300);
    note.exposed.add(301, 309);
    note.counts.push((2, note.exposed.clone()));
    note.lines.push((0, LineCount { messages: 500, body_bytes: 512_000, timed: 1 }));
    note
}

/// A base and three deltas.
fn small(disk: &MemoryDisk) -> Vec<ManifestState> {
    let steps: Vec<_> = (1..4_u64)
        .map(|step| Delta {
            cut: Some(Cut { batch: step * 10, ..Cut::default() }),
            runs: vec![(step, Some(RunNote { entries: 5, bytes: 16_000 })), (step - 1, None)],
            slots: vec![(step, Some(SlotNote { file: step, length: 65_536, entries: 5, live_bytes: 999 }))],
            queues: vec![(step, Some(some_queue()))],
            ..Delta::default()
        })
        .map(|delta| (delta, false))
        .collect();
    live(disk, &steps)
}

/// Opens what was damaged. It must be as it was, or as before the last delta, or refused by name.
fn check_damaged(disk: &MemoryDisk, path: &Path, states: &[ManifestState], what: &str) -> &'static str {
    let named = |error: StorageError| match error {
        StorageError::Corrupt { file, .. } => assert_eq!(file, path, "{what}"),
        other => panic!("{what}: {other}"),
    };
    match Manifest::open(disk, &folder(), LOG) {
        Ok(ManifestFound::Valid(manifest, state)) => {
            let count = manifest.delta() as usize;
            assert_eq!(*state, states[count - 1], "{what}");
            assert!(count + 1 >= states.len(), "{what}: only the last delta may be missing");
            if count == states.len() { "whole" } else { "torn" }
        }
        Ok(ManifestFound::None) => panic!("{what}: no manifest found"),
        Ok(ManifestFound::Invalid(error)) | Err(error) => {
            named(error);
            "refused"
        }
    }
}

#[test]
fn no_changed_byte_and_no_cut_gives_another_state() {
    let disk = disk();
    let path = manifest_path(&folder(), 1);
    let states = small(&disk);
    let bytes = disk.read_all(&path).unwrap();
    let last = 3 * 4096;
    for at in 0..4 * 4096 + 100 {
        disk.tamper(&path, |bytes| bytes[at] ^= 1 << (at % 8));
        let found = check_damaged(&disk, &path, &states, &format!("byte {at}"));
        let expected = if at < last { ["refused", "whole"] } else { ["torn", "whole"] };
        assert!(expected.contains(&found), "byte {at}: {found}");
        assert!(at % 4096 > 64 || at > last + 64 || found != "whole", "byte {at} is in a head");
        disk.tamper(&path, |bytes| bytes[at] ^= 1 << (at % 8));
    }
    for cut in (0..bytes.len()).filter(|at| at.is_multiple_of(1021) || *at < 4 * 4096).rev() {
        disk.tamper(&path, |bytes| bytes.truncate(cut));
        // What a cut takes away entirely, a batch that names a later delta proves: recovery compares.
        if let Ok(ManifestFound::Valid(manifest, state)) = Manifest::open(&disk, &folder(), LOG) {
            assert_eq!(*state, states[manifest.delta() as usize - 1], "cut at {cut}");
        }
    }
}

#[test]
fn a_newest_file_without_a_base_gives_way_to_the_one_before() {
    let disk = disk();
    let states = small(&disk);
    let second = manifest_path(&folder(), 2);
    disk.create(&second, 8192).unwrap();
    let (mut manifest, state) = found(&disk).unwrap();
    assert_eq!(Some(&state), states.last());
    // It goes before anything is appended.
    manifest.append(&Delta::default()).unwrap();
    assert_eq!(disk.list(&folder()).unwrap(), ["manifest-0000000001"]);
}

#[test]
fn without_a_valid_base_nothing_is_made_up() {
    let disk = disk();
    assert!(matches!(Manifest::open(&disk, &folder(), LOG).unwrap(), ManifestFound::None));
    small(&disk);
    disk.tamper(&manifest_path(&folder(), 1), |bytes| bytes[70] ^= 1);
    assert!(matches!(Manifest::open(&disk, &folder(), LOG).unwrap(), ManifestFound::Invalid(_)));
    assert!(matches!(Manifest::open(&disk, &folder(), [9; 16]).unwrap(), ManifestFound::Invalid(_)));
}

#[test]
fn a_rewrite_is_due_when_the_deltas_outweigh_the_base_and_leaves_one_file() {
    let disk = disk();
    let mut state = ManifestState::default();
    let mut manifest = Manifest::create(&disk, &folder(), LOG, &state).unwrap();
    let mut deltas = 0;
    while !manifest.rewrite_is_due() {
        let delta = Delta { queues: vec![(deltas, Some(some_queue()))], ..Delta::default() };
        manifest.append(&delta).unwrap();
        state.apply(delta);
        deltas += 1;
    }
    assert!(deltas > 20 && manifest.bytes() < 1 << 20, "{deltas} deltas in {} bytes", manifest.bytes());
    manifest.rewrite(&state).unwrap();
    assert!(!manifest.rewrite_is_due());
    assert_eq!(disk.list(&folder()).unwrap(), ["manifest-0000000002"]);
    let (manifest, read) = found(&disk.crash(CrashKeeps::Nothing)).unwrap();
    assert_eq!((read, manifest.delta()), (state, deltas + 1));
}

#[test]
fn a_full_disk_stops_a_rewrite_and_not_the_next_deltas() {
    let disk = disk();
    let mut manifest = Manifest::create(&disk, &folder(), LOG, &ManifestState::default()).unwrap();
    let before = disk.syncs();
    disk.set_capacity(Some(1));
    assert!(manifest.rewrite(&ManifestState::default()).unwrap_err().is_full());
    for _ in 0..30 {
        manifest.append(&Delta::default()).unwrap();
    }
    assert_eq!(disk.syncs() - before, 30, "one sync for each");
    let refused = (0..100).find_map(|_| manifest.append(&Delta::default()).err()).unwrap();
    assert!(refused.is_full(), "{refused}");
    disk.set_capacity(None);
    manifest.append(&Delta::default()).unwrap();
    assert_eq!(found(&disk.crash(CrashKeeps::Nothing)).unwrap().0.delta(), manifest.delta());
}

#[test]
fn a_failed_sync_ends_its_use() {
    let disk = disk();
    let mut manifest = Manifest::create(&disk, &folder(), LOG, &ManifestState::default()).unwrap();
    disk.fail_sync(0);
    assert!(matches!(manifest.append(&Delta::default()), Err(StorageError::Io { .. })));
    assert!(matches!(manifest.append(&Delta::default()), Err(StorageError::Poisoned)));
    assert!(matches!(manifest.rewrite(&ManifestState::default()), Err(StorageError::Poisoned)));
}

#[test]
fn a_manifest_of_a_newer_format_is_refused_by_its_number() {
    let disk = disk();
    small(&disk);
    disk.tamper(&manifest_path(&folder(), 1), |bytes| {
        bytes[8] = 9;
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    });
    let error = Manifest::open(&disk, &folder(), LOG).unwrap_err();
    assert!(matches!(error, StorageError::Version { found: 9, supported: 1, .. }), "{error}");
}
