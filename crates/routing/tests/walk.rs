//! The walk over exchanges: circles, alternates, several keys, removal, and generations.

use std::collections::{BTreeMap, BTreeSet};

use leveret_protocol::field_table::{FieldTable, FieldValue, TableWriter};
use leveret_routing::{
    Binding, Destination, ExchangeKey, ExchangeType, Publication, QueueKey, Router, Routes,
};
use proptest::prelude::*;

fn to_queue(source: ExchangeKey, number: u64, key: &str) -> Binding {
    Binding::new(source, Destination::Queue(QueueKey(number)), key.as_bytes(), b"")
}

fn to_exchange(source: ExchangeKey, destination: ExchangeKey, key: &str) -> Binding {
    Binding::new(source, Destination::Exchange(destination), key.as_bytes(), b"")
}

fn routed(router: &Router, exchange: ExchangeKey, key: &str) -> Vec<u64> {
    routed_message(router, exchange, &Publication::new(key.as_bytes()))
}

fn routed_message(router: &Router, exchange: ExchangeKey, message: &Publication<'_>) -> Vec<u64> {
    let mut routes = Routes::new();
    router.route(exchange, message, &mut routes);
    let mut queues: Vec<u64> = routes.queues().iter().map(|queue| queue.0).collect();
    queues.sort_unstable();
    queues
}

#[test]
fn each_type_chooses_its_bindings() {
    let mut router = Router::new();
    let exchanges = [ExchangeType::Direct, ExchangeType::Fanout, ExchangeType::Topic, ExchangeType::Headers]
        .map(|exchange_type| router.declare(exchange_type.as_str(), exchange_type, None));
    for exchange in exchanges {
        for (number, key) in [(1, "a"), (2, "*"), (3, "b")] {
            assert_eq!(router.bind(to_queue(exchange, number, key)), Ok(true));
            assert_eq!(router.bind(to_queue(exchange, number, key)), Ok(false), "duplicates merge");
        }
    }
    for (exchange, expected) in exchanges.into_iter().zip([vec![1], vec![1, 2, 3], vec![1, 2], vec![1, 2, 3]])
    {
        assert_eq!(routed(&router, exchange, "a"), expected);
    }
}

#[test]
fn circles_end_and_each_queue_is_reached_once() {
    let mut router = Router::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| router.declare(name, ExchangeType::Fanout, None));
    for (source, destination) in [(a, b), (b, c), (c, a), (a, a)] {
        assert_eq!(router.bind(to_exchange(source, destination, "")), Ok(true));
    }
    for exchange in [a, b, c] {
        router.bind(to_queue(exchange, 1, "")).expect("valid");
        router.bind(to_queue(exchange, exchange.0 + 10, "")).expect("valid");
    }
    let all = vec![1, a.0 + 10, b.0 + 10, c.0 + 10];
    for exchange in [a, b, c] {
        assert_eq!(routed(&router, exchange, "k"), all);
    }
}

#[test]
fn the_alternate_is_asked_only_if_nothing_matches() {
    let mut router = Router::new();
    let main = router.declare("main", ExchangeType::Direct, Some("spare"));
    let empty = router.declare("empty", ExchangeType::Direct, None);
    router.bind(to_queue(main, 1, "one")).expect("valid");
    router.bind(to_exchange(main, empty, "dead end")).expect("valid");
    assert_eq!(routed(&router, main, "other"), [] as [u64; 0], "an alternate that does not exist is none");
    let spare = router.declare("spare", ExchangeType::Fanout, Some("main"));
    router.bind(to_queue(spare, 2, "")).expect("valid");
    assert_eq!(routed(&router, main, "one"), [1]);
    assert_eq!(routed(&router, main, "other"), [2]);
    assert_eq!(routed(&router, main, "dead end"), [] as [u64; 0], "an exchange that matched is enough");
    let keys: [&[u8]; 1] = [b"one"];
    let message = Publication { extra_keys: &keys, ..Publication::new(b"other") };
    assert_eq!(routed_message(&router, main, &message), [1], "one key that matches is enough");
    router.remove_queue(QueueKey(2));
    assert_eq!(routed(&router, main, "other"), [] as [u64; 0], "alternates in a circle end");
}

#[test]
fn all_keys_count_and_headers_are_seen() {
    let mut router = Router::new();
    let direct = router.declare("direct", ExchangeType::Direct, None);
    let headers = router.declare("headers", ExchangeType::Headers, None);
    for (number, key) in [(1, "a"), (2, "b"), (3, "b"), (3, "c"), (4, "d")] {
        router.bind(to_queue(direct, number, key)).expect("valid");
    }
    let keys: [&[u8]; 3] = [b"b", b"c", b"a"];
    let message = Publication { extra_keys: &keys, ..Publication::new(b"a") };
    assert_eq!(routed_message(&router, direct, &message), [1, 2, 3]);
    let mut writer = TableWriter::new();
    writer.put(b"h", &FieldValue::I32(5)).expect("short");
    let content = writer.into_content();
    let binding = Binding::new(headers, Destination::Queue(QueueKey(9)), b"", &content);
    router.bind(binding).expect("valid");
    assert_eq!(routed(&router, headers, ""), [] as [u64; 0]);
    let message = Publication { headers: FieldTable::parse(&content).ok(), ..Publication::new(b"") };
    assert_eq!(routed_message(&router, headers, &message), [9]);
}

#[test]
fn generations_follow_what_can_change_a_route_and_nothing_else() {
    let mut router = Router::new();
    let main = router.declare("main", ExchangeType::Direct, Some("spare"));
    let other = router.declare("other", ExchangeType::Direct, None);
    let mut last = router.generation(main).expect("declared");
    let mut rises = |router: &Router, what: &str| {
        let now = router.generation(main).expect("declared");
        assert!(now > last, "{what}");
        last = now;
    };
    router.bind(to_queue(main, 1, "a")).expect("valid");
    rises(&router, "bind");
    router.bind(to_exchange(main, other, "a")).expect("valid");
    rises(&router, "bind to an exchange");
    let spare = router.declare("spare", ExchangeType::Fanout, None);
    rises(&router, "the alternate appears");
    router.remove_queue(QueueKey(1));
    rises(&router, "a bound queue goes");
    router.remove(other);
    rises(&router, "a bound exchange goes");
    let before = router.generation(main);
    router.bind(to_queue(spare, 7, "a")).expect("valid");
    assert!(!router.unbind(&to_queue(main, 7, "a")));
    router.remove_queue(QueueKey(99));
    assert_eq!(router.generation(main), before, "a change elsewhere");
    let mut routes = Routes::new();
    router.route(main, &Publication::new(b"x"), &mut routes);
    assert_eq!(routes.passed().iter().map(|(key, _)| *key).collect::<Vec<_>>(), [main, spare]);
    router.remove(spare);
    assert_eq!(router.generation(spare), None, "what was passed is gone");
    let again = router.declare("spare", ExchangeType::Fanout, None);
    assert_ne!(again, spare, "keys are not used again");
}

/// Names of exchanges 0..4 and queues 0..6, keys a and b: enough to meet often.
#[derive(Clone, Debug)]
enum Step {
    Bind(u64, bool, u64, bool),
    Unbind(u64, bool, u64, bool),
    RemoveQueue(u64),
    RemoveExchange(u64),
    Declare(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let binding = || (0_u64..4, any::<bool>(), 0_u64..6, any::<bool>());
    prop_oneof![
        6 => binding().prop_map(|(s, e, d, k)| Step::Bind(s, e, d, k)),
        3 => binding().prop_map(|(s, e, d, k)| Step::Unbind(s, e, d, k)),
        1 => (0_u64..6).prop_map(Step::RemoveQueue),
        1 => (0_u64..4).prop_map(Step::RemoveExchange),
        1 => (0_u64..4).prop_map(Step::Declare),
    ]
}

/// The same, as sets walked over naively: (source, is exchange, destination, key).
#[derive(Default)]
struct Model {
    exchanges: BTreeMap<u64, ExchangeKey>,
    bindings: BTreeSet<(u64, bool, u64, bool)>,
}

impl Model {
    fn reach(&self, from: u64, key: bool) -> Vec<u64> {
        let mut exchanges = BTreeSet::from([from]);
        let mut queues = BTreeSet::new();
        loop {
            let before = exchanges.len();
            for (source, is_exchange, destination, binding_key) in &self.bindings {
                // Odd exchanges are fanouts, even ones direct.
                if exchanges.contains(source) && (source % 2 == 1 || *binding_key == key) {
                    if *is_exchange {
                        exchanges.insert(*destination)
                    } else {
                        queues.insert(*destination)
                    };
                }
            }
            if exchanges.len() == before {
                return queues.into_iter().collect();
            }
        }
    }
}

proptest! {
    #[test]
    fn a_router_agrees_with_sets(steps in proptest::collection::vec(step(), 0..80)) {
        let mut router = Router::new();
        let mut model = Model::default();
        let declare = |router: &mut Router, number: u64| {
            let kind = if number % 2 == 1 { ExchangeType::Fanout } else { ExchangeType::Direct };
            router.declare(&number.to_string(), kind, None)
        };
        for number in 0..4 {
            model.exchanges.insert(number, declare(&mut router, number));
        }
        for step in steps {
            match step {
                Step::Bind(source, is_exchange, destination, key) | Step::Unbind(source, is_exchange, destination, key) => {
                    let target = if is_exchange {
                        model.exchanges.get(&destination).map(|key| Destination::Exchange(*key))
                    } else {
                        Some(Destination::Queue(QueueKey(destination)))
                    };
                    let (Some(from), Some(target)) = (model.exchanges.get(&source), target) else { continue };
                    let binding = Binding::new(*from, target, if key { b"a" } else { b"b" }, b"");
                    let id = (source, is_exchange, destination, key);
                    if matches!(step, Step::Bind(..)) {
                        prop_assert_eq!(router.bind(binding), Ok(model.bindings.insert(id)));
                    } else {
                        prop_assert_eq!(router.unbind(&binding), model.bindings.remove(&id));
                    }
                }
                Step::RemoveQueue(number) => {
                    let before = model.bindings.len();
                    model.bindings.retain(|binding| binding.1 || binding.2 != number);
                    prop_assert_eq!(router.remove_queue(QueueKey(number)).len(), before - model.bindings.len());
                }
                Step::RemoveExchange(number) => {
                    let Some(key) = model.exchanges.remove(&number) else { continue };
                    model.bindings.retain(|binding| binding.0 != number && !(binding.1 && binding.2 == number));
                    router.remove(key);
                }
                Step::Declare(number) => {
                    let key = declare(&mut router, number);
                    model.exchanges.insert(number, key);
                }
            }
            for (number, exchange) in &model.exchanges {
                for key in [true, false] {
                    let text = if key { "a" } else { "b" };
                    prop_assert_eq!(routed(&router, *exchange, text), model.reach(*number, key));
                }
            }
        }
    }
}
