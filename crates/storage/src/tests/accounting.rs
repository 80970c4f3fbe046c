//! What settled messages come to where runs or slots cannot be read: nothing is counted wrong, nothing lost.

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
