//! A connection that does honest work while others misbehave, and must not notice.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use leveret_tests::{
    client::Client,
    methods::{Properties, confirm, queue},
    wait::{PATIENCE, until},
    wire::Table,
};

/// The longest that one round trip of the neighbour may take.
const SLOWEST: Duration = Duration::from_secs(5);

/// A thread that publishes with confirms and gets its messages back, one by one.
pub(crate) struct Neighbour {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    thread: JoinHandle<Duration>,
}

impl Neighbour {
    /// Connects, and begins.
    pub(crate) fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let rounds = Arc::new(AtomicU64::new(0));
        let (stop_too, rounds_too) = (Arc::clone(&stop), Arc::clone(&rounds));
        let mut client = Client::login(address).expect("a login");
        client.open_channel(1).expect("a channel");
        let declare = queue::declare("neighbour", queue::EXCLUSIVE, &Table::default());
        client.call(1, declare, (50, 11)).expect("a queue");
        client.call(1, confirm::select(), (85, 11)).expect("confirms");
        let thread = std::thread::spawn(move || {
            let mut slowest = Duration::ZERO;
            while !stop_too.load(Ordering::Relaxed) {
                let start = Instant::now();
                round(&mut client, rounds_too.load(Ordering::Relaxed));
                slowest = slowest.max(start.elapsed());
                rounds_too.fetch_add(1, Ordering::Relaxed);
            }
            slowest
        });
        Self { stop, rounds, thread }
    }

    /// Waits until some more rounds were made after all that the test did.
    ///
    /// # Panics
    /// When the neighbour was disturbed: refused, cut off, given wrong bytes, or kept waiting.
    pub(crate) fn finish(self) {
        let target = self.rounds.load(Ordering::Relaxed) + 3;
        until("the neighbour goes on", PATIENCE, || {
            (self.rounds.load(Ordering::Relaxed) >= target || self.thread.is_finished()).then_some(())
        });
        self.stop.store(true, Ordering::Relaxed);
        let slowest = self.thread.join().expect("an undisturbed neighbour");
        assert!(slowest < SLOWEST, "the neighbour waited {slowest:?} for one message");
    }
}

fn round(client: &mut Client, number: u64) {
    let body = number.to_be_bytes();
    client.publish(1, ("", "neighbour", 0), &Properties::persistent(), &body).expect("a publish");
    client.expect_method(1, (60, 80)).expect("a confirm");
    let content = client.get(1, "neighbour").expect("an answer").expect("the message");
    assert_eq!(content.body, body);
}
