//! Who may do what: every method with every set of permissions, in the user's own and in another virtual host.
//!
//! The answers stand in `tests/golden/permissions.json`, recorded from RabbitMQ 4.0.5 by the same code:
//! `LEVERET_GOLDEN_RECORD=1 LEVERET_GOLDEN_URI=amqp://HOST:PORT LEVERET_GOLDEN_HTTP=HOST:PORT cargo test -p
//! leveret-tests permissions` rewrites it from the broker there; without `LEVERET_GOLDEN_RECORD` that broker is
//! compared with the file. Without any, Leveret is.

mod bounds;
mod crash;
mod matrix;
mod operations;
mod revocation;
mod script;

use std::{collections::BTreeMap, net::SocketAddr, net::ToSocketAddrs, path::PathBuf};

use leveret_tests::{admin::AdminApi, broker::Broker};

/// What each case was answered: a line a frame.
type Answers = BTreeMap<String, Vec<String>>;

/// The broker that is asked.
struct Place {
    amqp: SocketAddr,
    api: AdminApi,
    /// Ours, unless another one was named.
    broker: Option<Broker>,
}

impl Place {
    fn find() -> Self {
        let Ok(uri) = std::env::var("LEVERET_GOLDEN_URI") else {
            let broker = Broker::start();
            return Self { amqp: broker.amqp(), api: AdminApi::new(broker.http()), broker: Some(broker) };
        };
        let http = std::env::var("LEVERET_GOLDEN_HTTP").expect("LEVERET_GOLDEN_HTTP says where its API is");
        Self { amqp: address(&uri), api: AdminApi::new(address(&http)), broker: None }
    }
}

fn address(uri: &str) -> SocketAddr {
    let rest = uri.strip_prefix("amqp://").unwrap_or(uri);
    let place = rest.rsplit('@').next().unwrap_or(rest);
    let place = place.split('/').next().unwrap_or(place);
    place.to_socket_addrs().expect("a host and a port").next().expect("an address")
}

/// Compares answers with the golden file, or records them. `differs` names what Leveret answers otherwise on purpose.
fn compare(file: &str, place: &Place, answers: &Answers, differs: &[(&str, &[&str])]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(file);
    if std::env::var_os("LEVERET_GOLDEN_RECORD").is_some() {
        assert!(place.broker.is_none(), "LEVERET_GOLDEN_URI says where RabbitMQ is");
        let text = serde_json::to_string_pretty(answers).expect("JSON");
        std::fs::write(path, text + "\n").expect("a place for the goldens");
        return;
    }
    let text = std::fs::read_to_string(path).expect("the goldens");
    let mut goldens: Answers = serde_json::from_str(&text).expect("goldens in JSON");
    assert!(goldens.keys().eq(answers.keys()), "record the goldens again");
    if place.broker.is_some() {
        for (case, lines) in differs {
            let golden = goldens.get_mut(*case).unwrap_or_else(|| panic!("no case {case:?}"));
            assert_ne!(*golden, *lines, "{case}: no difference");
            *golden = lines.iter().map(|line| (*line).to_owned()).collect();
        }
    }
    let wrong: Vec<String> = answers
        .iter()
        .filter(|(name, answer)| goldens.get(*name) != Some(answer))
        .map(|(name, answer)| format!("{name}\n  expected: {:?}\n  answered: {answer:?}", goldens[name]))
        .collect();
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), answers.len(), wrong.join("\n"));
}
