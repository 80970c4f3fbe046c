//! The only reader of the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use leveret_core::ids::{MonotonicMillis, UnixMillis};

/// Monotonic time since the process started, and the time of day.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
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
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
