//! A counter that threads wait for: what came in, so that what goes out stays within a window of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use std::sync::{Condvar, Mutex, PoisonError};

/// No thread waits.
const NOBODY: u64 = u64::MAX;

/// A rising count. Raising it costs one atomic addition unless somebody waits for just that value.
#[derive(Debug)]
pub(crate) struct Gate {
    count: AtomicU64,
    /// The lowest count that somebody waits for.
    wanted: AtomicU64,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            count: AtomicU64::new(0),
            wanted: AtomicU64::new(NOBODY),
            lock: Mutex::new(()),
            changed: Condvar::new(),
        }
    }
}

impl Gate {
    /// The count now.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Raises the count and wakes those who waited for it.
    pub(crate) fn advance(&self, by: u64) {
        let count = self.count.fetch_add(by, Ordering::SeqCst) + by;
        if count >= self.wanted.load(Ordering::SeqCst) {
            self.wake_all();
        }
    }

    /// Lets every waiter look around.
    pub(crate) fn wake_all(&self) {
        let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.wanted.store(NOBODY, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Waits until the count is at least `target`, `stop` says so, or it did not move for `patience`. True if the
    /// target was reached.
    pub(crate) fn wait(&self, target: u64, patience: Duration, stop: impl Fn() -> bool) -> bool {
        if self.count() >= target {
            return true;
        }
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = self.count();
        let mut moved_at = Instant::now();
        loop {
            // Registered before the look, so that an advance in between either is seen or wakes.
            self.wanted.fetch_min(target, Ordering::SeqCst);
            let count = self.count();
            if count >= target {
                return true;
            }
            if count != seen {
                (seen, moved_at) = (count, Instant::now());
            }
            if stop() || moved_at.elapsed() >= patience {
                return false;
            }
            let slice = patience.min(Duration::from_millis(100));
            (held, _) = self.changed.wait_timeout(held, slice).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_waiter_goes_on_at_its_target() {
        let gate = Arc::new(Gate::default());
        let waiters: Vec<_> = [3, 7, 10]
            .map(|target| {
                let gate = Arc::clone(&gate);
                std::thread::spawn(move || (gate.wait(target, LONG, || false), gate.count() >= target))
            })
            .into();
        for _ in 0..10 {
            gate.advance(1);
        }
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), (true, true));
        }
    }

    #[test]
    fn a_wait_ends_when_nothing_moves_or_the_run_stops() {
        let gate = Gate::default();
        gate.advance(4);
        assert!(!gate.wait(5, Duration::from_millis(1), || false));
        assert!(!gate.wait(5, LONG, || true));
        assert!(gate.wait(4, LONG, || true));
    }
}
