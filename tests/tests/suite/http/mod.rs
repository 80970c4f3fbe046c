//! The HTTP API, compared with the answers of RabbitMQ 4.0.5.
//!
//! The answers stand in `tests/golden/http_*.json` and are recorded by the same code: with
//! `LEVERET_GOLDEN_RECORD=1 LEVERET_GOLDEN_URI=amqp://HOST:PORT LEVERET_GOLDEN_HTTP=HOST:PORT` the files are rewritten
//! from the broker there (the second address is its HTTP listener). Without `LEVERET_GOLDEN_RECORD` that broker is
//! compared; without any of them, Leveret is.

mod differences;
mod matrix;
mod metrics;
mod names;
mod routes;
mod world;

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
};

use serde::{Serialize, de::DeserializeOwned};

/// The other broker's AMQP and HTTP listeners.
fn peer() -> Option<(SocketAddr, SocketAddr)> {
    let uri = std::env::var("LEVERET_GOLDEN_URI").ok()?;
    let http = std::env::var("LEVERET_GOLDEN_HTTP").ok()?;
    let place = uri.trim_start_matches("amqp://").rsplit('@').next().unwrap_or_default().to_owned();
    let first = |place: &str| place.to_socket_addrs().expect("host and port").next().expect("an address");
    Some((first(place.split('/').next().unwrap_or_default()), first(&http)))
}

fn recording() -> bool {
    std::env::var_os("LEVERET_GOLDEN_RECORD").is_some()
}

fn golden_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

fn read_golden<T: DeserializeOwned>(name: &str) -> T {
    let text = std::fs::read_to_string(golden_path(name)).expect("the goldens");
    serde_json::from_str(&text).expect("goldens in JSON")
}

fn write_golden(name: &str, answers: &impl Serialize) {
    let text = serde_json::to_string_pretty(answers).expect("JSON");
    std::fs::write(golden_path(name), text + "\n").expect("a place for the goldens");
}
