//! `/api/overview`.

use leveret_core::admin::{BrokerStats, Churn, Listener, NodeStatus, QueueStats};
use serde_json::{Value, json};

use crate::arguments::Object;
use crate::error::ApiError;
use crate::list::single;
use crate::message_stats;
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn show(request: &Request<'_>) -> Result<Answer, ApiError> {
    let node = request.admin.node_status();
    let stats = request.admin.stats();
    let object = Object::default()
        .set("management_version", node.product_version.as_str())
        .set("rates_mode", "basic")
        .set("sample_retention_policies", json!({"global": [], "basic": [], "detailed": []}))
        .set("exchange_types", exchange_types())
        .set("product_name", node.product_name.as_str())
        .set("product_version", node.product_version.as_str())
        .set("rabbitmq_version", node.product_version.as_str())
        .set("leveret_version", node.leveret_version.as_str())
        .set("cluster_name", node.cluster_name.as_str())
        .set("cluster_tags", json!({}))
        .set("node_tags", json!({}))
        .set("default_queue_type", "classic")
        .set("disable_stats", false)
        .set("enable_queue_totals", false)
        .set("is_op_policy_updating_enabled", false)
        .set("churn_rates", churn_rates(request, &stats.churn));
    let object = if request.caller.may_monitor() {
        all_totals(object, request, &node, &stats)
    } else {
        own_totals(object, request)
    };
    Ok(Answer::Ok(single(request, object)))
}

/// The version announced to clients.
pub(crate) fn version(request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Ok(request.admin.node_status().product_version.into()))
}

pub(crate) fn cluster_name(request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Ok(json!({"name": request.admin.node_status().cluster_name})))
}

fn all_totals(object: Object, request: &Request<'_>, node: &NodeStatus, stats: &BrokerStats) -> Object {
    let totals = &node.totals;
    let queues = stats.classic.plus(stats.quorum);
    let message_stats =
        message_stats::of_broker(request.rates, request.admin.uptime_ms(), &queues, &stats.connections);
    object
        .set(
            "queue_totals",
            queue_totals(request, "all", totals.messages_ready, totals.messages_unacknowledged),
        )
        .set("message_stats", message_stats.unwrap_or_else(|| json!({})))
        .set(
            "object_totals",
            json!({
                "connections": totals.connections,
                "channels": totals.channels,
                "consumers": totals.consumers,
                "exchanges": totals.exchanges,
                "queues": totals.queues,
            }),
        )
        .set("node", node.name.as_str())
        .set("listeners", listeners_json(&node.listeners, &node.name))
        .set("contexts", json!([]))
}

/// Without the tag monitoring a user sees only the virtual hosts and connections that are its own.
fn own_totals(object: Object, request: &Request<'_>) -> Object {
    let admin = request.admin;
    let queues: Vec<_> =
        admin.queues(None).into_iter().filter(|q| request.caller.sees_vhost(&q.vhost)).collect();
    let exchanges = admin.exchanges(None).iter().filter(|x| request.caller.sees_vhost(&x.vhost)).count();
    let own = |user: Option<&str>| user.is_some_and(|user| request.caller.is_user(user));
    let connections = admin.connections().iter().filter(|c| own(c.user.as_deref())).count();
    let channels = admin.channels().iter().filter(|c| own(Some(&c.channel.user))).count();
    let ready = queues.iter().fold(0u64, |sum, queue| sum.saturating_add(queue.messages_ready));
    let unacknowledged =
        queues.iter().fold(0u64, |sum, queue| sum.saturating_add(queue.messages_unacknowledged));
    let stats = queues.iter().fold(QueueStats::default(), |sum, queue| sum.plus(queue.stats));
    let whose = format!("own/{}", request.caller.name().unwrap_or_default());
    let message_stats = message_stats::of_queues(request.rates, &whose, admin.uptime_ms(), &stats);
    let object = object
        .set("queue_totals", queue_totals(request, &whose, ready, unacknowledged))
        .set("message_stats", message_stats.unwrap_or_else(|| json!({})));
    object.set(
        "object_totals",
        json!({
            "connections": connections,
            "channels": channels,
            "exchanges": exchanges,
            "queues": queues.len(),
        }),
    )
}

fn queue_totals(request: &Request<'_>, whose: &str, ready: u64, unacknowledged: u64) -> Object {
    let lengths = [
        ("messages", ready.saturating_add(unacknowledged)),
        ("messages_ready", ready),
        ("messages_unacknowledged", unacknowledged),
    ];
    request.rates.object(&format!("lengths/{whose}"), request.admin.uptime_ms(), &lengths)
}

fn churn_rates(request: &Request<'_>, churn: &Churn) -> Object {
    let counts = [
        ("connection_created", churn.connections_opened),
        ("connection_closed", churn.connections_closed),
        ("channel_created", churn.channels_opened),
        ("channel_closed", churn.channels_closed),
        ("queue_declared", churn.queues_declared),
        ("queue_created", churn.queues_created),
        ("queue_deleted", churn.queues_deleted),
    ];
    request.rates.object("churn", request.admin.uptime_ms(), &counts)
}

fn listeners_json(listeners: &[Listener], node: &str) -> Value {
    listeners
        .iter()
        .map(|listener| {
            json!({
                "node": node,
                "protocol": listener.protocol,
                "ip_address": listener.ip_address.to_string(),
                "port": listener.port,
            })
        })
        .collect::<Vec<_>>()
        .into()
}

/// The exchange types there are, in RabbitMQ's words.
pub(crate) fn exchange_types() -> Value {
    ["direct", "fanout", "headers", "topic"]
        .map(|name| {
            json!({
                "name": name,
                "description": format!("AMQP {name} exchange, as per the AMQP specification"),
                "enabled": true,
            })
        })
        .to_vec()
        .into()
}
