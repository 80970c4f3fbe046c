//! Acknowledged definitions survive kills and power cuts.
//!
//! Clients declare, bind, delete and change queues, exchanges, bindings, users, virtual hosts and permissions,
//! each of its own names and each change only when the one before was answered. So what a broker has after a start must
//! be, client by client, exactly what the answered changes left, or what those that were under way would have left too.
//! Cycle after cycle the broker is killed, stopped, or loses its power, and life goes on with what that left, on the
//! drive that it left.
//!
//! `LEVERET_POWERCUT_CYCLES` is the number of cycles, a few by default; `LEVERET_POWERCUT_SEED` chooses among kinds.

mod churn;
mod state;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use leveret_tests::{
    broker::Broker,
    chance::Chance,
    crash_disk::{CrashDisk, Cut, Image, Mode, Volume},
    http::Http,
    wait::pass,
};

use super::{
    disk, number,
    point::{cut_recovery, options},
};

use churn::{Book, WORKERS, flood};
use state::{State, read};

/// Cycles of the commit tier.
const FEW_CYCLES: usize = 4;
const DRIVE_BYTES: u64 = 128 << 20;
/// The flood leaves so much free.
const KEPT_FREE: u64 = 64 << 20;

#[test]
fn acknowledged_definitions_survive_kills_and_power_cuts() {
    let Some(disk) = disk() else { return };
    let cycles = number("LEVERET_POWERCUT_CYCLES", FEW_CYCLES);
    let mut chance = Chance::new(number("LEVERET_POWERCUT_SEED", 1) as u64);
    let mut volume = Volume::make(&disk, DRIVE_BYTES);
    let mut before: Option<(String, Lived)> = None;
    let (mut answered, mut rebuilt) = (0, 0);
    // The last start only looks.
    for cycle in 0..=cycles {
        let mut broker = Broker::start_with(options(&volume, None));
        let base = what_is_there(&broker);
        if let Some((words, lived)) = before.take() {
            lived.judge(&base, &words);
            answered += lived.answered.iter().sum::<usize>();
        }
        if cycle < cycles {
            let end = End::choose(cycle, &mut chance);
            let (lived, left) = live(&mut broker, &volume, Book::new(base), (end, &mut chance));
            before = Some((format!("cycle {cycle}: {end:?}"), lived));
            rebuilt += broker.log().matches("checkpoint is rebuilt").count();
            drop(broker);
            volume = next_volume(&disk, volume, left, &mut chance);
        }
        if cycle.is_multiple_of(20) {
            println!("{cycle} of {cycles} cycles done");
        }
    }
    println!(
        "{cycles} cycles: {answered} changes were answered, none was lost or undone; the checkpoint of the definitions \
         was rebuilt {rebuilt} times"
    );
    assert!(answered > cycles, "{answered}");
}

/// How a life of the broker ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Stop,
    Kill,
    PowerCut(Cut, AtWrite),
}

/// Behind which write from the beginning of the load, or after its time.
type AtWrite = Option<usize>;

impl End {
    /// Every mode of a power cut in turn, and others between.
    fn choose(cycle: usize, chance: &mut Chance) -> Self {
        match cycle % 8 {
            3 => Self::Kill,
            7 => Self::Stop,
            number => {
                let cut = Cut { mode: Mode::ALL[number % 4], seed: chance.bits() };
                Self::PowerCut(cut, (chance.below(2) == 0).then(|| 1 + chance.below(400)))
            }
        }
    }
}

/// A life that has ended.
struct Lived {
    book: Book,
    /// For each worker, changes whose answers it had before the end.
    answered: Vec<usize>,
    /// For each worker, changes that can have had an effect.
    sent: Vec<usize>,
}

impl Lived {
    /// Each worker's definitions must be what they were between the two counts.
    fn judge(&self, found: &[State], words: &str) {
        for (worker, found) in found.iter().enumerate() {
            let (answered, sent) = (self.answered[worker], self.sent[worker]);
            let fits = self.book.fits(worker, found, answered, sent);
            let wanted = self.book.state(worker, answered);
            assert!(
                fits,
                "{words}: worker {worker} has {found:#?}\nafter {answered} to {sent} changes, not {wanted:#?}"
            );
        }
    }
}

/// Where an end left the drive: on another one after a power cut.
type Left = Option<Image>;

/// Counts and drive of a power cut.
#[derive(Debug)]
struct Shot {
    answered: Vec<usize>,
    left: Image,
    sent: Vec<usize>,
}

impl Shot {
    fn of(book: &Book, image: &Image, cut: Cut) -> Self {
        let answered = book.answered();
        let left = image.cut(cut);
        Self { answered, left, sent: book.sent() }
    }
}

/// Lets clients change definitions for a while, and ends it.
fn live(
    broker: &mut Broker,
    volume: &Volume<'_>,
    book: Book,
    (end, chance): (End, &mut Chance),
) -> (Lived, Left) {
    let book = Arc::new(book);
    let ending = AtomicBool::new(false);
    let (amqp, http) = (broker.amqp(), broker.http());
    let (seed, time) = (chance.bits() >> 1, Duration::from_millis(50 + chance.below(500) as u64));
    let data = volume.path();
    let shot = thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (book, ending) = (&book, &ending);
            scope.spawn(move || {
                let error = book.churn(worker, (amqp, http), seed);
                assert!(ending.load(Ordering::SeqCst), "worker {worker}: {error}");
            });
        }
        scope.spawn(|| {
            let ended = flood(amqp, || !ending.load(Ordering::SeqCst) && free_bytes(data) > KEPT_FREE);
            assert!(ended.is_ok() || ending.load(Ordering::SeqCst), "the flood: {ended:?}");
        });
        let shot = match end {
            End::PowerCut(cut, at) => Some(cut_power(volume, &book, cut, (at, time))),
            End::Stop | End::Kill => {
                pass(time);
                None
            }
        };
        ending.store(true, Ordering::SeqCst);
        match end {
            End::Stop => drop(broker.stop()),
            End::Kill | End::PowerCut(..) => broker.kill(),
        }
        shot
    });
    let (answered, left, sent) = match shot {
        Some(Shot { answered, left, sent }) => (answered, Some(left), sent),
        None => (book.answered(), None, book.sent()),
    };
    let book = Arc::into_inner(book).expect("nobody else writes any more");
    (Lived { book, answered, sent }, left)
}

/// Cuts the power behind the write that `at` says, after `time` at the latest.
fn cut_power(volume: &Volume<'_>, book: &Arc<Book>, cut: Cut, (at, time): (AtWrite, Duration)) -> Shot {
    let shot: Arc<Mutex<Option<Shot>>> = Arc::default();
    if let Some(mut left) = at {
        let (shot, book) = (Arc::clone(&shot), Arc::clone(book));
        volume.watch(move |image| {
            left -= 1;
            if left == 0 {
                *shot.lock().expect("no other thread panicked") = Some(Shot::of(&book, image, cut));
            }
            left > 0
        });
    }
    pass(time);
    volume.unwatch();
    let shot = shot.lock().expect("no other thread panicked").take();
    shot.unwrap_or_else(|| volume.look(|image| Shot::of(book, image, cut)))
}

/// The drive that life goes on with; now and then a recovery on it is cut first.
fn next_volume<'d>(disk: &'d CrashDisk, volume: Volume<'d>, left: Left, chance: &mut Chance) -> Volume<'d> {
    let volume = match left {
        Some(image) => {
            drop(volume);
            Volume::of(disk, image)
        }
        None => volume,
    };
    if chance.below(4) > 0 {
        return volume;
    }
    let cut = Cut { mode: chance.of(&Mode::ALL), seed: chance.bits() };
    let image = cut_recovery(&volume, None, cut);
    drop(volume);
    Volume::of(disk, image)
}

/// Each worker's definitions as the broker exports them.
fn what_is_there(broker: &Broker) -> Vec<State> {
    let reply = Http::new(broker.http()).call("GET", "/api/definitions", Some("guest:guest"), None);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let definitions = reply.json();
    (0..WORKERS).map(|worker| read(&definitions, worker)).collect()
}

fn free_bytes(folder: &std::path::Path) -> u64 {
    let found = rustix::fs::statvfs(folder).expect("a mounted volume");
    found.f_bavail * found.f_frsize
}
