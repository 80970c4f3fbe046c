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
    if damages.is_empty() {
        // A count that is too high would make a limited queue drop what lives.
        for (queue, found) in &recovered.queues {
            let is_stopped = recovered.quarantined.iter().any(|stopped| stopped.queue == *queue);
            let read = state.get(queue).map_or(0, Vec::len);
            assert!(
                is_stopped || found.messages() == read as u64,
                "{what}: queue {queue}: {found:?}, {read}"
            );
        }
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

/// All files that hold data, with the number of bytes that are tried: in a sample up to the last that is not zero.
fn files(disk: &MemoryDisk) -> Vec<(PathBuf, usize)> {
    let mut files = Vec::new();
    for folder in ["", "log", "runs"] {
        let folder = Path::new(ROOT).join(folder);
        for name in disk.list(&folder).unwrap_or_default() {
            let path = folder.join(&name);
            let Ok(bytes) = disk.read_all(&path) else { continue };
            if name != "lock" {
                let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                files.push((path, if is_whole_programme() { bytes.len() } else { used }));
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

/// What came of the places that were damaged, by the kind of file.
#[derive(Debug, Default)]
struct Table(BTreeMap<(&'static str, Outcome), u64>);

impl Table {
    fn note(&mut self, path: &Path, outcome: Outcome) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let kinds = ["slot", "blob", "run", "manifest", "identity"];
        let kind = kinds.into_iter().find(|kind| name.starts_with(kind)).unwrap_or("export");
        *self.0.entry((kind, outcome)).or_insert(0) += 1;
    }

    fn print(&self, what: &str) {
        println!("{what:20} {:>9} {:>9} {:>9}", "refused", "damaged", "harmless");
        let kinds: std::collections::BTreeSet<&str> = self.0.keys().map(|(kind, _)| *kind).collect();
        for kind in kinds {
            let [refused, damaged, same] = [Outcome::Refused, Outcome::Damaged, Outcome::Same]
                .map(|outcome| self.0.get(&(kind, outcome)).copied().unwrap_or(0));
            println!("{kind:20} {refused:9} {damaged:9} {same:9}");
        }
        println!("{} places, none wrong", self.0.values().sum::<u64>());
    }

    fn has(&self, outcome: Outcome) -> bool {
        self.0.keys().any(|(_, of)| *of == outcome)
    }
}

#[test]
fn no_flipped_byte_of_a_data_directory_is_served_or_drops_a_message() {
    let (disk, whole, definitions) = before();
    let mut table = Table::default();
    for (path, used) in files(&disk) {
        for at in (0..used).filter(|at| is_tried(*at, used, 397)) {
            for mask in [0xff, 1 << (at % 8)] {
                disk.tamper(&path, |bytes| bytes[at] ^= mask);
                let what = format!("byte {at} of {}", path.display());
                table.note(&path, outcome(&disk, &whole, &definitions, &what));
                disk.tamper(&path, |bytes| bytes[at] ^= mask);
            }
        }
    }
    table.print("flipped bytes in");
    for outcome in [Outcome::Same, Outcome::Refused, Outcome::Damaged] {
        assert!(table.has(outcome), "{outcome:?}: {table:?}");
    }
}

#[test]
fn no_cut_or_longer_file_of_a_data_directory_drops_a_message() {
    let (disk, whole, definitions) = before();
    let mut table = Table::default();
    let mut check = |path: &Path, what: String| {
        table.note(path, outcome(&disk, &whole, &definitions, &what));
    };
    for (path, used) in files(&disk) {
        let bytes = disk.read_all(&path).unwrap();
        for length in (0..used).filter(|at| is_tried(*at, used, 1999)) {
            disk.tamper(&path, |bytes| bytes.truncate(length));
            check(&path, format!("{} cut at {length}", path.display()));
            disk.tamper(&path, |now| now.clone_from(&bytes));
        }
        for (kind, more) in
            [("zeros", vec![0; 5000]), ("garbage", vec![0xa5; 5000]), ("itself", bytes.clone())]
        {
            disk.tamper(&path, |bytes| bytes.extend(&more));
            check(&path, format!("{} with {kind} behind it", path.display()));
            disk.tamper(&path, |now| now.clone_from(&bytes));
        }
    }
    table.print("cut or longer");
    assert!(table.has(Outcome::Refused), "{table:?}");
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
