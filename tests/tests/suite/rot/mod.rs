//! Damage to single places of a data directory, seen through a broker that starts on it.
//!
//! A broker fills a folder in several lives and is killed at last. Then each run damages one place of a copy of it,
//! and starts a broker there. It refuses with one clear line, or it serves: each message that is read is right, in its
//! order and with its flag, or its queue is stopped and says with file and offset why; all other queues have
//! everything, so have the definitions, and nothing is dropped in silence. A stopped queue is stopped again after a
//! clean stop. What is read back in process, place for place, is tested in `crates/storage`.
//!
//! `LEVERET_ROT=all` makes all 512 runs, `LEVERET_ROT=100-120` those; a few by default.
#![allow(clippy::print_stdout, reason = "a long programme shows how far it is")]

mod places;
mod store;
mod verdict;

use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use leveret_tests::broker::{Broker, Options};

use places::{KINDS, Place};
use store::{CONFIG, Store};
use verdict::{Outcome, Reading};

/// Places of the whole programme, and of the commit tier: some of each kind of file.
const PLACES: usize = 512;
const FEW_PLACES: usize = 16;
/// Runs at a time.
const WORKERS: usize = 2;

#[test]
fn damage_to_any_place_is_refused_or_stops_its_queue_alone() {
    let store = Store::fill();
    let places = places::spread(&store.files(), PLACES);
    assert_eq!(places.len(), PLACES, "every kind of file is there");
    let numbers = chosen();
    let table = Mutex::new(Table::default());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(number) = numbers.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let place = &places[*number];
                    let outcome = catch_unwind(AssertUnwindSafe(|| strike(&store, place)));
                    let outcome = outcome.unwrap_or_else(|_| Err("the run panicked, see above".to_owned()));
                    table.lock().expect("no other thread panicked").note(*number, place, outcome);
                }
            });
        }
    });
    let table = table.into_inner().expect("no other thread panicked");
    println!("{}", table.text());
    assert!(table.wrong.is_empty(), "{}", table.wrong.join("\n"));
    assert!(table.of(Outcome::Refused) > 0 && table.of(Outcome::Stopped) > 0, "damage is found");
}

/// The numbers of the runs to be made.
fn chosen() -> Vec<usize> {
    let Ok(text) = std::env::var("LEVERET_ROT") else {
        return (0..FEW_PLACES).map(|number| (2 * number + 1) * PLACES / (2 * FEW_PLACES)).collect();
    };
    match text.split_once('-') {
        Some((first, last)) => {
            let number = |text: &str| text.parse::<usize>().expect("a range of runs");
            (number(first)..=number(last)).collect()
        }
        None => (0..PLACES).collect(),
    }
}

/// Starts a broker on a copy with this one place damaged, and reads everything.
fn strike(store: &Store, place: &Place) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    store.copy_to(&data);
    let path = data.join(&place.file);
    let mut bytes = fs::read(&path).expect("the file");
    place.damage.apply(&mut bytes, place.at);
    fs::write(&path, bytes).expect("the file");

    let mut broker = Broker::prepare(Options { data_dir: Some(data.clone()), ..Options::config(CONFIG) });
    broker.launch();
    if let Err(status) = broker.try_ready() {
        return verdict::of_refusal(status, &broker.log(), &data).map(|()| Outcome::Refused);
    }
    let reading = Reading::of(&broker, store);
    let stopped = reading.check(store, &data)?;
    if !broker.stop().success() {
        return Err("the broker did not stop cleanly".to_owned());
    }
    if !stopped.is_empty() {
        broker.restart();
        Reading::of(&broker, store).check_again(&stopped)?;
        broker.kill();
    }
    verdict::of_log(&broker.log())?;
    Ok(if stopped.is_empty() { Outcome::Harmless } else { Outcome::Stopped })
}

/// What came of the runs.
#[derive(Debug, Default)]
struct Table {
    counts: BTreeMap<(usize, Outcome), usize>,
    wrong: Vec<String>,
}

impl Table {
    fn note(&mut self, number: usize, place: &Place, outcome: Result<Outcome, String>) {
        match outcome {
            Ok(outcome) => *self.counts.entry((place.kind, outcome)).or_insert(0) += 1,
            Err(why) => {
                let text = format!("run {number}, {place}: {why}");
                println!("{text}");
                self.wrong.push(text);
            }
        }
    }

    fn of(&self, outcome: Outcome) -> usize {
        self.counts.iter().filter(|((_, of), _)| *of == outcome).map(|(_, count)| count).sum()
    }

    fn text(&self) -> String {
        let mut text =
            format!("{:14} {:>9} {:>14} {:>9}\n", "damage to", "refused", "queue stopped", "harmless");
        for (kind, name) in KINDS.iter().enumerate() {
            let count = |outcome| self.counts.get(&(kind, outcome)).copied().unwrap_or(0);
            let [refused, stopped, harmless] =
                [Outcome::Refused, Outcome::Stopped, Outcome::Harmless].map(count);
            text += &format!("{:14} {refused:9} {stopped:14} {harmless:9}\n", name.0);
        }
        let made: usize = self.counts.values().sum::<usize>() + self.wrong.len();
        text + &format!("{made} places, {} wrong", self.wrong.len())
    }
}
