//! The tokio shell and the binary leveret.

pub mod admin;
pub mod alarm;
#[cfg(feature = "count-allocations")]
pub mod allocations;
pub mod allocator;
pub mod application;
pub mod checkpoint;
pub mod clock;
pub mod config;
pub mod connection;
pub mod control;
pub mod definitions;
pub mod io;
pub mod listener;
pub mod load_definitions;
pub mod log;
pub mod node;
pub mod offline;
pub mod seams;
pub mod server;
pub mod storage;
pub mod telemetry;
pub mod timer;
pub mod tls;
pub mod transport;
