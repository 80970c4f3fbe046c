//! The thread that calls queues when something of theirs falls due: messages expire, unused queues go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use leveret_core::ids::UnixMillis;
use leveret_engine::{Broker, Wake};
use tokio::runtime;
use tokio::time::sleep_until;

use crate::clock::Clock;
use crate::seams::{Shell, TaskWaker};

/// Sleeps until the broker's next deadline. A thread of its own, since a backlog that expires at once is long work.
pub struct TimerThread {
    stop: Arc<AtomicBool>,
    waker: TaskWaker,
    thread: thread::JoinHandle<()>,
}

impl TimerThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system gives no thread or no timer.
    pub fn start(broker: Arc<Broker<Shell>>, clock: Clock) -> std::io::Result<Self> {
        let (stop, waker) = (Arc::new(AtomicBool::new(false)), TaskWaker::default());
        let (stopped, woken) = (Arc::clone(&stop), waker.clone());
        broker.wake_timer_by(waker.clone());
        let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
        let thread = thread::Builder::new().name("timer".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                runtime.block_on(wait(broker.next_deadline(), &woken, clock));
                broker.tick();
            }
        })?;
        Ok(Self { stop, waker, thread })
    }

    /// Stops calling; what is due waits for the next start.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
        if self.thread.join().is_err() {
            tracing::error!("the timer's thread had failed");
        }
    }
}

async fn wait(deadline: Option<UnixMillis>, waker: &TaskWaker, clock: Clock) {
    let Some(deadline) = deadline else { return waker.woken().await };
    tokio::select! {
        () = waker.woken() => {}
        () = sleep_until(clock.steady_instant(deadline)) => {}
    }
}
