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

use std::net::SocketAddr;

use leveret_tests::{
    broker::Broker,
    golden::{self, Answers},
};

use differences::DIFFERENCES;
use script::Script;

/// A wrong use: its name begins with the method it is about, then what is wrong.
pub(crate) type Case = (&'static str, fn(&mut Script));

/// The golden file: a line a frame.
const GOLDEN: &str = "wrong_use";

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
    let peer = golden::peer();
    if golden::recording() {
        let peer = peer.expect("LEVERET_GOLDEN_URI says where RabbitMQ is");
        golden::write(GOLDEN, &ask_all(peer, &all_cases()));
        return;
    }
    let goldens = golden::read(GOLDEN);
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
            (*answer != expected).then(|| golden::report(name, &expected, answer))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), answers.len(), wrong.join("\n"));
}

#[test]
fn the_goldens_hold_every_case_and_every_method() {
    let goldens = golden::read(GOLDEN);
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
    let goldens = golden::read(GOLDEN);
    for difference in DIFFERENCES {
        let golden = goldens.get(difference.case);
        let golden = golden.unwrap_or_else(|| panic!("no case {:?}", difference.case));
        assert_ne!(*golden, difference.answer(), "{}", difference.case);
        assert!(!difference.reason.is_empty());
    }
}

/// Runs all `cases` against the broker at `address`, each on connections of its own.
fn ask_all(address: SocketAddr, cases: &[Case]) -> Answers {
    golden::ask_all(cases, THREADS, |(name, case)| ((*name).to_owned(), Script::run(address, name, *case)))
}
