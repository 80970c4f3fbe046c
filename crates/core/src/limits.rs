//! Every bound of this crate with its unit, default and reason.

/// The largest frame offered in connection.tune, in bytes (RabbitMQ's default).
pub const FRAME_MAX_BYTES: u32 = 131_072;

/// The smallest frame_max a client may ask for (AMQP 0-9-1, 4.2.3). RabbitMQ 4.1 and later refuse less than
/// 8,192, which locks amqplib before 0.10.7 out; we accept what the specification promises.
pub const FRAME_MIN_BYTES: u32 = 4_096;

/// The largest frame before connection.tune-ok, in bytes (RabbitMQ's default since 4.1: OAuth tokens fit).
pub const HANDSHAKE_FRAME_MAX_BYTES: u32 = 8_192;

/// The highest channel number offered in connection.tune (RabbitMQ's default).
pub const CHANNEL_MAX: u16 = 2_047;

/// The heartbeat offered in connection.tune, in seconds (RabbitMQ's default).
pub const HEARTBEAT_S: u16 = 60;

/// The time from accept to connection.open-ok, in milliseconds (RabbitMQ's `handshake_timeout`).
pub const HANDSHAKE_TIMEOUT_MS: u64 = 10_000;

/// The time that a TLS handshake may take before that, in milliseconds (RabbitMQ's `ssl_handshake_timeout`).
pub const TLS_HANDSHAKE_TIMEOUT_MS: u64 = 5_000;

/// The largest message body, in bytes. RabbitMQ 3.13 took 128 MiB, RabbitMQ 4 takes 16; the larger one breaks
/// nobody.
pub const MAX_MESSAGE_SIZE_BYTES: u64 = 134_217_728;

/// Bodies up to this size, in bytes, are copied into their queue's chunks; larger ones are shared slices. A slice
/// pins the read buffer it lies in, so a small body would hold far more memory than it has.
pub const SMALL_BODY_BYTES: usize = 4_096;

/// The size of a queue's chunk of small messages, in bytes.
pub const CHUNK_BYTES: usize = 65_536;

/// Bytes waiting for one socket before its consumers are passed over. A consumer that does not read stops there
/// and its messages stay in their queues.
pub const OUTBOX_HIGH_WATER_BYTES: usize = 512 * 1024;

/// Bytes of direct replies that wait for one socket before further ones are dropped, with a warning: a reply is
/// transient and has no queue to wait in.
pub const UNREAD_REPLY_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of messages whose body has not come whole yet, on all connections together. The server sets a tenth of
/// the memory limit, but never less than one largest message.
pub const UNFINISHED_BYTES: u64 = 1024 * 1024 * 1024;

/// Bytes of returned and got messages that wait for one socket before its connection is no longer read: a client
/// that asks and never reads stops there. Larger than what a client may send before it begins to read.
pub const UNREAD_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of replies that wait for the disk on one channel, before its connection is no longer read.
pub const HELD_REPLY_BYTES: usize = 1024 * 1024;

/// Bytes that wait for a queue's consumers before it may hold publishers back: enough that a consumer which is let
/// down by its scheduler for a moment does not run dry.
pub const HELD_BACKLOG_BYTES: u64 = 1024 * 1024;

/// Messages that one consumer takes in a row while others of the queue are ready too. Small, so that the work is
/// spread evenly; more than one, so that a deep backlog does not change outbox with every message.
pub const CONSUMER_TURN_MESSAGES: usize = 64;

/// The longest `x-message-ttl` and `x-expires`, in milliseconds: ten years, RabbitMQ's bound.
pub const MAX_EXPIRY_MS: u64 = 315_360_000_000;

/// After how many returns a quorum queue dead-letters a message if `x-delivery-limit` says nothing: RabbitMQ's number.
pub const DEFAULT_DELIVERY_LIMIT: i64 = 20;

/// The memory of one compiled permission pattern, in bytes: a pattern is a user's text, its automaton need not be
/// small.
pub const PERMISSION_REGEX_BYTES: usize = 1024 * 1024;

/// Bytes that may wait for the log before connections that publish are not read, in bytes.
pub const LOG_BACKLOG_BYTES: usize = 64 * 1024 * 1024;
