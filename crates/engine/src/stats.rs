//! Counting: in a queue under its lock, on a connection by its own task, each a batch at a time.
//!
//! Nothing is shared between cores while messages flow. The broker's totals are added up when they are asked for, from
//! the queues and connections that are there and from what those left that are gone. One that goes just then may be
//! missing from a sum; so a total that was told once is never told lower.

use std::sync::atomic::{AtomicU64, Ordering};

use leveret_core::admin::{BrokerStats, Churn, ConnectionStats, QueueStats};
use leveret_core::arguments::QueueType;

use crate::broker::{Broker, ConnectionEntry};
use crate::queue::Queue;
use crate::seams::{Registry, Seams, Shared};

/// A connection's counts. Only its task adds to them.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    received: AtomicU64,
    received_confirm: AtomicU64,
    confirmed: AtomicU64,
    routed: AtomicU64,
    returned: AtomicU64,
    dropped: AtomicU64,
    recv_oct: AtomicU64,
    send_oct: AtomicU64,
}

impl ConnectionCounters {
    /// Adds a batch's publishes.
    pub(crate) fn publishes(&self, batch: &ConnectionStats) {
        add(&self.received, batch.received);
        add(&self.received_confirm, batch.received_confirm);
        add(&self.routed, batch.routed);
        add(&self.returned, batch.returned);
        add(&self.dropped, batch.dropped);
    }

    pub(crate) fn confirmed(&self, publishes: u64) {
        add(&self.confirmed, publishes);
    }

    pub(crate) fn read(&self, bytes: usize) {
        add(&self.recv_oct, bytes as u64);
    }

    pub(crate) fn written(&self, bytes: usize) {
        add(&self.send_oct, bytes as u64);
    }

    /// The counts so far.
    #[must_use]
    pub fn stats(&self) -> ConnectionStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ConnectionStats {
            received: load(&self.received),
            received_confirm: load(&self.received_confirm),
            confirmed: load(&self.confirmed),
            routed: load(&self.routed),
            returned: load(&self.returned),
            dropped: load(&self.dropped),
            recv_oct: load(&self.recv_oct),
            send_oct: load(&self.send_oct),
        }
    }
}

/// With one writer there is no need for a locked instruction.
fn add(counter: &AtomicU64, count: u64) {
    if count > 0 {
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }
}

/// What the broker counts itself, and what is left of what is gone.
pub(crate) struct Counters<S: Seams> {
    pub(crate) connections_opened: AtomicU64,
    pub(crate) connections_closed: AtomicU64,
    pub(crate) channels_opened: AtomicU64,
    pub(crate) channels_closed: AtomicU64,
    pub(crate) queues_declared: AtomicU64,
    pub(crate) queues_created: AtomicU64,
    pub(crate) queues_deleted: AtomicU64,
    gone: S::Lock<Gone>,
}

#[derive(Default)]
struct Gone {
    classic: QueueStats,
    quorum: QueueStats,
    connections: ConnectionStats,
    /// The totals that were told last.
    told: BrokerStats,
}

impl<S: Seams> Default for Counters<S> {
    fn default() -> Self {
        Self {
            connections_opened: AtomicU64::default(),
            connections_closed: AtomicU64::default(),
            channels_opened: AtomicU64::default(),
            channels_closed: AtomicU64::default(),
            queues_declared: AtomicU64::default(),
            queues_created: AtomicU64::default(),
            queues_deleted: AtomicU64::default(),
            gone: S::Lock::new(Gone::default()),
        }
    }
}

impl<S: Seams> Counters<S> {
    /// Adds what a queue counted that is in no list any more.
    pub(crate) fn keep_queue(&self, queue: &Queue<S>, stats: QueueStats) {
        count(&self.queues_deleted);
        self.gone.with(|gone| match queue.settings.queue_type {
            QueueType::Quorum => gone.quorum = gone.quorum.plus(stats),
            _ => gone.classic = gone.classic.plus(stats),
        });
    }

    /// Adds what a connection counted that is in no list any more. One that never opened a virtual host was none, as in
    /// RabbitMQ's lists.
    pub(crate) fn keep_connection(&self, entry: &ConnectionEntry<S>) {
        if entry.user_and_vhost().1.is_some() {
            count(&self.connections_closed);
        }
        let stats = entry.counters.stats();
        self.gone.with(|gone| gone.connections = gone.connections.plus(stats));
    }

    fn churn(&self) -> Churn {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Churn {
            connections_opened: load(&self.connections_opened),
            connections_closed: load(&self.connections_closed),
            channels_opened: load(&self.channels_opened),
            channels_closed: load(&self.channels_closed),
            queues_declared: load(&self.queues_declared),
            queues_created: load(&self.queues_created),
            queues_deleted: load(&self.queues_deleted),
        }
    }
}

/// Counts one event that is rare enough to be shared.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl<S: Seams> Broker<S> {
    /// What happened since the start. Takes every queue's lock, one after the other.
    pub fn stats(&self) -> BrokerStats {
        let (mut classic, mut quorum, mut connections) =
            self.counters.gone.with(|gone| (gone.classic, gone.quorum, gone.connections));
        for vhost in self.vhosts.values() {
            for queue in vhost.queues() {
                let stats = queue.with(|cell| cell.stats());
                match queue.settings.queue_type {
                    QueueType::Quorum => quorum = quorum.plus(stats),
                    _ => classic = classic.plus(stats),
                }
            }
        }
        for entry in self.connections.values() {
            connections = connections.plus(entry.counters.stats());
        }
        let churn = self.counters.churn();
        self.counters.gone.with(|gone| {
            let told = gone.told;
            gone.told = BrokerStats {
                classic: classic.at_least(told.classic),
                quorum: quorum.at_least(told.quorum),
                connections: connections.at_least(told.connections),
                churn,
            };
            gone.told
        })
    }
}
