//! Files that are none, and what a file makes the broker do.

use leveret_core::admin::Acting;
use serde_json::{Value, json};

use super::{ImportError, export, import};
use crate::test_broker::TestBroker;

fn refusal(text: &str) -> String {
    let broker = TestBroker::default();
    let refused = import(&broker, Acting::Owner, text.as_bytes(), None).expect_err(text).to_string();
    assert!(broker.calls.lock().unwrap().is_empty(), "{text}: something was changed");
    refused
}

#[test]
fn a_malformed_file_says_where_and_changes_nothing() {
    let user = json!({"users": [{"name": "good", "tags": []}, {"name": 5, "tags": []}]});
    let long = json!({"queues": [{"name": "q", "vhost": "/", "arguments": {"k".repeat(256): 1}}]});
    let cases = [
        ("[]".to_owned(), "failed_to_parse_json"),
        ("{} {}".to_owned(), "failed_to_parse_json"),
        ("[".repeat(100_000), "failed_to_parse_json"),
        (json!({"users": {}}).to_string(), "users: a list of objects is needed"),
        (json!({"users": [5]}).to_string(), "users[0]: an object is needed"),
        (user.to_string(), "users[1]: name is no text"),
        (json!({"users": [{"name": "x"}]}).to_string(), "tags_not_present"),
        (json!({"queues": [{"name": "q"}]}).to_string(), "queues[0] 'q': vhost is missing"),
        (
            json!({"queues": [{"name": "q", "vhost": "/", "durable": 1}]}).to_string(),
            "queues[0] 'q': durable is neither true nor false",
        ),
        (long.to_string(), "a name has at most 255 bytes"),
        (
            json!({"policies": [{"vhost": "/", "name": "p", "pattern": "", "definition": {}, "priority": "x"}]})
                .to_string(),
            "policies[0] 'p': priority is no whole number",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(&text), expected);
    }
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let deep = json!({"queues": [{"name": "q", "vhost": "/", "arguments": {"k": deep}}]});
    assert!(refusal(&deep.to_string()).starts_with("a value that nests deeper than"));
}

#[test]
fn things_are_made_in_an_order_in_which_they_find_each_other() {
    let text = json!({
        "bindings": [{"source": "x", "vhost": "/", "destination": "q", "destination_type": "queue",
                      "routing_key": "", "arguments": {}}],
        "queues": [{"name": "q", "vhost": "/", "durable": true, "auto_delete": false, "arguments": {}}],
        "exchanges": [{"name": "x", "vhost": "/", "type": "fanout"}, {"name": "amq.mine", "vhost": "/", "type": "fanout"}],
        "permissions": [{"user": "u", "vhost": "/", "configure": "", "write": "", "read": ""}],
        "vhosts": [{"name": "/"}],
        "users": [{"name": "u", "password_hash": "", "tags": "a, b,"}],
        "odd": 1,
    });
    let broker = TestBroker::default();
    let imported = import(&broker, Acting::Owner, text.to_string().as_bytes(), None).unwrap();
    assert_eq!(
        imported.warnings,
        ["'odd' is unknown and left out", "exchange 'amq.mine' in vhost '/' is predeclared and left out"]
    );
    let calls = broker.calls.lock().unwrap();
    let place = |what: &str| calls.iter().position(|call| call.starts_with(what)).expect(what);
    let order =
        ["put_user", "put_vhost", "put_permission", "declare_exchange", "declare_queue", "bind"].map(place);
    assert!(order.is_sorted(), "{calls:?}");
    assert!(calls[order[0]].contains(r#"["a", "b"]"#), "{}", calls[order[0]]);
}

#[test]
fn one_virtual_host_takes_what_is_in_virtual_hosts() {
    let text = json!({
        "users": [{"name": "u", "tags": ""}],
        "queues": [{"name": "new", "vhost": "elsewhere", "durable": true, "auto_delete": false, "arguments": {}}],
    });
    let text = text.to_string();
    let broker = TestBroker::default();
    let gone = import(&broker, Acting::Owner, text.as_bytes(), Some("nowhere")).unwrap_err();
    assert_eq!(gone, ImportError::NoSuchVhost);
    let imported = import(&broker, Acting::Owner, text.as_bytes(), Some("b c")).unwrap();
    assert_eq!(imported.counts, [("queues", 1)]);
    let calls = broker.calls.lock().unwrap();
    let [call] = calls.as_slice() else { panic!("{calls:?}") };
    assert!(
        call.starts_with("declare_queue") && call.contains("b c") && !call.contains("elsewhere"),
        "{call}"
    );
}

#[test]
fn an_export_of_one_virtual_host_names_it_once() {
    let broker = TestBroker::default();
    assert_eq!(export(&broker, Some("nowhere")), None);
    let document = export(&broker, Some("/")).unwrap();
    assert_eq!(document["original_vhost_name"], "/");
    let queues = document["queues"].as_array().unwrap();
    assert!(!queues.is_empty() && queues.iter().all(|queue| queue.get("vhost").is_none()), "{queues:?}");
    assert_eq!(document.get("users"), None::<&Value>);
}
