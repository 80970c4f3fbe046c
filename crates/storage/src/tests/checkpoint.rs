//! Checkpoints: what they keep, what they free, and what recovery makes of them.

use super::*;

fn publish_many(run: &mut Running, seqs: std::ops::RangeInclusive<u64>, len: usize) {
    for seq in seqs {
        run.publish(1, seq, &seq.to_le_bytes().repeat(len / 8));
        if seq % 10 == 0 {
            run.step();
        }
    }
    run.step();
}

fn all(store: &Store<MemoryDisk>) -> Vec<RecoveredMessage> {
    let most_bytes = usize::MAX;
    let read = Read { queue: 1, order_key: 0, first: 0, last: u64::MAX, most_messages: 10_000, most_bytes };
    let found = store.read(&read).unwrap();
    assert!(found.is_all);
    found.messages
}

fn seqs(store: &Store<MemoryDisk>) -> Vec<u64> {
    all(store).iter().map(|message| message.seq).collect()
}

#[test]
fn messages_in_runs_are_read_as_they_were_and_settled_ones_are_not() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    publish_many(&mut run, 1..=300, 400);
    assert_eq!(run.checkpoint().unwrap().messages, 300);
    run.gather.settle(1, &[(2, 2), (100, 199)], SettleReason::Acknowledged);
    run.gather.returned(1, &[(7, 8)], 3);
    run.gather.unexpose(1, &[(8, 9)]);
    run.step();
    publish_many(&mut run, 301..=320, 400);
    for _ in 0..4 {
        let found = all(&run.store);
        let expected: Vec<u64> = (1..=320).filter(|seq| *seq != 2 && !(100..200).contains(seq)).collect();
        assert_eq!(found.iter().map(|message| message.seq).collect::<Vec<_>>(), expected);
        for message in found {
            assert_eq!(message.payload, message.seq.to_le_bytes().repeat(50));
            assert_eq!(message.delivery_count, if [7, 8].contains(&message.seq) { 3 } else { 0 });
            assert_eq!(message.flags.contains(MessageFlags::SEEN), ![8, 9].contains(&message.seq));
        }
        assert_eq!(run.store.statistics().tail_messages, 20);
        drop(run);
        run = start(&disk).unwrap();
    }
    // What was above the first cut is in a run too now.
    run.checkpoint().unwrap();
    assert_eq!(run.store.statistics().tail_messages, 0);
    assert_eq!(seqs(&run.store).len(), 219);
}

#[test]
fn a_start_reads_nothing_of_what_is_below_the_cut() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    publish_many(&mut run, 1..=2000, 400);
    run.checkpoint().unwrap();
    publish_many(&mut run, 2001..=2005, 400);
    drop(run);
    let dir = DataDir::open(disk, Path::new(ROOT), small()).unwrap();
    let recovered = open_store(&dir, None).unwrap();
    assert!(recovered.statistics.records <= 10, "{:?}", recovered.statistics);
    assert_eq!(recovered.queues[&1].messages(), 2005);
    assert_eq!(recovered.queues[&1].last_seq, 2005);
}

#[test]
fn what_is_published_above_the_cut_before_the_capture_comes_back() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    publish_many(&mut run, 1..=3, 16);
    // An open body keeps the cut below the batches that follow.
    let (body, _) = run.gather.body(Payload::parts(&[b"shared"]));
    run.step();
    publish_many(&mut run, 4..=6, 16);
    run.gather.settle(1, &[(2, 2), (5, 5)], SettleReason::Acknowledged);
    run.step();
    assert_eq!(run.checkpoint().unwrap().messages, 2, "those below the cut and not settled");
    run.gather.entry(body, 2, 1, MessageFlags::NONE, 0, 0);
    run.gather.end_body(body);
    run.step();
    for _ in 0..2 {
        drop(run);
        run = start(&disk).unwrap();
        assert_eq!(seqs(&run.store), [1, 3, 4, 6]);
        assert_eq!(run.collected.body(2, 1), b"shared");
    }
}

#[test]
fn drained_slots_are_used_again_and_the_log_takes_no_more() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    let mut most = 0;
    for round in 0..40_u64 {
        publish_many(&mut run, round * 100 + 1..=round * 100 + 100, 1000);
        run.gather.settle(1, &[(0, round * 100 + 99)], SettleReason::Acknowledged);
        run.step();
        run.checkpoint().unwrap();
        most = most.max(slot_files(&disk).len());
    }
    assert_eq!(seqs(&run.store), (0..40).map(|round| round * 100 + 100).collect::<Vec<_>>()[39..]);
    assert!(most <= 12, "{most} slots");
    drop(run);
    assert_eq!(look(&disk).unwrap().0.seqs(1), [4000]);
}

#[test]
fn a_slot_with_one_unsettled_message_is_kept() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    publish_many(&mut run, 1..=200, 1000);
    run.checkpoint().unwrap();
    // All but one message of the first slot.
    run.gather.settle(1, &[(1, 4), (6, 200)], SettleReason::Acknowledged);
    run.step();
    publish_many(&mut run, 201..=260, 1000);
    run.checkpoint().unwrap();
    run.gather.settle(1, &[(201, 260)], SettleReason::Acknowledged);
    run.step();
    for round in 0..3 {
        run.checkpoint().unwrap();
        publish_many(&mut run, 300 + round * 100..=399 + round * 100, 1000);
    }
    assert_eq!(all(&run.store)[0].payload, 5_u64.to_le_bytes().repeat(125));
}

#[test]
fn a_checkpoint_takes_as_many_syncs_for_a_thousand_queues_as_for_one() {
    let syncs = |queues: u64| {
        let disk = MemoryDisk::new(1);
        let mut run = start(&disk).unwrap();
        run.checkpoint().unwrap();
        for queue in 1..=queues {
            run.publish(queue, 1, b"one");
        }
        run.step();
        let before = disk.syncs();
        assert_eq!(run.checkpoint().unwrap().messages, queues);
        disk.syncs() - before
    };
    assert_eq!(syncs(1), syncs(1000));
}

#[test]
fn a_manifest_older_than_the_log_saw_is_refused() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    publish_many(&mut run, 1..=10, 16);
    run.checkpoint().unwrap();
    let manifest = Path::new(ROOT).join("manifest-0000000001");
    let old = disk.read_all(&manifest).unwrap();
    publish_many(&mut run, 11..=20, 16);
    run.checkpoint().unwrap();
    publish_many(&mut run, 21..=30, 16);
    drop(run);
    assert!(look(&disk).is_ok());
    assert!(disk.tamper(&manifest, |bytes| *bytes = old));
    let error = look(&disk).unwrap_err();
    assert!(matches!(&error, StorageError::Corrupt { file, .. } if *file == manifest), "{error}");
}

#[test]
fn what_the_manifest_lists_and_is_missing_is_refused_by_its_name() {
    for name in ["runs/run-0000000001", "log/slot-0000000001"] {
        let disk = MemoryDisk::new(1);
        let mut run = start(&disk).unwrap();
        publish_many(&mut run, 1..=200, 1000);
        run.checkpoint().unwrap();
        publish_many(&mut run, 201..=400, 1000);
        drop(run);
        let path = Path::new(ROOT).join(name);
        disk.remove(&path).unwrap();
        let error = look(&disk).unwrap_err();
        assert!(matches!(&error, StorageError::Corrupt { file, .. } if *file == path), "{error}");
    }
}

#[test]
fn definitions_below_the_cut_come_from_beside_the_log_or_the_start_is_refused() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    let change = (b"key".to_vec(), Some(b"value".to_vec()));
    let position = run.gather.definition(1, std::slice::from_ref(&change));
    run.changes.push((position, 1, change));
    run.step();
    run.checkpoint().unwrap();
    drop(run);
    assert_eq!(look(&disk).unwrap().0.definitions.entries.len(), 1);
    disk.remove(&Path::new(ROOT).join("definitions.json")).unwrap();
    let error = look(&disk).unwrap_err();
    assert!(error.to_string().contains("definitions.json"), "{error}");
}

#[test]
fn a_full_disk_fails_a_checkpoint_and_nothing_is_lost() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    publish_many(&mut run, 1..=100, 400);
    run.checkpoint().unwrap();
    publish_many(&mut run, 101..=3000, 16);
    run.gather.settle(1, &[(1, 50), (200, 300)], SettleReason::Acknowledged);
    run.step();
    let expected = seqs(&run.store);
    let used = 1_u64 << 40;
    let available = disk.space(Path::new(ROOT)).unwrap().available;
    disk.set_capacity(Some(used - available));
    let error = run.checkpoint().unwrap_err();
    assert!(error.is_full(), "{error}");
    run.gather.settle(1, &[(60, 60)], SettleReason::Acknowledged);
    run.step();
    disk.set_capacity(None);
    run.checkpoint().unwrap();
    let expected: Vec<u64> = expected.into_iter().filter(|seq| *seq != 60).collect();
    assert_eq!(seqs(&run.store), expected);
    drop(run);
    let (found, recovered) = look(&disk).unwrap();
    assert_eq!(found.seqs(1), expected);
    assert_eq!(recovered.queues[&1].messages(), expected.len() as u64);
}

#[test]
fn a_deleted_queue_gives_its_slots_back() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    publish_many(&mut run, 1..=300, 1000);
    run.checkpoint().unwrap();
    run.gather.settle(1, &[(0, u64::MAX)], SettleReason::QueueDeleted);
    run.step();
    run.publish(2, 1, b"other");
    run.step();
    let done = run.checkpoint().unwrap();
    assert!(done.slots >= 4, "{done:?}");
    drop(run);
    let (found, recovered) = look(&disk).unwrap();
    assert_eq!(found.queues.keys().collect::<Vec<_>>(), [&2]);
    assert!(!recovered.queues.contains_key(&1));
}

#[test]
fn a_reader_keeps_its_slots_from_being_used_again() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    publish_many(&mut run, 1..=200, 1000);
    run.checkpoint().unwrap();
    let most_bytes = usize::MAX;
    let read = Read { queue: 1, order_key: 0, first: 0, last: 100, most_messages: 100, most_bytes };
    let located = run.store.locate(&read).unwrap();
    run.gather.settle(1, &[(0, 200)], SettleReason::Acknowledged);
    run.step();
    for round in 0..5 {
        publish_many(&mut run, 201 + round * 100..=300 + round * 100, 1000);
        run.gather.settle(1, &[(0, 300 + round * 100)], SettleReason::Acknowledged);
        run.step();
        run.checkpoint().unwrap();
        while run.store.tidy().unwrap() {}
    }
    let held = run.dir.pool().usage().used;
    let found = located.load().unwrap();
    assert!(found.messages.iter().all(|message| message.payload == message.seq.to_le_bytes().repeat(125)));
    assert_eq!(found.messages.len(), 100);
    while run.store.tidy().unwrap() {}
    assert!(run.dir.pool().usage().used < held, "what was read is free now");
}
