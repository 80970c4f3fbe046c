//! Core and storage joined, synchronously: publishing to several queues, deliveries, settlement, transactions,
//! definitions, confirms, and the order of a start.
//!
//! Nothing here knows a socket, a runtime, a mutex or the time. What is shared is reached through [`seams`]:
//! the server implements them with mutexes and a log thread, a simulator with plain borrows. So the code that
//! decides what a confirm means is the same under both.
//!
//! Lock order: topology, queue, outbox; the log's buffer is a leaf. Two queues are never locked at once.

pub mod around;
pub mod boot;
pub mod broker;
pub mod cell;
pub mod cold;
mod dead_letter;
mod deliver;
pub mod outbox;
mod payload;
pub mod queue;
mod route;
pub mod seams;
pub mod session;
pub mod shown;
pub mod stats;
mod timers;
pub mod vhost;

pub use around::Clock;
pub use broker::Broker;
pub use cold::{ColdStore, Damage, Fetch, Fetched, Part};
pub use outbox::{Outbox, WriteQueue};
pub use queue::{Queue, QueueRef, WeakQueue};
pub use seams::{Log, Registry, Seams, Shared, SharedRw, Wake};
pub use session::{Flow, Peer, Session};
