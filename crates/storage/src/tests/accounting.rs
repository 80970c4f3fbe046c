//! What settled messages come to where runs or slots cannot be read, and what tidying does there: nothing is
//! counted wrong, nothing lost.

use super::*;

fn run_files(disk: &MemoryDisk) -> Vec<PathBuf> {
    let folder = Path::new(ROOT).join("runs");
    disk.list(&folder).unwrap().into_iter().map(|name| folder.join(name)).collect()
}

fn line(order_key: u64) -> Read {
    let (most_messages, most_bytes) = (10_000, usize::MAX);
    Read { queue: 1, order_key, first: 0, last: u64::MAX, most_messages, most_bytes }
}

/// Three thousand messages in one run of several blocks.
fn long_run(disk: &MemoryDisk, order_keys: u64) -> Running {
    let mut run = start(disk).unwrap();
    for seq in 0..3000 {
        run.gather.message(1, seq, MessageFlags::SEEN, seq % order_keys, 0, Payload::parts(&[b"some body"]));
        if seq % 500 == 499 {
            run.step();
        }
    }
    run.checkpoint().unwrap();
    run
}

#[test]
fn a_queue_is_stopped_if_a_damaged_block_hides_how_much_of_it_is_left() {
    // Settled above the cut, or below that of a later checkpoint; in a queue with one order key, or three.
    for (order_keys, is_checkpointed) in [(1, false), (1, true), (3, false), (3, true)] {
        let what = format!("{order_keys} order keys, {is_checkpointed}");
        let disk = MemoryDisk::new(1);
        let mut run = long_run(&disk, order_keys);
        run.publish(2, 1, b"of another queue");
        let [file] = &run_files(&disk)[..] else { panic!("one run") };
        disk.tamper(file, |bytes| bytes[5000] ^= 1);
        run.gather.settle(1, &[(0, 1999)], SettleReason::Acknowledged);
        run.step();
        if is_checkpointed {
            run.checkpoint().unwrap();
        }
        for restart in 0..2 {
            drop(run);
            run = start(&disk).unwrap();
            let [stopped] = &run.recovered.quarantined[..] else {
                panic!("{what}, {restart}: {:?}", run.recovered.queues)
            };
            assert_eq!((stopped.queue, &stopped.file, stopped.offset), (1, file, 0), "{what}");
            assert_eq!(run.collected.seqs(2), [1], "{what}");
            run.checkpoint().unwrap();
        }
    }
}

#[test]
fn what_is_counted_right_stops_no_queue() {
    for order_keys in [1, 3] {
        let disk = MemoryDisk::new(1);
        let mut run = long_run(&disk, order_keys);
        run.gather.settle(1, &[(0, 1999)], SettleReason::Acknowledged);
        run.step();
        for _ in 0..3 {
            drop(run);
            run = start(&disk).unwrap();
            assert_eq!(run.recovered.quarantined, []);
            assert_eq!(run.recovered.queues[&1].messages(), 1000);
            let read: usize =
                (0..order_keys).map(|key| run.store.read(&line(key)).unwrap().messages.len()).sum();
            assert_eq!(read, 1000);
            run.checkpoint().unwrap();
        }
    }
}

#[test]
fn damage_to_what_is_settled_as_a_whole_costs_nothing() {
    let disk = MemoryDisk::new(1);
    let mut run = long_run(&disk, 1);
    let [file] = &run_files(&disk)[..] else { panic!("one run") };
    disk.tamper(file, |bytes| bytes[5000] ^= 1);
    run.gather.settle(1, &[(0, 2999)], SettleReason::Acknowledged);
    run.publish(1, 3000, b"the next");
    run.step();
    for _ in 0..3 {
        drop(run);
        run = start(&disk).unwrap();
        assert_eq!(run.recovered.quarantined, []);
        assert_eq!((run.recovered.queues[&1].messages(), run.collected.seqs(1)), (1, vec![3000]));
        run.checkpoint().unwrap();
    }
}

/// As many rounds of messages as make runs to merge and slots to compact; every tenth is kept.
fn sparse_rounds(run: &mut Running) -> Vec<u64> {
    for round in 0..6 {
        let seqs = round * 100..round * 100 + 100;
        for seq in seqs.clone() {
            run.publish(1, seq, &seq.to_le_bytes().repeat(120));
        }
        run.step();
        run.checkpoint().unwrap();
        for seq in seqs.filter(|seq| seq % 10 != 0) {
            run.gather.settle(1, &[(seq, seq)], SettleReason::Acknowledged);
        }
        run.step();
    }
    run.checkpoint().unwrap();
    (0..600).step_by(10).collect()
}

fn tidy_up(run: &Running) {
    while run.store.tidy().expect("what cannot be read is left alone") {}
}

#[test]
fn what_cannot_be_read_is_neither_merged_nor_compacted_nor_lost() {
    for folder in ["runs", "log"] {
        let disk = MemoryDisk::new(1);
        let mut run = start(&disk).unwrap();
        let kept = sparse_rounds(&mut run);
        let files = if folder == "runs" { run_files(&disk) } else { slot_files(&disk) };
        files.iter().for_each(|file| assert!(disk.set_unreadable(file, true)));
        tidy_up(&run);
        run.publish(2, 1, b"of another queue");
        run.gather.settle(1, &[(0, 0)], SettleReason::Acknowledged);
        run.step();
        run.checkpoint().expect("a checkpoint needs none of these");
        assert!(run.store.read(&line(0)).is_err(), "{folder}: nothing is given that cannot be read");
        files.iter().for_each(|file| _ = disk.set_unreadable(file, false));
        for restart in 0..2 {
            let found = run.store.read(&line(0)).unwrap().messages;
            assert_eq!(found.iter().map(|m| m.seq).collect::<Vec<_>>(), kept[1..], "{folder}, {restart}");
            assert!(
                found.iter().all(|m| m.payload == m.seq.to_le_bytes().repeat(120)),
                "{folder}, {restart}"
            );
            drop(run);
            run = start(&disk).unwrap();
            assert_eq!(run.recovered.quarantined, [], "{folder}, {restart}");
            assert_eq!(run.recovered.queues[&1].messages(), 59, "{folder}, {restart}");
            run.checkpoint().unwrap();
            tidy_up(&run);
        }
    }
}

#[test]
fn a_queue_deleted_while_a_checkpoint_writes_it_leaves_nothing_behind() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    run.publish(1, 0, &[1; 5000]);
    run.step();
    run.checkpoint().unwrap();
    // An order key that runs do not have yet.
    for seq in 1..40 {
        run.gather.message(1, seq, MessageFlags::SEEN, 7, 0, Payload::parts(&[&[2; 5000]]));
        run.step();
    }
    run.gather.definition(1, &[(b"key".to_vec(), Some(vec![1]))]);
    run.step();
    let Running { store, gather, log, .. } = &mut run;
    store
        .checkpoint(&mut |_| {
            gather.settle(1, &[(0, u64::MAX)], SettleReason::QueueDeleted);
            log.step(gather).map(drop)
        })
        .unwrap();
    for _ in 0..3 {
        run.checkpoint().unwrap();
        tidy_up(&run);
    }
    let usage = run.dir.pool().usage();
    assert_eq!((run.store.statistics().run_entries, usage.used <= 3), (0, true), "{usage:?}");
}
