//! The golden data directories, one for each format version, open and give what they gave when they were made.

use std::fmt::Write;
use std::fs;

use super::*;
use crate::disk::RealDisk;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/data-dir-1")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// As the example that makes the directory does.
fn describe(recovered: &Recovered<RealDisk>) -> String {
    let mut text = format!("revision {}\n", recovered.definitions.revision);
    for (key, value) in &recovered.definitions.entries {
        writeln!(text, "{} = {}", String::from_utf8_lossy(key), String::from_utf8_lossy(value)).unwrap();
    }
    for (id, queue) in &recovered.queues {
        writeln!(text, "queue {id}, last {}", queue.last_seq).unwrap();
        for (order_key, count) in &queue.lines {
            writeln!(text, "  line {order_key}: {} messages, {} timed", count.messages, count.timed).unwrap();
            let (most_messages, most_bytes) = (10_000, usize::MAX);
            let read = Read {
                queue: *id,
                order_key: *order_key,
                first: 0,
                last: u64::MAX,
                most_messages,
                most_bytes,
            };
            for message in recovered.store.read(&read).unwrap().messages {
                let (flags, len) = (message.flags.bits(), message.payload.len());
                let crc = crc32fast::hash(&message.payload);
                let RecoveredMessage { seq, deadline_ms, delivery_count, .. } = message;
                writeln!(
                    text,
                    "    {seq} flags {flags} deadline {deadline_ms} count {delivery_count} {len} bytes {crc:08x}"
                )
                .unwrap();
            }
        }
    }
    text
}

#[test]
fn the_data_directory_of_format_1_opens_and_goes_on() {
    let expected = fs::read_to_string(golden().join("expected.txt")).unwrap();
    // With sled's checkpoint, then with the export alone.
    for with_checkpoint in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        copy(&golden().join("data"), folder.path());
        for _ in 0..2 {
            let dir = DataDir::open(RealDisk, folder.path(), small()).unwrap();
            let mut checkpoint = SledCheckpoint::new(dir.definitions_folder(), dir.log_id());
            let checkpoint: Option<&mut dyn DefinitionCheckpoint> =
                if with_checkpoint { Some(&mut checkpoint) } else { None };
            let recovered = open_store(&dir, checkpoint).unwrap();
            assert_eq!(describe(&recovered), expected);
            let log = LogWriter::open(&dir, recovered.tail).unwrap();
            let mut gather = log.gather();
            // A change that changes nothing, so that the next start finds the same.
            gather.expose(99, &[]);
            log.stop(&mut gather).unwrap();
        }
    }
}

#[test]
fn the_data_directory_of_format_1_is_found_whole_by_verify() {
    let folder = tempfile::tempdir().unwrap();
    copy(&golden().join("data"), folder.path());
    let report = verify(&RealDisk, folder.path(), &|_| None, &mut |_| {}).unwrap();
    assert!(report.is_whole(), "{report:#?}");
}

/// Where a file keeps the version of its format, and which bytes its checksum covers.
const VERSIONS: [(&str, usize, usize); 3] = [("slot-", 8, 56), ("manifest-", 8, 60), ("run-", 8, 124)];

#[test]
fn files_of_a_newer_format_are_refused_untouched() {
    for (kind, version, checked) in VERSIONS {
        let folder = tempfile::tempdir().unwrap();
        copy(&golden().join("data"), folder.path());
        let mut named = 0;
        for sub in ["", "log", "runs"] {
            for entry in fs::read_dir(folder.path().join(sub)).unwrap() {
                let path = entry.unwrap().path();
                if !path.file_name().unwrap().to_string_lossy().starts_with(kind) {
                    continue;
                }
                let mut bytes = fs::read(&path).unwrap();
                let start = if kind == "run-" { bytes.len() - 128 } else { 0 };
                bytes[start + version] = 2;
                let crc = crc32fast::hash(&bytes[start..start + checked]);
                bytes[start + checked..start + checked + 4].copy_from_slice(&crc.to_le_bytes());
                fs::write(&path, bytes).unwrap();
                named += 1;
            }
        }
        assert!(named > 0, "no {kind}");
        let before = contents(folder.path());
        let error = verify(&RealDisk, folder.path(), &|_| None, &mut |_| {}).unwrap_err();
        assert!(matches!(error, StorageError::Version { found: 2, supported: 1, .. }), "{kind}: {error}");
        let dir = DataDir::open(RealDisk, folder.path(), small()).unwrap();
        let error = open_store(&dir, None).unwrap_err();
        assert!(matches!(error, StorageError::Version { found: 2, supported: 1, .. }), "{kind}: {error}");
        drop(dir);
        assert!(contents(folder.path()) == before, "{kind}: nothing is touched");
    }
}

/// Every file but the lock, by name.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if path.file_name().is_some_and(|name| name != "lock") {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}
