//! Wrong uses of every class and method get the answer that RabbitMQ 4.0.5 gave.
//!
//! The answers stand in `tests/golden/wrong_use.json`. They are recorded by the same code:
//! `LEVERET_GOLDEN_RECORD=1 LEVERET_GOLDEN_URI=amqp://HOST:PORT cargo test -p leveret-tests wrong_use` rewrites the
//! file from the broker at that address; without `LEVERET_GOLDEN_RECORD` that broker is compared with the file.
//! Without either, Leveret is.

mod basic;
mod channel;
mod connection;
mod content;
mod differences;
mod exchange;
mod frames;
mod modes;
mod queue;
mod script;

use std::{
    collections::BTreeMap,
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use leveret_tests::broker::Broker;

use differences::DIFFERENCES;
use script::Script;

/// A wrong use: its name begins with the method it is about, then what is wrong.
pub(crate) type Case = (&'static str, fn(&mut Script));

/// What each case was answered: a line a frame.
type Answers = BTreeMap<String, Vec<String>>;

/// Cases run side by side: those that RabbitMQ answers after a pause of seconds do not add up.
const THREADS: usize = 16;

/// Every method that a client may send: each has at least one wrong use.
const CLIENT_METHODS: &[&str] = &[
    "connection.start-ok",
    "connection.secure-ok",
    "connection.tune-ok",
    "connection.open",
    "connection.close",
    "connection.close-ok",
    "connection.blocked",
    "connection.update-secret",
    "channel.open",
    "channel.flow",
    "channel.flow-ok",
    "channel.close",
    "channel.close-ok",
    "access.request",
    "exchange.declare",
    "exchange.delete",
    "exchange.bind",
    "exchange.unbind",
    "queue.declare",
    "queue.bind",
    "queue.purge",
    "queue.delete",
    "queue.unbind",
    "basic.qos",
    "basic.consume",
    "basic.cancel",
    "basic.cancel-ok",
    "basic.publish",
    "basic.get",
    "basic.ack",
    "basic.reject",
    "basic.recover-async",
    "basic.recover",
    "basic.nack",
    "confirm.select",
    "tx.select",
    "tx.commit",
    "tx.rollback",
];

fn all_cases() -> Vec<Case> {
    [
        connection::CASES,
        channel::CASES,
        exchange::CASES,
        queue::CASES,
        basic::CASES,
        content::CASES,
        modes::CASES,
        frames::CASES,
    ]
    .concat()
}

#[test]
fn every_wrong_use_gets_the_answer_of_rabbitmq() {
    let peer = peer();
    if std::env::var_os("LEVERET_GOLDEN_RECORD").is_some() {
        let peer = peer.expect("LEVERET_GOLDEN_URI says where RabbitMQ is");
        write_goldens(&ask_all(peer, &all_cases()));
        return;
    }
    let goldens = read_goldens();
    let (answers, against_leveret) = match peer {
        Some(peer) => (ask_all(peer, &all_cases()), false),
        None => (ask_all(Broker::start().amqp(), &all_cases()), true),
    };
    let wrong: Vec<String> = answers
        .iter()
        .filter_map(|(name, answer)| {
            let golden = goldens.get(name).cloned().unwrap_or_default();
            let difference = DIFFERENCES.iter().find(|d| d.case == name);
            let expected = match difference {
                Some(difference) if against_leveret => difference.answer(),
                _ => golden,
            };
            (*answer != expected).then(|| report(name, &expected, answer))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), answers.len(), wrong.join("\n"));
}

#[test]
fn the_goldens_hold_every_case_and_every_method() {
    let goldens = read_goldens();
    let mut names: Vec<String> = all_cases().iter().map(|case| case.0.to_owned()).collect();
    names.sort();
    assert!(names.len() >= 150, "only {} cases", names.len());
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(names.iter().eq(goldens.keys()), "record the goldens again");
    for method in CLIENT_METHODS {
        let prefix = format!("{method}: ");
        assert!(names.iter().any(|name| name.starts_with(&prefix)), "no wrong use of {method}");
    }
}

#[test]
fn every_intended_difference_differs_and_has_a_reason() {
    let goldens = read_goldens();
    for difference in DIFFERENCES {
        let golden = goldens.get(difference.case);
        let golden = golden.unwrap_or_else(|| panic!("no case {:?}", difference.case));
        assert_ne!(*golden, difference.answer(), "{}", difference.case);
        assert!(!difference.reason.is_empty());
    }
}

/// Runs all `cases` against the broker at `address`, each on connections of its own.
fn ask_all(address: SocketAddr, cases: &[Case]) -> Answers {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut answers = Answers::new();
        while let Some((name, case)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            answers.insert((*name).to_owned(), Script::run(address, name, *case));
        }
        answers
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let parts = threads.into_iter().map(|thread| thread.join().unwrap());
        parts.flatten().collect()
    })
}

fn report(name: &str, expected: &[String], answer: &[String]) -> String {
    let block = |lines: &[String]| lines.join("\n            ");
    format!("{name}\n  expected: {}\n  answered: {}", block(expected), block(answer))
}

/// The broker at `LEVERET_GOLDEN_URI`.
fn peer() -> Option<SocketAddr> {
    let uri = std::env::var("LEVERET_GOLDEN_URI").ok()?;
    let rest = uri.strip_prefix("amqp://").unwrap_or(&uri);
    let place = rest.rsplit('@').next().unwrap_or(rest);
    let place = place.split('/').next().unwrap_or(place);
    let mut addresses = place.to_socket_addrs().expect("a host and a port");
    Some(addresses.next().expect("an address"))
}

fn golden_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/wrong_use.json")
}

fn read_goldens() -> Answers {
    let text = std::fs::read_to_string(golden_path()).expect("the goldens");
    serde_json::from_str(&text).expect("goldens in JSON")
}

fn write_goldens(answers: &Answers) {
    let text = serde_json::to_string_pretty(answers).expect("JSON");
    std::fs::write(golden_path(), text + "\n").expect("a place for the goldens");
}
