//! What a batch waits for: the drive, the operating system, or nobody.

use super::*;
use crate::format::MODE_OS;
use crate::log::sink::NoSink;

fn start_os(disk: &MemoryDisk) -> Result<Running, StorageError> {
    start_with(disk, StorageOptions { durability: Durability::Os, ..small() })
}

#[test]
fn the_operating_system_is_enough_in_that_mode_and_a_checkpoint_syncs() {
    let disk = MemoryDisk::new(1);
    let mut run = start_os(&disk).unwrap();
    let before = disk.syncs();
    for seq in 1..=4 {
        run.publish(1, seq, b"told of before any sync");
        assert_eq!(run.step().0, seq);
    }
    assert_eq!(disk.syncs(), before);
    assert_eq!(look(&disk.crash(CrashKeeps::Everything)).unwrap().0.seqs(1), [1, 2, 3, 4]);
    run.dir.pool().sync_written().unwrap();
    assert_eq!(disk.syncs(), before + 1);
    run.publish(1, 5, b"after it");
    run.step();
    assert_eq!(look(&disk.crash(CrashKeeps::Nothing)).unwrap().0.seqs(1), [1, 2, 3, 4]);
    run.dir.pool().sync_written().unwrap();
    run.dir.pool().sync_written().unwrap();
    assert_eq!(disk.syncs(), before + 2, "nothing was written since");
}

/// Any sectors of any batches may be missing after a power cut: what is left is a prefix, and no refusal.
#[test]
fn after_a_power_cut_an_unsynced_log_ends_at_its_first_damage() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let disk = MemoryDisk::new(1);
        let mut run = start_os(&disk).unwrap();
        for seq in 1..=20 {
            run.publish(1, seq, &[seq as u8; 6_000]);
            run.step();
            run.log.tend().unwrap();
            if seq == seed % 20 {
                run.dir.pool().sync_written().unwrap();
            }
        }
        drop(run);
        let (found, recovered) = look(&disk.crash(CrashKeeps::Some(seed))).unwrap();
        let seqs = found.seqs(1);
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "seed {seed}");
        assert!(seqs.len() as u64 >= seed % 20, "seed {seed}: a checkpoint's sync lost");
        seqs.iter().for_each(|seq| assert_eq!(found.body(1, *seq), [*seq as u8; 6_000]));
        assert!(recovered.quarantined.is_empty(), "seed {seed}");
        assert!(recovered.statistics.torn_bytes > 0 || seqs.len() == 20, "seed {seed}: lost without a word");
        lengths.insert(seqs.len());
    }
    assert!(lengths.len() > 2, "{lengths:?}");
}

#[test]
fn a_batch_says_in_which_mode_it_was_written() {
    let disk = MemoryDisk::new(1);
    let mut run = start_os(&disk).unwrap();
    run.publish(1, 1, b"x");
    run.step();
    drop(run);
    let bytes = disk.read_all(&slot_files(&disk)[0]).unwrap();
    assert_eq!((bytes[4096 + 10], bytes[8192 + 10]), (0, MODE_OS), "the first of an epoch is synced");
}

#[test]
fn a_failed_sync_of_a_checkpoint_ends_the_log() {
    let disk = MemoryDisk::new(1);
    let mut run = start_os(&disk).unwrap();
    run.publish(1, 1, b"x");
    run.step();
    disk.fail_sync(0);
    assert!(run.dir.pool().sync_written().is_err());
    run.publish(1, 2, b"x");
    assert!(matches!(run.log.step(&mut run.gather), Err(StorageError::Poisoned)));
}

#[test]
fn what_may_be_lost_is_never_synced_and_removed_at_the_next_start() {
    let disk = MemoryDisk::new(1);
    let run = start(&disk).unwrap();
    let spill = Path::new(ROOT).join("spill").join("log");
    let before = disk.syncs();
    let mut log = LogWriter::spill(&run.dir, Box::new(NoSink)).unwrap();
    let mut gather = log.gather();
    for seq in 0..40 {
        gather.message(1, seq, MessageFlags::NONE, 0, 0, Payload::parts(&[&[1; 8_000]]));
        gather.message(2, seq, MessageFlags::NONE, 0, 0, Payload::parts(&[&[1; 9_000]]));
        log.step(&mut gather).unwrap();
        log.tend().unwrap();
    }
    log.idle().unwrap();
    assert_eq!(disk.syncs(), before);
    assert!(run.dir.spill_pool().usage().used > 3);
    assert!(disk.list(&spill).unwrap().len() > 40);
    drop((log, run));

    let run = start(&disk).unwrap();
    assert!(run.collected.queues.is_empty());
    let log = LogWriter::spill(&run.dir, Box::new(NoSink)).unwrap();
    assert_eq!(disk.list(&spill).unwrap().len(), 1, "only the slot just begun");
    assert_eq!(log.synced(), Position(0));
}
