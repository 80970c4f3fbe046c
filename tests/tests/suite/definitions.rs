//! Definitions as RabbitMQ 4.0.5 writes and reads them.
//!
//! What it exported and answered stands in `tests/golden/definitions`, recorded by `record.py` there.

use leveret_tests::{
    broker::{Broker, Options},
    client::Client,
    http::Http,
    login::{Login, plain},
};
use serde_json::Value;

/// Malformed or odd items where Leveret answers otherwise, each with its reason.
const DIFFERENCES: [(&str, &str); 18] = [
    ("users that are no list", "RabbitMQ's 500 is a 400 that says where"),
    ("items that are no objects", "RabbitMQ's 500 is a 400 that says where"),
    ("null strings", "RabbitMQ's 500 is a 400 that says where"),
    ("user without a name", "an Erlang term of a crash; a text that says where"),
    ("vhost without a name", "an Erlang term of a crash; a text that says where"),
    ("permission without a pattern", "an Erlang term of a crash; a text that says where"),
    ("queue without a name", "an Erlang term of a crash; a text that says where"),
    ("binding to an unknown kind", "an Erlang term of a crash; a text that says where"),
    ("hash that is no base64", "another text, which names the user"),
    ("hash that is short", "refused: nobody could log in with it"),
    ("unknown algorithm", "refused: nobody could log in with it"),
    ("vhost with an unknown queue type", "refused: no queue could be declared there"),
    ("permission with a bad pattern", "the text of another regular expression engine"),
    ("topic permission with a bad pattern", "the text of another regular expression engine"),
    ("policy with a bad pattern", "the text of another regular expression engine"),
    ("policy with an unknown key", "kept: nothing acts on policies yet"),
    ("policy with a bad value", "kept: nothing acts on policies yet"),
    ("parameter of an unknown component", "kept: nothing acts on parameters yet"),
];

fn golden(name: &str) -> Value {
    let path = format!("{}/golden/definitions/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn exported(broker: &Broker, login: &str, path: &str) -> Value {
    let reply = Http::new(broker.http()).call("GET", path, Some(login), None);
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// The order in lists of objects means nothing.
fn sorted(mut value: Value) -> Value {
    match &mut value {
        Value::Array(items) => {
            items.iter_mut().for_each(|item| *item = sorted(item.take()));
            if items.iter().all(Value::is_object) {
                items.sort_by_cached_key(Value::to_string);
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(|field| *field = sorted(field.take())),
        _ => {}
    }
    value
}

fn assert_same(found: Value, wanted: Value) {
    let (found, wanted) = (sorted(found), sorted(wanted));
    let fields = |value: &Value| value.as_object().cloned().expect("definitions");
    let (found, wanted) = (fields(&found), fields(&wanted));
    for key in found.keys().chain(wanted.keys()) {
        assert_eq!(found.get(key), wanted.get(key), "{key}");
    }
}

fn login(broker: &Broker, user: &str, password: &str, vhost: &str) -> std::io::Result<Client> {
    let login = Login { response: plain(user, password), vhost: vhost.to_owned(), ..Login::default() };
    Client::login_with(broker.amqp(), &login)
}

#[test]
fn what_rabbitmq_exported_is_loaded_at_the_start_and_comes_back() {
    let file = format!("{}/golden/definitions/cluster.json", env!("CARGO_MANIFEST_DIR"));
    let mut broker = Broker::start_with(Options::config(&format!("load_definitions = {file}\n")));
    for round in ["imported", "after kill -9", "without the file"] {
        // Salted hashes of all three algorithms; the passwords are the names.
        for (user, vhost) in [("alice", "shop"), ("bob", "shop"), ("carol", "shop"), ("Jürgen", "q/uörum")]
        {
            login(&broker, user, user, vhost).unwrap_or_else(|error| panic!("{round}: {user}: {error}"));
            assert!(login(&broker, user, "wrong", vhost).is_err(), "{round}: {user} with a wrong password");
        }
        assert!(login(&broker, "dora", "", "shop").is_err(), "dora has no password");
        assert!(login(&broker, "bob", "bob", "/").is_err(), "bob has no permission in /");
        assert_same(exported(&broker, "alice:alice", "/api/definitions"), golden("cluster.json"));
        assert_same(exported(&broker, "alice:alice", "/api/definitions/shop"), golden("vhost.json"));
        broker.kill();
        if round == "after kill -9" {
            broker.set_options(Options::default());
        }
        broker.restart();
    }
}

#[test]
fn an_import_over_http_gives_what_it_gives_in_rabbitmq() {
    let broker = Broker::start();
    let seed = golden("seed.json").to_string();
    let mut http = Http::new(broker.http());
    for round in 0..2 {
        let reply = http.call("POST", "/api/definitions", Some("guest:guest"), Some(&seed));
        assert_eq!((reply.status, reply.text()), (204, String::new()), "{round}");
        let mut wanted = golden("cluster.json");
        let mut found = exported(&broker, "guest:guest", "/api/definitions");
        for document in [&mut wanted, &mut found] {
            // Parameters that RabbitMQ makes for itself, and the one hash that is salted anew.
            document["global_parameters"].as_array_mut().expect("a list").retain(|parameter| {
                !["cluster_tags", "internal_cluster_id"]
                    .contains(&parameter["name"].as_str().expect("a name"))
            });
            for user in document["users"].as_array_mut().expect("a list") {
                if user["name"] == "guest" {
                    user["password_hash"] = Value::Null;
                }
            }
        }
        assert_same(found, wanted);
    }
}

#[test]
fn bad_imports_are_answered_as_by_rabbitmq() {
    let broker = Broker::start();
    let mut http = Http::new(broker.http());
    let seed = golden("seed.json").to_string();
    assert_eq!(http.call("POST", "/api/definitions", Some("guest:guest"), Some(&seed)).status, 204);
    let mut wrong = Vec::new();
    for case in golden("answers.json").as_array().expect("cases") {
        let name = case["name"].as_str().expect("a name");
        let body = match &case["body"] {
            Value::String(text) => text.clone(),
            json => json.to_string(),
        };
        let path = format!("/api/definitions{}", case["path"].as_str().expect("a path"));
        let reply = http.call("POST", &path, Some("guest:guest"), Some(&body));
        let same = (u64::from(reply.status), reply.json())
            == (case["status"].as_u64().unwrap(), case["answer"].clone());
        let differs = DIFFERENCES.iter().any(|(case, _)| *case == name);
        if same == differs {
            let expected = if differs { "another answer than" } else { "" };
            wrong.push(format!(
                "{name}: {} {}, expected {expected} {} {}",
                reply.status,
                reply.text(),
                case["status"],
                case["answer"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_broken_file_refuses_the_start_and_names_itself() {
    for (text, problem) in [
        (r#"{"users": [{"name": "x"}]}"#, "tags_not_present"),
        ("{\"users\": [\n  }\n]}", "failed_to_parse_json: expected value at line 2 column 3"),
    ] {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("a file");
        let mut broker =
            Broker::prepare(Options::config(&format!("load_definitions = {}\n", file.path().display())));
        broker.launch();
        let status = broker.wait_exit();
        assert_eq!(status.code(), Some(70));
        let named = format!("{} cannot be imported: {problem}", file.path().display());
        assert_eq!(broker.log().matches(&named).count(), 1, "{}", broker.log());
    }
}
