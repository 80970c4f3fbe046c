//! Every bound of this crate with its unit, default and reason.

/// The largest request body, in bytes (RabbitMQ's `management.http.max_body_size`).
pub(crate) const BODY_BYTES: usize = 10_000_000;

/// Requests answered at the same time. A list of many queues is built in memory, so this bounds what all of them
/// take together; others wait their turn.
pub(crate) const CONCURRENT_REQUESTS: usize = 16;

/// Pages of metrics written at the same time; others wait their turn.
pub(crate) const CONCURRENT_SCRAPES: usize = 2;

/// The page size when none is asked for (RabbitMQ's).
pub(crate) const PAGE_ITEMS_DEFAULT: usize = 100;

/// The largest page that may be asked for (RabbitMQ's).
pub(crate) const PAGE_ITEMS_MAX: usize = 500;

/// The largest compiled form of a client's regular expression (`use_regex=true`), in bytes.
pub(crate) const REGEX_BYTES: usize = 256 * 1024;

/// How deep an arguments table is shown. Tables that clients send are bounded at 16 already.
pub(crate) const ARGUMENT_DEPTH: usize = 32;
