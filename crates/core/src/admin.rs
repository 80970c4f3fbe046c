//! What management sees of the broker and may ask of it: plain data under RabbitMQ's names, and one trait.
//!
//! Owns the views and [`Admin`]. Knows nothing of JSON, HTTP or tables for people: `management` gives these values
//! their shape. A field that is `None` is not known and is left out of the answer; no number is ever made up.

mod access;
mod parameters;
mod stats;
mod topology;

use std::net::IpAddr;
use std::sync::Arc;

use crate::connection::TlsFacts;

use crate::error::BrokerError;

pub use access::{
    AccessAdmin, PasswordChange, PermissionView, TopicPermissionView, UserLimitValues, VhostLimitValues,
    VhostSettings,
};
pub use parameters::{GlobalParameterView, ParameterAdmin, ParameterView, PolicyView};
pub use stats::{BrokerStats, Churn, ConnectionStats, QueueStats};
pub use topology::{
    AckMode, Acting, BindingSpec, ExchangeSpec, GetExtent, MessageProperties, MessageView, NewMessage,
    PROPERTY_NAMES, PropertyValue, QueueSpec, TopologyAdmin,
};

/// A value in an arguments table, with the AMQP type that the client sent it as (RabbitMQ's reading of the letters).
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// `V`: no value.
    Void,
    /// `t`.
    Bool(bool),
    /// `b`: signed 8 bits.
    Byte(i8),
    /// `B`: unsigned 8 bits.
    UnsignedByte(u8),
    /// `s`: signed 16 bits.
    Short(i16),
    /// `u`: unsigned 16 bits.
    UnsignedShort(u16),
    /// `I`: signed 32 bits.
    SignedInt(i32),
    /// `i`: unsigned 32 bits.
    UnsignedInt(u32),
    /// `l` and `L`: signed 64 bits.
    Long(i64),
    /// `f`.
    Float(f32),
    /// `d`.
    Double(f64),
    /// `D`: digits after the decimal point and the unscaled value.
    Decimal(u8, u32),
    /// `S`: text as a rule, but any bytes.
    LongStr(Vec<u8>),
    /// `x`: bytes.
    Binary(Vec<u8>),
    /// `T`: seconds since the Unix epoch.
    Timestamp(u64),
    /// `A`.
    Array(Vec<Self>),
    /// `F`.
    Table(Arguments),
}

/// An arguments table, in the order in which it is kept.
pub type Arguments = Vec<(String, Argument)>;

/// Where a connection comes from; part of several views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The connection's name, `peer_host:peer_port -> host:port`.
    pub connection_name: String,
    /// The client's address.
    pub peer_host: IpAddr,
    /// The client's port.
    pub peer_port: u16,
}

/// One queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueView {
    /// Its virtual host.
    pub vhost: String,
    /// Its name.
    pub name: String,
    /// `classic` or `quorum`.
    pub queue_type: &'static str,
    /// It survives a restart.
    pub durable: bool,
    /// It goes with its last consumer.
    pub auto_delete: bool,
    /// The connection that owns it, if it is exclusive.
    pub owner: Option<Peer>,
    /// The arguments it was declared with.
    pub arguments: Arguments,
    /// The name of the policy that applies to it.
    pub policy: Option<String>,
    /// Messages waiting for a consumer.
    pub messages_ready: u64,
    /// Messages delivered and not acknowledged.
    pub messages_unacknowledged: u64,
    /// Body bytes of the ready messages.
    pub message_bytes_ready: Option<u64>,
    /// Body bytes of the unacknowledged messages.
    pub message_bytes_unacknowledged: Option<u64>,
    /// Messages that were published as persistent.
    pub messages_persistent: Option<u64>,
    /// Consumers.
    pub consumers: u64,
    /// Why it is stopped, where one of its messages cannot be read: with file and offset.
    pub damage: Option<String>,
    /// The tag of its exclusive consumer.
    pub exclusive_consumer_tag: Option<String>,
    /// What happened in it since the start.
    pub stats: QueueStats,
}

/// One exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeView {
    /// Its virtual host.
    pub vhost: String,
    /// Its name; the default exchange's is empty.
    pub name: String,
    /// `direct`, `fanout`, `topic` or `headers`.
    pub exchange_type: String,
    /// It survives a restart.
    pub durable: bool,
    /// It goes with its last binding.
    pub auto_delete: bool,
    /// Clients may not publish to it.
    pub internal: bool,
    /// The arguments it was declared with.
    pub arguments: Arguments,
    /// The name of the policy that applies to it.
    pub policy: Option<String>,
}

/// What a binding leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DestinationKind {
    /// Another exchange.
    Exchange,
    /// A queue.
    Queue,
}

/// One binding that somebody made. The bindings of the default exchange to every queue are implied: [`Admin`] does
/// not return them, management adds them.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingView {
    /// Its virtual host.
    pub vhost: String,
    /// The exchange it leads from.
    pub source: String,
    /// The queue or exchange it leads to.
    pub destination: String,
    /// Which of the two.
    pub destination_kind: DestinationKind,
    /// The binding key.
    pub routing_key: String,
    /// Its arguments.
    pub arguments: Arguments,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Before connection.open-ok.
    Starting,
    /// Open.
    Running,
    /// It may publish no more for now, and has not tried since.
    Blocking,
    /// It published while an alarm was on, and is not read.
    Blocked,
    /// Being slowed down.
    Flow,
    /// connection.close was sent or received.
    Closing,
}

impl ConnectionState {
    /// RabbitMQ's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Blocking => "blocking",
            Self::Blocked => "blocked",
            Self::Flow => "flow",
            Self::Closing => "closing",
        }
    }
}

/// One client connection.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionView {
    /// Its number, which no other connection of this process gets.
    pub id: u64,
    /// Name, peer address and peer port.
    pub peer: Peer,
    /// The address it was accepted on.
    pub host: IpAddr,
    /// The port it was accepted on.
    pub port: u16,
    /// The `connection_name` among its client properties.
    pub user_provided_name: Option<String>,
    /// The user it logged in as; `None` before that.
    pub user: Option<String>,
    /// The virtual host it opened; `None` before that.
    pub vhost: Option<String>,
    /// What it is doing.
    pub state: ConnectionState,
    /// The SASL mechanism, for instance `PLAIN`; `None` before login.
    pub auth_mechanism: Option<String>,
    /// The negotiated largest frame, in bytes.
    pub frame_max: u32,
    /// The negotiated highest channel number.
    pub channel_max: u16,
    /// The negotiated heartbeat, in seconds; 0 is none.
    pub heartbeat_s: u16,
    /// Open channels.
    pub channels: u64,
    /// What the client said of itself in connection.start-ok.
    pub client_properties: Arguments,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub connected_at_ms: u64,
    /// What its TLS handshake gave; `None` over plain TCP.
    pub tls: Option<Arc<TlsFacts>>,
    /// Bytes received.
    pub recv_oct: Option<u64>,
    /// Bytes sent.
    pub send_oct: Option<u64>,
    /// Frames or packets received.
    pub recv_cnt: Option<u64>,
    /// Frames or packets sent.
    pub send_cnt: Option<u64>,
    /// Bytes waiting to be sent.
    pub send_pend: Option<u64>,
}

/// Which channel a consumer or a view belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRef {
    /// Its connection.
    pub peer: Peer,
    /// Its number.
    pub number: u16,
    /// The user of the connection.
    pub user: String,
}

/// One open channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelView {
    /// Connection, number, user.
    pub channel: ChannelRef,
    /// The virtual host.
    pub vhost: String,
    /// Its consumers.
    pub consumer_count: u64,
    /// confirm.select was called.
    pub confirm: bool,
    /// tx.select was called.
    pub transactional: bool,
    /// The prefetch count for each new consumer; 0 is no limit.
    pub prefetch_count: u16,
    /// The prefetch count for the whole channel; 0 is no limit.
    pub global_prefetch_count: u16,
    /// Messages delivered and not acknowledged.
    pub messages_unacknowledged: u64,
    /// Publishes not yet confirmed.
    pub messages_unconfirmed: u64,
    /// Publishes waiting for tx.commit.
    pub messages_uncommitted: u64,
    /// Acknowledgements waiting for tx.commit.
    pub acks_uncommitted: u64,
}

/// One consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerView {
    /// The virtual host of its queue.
    pub vhost: String,
    /// Its queue.
    pub queue: String,
    /// Its tag.
    pub consumer_tag: String,
    /// The channel it is on.
    pub channel: ChannelRef,
    /// Deliveries must be acknowledged (the opposite of `no_ack`).
    pub ack_required: bool,
    /// Its prefetch count; 0 is no limit.
    pub prefetch_count: u16,
    /// It is the queue's only consumer, by its own wish.
    pub exclusive: bool,
    /// It may be given messages (false while it waits for its turn as single active consumer).
    pub active: bool,
    /// The arguments of basic.consume.
    pub arguments: Arguments,
}

/// One virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VhostView {
    /// Its name.
    pub name: String,
    /// What somebody wrote about it.
    pub description: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The type of queues declared without `x-queue-type`.
    pub default_queue_type: String,
}

/// One user, as management shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserView {
    /// The name.
    pub name: String,
    /// Salt and hash as RabbitMQ lays them out (4 bytes of salt, then the hash); empty if no password works.
    pub password_hash: Vec<u8>,
    /// `rabbit_password_hashing_sha256` and the like.
    pub hashing_algorithm: &'static str,
    /// The tags, for instance `administrator`.
    pub tags: Vec<String>,
}

/// One socket the broker listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `amqp` or `http`.
    pub protocol: &'static str,
    /// The address.
    pub ip_address: IpAddr,
    /// The port.
    pub port: u16,
}

/// The certificates in a TLS listener's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerCertificates {
    /// The socket.
    pub listener: Listener,
    /// The file of the broker's certificate.
    pub certfile: String,
    /// The file of the authorities; empty if there is none.
    pub cacertfile: String,
    /// When those of the first end.
    pub certfile_ends: Vec<CertificateEnd>,
    /// When those of the second end.
    pub cacertfile_ends: Vec<CertificateEnd>,
}

/// When a certificate ends to be valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateEnd {
    /// In seconds since the Unix epoch.
    pub at_s: i64,
    /// For people, in UTC: `2036-11-18 17:07:00`.
    pub text: String,
}

/// A resource that ran short; publishers wait until it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// Memory past its watermark.
    Memory,
    /// Free disk space under its limit.
    Disk,
}

impl Alarm {
    /// RabbitMQ's word for the resource.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

/// The memory limit: `vm_memory_high_watermark`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemoryWatermark {
    /// A part of the memory this process may use, 0 to 1. 0 keeps the alarm on.
    Relative(f64),
    /// Bytes.
    Absolute(u64),
}

/// The limit of free disk space: `disk_free_limit`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DiskFreeLimit {
    /// A multiple of the machine's memory.
    Relative(f64),
    /// Bytes.
    Absolute(u64),
}

/// How many there are of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectTotals {
    /// Open connections.
    pub connections: u64,
    /// Open channels.
    pub channels: u64,
    /// Consumers.
    pub consumers: u64,
    /// Exchanges, the predeclared ones included.
    pub exchanges: u64,
    /// Queues.
    pub queues: u64,
    /// Virtual hosts.
    pub vhosts: u64,
    /// Ready messages in all queues.
    pub messages_ready: u64,
    /// Unacknowledged messages in all queues.
    pub messages_unacknowledged: u64,
}

/// The broker itself.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeStatus {
    /// The node's name, for instance `leveret@host`.
    pub name: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// The product announced to clients (`RabbitMQ` unless configured otherwise).
    pub product_name: String,
    /// The version announced to clients.
    pub product_version: String,
    /// Leveret's own version.
    pub leveret_version: String,
    /// The process id.
    pub os_pid: u32,
    /// Time since start, in milliseconds.
    pub uptime_ms: u64,
    /// Processors this process may use.
    pub processors: u32,
    /// Memory in use, in bytes.
    pub mem_used: u64,
    /// The memory limit, in bytes.
    pub mem_limit: u64,
    /// How that limit was given.
    pub mem_watermark: MemoryWatermark,
    /// Free disk space under the data folder, in bytes; `None` if it cannot be read.
    pub disk_free: Option<u64>,
    /// The limit of free disk space, in bytes.
    pub disk_free_limit: u64,
    /// Open file descriptors.
    pub fd_used: Option<u64>,
    /// The limit of file descriptors.
    pub fd_total: u64,
    /// Client connections open.
    pub sockets_used: u64,
    /// Client connections possible.
    pub sockets_total: u64,
    /// The data folder.
    pub data_dir: String,
    /// The configuration files that were read.
    pub config_files: Vec<String>,
    /// The sockets the broker listens on.
    pub listeners: Vec<Listener>,
    /// The ways to log in over AMQP, each with whether it is offered.
    pub auth_mechanisms: Vec<(&'static str, bool)>,
    /// What the messages take.
    pub storage: StorageStatus,
    /// What ran short.
    pub alarms: Vec<Alarm>,
    /// How many there are of each.
    pub totals: ObjectTotals,
}

/// What the messages take, in memory and on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageStatus {
    /// What a confirm waits for: `fsync` or `os`.
    pub durability: &'static str,
    /// Bytes of a file of the log.
    pub slot_bytes: u64,
    /// Files of the log that hold something.
    pub slots_used: u64,
    /// Files of the log ready to be overwritten.
    pub slots_free: u64,
    /// Bytes of the files that hold something.
    pub used_bytes: u64,
    /// Indexes of messages that are older than the log's tail.
    pub runs: u64,
    /// Bytes of those.
    pub run_bytes: u64,
    /// Unsettled messages in the log's tail, which is what a start reads.
    pub tail_messages: u64,
    /// Bytes of the log's tail.
    pub tail_bytes: u64,
    /// Memory that messages may take, in bytes.
    pub hot_window_bytes: u64,
    /// Memory that messages take, in bytes.
    pub hot_bytes: u64,
    /// Bytes on the disk of what may be lost with the process.
    pub spill_bytes: u64,
    /// Queues that are stopped because a message of theirs cannot be read.
    pub damaged_queues: u64,
}

/// Who logged in to management.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedUser {
    /// The name.
    pub name: String,
    /// The tags.
    pub tags: Vec<String>,
    /// The virtual hosts in which the user has a permission.
    pub vhosts: Vec<String>,
}

/// Why a login was refused. The client is told only which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthFailure {
    /// No such user, or not that password.
    Refused,
    /// The user may log in from this machine only (`loopback_users`).
    LoopbackOnly,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// There is no such connection, queue or other object.
    #[error("not found")]
    NotFound,
    /// The object's state forbids it, in RabbitMQ's words and without the reply code's name (a queue in use, say).
    #[error("{0}")]
    PreconditionFailed(String),
    /// The value asked for makes no sense here.
    #[error("{0}")]
    BadRequest(String),
    /// There is one of that name already.
    #[error("already exists")]
    AlreadyExists,
    /// There is no user of that name.
    #[error("User \"{0}\" does not exist")]
    NoSuchUser(String),
    /// There is no virtual host of that name.
    #[error("Virtual host '{0}' does not exist")]
    NoSuchVhost(String),
    /// A permission's pattern is no regular expression we can use.
    #[error("invalid regular expression '{pattern}': {reason}")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What AMQP would answer to the acting user: reply code and explanation.
    #[error("{}", .0.explanation)]
    Refused(BrokerError),
    /// The broker stopped before the change was on disk: it may be there after the next start, or not.
    #[error("the broker is stopping")]
    Stopping,
}

/// Which client connections are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionsOf<'a> {
    /// All.
    All,
    /// Those of one user.
    User(&'a str),
    /// Those that opened one virtual host.
    Vhost(&'a str),
}

/// What management may ask of the broker.
///
/// The calls are synchronous and may take locks or wait for the disk, so callers run them outside an async
/// scheduler's own threads. A list is one moment's picture of each object, not of all objects together; its order
/// is not defined, and `management` sorts.
pub trait Admin: AccessAdmin + TopologyAdmin + ParameterAdmin {
    /// Makes many changes whose calls do not wait for the disk one by one: what they did is durable when this returns,
    /// not before. The changes are called once, on the caller's thread.
    ///
    /// # Errors
    /// [`AdminError::Stopping`].
    fn together(&self, changes: &mut dyn FnMut(&dyn Admin)) -> Result<(), AdminError>;

    /// Checks a name and password for management. The tag rules are the caller's.
    ///
    /// # Errors
    /// [`AuthFailure`]; nothing has changed.
    fn authenticate(
        &self,
        user: &str,
        password: &[u8],
        peer_is_loopback: bool,
    ) -> Result<AuthenticatedUser, AuthFailure>;

    /// The broker itself.
    fn node_status(&self) -> NodeStatus;

    /// The broker's name; cheap, since it stands in almost every answer.
    fn node_name(&self) -> String {
        self.node_status().name
    }

    /// The settings it runs with, by their names in the configuration file; without secrets.
    fn settings(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The certificates of the listeners that have some, read from their files as they are now.
    fn certificates(&self) -> Vec<ListenerCertificates> {
        Vec::new()
    }

    /// Time since the start, in milliseconds; cheap.
    fn uptime_ms(&self) -> u64 {
        self.node_status().uptime_ms
    }

    /// What happened since the start.
    fn stats(&self) -> BrokerStats;

    /// What ran short; cheap, for health checks.
    fn alarms(&self) -> Vec<Alarm>;

    /// All virtual hosts.
    fn vhosts(&self) -> Vec<VhostView>;

    /// All users.
    fn users(&self) -> Vec<UserView>;

    /// The queues of one virtual host, or of all. Empty if the virtual host does not exist.
    fn queues(&self, vhost: Option<&str>) -> Vec<QueueView>;

    /// One queue.
    fn queue(&self, vhost: &str, name: &str) -> Option<QueueView>;

    /// The exchanges of one virtual host, or of all, the predeclared ones included.
    fn exchanges(&self, vhost: Option<&str>) -> Vec<ExchangeView>;

    /// The bindings of one virtual host, or of all, without the implied ones of the default exchange.
    fn bindings(&self, vhost: Option<&str>) -> Vec<BindingView>;

    /// All client connections.
    fn connections(&self) -> Vec<ConnectionView>;

    /// All open channels.
    fn channels(&self) -> Vec<ChannelView>;

    /// The consumers of one virtual host, or of all.
    fn consumers(&self, vhost: Option<&str>) -> Vec<ConsumerView>;

    /// Closes a client connection: the client gets 320 CONNECTION_FORCED with this reason.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    fn close_connection(&self, name: &str, reason: &str) -> Result<(), AdminError>;

    /// Closes the client connection of that number ([`ConnectionView::id`]) in the same way.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    fn close_connection_by_id(&self, id: u64, reason: &str) -> Result<(), AdminError>;

    /// Closes client connections in the same way; gives their number. Sockets that have not logged in are left alone.
    fn close_connections(&self, of: ConnectionsOf<'_>, reason: &str) -> u64;

    /// Sets the memory limit until the next start.
    ///
    /// # Errors
    /// [`AdminError::BadRequest`] if it makes no sense on this machine.
    fn set_memory_watermark(&self, watermark: MemoryWatermark) -> Result<(), AdminError>;

    /// Sets the limit of free disk space until the next start.
    ///
    /// # Errors
    /// [`AdminError::BadRequest`] if it makes no sense on this machine.
    fn set_disk_free_limit(&self, limit: DiskFreeLimit) -> Result<(), AdminError>;

    /// Asks the broker to stop in an orderly way, as SIGTERM does, and returns at once.
    fn request_stop(&self);
}
