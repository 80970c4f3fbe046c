//! Answers recorded from RabbitMQ: where they stand, which broker is asked, and many cases side by side.
//!
//! `LEVERET_GOLDEN_URI=amqp://HOST:PORT` asks the broker at that address instead of Leveret;
//! `LEVERET_GOLDEN_RECORD=1` besides writes what it answers into the golden file.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// What each case was answered, by the case's name.
pub type Answers = BTreeMap<String, Vec<String>>;

/// The broker at `LEVERET_GOLDEN_URI`.
///
/// # Panics
/// When the variable holds no host and port.
#[must_use]
pub fn peer() -> Option<SocketAddr> {
    let uri = std::env::var("LEVERET_GOLDEN_URI").ok()?;
    let rest = uri.strip_prefix("amqp://").unwrap_or(&uri);
    let place = rest.rsplit('@').next().unwrap_or(rest);
    let place = place.split('/').next().unwrap_or(place);
    let mut addresses = place.to_socket_addrs().expect("a host and a port");
    Some(addresses.next().expect("an address"))
}

/// Whether the answers are to be written down instead of compared.
#[must_use]
pub fn recording() -> bool {
    std::env::var_os("LEVERET_GOLDEN_RECORD").is_some()
}

/// The answers recorded in the golden file `name`, a path below `tests/golden` without its ending.
///
/// # Panics
/// When there is no such file, or it does not hold answers.
#[must_use]
pub fn read(name: &str) -> Answers {
    let text = std::fs::read_to_string(path(name)).expect("the goldens");
    serde_json::from_str(&text).expect("goldens in JSON")
}

/// Replaces the golden file `name`.
///
/// # Panics
/// When the file cannot be written.
pub fn write(name: &str, answers: &Answers) {
    let text = serde_json::to_string_pretty(answers).expect("JSON");
    let path = path(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a place for the goldens");
    std::fs::write(path, text + "\n").expect("a place for the goldens");
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name).with_extension("json")
}

/// Asks all `cases` by `ask`, `threads` of them side by side: those that wait do not add up.
///
/// # Panics
/// When `ask` does.
pub fn ask_all<C: Sync>(
    cases: &[C],
    threads: usize,
    ask: impl Fn(&C) -> (String, Vec<String>) + Sync,
) -> Answers {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut answers = Answers::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            answers.extend([ask(case)]);
        }
        answers
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("the cases")).collect()
    })
}

/// A case that was answered otherwise than expected, for the text of a failed test.
#[must_use]
pub fn report(name: &str, expected: &[String], answer: &[String]) -> String {
    let block = |lines: &[String]| lines.join("\n            ");
    format!("{name}\n  expected: {}\n  answered: {}", block(expected), block(answer))
}
