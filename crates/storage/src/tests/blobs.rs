//! Large payloads: in files of their own, whole before anything names them.

use bytes::Bytes;

use super::*;
use crate::log::blob::{self, BLOB_PIECE, Blob, PendingBlob};

const LOG: [u8; 16] = [7; 16];

fn bytes(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251 + salt) as u8).collect()
}

fn folder() -> PathBuf {
    Path::new(ROOT).join("log")
}

fn blobs(disk: &MemoryDisk) -> Vec<u64> {
    blob::list(disk, &folder()).unwrap()
}

#[test]
fn a_payload_over_an_eighth_of_a_slot_gets_a_file_of_its_own() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    run.publish(1, 1, &bytes(8 << 10, 1));
    assert!(blobs(&disk).is_empty());
    run.publish(1, 2, &bytes((8 << 10) + 1, 2));
    let large = Bytes::from(bytes(200_000, 3));
    let payload = Payload { parts: &[b"head"], segments: &[large.clone(), large.clone()], body_len: 7 };
    let (body, _) = run.gather.body(payload);
    run.gather.entry(body, 2, 1, MessageFlags::NONE, 0, 0);
    run.gather.entry(body, 3, 1, MessageFlags::NONE, 0, 0);
    assert!(run.gather.bytes() > 400_000, "they hold publishers back");
    run.step();
    assert_eq!(run.gather.bytes(), 0);
    assert_eq!((blobs(&disk), run.log.statistics().blobs), (vec![1, 2], 2));
    assert!(run.log.statistics().bytes < 20_000, "the log has only what names them");
    drop(run);
    let mut run = start(&disk.crash(CrashKeeps::Nothing)).unwrap();
    assert_eq!(run.collected.body(1, 1), bytes(8 << 10, 1));
    assert_eq!(run.collected.body(1, 2), bytes((8 << 10) + 1, 2));
    assert_eq!(run.collected.body(2, 1), [b"head", &large[..], &large[..]].concat());
    assert_eq!(run.collected.body(3, 1), run.collected.body(2, 1));
    run.publish(4, 1, &bytes(10_000, 4));
    run.step();
    assert_eq!(run.log.statistics().blobs, 1);
}

/// The power goes at every change of the disk while two blobs and their batch are written.
#[test]
fn a_blob_is_whole_before_a_batch_names_it() {
    let mut outcomes = std::collections::BTreeSet::new();
    for after in 0..20 {
        for keeps in [CrashKeeps::Nothing, CrashKeeps::Some(after), CrashKeeps::Everything] {
            let disk = MemoryDisk::new(1);
            let mut run = start(&disk).unwrap();
            run.publish(1, 1, &bytes(9_000, 1));
            run.publish(1, 2, &bytes(90_000, 2));
            disk.power_off(after);
            let stepped = run.log.step(&mut run.gather).is_ok();
            drop(run);
            let (found, _) = look(&disk.crash(keeps)).unwrap();
            let seqs = found.seqs(1);
            assert!(seqs.is_empty() || seqs == [1, 2], "{after} {keeps:?} {seqs:?}");
            assert!(!stepped || seqs == [1, 2], "{after} {keeps:?}: durable and lost");
            for seq in seqs {
                let expected = if seq == 1 { bytes(9_000, 1) } else { bytes(90_000, 2) };
                assert_eq!(found.body(1, seq), expected);
            }
            outcomes.insert(stepped);
        }
    }
    assert_eq!(outcomes.len(), 2);
}

#[test]
fn without_room_for_all_blobs_of_a_batch_none_is_left_and_the_step_may_be_tried_again() {
    let disk = MemoryDisk::new(1);
    let mut run = start(&disk).unwrap();
    let used: u64 = slot_files(&disk).iter().map(|file| disk.read_all(file).unwrap().len() as u64).sum();
    disk.set_capacity(Some(used + (100 << 10)));
    run.publish(1, 1, &bytes(20_000, 1));
    run.publish(1, 2, &bytes(200_000, 2));
    assert!(run.log.step(&mut run.gather).is_err_and(|error| error.is_full()));
    assert!(blobs(&disk).is_empty());
    assert_eq!(run.log.synced(), Position(0));
    disk.set_capacity(None);
    assert_eq!(run.step(), Position(2));
    drop(run);
    assert_eq!(look(&disk.crash(CrashKeeps::Nothing)).unwrap().0.body(1, 2), bytes(200_000, 2));
}

#[test]
fn a_blob_that_cannot_be_written_or_synced_ends_the_log() {
    for failing in ["write", "sync"] {
        let disk = MemoryDisk::new(1);
        let mut run = start(&disk).unwrap();
        run.publish(1, 1, &bytes(20_000, 1));
        if failing == "write" {
            disk.fail_write(0)
        } else {
            disk.fail_sync(0)
        }
        assert!(matches!(run.log.step(&mut run.gather), Err(StorageError::Io { .. })), "{failing}");
        assert!(matches!(run.log.step(&mut run.gather), Err(StorageError::Poisoned)), "{failing}");
        assert_eq!(run.log.synced(), Position(0));
        drop(run);
        assert!(look(&disk.crash(CrashKeeps::Everything)).unwrap().0.seqs(1).is_empty(), "{failing}");
    }
}

#[test]
fn a_blob_reads_back_whole_or_is_refused_whatever_byte_of_it_changes() {
    let disk = MemoryDisk::new(1);
    disk.create_folder(&folder()).unwrap();
    for len in [0, 1, BLOB_PIECE as usize, 3 * BLOB_PIECE as usize + 17] {
        let whole = Bytes::from(bytes(len, 1));
        let (first, second) = (whole.slice(..len / 3), whole.slice(len / 3..));
        let pending = PendingBlob { number: 9, len: len as u64, segments: vec![first, second] };
        Blob::write(&disk, &folder(), LOG, &pending, true).unwrap();
        let path = format::blob_path(&folder(), 9);
        let good = disk.read_all(&path).unwrap();
        let read = |disk: &MemoryDisk| Blob::open(disk, &folder(), LOG, 9)?.read();
        assert_eq!(read(&disk).unwrap(), whole);
        assert!(Blob::open(&disk, &folder(), [8; 16], 9).is_err(), "another log's");
        for at in (0..good.len()).step_by(if len > 10_000 { 97 } else { 1 }) {
            disk.tamper(&path, |bytes| bytes[at] ^= 4);
            match read(&disk) {
                Ok(found) => assert_eq!(found, whole, "byte {at} of {len}"),
                Err(StorageError::Corrupt { .. } | StorageError::Version { .. }) => {}
                Err(error) => panic!("byte {at} of {len}: {error}"),
            }
            disk.tamper(&path, |bytes| bytes[at] ^= 4);
        }
        for end in (0..good.len()).step_by(if len > 10_000 { 4099 } else { 1 }) {
            disk.tamper(&path, |bytes| bytes.truncate(end));
            let cut = read(&disk);
            // Zeros that only fill a block may be missing.
            assert!(cut.is_err() || cut.is_ok_and(|found| found == whole), "cut at {end} of {len}");
            disk.tamper(&path, |bytes| bytes.clone_from(&good));
        }
        blob::unlink(&disk, &folder(), 9).unwrap();
        assert!(
            Blob::open(&disk, &folder(), LOG, 9).is_err_and(|error| error.to_string().contains("missing"))
        );
        blob::unlink(&disk, &folder(), 9).expect("an absent one is none");
    }
}

#[test]
fn who_has_a_blob_open_reads_it_after_it_was_unlinked() {
    let disk = MemoryDisk::new(1);
    disk.create_folder(&folder()).unwrap();
    let pending = PendingBlob { number: 1, len: 9, segments: vec![Bytes::from_static(b"read late")] };
    Blob::write(&disk, &folder(), LOG, &pending, true).unwrap();
    disk.sync_folder(&folder()).unwrap();
    let open = Blob::open(&disk, &folder(), LOG, 1).unwrap();
    blob::unlink(&disk, &folder(), 1).unwrap();
    disk.sync_folder(&folder()).unwrap();
    blob::unlink(&disk, &folder(), 2).unwrap();
    assert_eq!((open.len(), open.read().unwrap()), (9, b"read late".to_vec()));
}
