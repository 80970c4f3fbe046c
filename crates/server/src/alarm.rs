//! Memory and disk alarms: whether publishers must wait.
//!
//! Owns the measuring, the two limits and the two answers. What happens while an alarm is on (sockets not read,
//! connection.blocked) is the connections' part: they look at [`Alarms::state`] or wait on [`Alarms::subscribe`].

mod memory;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use leveret_core::admin::{Alarm, DiskFreeLimit, MemoryWatermark};
use parking_lot::Mutex;
use tokio::sync::watch;

/// The time between two measurements, in milliseconds: often enough that a fast publisher cannot run far past the
/// limit (some 250 MB at 1 GB/s), seldom enough to cost nothing.
const INTERVAL_MS: u64 = 250;

/// What is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlarmState {
    /// Memory is past its watermark.
    pub memory: bool,
    /// Free disk space is under its limit.
    pub disk: bool,
}

impl AlarmState {
    /// Publishers must wait.
    #[must_use]
    pub fn any(self) -> bool {
        self.memory || self.disk
    }

    /// The same as a list.
    #[must_use]
    pub fn list(self) -> Vec<Alarm> {
        let memory = self.memory.then_some(Alarm::Memory);
        memory.into_iter().chain(self.disk.then_some(Alarm::Disk)).collect()
    }
}

/// Where measurements come from; a test has its own.
trait Gauge: Send + Sync {
    /// Memory that this process may use, in bytes.
    fn memory_available(&self) -> u64;
    /// Memory of the machine, in bytes.
    fn memory_of_machine(&self) -> u64;
    /// Memory in use by this process that cannot be dropped, in bytes.
    fn memory_used(&self) -> Option<u64>;
    /// Has memory that is not in use any more given back to the system: all of it, or what has not been for a while.
    fn give_back(&self, all: bool);
    /// Free disk space under the data folder for this user, in bytes.
    fn disk_free(&self) -> Option<u64>;
}

/// Says how many bytes on the disk are as good as free, when told whether there is little else.
type Reusable = Box<dyn Fn(bool) -> u64 + Send + Sync>;

/// The two alarms.
pub struct Alarms {
    gauge: Box<dyn Gauge>,
    limits: Mutex<(MemoryWatermark, DiskFreeLimit)>,
    memory: AtomicBool,
    disk: AtomicBool,
    memory_used: AtomicU64,
    disk_free: AtomicU64,
    disk_known: AtomicBool,
    reusable: OnceLock<Reusable>,
    changes: watch::Sender<AlarmState>,
}

impl Alarms {
    /// Alarms for the data folder, measured once already.
    #[must_use]
    pub fn new(watermark: MemoryWatermark, disk_free_limit: DiskFreeLimit, data_dir: PathBuf) -> Arc<Self> {
        Self::with_gauge(Box::new(memory::SystemGauge::new(data_dir)), watermark, disk_free_limit)
    }

    fn with_gauge(
        gauge: Box<dyn Gauge>,
        watermark: MemoryWatermark,
        disk_free_limit: DiskFreeLimit,
    ) -> Arc<Self> {
        let alarms = Arc::new(Self {
            gauge,
            limits: Mutex::new((watermark, disk_free_limit)),
            memory: AtomicBool::new(false),
            disk: AtomicBool::new(false),
            memory_used: AtomicU64::new(0),
            disk_free: AtomicU64::new(0),
            disk_known: AtomicBool::new(true),
            reusable: OnceLock::new(),
            changes: watch::Sender::new(AlarmState::default()),
        });
        alarms.measure();
        alarms
    }

    /// Counts as free, from now on, what this says: the bytes of files that are there to be overwritten. It hears at each
    /// measurement whether free space is under twice its limit.
    pub fn count_as_free(&self, reusable: impl Fn(bool) -> u64 + Send + Sync + 'static) {
        // Asked once, at the start.
        _ = self.reusable.set(Box::new(reusable));
    }

    /// What is on now; two loads, for the path of every publish batch.
    #[must_use]
    pub fn state(&self) -> AlarmState {
        AlarmState { memory: self.memory.load(Ordering::Relaxed), disk: self.disk.load(Ordering::Relaxed) }
    }

    /// Tells of every change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<AlarmState> {
        self.changes.subscribe()
    }

    /// Sets the memory limit until the next start, and measures.
    pub fn set_memory_watermark(&self, watermark: MemoryWatermark) {
        self.limits.lock().0 = watermark;
        self.measure();
    }

    /// Sets the limit of free disk space until the next start, and measures.
    pub fn set_disk_free_limit(&self, limit: DiskFreeLimit) {
        self.limits.lock().1 = limit;
        self.measure();
    }

    /// How the memory limit is given.
    #[must_use]
    pub fn memory_watermark(&self) -> MemoryWatermark {
        self.limits.lock().0
    }

    /// The memory limit, in bytes; never more than there is.
    #[must_use]
    pub fn memory_limit(&self) -> u64 {
        let available = self.gauge.memory_available();
        match self.memory_watermark() {
            MemoryWatermark::Relative(part) => portion(available, part),
            MemoryWatermark::Absolute(bytes) => bytes.min(available),
        }
    }

    /// Memory in use at the last measurement, in bytes.
    #[must_use]
    pub fn memory_used(&self) -> u64 {
        self.memory_used.load(Ordering::Relaxed)
    }

    /// The limit of free disk space, in bytes.
    #[must_use]
    pub fn disk_free_limit(&self) -> u64 {
        let limit = self.limits.lock().1;
        match limit {
            DiskFreeLimit::Relative(part) => portion(self.gauge.memory_of_machine(), part),
            DiskFreeLimit::Absolute(bytes) => bytes,
        }
    }

    /// Free disk space at the last measurement, in bytes; `None` if it could not be measured.
    #[must_use]
    pub fn disk_free(&self) -> Option<u64> {
        self.disk_known.load(Ordering::Relaxed).then(|| self.disk_free.load(Ordering::Relaxed))
    }

    /// Measures for ever.
    pub async fn run(self: Arc<Self>) {
        let mut interval = tokio::time::interval(Duration::from_millis(INTERVAL_MS));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let alarms = Arc::clone(&self);
            // A disk that hangs holds up a spare thread, not one that serves clients.
            let _ = tokio::task::spawn_blocking(move || alarms.measure()).await;
        }
    }

    /// Measures once. What cannot be measured leaves its alarm as it is.
    pub fn measure(&self) {
        if let Some((used, limit)) = self.measure_memory() {
            self.memory_used.store(used, Ordering::Relaxed);
            self.set(Alarm::Memory, &self.memory, used > limit, used, limit);
        }
        let free = self.gauge.disk_free();
        if free.is_none() && self.disk_known.load(Ordering::Relaxed) {
            tracing::warn!("free disk space cannot be measured; the disk alarm stays as it is");
        }
        self.disk_known.store(free.is_some(), Ordering::Relaxed);
        if let Some(free) = free {
            let limit = self.disk_free_limit();
            let is_short = free < limit.saturating_mul(2);
            let free = free.saturating_add(self.reusable.get().map_or(0, |reusable| reusable(is_short)));
            self.disk_free.store(free, Ordering::Relaxed);
            self.set(Alarm::Disk, &self.disk, free < limit, free, limit);
        }
    }

    /// Memory in use and its limit. What the allocator merely holds must neither raise an alarm nor keep one on: where
    /// publishers wait nothing is allocated, and nothing would be given back.
    fn measure_memory(&self) -> Option<(u64, u64)> {
        self.gauge.give_back(false);
        let (used, limit) = (self.gauge.memory_used()?, self.memory_limit());
        if used <= limit {
            return Some((used, limit));
        }
        self.gauge.give_back(true);
        Some((self.gauge.memory_used()?, limit))
    }

    fn set(&self, alarm: Alarm, flag: &AtomicBool, on: bool, value_bytes: u64, limit_bytes: u64) {
        if flag.swap(on, Ordering::Relaxed) == on {
            return;
        }
        self.changes.send_replace(self.state());
        let resource = alarm.as_str();
        if on {
            tracing::warn!(resource, value_bytes, limit_bytes, "resource alarm on: publishers wait");
        } else {
            tracing::info!(resource, value_bytes, limit_bytes, "resource alarm over");
        }
    }
}

/// A part of a number of bytes. The part is never negative, and the result is cut at the largest number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a limit need not be exact to the byte, and `as` saturates"
)]
fn portion(bytes: u64, part: f64) -> u64 {
    (bytes as f64 * part) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Readings {
        used: AtomicU64,
        free: AtomicU64,
        /// Part of `used` that is given back when all of it is asked for.
        held: AtomicU64,
        broken: AtomicBool,
    }

    impl Gauge for Arc<Readings> {
        fn memory_available(&self) -> u64 {
            1_000
        }

        fn memory_of_machine(&self) -> u64 {
            2_000
        }

        fn memory_used(&self) -> Option<u64> {
            (!self.broken.load(Ordering::Relaxed)).then(|| self.used.load(Ordering::Relaxed))
        }

        fn give_back(&self, all: bool) {
            if all {
                self.used.fetch_sub(self.held.swap(0, Ordering::Relaxed), Ordering::Relaxed);
            }
        }

        fn disk_free(&self) -> Option<u64> {
            (!self.broken.load(Ordering::Relaxed)).then(|| self.free.load(Ordering::Relaxed))
        }
    }

    fn start(watermark: MemoryWatermark, limit: DiskFreeLimit) -> (Arc<Readings>, Arc<Alarms>) {
        let readings = Arc::new(Readings { free: AtomicU64::new(10_000), ..Readings::default() });
        let alarms = Alarms::with_gauge(Box::new(Arc::clone(&readings)), watermark, limit);
        (readings, alarms)
    }

    #[test]
    fn alarms_come_and_go_and_changes_are_told() {
        let (readings, alarms) = start(MemoryWatermark::Relative(0.6), DiskFreeLimit::Absolute(50));
        let mut changes = alarms.subscribe();
        // (memory used, disk free) to (memory alarm, disk alarm, told)
        let steps = [
            (600, 50, false, false, false),
            (601, 50, true, false, true),
            (700, 50, true, false, false),
            (700, 49, true, true, true),
            (600, 49, false, true, true),
            (600, 50, false, false, true),
        ];
        for (used, free, memory, disk, told) in steps {
            readings.used.store(used, Ordering::Relaxed);
            readings.free.store(free, Ordering::Relaxed);
            alarms.measure();
            assert_eq!(alarms.state(), AlarmState { memory, disk }, "{used} {free}");
            assert_eq!(changes.has_changed().unwrap(), told, "{used} {free}");
            assert_eq!(*changes.borrow_and_update(), alarms.state());
            assert_eq!((alarms.memory_used(), alarms.disk_free()), (used, Some(free)));
        }
    }

    #[test]
    fn what_is_held_and_not_used_raises_no_alarm() {
        let (readings, alarms) = start(MemoryWatermark::Relative(0.6), DiskFreeLimit::Absolute(50));
        // (memory used, held of it) to (memory alarm, memory used as told)
        let steps =
            [(600, 300, false, 600), (700, 100, false, 600), (700, 99, true, 601), (900, 500, false, 400)];
        for (used, held, alarm, told) in steps {
            readings.used.store(used, Ordering::Relaxed);
            readings.held.store(held, Ordering::Relaxed);
            alarms.measure();
            assert_eq!((alarms.state().memory, alarms.memory_used()), (alarm, told), "{used} {held}");
        }
    }

    #[test]
    fn limits_are_computed_and_changed() {
        let (readings, alarms) = start(MemoryWatermark::Absolute(5_000), DiskFreeLimit::Relative(1.5));
        assert_eq!((alarms.memory_limit(), alarms.disk_free_limit()), (1_000, 3_000));
        readings.used.store(1, Ordering::Relaxed);
        alarms.set_memory_watermark(MemoryWatermark::Relative(0.0));
        assert!(alarms.state().memory);
        alarms.set_memory_watermark(MemoryWatermark::Absolute(1));
        assert!(!alarms.state().memory);
        alarms.set_disk_free_limit(DiskFreeLimit::Absolute(u64::MAX));
        assert_eq!(alarms.state().list(), [Alarm::Disk]);
        alarms.set_disk_free_limit(DiskFreeLimit::Relative(f64::MAX));
        assert_eq!(alarms.disk_free_limit(), u64::MAX);
    }

    #[test]
    fn what_cannot_be_measured_stays() {
        let (readings, alarms) = start(MemoryWatermark::Relative(0.6), DiskFreeLimit::Absolute(50));
        readings.free.store(1, Ordering::Relaxed);
        readings.used.store(999, Ordering::Relaxed);
        alarms.measure();
        readings.broken.store(true, Ordering::Relaxed);
        alarms.measure();
        assert_eq!(alarms.state(), AlarmState { memory: true, disk: true });
        assert_eq!(alarms.disk_free(), None);
    }

    #[test]
    fn this_machine_can_be_measured() {
        let alarms =
            Alarms::new(MemoryWatermark::Relative(1.0), DiskFreeLimit::Absolute(0), std::env::temp_dir());
        assert!(alarms.memory_used() > 100_000, "{}", alarms.memory_used());
        assert!(alarms.memory_limit() > alarms.memory_used());
        assert!(alarms.disk_free().is_some());
        assert_eq!(alarms.state(), AlarmState::default());
        let before = alarms.memory_used();
        let block = std::hint::black_box(vec![1u8; 64 << 20]);
        alarms.measure();
        assert!(alarms.memory_used() > before + (60 << 20), "{before} to {}", alarms.memory_used());
        drop(block);
    }
}
