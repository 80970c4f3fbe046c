//! Definitions: checkpoint plus log, export plus log and log alone are the same, whatever was lost.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::DefinitionChange as Change;
use crate::disk::RealDisk;

/// A store in a real folder, with sled.
struct Store {
    log: LogWriter<RealDisk>,
    gather: Gather,
    store: DefinitionStore<RealDisk>,
    source: DefinitionsSource,
    found: Definitions,
    revision: u64,
    _dir: DataDir<RealDisk>,
}

fn open(folder: &Path) -> Result<Store, StorageError> {
    let dir = DataDir::open(RealDisk, folder, small())?;
    let mut checkpoint: Box<dyn DefinitionCheckpoint> =
        Box::new(SledCheckpoint::new(dir.definitions_folder(), dir.log_id()));
    let recovered = recover(&dir, Some(&mut *checkpoint), &mut Collected::default())?;
    let source = recovered.definitions_source;
    let store = DefinitionStore::start(&dir, Some(checkpoint), &recovered.definitions, source)?;
    let log = LogWriter::open(&dir, recovered.tail)?;
    let revision = recovered.definitions.revision;
    Ok(Store { gather: log.gather(), log, store, source, found: recovered.definitions, revision, _dir: dir })
}

impl Store {
    /// Logs a change, and hands it to the checkpoint unless it is to lag behind.
    fn change(&mut self, changes: &[Change], reaches_checkpoint: bool) {
        self.revision += 1;
        let position = self.gather.definition(self.revision, changes);
        self.log.step(&mut self.gather).unwrap();
        if reaches_checkpoint {
            self.store.apply(position, self.revision, changes).unwrap();
        }
    }
}

fn put(key: &str, len: usize) -> Change {
    (key.as_bytes().to_vec(), Some(vec![key.len() as u8; len]))
}

fn damage(folder: &Path, what: &str) {
    match what {
        "checkpoint lost" => fs::remove_dir_all(folder.join("definitions")).unwrap(),
        "checkpoint emptied" => {
            fs::remove_dir_all(folder.join("definitions")).unwrap();
            fs::create_dir(folder.join("definitions")).unwrap();
        }
        "checkpoint cut" => {
            let db = folder.join("definitions/db");
            let file = fs::OpenOptions::new().write(true).open(&db).unwrap();
            file.set_len(fs::metadata(&db).unwrap().len() / 3).unwrap();
        }
        "checkpoint garbled" => {
            let db = folder.join("definitions/db");
            let mut bytes = fs::read(&db).unwrap();
            bytes.iter_mut().skip(100).step_by(50).for_each(|byte| *byte ^= 0x55);
            fs::write(&db, bytes).unwrap();
        }
        "export lost" => fs::remove_file(folder.join("definitions.json")).unwrap(),
        "export garbled" => {
            let path = folder.join("definitions.json");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replace("71", "72")).unwrap();
        }
        other => panic!("{other}"),
    }
}

/// A checkpoint in memory that counts what it is given.
#[derive(Clone, Default)]
struct Counting(std::sync::Arc<std::sync::Mutex<(usize, Definitions)>>);

impl DefinitionCheckpoint for Counting {
    fn load(&mut self) -> Result<Option<Definitions>, StorageError> {
        Ok(None)
    }

    fn apply(&mut self, position: Position, revision: u64, changes: &[Change]) -> Result<(), StorageError> {
        let mut kept = self.0.lock().unwrap();
        kept.0 += 1;
        kept.1.apply(position, revision, changes);
        Ok(())
    }

    fn reset(&mut self, definitions: &Definitions) -> Result<(), StorageError> {
        *self.0.lock().unwrap() = (0, definitions.clone());
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), StorageError> {
        Ok(())
    }
}

#[test]
fn many_records_reach_the_checkpoint_in_few_writes() {
    let folder = tempfile::tempdir().unwrap();
    let dir = DataDir::open(RealDisk, folder.path(), small()).unwrap();
    let counting = Counting::default();
    let checkpoint = Box::new(counting.clone());
    let nothing = Definitions::default();
    let mut store = DefinitionStore::start(&dir, Some(checkpoint), &nothing, DefinitionsSource::New).unwrap();
    // Each key is made, given another value, and every third one deleted again.
    let records: Vec<Vec<Change>> = (0..3000)
        .map(|n| match n % 3 {
            0 => vec![put(&format!("key {}", n / 3), 100)],
            1 => vec![put(&format!("key {}", n / 3), 50)],
            _ if n % 9 == 2 => vec![(format!("key {}", n / 3).into_bytes(), None)],
            _ => vec![put("the last", n)],
        })
        .collect();
    let numbered = records.iter().zip(1..).map(|(changes, n)| (Position(n), n, &**changes));
    store.apply_all(numbered.clone()).unwrap();
    let mut expected = Definitions::default();
    numbered.for_each(|(position, revision, changes)| expected.apply(position, revision, changes));
    let (writes, kept) = &*counting.0.lock().unwrap();
    assert_eq!(*kept, expected);
    assert_eq!(*store.definitions(), expected);
    assert!((2..=200).contains(writes), "{writes}");
}

#[test]
fn whatever_is_lost_beside_the_log_the_definitions_are_the_same() {
    let cases: &[(&[&str], DefinitionsSource)] = &[
        (&[], DefinitionsSource::Checkpoint),
        (&["export lost"], DefinitionsSource::Checkpoint),
        (&["checkpoint lost"], DefinitionsSource::Export),
        (&["checkpoint emptied"], DefinitionsSource::Export),
        (&["checkpoint garbled"], DefinitionsSource::Export),
        (&["checkpoint lost", "export lost"], DefinitionsSource::Log),
        (&["checkpoint garbled", "export garbled"], DefinitionsSource::Log),
    ];
    for (damages, source) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path()).unwrap();
        for n in 0..50 {
            store.change(&[put(&format!("queue/{n}"), 30), put("last", n)], true);
        }
        assert!(store.store.export_if_due(0).unwrap());
        store.change(&[(b"queue/7".to_vec(), None), put("after the export", 5)], true);
        assert!(!store.store.export_if_due(29_999).unwrap(), "too early");
        store.change(&[put("in the log alone", 1)], false);
        let mut expected = store.store.definitions().clone();
        expected.entries.insert(b"in the log alone".to_vec(), vec![16]);
        drop(store);
        damages.iter().for_each(|what| damage(folder.path(), what));
        for start in 0..2 {
            let store = open(folder.path()).unwrap();
            assert_eq!(store.found.entries, expected.entries, "{damages:?}");
            assert_eq!(store.found.revision, 52, "{damages:?}");
            let from = if start == 0 { *source } else { DefinitionsSource::Checkpoint };
            assert_eq!(store.source, from, "{damages:?}, start {start}");
        }
    }
}

#[test]
fn a_cut_checkpoint_gives_the_same_definitions_from_wherever_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).unwrap();
    for n in 0..200 {
        store.change(&[put(&format!("exchange/{n}"), 300)], true);
    }
    store.store.close().unwrap();
    let expected = store.gather.last_position();
    drop((store.log, store._dir));
    damage(folder.path(), "checkpoint cut");
    let store = open(folder.path()).unwrap();
    assert_eq!(store.found.entries.len(), 200);
    assert_eq!(store.found.position, expected);
}

#[test]
fn large_imports_and_repeated_keys_keep_count_and_hash() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).unwrap();
    let many: Vec<Change> = (0..500).map(|n| put(&format!("queue/{n}"), 1000)).collect();
    store.change(&many, true);
    store.change(&[put("k", 1), put("k", 2), (b"k".to_vec(), None), put("k", 3), put("j", 9)], true);
    store.change(&[(b"j".to_vec(), None), (b"never there".to_vec(), None)], true);
    store.change(&[put("large", 300_000)], true);
    let expected = store.store.definitions().clone();
    store.store.close().unwrap();
    drop((store.log, store._dir));
    let store = open(folder.path()).unwrap();
    assert_eq!(store.source, DefinitionsSource::Checkpoint);
    assert_eq!(store.found, expected);
    assert_eq!(store.found.entries[&b"k"[..]].len(), 3);
}

#[test]
fn a_checkpoint_beyond_the_end_of_the_log_proves_a_loss_and_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).unwrap();
    store.change(&[put("a", 1)], true);
    store.change(&[put("b", 1)], true);
    drop(store);
    // The last batch vanishes as if it had never been synced.
    let disk = RealDisk;
    let slot = disk.list(&folder.path().join("log")).unwrap().pop().unwrap();
    let path = folder.path().join("log").join(slot);
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096 * 3..].fill(0);
    fs::write(&path, bytes).unwrap();
    let error = open(folder.path()).err().expect("a refusal");
    assert!(error.to_string().contains("was durable"), "{error}");
}

#[test]
fn a_checkpoint_of_another_store_is_not_taken() {
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    for (folder, key) in [(&one, "mine"), (&two, "theirs")] {
        let mut store = open(folder.path()).unwrap();
        store.change(&[put(key, 1)], true);
        store.store.close().unwrap();
    }
    fs::remove_dir_all(one.path().join("definitions")).unwrap();
    fs::rename(two.path().join("definitions"), one.path().join("definitions")).unwrap();
    fs::copy(two.path().join("definitions.json"), one.path().join("definitions.json")).unwrap();
    let store = open(one.path()).unwrap();
    assert_eq!(store.source, DefinitionsSource::Log);
    assert!(store.found.entries.contains_key(&b"mine"[..]) && store.found.entries.len() == 1);
}

proptest! {
    #![proptest_config(cases(24))]

    /// Any history, with the checkpoint lagging and the process dying without a word.
    #[test]
    fn checkpoint_and_log_give_what_the_log_alone_gives(
        rounds in proptest::collection::vec(
            (proptest::collection::vec((0..12u8, proptest::option::of(0..40usize)), 1..12), any::<bool>()), 1..4)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut expected = BTreeMap::new();
        for (changes, lags) in rounds {
            let mut store = open(folder.path()).unwrap();
            prop_assert_eq!(&store.found.entries, &expected);
            for (index, (key, len)) in changes.iter().enumerate() {
                let value = len.map(|len| vec![*key; len]);
                store.change(&[(vec![*key], value.clone())], !lags || index < changes.len() / 2);
                match value {
                    Some(value) => expected.insert(vec![*key], value),
                    None => expected.remove(&vec![*key]),
                };
            }
        }
        prop_assert_eq!(&open(folder.path()).unwrap().found.entries, &expected);
        let dir = DataDir::open(RealDisk, folder.path(), small()).unwrap();
        fs::remove_dir_all(dir.definitions_folder()).unwrap();
        let alone = recover(&dir, None, &mut Collected::default()).unwrap();
        prop_assert_eq!(alone.definitions_source, DefinitionsSource::Log);
        prop_assert_eq!(&alone.definitions.entries, &expected);
    }
}
