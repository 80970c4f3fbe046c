//! Cutting the power of a run, and what recovers from each cut.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use leveret_tests::{
    broker::{Broker, Options},
    chance::Chance,
    crash_disk::{CrashDisk, Cut, Image, Mode, Volume, keep},
    wait::{PATIENCE, pass, until},
};

use super::{drain::drain, events::Events, load::Load, topology::declare, verdict::Verdict};

/// The drive.
const DRIVE_BYTES: u64 = 128 << 20;
/// Small slots, so that they are used again, and a small window, so that queues go to disk and come back.
const CONFIG: &str =
    "disk_free_limit.absolute = 1MB\nleveret.slot_size = 1MiB\nleveret.hot_window = 256KiB\n";
/// Cuts taken of one run.
pub(super) const CUTS_A_RUN: usize = 10;
/// Messages confirmed before the first cut of a run.
const CONFIRMED_FIRST: usize = 20;

/// One power cut: the drive that it left, and the two places among the events between which it fell.
#[derive(Debug)]
struct Point {
    number: usize,
    cut: Cut,
    pending: usize,
    image: Image,
    before: usize,
    after: usize,
}

/// Takes the points of one run.
#[derive(Debug)]
struct Camera {
    events: Arc<Events>,
    points: Mutex<Vec<Point>>,
}

impl Camera {
    fn shoot(&self, image: &Image, cut: Cut) {
        let before = self.events.count();
        let left = image.cut(cut);
        let after = self.events.count();
        let mut points = self.points.lock().expect("no other thread panicked");
        let (number, pending) = (points.len(), image.pending_writes());
        points.push(Point { number, cut, pending, image: left, before, after });
    }

    fn count(&self) -> usize {
        self.points.lock().expect("no other thread panicked").len()
    }
}

/// The load of one seed on a broker, cut up to `most` times, and what each cut left.
///
/// # Panics
/// When a broker does not start or the load fails.
pub(super) fn run(disk: &CrashDisk, seed: u64, binary: Option<&PathBuf>, most: usize) -> Verdict {
    let events = Arc::new(Events::default());
    let camera = Arc::new(Camera { events: Arc::clone(&events), points: Mutex::default() });
    load_and_cut(disk, seed, binary, (most.min(CUTS_A_RUN), &camera));
    let points = std::mem::take(&mut *camera.points.lock().expect("no other thread panicked"));
    let mut total = Verdict::default();
    for point in points {
        let path = std::env::temp_dir().join(format!("leveret-powercut-{seed}-{}.img", point.number));
        // A build with a planted fault fails everywhere, and nobody wants to look at it.
        let mut kept = Kept { image: point.image.clone(), path, is_good: binary.is_some() };
        let verdict = recover(disk, binary, point, &events);
        kept.is_good |= verdict.is_clean();
        total.add(verdict);
    }
    total
}

fn load_and_cut(
    disk: &CrashDisk,
    seed: u64,
    binary: Option<&PathBuf>,
    (most, camera): (usize, &Arc<Camera>),
) {
    let volume = Volume::make(disk, DRIVE_BYTES);
    let mut broker = Broker::start_with(options(&volume, binary));
    declare(broker.amqp());
    if binary.is_some() {
        // What lies there already is not what a build with a planted fault is to lose.
        volume.sync();
    }
    let load = Load::new(broker.amqp(), seed, &camera.events);
    let mut chance = Chance::new(seed);
    thread::scope(|scope| {
        load.start(scope);
        let confirmed = || camera.events.facts(usize::MAX, usize::MAX).confirmed.len();
        until("the load begins", PATIENCE, || (confirmed() >= CONFIRMED_FIRST).then_some(()));
        while camera.count() < most && !load.is_spent() && load.faults().is_empty() {
            let cut = Cut { mode: chance.of(&Mode::ALL), seed: chance.bits() };
            if chance.below(2) == 0 {
                pass(Duration::from_millis(chance.below(300) as u64));
                volume.look(|image| camera.shoot(image, cut));
            } else {
                cut_at_write(&volume, camera, cut, 1 + chance.below(200), &load);
            }
        }
        load.end();
        assert!(broker.is_alive(), "the broker ended under load");
        broker.kill();
    });
    assert_eq!(load.faults(), Vec::<String>::new(), "seed {seed}");
}

/// Cuts behind the `nth` write from now on, before anything else reaches the drive.
fn cut_at_write(volume: &Volume<'_>, camera: &Arc<Camera>, cut: Cut, nth: usize, load: &Load<'_>) {
    let (before, mut left) = (camera.count(), nth);
    let watching = Arc::clone(camera);
    volume.watch(move |image| {
        left -= 1;
        if left == 0 {
            watching.shoot(image, cut);
        }
        left > 0
    });
    let is_over = || camera.count() > before || load.is_spent();
    until("so many writes are made", PATIENCE, || is_over().then_some(()));
    volume.unwatch();
    // The load ended before so many writes.
    if camera.count() == before {
        volume.look(|image| camera.shoot(image, cut));
    }
}

/// Starts a broker on what a cut left, in some cases cut again meanwhile, and reads it to its end.
fn recover(disk: &CrashDisk, binary: Option<&PathBuf>, point: Point, events: &Events) -> Verdict {
    let facts = events.facts(point.before, point.after);
    let mut verdict = Verdict::default();
    verdict.with_pending = usize::from(point.pending > 0);
    let mut volume = Volume::of(disk, point.image);
    if point.number.is_multiple_of(4) {
        volume = Volume::of(disk, cut_recovery(&volume, binary, point.cut));
        verdict.cut_again = 1;
    }
    let mut broker = Broker::prepare(options(&volume, binary));
    broker.launch();
    if broker.try_ready().is_err() {
        verdict.refuse(&facts, broker.log());
        return verdict;
    }
    let found = drain(broker.amqp(), 1);
    verdict.judge(&facts, &found);
    broker.kill();
    if point.number.is_multiple_of(3) {
        broker.restart();
        verdict.judge_again(&found, &drain(broker.amqp(), 2));
        broker.kill();
    }
    drop(broker);
    if let Some(words) = volume.check() {
        panic!("the file system itself is damaged: {words}");
    }
    verdict
}

/// Cuts the power of a recovery at one of its writes, or right behind it.
pub(super) fn cut_recovery(volume: &Volume<'_>, binary: Option<&PathBuf>, cut: Cut) -> Image {
    let mut chance = Chance::new(cut.seed);
    let cut = Cut { mode: chance.of(&Mode::ALL), seed: chance.bits() };
    let mut left = 1 + chance.below(80);
    let shot: Arc<Mutex<Option<Image>>> = Arc::default();
    let watching = Arc::clone(&shot);
    volume.watch(move |image| {
        left -= 1;
        if left == 0 {
            *watching.lock().expect("no other thread panicked") = Some(image.cut(cut));
        }
        left > 0
    });
    let mut broker = Broker::prepare(options(volume, binary));
    broker.launch();
    // Whether it is refused shows at the next start.
    let _ = broker.try_ready();
    broker.kill();
    volume.unwatch();
    let shot = shot.lock().expect("no other thread panicked").take();
    shot.unwrap_or_else(|| volume.cut(cut))
}

pub(super) fn options(volume: &Volume<'_>, binary: Option<&PathBuf>) -> Options {
    Options {
        config: CONFIG.to_owned(),
        binary: binary.cloned(),
        data_dir: Some(volume.path().join("data")),
        ..Options::default()
    }
}

/// Keeps the drive of a point in a file when its recovery fails, also by a panic.
struct Kept {
    image: Image,
    path: PathBuf,
    is_good: bool,
}

impl Drop for Kept {
    #[allow(clippy::print_stdout, reason = "says where the evidence lies")]
    fn drop(&mut self) {
        if !self.is_good {
            keep(&self.image, &self.path);
            println!("the drive of the failed point is kept in {}", self.path.display());
        }
    }
}
