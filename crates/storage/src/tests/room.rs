//! What the files take beside what lives, where tidying up is left until the store says that it must not wait.

use super::*;

const SLOT: u64 = 1 << 20;
const BODY: usize = 100;
/// A message's payload, record, and place in a run.
const MESSAGE: u64 = BODY as u64 + 36 + 14;

/// What log, runs and manifests take.
fn disk_bytes(disk: &MemoryDisk) -> u64 {
    let root = Path::new(ROOT);
    let folders = [root.join("log"), root.join("runs"), root.to_owned()];
    let mut sum = 0;
    for folder in folders {
        for name in disk.list(&folder).unwrap_or_default() {
            if folder != root || name.starts_with("manifest") {
                let file = disk.open(&folder.join(name)).unwrap();
                sum += disk.length(&file).unwrap();
            }
        }
    }
    sum
}

/// What a broker does before each write that would be too much.
fn make_room(run: &mut Running) {
    if run.store.room_over().is_none() {
        return;
    }
    run.store.trim(true).unwrap();
    run.checkpoint().unwrap();
    while !run.store.room_is_eased() && run.store.tidy().unwrap() {
        run.store.trim(true).unwrap();
    }
    assert_eq!(run.store.room_over(), None, "there is always something to give back");
}

#[test]
fn a_backlog_drained_between_two_looks_takes_no_more_than_it_may() {
    const COUNT: u64 = 120_000;
    let in_order: fn(u64) -> u64 = |at| at;
    let scattered: fn(u64) -> u64 = |at| at * 7919 % COUNT;
    for (what, order) in [("in order", in_order), ("scattered", scattered)] {
        let disk = MemoryDisk::new(1);
        let options = StorageOptions { slot_bytes: Some(SLOT), ..StorageOptions::default() };
        let mut run = start_with(&disk, options).unwrap();
        while run.store.spare().unwrap() {}
        let mut live = 0;
        for seq in 0..COUNT {
            run.publish(1, seq, &[7; BODY]);
            live += 1;
            if seq % 1000 == 999 {
                make_room(&mut run);
                run.step();
                let bound = 16 * SLOT + 2 * live * MESSAGE;
                assert!(disk_bytes(&disk) <= bound, "{what}: {} with {live}", disk_bytes(&disk));
            }
        }
        run.checkpoint().unwrap();
        // One is held for ever.
        for at in 1..COUNT {
            let seq = order(at);
            run.gather.settle(1, &[(seq, seq)], SettleReason::Acknowledged);
            live -= 1;
            if at % 4000 == 3999 {
                make_room(&mut run);
                run.step();
                let bound = 16 * SLOT + 2 * live * MESSAGE;
                assert!(disk_bytes(&disk) <= bound, "{what}: {} with {live}", disk_bytes(&disk));
            }
        }
        assert_eq!(live, 1);
    }
}
