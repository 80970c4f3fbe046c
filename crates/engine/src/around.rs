//! What a queue's cell needs of the world around it while it works.

use leveret_core::ids::UnixMillis;

use crate::cold::HotWindow;
use crate::queue::QueueRef;
use crate::seams::{Seams, Shared, Wake};
use crate::timers::Timers;

/// The time, from the shell. Asked only where a message or a queue has a deadline.
pub struct Clock {
    /// Milliseconds that count deadlines. They go on evenly while the process runs, whatever is done to the time of
    /// day meanwhile, so that no message expires before its time; at a start they begin at the time of day, so that
    /// deadlines in the log go on meaning what they did.
    pub steady: Box<dyn Fn() -> UnixMillis + Send + Sync>,
    /// The time of day, to be shown (`time` in x-death).
    pub of_day: Box<dyn Fn() -> UnixMillis + Send + Sync>,
}

/// A queue at work: itself, the log, the time, and where it asks to be called again.
pub struct Around<'a, S: Seams> {
    /// The queue whose cell is locked.
    pub(crate) queue: &'a QueueRef<S>,
    /// The log.
    pub(crate) log: &'a S::Log,
    /// The log of what is not logged.
    pub(crate) spill: &'a S::Spill,
    /// The memory for messages.
    pub(crate) hot: &'a HotWindow,
    pub(crate) clock: &'a Clock,
    pub(crate) timers: &'a S::Lock<Timers<S>>,
}

impl<S: Seams> Around<'_, S> {
    /// Now, in milliseconds as deadlines count them.
    pub(crate) fn now_ms(&self) -> u64 {
        (self.clock.steady)().0
    }

    /// Asks for a call at `deadline_ms` instead of at `before`.
    pub(crate) fn call_at(&self, deadline_ms: u64, before: Option<u64>) {
        let waker = self.timers.with(|timers| timers.set(self.queue, deadline_ms, before));
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
