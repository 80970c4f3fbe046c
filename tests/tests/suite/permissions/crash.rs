//! What was answered about users, virtual hosts and permissions is there after `kill -9`.

use leveret_tests::{
    admin::AdminApi,
    broker::Broker,
    client::Client,
    login::{Login, plain},
    methods::{Properties, exchange, queue},
    wait::{PATIENCE, until},
    wire::Table,
};
use serde_json::{Value, json};

use super::script::login_of;

fn api(broker: &Broker) -> AdminApi {
    AdminApi::new(broker.http())
}

fn logs_in(broker: &Broker, login: &Login) -> bool {
    Client::login_with(broker.amqp(), login).is_ok()
}

/// One change, as it is asked for and as it is seen; each is the last before the broker is killed.
struct Change {
    what: &'static str,
    ask: fn(&AdminApi),
    is_there: fn(&Broker) -> bool,
}

fn shown(broker: &Broker, path: &str) -> Value {
    let (_, text) = api(broker).request("GET", path, &Value::Null);
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

const CHANGES: &[Change] = &[
    Change {
        what: "a user",
        ask: |api| api.user("k", "monitoring"),
        is_there: |broker| shown(broker, "/users/k")["tags"] == json!(["monitoring"]),
    },
    Change {
        what: "a virtual host",
        ask: |api| api.put("/vhosts/k", &json!({"description": "kept"})),
        is_there: |broker| shown(broker, "/vhosts/k")["description"] == "kept",
    },
    Change {
        what: "a permission",
        ask: |api| api.grant("k", "k", ["^c", "^w", "^r"]),
        is_there: |broker| {
            shown(broker, "/permissions/k/k")["write"] == "^w" && logs_in(broker, &login_of("k", "k"))
        },
    },
    Change {
        what: "a changed permission",
        ask: |api| api.grant("k", "k", [".*"; 3]),
        is_there: |broker| shown(broker, "/permissions/k/k")["write"] == ".*",
    },
    Change {
        what: "a topic permission",
        ask: |api| {
            let body = json!({"exchange": "amq.topic", "write": "^w", "read": "^r"});
            api.put("/topic-permissions/k/k", &body);
        },
        is_there: |broker| shown(broker, "/topic-permissions/k/k")[0]["read"] == "^r",
    },
    Change {
        what: "a limit of a virtual host",
        ask: |api| api.put("/vhost-limits/k/max-queues", &json!({"value": 5})),
        is_there: |broker| shown(broker, "/vhost-limits/k")[0]["value"]["max-queues"] == 5,
    },
    Change {
        what: "a limit of a user",
        ask: |api| api.put("/user-limits/k/max-channels", &json!({"value": 5})),
        is_there: |broker| shown(broker, "/user-limits/k")[0]["value"]["max-channels"] == 5,
    },
    Change {
        what: "a password",
        ask: |api| api.put("/users/k", &json!({"password": "new", "tags": ""})),
        is_there: |broker| {
            let new = Login { response: plain("k", "new"), ..login_of("k", "k") };
            logs_in(broker, &new) && !logs_in(broker, &login_of("k", "k"))
        },
    },
    Change {
        what: "a permission taken away",
        ask: |api| api.delete("/permissions/k/k"),
        is_there: |broker| {
            let new = Login { response: plain("k", "new"), ..login_of("k", "k") };
            !logs_in(broker, &new)
        },
    },
    Change {
        what: "a user deleted",
        ask: |api| api.delete("/users/k"),
        is_there: |broker| api(broker).request("GET", "/users/k", &Value::Null).0 == 404,
    },
    Change {
        what: "a virtual host deleted",
        ask: |api| api.delete("/vhosts/k"),
        is_there: |broker| api(broker).request("GET", "/vhosts/k", &Value::Null).0 == 404,
    },
];

#[test]
fn a_change_that_was_answered_is_there_after_kill_9() {
    let mut broker = Broker::start();
    for change in CHANGES {
        (change.ask)(&api(&broker));
        broker.kill();
        broker.restart();
        assert!((change.is_there)(&broker), "{}", change.what);
    }
}

#[test]
fn a_virtual_host_made_again_is_empty_after_kill_9() {
    let mut broker = Broker::start();
    let login = Login { vhost: "again".into(), ..Login::default() };
    let fill = |broker: &Broker| {
        api(broker).put("/vhosts/again", &json!({}));
        api(broker).grant("again", "guest", [".*"; 3]);
        let mut client = Client::login_with(broker.amqp(), &login).expect("a login");
        client.open_channel(1).expect("a channel");
        let declared = client.call(1, queue::declare("q", queue::DURABLE, &Table::default()), (50, 11));
        let declared = leveret_tests::describe::describe(&declared.expect("a queue"));
        for _ in 0..100 {
            client.publish(1, ("", "q", 0), &Properties::persistent(), b"kept?").expect("a message");
        }
        client
            .call(1, queue::declare("q", queue::PASSIVE, &Table::default()), (50, 11))
            .expect("all are there");
        declared
    };
    fill(&broker);
    api(&broker).delete("/vhosts/again");
    broker.kill();
    broker.restart();
    assert_eq!(fill(&broker), "channel 1: queue.declare-ok \"q\" 0 0");
    api(&broker).delete("/vhosts/again");
    assert_eq!(fill(&broker), "channel 1: queue.declare-ok \"q\" 0 0", "made again at once");
    broker.kill();
    broker.restart();
    let mut client = Client::login_with(broker.amqp(), &login).expect("a login");
    client.open_channel(1).expect("a channel");
    let found = client.call(1, queue::declare("q", queue::PASSIVE, &Table::default()), (50, 11));
    let line = leveret_tests::describe::describe(&found.expect("the last one"));
    assert!(line.ends_with(" 0"), "{line}");
}

/// Declares, binds and publishes in `vhost` until the broker closes the connection.
fn hammer(amqp: std::net::SocketAddr, vhost: &str, worker: usize) {
    let login = Login { vhost: vhost.to_owned(), ..Login::default() };
    let Ok(mut client) = Client::login_with(amqp, &login) else { return };
    let none = Table::default();
    let mut work = || -> std::io::Result<()> {
        client.open_channel(1)?;
        for number in 0.. {
            let (queue, exchange) = (format!("q-{worker}-{number}"), format!("x-{worker}-{number}"));
            client.call(1, queue::declare(&queue, queue::DURABLE, &none), (50, 11))?;
            client.call(1, exchange::declare(&exchange, "fanout", exchange::DURABLE, &none), (40, 11))?;
            client.call(1, queue::bind(&queue, &exchange, "k", &none), (50, 21))?;
            client.publish(1, (&exchange, "k", 0), &Properties::persistent(), b"hello")?;
        }
        Ok(())
    };
    // It ends with the virtual host.
    let _ = work();
}

#[test]
fn a_virtual_host_deleted_under_load_leaves_a_folder_that_starts() {
    let mut broker = Broker::start();
    for round in 0..5 {
        api(&broker).put("/vhosts/busy", &json!({}));
        api(&broker).grant("busy", "guest", [".*"; 3]);
        let amqp = broker.amqp();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                scope.spawn(move || hammer(amqp, "busy", worker));
            }
            until("there is something to delete", PATIENCE, || {
                let queues = shown(&broker, "/queues/busy");
                (queues.as_array().is_some_and(|queues| queues.len() > 10)).then_some(())
            });
            api(&broker).delete("/vhosts/busy");
        });
        if round % 2 == 0 {
            broker.kill();
            broker.restart();
        }
        let vhosts = shown(&broker, "/vhosts?columns=name");
        assert_eq!(vhosts, json!([{"name": "/"}]), "round {round}");
        assert_eq!(shown(&broker, "/queues?columns=name"), json!([]), "round {round}");
    }
    broker.kill();
    broker.restart();
}
