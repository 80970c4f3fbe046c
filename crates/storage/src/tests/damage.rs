//! Damage and writes cut short: told apart, and never served as bytes.

use super::*;

/// A log of a few batches over which damage is spread; the last is the fourth, in the only slot.
fn damaged_log() -> (MemoryDisk, Vec<Collected>) {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    let mut states = vec![Collected::default()];
    for batch in 1..=4u64 {
        for queue in 1..=3 {
            run.publish(queue, batch, format!("body {batch} of queue {queue}").as_bytes());
        }
        run.gather.settle(1, &[(batch - 1, batch - 1)], SettleReason::Acknowledged);
        run.gather.definition(batch, &[(vec![batch as u8], Some(vec![1; 20]))]);
        run.step();
        states.push(look(&disk.crash(CrashKeeps::Everything)).unwrap().0);
    }
    (disk, states)
}

/// A copy whose only slot was changed.
fn changed(disk: &MemoryDisk, change: impl FnOnce(&mut Vec<u8>)) -> MemoryDisk {
    let copy = disk.crash(CrashKeeps::Everything);
    let [slot] = &slot_files(&copy)[..] else { panic!("one slot") };
    assert!(copy.tamper(slot, change));
    copy
}

fn slot_bytes(disk: &MemoryDisk) -> Vec<u8> {
    disk.read_all(&slot_files(disk)[0]).unwrap()
}

/// Where each batch begins: blocks 1, 2, … after the header and the first, empty batch.
fn batch_at(number: usize) -> usize {
    4096 * (1 + number)
}

#[test]
fn a_last_batch_cut_at_any_byte_is_dropped_whole_and_stays_dropped() {
    let (disk, states) = damaged_log();
    let bytes = slot_bytes(&disk);
    let from = batch_at(4);
    let used = 4096 - bytes[from..from + 4096].iter().rev().take_while(|byte| **byte == 0).count();
    assert!(used > 160);
    for cut in 0..=used {
        let copy = changed(&disk, |bytes| bytes[from + cut..].fill(0));
        let expected =
            if bytes[from + cut..].iter().all(|byte| *byte == 0) { &states[4] } else { &states[3] };
        for restart in 0..2 {
            let mut run = start(&copy).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            assert_eq!(&run.collected, expected, "cut at {cut}, restart {restart}");
            assert!(run.recovered.quarantined.is_empty());
            assert_eq!(
                run.recovered.statistics.torn_bytes > 0,
                restart == 0 && cut > 0 && expected == &states[3]
            );
            // Life goes on and the numbers do too.
            run.publish(7, 1, b"after");
            run.gather.settle(7, &[(1, 1)], SettleReason::Acknowledged);
            run.step();
            drop(run);
            let mut again = look(&copy).unwrap().0;
            again.queues.remove(&7);
            assert_eq!(&again, expected);
        }
    }
}

#[test]
fn no_changed_byte_is_ever_served_or_silently_costs_a_proven_message() {
    let (disk, states) = damaged_log();
    let bytes = slot_bytes(&disk);
    let mut seen = [0; 4];
    for at in 0..batch_at(5) {
        if at % 4096 > 1024 {
            // Padding reads as nothing; a sample of it will do.
            if at % 97 != 0 {
                continue;
            }
        }
        for mask in [1, 0x80] {
            let copy = changed(&disk, |bytes| bytes[at] ^= mask);
            let outcome = judge(&copy, &states, at, at >= batch_at(4) && bytes[batch_at(4)..].len() > 4096);
            seen[outcome] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "same, torn, quarantined, refused: {seen:?}");
}

/// 0: nothing changed; 1: the last batch was dropped; 2: a queue is quarantined; 3: refused.
fn judge(copy: &MemoryDisk, states: &[Collected], at: usize, in_last: bool) -> usize {
    let (found, recovered) = match look(copy) {
        Ok(found) => found,
        Err(StorageError::Corrupt { file, offset, why }) => {
            assert!(!in_last, "byte {at} in the last batch: {why}");
            assert!(file.starts_with(ROOT), "byte {at}: {why}");
            assert!(offset <= at as u64 && !why.is_empty(), "byte {at}: {why} at {offset}");
            return 3;
        }
        Err(StorageError::Version { .. }) => panic!("byte {at}: a checksum failed to cover the version"),
        Err(error) => panic!("byte {at}: {error}"),
    };
    if in_last && found == states[3] {
        return 1;
    }
    let mut expected = states[4].clone();
    if recovered.quarantined.is_empty() {
        assert_eq!(found, expected, "byte {at}");
        return 0;
    }
    let [quarantined] = &recovered.quarantined[..] else { panic!("one byte, one message") };
    let mut found = found;
    assert!(
        (quarantined.offset..quarantined.offset + 32).contains(&(at as u64)),
        "byte {at}: {quarantined:?}"
    );
    found.queues.remove(&quarantined.queue);
    expected.queues.remove(&quarantined.queue);
    assert_eq!(found, expected, "byte {at}");
    2
}

#[test]
fn after_an_idle_batch_damage_to_the_last_message_is_not_taken_for_a_crash() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    run.publish(1, 1, b"first");
    run.step();
    run.publish(1, 2, b"proven by what follows");
    run.step();
    run.log.idle().unwrap();
    drop(run);
    for (at, expected) in [(0, "refused"), (100, "refused"), (170, "refused"), (160 + 36 + 3, "quarantined")]
    {
        let copy = changed(&disk, |bytes| bytes[batch_at(2) + at] ^= 1);
        let outcome = match look(&copy) {
            Ok((_, recovered)) if recovered.quarantined.is_empty() => "lost",
            Ok(_) => "quarantined",
            Err(_) => "refused",
        };
        assert_eq!(outcome, expected, "byte {at} of the batch");
    }
}

#[test]
fn a_missing_foreign_doubled_or_cut_slot_is_refused_with_its_place() {
    let make = || {
        let disk = MemoryDisk::new(1);
        let mut run = start(&disk).unwrap();
        for seq in 0..300 {
            run.publish(1, seq, &[1; 500]);
            run.step();
        }
        drop(run);
        assert!(slot_files(&disk).len() >= 5);
        disk
    };
    for victim in 0..4 {
        let disk = make();
        disk.remove(&slot_files(&disk)[victim]).unwrap();
        let error = look(&disk).unwrap_err();
        assert!(matches!(error, StorageError::Corrupt { .. }), "slot {victim} missing: {error}");
    }
    let disk = make();
    let files = slot_files(&disk);
    let active = files.iter().rev().find(|file| disk.read_all(file).unwrap()[4096] != 0).unwrap();
    disk.tamper(active, |bytes| bytes.truncate(bytes.len() - 4096));
    assert!(matches!(look(&disk).unwrap_err(), StorageError::Corrupt { offset: 61_440, .. }));

    let disk = make();
    let other = MemoryDisk::new(2);
    start(&other).unwrap();
    let foreign = slot_bytes(&other);
    disk.tamper(&slot_files(&disk)[1], |bytes| *bytes = foreign);
    assert!(look(&disk).unwrap_err().to_string().contains("another log"));

    let disk = make();
    let first = slot_bytes(&disk);
    disk.tamper(&slot_files(&disk)[1], |bytes| *bytes = first);
    assert!(look(&disk).unwrap_err().to_string().contains("incarnation"));
}

#[test]
fn a_lost_log_or_identity_is_refused_and_not_taken_for_a_new_store() {
    let (disk, _) = damaged_log();
    for file in slot_files(&disk) {
        disk.remove(&file).unwrap();
    }
    assert!(look(&disk).unwrap_err().to_string().contains("first slot"));

    let (disk, _) = damaged_log();
    disk.remove(&Path::new(ROOT).join("identity")).unwrap();
    assert!(look(&disk).unwrap_err().to_string().contains("identity"));
}

#[test]
fn a_damaged_shared_body_quarantines_every_queue_that_needs_it_and_no_other() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    let (body, _) = run.gather.body(Payload::parts(&[b"the shared body"]));
    for queue in 1..=3 {
        run.gather.entry(body, queue, 1, MessageFlags::NONE, 0, 0);
    }
    run.gather.settle(3, &[(1, 1)], SettleReason::Acknowledged);
    run.publish(4, 1, b"well");
    run.publish(3, 2, b"well");
    run.step();
    run.log.idle().unwrap();
    drop(run);
    let copy = changed(&disk, |bytes| {
        let at = bytes.windows(6).position(|window| window == b"shared").unwrap();
        bytes[at] ^= 0x20;
    });
    let (found, recovered) = look(&copy).unwrap();
    assert_eq!(recovered.quarantined.iter().map(|damage| damage.queue).collect::<Vec<_>>(), [1, 2]);
    assert!(recovered.quarantined.iter().all(|damage| damage.file == slot_files(&copy)[0]));
    assert_eq!((found.seqs(3), found.seqs(4)), (vec![2], vec![1]));
    // Damage to what nobody needs any more is nobody's damage.
    let run = start(&copy).unwrap();
    assert_eq!(run.recovered.quarantined.len(), 2, "and it is found again at the next start");
}

#[test]
fn a_message_that_looks_like_a_batch_is_still_a_message() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    run.publish(1, 1, b"x");
    run.step();
    // The slot's own bytes, published twice and then cut short, at every alignment to a block.
    let stolen = slot_bytes(&disk)[..16_384].to_vec();
    for (seq, shift) in [(2, 0), (3, 4096 - 160 - 32), (4, 1000)] {
        run.publish(1, seq, &[&vec![0; shift][..], &stolen].concat());
        run.step();
    }
    drop(run);
    let (_, recovered) = look(&disk).unwrap();
    assert_eq!(recovered.statistics.messages, 4);
    let copy = disk.crash(CrashKeeps::Everything);
    let file = slot_files(&copy).pop().unwrap();
    let bytes = copy.read_all(&file).unwrap();
    let last = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
    copy.tamper(&file, |bytes| bytes[last - 1] ^= 1);
    let (found, _) = look(&copy).unwrap();
    assert_eq!(found.seqs(1), [1, 2, 3]);
}

/// Both the batch that names a slot and that slot's header are gone: its batches still speak.
#[test]
fn a_slot_without_a_header_is_damage_if_it_holds_later_batches() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    for seq in 1..=2 {
        for part in 0..4 {
            run.publish(1, seq * 4 + part, &[1; 7_000]);
        }
        run.step();
    }
    drop(run);
    let [first, second] = &slot_files(&disk)[..] else { panic!("two slots") };
    disk.tamper(second, |bytes| bytes[..4096].fill(0));
    disk.tamper(first, |bytes| {
        let last = bytes.iter().rposition(|byte| *byte != 0).unwrap() / 4096 * 4096;
        assert!(bytes[last..].starts_with(b"LVRTBTCH"), "the batch that names the next slot");
        bytes[last..].fill(0);
    });
    let error = look(&disk).unwrap_err();
    assert!(error.to_string().contains("not a write cut short"), "{error}");
}
