//! A message that is dead-lettered is in exactly one place, wherever the power goes: in the queue that gives it up, or
//! in all the queues that take it.
//!
//! Each case is run again and again, with the power going one change of the disk later each time, until it does not go
//! any more. Every append of the engine is written and synced by itself, so each of them is a place to cut.

#![allow(clippy::unwrap_used, reason = "a test ends where what it needs is missing")]

mod harness;

use std::collections::BTreeMap;

use harness::Argument::{Number, Text};
use harness::{Argument, Client, World, publish_with};
use leveret_protocol::field_table::{ArrayWriter, FieldValue, TableWriter};
use leveret_protocol::limits::TABLE_ELEMENTS;
use leveret_protocol::properties::{PropertiesBuilder, Property};
use leveret_storage::CrashKeeps;

/// A case: what is there, what happens while the power may go, and where messages may be found then.
struct Case {
    /// Queues with their arguments.
    queues: &'static [(&'static str, &'static [(&'static str, Argument<'static>)])],
    /// Durable before the power may go.
    before: fn(&mut Client),
    /// What makes queues give messages up.
    acts: fn(&World, &mut Client),
    /// For each message the sets of queues where it may be, in the order of `queues`.
    places: &'static [(&'static str, &'static [&'static [&'static str]])],
}

const DLX: &str = "x-dead-letter-exchange";
const KEY: &str = "x-dead-letter-routing-key";

/// Runs a case to every cut; gives how many there were.
fn cut_everywhere(case: &Case) -> u64 {
    for changes in 0.. {
        let mut went_through = true;
        for keeps in [CrashKeeps::Nothing, CrashKeeps::Everything, CrashKeeps::Some(changes)] {
            let world = World::new();
            let mut client = world.client();
            client.open(1);
            for (queue, arguments) in case.queues {
                client.declare_with(1, queue, arguments);
            }
            (case.before)(&mut client);
            world.sync();
            let before = world.disk_changes();
            world.power_off_after(changes);
            (case.acts)(&world, &mut client);
            went_through &= world.disk_changes() - before < changes;
            drop(client);
            check(case, world.crash_keeping(keeps), changes);
        }
        if went_through {
            return changes;
        }
    }
    unreachable!("every case ends")
}

fn check(case: &Case, world: World, changes: u64) {
    let mut client = world.client();
    client.open(1);
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (queue, _) in case.queues {
        for body in client.take_all(1, queue) {
            found.entry(body).or_default().push(queue);
        }
    }
    for (body, places) in case.places {
        let is_at = found.remove(*body).unwrap_or_default();
        assert!(
            places.contains(&is_at.as_slice()),
            "after {changes} changes {body} is at {is_at:?}, not at one of {places:?}"
        );
    }
    assert!(found.is_empty(), "nothing else is there, but {found:?}");
}

fn publish_three(client: &mut Client) {
    for body in ["1", "2", "3"] {
        client.publish(1, "", "src", body.as_bytes());
    }
}

fn get_three(client: &mut Client) {
    for _ in 0..3 {
        client.get(1, "src", false);
    }
    client.frames();
}

const SRC_OR_DLQ: &[&[&str]] = &[&["src"], &["dlq"]];
const THREE_MOVE: &[(&str, &[&[&str]])] = &[("1", SRC_OR_DLQ), ("2", SRC_OR_DLQ), ("3", SRC_OR_DLQ)];

#[test]
fn rejected() {
    let cuts = cut_everywhere(&Case {
        queues: &[("src", &[(DLX, Text("")), (KEY, Text("dlq"))]), ("dlq", &[])],
        before: publish_three,
        acts: |_, client| {
            get_three(client);
            client.reject(1, 2, true);
            client.reject(1, 3, false);
        },
        places: THREE_MOVE,
    });
    assert!(cuts > 10, "each append is a place to cut, not {cuts} in all");
}

#[test]
fn rejected_in_a_transaction() {
    cut_everywhere(&Case {
        queues: &[("src", &[(DLX, Text("")), (KEY, Text("dlq"))]), ("dlq", &[])],
        before: publish_three,
        acts: |_, client| {
            client.method(1, leveret_protocol::amqp::tx::AMQPMethod::Select(Default::default()));
            get_three(client);
            client.reject(1, 3, true);
            client.method(1, leveret_protocol::amqp::tx::AMQPMethod::Commit(Default::default()));
        },
        places: THREE_MOVE,
    });
}

#[test]
fn expired() {
    cut_everywhere(&Case {
        queues: &[
            ("src", &[(DLX, Text("")), (KEY, Text("dlq")), ("x-message-ttl", Number(100))]),
            ("dlq", &[]),
        ],
        before: publish_three,
        acts: |world, _| world.pass(100),
        places: THREE_MOVE,
    });
}

#[test]
fn maxlen() {
    cut_everywhere(&Case {
        queues: &[("src", &[(DLX, Text("")), (KEY, Text("dlq")), ("x-max-length", Number(3))]), ("dlq", &[])],
        before: publish_three,
        acts: |_, client| {
            client.publish(1, "", "src", b"4");
            client.publish(1, "", "src", b"5");
        },
        places: &[
            ("1", SRC_OR_DLQ),
            ("2", SRC_OR_DLQ),
            ("3", &[&["src"]]),
            ("4", &[&[], &["src"]]),
            ("5", &[&[], &["src"]]),
        ],
    });
}

#[test]
fn delivery_limit() {
    cut_everywhere(&Case {
        queues: &[
            (
                "src",
                &[
                    (DLX, Text("")),
                    (KEY, Text("dlq")),
                    ("x-queue-type", Text("quorum")),
                    ("x-delivery-limit", Number(1)),
                ],
            ),
            ("dlq", &[]),
        ],
        before: publish_three,
        acts: |_, client| {
            for round in 0..2 {
                get_three(client);
                client.nack(1, 3 * (round + 1), true);
            }
        },
        places: THREE_MOVE,
    });
}

#[test]
fn to_several_queues_it_goes_whole() {
    const WHOLE: &[&[&str]] = &[&["src"], &["a", "b"]];
    cut_everywhere(&Case {
        queues: &[("src", &[(DLX, Text("fan"))]), ("a", &[]), ("b", &[])],
        before: |client| {
            client.bind(1, "fan", "fanout", &["a", "b"]);
            publish_three(client);
        },
        acts: |_, client| {
            get_three(client);
            client.reject(1, 3, true);
        },
        places: &[("1", WHOLE), ("2", WHOLE), ("3", WHOLE)],
    });
}

#[test]
fn a_chain_of_full_queues() {
    const ALONG: &[&[&str]] = &[&["src"], &["mid"], &["end"]];
    cut_everywhere(&Case {
        queues: &[
            ("src", &[(DLX, Text("")), (KEY, Text("mid"))]),
            ("mid", &[(DLX, Text("")), (KEY, Text("end")), ("x-max-length", Number(1))]),
            ("end", &[]),
        ],
        before: publish_three,
        acts: |_, client| {
            get_three(client);
            client.reject(1, 3, true);
        },
        places: &[("1", ALONG), ("2", ALONG), ("3", &[&["src"], &["mid"]])],
    });
}

#[test]
fn past_a_full_queue_that_refuses_and_dead_letters() {
    const ALONG: &[&[&str]] = &[&["src"], &["mid"], &["end"]];
    cut_everywhere(&Case {
        queues: &[
            ("src", &[(DLX, Text("")), (KEY, Text("mid"))]),
            (
                "mid",
                &[
                    (DLX, Text("")),
                    (KEY, Text("end")),
                    ("x-max-length", Number(1)),
                    ("x-overflow", Text("reject-publish-dlx")),
                ],
            ),
            ("end", &[]),
        ],
        before: publish_three,
        acts: |_, client| {
            get_three(client);
            client.reject(1, 3, true);
        },
        places: &[("1", &[&["src"], &["mid"]]), ("2", ALONG), ("3", ALONG)],
    });
}

#[test]
fn round_and_round() {
    const EITHER: &[&[&str]] = &[&["src"], &["wait"]];
    cut_everywhere(&Case {
        queues: &[
            ("src", &[(DLX, Text("")), (KEY, Text("wait"))]),
            ("wait", &[(DLX, Text("")), (KEY, Text("src")), ("x-message-ttl", Number(100))]),
        ],
        before: publish_three,
        acts: |world, client| {
            for round in 1..=2 {
                get_three(client);
                client.reject(1, 3 * round, true);
                world.pass(100);
            }
        },
        places: &[("1", EITHER), ("2", EITHER), ("3", EITHER)],
    });
}

#[test]
fn without_a_way_on_it_is_dropped() {
    cut_everywhere(&Case {
        queues: &[("src", &[(DLX, Text("nowhere"))])],
        before: publish_three,
        acts: |_, client| {
            get_three(client);
            client.reject(1, 3, true);
        },
        places: &[("1", &[&["src"], &[]]), ("2", &[&["src"], &[]]), ("3", &[&["src"], &[]])],
    });
}

#[test]
fn what_expired_while_the_broker_was_down_is_dead_lettered_at_the_start() {
    let world = World::new();
    let mut client = world.client();
    client.open(1);
    client.declare_with(1, "src", &[(DLX, Text("")), (KEY, Text("dlq"))]);
    client.declare_with(1, "dlq", &[]);
    // expiration, and delivery mode 2.
    let properties = [0x11, 0x00, 2, 3, b'5', b'0', b'0'];
    client.bytes(&publish_with(1, "", "src", b"soon", &properties));
    client.publish(1, "", "src", b"never");
    world.sync();
    drop(client);
    world.pass(499);
    let world = world.crash();
    assert_eq!(
        (world.counts("src"), world.counts("dlq")),
        (Some((2, 0)), Some((0, 0))),
        "its time is not over"
    );
    let world = world.crash_after(1);
    assert_eq!((world.counts("src"), world.counts("dlq")), (Some((1, 0)), Some((1, 0))));
}

/// Persistent properties whose headers are as many as a client may send, those of `keys` in a BCC header.
fn full_headers(keys: usize) -> Vec<u8> {
    let mut bcc = ArrayWriter::new();
    (0..keys).for_each(|_| _ = bcc.put(&FieldValue::LongString(b"nowhere")).unwrap());
    let mut headers = TableWriter::new();
    headers.put(b"BCC", &FieldValue::Array(bcc.as_array().unwrap())).unwrap();
    for name in 1..TABLE_ELEMENTS - keys {
        headers.put(name.to_string().as_bytes(), &FieldValue::Void).unwrap();
    }
    assert!(headers.as_table().is_ok(), "a client may send them");
    let mut properties = PropertiesBuilder::new();
    properties.set_headers(&headers.into_content()).set_octet(Property::DeliveryMode, 2);
    properties.to_vec()
}

#[test]
fn headers_that_leave_no_room_for_a_death_lose_neither_the_message_nor_the_end_of_a_cycle() {
    for keys in [0, TABLE_ELEMENTS - 1] {
        let world = World::new();
        let mut client = world.client();
        client.open(1);
        for (queue, next) in [("src", "wait"), ("wait", "src")] {
            let arguments = [(DLX, Text("")), (KEY, Text(next)), ("x-message-ttl", Number(100))];
            client.declare_with(1, queue, &arguments);
        }
        client.bytes(&publish_with(1, "", "src", b"full", &full_headers(keys)));
        world.pass(100);
        world.sync();
        drop(client);
        let world = world.crash();
        let counts = |queue| world.counts(queue).unwrap();
        assert_eq!((counts("src"), counts("wait")), ((0, 0), (1, 0)), "it is persistent, with {keys} keys");
        world.pass(100);
        assert_eq!((counts("src"), counts("wait")), ((0, 0), (0, 0)), "the circle ends, with {keys} keys");
    }
}
