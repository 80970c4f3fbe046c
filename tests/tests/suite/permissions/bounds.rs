//! Limits of users and virtual hosts, and what a virtual host's default queue type does to declarations.

use leveret_tests::{
    admin::AdminApi,
    broker::{Broker, Options},
    client::{Client, Event},
    describe::describe,
    login::Login,
    methods::{channel, connection, queue},
    wait::PATIENCE,
    wire::Table,
};
use serde_json::{Value, json};

use super::{
    Answers, Place, compare,
    script::{Script, login_of},
};

/// RabbitMQ names its node where the user's name is meant.
const DIFFERENCES: &[(&str, &[&str])] = &[(
    "user max-channels 1, one is open",
    &[
        "connection.close 530 \"NOT_ALLOWED - number of channels opened for user 'm-bounded' has reached the maximum \
       allowed user limit of (1)\" 0 0",
    ],
)];

fn limit(place: &Place, what: &str, of: &str, name: &str, value: i64) {
    place.api.put(&format!("/{what}-limits/{of}/{name}"), &json!({"value": value}));
}

fn opened(place: &Place, vhost: &str) -> Vec<String> {
    match Script::open(place.amqp, "m-bounded", vhost) {
        Ok(script) => {
            script.end();
            vec!["opened".to_owned()]
        }
        Err(lines) => lines,
    }
}

#[test]
fn limits_are_kept() {
    let place = Place::find();
    let api = &place.api;
    let vhost = "m-bounded";
    api.delete_any(&format!("/vhosts/{vhost}"));
    api.put(&format!("/vhosts/{vhost}"), &json!({}));
    api.user("m-bounded", "");
    api.grant(vhost, "m-bounded", [".*"; 3]);
    let mut answers = Answers::new();
    let mut first = Client::login_with(place.amqp, &login_of("m-bounded", vhost)).expect("a login");
    first.open_channel(1).expect("a channel");

    for value in [0, 1, 2, -1] {
        limit(&place, "vhost", vhost, "max-connections", value);
        answers.insert(format!("vhost max-connections {value}, one is open"), opened(&place, vhost));
    }
    for value in [0, 1, 2, -1] {
        limit(&place, "user", "m-bounded", "max-connections", value);
        answers.insert(format!("user max-connections {value}, one is open"), opened(&place, vhost));
    }
    for (number, value) in [(2, 1), (3, 2), (4, -1)] {
        limit(&place, "user", "m-bounded", "max-channels", value);
        let mut other = Client::login_with(place.amqp, &login_of("m-bounded", vhost)).expect("a login");
        other.method(number, channel::open()).expect("a method");
        let (line, is_closed) = match other.next(PATIENCE) {
            Event::Frame(frame) => (describe(&frame), frame.method() == Some((10, 50))),
            event => panic!("max-channels {value}: {event:?}"),
        };
        answers.insert(format!("user max-channels {value}, one is open"), vec![line]);
        // Whoever had the last word closes its socket: the broker would wait for that after a close-ok of its own.
        if is_closed {
            other.method(0, connection::close_ok()).expect("close-ok");
            assert!(other.read_to_close(PATIENCE).is_some(), "the broker closes after close-ok");
        } else {
            other.call(0, connection::close(), (10, 51)).expect("close-ok");
        }
    }
    let none = Table::default();
    first.call(1, queue::declare("one", 0, &none), (50, 11)).expect("a queue");
    for value in [0, 1, 2, -1] {
        limit(&place, "vhost", vhost, "max-queues", value);
        let mut script = Script::open(place.amqp, "m-bounded", vhost).expect("a login");
        script.ask(queue::declare("one", 0, &none));
        script.ask(queue::declare("two", 0, &none));
        answers.insert(format!("vhost max-queues {value}, one is there"), script.end());
        first.call(1, queue::delete("two", 0), (50, 41)).expect("deletion");
    }
    api.delete(&format!("/vhosts/{vhost}"));
    api.delete("/users/m-bounded");
    compare("permissions_limits.json", &place, &answers, DIFFERENCES);
}

#[test]
fn a_virtual_hosts_default_queue_type_is_taken_where_nothing_else_is_said() {
    let place = Place::find();
    let api = &place.api;
    let mut answers = Answers::new();
    for default in ["classic", "quorum"] {
        let vhost = format!("m-default-{default}");
        api.delete_any(&format!("/vhosts/{vhost}"));
        api.put(&format!("/vhosts/{vhost}"), &json!({"default_queue_type": default}));
        api.grant(&vhost, "guest", [".*"; 3]);
        let login = Login { vhost: vhost.clone(), ..Login::default() };
        let mut client = Client::login_with(place.amqp, &login).expect("guest");
        client.open_channel(1).expect("a channel");
        let none = Table::default();
        for (name, flags, arguments) in [
            ("durable", queue::DURABLE, &none),
            ("transient", 0, &none),
            ("exclusive", queue::EXCLUSIVE, &none),
            ("durable exclusive", queue::DURABLE | queue::EXCLUSIVE, &none),
            ("auto-delete", queue::DURABLE | queue::AUTO_DELETE, &none),
            ("classic", queue::DURABLE, &none.clone().text("x-queue-type", "classic")),
            ("quorum", queue::DURABLE, &none.clone().text("x-queue-type", "quorum")),
        ] {
            let declare = queue::declare(name, flags, arguments);
            client.call(1, declare, (50, 11)).unwrap_or_else(|error| panic!("{default} {name}: {error}"));
            let (_, shown) =
                api.request("GET", &format!("/queues/{vhost}/{}", name.replace(' ', "%20")), &Value::Null);
            let shown: Value = serde_json::from_str(&shown).expect("JSON");
            let line = format!("{} {}", shown["type"], shown["arguments"]);
            let again = client.call(1, queue::declare(name, flags, &none), (50, 11)).is_ok();
            let line = format!("{line}, declared again without arguments: {again}");
            answers.insert(format!("default {default}: {name}"), vec![line]);
            if !again {
                client.method(1, channel::close_ok()).expect("close-ok");
                client.open_channel(1).expect("a channel");
            }
        }
        let mut redeclare = Client::login_with(place.amqp, &login).expect("guest");
        redeclare.open_channel(1).expect("a channel");
        for kind in ["classic", "quorum"] {
            let arguments = none.clone().text("x-queue-type", kind);
            redeclare.method(1, queue::declare("durable", queue::DURABLE, &arguments)).expect("a method");
            let Event::Frame(frame) = redeclare.next(PATIENCE) else { panic!("no answer") };
            answers.insert(
                format!("default {default}: declared again as {kind}"),
                vec![describe(&frame).replace(&vhost, "VHOST")],
            );
            if frame.method() == Some((20, 40)) {
                redeclare.method(1, channel::close_ok()).expect("close-ok");
                redeclare.open_channel(1).expect("a channel");
            }
        }
        api.delete(&format!("/vhosts/{vhost}"));
    }
    compare("default_queue_type.json", &place, &answers, &[]);
}

#[test]
fn the_configured_default_queue_type_is_that_of_new_virtual_hosts() {
    let broker = Broker::start_with(Options::config("default_queue_type = quorum\n"));
    let api = AdminApi::new(broker.http());
    api.put("/vhosts/new", &json!({}));
    api.put("/vhosts/classic", &json!({"default_queue_type": "classic"}));
    for (vhost, expected) in [("%2F", "quorum"), ("new", "quorum"), ("classic", "classic")] {
        api.grant(vhost, "guest", [".*"; 3]);
        api.put(&format!("/queues/{vhost}/q"), &json!({"durable": true}));
        let (_, shown) = api.request("GET", &format!("/queues/{vhost}/q"), &Value::Null);
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(shown["type"], expected, "{vhost}");
    }
}
