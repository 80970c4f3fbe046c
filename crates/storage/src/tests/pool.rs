//! Slots are overwritten only when nobody reads them, and under a new name that is durable first.

use std::sync::Arc;

use super::*;
use crate::format::SlotHeader;
use crate::log::pool::{Purpose, SPARE_SLOTS, SlotPool};
use crate::log::slots::Slot;

const SLOT: u64 = 64 << 10;
const LOG: [u8; 16] = [7; 16];

fn pool(disk: &MemoryDisk) -> SlotPool<MemoryDisk> {
    let folder = Path::new(ROOT).join("log");
    disk.create_folder(&folder).unwrap();
    SlotPool::new(disk.clone(), folder, LOG, SLOT, true)
}

fn files(disk: &MemoryDisk) -> usize {
    disk.list(&Path::new(ROOT).join("log")).unwrap().len()
}

#[test]
fn a_freed_slot_is_overwritten_as_another_incarnation_of_the_same_file() {
    let disk = MemoryDisk::new(1);
    let pool = pool(&disk);
    let first = pool.take(Purpose::Log, SLOT, 0).unwrap();
    let (number, incarnation) = (first.number, first.incarnation);
    drop(first);
    pool.free(incarnation);
    let again = pool.take(Purpose::Log, SLOT, incarnation).unwrap();
    assert_eq!((again.number, again.incarnation), (number, incarnation + 1));
    assert!(pool.pin(incarnation).is_none(), "the old incarnation is gone");
    assert_eq!(pool.pin(again.incarnation).map(|slot| slot.number), Some(number));
    assert_eq!(files(&disk), 1);
    // Header and name are durable before the slot is handed out.
    let found = disk.crash(CrashKeeps::Nothing).read_all(&again.path).unwrap();
    let header = SlotHeader { log: LOG, incarnation: 2, follows: 1, allocated: SLOT };
    assert_eq!(SlotHeader::decode(&found), Some((1, header)));
}

#[test]
fn a_slot_that_somebody_reads_is_neither_overwritten_nor_unlinked() {
    let disk = MemoryDisk::new(1);
    let pool = pool(&disk);
    let read = pool.take(Purpose::Log, SLOT, 0).unwrap();
    disk.write_at(&read.file, 4096, b"being read").unwrap();
    pool.free(read.incarnation);
    let other = pool.take(Purpose::Log, SLOT, 0).unwrap();
    assert_ne!(other.number, read.number);
    assert_eq!(pool.trim(0).unwrap(), 0);
    assert_eq!(pool.usage().pinned, 1);
    let mut bytes = [0; 10];
    disk.read_at(&read.file, 4096, &mut bytes).unwrap();
    assert_eq!(&bytes, b"being read");
    let number = read.number;
    drop(read);
    assert_eq!(pool.take(Purpose::Log, SLOT, 0).unwrap().number, number, "the last pin is gone");
}

#[test]
fn free_slots_count_and_are_given_back() {
    let disk = MemoryDisk::new(1);
    let pool = pool(&disk);
    let taken: Vec<Arc<_>> = (0..5).map(|_| pool.take(Purpose::Log, SLOT, 0).unwrap()).collect();
    let odd = pool.take(Purpose::Log, 2 * SLOT, 0).unwrap().incarnation;
    let incarnations: Vec<u64> = taken.iter().map(|slot| slot.incarnation).collect();
    drop(taken);
    incarnations.iter().for_each(|incarnation| pool.free(*incarnation));
    pool.free(odd);
    assert_eq!((pool.usage().used, pool.usage().free_bytes), (0, 7 * SLOT));
    assert_eq!(pool.trim(4).unwrap(), 3 * SLOT, "first the one of an odd length");
    assert_eq!((pool.usage().free, files(&disk)), (4, 4));
    assert_eq!(files(&disk.crash(CrashKeeps::Nothing)), 4, "durably");
}

#[test]
fn spare_slots_are_written_ahead_and_a_full_disk_leaves_one_for_each_purpose() {
    let disk = MemoryDisk::new(1);
    let pool = pool(&disk);
    while pool.spare().unwrap() {}
    assert_eq!((pool.usage().reserved, pool.usage().free), (2, SPARE_SLOTS));
    assert_eq!(files(&disk), SPARE_SLOTS + 3, "and room for a checkpoint");
    disk.set_capacity(Some((SPARE_SLOTS as u64 + 5) * SLOT));
    for _ in 0..SPARE_SLOTS {
        pool.take(Purpose::Log, SLOT, 0).unwrap();
    }
    pool.take(Purpose::Log, SLOT, 0).expect("the one held back for the log");
    assert!(pool.take(Purpose::Log, SLOT, 0).is_err_and(|error| error.is_full()));
    let compacted = pool.take(Purpose::Compaction, SLOT, 0).expect("compaction has its own");
    assert!(pool.take(Purpose::Compaction, SLOT, 0).is_err_and(|error| error.is_full()));
    assert!(!pool.spare().unwrap(), "no room to hold anything back");
    let freed = compacted.incarnation;
    drop(compacted);
    pool.free(freed);
    pool.take(Purpose::Log, SLOT, 0).expect("what compaction freed");
    assert!(pool.spend_reserve().unwrap() && !pool.spend_reserve().unwrap());
    assert_eq!(disk.space(Path::new(ROOT)).unwrap().available, 3 * SLOT, "a checkpoint's");
    disk.set_capacity(None);
    while pool.spare().unwrap() {}
    assert_eq!(pool.usage().reserved, 2, "held back again");
    assert!(pool.spend_reserve().unwrap());
}

/// Every call of the disk fails once, in each way it can.
#[test]
fn a_slot_that_could_not_be_made_is_never_handed_out() {
    for (after, fail) in [(0, "power"), (1, "power"), (2, "power"), (3, "power"), (0, "write"), (0, "sync")] {
        let disk = MemoryDisk::new(1);
        let pool = pool(&disk);
        match fail {
            "power" => disk.power_off(after),
            "write" => disk.fail_write(after),
            _ => disk.fail_sync(after),
        }
        let taken = pool.take(Purpose::Log, SLOT, 0);
        assert!(taken.is_err_and(|error| !error.is_full()), "{fail} {after}");
        assert_eq!(pool.usage().used, 0, "{fail} {after}");
    }
}

#[test]
fn a_slot_that_could_not_be_written_ahead_leaves_no_file() {
    for fail in ["folder", "write", "sync"] {
        let disk = MemoryDisk::new(1);
        let pool = pool(&disk);
        match fail {
            "folder" => disk.fail_sync_folder(),
            "write" => disk.fail_write(0),
            _ => disk.fail_sync(0),
        }
        assert!(pool.spare().is_err(), "{fail}");
        assert_eq!(files(&disk), 0, "{fail}");
        assert!(pool.spare().unwrap(), "{fail}");
        assert_eq!((files(&disk), pool.usage().reserved), (1, 1), "{fail}");
    }
}

#[test]
fn the_log_goes_on_in_freed_slots() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    let mut numbers = std::collections::BTreeSet::new();
    for seq in 0..60 {
        run.publish(1, seq, &[1; 8_000]);
        run.step();
        run.log.tend().unwrap();
        // As a checkpoint would: what is neither active nor next holds nothing any more.
        let pool = run.dir.pool();
        let newest = pool.usage().used as u64 + pool.usage().free as u64;
        let used: Vec<u64> = (1..200).filter(|at| pool.pin(*at).is_some()).collect();
        for incarnation in used.iter().rev().skip(2) {
            numbers.insert(pool.pin(*incarnation).unwrap().number);
            pool.free(*incarnation);
        }
        assert!(newest <= 4, "{newest} slots");
    }
    assert!(run.log.statistics().slots > 6 && numbers.len() <= 4, "{numbers:?}");
}

#[test]
fn definitions_larger_than_a_slot_get_one_that_holds_them() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    run.publish(1, 1, b"before");
    run.step();
    run.publish(1, 2, &[1; 8_000]);
    for seq in 3..8 {
        run.publish(1, seq, &[1; 8_000]);
    }
    run.step();
    run.log.tend().unwrap();
    run.gather.definition(1, &[(b"key".to_vec(), Some(vec![1; 200_000]))]);
    run.publish(1, 9, b"after");
    run.step();
    drop(run);
    let (found, recovered) = look(&disk).unwrap();
    assert_eq!(found.seqs(1).len(), 8);
    assert_eq!(recovered.definitions.entries.values().next().map(Vec::len), Some(200_000));
}

#[test]
fn slots_that_recovery_found_are_used_and_numbers_go_on_after_theirs() {
    let disk = MemoryDisk::new(1);
    let pool = pool(&disk);
    let folder = Path::new(ROOT).join("log");
    let mut live = Slot::allocate(&disk, &folder, 7, SLOT).unwrap();
    live.begin(&disk, &SlotHeader { log: LOG, incarnation: 9, follows: 8, allocated: SLOT }, true).unwrap();
    pool.adopt(live);
    pool.adopt_free(Slot::allocate(&disk, &folder, 11, SLOT).unwrap());
    assert_eq!(pool.pin(9).map(|slot| slot.number), Some(7));
    let found = pool.take(Purpose::Log, SLOT, 9).unwrap();
    let new = pool.take(Purpose::Log, SLOT, 9).unwrap();
    assert_eq!(((found.number, found.incarnation), (new.number, new.incarnation)), ((11, 10), (12, 11)));
}
