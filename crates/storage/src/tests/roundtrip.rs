//! What is written comes back, over restarts, in every kind of record.

use bytes::Bytes;

use super::*;

#[test]
fn messages_come_back_in_order_with_all_they_carried() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    assert_eq!(run.recovered.source, DefinitionsSource::New);
    let large = Bytes::from(vec![7; 10_000]);
    run.publish(1, 1, b"one");
    let flags = MessageFlags::from_bits(0b110);
    run.gather.message(
        1,
        5,
        flags,
        9,
        77,
        Payload { parts: &[b"he", b"ad"], segments: std::slice::from_ref(&large), ..Payload::default() },
    );
    run.publish(2, 1, b"");
    let last = run.publish(1, 2, b"two");
    assert_eq!(run.gather.last_position(), last);
    assert_eq!(run.step(), last);
    drop(run);

    let (found, recovered) = look(&disk).unwrap();
    assert_eq!(found.seqs(1), [1, 2, 5]);
    let five = &found.queues[&1][2];
    assert_eq!((five.flags, five.order_key, five.deadline_ms, five.delivery_count), (flags, 9, 77, 0));
    assert_eq!(five.payload, [&b"head"[..], &large].concat());
    assert_eq!(found.body(2, 1), b"");
    assert_eq!(recovered.next_position, Position(last.0 + 1));
    let queue = &recovered.queues[&1];
    assert_eq!((queue.last_seq, queue.messages()), (5, 3));
    assert_eq!(recovered.last_queue, 2);
    assert!(!recovered.clean_stop);
}

#[test]
fn settled_messages_stay_settled_and_their_numbers_stay_taken() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    for seq in 1..=10 {
        run.publish(1, seq, &[seq as u8]);
    }
    run.gather.settle(1, &[(2, 4), (10, 10)], SettleReason::Acknowledged);
    run.step();
    run.gather.settle(1, &[(6, 100)], SettleReason::Purged);
    run.publish(2, 3, b"doomed");
    run.gather.settle(2, &[(0, u64::MAX)], SettleReason::QueueDeleted);
    run.step();
    drop(run);
    let (found, recovered) = look(&disk).unwrap();
    assert_eq!(found.seqs(1), [1, 5]);
    assert_eq!(recovered.queues[&1].last_seq, 10);
    assert!(!recovered.queues.contains_key(&2), "a deleted queue is forgotten");
    assert_eq!(recovered.last_queue, 2, "but not its id");
}

#[test]
fn a_body_is_shared_by_its_entries_even_across_batches_and_restarts() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    let shared = Bytes::from(vec![3; 6000]);
    let (body, _) = run.gather.body(Payload { parts: &[b"p"], segments: &[shared], ..Payload::default() });
    run.gather.entry(body, 1, 1, MessageFlags::NONE, 0, 0);
    run.gather.entry(body, 2, 1, MessageFlags::NONE, 0, 0);
    run.step();
    run.publish(9, 1, b"between");
    run.gather.entry(body, 3, 1, MessageFlags::SEEN, 0, 0);
    run.gather.settle(1, &[(1, 1)], SettleReason::Acknowledged);
    run.step();
    let (garbage, _) = run.gather.body(Payload::parts(&[b"nobody took it"]));
    run.step();
    assert!(garbage != body);
    drop(run);
    drop(start(&disk).unwrap());

    let (found, _) = look(&disk).unwrap();
    assert_eq!(found.seqs(1), [] as [u64; 0]);
    assert_eq!(found.body(2, 1).len(), 6001);
    assert_eq!(found.body(2, 1), found.body(3, 1));
    assert!(found.is_seen(3, 1) && !found.is_seen(2, 1));
}

#[test]
fn a_group_counts_as_a_whole_or_not_at_all() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    run.publish(1, 1, b"before");
    run.publish(1, 2, b"before too");
    let committed = run.gather.begin_group();
    let lost = run.gather.begin_group();
    run.gather.within(committed).message(2, 1, MessageFlags::NONE, 0, 0, Payload::parts(&[b"in"]));
    run.gather.within(lost).message(2, 2, MessageFlags::NONE, 0, 0, Payload::parts(&[b"lost"]));
    run.publish(3, 1, b"between");
    run.gather.within(committed).settle(1, &[(1, 1)], SettleReason::Acknowledged);
    run.gather.within(lost).settle(1, &[(2, 2)], SettleReason::Acknowledged);
    run.gather.within(lost).definition(1, &[(b"k".to_vec(), Some(b"lost".to_vec()))]);
    run.gather.within(committed).definition(2, &[(b"k".to_vec(), Some(b"kept".to_vec()))]);
    run.step();
    // Settled by another before the group committed: it must not come back with the commit.
    run.gather.within(committed).message(2, 3, MessageFlags::NONE, 0, 0, Payload::parts(&[b"gone"]));
    run.gather.settle(2, &[(3, 3)], SettleReason::Acknowledged);
    run.step();
    run.gather.commit_group(committed);
    run.step();
    drop(run);
    for _ in 0..2 {
        let run = start(&disk).unwrap();
        assert_eq!(run.collected.seqs(1), [2]);
        assert_eq!(run.collected.seqs(2), [1]);
        assert_eq!(run.collected.seqs(3), [1]);
        assert_eq!(run.collected.definitions.entries[&b"k"[..]], b"kept");
        assert_eq!(run.recovered.queues[&2].last_seq, 3);
    }
}

#[test]
fn delivery_counts_and_exposure_are_as_last_logged() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    for seq in 1..=6 {
        run.gather.message(1, seq, MessageFlags::NONE, 0, 0, Payload::default());
    }
    run.gather.expose(1, &[(1, 3)]);
    run.gather.returned(1, &[(2, 2)], 1);
    run.gather.returned(1, &[(2, 3)], 2);
    run.step();
    drop(run);
    let (found, _) = look(&disk).unwrap();
    let told: Vec<_> =
        found.queues[&1].iter().map(|m| (m.flags.contains(MessageFlags::SEEN), m.delivery_count)).collect();
    assert_eq!(told, [(true, 0), (true, 2), (true, 2), (false, 0), (false, 0), (false, 0)]);
}

#[test]
fn a_clean_stop_says_exactly_what_was_delivered_and_only_the_next_start_is_after_it() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    for seq in 1..=4 {
        run.publish(1, seq, b"marked seen");
    }
    run.gather.message(1, 5, MessageFlags::NONE, 0, 0, Payload::default());
    let last = run.gather.unexpose(1, &[(1, 1), (3, 4)]);
    assert_eq!(run.log.stop(&mut run.gather).unwrap(), last);
    drop(run.dir);

    let run = start(&disk).unwrap();
    assert!(run.recovered.clean_stop);
    let seen: Vec<u64> = (1..=5).filter(|seq| run.collected.is_seen(1, *seq)).collect();
    assert_eq!(seen, [2]);
    drop(run);
    let run = start(&disk).unwrap();
    assert!(!run.recovered.clean_stop, "that start was not stopped");
    assert!(!run.collected.is_seen(1, 1), "but what was never delivered is still known");
}

#[test]
fn the_log_goes_on_over_slots_batches_and_restarts() {
    let disk = MemoryDisk::new(1);
    let mut expected = Vec::new();
    for round in 0..5u64 {
        let mut run = start(&disk).unwrap();
        assert_eq!(run.collected.seqs(1), expected, "round {round}");
        for seq in 0..200 {
            let seq = round * 1000 + seq;
            run.publish(1, seq, &[round as u8; 900]);
            expected.push(seq);
            if seq % 7 == 0 {
                run.step();
                run.log.tend().unwrap();
            }
            if seq % 50 == 0 {
                run.log.idle().unwrap();
                run.log.idle().unwrap();
            }
        }
        run.step();
        assert!(run.log.statistics().slots > 2);
    }
    let (found, recovered) = look(&disk).unwrap();
    assert_eq!(found.seqs(1), expected);
    assert!(found.queues[&1].iter().all(|message| message.payload[..] == [(message.seq / 1000) as u8; 900]));
    assert_eq!(recovered.statistics.messages, 1000);
}

#[test]
fn a_message_larger_than_a_slot_survives_restarts() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    let huge = Bytes::from((0..300_000u32).map(|n| (n % 251) as u8).collect::<Vec<u8>>());
    run.publish(1, 1, b"small");
    run.gather.message(
        1,
        2,
        MessageFlags::NONE,
        0,
        0,
        Payload { parts: &[], segments: std::slice::from_ref(&huge), ..Payload::default() },
    );
    run.publish(1, 3, b"small");
    run.gather.message(
        1,
        4,
        MessageFlags::NONE,
        0,
        0,
        Payload { parts: &[&huge], segments: &[], ..Payload::default() },
    );
    run.step();
    drop(run);
    for _ in 0..3 {
        let run = start(&disk).unwrap();
        assert_eq!(run.collected.seqs(1), [1, 2, 3, 4]);
        assert_eq!(run.collected.body(1, 2), huge);
        assert_eq!(run.collected.body(1, 4), huge);
    }
}

#[test]
fn restarts_take_no_further_slots() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    run.publish(1, 1, b"kept");
    run.step();
    drop(run);
    let mut files = Vec::new();
    for _ in 0..6 {
        let run = start(&disk).unwrap();
        assert_eq!(run.collected.seqs(1), [1]);
        files.push(slot_files(&disk).len());
    }
    assert!(files.iter().skip(1).all(|count| *count == files[1]), "{files:?}");
}

#[test]
fn handing_over_keeps_the_numbers_going_and_bodies_valid() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    let mut mine = run.log.gather();
    let (body, first) = run.gather.body(Payload::parts(&[b"shared"]));
    run.gather.hand_over(&mut mine);
    assert!(run.gather.is_empty() && !mine.is_empty());
    let second = run.gather.entry(body, 1, 1, MessageFlags::NONE, 0, 0);
    assert_eq!(second.0, first.0 + 1);
    assert_eq!(run.log.step(&mut mine).unwrap(), first);
    run.gather.hand_over(&mut mine);
    assert_eq!(run.log.step(&mut mine).unwrap(), second);
    assert_eq!(mine.bytes(), 0);
    drop(run);
    assert_eq!(look(&disk).unwrap().0.body(1, 1), b"shared");
}
