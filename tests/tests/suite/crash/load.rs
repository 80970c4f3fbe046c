//! The load: eight publishers and ten consumers that run through every death of the broker, and what they share.

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread::Scope,
    time::Duration,
};

use leveret_tests::{
    client::Client,
    ledger::Ledger,
    methods::confirm,
    wait::{PATIENCE, pass, until},
};

use super::{
    consumer::{self, PREFETCH},
    publisher::{self, Outstanding},
    topology::{CONSUMERS, Name, QUEUES, consumers_of, queue_name},
};

/// Unconfirmed messages that each publisher keeps under way.
const WINDOWS: [usize; 8] = [1, 3, 10, 50, 200, 500, 1_000, 1_000];
/// Between two tries to connect: a broker that starts needs the processor itself.
const RECONNECT: Duration = Duration::from_millis(10);
/// Every so many cycles a queue with a single consumer goes unread for one, so that a backlog grows.
const SLEEP_EVERY: usize = 5;

/// All publishers and consumers, and what they share.
pub(super) struct Load {
    pub(super) ledger: Ledger,
    pub(super) address: SocketAddr,
    publishing: AtomicBool,
    running: AtomicBool,
    publishers_left: AtomicUsize,
    /// Publishers pause when so many messages are confirmed, so that consumers keep up in the long run.
    target: AtomicU64,
    cycle: AtomicU32,
    /// Queues whose last message was seen.
    ended: Mutex<BTreeSet<usize>>,
}

impl Load {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            ledger: Ledger::new(WINDOWS.len(), QUEUES, &CONSUMERS, PREFETCH),
            address,
            publishing: AtomicBool::new(true),
            running: AtomicBool::new(true),
            publishers_left: AtomicUsize::new(WINDOWS.len()),
            target: AtomicU64::new(0),
            cycle: AtomicU32::new(0),
            ended: Mutex::default(),
        }
    }

    /// Starts all threads.
    pub(super) fn start<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        for (number, window) in WINDOWS.into_iter().enumerate() {
            scope.spawn(move || {
                through_crashes(&self.publishing, || publisher::run(self, number, window));
                self.publishers_left.fetch_sub(1, Ordering::SeqCst);
            });
        }
        for number in 0..CONSUMERS.len() {
            scope.spawn(move || through_crashes(&self.running, || consumer::run(self, number)));
        }
    }

    /// The cycle's number: it says who sleeps.
    pub(super) fn begin(&self, cycle: u32) {
        self.cycle.store(cycle, Ordering::SeqCst);
    }

    /// Waits until `count` more messages are confirmed; the publishers go on for `beyond` more meanwhile.
    pub(super) fn confirm_more(&self, count: u64, beyond: u64) {
        let goal = self.ledger.confirmed_count() + count;
        self.target.store(goal + beyond, Ordering::SeqCst);
        until("the load goes on", PATIENCE * 4, || (self.ledger.confirmed_count() >= goal).then_some(()));
    }

    /// Whether publishers may send: not while the cycle has what it needs.
    pub(super) fn wants_more(&self) -> bool {
        self.is_publishing() && self.ledger.confirmed_count() < self.target.load(Ordering::SeqCst)
    }

    pub(super) fn is_publishing(&self) -> bool {
        self.publishing.load(Ordering::SeqCst)
    }

    /// Whether the queue is read now: one with a single consumer goes unread now and then, so that it grows.
    pub(super) fn is_read(&self, queue: usize) -> bool {
        let cycle = self.cycle.load(Ordering::SeqCst) as usize;
        consumers_of(queue) > 1 || !self.is_publishing() || !(cycle + queue).is_multiple_of(SLEEP_EVERY)
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::SeqCst)
    }

    /// No new messages; returns when every publisher has its outstanding confirms.
    pub(super) fn stop_publishing(&self) {
        self.publishing.store(false, Ordering::SeqCst);
        until("the publishers end", PATIENCE, || {
            (self.publishers_left.load(Ordering::SeqCst) == 0).then_some(())
        });
    }

    /// Ends all threads.
    pub(super) fn stop(&self) {
        self.publishing.store(false, Ordering::SeqCst);
        self.running.store(false, Ordering::SeqCst);
    }

    /// Puts a message behind all others into each queue.
    pub(super) fn send_last_messages(&self) {
        let mut client = Client::login(self.address).expect("a login");
        client.open_channel(1).expect("a channel");
        client.call(1, confirm::select(), (85, 11)).expect("confirms");
        let mut outstanding = Outstanding::default();
        for number in 0..QUEUES {
            let place = ("", &*queue_name(number), 0);
            client.publish(1, place, &Name::Last.properties(), b"").expect("a publish");
            outstanding.expect(number);
        }
        while !outstanding.is_empty() {
            assert!(outstanding.read(&mut client, &self.ledger, |_| {}), "the last messages are confirmed");
        }
    }

    /// The last message of a queue was seen.
    pub(super) fn ended(&self, queue: usize) {
        self.ended.lock().expect("no other thread panicked").insert(queue);
    }

    /// Queues whose last message was not seen yet.
    pub(super) fn unread(&self) -> usize {
        QUEUES - self.ended.lock().expect("no other thread panicked").len()
    }
}

/// Does `work` again and again; an error is the broker's death, and the next connection goes on.
fn through_crashes(wanted: &AtomicBool, mut work: impl FnMut() -> io::Result<()>) {
    while wanted.load(Ordering::SeqCst) {
        if work().is_err() {
            pass(RECONNECT);
        }
    }
}
