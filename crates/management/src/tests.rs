//! The API as callers see it: rights, shapes and refusals, against a broker of fixed contents.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use leveret_core::admin::Alarm;
use serde_json::{Value, json};

use crate::auth::Access;
use crate::routes::{ROUTES, Verb};
use crate::service::{Face, Service};
use crate::test_broker::TestBroker;

const LOCAL: &str = "127.0.0.1";

struct Reply {
    status: u16,
    headers: HeaderMap,
    json: Value,
}

struct Call<'a> {
    method: &'a str,
    path: &'a str,
    /// `name:password`.
    login: Option<&'a str>,
    peer: &'a str,
    face: Face,
    body: &'a str,
}

impl<'a> Call<'a> {
    fn get(path: &'a str) -> Self {
        Self { method: "GET", path, login: Some("guest:guest"), peer: LOCAL, face: Face::Tcp, body: "" }
    }

    fn with(method: &'a str, path: &'a str) -> Self {
        Self { method, ..Self::get(path) }
    }

    fn by(self, login: &'a str) -> Self {
        Self { login: Some(login), ..self }
    }

    fn send(self) -> Reply {
        self.send_to(&Arc::new(TestBroker::default()))
    }

    fn send_to(self, broker: &Arc<TestBroker>) -> Reply {
        let service = Service::new(Arc::<TestBroker>::clone(broker), self.face);
        let mut request = Request::builder().method(self.method).uri(format!("/api/{}", self.path));
        if let Some(login) = self.login {
            request = request.header("authorization", format!("Basic {}", STANDARD.encode(login)));
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let peer: IpAddr = self.peer.parse().unwrap();
        let body = Body::from(self.body.to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let response = service.respond(parts, body, Some(peer)).await;
            let (parts, body) = response.into_parts();
            let bytes = to_bytes(body, usize::MAX).await.unwrap();
            let json = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
            Reply { status: parts.status.as_u16(), headers: parts.headers, json }
        })
    }
}

#[test]
fn no_route_answers_without_a_login() {
    for route in ROUTES.iter().filter(|route| route.access != Access::Public) {
        let path = route.path.replace("{vhost}", "%2F").replace(['{', '}'], "");
        let method = match route.verb {
            Verb::Get => "GET",
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Delete => "DELETE",
        };
        let reply = Call { login: None, ..Call::with(method, &path) }.send();
        assert_eq!((reply.status, reply.json), (401, Value::Null), "{path}");
        assert_eq!(reply.headers["www-authenticate"], "Basic realm=\"RabbitMQ Management\"");
        for login in ["guest:wrong", "nobody:guest", ":"] {
            let broker = Arc::new(TestBroker::default());
            let reply = Call::with(method, &path).by(login).send_to(&broker);
            assert_eq!(reply.status, 401, "{path} {login}");
            assert_eq!(reply.json, json!({"error": "not_authorized", "reason": "Not_Authorized"}));
            assert!(broker.calls.lock().unwrap().is_empty());
        }
        let reply = Call::with(method, &path).by("plain:p:w").send();
        assert_eq!(reply.status, 401, "{path}");
        assert_eq!(reply.json, json!({"error": "not_authorised", "reason": "Not management user"}));
    }
}

#[test]
fn rights_are_those_of_the_table() {
    // What a user with this tag, and with a permission in "/" only for management, gets at each right.
    let object = "User not authorised to access object";
    let own = "User not authorised to access virtual host";
    let cases = [
        (Access::Public, ["200", "200", "200"]),
        (Access::Management, ["200", "200", "200"]),
        (Access::Vhost, ["200", own, "200"]),
        (Access::VhostOrMonitoring, ["200", "200", "200"]),
        (Access::Policymaker, [object, object, "200"]),
        (Access::Monitoring, ["Not monitor user", "200", "200"]),
        (Access::Administrator, ["Not administrator user", "Not administrator user", "200"]),
    ];
    // The test of aliveness gets back what it published, which this broker cannot do.
    let routes =
        ROUTES.iter().filter(|route| route.verb == Verb::Get && !route.path.starts_with("aliveness"));
    for route in routes {
        let path = route
            .path
            .replace("{vhost}", "%2F")
            .replace("{queue}", "q1")
            .replace("{node}", "leveret@host")
            .replace("{user}", "mgmt")
            .replace("{exchange}", "amq.topic")
            .replace("{port}", "5672")
            .replace("{within}", "1")
            .replace("{unit}", "weeks")
            .replace("{protocol}", "amqp")
            .replace("{name}", "127.0.0.1:40002%20-%3E%20127.0.0.1:5672");
        let (_, expected) = cases.iter().find(|(access, _)| *access == route.access).unwrap();
        for (login, expected) in ["mgmt:pw", "mon:pw", "guest:guest"].iter().zip(expected) {
            let reply = Call::get(&path).by(login).send();
            // What is allowed but not there is allowed.
            let refused = reply.json["reason"].as_str().filter(|_| !matches!(reply.status, 200 | 404));
            let got = refused.unwrap_or("200");
            assert_eq!(got, *expected, "{path} by {login}");
        }
        let reply = Call { login: None, face: Face::Control, ..Call::get(&path) }.send();
        assert!(matches!(reply.status, 200 | 404), "{path} over the control socket");
    }
}

#[test]
fn guest_is_local() {
    let cases =
        [("127.0.0.1", 200), ("127.9.9.9", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("192.0.2.1", 401)];
    for (peer, status) in cases {
        let reply = Call { peer, ..Call::get("whoami") }.send();
        assert_eq!(reply.status, status, "{peer}");
    }
    let reply = Call { peer: "192.0.2.1", ..Call::get("whoami") }.send();
    assert_eq!(
        reply.json,
        json!({"error": "not_authorised", "reason": "User can only log in via localhost"})
    );
    assert_eq!(Call { peer: "192.0.2.1", ..Call::get("whoami").by("mgmt:pw") }.send().status, 200);
}

#[test]
fn lists_show_only_what_a_user_may_see() {
    let names = |path: &str, login: &str, key: &str| -> Vec<String> {
        let json = Call::get(path).by(login).send().json;
        json.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("queues", "guest:guest", "name"), ["q1", "q2", "a"]);
    assert_eq!(names("queues", "mgmt:pw", "name"), ["q1", "q2"]);
    assert_eq!(names("queues", "mon:pw", "name"), [""; 0]);
    assert_eq!(names("exchanges", "mon:pw", "name"), [""; 0]);
    assert_eq!(names("vhosts", "mgmt:pw", "name"), ["/"]);
    assert_eq!(names("vhosts", "mon:pw", "name"), ["/", "b c"]);
    assert_eq!(names("connections", "mgmt:pw", "name"), ["127.0.0.1:40002 -> 127.0.0.1:5672"]);
    assert_eq!(names("connections", "mon:pw", "name").len(), 2);
    assert_eq!(names("channels", "mgmt:pw", "name"), [""; 0]);
    assert_eq!(names("channels", "mon:pw", "name"), ["127.0.0.1:40001 -> 127.0.0.1:5672 (1)"]);
    assert_eq!(names("consumers", "mgmt:pw", "consumer_tag"), [""; 0]);
    assert_eq!(names("consumers/%2F", "mgmt:pw", "consumer_tag"), [""; 0]);
    assert_eq!(names("consumers", "mon:pw", "consumer_tag"), ["ct1"]);
    assert_eq!(names("bindings", "guest:guest", "destination"), ["q1", "q2", "q1", "a"]);
    let totals = Call::get("overview").by("mgmt:pw").send().json;
    assert_eq!(
        totals["object_totals"],
        json!({"connections": 1, "channels": 0, "exchanges": 2, "queues": 2})
    );
    assert_eq!(totals.get("listeners"), None);
}

#[test]
fn connections_are_closed_by_their_user_or_an_administrator() {
    let close = |login, port: u16| {
        let path = format!("connections/127.0.0.1%3A{port}%20-%3E%20127.0.0.1%3A5672");
        let broker = Arc::new(TestBroker::default());
        let reply = Call::with("DELETE", &path).by(login).send_to(&broker);
        (reply.status, broker.calls.lock().unwrap().len())
    };
    assert_eq!(close("guest:guest", 40_002), (204, 1));
    assert_eq!(close("mgmt:pw", 40_002), (204, 1));
    assert_eq!(close("mgmt:pw", 40_001), (401, 0));
    assert_eq!(close("mon:pw", 40_001), (401, 0));
    assert_eq!(close("guest:guest", 1), (404, 0));
}

#[test]
fn queue_shapes() {
    let reply = Call::get("queues/%2F/q2").send().json;
    let message_stats = json!({
        "publish": 4, "publish_details": {"rate": 0.0}, "deliver": 1, "deliver_details": {"rate": 0.0},
        "deliver_no_ack": 0, "deliver_no_ack_details": {"rate": 0.0}, "get": 0, "get_details": {"rate": 0.0},
        "get_no_ack": 0, "get_no_ack_details": {"rate": 0.0}, "get_empty": 0, "get_empty_details": {"rate": 0.0},
        "deliver_get": 1, "deliver_get_details": {"rate": 0.0}, "redeliver": 0,
        "redeliver_details": {"rate": 0.0}, "ack": 0, "ack_details": {"rate": 0.0},
    });
    let expected = json!({
        "name": "q2", "vhost": "/", "type": "quorum", "durable": true, "auto_delete": false, "exclusive": false,
        "arguments": {"x-max-length": 10}, "node": "leveret@host", "state": "running", "policy": null,
        "messages": 4, "messages_ready": 3, "messages_unacknowledged": 1, "message_bytes": 20,
        "message_bytes_ready": 15, "message_bytes_unacknowledged": 5, "consumers": 1,
        "exclusive_consumer_tag": null, "leader": "leveret@host", "members": ["leveret@host"],
        "online": ["leveret@host"], "consumer_details": [], "messages_details": {"rate": 0.0},
        "messages_ready_details": {"rate": 0.0}, "messages_unacknowledged_details": {"rate": 0.0},
        "message_stats": message_stats,
    });
    assert_eq!(reply, expected);
    let q1 = Call::get("queues/%2F/q1").send().json;
    assert_eq!(
        q1["consumer_details"],
        json!([{
            "arguments": {"x-priority": 3}, "ack_required": true, "active": true, "activity_status": "up",
            "channel_details": {
                "connection_name": "127.0.0.1:40001 -> 127.0.0.1:5672",
                "name": "127.0.0.1:40001 -> 127.0.0.1:5672 (1)", "node": "leveret@host", "number": 1,
                "peer_host": "127.0.0.1", "peer_port": 40001, "user": "guest",
            },
            "consumer_tag": "ct1", "exclusive": false, "prefetch_count": 5,
            "queue": {"name": "q1", "vhost": "/"},
        }])
    );
    let typed = Call::get("queues/%2F/q1?arguments=typed&columns=arguments").send().json;
    assert_eq!(typed, json!({"arguments": [["x-max-length", "signedint", 10]]}));
}

#[test]
fn lists_sort_choose_and_page() {
    let cases = [
        ("queues?columns=name", json!([{"name": "q1"}, {"name": "q2"}, {"name": "a"}])),
        ("queues/%2F/?columns=name,nope", json!([{"name": "q1"}, {"name": "q2"}])),
        ("queues/b+c?columns=name", json!([{"name": "a"}])),
        ("queues?columns=name&sort=messages", json!([{"name": "a"}, {"name": "q2"}, {"name": "q1"}])),
        (
            "queues?columns=name&sort=messages&sort_reverse=true",
            json!([{"name": "q1"}, {"name": "q2"}, {"name": "a"}]),
        ),
        (
            "consumers?columns=queue.name,channel_details.number",
            json!([{"queue": {"name": "q1"}, "channel_details": {"number": 1}}]),
        ),
        (
            "queues?page=2&page_size=2&columns=name",
            json!({"filtered_count": 3, "item_count": 1, "items": [{"name": "a"}], "page": 2, "page_count": 2,
                "page_size": 2, "total_count": 3}),
        ),
        (
            "queues?page=1&name=Q&columns=name",
            json!({"filtered_count": 2, "item_count": 2, "items": [{"name": "q1"}, {"name": "q2"}], "page": 1,
                "page_count": 1, "page_size": 100, "total_count": 3}),
        ),
        (
            "queues?page=1&name=%5Eq.%24&use_regex=true&columns=name&page_size=1",
            json!({"filtered_count": 2, "item_count": 1, "items": [{"name": "q1"}], "page": 1, "page_count": 2,
                "page_size": 1, "total_count": 3}),
        ),
    ];
    for (path, expected) in cases {
        let reply = Call::get(path).send();
        assert_eq!((reply.status, reply.json), (200, expected), "{path}");
    }
}

#[test]
fn refusals() {
    let cases = [
        ("GET", "nope", 404, "Object Not Found", "Not Found"),
        ("GET", "queues/nope", 404, "Object Not Found", "Not Found"),
        ("GET", "queues/%2F/nope", 404, "Object Not Found", "Not Found"),
        ("DELETE", "queues/%2F/nope", 404, "Object Not Found", "Not Found"),
        ("DELETE", "queues/%2F/q1?if-unused=true", 400, "bad_request", "queue 'q1' in vhost '/' in use"),
        ("GET", "connections/nope", 404, "Object Not Found", "Not Found"),
        ("GET", "nodes/nope", 404, "Object Not Found", "Not Found"),
        ("GET", "users/nope", 404, "Object Not Found", "Not Found"),
        (
            "GET",
            "queues?page=0",
            400,
            "invalid_pagination_parameters",
            "Invalid pagination parameters: page number 0, page size undefined",
        ),
        (
            "GET",
            "queues?page=1&page_size=501",
            400,
            "invalid_pagination_parameters",
            "Invalid pagination parameters: page number 1, page size 501",
        ),
        ("GET", "queues?page=x", 400, "bad_request", "Pagination parameters are invalid"),
        (
            "GET",
            "queues?page=99",
            400,
            "page_out_of_range",
            "Page out of range, page: 99 page size: 100, len: 3",
        ),
        (
            "GET",
            "queues?page=1&use_regex=true&name=%28",
            400,
            "bad_request",
            "Pagination parameters are invalid",
        ),
        (
            "PUT",
            "leveret/disk_free_limit",
            400,
            "bad_request",
            "a number \"relative\" or a number of bytes \"absolute\" is needed",
        ),
    ];
    for (method, path, status, error, reason) in cases {
        let reply = Call::with(method, path).send();
        assert_eq!((reply.status, reply.json), (status, json!({"error": error, "reason": reason})), "{path}");
    }
    let reply = Call { login: None, ..Call::with("POST", "queues") }.send();
    assert_eq!((reply.status, reply.json), (405, Value::Null));
    assert_eq!(reply.headers["allow"], "HEAD, GET, OPTIONS");
    let reply = Call::get("queues/%zz").send();
    assert_eq!((reply.status, reply.json), (400, Value::Null));
}

#[test]
fn head_and_options() {
    let get = Call::get("whoami").send();
    let head = Call::with("HEAD", "whoami").send();
    assert_eq!((head.status, &head.json), (200, &Value::Null));
    assert_eq!(head.headers["content-length"], get.headers["content-length"]);
    let options = Call { login: None, ..Call::with("OPTIONS", "connections/x") }.send();
    assert_eq!(options.status, 200);
    assert_eq!(options.headers["allow"], "HEAD, GET, DELETE, OPTIONS");
}

#[test]
fn health() {
    let broker = Arc::new(TestBroker { alarms: vec![Alarm::Memory], ..TestBroker::default() });
    let reply = Call::get("health/checks/local-alarms").send_to(&broker);
    assert_eq!(reply.status, 503);
    assert_eq!(
        reply.json,
        json!({
            "status": "failed", "reason": "There are alarms in effect on the node",
            "alarms": [{"node": "leveret@host", "resource": "memory"}],
        })
    );
    assert_eq!(Call::get("health/checks/alarms").send().json, json!({"status": "ok"}));
}

#[test]
fn the_broker_is_steered() {
    let cases = [
        ("leveret/stop", "", "stop"),
        ("leveret/stop", "null", "stop"),
        ("leveret/vm_memory_high_watermark", r#"{"relative":0.5}"#, "Relative(0.5)"),
        ("leveret/vm_memory_high_watermark", r#"{"absolute":4000}"#, "Absolute(4000)"),
        ("leveret/disk_free_limit", r#"{"absolute":1000}"#, "Absolute(1000)"),
    ];
    for (path, body, call) in cases {
        let broker = Arc::new(TestBroker::default());
        let reply =
            Call { body, login: None, face: Face::Control, ..Call::with("PUT", path) }.send_to(&broker);
        assert_eq!(reply.status, 204, "{path}");
        assert_eq!(*broker.calls.lock().unwrap(), [call]);
    }
    for body in ["{", "[]", "\"x\"", r#"{"relative":1.5}"#] {
        let path = "leveret/vm_memory_high_watermark";
        let broker = Arc::new(TestBroker::default());
        assert_eq!(Call { body, ..Call::with("PUT", path) }.send_to(&broker).status, 400, "{body}");
        assert!(broker.calls.lock().unwrap().is_empty());
    }
}

#[test]
fn a_body_has_a_limit() {
    let body = " ".repeat(crate::limits::BODY_BYTES + 1);
    let reply = Call { body: &body, ..Call::with("PUT", "leveret/stop") }.send();
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json["reason"], "Exceeded HTTP request body size limit");
}
