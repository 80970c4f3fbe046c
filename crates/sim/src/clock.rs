//! A clock that stands until the simulation steps it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leveret_core::ids::UnixMillis;
use leveret_engine::Clock;

/// Time that goes on evenly, and the time of day, which may be set to anything meanwhile.
#[derive(Clone, Debug)]
pub struct SimClock {
    steady: Arc<AtomicU64>,
    of_day: Arc<AtomicU64>,
}

impl SimClock {
    /// A clock at this time of day, in milliseconds.
    #[must_use]
    pub fn new(ms: u64) -> Self {
        Self { steady: Arc::new(AtomicU64::new(ms)), of_day: Arc::new(AtomicU64::new(ms)) }
    }

    /// Now, as deadlines count it, in milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.steady.load(Ordering::Relaxed)
    }

    /// Lets time go by.
    pub fn step(&self, ms: u64) {
        self.steady.fetch_add(ms, Ordering::Relaxed);
        self.of_day.fetch_add(ms, Ordering::Relaxed);
    }

    /// Somebody sets the time of day ahead. Deadlines do not hear of it while the process runs.
    pub fn jump(&self, ms: u64) {
        self.of_day.fetch_add(ms, Ordering::Relaxed);
    }

    /// The clock of the next start: deadlines begin at the time of day.
    pub fn restart(&self) {
        self.steady.store(self.of_day.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// What the engine asks.
    #[must_use]
    pub fn as_engine(&self) -> Clock {
        let (steady, of_day) = (Arc::clone(&self.steady), Arc::clone(&self.of_day));
        Clock {
            steady: Box::new(move || UnixMillis(steady.load(Ordering::Relaxed))),
            of_day: Box::new(move || UnixMillis(of_day.load(Ordering::Relaxed))),
        }
    }
}
