//! Definitions as a list of words, and the changes that are made to them.

use std::collections::BTreeMap;

use leveret_tests::chance::Chance;
use serde_json::Value;

/// Names a worker has of each kind.
const NAMES: usize = 8;
/// Tags of users, and kinds of exchanges.
const TAGS: [&str; 3] = ["monitoring", "management", "policymaker"];
const KINDS: [&str; 3] = ["direct", "fanout", "topic"];

/// What there is: `queue d0-q3`, `binding d0-x1 d0-q3 k2`, `permission d3-v1 d3-u2` and the like, each with what can
/// differ: the queue's length limit, the exchange's kind, a pattern, a tag, a text.
pub(super) type State = BTreeMap<String, String>;

/// One change, which the broker answers.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// Makes it, or gives it another value where it can have one.
    Put { what: &'static str, name: String, value: String },
    /// Takes it away, and what cannot be without it.
    Delete { what: &'static str, name: String },
}

impl Change {
    /// A change that is possible in `state`; of queues, exchanges and bindings, or of access.
    pub(super) fn choose(worker: usize, is_access: bool, state: &State, chance: &mut Chance) -> Self {
        let named = |letter: char, chance: &mut Chance| format!("d{worker}-{letter}{}", chance.below(NAMES));
        let (what, name, value) = if is_access {
            match chance.below(4) {
                0 => ("user", named('u', chance), chance.of(&TAGS).to_owned()),
                1 => ("vhost", named('v', chance), format!("text {}", chance.below(1000))),
                _ => {
                    let (vhost, user) = (named('v', chance), named('u', chance));
                    if !state.contains_key(&format!("vhost {vhost}")) {
                        ("vhost", vhost, "made".to_owned())
                    } else if !state.contains_key(&format!("user {user}")) {
                        ("user", user, chance.of(&TAGS).to_owned())
                    } else {
                        ("permission", format!("{vhost} {user}"), format!("^{}", chance.below(1000)))
                    }
                }
            }
        } else {
            match chance.below(6) {
                0 => ("queue", named('q', chance), (1 + chance.below(1000)).to_string()),
                1 => ("exchange", named('x', chance), chance.of(&KINDS).to_owned()),
                _ => {
                    let (exchange, queue) = (named('x', chance), named('q', chance));
                    if !state.contains_key(&format!("exchange {exchange}")) {
                        ("exchange", exchange, chance.of(&KINDS).to_owned())
                    } else if !state.contains_key(&format!("queue {queue}")) {
                        ("queue", queue, (1 + chance.below(1000)).to_string())
                    } else {
                        ("binding", format!("{exchange} {queue} k{}", chance.below(3)), String::new())
                    }
                }
            }
        };
        // Over AMQP nothing is changed, only made and deleted.
        let may_delete =
            state.contains_key(&format!("{what} {name}")) && (!is_access || chance.below(2) == 0);
        if may_delete { Self::Delete { what, name } } else { Self::Put { what, name, value } }
    }

    /// What it does.
    pub(super) fn apply(&self, state: &mut State) {
        match self {
            Self::Put { what, name, value } => drop(state.insert(format!("{what} {name}"), value.clone())),
            Self::Delete { what, name } => {
                state.remove(&format!("{what} {name}"));
                state.retain(|key, _| {
                    let mut words = key.split(' ');
                    let depends = matches!(words.next(), Some("binding" | "permission"));
                    !depends || words.all(|word| word != name)
                });
            }
        }
    }
}

/// What of `worker` stands in a broker's exported definitions.
pub(super) fn read(definitions: &Value, worker: usize) -> State {
    const LISTS: [(&str, &str, &[&str], &str); 6] = [
        ("queues", "queue", &["name"], "/arguments/x-max-length"),
        ("exchanges", "exchange", &["name"], "/type"),
        ("bindings", "binding", &["source", "destination", "routing_key"], ""),
        ("users", "user", &["name"], "/tags/0"),
        ("vhosts", "vhost", &["name"], "/description"),
        ("permissions", "permission", &["vhost", "user"], "/configure"),
    ];
    let prefix = format!("d{worker}-");
    let mut state = State::new();
    for (list, what, names, value) in LISTS {
        for item in definitions[list].as_array().expect("a list") {
            let names: Vec<&str> = names.iter().map(|name| item[name].as_str().expect("a name")).collect();
            // The one who makes a virtual host gets permissions there, too.
            if !names.iter().all(|name| name.starts_with(&prefix) || name.starts_with('k')) {
                continue;
            }
            let value = item.pointer(value).filter(|_| !value.is_empty());
            let value = value.map_or(String::new(), |value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            state.insert(format!("{what} {}", names.join(" ")), value);
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_queue_takes_its_bindings_and_no_others() {
        let mut state = State::new();
        for key in ["queue q1", "queue q11", "binding x q1 k", "binding x q11 k", "permission v q1"] {
            state.insert(key.to_owned(), String::new());
        }
        Change::Delete { what: "queue", name: "q1".to_owned() }.apply(&mut state);
        assert_eq!(state.keys().collect::<Vec<_>>(), ["binding x q11 k", "queue q11"]);
    }

    #[test]
    fn every_kind_of_change_is_chosen() {
        for (is_access, kinds) in
            [(false, ["binding", "exchange", "queue"]), (true, ["permission", "vhost", "user"])]
        {
            let (mut state, mut chance) = (State::new(), Chance::new(1));
            let mut made = std::collections::BTreeSet::new();
            let mut gone = made.clone();
            for _ in 0..300 {
                let change = Change::choose(0, is_access, &state, &mut chance);
                match &change {
                    Change::Put { what, .. } => made.insert(*what),
                    Change::Delete { what, .. } => gone.insert(*what),
                };
                change.apply(&mut state);
            }
            assert!(kinds.iter().all(|kind| made.contains(kind) && gone.contains(kind)), "{made:?} {gone:?}");
        }
    }
}
