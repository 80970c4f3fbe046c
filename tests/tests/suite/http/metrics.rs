//! The metrics for Prometheus: names, kinds and helps are RabbitMQ's, and a scenario moves the global counters as there.

use std::{collections::BTreeMap, net::SocketAddr};

use leveret_tests::{
    broker::Broker,
    client::Client,
    http::Http,
    methods::{Properties, basic, confirm, queue},
    wait::{PATIENCE, until},
    wire::Table,
};
use serde::{Deserialize, Serialize};

use super::{peer, read_golden, recording, write_golden};

const GOLDEN: &str = "http_metrics.json";

const PAGES: [&str; 3] = [
    "/metrics",
    "/metrics/per-object",
    "/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count&family=queue_metrics\
     &family=queue_delivery_metrics&family=channel_metrics&family=connection_coarse_metrics&family=connection_metrics\
     &family=connection_churn_metrics&family=vhost_status&family=exchange_names&family=exchange_bindings",
];

/// Metrics that RabbitMQ has in a family by channel and exchange, where nothing is counted here.
const OWN: &[&str] = &["rabbitmq_detailed_queue_messages_published_total"];

#[derive(Serialize, Deserialize)]
struct Golden {
    /// For each page: name to kind and help.
    metrics: BTreeMap<String, BTreeMap<String, String>>,
    /// How far the scenario moved each global counter of the protocol.
    moved: BTreeMap<String, u64>,
}

/// Where the metrics are: beside the other broker's HTTP listener.
fn peer_metrics() -> Option<(SocketAddr, SocketAddr)> {
    let (amqp, _) = peer()?;
    let at = std::env::var("LEVERET_GOLDEN_PROMETHEUS").ok()?;
    Some((amqp, at.parse().expect("host and port")))
}

#[test]
fn metrics_are_those_of_rabbitmq() {
    if recording() {
        let (amqp, metrics) =
            peer_metrics().expect("LEVERET_GOLDEN_PROMETHEUS says where RabbitMQ's metrics are");
        let golden = Golden { metrics: described(amqp, metrics), moved: moved(amqp, metrics) };
        write_golden(GOLDEN, &golden);
        return;
    }
    let golden: Golden = read_golden(GOLDEN);
    let broker = Broker::start();
    let (amqp, metrics) = peer_metrics().unwrap_or((broker.amqp(), broker.prometheus()));
    let moved = moved(amqp, metrics);
    let expected: BTreeMap<_, _> =
        golden.moved.iter().filter(|(name, _)| moved.contains_key(*name)).collect();
    assert_eq!(moved.iter().collect::<BTreeMap<_, _>>(), expected);
    assert!(moved.len() >= 20, "{moved:?}");
    for (page, metrics) in described(amqp, metrics) {
        let golden = &golden.metrics[&page];
        assert!(metrics.len() > 10);
        let others = metrics
            .iter()
            .filter(|(name, about)| golden.get(*name) != Some(*about) && !OWN.contains(&name.as_str()));
        let others: Vec<_> = others.collect();
        assert!(others.is_empty(), "{page} has others than RabbitMQ: {others:?}");
    }
}

#[test]
fn other_paths_and_methods() {
    let broker = Broker::start();
    let mut http = Http::new(broker.prometheus());
    for (method, path, status) in [
        ("GET", "/metrics", 200),
        ("GET", "/metrics/", 200),
        ("HEAD", "/metrics", 204),
        ("POST", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/metrics/nope", 404),
        ("GET", "/api/overview", 404),
    ] {
        assert_eq!(http.call(method, path, None, None).status, status, "{method} {path}");
    }
    let page = http.call("GET", "/metrics", None, None);
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4"));
}

/// Every metric that the pages begin, while a queue, a channel and a connection are there.
fn described(amqp: SocketAddr, metrics: SocketAddr) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut http = Http::new(metrics);
    let mut client = Client::login(amqp).expect("a login");
    client.open_channel(1).expect("a channel");
    client.call(1, queue::declare("metrics-shown", 0, &Table::default()), (50, 11)).expect("a queue");
    client.publish(1, ("", "metrics-shown", 0), &Properties::default(), b"x").expect("a publish");
    let got = client.call(1, basic::get("metrics-shown", true), (60, 71)).expect("a message");
    client.content(got).expect("its content");
    until("queue, channel and connection are shown", PATIENCE, || {
        let page = http.call("GET", "/metrics/per-object", None, None).text();
        let shown = ["queue_messages{", "queue_get_total{", "channel_consumers{", "connection_channels{"];
        shown.iter().all(|name| page.contains(&format!("rabbitmq_{name}"))).then_some(())
    });
    let mut pages = BTreeMap::new();
    for path in PAGES {
        let page = http.call("GET", path, None, None).text();
        let mut metrics = BTreeMap::new();
        let mut lines = page.lines().peekable();
        while let Some(line) = lines.next() {
            let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
            else {
                continue;
            };
            let help = lines.next().and_then(|line| line.strip_prefix("# HELP ")).unwrap_or_default();
            let help = help.strip_prefix(name).unwrap_or_default().trim();
            if name.starts_with("rabbitmq_") {
                metrics.insert(name.to_owned(), format!("{kind}: {help}"));
            }
        }
        pages.insert(path.to_owned(), metrics);
    }
    client.call(1, queue::delete("metrics-shown", 0), (50, 41)).expect("no queue");
    pages
}

/// The global counters of AMQP 0-9-1.
fn global(http: &mut Http) -> BTreeMap<String, u64> {
    let page = http.call("GET", "/metrics", None, None).text();
    let samples = page.lines().filter(|line| {
        line.starts_with("rabbitmq_global_messages")
            && !["amqp10", "protocol=\"stream\"", "stream_queue"].iter().any(|other| line.contains(other))
    });
    samples
        .filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        })
        .collect()
}

/// Lets messages go every way and tells how far the counters moved.
fn moved(amqp: SocketAddr, metrics: SocketAddr) -> BTreeMap<String, u64> {
    let mut http = Http::new(metrics);
    let before = global(&mut http);
    for (name, arguments) in [
        ("metrics-classic", Table::default()),
        ("metrics-quorum", Table::default().text("x-queue-type", "quorum")),
    ] {
        scenario(amqp, name, &arguments);
    }
    let after = global(&mut http);
    after.into_iter().map(|(name, value)| (name.clone(), value - before.get(&name).unwrap_or(&0))).collect()
}

fn scenario(amqp: SocketAddr, name: &str, arguments: &Table) {
    let mut client = Client::login(amqp).expect("a login");
    client.open_channel(1).expect("a channel");
    client.call(1, queue::delete(name, 0), (50, 41)).expect("no queue");
    client.call(1, queue::declare(name, 2, arguments), (50, 11)).expect("a queue");
    let body = Properties::persistent();
    // Two without confirms, one of which goes nowhere.
    client.publish(1, ("", name, 0), &body, b"plain").expect("a publish");
    client.publish(1, ("", "metrics-nowhere", 0), &body, b"dropped").expect("a publish");
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    for _ in 0..3 {
        client.publish(1, ("", name, 0), &body, b"confirmed").expect("a publish");
        client.expect_method(1, (60, 80)).expect("an ack");
    }
    client.publish(1, ("", "metrics-nowhere", 1), &body, b"returned").expect("a publish");
    let returned = client.expect_method(1, (60, 50)).expect("a return");
    client.content(returned).expect("its content");
    client.expect_method(1, (60, 80)).expect("an ack");
    // Four are there: one got without an ack, one got and acknowledged.
    let got = client.call(1, basic::get(name, true), (60, 71)).expect("a message");
    client.content(got).expect("its content");
    let got = client.call(1, basic::get(name, false), (60, 71)).expect("a message");
    client.content(got).expect("its content");
    client.method(1, basic::ack(2, false)).expect("an ack");
    // Two are delivered; one comes back once, then both are acknowledged.
    client.call(1, basic::qos(0, 1, false), (60, 11)).expect("qos");
    client.call(1, basic::consume(name, "tag", 0, &Table::default()), (60, 21)).expect("a consumer");
    let deliver = |client: &mut Client| {
        let deliver = client.expect_method(1, (60, 60)).expect("a delivery");
        client.content(deliver).expect("its content");
    };
    deliver(&mut client);
    client.method(1, basic::nack(3, false, true)).expect("a nack");
    deliver(&mut client);
    client.method(1, basic::ack(4, false)).expect("an ack");
    deliver(&mut client);
    client.method(1, basic::ack(5, false)).expect("an ack");
    client.call(1, basic::cancel("tag", false), (60, 31)).expect("a cancel");
    client.call(1, basic::get(name, true), (60, 72)).expect("an empty queue");
    client.call(1, queue::delete(name, 0), (50, 41)).expect("no queue");
}

#[test]
fn a_queue_and_the_overview_show_what_happened_to_messages() {
    let broker = Broker::start();
    let mut http = Http::new(broker.http());
    let mut client = broker.channel();
    client.call(1, queue::declare("stats", 0, &Table::default()), (50, 11)).expect("a queue");
    for _ in 0..5 {
        client.publish(1, ("", "stats", 0), &Properties::default(), b"x").expect("a publish");
    }
    let got = client.call(1, basic::get("stats", true), (60, 71)).expect("a message");
    client.content(got).expect("its content");
    let login = Some("guest:guest");
    let stats = http.call("GET", "/api/queues/%2F/stats", login, None).json()["message_stats"].clone();
    let of = |name: &str| stats[name].as_u64();
    assert_eq!(
        [of("publish"), of("get_no_ack"), of("deliver_get"), of("ack")],
        [Some(5), Some(1), Some(1), Some(0)]
    );
    client.call(1, queue::delete("stats", 0), (50, 41)).expect("no queue");
    // What happened in a queue that is gone still counts in the whole.
    let overview = http.call("GET", "/api/overview", login, None).json();
    assert_eq!(overview["message_stats"]["publish"], 5);
    assert_eq!(overview["message_stats"]["get_no_ack"], 1);
    assert_eq!(overview["churn_rates"]["queue_deleted"], 1);
    drop(client);
    let closed = until("the connection is closed", PATIENCE, || {
        let overview = http.call("GET", "/api/overview", login, None).json();
        (overview["churn_rates"]["connection_closed"] == 1).then_some(overview)
    });
    assert_eq!(closed["message_stats"]["publish"], 5);
    assert_eq!(closed["churn_rates"]["channel_closed"], 1);
}
