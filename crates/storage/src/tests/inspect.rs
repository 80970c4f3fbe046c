//! `verify` and `salvage`: nothing damaged goes unseen, nothing whole is lost, nothing wrong is saved.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::model::{op, sorted};
use super::rot::{apply, log_of, proof, rot};
use super::*;
use crate::inspect::{Lost, Report};

const OUT: &str = "/out";

pub(super) fn check(disk: &MemoryDisk) -> Report {
    verify(disk, Path::new(ROOT), &|_| None, &mut |_| {}).unwrap()
}

/// Salvages into a disk of its own and reads what came of it.
pub(super) fn save(disk: &MemoryDisk) -> (Report, Collected) {
    let report = salvage(disk, Path::new(ROOT), Path::new(OUT), &|_| None, &mut |_| {}).unwrap();
    let dir = DataDir::open(disk.clone(), Path::new(OUT), small()).unwrap();
    let mut saved = Collected::default();
    let recovered = recover(&dir, None, &mut saved).unwrap();
    assert!(recovered.clean_stop && recovered.quarantined.is_empty());
    (report, saved)
}

/// Positions are those of another log.
fn comparable(state: Collected) -> Collected {
    let mut state = sorted(state);
    state.definitions.position = Position(0);
    state
}

fn messages(state: &Collected) -> BTreeMap<(u64, u64), &RecoveredMessage> {
    state.queues.values().flatten().map(|message| ((message.queue, message.seq), message)).collect()
}

/// Whether the report accounts for the loss of this message.
fn is_told(report: &Report, queue: u64, seq: u64) -> bool {
    report.refusal.is_some()
        || report.losses.iter().any(|loss| match loss.lost {
            Lost::Messages { queue: of, first, last } => of == queue && (first..=last).contains(&seq),
            Lost::Index { from_queue, to_queue, .. } => (from_queue..=to_queue).contains(&queue),
            Lost::Records { .. } => true,
            Lost::Definitions | Lost::Settlements | Lost::Nothing => false,
        })
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_whole_store_is_found_whole_and_saved_as_it_is(
        sessions in proptest::collection::vec(proptest::collection::vec(op(), 1..30), 1..4)
    ) {
        let (disk, model) = log_of(&sessions);
        let report = check(&disk);
        prop_assert!(report.is_whole(), "{report:?}");
        let expected = comparable(model.state());
        prop_assert_eq!(report.messages, messages(&expected).len() as u64);
        prop_assert_eq!(report.definitions, expected.definitions.entries.len() as u64);
        let before: Vec<_> = slot_files(&disk).iter().map(|path| disk.read_all(path).unwrap()).collect();
        let (saved_report, saved) = save(&disk);
        prop_assert_eq!(&saved_report, &report);
        let saved = comparable(saved);
        prop_assert!(saved == expected, "saved {}, expected {}", saved.in_short(), expected.in_short());
        let after: Vec<_> = slot_files(&disk).iter().map(|path| disk.read_all(path).unwrap()).collect();
        prop_assert!(before == after, "what is salvaged stays as it is");
    }

    #[test]
    fn of_a_damaged_store_all_that_is_whole_is_saved_and_every_loss_told(
        sessions in proptest::collection::vec(proptest::collection::vec(op(), 1..30), 1..4),
        rots in proptest::collection::vec(rot(), 1..3),
    ) {
        let (disk, model) = log_of(&sessions);
        let (active, at, block) = proof(&disk);
        rots.iter().for_each(|rot| apply(&disk, rot));
        let is_proven = disk.read_all(&active).unwrap_or_default().get(at..at + 4096) == Some(&block[..]);
        let report = check(&disk);
        let (saved_report, saved) = save(&disk);
        prop_assert_eq!(&saved_report, &report);
        let (ever, live) = (model.ever(), model.state());
        for ((queue, seq), message) in messages(&saved) {
            prop_assert_eq!(ever.get(&(queue, seq)), Some(&message.payload.to_vec()), "{} {}", queue, seq);
        }
        let saved: BTreeSet<_> = messages(&saved).into_keys().collect();
        for (queue, seq) in messages(&live).into_keys().filter(|key| is_proven && !saved.contains(key)) {
            prop_assert!(is_told(&report, queue, seq), "message {seq} of queue {queue}: {report:#?}");
        }
        if is_proven && report.is_whole() {
            let (found, recovered) = look(&disk).unwrap();
            prop_assert!(recovered.quarantined.is_empty());
            prop_assert!(sorted(found) == sorted(live), "a whole store has all");
        }
    }
}

#[test]
fn a_damaged_body_costs_that_message_alone_and_is_named() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    for seq in 1..=30 {
        run.publish(1, seq, &[seq as u8; 1000]);
        run.publish(2, seq, &[seq as u8; 10]);
    }
    run.step();
    run.log.stop(&mut run.gather).unwrap();
    drop((run.dir, run.store));
    let file = slot_files(&disk).remove(0);
    let bytes = disk.read_all(&file).unwrap();
    let at = bytes.windows(8).position(|window| window == [17; 8]).unwrap();
    disk.tamper(&file, |bytes| bytes[at] ^= 1);

    let report = check(&disk);
    let [loss] = &report.losses[..] else { panic!("{report:#?}") };
    assert_eq!(loss.lost, Lost::Messages { queue: 1, first: 17, last: 17 });
    assert_eq!((&loss.file, loss.offset), (&file, at as u64));
    assert!(loss.to_string().ends_with("message 17 of queue 1 is lost"), "{loss}");
    assert_eq!((report.messages, report.queues), (59, 2));
    let (_, saved) = save(&disk);
    assert_eq!(saved.seqs(1), (1..=30).filter(|seq| *seq != 17).collect::<Vec<_>>());
}

#[test]
fn where_no_store_is_nothing_is_made() {
    let disk = MemoryDisk::new(1);
    assert!(verify(&disk, Path::new(ROOT), &|_| None, &mut |_| {}).is_err());
    disk.create_folder(Path::new(ROOT)).unwrap();
    let error = verify(&disk, Path::new(ROOT), &|_| None, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("find a store"), "{error}");
    assert_eq!(disk.list(Path::new(ROOT)).unwrap(), Vec::<String>::new());
}

#[test]
fn what_is_salvaged_overwrites_nothing() {
    let (disk, _) = log_of(&[]);
    drop(start(&disk).unwrap());
    disk.create_folder(Path::new("/out/mine")).unwrap();
    let refused = salvage(&disk, Path::new(ROOT), Path::new(OUT), &|_| None, &mut |_| {}).unwrap_err();
    assert!(refused.to_string().contains("not empty"), "{refused}");
}

#[test]
fn a_store_in_use_is_left_alone() {
    let disk = MemoryDisk::new(1);
    let run = start(&disk).unwrap();
    let refused = verify(&disk, Path::new(ROOT), &|_| None, &mut |_| {}).unwrap_err();
    assert!(matches!(refused, StorageError::Locked { .. }), "{refused}");
    drop(run);
}

/// Published, checkpointed, published again.
fn some_store() -> MemoryDisk {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    for seq in 0..40 {
        run.publish(1, seq, &[seq as u8; 500]);
        if seq == 20 {
            run.gather.settle(1, &[(3, 4)], SettleReason::Acknowledged);
            run.step();
            run.checkpoint().unwrap();
        }
    }
    run.step();
    run.log.stop(&mut run.gather).unwrap();
    disk
}

#[test]
fn without_its_identity_a_store_is_saved_by_its_slots() {
    let identity = Path::new(ROOT).join("identity");
    for is_lost in [false, true] {
        let disk = some_store();
        if is_lost {
            disk.remove(&identity).unwrap();
        } else {
            disk.tamper(&identity, |bytes| bytes[20] ^= 1);
        }
        let (report, saved) = save(&disk);
        assert!(report.refusal.is_some() && report.losses[0].file == identity, "{report:#?}");
        assert_eq!(saved.seqs(1).len(), 38);
        assert_eq!(check(&disk), report);
    }
}

#[test]
fn without_a_manifest_all_is_saved_and_settled_messages_may_come_back() {
    let disk = some_store();
    let manifest = Path::new(ROOT).join("manifest-0000000001");
    disk.tamper(&manifest, |bytes| bytes[66] ^= 1);
    let (report, saved) = save(&disk);
    assert!(report.losses.iter().any(|loss| loss.lost == Lost::Settlements && loss.file == manifest));
    let seqs = saved.seqs(1);
    assert!((0..40).filter(|seq| ![3, 4].contains(seq)).all(|seq| seqs.contains(&seq)), "{seqs:?}");
}

#[test]
fn a_damaged_block_of_a_run_is_told_with_its_neighbours_and_the_rest_is_saved() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    for seq in 0..4000 {
        run.publish(1, seq, &(seq as u16).to_le_bytes());
        if seq % 100 == 99 {
            run.step();
        }
    }
    run.checkpoint().unwrap();
    run.log.stop(&mut run.gather).unwrap();
    drop((run.dir, run.store, run.definitions));
    let file = Path::new(ROOT).join("runs/run-0000000001");
    disk.tamper(&file, |bytes| bytes[16384 + 5000] ^= 1);
    let (report, saved) = save(&disk);
    let [loss] = &report.losses[..] else { panic!("{report:#?}") };
    let Lost::Index { from_queue: 1, from_seq, to_queue: 1, to_seq } = loss.lost else { panic!("{loss}") };
    assert_eq!((&loss.file, loss.offset), (&file, 16384));
    assert!(to_seq - from_seq > 500, "{loss}");
    assert_eq!(saved.seqs(1), (0..=from_seq).chain(to_seq..4000).collect::<Vec<_>>());
}
