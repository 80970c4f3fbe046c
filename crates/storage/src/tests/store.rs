//! Reading from the store while the log runs and after a restart.

use super::*;

fn read(queue: u64, first: u64, most_messages: usize, most_bytes: usize) -> Read {
    Read { queue, order_key: 0, first, last: u64::MAX, most_messages, most_bytes }
}

fn seqs(found: &Found) -> Vec<u64> {
    found.messages.iter().map(|message| message.seq).collect()
}

#[test]
fn what_is_durable_can_be_read_at_once_and_after_each_of_several_restarts() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    for seq in 1..=40 {
        run.publish(1, seq, &seq.to_le_bytes().repeat(100));
        if seq % 7 == 0 {
            run.step();
        }
    }
    run.step();
    run.gather.settle(1, &[(3, 5), (39, 39)], SettleReason::Acknowledged);
    run.gather.returned(1, &[(10, 11)], 3);
    run.step();
    for _ in 0..3 {
        let found = run.store.read(&read(1, 0, 1000, usize::MAX)).unwrap();
        let expected: Vec<u64> = (1..=40).filter(|seq| ![3, 4, 5, 39].contains(seq)).collect();
        assert_eq!((seqs(&found), found.is_all), (expected, true));
        for message in &found.messages {
            assert_eq!(message.payload, message.seq.to_le_bytes().repeat(100), "{}", message.seq);
            assert_eq!(message.delivery_count, if [10, 11].contains(&message.seq) { 3 } else { 0 });
        }
        drop(run);
        run = start(&disk).unwrap();
    }
}

#[test]
fn a_read_keeps_to_its_bounds_and_says_whether_there_is_more() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    for seq in 1..=10 {
        run.publish(1, seq, &[7; 100]);
    }
    run.gather.message(1, 11, MessageFlags::NONE, 5, 9, Payload::parts(&[b"keyed"]).with_body(5));
    run.step();
    for (asked, expected, is_all) in [
        (read(1, 0, 4, usize::MAX), vec![1, 2, 3, 4], false),
        (read(1, 7, 4, usize::MAX), vec![7, 8, 9, 10], true),
        (read(1, 7, 100, 250), vec![7, 8], false),
        (read(1, 7, 0, 0), vec![7], false),
        (Read { last: 3, ..read(1, 2, 100, 10_000) }, vec![2, 3], true),
        (Read { order_key: 5, ..read(1, 0, 100, 10_000) }, vec![11], true),
        (read(2, 0, 100, 10_000), vec![], true),
    ] {
        let found = run.store.read(&asked).unwrap();
        assert_eq!((seqs(&found), found.is_all), (expected, is_all), "{asked:?}");
    }
    let counts = run.store.queue_counts(1);
    let line = |messages, body_bytes, timed| LineCount { messages, body_bytes, timed };
    assert_eq!(counts, [(0, line(10, 0, 0)), (5, line(1, 5, 1))]);
    drop(run);
    let (_, recovered) = look(&disk).unwrap();
    assert_eq!(recovered.queues[&1].lines, counts);
}

#[test]
fn what_was_read_while_the_log_ran_is_refused_once_it_is_damaged() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    run.publish(1, 1, &[0xAB; 50]);
    run.publish(1, 2, &[0xCD; 50]);
    run.step();
    let slot = slot_files(&disk).pop().unwrap();
    let bytes = disk.read_all(&slot).unwrap();
    let at = bytes.windows(50).position(|window| window == [0xCD; 50]).unwrap();
    assert!(disk.tamper(&slot, |bytes| bytes[at + 20] ^= 1));
    assert_eq!(seqs(&run.store.read(&Read { last: 1, ..read(1, 0, 9, 999) }).unwrap()), [1]);
    match run.store.read(&read(1, 0, 9, 999)) {
        Err(StorageError::Corrupt { file, offset, .. }) => assert_eq!((file, offset), (slot, at as u64)),
        found => panic!("{found:?}"),
    }
}
