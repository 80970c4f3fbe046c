//! Disks that are full or fail.

use super::*;

#[test]
fn a_full_disk_keeps_what_was_gathered_and_the_same_step_goes_on_once_there_is_room() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    disk.set_capacity(Some(200 << 10));
    let mut seq = 0;
    let error = loop {
        run.publish(1, seq, &[9; 5000]);
        seq += 1;
        assert!(seq < 1000, "the disk never filled up");
        if let Err(error) = run.log.step(&mut run.gather) {
            break error;
        }
    };
    assert!(error.is_full(), "{error}");
    assert!(!run.gather.is_empty() && run.log.synced() < run.gather.last_position());
    assert!(run.log.tend().is_err_and(|error| error.is_full()), "still full");
    assert!(run.log.step(&mut run.gather).is_err_and(|error| error.is_full()));
    // What is durable is so, full or not.
    let durable = look(&disk.crash(CrashKeeps::Nothing)).unwrap().1.next_position.0 - 1;
    assert_eq!(durable, run.log.synced().0);

    run.publish(1, seq, b"one more");
    disk.set_capacity(None);
    let last = run.gather.last_position();
    assert_eq!(run.log.step(&mut run.gather).unwrap(), last);
    drop(run);
    assert_eq!(look(&disk).unwrap().0.seqs(1), (0..=seq).collect::<Vec<_>>());
}

#[test]
fn a_step_of_several_batches_that_fills_the_disk_writes_none_twice() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    disk.set_capacity(Some(200 << 10));
    for seq in 0..60 {
        run.publish(1, seq, &[seq as u8; 5000]);
    }
    assert!(run.log.step(&mut run.gather).is_err_and(|error| error.is_full()));
    let part = run.log.synced();
    assert!(part > Position(0) && part < run.gather.last_position(), "{part:?}");
    disk.set_capacity(None);
    run.step();
    drop(run);
    assert_eq!(look(&disk).unwrap().0.seqs(1), (0..60).collect::<Vec<_>>());
}

#[test]
fn the_first_failed_sync_or_write_ends_the_log_for_good() {
    for failing in ["sync", "write"] {
        let disk = MemoryDisk::new(1);
        let mut run = start(&disk).unwrap();
        run.publish(1, 1, b"confirmed");
        run.step();
        run.publish(1, 2, b"never confirmed");
        match failing {
            "sync" => disk.fail_sync(0),
            _ => disk.fail_write(0),
        }
        assert!(matches!(run.log.step(&mut run.gather), Err(StorageError::Io { .. })), "{failing}");
        let syncs = disk.syncs();
        // The disk claims to be well again, as Linux does; nobody may believe it.
        assert!(matches!(run.log.step(&mut run.gather), Err(StorageError::Poisoned)), "{failing}");
        assert!(matches!(run.log.idle(), Err(StorageError::Poisoned)), "{failing}");
        assert!(matches!(run.log.tend(), Err(StorageError::Poisoned)), "{failing}");
        assert_eq!(disk.syncs(), syncs, "{failing}");
        assert!(run.log.synced() < run.gather.last_position());
        drop(run);
        let found = look(&disk.crash(CrashKeeps::Nothing)).unwrap().0;
        assert_eq!(found.seqs(1), [1], "{failing}");
    }
}

#[test]
fn a_failed_sync_of_a_slot_being_prepared_ends_the_log_too() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    for seq in 1..=5 {
        run.publish(1, seq, &[1; 8_000]);
    }
    run.step();
    disk.fail_sync(0);
    assert!(run.log.tend().is_err_and(|error| !error.is_full()));
    run.publish(1, 6, b"x");
    assert!(matches!(run.log.step(&mut run.gather), Err(StorageError::Poisoned)));
}

#[test]
fn one_batch_is_one_sync() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    let before = disk.syncs();
    for seq in 0..100 {
        run.publish(1, seq, b"0123456789abcdef");
    }
    run.step();
    assert_eq!(disk.syncs() - before, 1);
    run.step();
    assert_eq!(disk.syncs() - before, 1, "nothing gathered, nothing written");
}

#[test]
fn a_start_on_a_full_disk_lives_on_what_the_old_tail_gives_back() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    for seq in 1..=6 {
        run.publish(1, seq, &[1; 7_000]);
    }
    run.step();
    run.log.tend().unwrap();
    drop(run);
    let used = slot_files(&disk).iter().map(|file| disk.read_all(file).unwrap().len() as u64).sum::<u64>();
    disk.set_capacity(Some(used + (32 << 10)));
    let mut run = start(&disk).unwrap();
    assert_eq!(run.collected.seqs(1), [1, 2, 3, 4, 5, 6]);
    run.gather.settle(1, &[(1, 4)], SettleReason::Acknowledged);
    run.step();
    drop(run);
    assert_eq!(look(&disk).unwrap().0.seqs(1), [5, 6]);
}
