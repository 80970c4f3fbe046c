//! Every byte of a small data directory flipped, every file cut at every length: never wrong bytes, never a
//! message dropped without a word, never a panic.
//!
//! The directory holds a log of several slots, blobs, runs and a manifest, and was stopped cleanly. A sample of
//! the places in the commit tier, all of them with `LEVERET_ROT=all`.

use super::*;

/// What a start and a reading of every message gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// All is as it was.
    Same,
    /// The start was refused, with the name of a file.
    Refused,
    /// The start succeeded, and a message could not be read, with the name of a file.
    Damaged,
}

/// Messages by queue, with what is told of each.
type State = BTreeMap<u64, Vec<RecoveredMessage>>;

/// Reads each line until its end or its first damage.
fn read_all(recovered: &Recovered<MemoryDisk>) -> (State, Vec<StorageError>) {
    let (mut state, mut damages) = (State::new(), Vec::new());
    for (queue, found) in &recovered.queues {
        let messages = state.entry(*queue).or_default();
        for (order_key, _) in &found.lines {
            let read = |first: u64, most_messages: usize| {
                let (queue, order_key, most_bytes) = (*queue, *order_key, usize::MAX);
                recovered.store.read(&Read {
                    queue,
                    order_key,
                    first,
                    last: u64::MAX,
                    most_messages,
                    most_bytes,
                })
            };
            match read(0, 10_000) {
                Ok(found) => {
                    assert!(found.is_all);
                    messages.extend(found.messages);
                }
                // One at a time: what stands before the damage is given.
                Err(_) => damages.push(read_to_damage(messages, &read)),
            }
        }
    }
    (state, damages)
}

fn read_to_damage(
    messages: &mut Vec<RecoveredMessage>,
    read: &dyn Fn(u64, usize) -> Result<Found, StorageError>,
) -> StorageError {
    let mut first = 0;
    loop {
        match read(first, 1) {
            Ok(found) => {
                assert!(!found.is_all, "there is damage in what is left");
                first = found.messages.last().map_or(first, |message| message.seq) + 1;
                messages.extend(found.messages);
            }
            Err(error) => break error,
        }
    }
}

fn is_named(error: &StorageError) -> bool {
    match error {
        StorageError::Corrupt { file, .. } | StorageError::Version { file, .. } => file.starts_with(ROOT),
        StorageError::Io { file, source, .. } => {
            file.starts_with(ROOT) && source.kind() == std::io::ErrorKind::NotFound
        }
        _ => false,
    }
}

/// Starts on the damaged disk and compares.
fn outcome(disk: &MemoryDisk, whole: &State, definitions: &Definitions, what: &str) -> Outcome {
    let dir = match DataDir::open(disk.clone(), Path::new(ROOT), small()) {
        Ok(dir) => dir,
        Err(error) => {
            assert!(is_named(&error), "{what}: {error}");
            return Outcome::Refused;
        }
    };
    let recovered = match open_store(&dir, None) {
        Ok(recovered) => recovered,
        Err(error) => {
            assert!(is_named(&error), "{what}: {error}");
            return Outcome::Refused;
        }
    };
    assert_eq!(&recovered.definitions, definitions, "{what}");
    let (state, damages) = read_all(&recovered);
    for error in &damages {
        assert!(is_named(error), "{what}: {error}");
    }
    for (queue, messages) in &state {
        let expected = whole.get(queue).unwrap_or_else(|| panic!("{what}: queue {queue} never was"));
        for message in messages {
            assert!(
                expected.contains(message),
                "{what}: message {} of queue {queue} is another",
                message.seq
            );
        }
    }
    if damages.is_empty() {
        assert_eq!(&state, whole, "{what}: dropped without a word");
        Outcome::Same
    } else {
        Outcome::Damaged
    }
}

/// A directory with something of everything.
fn make() -> MemoryDisk {
    let disk = MemoryDisk::new(5);
    let mut run = start(&disk).unwrap();
    let body = |queue: u64, seq: u64, len: usize| vec![(queue * 31 + seq) as u8; len];
    let definition = |run: &mut Running, revision: u64| {
        let changes = [(format!("key {revision}").into_bytes(), Some(vec![revision as u8; 40]))];
        let position = run.gather.definition(revision, &changes);
        let [change] = changes;
        run.changes.push((position, revision, change));
    };
    definition(&mut run, 1);
    for seq in 0..60 {
        run.publish(1, seq, &body(1, seq, 300));
        let flags = if seq % 2 == 0 { MessageFlags::SEEN } else { MessageFlags::NONE };
        let payload = body(2, seq, 100);
        run.gather.message(2, seq, flags, 5 - seq % 3, 1_000 + seq, Payload::parts(&[&payload]));
        if seq % 20 == 19 {
            run.publish(3, seq, &body(3, seq, 20_000));
            run.step();
        }
    }
    run.gather.settle(1, &[(10, 19), (40, 40)], SettleReason::Acknowledged);
    run.step();
    run.checkpoint().unwrap();
    definition(&mut run, 2);
    for seq in 60..90 {
        run.publish(1, seq, &body(1, seq, 300));
    }
    let shared = body(4, 1, 500);
    let (shared, _) = run.gather.body(Payload::parts(&[&shared]));
    for queue in 4..8 {
        run.gather.entry(shared, queue, 0, MessageFlags::NONE, 0, 0);
    }
    run.gather.end_body(shared);
    run.gather.settle(1, &[(0, 4), (60, 65)], SettleReason::Acknowledged);
    run.gather.returned(1, &[(20, 25), (70, 71)], 3);
    run.gather.expose(2, &[(1, 3)]);
    run.publish(3, 60, &body(3, 60, 20_000));
    run.step();
    run.checkpoint().unwrap();
    tidy(&mut run);
    for seq in 90..100 {
        run.publish(1, seq, &body(1, seq, 300));
    }
    run.publish(3, 61, &body(3, 61, 20_000));
    run.gather.settle(1, &[(90, 91), (30, 30)], SettleReason::Acknowledged);
    run.step();
    run.log.stop(&mut run.gather).unwrap();
    disk
}

/// Merges runs and compacts slots, so that there is a compacted one.
fn tidy(run: &mut Running) {
    // Queue 9 fills slots and leaves little in them.
    for seq in 0..48 {
        run.publish(9, seq, &[seq as u8; 2000]);
        run.step();
    }
    run.gather.settle(9, &[(0, 20), (22, 46)], SettleReason::Acknowledged);
    run.step();
    run.checkpoint().unwrap();
    let before = run.store.read(&Read {
        queue: 9,
        order_key: 0,
        first: 0,
        last: 200,
        most_messages: 9,
        most_bytes: 99_999,
    });
    let mut steps = 0;
    while run.store.tidy().unwrap() {
        steps += 1;
    }
    assert!(steps > 0, "something was tidied");
    let after = run.store.read(&Read {
        queue: 9,
        order_key: 0,
        first: 0,
        last: 200,
        most_messages: 9,
        most_bytes: 99_999,
    });
    assert_eq!(before.unwrap().messages, after.unwrap().messages);
}

/// All files that hold data, with the number of bytes up to the last that is not zero.
fn files(disk: &MemoryDisk) -> Vec<(PathBuf, usize)> {
    let mut files = Vec::new();
    for folder in ["", "log", "runs"] {
        let folder = Path::new(ROOT).join(folder);
        for name in disk.list(&folder).unwrap_or_default() {
            let path = folder.join(&name);
            let Ok(bytes) = disk.read_all(&path) else { continue };
            if name != "lock" {
                let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
                files.push((path, bytes.len() - zeros));
            }
        }
    }
    files
}

/// Which of `places` are tried: those near the ends of a file always.
fn is_tried(at: usize, end: usize, every: usize) -> bool {
    is_whole_programme() || at.is_multiple_of(every) || at + 8 > end
}

fn before() -> (MemoryDisk, State, Definitions) {
    let disk = make();
    let dir = DataDir::open(disk.clone(), Path::new(ROOT), small()).unwrap();
    let recovered = open_store(&dir, None).unwrap();
    let (state, damages) = read_all(&recovered);
    assert!(damages.is_empty() && recovered.clean_stop);
    let live: usize = state.values().map(Vec::len).sum();
    assert_eq!(live, 100 - 10 - 1 - 5 - 6 - 2 - 1 + 60 + 5 + 4 + 2, "{state:?}");
    (disk, state, recovered.definitions)
}

#[test]
fn no_flipped_byte_of_a_data_directory_is_served_or_drops_a_message() {
    let (disk, whole, definitions) = before();
    let mut outcomes = BTreeMap::new();
    for (path, used) in files(&disk) {
        for at in (0..used).filter(|at| is_tried(*at, used, 397)) {
            for mask in [0xff, 1 << (at % 8)] {
                disk.tamper(&path, |bytes| bytes[at] ^= mask);
                let what = format!("byte {at} of {}", path.display());
                *outcomes.entry(outcome(&disk, &whole, &definitions, &what)).or_insert(0) += 1;
                disk.tamper(&path, |bytes| bytes[at] ^= mask);
            }
        }
    }
    println!("{outcomes:?}");
    assert_eq!(outcomes.len(), 3, "refused, damaged and harmless ones: {outcomes:?}");
}

#[test]
fn no_cut_or_longer_file_of_a_data_directory_drops_a_message() {
    let (disk, whole, definitions) = before();
    let mut outcomes = BTreeMap::new();
    let mut check = |what: String| {
        *outcomes.entry(outcome(&disk, &whole, &definitions, &what)).or_insert(0) += 1;
    };
    for (path, used) in files(&disk) {
        let bytes = disk.read_all(&path).unwrap();
        for length in (0..used).filter(|at| is_tried(*at, used, 1999)) {
            disk.tamper(&path, |bytes| bytes.truncate(length));
            check(format!("{} cut at {length}", path.display()));
            disk.tamper(&path, |now| now.clone_from(&bytes));
        }
        for (kind, more) in
            [("zeros", vec![0; 5000]), ("garbage", vec![0xa5; 5000]), ("itself", bytes.clone())]
        {
            disk.tamper(&path, |bytes| bytes.extend(&more));
            check(format!("{} with {kind} behind it", path.display()));
            disk.tamper(&path, |now| now.clone_from(&bytes));
        }
    }
    println!("{outcomes:?}");
    assert!(outcomes.contains_key(&Outcome::Refused), "{outcomes:?}");
}

#[test]
fn no_missing_file_of_a_data_directory_drops_a_message() {
    let (disk, whole, definitions) = before();
    for (path, used) in files(&disk).into_iter().filter(|(_, used)| *used > 0) {
        let bytes = disk.read_all(&path).unwrap();
        disk.remove(&path).unwrap();
        outcome(&disk, &whole, &definitions, &format!("{} ({used} bytes) lost", path.display()));
        let file = disk.create(&path, 0).unwrap();
        disk.write_at(&file, 0, &bytes).unwrap();
        disk.sync_data(&file).unwrap();
        disk.sync_folder(path.parent().unwrap()).unwrap();
    }
    assert_eq!(outcome(&disk, &whole, &definitions, "put back"), Outcome::Same);
}
