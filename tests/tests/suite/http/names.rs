//! Names that are too long for AMQP are refused over HTTP too, before anything is kept of them.

use leveret_tests::{broker::Broker, http::Http};
use serde_json::{Value, json};

#[test]
fn names_of_more_than_255_bytes_are_refused() {
    let broker = Broker::start();
    let mut http = Http::new(broker.http());
    let mut call = |method: &str, path: &str, body: Value| {
        let reply = http.call(method, path, Some("guest:guest"), Some(&body.to_string()));
        (reply.status, reply.text())
    };
    let long = "k".repeat(256);
    let exact = "k".repeat(255);
    // RabbitMQ 4.0.5's words for a queue's name; it takes the others.
    let said = |what: &str| format!("{what} should be less than 255 bytes, actually was 256\\n");
    assert_eq!(call("PUT", &format!("/api/queues/%2F/{exact}"), json!({"durable": true})).0, 201);
    let to_queue = format!("/api/bindings/%2F/e/amq.topic/q/{exact}");
    let to_exchange = "/api/bindings/%2F/e/amq.topic/e/amq.direct";
    for path in [to_queue.as_str(), to_exchange] {
        assert_eq!(call("POST", path, json!({"routing_key": exact})).0, 201, "{path}");
    }
    for (method, path, body, what) in [
        ("POST", to_queue.as_str(), json!({"routing_key": long}), "routing_key"),
        ("POST", to_exchange, json!({"routing_key": long}), "routing_key"),
        ("PUT", &format!("/api/queues/%2F/{long}"), json!({}), "queue"),
        ("PUT", &format!("/api/exchanges/%2F/{long}"), json!({"type": "direct"}), "exchange"),
    ] {
        let (status, text) = call(method, path, body);
        assert_eq!(status, 400, "{path}: {text}");
        assert!(text.contains(&said(what)), "{path}: {text}");
    }
}
