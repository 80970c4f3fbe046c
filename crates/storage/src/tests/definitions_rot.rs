//! Damage at single places of the definitions' folder and export: what is recovered is always the same.
//!
//! sled may refuse, or panic inside its guard: then the export and the log take its place. It must never give
//! other definitions. A sample of the places in the commit tier, 4,096 with `LEVERET_ROT=all`.

use std::fs;

use super::*;
use crate::disk::RealDisk;

const PLACES: usize = 4096;
const SAMPLED: usize = 48;

/// A file below the folder with its bytes.
type Saved = Vec<(PathBuf, Vec<u8>)>;

fn save(folder: &Path, into: &mut Saved) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            save(&path, into);
        } else {
            let bytes = fs::read(&path).unwrap();
            into.push((path, bytes));
        }
    }
}

fn restore(folder: &Path, saved: &Saved) {
    fs::remove_dir_all(folder.join("definitions")).unwrap();
    for (path, bytes) in saved {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Definitions in all three places, some in the log alone, some in sled and not in the export.
fn make(folder: &Path) -> Definitions {
    let dir = DataDir::open(RealDisk, folder, small()).unwrap();
    let checkpoint = || Box::new(SledCheckpoint::new(dir.definitions_folder(), dir.log_id()));
    let recovered = open_store(&dir, Some(&mut *checkpoint())).unwrap();
    let source = recovered.definitions_source;
    let mut store = DefinitionStore::start(&dir, Some(checkpoint()), &recovered.definitions, source).unwrap();
    let mut log = LogWriter::open(&dir, recovered.tail).unwrap();
    let mut gather = log.gather();
    let mut change = |revision: u64, store: Option<&mut DefinitionStore<RealDisk>>| {
        let key = |number: u64| format!("queue/{number}").into_bytes();
        let changes = [
            (key(revision), Some(vec![revision as u8; 100])),
            (key(revision / 2), None),
            (key(0), Some(vec![7])),
        ];
        let position = gather.definition(revision, &changes);
        log.step(&mut gather).unwrap();
        if let Some(store) = store {
            store.apply(position, revision, &changes).unwrap();
        }
    };
    (1..40).for_each(|revision| change(revision, Some(&mut store)));
    assert!(store.export_if_due(0).unwrap());
    (40..50).for_each(|revision| change(revision, Some(&mut store)));
    (50..60).for_each(|revision| change(revision, None));
    drop((store, log));
    drop(dir);
    look_at(folder).0
}

fn look_at(folder: &Path) -> (Definitions, DefinitionsSource) {
    let dir = DataDir::open(RealDisk, folder, small()).unwrap();
    let mut checkpoint = SledCheckpoint::new(dir.definitions_folder(), dir.log_id());
    let recovered = open_store(&dir, Some(&mut checkpoint)).unwrap();
    (recovered.definitions, recovered.definitions_source)
}

#[test]
fn no_damaged_place_of_the_definitions_gives_other_ones() {
    let folder = tempfile::tempdir().unwrap();
    let expected = make(folder.path());
    assert_eq!((expected.revision, expected.entries.len()), (59, 31));
    let mut saved = Saved::new();
    save(&folder.path().join("definitions"), &mut saved);
    let export = folder.path().join("definitions.json");
    saved.push((export.clone(), fs::read(&export).unwrap()));

    // Every byte that is not zero is as likely as another; headers are among them, and some zeros.
    let used = saved.iter().flat_map(|(path, bytes)| {
        let is_used = |(at, byte): &(usize, &u8)| **byte != 0 || at.is_multiple_of(512);
        bytes.iter().enumerate().filter(is_used).map(move |(at, _)| (path, at))
    });
    let used: Vec<(&PathBuf, usize)> = used.collect();
    let places = if is_whole_programme() { PLACES } else { SAMPLED };
    let mut sources = BTreeMap::new();
    for index in 0..places {
        let (path, at) = used[index * used.len() / places];
        restore(folder.path(), &saved);
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 1 << (index % 8);
        fs::write(path, bytes).unwrap();
        let (found, source) = look_at(folder.path());
        assert_eq!(found, expected, "byte {at} of {}", path.display());
        *sources.entry(format!("{source:?}")).or_insert(0) += 1;
    }
    assert!(sources.contains_key("Export"), "damage to sled is seen: {sources:?}");
    println!("{places} places: {sources:?}");
}
