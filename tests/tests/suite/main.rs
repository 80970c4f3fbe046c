//! Black-box tests of the built broker, a module a feature.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests report by panicking"
)]

mod arguments;
mod backlog;
mod backpressure;
mod clock_jump;
mod crash;
mod ctl;
mod definitions;
mod disk_full;
mod durability;
mod heartbeat;
mod http;
mod lifecycle;
mod malformed;
mod neighbour;
mod offline;
mod passing;
mod permissions;
mod powercut;
mod pressure;
mod redelivery;
mod rot;
mod syscalls;
mod tls;
mod wrong_use;
