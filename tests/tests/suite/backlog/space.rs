//! R11: one message held unacked pins nothing but itself.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use leveret_tests::broker::{Broker, Options};

use super::{
    MIB,
    flow::{Length, Reader, declare, publish},
    scaled, with_peak,
};

const QUEUE: &str = "held";
const BODY: Length = |_| 100;
/// The slots are so large in this test.
const SLOT: u64 = MIB;
/// Slots that may hold something else than live messages.
const SLOTS: u64 = 16;
/// What a live message of this test takes at most: its body, its record, its place in a run.
const LIVE: u64 = 256;
/// Kills that it is held through.
const RESTARTS: u64 = 100;

#[test]
fn a_held_message_pins_a_bounded_share_of_the_disk() {
    let count = scaled(10_000_000);
    let mut broker = Broker::start_with(Options::config("leveret.slot_size = 1MiB\n"));
    declare(broker.amqp(), QUEUE);
    publish(broker.amqp(), (QUEUE, BODY), 0..1, |_| {});
    let mut held = Reader::new(broker.amqp(), (QUEUE, BODY), 0, 1);
    assert!(!held.read());
    let (most, when) = flow_past(&broker, 1..count);
    println!(
        "{count} messages past a held one: at most {} KiB beyond twice the live bytes: {when}",
        most / 1024
    );
    let mut next = count;
    for restart in 0..scaled(RESTARTS * 100).min(RESTARTS) {
        broker.kill();
        broker.restart();
        held = Reader::new(broker.amqp(), (QUEUE, BODY), 0, 1);
        assert!(held.read(), "restart {restart}: it was delivered before");
        flow_past(&broker, next..next + 1000);
        next += 1000;
    }
    held.ack();
    drop(held);
    broker.kill();
}

/// Lets messages flow through the queue behind the held one; gives the most that the files took beyond twice what
/// lived, and what they were then.
fn flow_past(broker: &Broker, numbers: std::ops::Range<u64>) -> (u64, String) {
    let (sent, gone) = (AtomicU64::new(0), AtomicU64::new(0));
    let (first, folder) = (numbers.start, broker.data_dir());
    let worst = Mutex::new((0, String::new()));
    let beyond = || {
        let files = disk_bytes(&folder);
        // Read behind the files: what was confirmed since makes the bound larger, never what was acked smaller.
        let live = (sent.load(Ordering::SeqCst) + 4096 + 1).saturating_sub(gone.load(Ordering::SeqCst));
        let beyond = files.iter().sum::<u64>().saturating_sub(2 * live * LIVE);
        let mut worst = worst.lock().expect("nobody panics with it");
        if beyond >= worst.0 {
            let [log, runs, manifests] = files.map(|bytes| bytes / 1024);
            *worst = (
                beyond,
                format!("log {log} KiB, runs {runs}, manifests {manifests} with {live} messages alive"),
            );
        }
        beyond
    };
    let ((), most) = with_peak(beyond, || {
        thread::scope(|scope| {
            scope.spawn(|| {
                publish(broker.amqp(), (QUEUE, BODY), numbers.clone(), |count| {
                    sent.store(count, Ordering::SeqCst)
                });
            });
            let mut reader = Reader::new(broker.amqp(), (QUEUE, BODY), first, 1000);
            reader.read_to(numbers.end, |next| gone.store(next - first, Ordering::SeqCst));
        });
    });
    let (_, when) = worst.into_inner().expect("nobody panics with it");
    assert!(most <= SLOTS * SLOT, "{most} bytes beyond twice the live ones: {when}");
    (most, when)
}

/// What log, runs and manifests take of the disk.
fn disk_bytes(folder: &Path) -> [u64; 3] {
    let bytes_of = |path: &Path| fs::symlink_metadata(path).map_or(0, |found| found.blocks() * 512);
    let of_folder = |folder: &str, path: &Path| {
        let entries = fs::read_dir(path.join(folder)).into_iter().flatten().filter_map(Result::ok);
        entries.map(|entry| bytes_of(&entry.path())).sum::<u64>()
    };
    let manifests = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let manifests = manifests.filter(|entry| entry.file_name().to_string_lossy().starts_with("manifest"));
    let manifests = manifests.map(|entry| bytes_of(&entry.path())).sum();
    [of_folder("log", folder), of_folder("runs", folder), manifests]
}
