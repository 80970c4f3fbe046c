//! What the black-box tests stand on: a broker process under a harness, and a raw AMQP client.
//!
//! Nothing here uses the broker's own crates. The wire code is written from the AMQP 0-9-1 grammar a second time,
//! on purpose: an oracle that shares its codec with the broker cannot see the codec's faults.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test harness reports by panicking"
)]

pub mod admin;
pub mod awaited;
pub mod binary;
pub mod broker;
pub mod chance;
pub mod client;
pub mod clock_shift;
pub mod content_text;
pub mod control_group;
pub mod crash_disk;
pub mod describe;
pub mod golden;
pub mod http;
pub mod ledger;
pub mod login;
pub mod methods;
pub mod numbered;
pub mod process;
pub mod small_disk;
pub mod strace;
pub mod tls;
pub mod wait;
pub mod wire;
