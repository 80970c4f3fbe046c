//! The only reader of the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use leveret_core::ids::{MonotonicMillis, UnixMillis};

/// Monotonic time since the process started, and the time of day.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    started_at: UnixMillis,
}

impl Clock {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now(), started_at: time_of_day() }
    }

    /// Now, for deadlines.
    #[must_use]
    pub fn now(&self) -> MonotonicMillis {
        MonotonicMillis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// A deadline as the runtime's timers take it.
    #[must_use]
    pub fn instant(&self, at: MonotonicMillis) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start + std::time::Duration::from_millis(at.0))
    }

    /// The time of day.
    #[must_use]
    pub fn unix(&self) -> UnixMillis {
        time_of_day()
    }

    /// The time of day at the start and the time that went by since: it goes on evenly, whatever is done to the time
    /// of day meanwhile. Deadlines of messages and queues are counted in it.
    #[must_use]
    pub fn steady(&self) -> UnixMillis {
        UnixMillis(self.started_at.0.saturating_add(self.now().0))
    }

    /// A deadline of the steady clock as the runtime's timers take it.
    #[must_use]
    pub fn steady_instant(&self, at: UnixMillis) -> tokio::time::Instant {
        // Timers end within years; a queue asks anew when it is called early.
        const YEAR_MS: u64 = 365 * 24 * 3_600_000;
        let from_start = at.0.saturating_sub(self.started_at.0);
        self.instant(MonotonicMillis(from_start.min(self.now().0.saturating_add(YEAR_MS))))
    }
}

fn time_of_day() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
