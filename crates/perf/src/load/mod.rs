//! One run of load: a queue, producers, consumers, and the counts of what they did.
//!
//! The backlog is bounded: producers wait once they are `ahead` messages before the consumers, so the consumers'
//! rate is the rate of the whole way, not that of a queue that only grows.

mod batch;
mod confirms;
mod consumer;
mod deliveries;
mod gate;
mod latency;
mod producer;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use leveret_protocol::amqp::{FieldTable, queue, short_string};

use self::gate::Gate;
pub use self::latency::Latencies;
use crate::client::{Client, Target};
use crate::error::PerfError;

/// How long a run waits while nothing moves.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Bytes of each body.
    pub size: usize,
    /// Publishing connections.
    pub producers: usize,
    /// Consuming connections.
    pub consumers: usize,
    /// A named queue, kept afterwards; else one of our own.
    pub queue: Option<String>,
    /// Confirms on, with at most so many unconfirmed publishes for each producer.
    pub confirms: Option<u64>,
    /// Acks on, one for so many deliveries.
    pub ack: Option<u64>,
    /// Prefetch of each consumer; 0 is unlimited.
    pub prefetch: u16,
    /// Persistent messages in a durable queue.
    pub persistent: bool,
    /// How far producers may run before consumers, in messages.
    pub ahead: u64,
    /// Publish so many at most, to the next whole write of a producer.
    pub most: Option<u64>,
}

impl Plan {
    /// A producer and a consumer, no acks, no confirms, transient.
    #[must_use]
    pub fn simple(size: usize, ahead: u64) -> Self {
        Self {
            size,
            producers: 1,
            consumers: 1,
            queue: None,
            confirms: None,
            ack: None,
            prefetch: 0,
            persistent: false,
            ahead,
            most: None,
        }
    }

    /// Refuses options that would stop the run by themselves.
    pub(crate) fn check(&self) -> Result<(), PerfError> {
        let refuse = |text: &str| Err(PerfError::Options(text.to_owned()));
        if self.producers == 0 {
            return refuse("at least one producer is needed");
        }
        if self.ahead == 0 || self.confirms == Some(0) || self.ack == Some(0) {
            return refuse("windows and ack counts are at least 1");
        }
        if self.prefetch > 0 && self.ack.is_none_or(|every| every > u64::from(self.prefetch)) {
            return refuse("a prefetch needs an --ack of at most the same");
        }
        if self.ack.is_some_and(|every| every.saturating_mul(self.consumers as u64) > self.ahead) {
            return refuse("the backlog must hold what consumers have not acknowledged");
        }
        Ok(())
    }

    /// Messages of one write: several writes fit each window.
    fn batch_messages(&self) -> u64 {
        let ahead = if self.consumers == 0 { u64::MAX } else { self.ahead };
        let all_producers = (ahead / 4 / self.producers as u64).max(1);
        all_producers.min(self.confirms.map_or(u64::MAX, |window| window.div_ceil(2)))
    }
}

/// What all threads of a run share.
struct Shared {
    /// Messages that producers have taken the right to publish.
    reserved: AtomicU64,
    published: Gate,
    confirmed: Gate,
    consumed: Gate,
    ahead: Option<u64>,
    most: Option<u64>,
    latencies: Mutex<Latencies>,
    stop: AtomicBool,
    over: AtomicBool,
    /// Producers that have written their last message.
    ended: Gate,
    failure: Mutex<Option<String>>,
}

impl Shared {
    fn publishing(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn await_gate(&self, gate: &Gate, target: u64, what: &str) -> Result<(), PerfError> {
        if gate.wait(target, PATIENCE, || self.is_over()) {
            return Ok(());
        }
        Err(PerfError::Stalled { seconds: PATIENCE.as_secs(), what: what.to_owned() })
    }

    /// Keeps the first failure of a thread and ends the run for the others.
    fn note(&self, who: &str, result: Result<(), PerfError>) {
        let Err(error) = result else { return };
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert_with(|| format!("{who}: {error}"));
        drop(failure);
        self.stop.store(true, Ordering::Relaxed);
        self.over.store(true, Ordering::Relaxed);
        self.consumed.wake_all();
    }

    fn failed(&self) -> Result<(), PerfError> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.clone().map_or(Ok(()), |text| Err(PerfError::Load(text)))
    }
}

/// Counts at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// Messages written to sockets.
    pub published: u64,
    /// Messages confirmed.
    pub confirmed: u64,
    /// Messages received.
    pub consumed: u64,
}

/// A run under way.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    control: Client,
    queue: String,
    keep_queue: bool,
    consumes: bool,
    producers: u64,
}

impl Load {
    /// Declares the queue, connects everybody and starts.
    ///
    /// # Errors
    /// If the plan contradicts itself, or the broker cannot be reached or refuses.
    pub fn start(target: &Target, plan: &Plan) -> Result<Self, PerfError> {
        plan.check()?;
        let mut control = target.connect("leveret-perf control")?;
        let keep_queue = plan.queue.is_some();
        let queue = plan.queue.clone().unwrap_or_else(own_queue_name);
        control.declare(queue::Declare {
            queue: short_string(&queue),
            passive: false,
            durable: plan.persistent || keep_queue,
            exclusive: false,
            auto_delete: !keep_queue,
            nowait: false,
            arguments: FieldTable::default(),
        })?;
        let shared = Arc::new(Shared {
            reserved: AtomicU64::new(0),
            published: Gate::default(),
            confirmed: Gate::default(),
            consumed: Gate::default(),
            ahead: (plan.consumers > 0).then_some(plan.ahead),
            most: plan.most,
            latencies: Mutex::default(),
            stop: AtomicBool::new(false),
            over: AtomicBool::new(false),
            ended: Gate::default(),
            failure: Mutex::new(None),
        });
        let mut consumers = Vec::new();
        for _ in 0..plan.consumers {
            let mut client = target.connect("leveret-perf consumer")?;
            client.consume(&queue, plan.ack.is_none(), plan.prefetch)?;
            consumers.push(client);
        }
        let mut producers = Vec::new();
        for _ in 0..plan.producers {
            let mut client = target.connect("leveret-perf producer")?;
            if plan.confirms.is_some() {
                client.select_confirms()?;
            }
            producers.push(client);
        }
        let mut threads = Vec::new();
        threads.extend(consumers.into_iter().map(|client| consumer::start(client, plan, &shared)));
        threads
            .extend(producers.into_iter().flat_map(|client| producer::start(client, plan, &queue, &shared)));
        let (consumes, producers) = (plan.consumers > 0, plan.producers as u64);
        Ok(Self { shared, threads, control, queue, keep_queue, consumes, producers })
    }

    /// The broker, as it names itself.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.control.server
    }

    /// The counts now.
    ///
    /// # Errors
    /// If a thread has failed.
    pub fn sample(&self) -> Result<Sample, PerfError> {
        self.shared.failed()?;
        Ok(Sample {
            at: Instant::now(),
            published: self.shared.published.count(),
            confirmed: self.shared.confirmed.count(),
            consumed: self.shared.consumed.count(),
        })
    }

    /// How long confirms took since this was asked last.
    #[must_use]
    pub fn take_latencies(&self) -> Latencies {
        std::mem::take(&mut *self.shared.latencies.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets the load run. Returns early if a thread fails.
    pub fn run_for(&self, duration: Duration) {
        let end = Instant::now() + duration;
        while !self.shared.is_over() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    /// Stops publishing, waits until everything has arrived, and checks the counts.
    ///
    /// # Errors
    /// If a thread failed, something did not arrive, or more arrived than was published.
    pub fn finish(mut self) -> Result<Sample, PerfError> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let drained = self.drain();
        self.shared.over.store(true, Ordering::Relaxed);
        self.shared.consumed.wake_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                return Err(PerfError::Load("a thread of the load panicked".to_owned()));
            }
        }
        let end = self.sample()?;
        drained?;
        let waiting = if self.keep_queue { None } else { self.delete_queue()? };
        self.control.close()?;
        check_counts(self.consumes, &end, waiting)?;
        Ok(end)
    }

    /// Waits for the producers' last writes, then for the consumers.
    fn drain(&self) -> Result<(), PerfError> {
        let shared = &self.shared;
        shared.await_gate(&shared.ended, self.producers, "the producers' last writes")?;
        if self.consumes {
            shared.await_gate(&shared.consumed, shared.published.count(), "the last deliveries")?;
        }
        Ok(())
    }

    /// Deletes our own queue. Gives the messages that it held, unless it was gone with its last consumer.
    fn delete_queue(&mut self) -> Result<Option<u64>, PerfError> {
        if self.consumes {
            // Auto-delete took it already, or takes it now; a queue that is gone may be deleted too.
            self.control.delete(&self.queue)?;
            return Ok(None);
        }
        // The publishing connections are closed, but their last messages may still be on the way.
        let published = self.shared.published.count();
        let end = Instant::now() + PATIENCE;
        loop {
            let waiting = self.control.waiting(&self.queue)?;
            if waiting >= published || Instant::now() >= end {
                self.control.delete(&self.queue)?;
                return Ok(Some(waiting));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn check_counts(consumes: bool, end: &Sample, waiting: Option<u64>) -> Result<(), PerfError> {
    let arrived = if consumes { Some(end.consumed) } else { waiting };
    match arrived {
        Some(arrived) if arrived != end.published => {
            Err(PerfError::Counts(format!("{} published, {arrived} arrived", end.published)))
        }
        _ => Ok(()),
    }
}

/// A name that no other run has.
fn own_queue_name() -> String {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    format!("leveret-perf-{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_that_would_stall_are_refused() {
        let plan = || Plan::simple(16, 1_000);
        let table = [
            (plan(), true),
            (Plan { ack: Some(10), prefetch: 100, ..plan() }, true),
            (Plan { ack: Some(100), prefetch: 10, ..plan() }, false),
            (Plan { prefetch: 10, ..plan() }, false),
            (Plan { ack: Some(600), consumers: 2, ..plan() }, false),
            (Plan { confirms: Some(0), ..plan() }, false),
            (Plan { producers: 0, ..plan() }, false),
            (Plan { ahead: 0, ..plan() }, false),
        ];
        for (plan, usable) in table {
            assert_eq!(plan.check().is_ok(), usable, "{plan:?}");
        }
    }

    #[test]
    fn a_write_leaves_room_in_every_window() {
        let plan = |ahead, confirms, producers| Plan { confirms, producers, ..Plan::simple(16, ahead) };
        assert_eq!(plan(1_000, None, 1).batch_messages(), 250);
        assert_eq!(plan(1_000, None, 10).batch_messages(), 25);
        assert_eq!(plan(100_000, Some(1), 1).batch_messages(), 1);
        assert_eq!(plan(100_000, Some(1_000), 1).batch_messages(), 500);
        assert_eq!(plan(1, None, 4).batch_messages(), 1);
    }

    #[test]
    fn lost_and_repeated_messages_are_told() {
        let end = |published, consumed| Sample { at: Instant::now(), published, confirmed: 0, consumed };
        assert!(check_counts(true, &end(5, 5), None).is_ok());
        assert!(check_counts(true, &end(5, 6), None).is_err());
        assert!(check_counts(false, &end(5, 0), Some(4)).is_err());
    }
}
