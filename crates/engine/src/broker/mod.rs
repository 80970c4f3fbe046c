//! The broker: what all connections share, and the commands that change it.

mod connections;
mod definitions;
mod exchanges;
mod messages;
mod parameters;
mod queues;
mod users;
mod vhosts;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use leveret_core::BrokerError;
use leveret_core::access::sasl::{LoginError, Origin, SaslSettings};
use leveret_core::access::{Access, Operation, Resource};
use leveret_core::connection::{Announcement, Tuning};
use leveret_core::ids::{ConnectionId, QueueId};
use leveret_core::limits;
use leveret_core::names::{UserName, VhostName};
use leveret_core::parameters::Parameters;
use leveret_core::queue::ConsumerKey;
use leveret_core::vhost::Caller;
use leveret_storage::Position;

pub use connections::{ChannelCounters, ChannelSummary, ConnectionDetails, ConnectionEntry};
pub use definitions::DefinitionRecord;
pub(crate) use exchanges::arguments;
pub use messages::{Copied, Publication};
pub use queues::DeclaredQueue;
pub use users::{AccessError, Expect, NewPassword};

use crate::around::{Around, Clock};
use crate::boot::Booted;
use crate::cold::HotWindow;
use crate::queue::QueueRef;
use crate::seams::{Log, Registry, Seams, Shared, SharedRw};
use crate::session::{Peer, ReplyTarget};
use crate::stats::Counters;
use crate::timers::Timers;
use crate::vhost::Vhost;

/// What the operator may set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What connection.tune offers.
    pub tuning: Tuning,
    /// How the broker introduces itself.
    pub announcement: Announcement,
    /// The ways to log in.
    pub sasl: SaslSettings,
    /// The largest message body in bytes.
    pub max_message_size: u64,
    /// Bytes that may wait for the log before publishers are not read.
    pub log_backlog_bytes: usize,
    /// Bytes of messages whose body has not come whole yet, on all connections together.
    pub unfinished_bytes: u64,
    /// The memory that messages of all queues together may take, in bytes. What comes in beyond it stays on disk;
    /// `u64::MAX` keeps everything in memory.
    pub hot_window_bytes: u64,
    /// A queue holds publishers back only while more bytes than these wait for its consumers.
    pub held_backlog_bytes: u64,
    /// The default queue type of new virtual hosts that are made without one; empty for classic.
    pub default_queue_type: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tuning: Tuning::default(),
            announcement: Announcement::default(),
            sasl: SaslSettings::default(),
            max_message_size: limits::MAX_MESSAGE_SIZE_BYTES,
            log_backlog_bytes: limits::LOG_BACKLOG_BYTES,
            unfinished_bytes: limits::UNFINISHED_BYTES,
            default_queue_type: String::new(),
            hot_window_bytes: u64::MAX,
            held_backlog_bytes: limits::HELD_BACKLOG_BYTES,
        }
    }
}

/// Where messages lie that are not in memory.
pub struct Cold<S: Seams> {
    /// The log of what is not logged.
    pub spill: S::Spill,
    /// The reader of both logs.
    pub store: S::Store,
}

/// Random bytes, from the shell.
pub type Entropy = Box<dyn Fn() -> [u8; 16] + Send + Sync>;

/// A name of a user or virtual host has at most so many bytes: more does not fit into AMQP's methods.
pub const NAME_BYTES: usize = 255;

/// The connection of whoever asks without one. Real ones count from 1.
pub const NO_CONNECTION: ConnectionId = ConnectionId(0);

/// Who asks for a command.
pub struct Actor<S: Seams> {
    /// The user whose permissions count; none for the owner of the process, who may do everything.
    pub user: Option<UserName>,
    /// The connection; [`NO_CONNECTION`] for management.
    pub connection: ConnectionId,
    /// The vhost it opened.
    pub vhost: Arc<Vhost<S>>,
}

/// What all connections share.
pub struct Broker<S: Seams> {
    /// What the operator set.
    pub settings: Settings,
    /// The virtual hosts by name.
    pub vhosts: S::Map<VhostName, Arc<Vhost<S>>>,
    /// The open connections.
    pub connections: S::Map<ConnectionId, Arc<ConnectionEntry<S>>>,
    /// Users and permissions.
    pub access: S::RwLock<Access>,
    /// Parameters and policies.
    pub parameters: S::RwLock<Parameters>,
    /// The log.
    pub log: S::Log,
    /// The log of what is not logged and does not fit into memory.
    pub spill: S::Spill,
    /// Reads what is not in memory.
    pub store: S::Store,
    /// The memory for messages.
    pub hot: HotWindow,
    pub(crate) reply_targets: S::Map<String, ReplyTarget<S>>,
    /// Held while users, virtual hosts or permissions change: first of all locks.
    administration: S::Lock<()>,
    feed: S::Lock<Vec<DefinitionRecord>>,
    entropy: Entropy,
    pub(crate) clock: Clock,
    pub(crate) timers: S::Lock<Timers<S>>,
    access_version: AtomicU64,
    revision: AtomicU64,
    /// The position of the last change of definitions.
    last_definition: AtomicU64,
    next_connection: AtomicU64,
    next_consumer: AtomicU64,
    next_durable_queue: AtomicU64,
    next_transient_queue: AtomicU64,
    alarms: AtomicU8,
    pub(crate) counters: Counters<S>,
    /// Bytes of messages whose body has not come whole yet.
    pub(crate) unfinished_bytes: Arc<AtomicU64>,
}

/// Ids of queues that the log never hears of have this bit, so that the others can be counted from the log.
const TRANSIENT_QUEUE: u64 = 1 << 63;

const MEMORY_ALARM: u8 = 1;
const DISK_ALARM: u8 = 2;
const LOG_FULL: u8 = 4;

impl<S: Seams> Broker<S> {
    /// A broker with what a start found, and its log. What fell due since the last stop is given up at once.
    #[must_use]
    pub fn new(
        settings: Settings,
        booted: Booted<S>,
        log: S::Log,
        cold: Cold<S>,
        entropy: Entropy,
        clock: Clock,
    ) -> Self {
        let vhosts = S::Map::new();
        for vhost in booted.vhosts {
            vhosts.insert(vhost.name.clone(), vhost);
        }
        let broker = Self {
            hot: HotWindow::new(settings.hot_window_bytes, settings.held_backlog_bytes),
            spill: cold.spill,
            store: cold.store,
            settings,
            vhosts,
            connections: S::Map::new(),
            access: S::RwLock::new(booted.access),
            parameters: S::RwLock::new(booted.parameters),
            log,
            reply_targets: S::Map::new(),
            administration: S::Lock::new(()),
            feed: S::Lock::new(Vec::new()),
            entropy,
            clock,
            timers: S::Lock::new(Timers::default()),
            access_version: AtomicU64::new(1),
            revision: AtomicU64::new(booted.revision),
            last_definition: AtomicU64::new(0),
            next_connection: AtomicU64::new(1),
            next_consumer: AtomicU64::new(1),
            next_durable_queue: AtomicU64::new(booted.next_queue),
            next_transient_queue: AtomicU64::new(TRANSIENT_QUEUE),
            alarms: AtomicU8::new(0),
            counters: Counters::default(),
            unfinished_bytes: Arc::default(),
        };
        // A crash came between the end of their definition and the end of their messages.
        for id in booted.undefined {
            broker.log_messages_gone(id);
        }
        broker.begin();
        broker
    }

    /// What a cell needs to work.
    pub(crate) fn around<'a>(&'a self, queue: &'a QueueRef<S>) -> Around<'a, S> {
        Around {
            queue,
            log: &self.log,
            spill: &self.spill,
            hot: &self.hot,
            clock: &self.clock,
            timers: &self.timers,
        }
    }

    pub(crate) fn next_connection_id(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn next_consumer_key(&self) -> ConsumerKey {
        ConsumerKey(self.next_consumer.fetch_add(1, Ordering::Relaxed))
    }

    fn next_queue_id(&self, durable: bool) -> QueueId {
        let counter = if durable { &self.next_durable_queue } else { &self.next_transient_queue };
        QueueId(counter.fetch_add(1, Ordering::Relaxed))
    }

    /// 22 characters of base64url, as RabbitMQ's generated names end.
    pub(crate) fn random_name(&self) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut bits = u128::from_be_bytes((self.entropy)());
        let mut name = String::with_capacity(22);
        for _ in 0..22 {
            name.push(char::from(DIGITS[(bits & 63) as usize]));
            bits >>= 6;
        }
        name
    }

    /// Rises with each change of users and permissions.
    pub(crate) fn access_version(&self) -> u64 {
        self.access_version.load(Ordering::Acquire)
    }

    /// Checks a login. An error of None is a malformed one, which RabbitMQ answers with silence.
    pub(crate) fn login(
        &self,
        mechanism: &str,
        response: &[u8],
        origin: Origin<'_>,
    ) -> Result<UserName, Option<BrokerError>> {
        let result = self.access.read(|access| {
            let login = self.settings.sasl.login(access, mechanism, response, origin);
            login.map(|user| user.name.clone())
        });
        result.map_err(|error| {
            tracing::warn!("{error}");
            match error {
                LoginError::Malformed(_) => None,
                LoginError::Refused { reply, .. } => Some(reply),
            }
        })
    }

    pub(crate) fn may_impersonate(&self, user: &UserName) -> bool {
        self.access.read(|access| access.user(user).is_some_and(|user| user.has_tag("impersonator")))
    }

    /// Runs a rule of the topology on behalf of an actor.
    fn as_caller<R>(&self, actor: &Actor<S>, run: impl FnOnce(&Caller<'_>) -> R) -> R {
        let (user, vhost) = (actor.user.as_deref(), &actor.vhost.name);
        let permit = |operation: Operation, resource: Resource<'_>| {
            let Some(user) = user else { return Ok(()) };
            self.access.read(|access| access.check(user, vhost, resource, operation))
        };
        let permit_topic = |operation: Operation, exchange: &str, key: &str| {
            let Some(user) = user else { return Ok(()) };
            self.access.read(|access| access.check_topic(user, vhost, exchange, key, operation))
        };
        run(&Caller { connection: actor.connection, permit: &permit, permit_topic: &permit_topic })
    }

    /// Sets or clears the alarms; connections are woken to block or unblock.
    pub fn set_alarms(&self, memory: bool, disk: bool) {
        let measured = u8::from(memory) * MEMORY_ALARM + u8::from(disk) * DISK_ALARM;
        self.change_alarms(|alarms| (alarms & LOG_FULL) | measured);
    }

    /// Sets or clears the alarm of a log that has no room to be written.
    pub fn set_log_full(&self, full: bool) {
        self.change_alarms(|alarms| if full { alarms | LOG_FULL } else { alarms & !LOG_FULL });
    }

    fn change_alarms(&self, change: impl Fn(u8) -> u8) {
        let changed = self.alarms.fetch_update(Ordering::AcqRel, Ordering::Acquire, |alarms| {
            let after = change(alarms);
            (after != alarms).then_some(after)
        });
        if changed.is_ok() {
            for connection in self.connections.values() {
                connection.wake();
            }
        }
    }

    /// Why publishers are blocked, in RabbitMQ's words; None while they are not.
    #[must_use]
    pub fn alarm_reason(&self) -> Option<&'static str> {
        let alarms = self.alarms.load(Ordering::Acquire);
        match (alarms & MEMORY_ALARM != 0, alarms & (DISK_ALARM | LOG_FULL) != 0) {
            (false, false) => None,
            (true, false) => Some("low on memory"),
            (false, true) => Some("low on disk"),
            (true, true) => Some("low on memory & disk"),
        }
    }

    /// Whether a publisher is held back by queues whose consumers are behind, or was within the last second: it comes
    /// and goes many times a second, and RabbitMQ's lists say `flow` for as long.
    #[must_use]
    pub fn is_in_flow(&self, connection: &ConnectionEntry<S>) -> bool {
        connection.is_in_flow((self.clock.steady)())
    }

    /// One line for an error of a client: a warning, since the broker goes on and no operator must act.
    pub(crate) fn report(&self, peer: &Peer, user: Option<&UserName>, channel: u16, error: &BrokerError) {
        let user = user.map_or("", UserName::as_str);
        tracing::warn!(connection = %peer.connection_name(), user, channel, "{error}");
    }

    /// Takes back what the log has as seen and what was never delivered, at a clean stop after all connections ended.
    pub fn log_delivered(&self) {
        for vhost in self.vhosts.values() {
            for queue in vhost.queues() {
                queue.with(|cell| cell.log_delivered(&self.log));
            }
        }
    }

    /// The position of everything appended so far.
    #[must_use]
    pub fn last_position(&self) -> Position {
        self.log.append(|gather| gather.last_position())
    }
}
