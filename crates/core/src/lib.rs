//! The rules of the broker as plain state machines: connection, channel, queue, vhost, access.
//!
//! Every entry takes `&mut self`, its inputs and, where time matters, `now`; what must happen outside comes
//! back as values. This crate performs no IO, reads no clock and no randomness, and holds no lock, so the same
//! code runs in the server and under simulation.

pub mod access;
pub mod admin;
pub mod arguments;
pub mod channel;
pub mod connection;
pub mod dead_letter;
pub mod definition;
pub mod deliveries;
pub mod error;
pub mod expiration;
pub mod ids;
pub mod limits;
pub mod message;
pub mod names;
pub mod parameters;
pub mod queue;
pub mod vhost;

pub use error::{BrokerError, Scope};
