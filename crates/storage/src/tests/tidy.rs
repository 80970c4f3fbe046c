//! Merging, compaction, and faults at every call of the disk on the way.

use std::collections::BTreeSet;

use super::model::{Model, Op, sorted};
use super::*;

fn read_all(store: &Store<MemoryDisk>, queue: u64) -> Vec<RecoveredMessage> {
    let most_bytes = usize::MAX;
    let read = Read { queue, order_key: 0, first: 0, last: u64::MAX, most_messages: 100_000, most_bytes };
    store.read(&read).unwrap().messages
}

fn runs(disk: &MemoryDisk) -> usize {
    disk.list(&Path::new(ROOT).join("runs")).unwrap().len()
}

fn tidy_up(run: &Running) {
    let mut steps = 0;
    while run.store.tidy().unwrap() {
        steps += 1;
        assert!(steps < 2000, "tidying ends");
    }
}

#[test]
fn runs_are_merged_and_sparse_slots_compacted_and_nothing_else_changes() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    let kept = sparse(&mut run, 30, 20);
    let before = (slot_files(&disk).len(), runs(&disk));
    for _ in 0..3 {
        run.checkpoint().unwrap();
        tidy_up(&run);
    }
    let after = (slot_files(&disk).len(), runs(&disk));
    assert!(after.1 <= 6 && after.1 < before.1, "{before:?} {after:?}");
    let usage = run.dir.pool().usage();
    assert!(usage.used <= 6, "{usage:?}");
    for restart in 0..3 {
        for queue in [1, 2] {
            let found = read_all(&run.store, queue);
            assert_eq!(
                found.iter().map(|message| message.seq).collect::<Vec<_>>(),
                kept,
                "restart {restart}"
            );
            assert!(found.iter().all(|message| message.payload == message.seq.to_le_bytes().repeat(60)));
        }
        drop(run);
        run = start(&disk).unwrap();
        assert_eq!(run.recovered.queues[&1].messages(), kept.len() as u64);
        run.checkpoint().unwrap();
        tidy_up(&run);
    }
}

/// Publishes to two queues, settles all but one in `keep`, and makes a checkpoint, round for round.
fn sparse(run: &mut Running, rounds: u64, keep: u64) -> Vec<u64> {
    let mut kept = Vec::new();
    for round in 0..rounds {
        let seqs = round * 100..round * 100 + 100;
        for seq in seqs.clone() {
            let (body, _) = run.gather.body(Payload::parts(&[&seq.to_le_bytes().repeat(60)]));
            for queue in [1, 2] {
                run.gather.entry(body, queue, seq, MessageFlags::NONE, 0, 0);
            }
            run.gather.end_body(body);
            // An empty payload stands where the next one begins.
            run.gather.message(3, seq, MessageFlags::NONE, 0, 0, Payload::default());
        }
        run.step();
        run.checkpoint().unwrap();
        for seq in seqs.clone().filter(|seq| seq % keep != 0) {
            for queue in [1, 2] {
                run.gather.settle(queue, &[(seq, seq)], SettleReason::Acknowledged);
            }
        }
        run.step();
        kept.extend(seqs.filter(|seq| seq % keep == 0));
    }
    kept
}

#[test]
fn a_drained_backlog_gives_its_slots_back_before_any_checkpoint_is_due() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    for seq in 0..1000_u64 {
        run.publish(1, seq, &[7; 600]);
        if seq % 10 == 9 {
            run.step();
        }
    }
    run.checkpoint().unwrap();
    tidy_up(&run);
    let full = run.dir.pool().usage().used;
    let mut used = full;
    for first in (0..1000).step_by(200) {
        run.gather.settle(1, &[(first, first + 199)], SettleReason::Acknowledged);
        run.step();
        tidy_up(&run);
        let now = run.dir.pool().usage().used;
        assert!(now < used, "{now} of {used} slots are used with {} messages settled", first + 200);
        used = now;
    }
    assert!(full > 9 && used <= 3, "{full} {used}");
    assert!(!run.store.checkpoint_is_due());
}

#[test]
fn checkpoints_settlements_and_deletes_come_between_the_steps_of_a_merge() {
    let disk = MemoryDisk::new(1);
    let mut run = start_with(&disk, StorageOptions { step_entries: Some(1), ..small() }).unwrap();
    for round in 0..3 {
        for seq in round * 20 + 1..=round * 20 + 20 {
            run.publish(1, seq, &seq.to_le_bytes());
            run.publish(2, seq, b"goes");
        }
        run.step();
        run.checkpoint().unwrap();
    }
    let (mut steps, mut left) = (0, (1..=60).collect::<BTreeSet<u64>>());
    while run.store.tidy().unwrap() {
        steps += 1;
        // A step begins with the lowest numbers: some of these are in the new run already, others never get there.
        match steps % 4 {
            0 => {
                left.remove(&(steps % 60));
                run.gather.settle(1, &[(steps % 60, steps % 60)], SettleReason::Acknowledged)
            }
            1 if steps < 60 => {
                left.insert(60 + steps);
                run.publish(1, 60 + steps, &(60 + steps).to_le_bytes())
            }
            _ if steps == 30 => run.gather.settle(2, &[(0, u64::MAX)], SettleReason::QueueDeleted),
            _ => continue,
        };
        run.step();
        run.checkpoint().unwrap();
        assert!(steps < 2000, "tidying ends");
    }
    assert!(steps > 60, "the merge takes a step for each entry, {steps} in all");
    for _ in 0..2 {
        let found = read_all(&run.store, 1);
        assert_eq!(found.iter().map(|message| message.seq).collect::<BTreeSet<_>>(), left);
        assert!(found.iter().all(|message| *message.payload == message.seq.to_le_bytes()));
        assert_eq!(read_all(&run.store, 2), []);
        drop(run);
        run = start(&disk).unwrap();
        assert_eq!(run.recovered.queues[&1].messages(), left.len() as u64);
        assert!(!run.recovered.queues.contains_key(&2));
    }
}

#[test]
fn checkpoints_and_settlements_come_between_the_steps_of_a_compaction() {
    let disk = MemoryDisk::new(1);
    let options = StorageOptions { step_entries: Some(40), runs_of_a_tier: Some(1000), ..small() };
    let mut run = start_with(&disk, options).unwrap();
    let mut left: BTreeSet<u64> = sparse(&mut run, 12, 10).into_iter().collect();
    run.checkpoint().unwrap();
    let before = run.dir.pool().usage().used;
    let (mut steps, mut settled) = (0, 0);
    while run.store.tidy().unwrap() {
        steps += 1;
        assert!(steps < 5000, "tidying ends");
        if steps % 5 == 0 && settled < 400 {
            settled += 10;
            left.remove(&settled);
            for queue in [1, 2] {
                run.gather.settle(queue, &[(settled, settled)], SettleReason::Acknowledged);
            }
            // So much that the log goes on to later slots than the one that is being filled.
            for seq in 0..30 {
                run.publish(4, settled * 100 + seq, &[4; 1000]);
            }
            run.gather.settle(4, &[(0, settled * 100 + 29)], SettleReason::Acknowledged);
            run.step();
            run.checkpoint().unwrap();
        }
    }
    assert!(settled == 400 && run.dir.pool().usage().used < before, "{settled}");
    for _ in 0..2 {
        for queue in [1, 2] {
            let found = read_all(&run.store, queue);
            assert_eq!(found.iter().map(|message| message.seq).collect::<BTreeSet<_>>(), left);
            assert!(found.iter().all(|message| message.payload == message.seq.to_le_bytes().repeat(60)));
        }
        drop(run);
        run = start(&disk).unwrap();
        assert_eq!(run.recovered.queues[&1].messages(), left.len() as u64);
    }
}

/// A life that passes through checkpoints, merging, compaction, reuse of slots, blobs, groups and a delete.
fn script() -> Vec<Op> {
    let mut ops = Vec::new();
    for round in 0..6 {
        for _ in 0..6 {
            ops.push(Op::Publish { queue: 1, len: 2000, seen: false });
            ops.push(Op::FanOut { queues: 7, len: 3000, step_between: false });
        }
        ops.push(Op::Publish { queue: 2, len: 20_000, seen: true });
        ops.push(Op::Define { key: round, value: Some(round) });
        ops.extend([Op::Step, Op::Tend, Op::Checkpoint, Op::Tidy]);
        ops.push(Op::Group { queue: 2, commit: true });
        ops.push(Op::Expose { queue: 1, back: 2 });
        ops.push(Op::Return { queue: 1, back: 1, count: 2 });
        for queue in 1..=3 {
            ops.push(Op::Settle { queue, back: 2, width: 9 });
        }
        ops.extend([Op::Step, Op::Idle, Op::Checkpoint, Op::Tidy, Op::Tidy, Op::Tidy]);
    }
    ops.extend([Op::Delete { queue: 3 }, Op::Step, Op::Checkpoint, Op::Tidy, Op::Tidy]);
    ops
}

/// Runs the script on a disk that fails as `plant` says; gives what a restart finds, and what was durable.
fn fails(plant: impl FnOnce(&MemoryDisk), keeps: CrashKeeps) -> bool {
    let disk = MemoryDisk::new(11);
    let mut run = start(&disk).unwrap();
    let mut model = Model::default();
    plant(&disk);
    let mut has_failed = false;
    for op in script() {
        match model.perform(&mut run, &op) {
            // No room: nothing was done, and the broker goes on.
            Err(error) if error.is_full() => has_failed = true,
            Err(_) => {
                has_failed = true;
                break;
            }
            Ok(()) => {}
        }
    }
    let durable = run.log.synced();
    drop(run);
    let disk = disk.crash(keeps);
    for restart in 0..2 {
        let run = start(&disk).unwrap_or_else(|error| panic!("restart {restart}: {error}"));
        let end = Position(run.recovered.next_position.0 - 1);
        assert!(end >= durable, "the log ends at {end:?}, but {durable:?} was reported durable");
        model.forget_after(end);
        assert!(sorted(run.collected.clone()) == sorted(model.state()), "restart {restart}");
    }
    has_failed
}

#[test]
fn a_power_cut_at_every_change_of_the_disk_loses_nothing_that_was_durable() {
    let mut after = 0;
    while fails(|disk| disk.power_off(after), CrashKeeps::Some(after)) {
        fails(|disk| disk.power_off(after), CrashKeeps::Nothing);
        after += 1;
    }
    assert!(after > 150, "the script passes through {after} changes");
}

#[test]
fn a_failure_of_every_write_and_every_sync_is_survived() {
    let mut after = 0;
    while fails(|disk| disk.fail_write(after), CrashKeeps::Everything) {
        after += 1;
    }
    assert!(after > 50, "the script passes through {after} writes");
    let mut after = 0;
    while fails(|disk| disk.fail_sync(after), CrashKeeps::Nothing) {
        after += 1;
    }
    assert!(after > 50, "the script passes through {after} syncs");
}

#[test]
fn bodies_of_which_one_share_is_left_count_as_a_whole() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    for seq in 0..240_u64 {
        let (body, _) = run.gather.body(Payload::parts(&[&seq.to_le_bytes().repeat(250)]));
        for queue in 1..=4 {
            run.gather.entry(body, queue, seq, MessageFlags::NONE, 0, 0);
        }
        run.gather.end_body(body);
        if seq % 10 == 9 {
            run.step();
        }
    }
    run.checkpoint().unwrap();
    for queue in 2..=4 {
        run.gather.settle(queue, &[(0, 239)], SettleReason::Acknowledged);
    }
    run.step();
    run.checkpoint().unwrap();
    let before = run.dir.pool().usage().used;
    tidy_up(&run);
    let after = run.dir.pool().usage();
    assert!(after.used <= before, "{before} {after:?}");
    assert!(after.used_bytes <= after.used as u64 * (64 << 10), "no slot of an odd length: {after:?}");
    assert_eq!(read_all(&run.store, 1).len(), 240);
}
