//! `/api/queues`.

use leveret_core::admin::{QueueSpec, QueueView};
use serde_json::{Value, json};

use crate::arguments::{ArgumentStyle, Object, arguments_json};
use crate::body::{arguments, boolean, required};
use crate::connections::peer_json;
use crate::consumers::consumer_json;
use crate::error::ApiError;
use crate::list::{list, single};
use crate::message_stats;
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn list_all(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_queues(request, None)
}

/// The short list leaves nothing out, so this is the same.
pub(crate) fn list_detailed(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_queues(request, None)
}

pub(crate) fn list_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_queues(request, Some(request.part(0)?))
}

fn list_queues(request: &Request<'_>, vhost: Option<&str>) -> Result<Answer, ApiError> {
    let mut queues = request.admin.queues(vhost);
    queues.retain(|queue| request.caller.sees_vhost(&queue.vhost));
    queues.sort_by(|left, right| (&left.vhost, &left.name).cmp(&(&right.vhost, &right.name)));
    let node = request.admin.node_name();
    let style = request.argument_style();
    let now_ms = request.admin.uptime_ms();
    let shown =
        |queue: &QueueView| with_rates(queue_json(queue, &node, style), request, queue, now_ms).into();
    let items = queues.iter().map(shown).collect();
    Ok(Answer::Ok(list(request, items)?))
}

pub(crate) fn show(request: &Request<'_>) -> Result<Answer, ApiError> {
    let (vhost, name) = (request.part(0)?, request.part(1)?);
    let queue = request.admin.queue(vhost, name).ok_or(ApiError::NotFound)?;
    let node = request.admin.node_name();
    let style = request.argument_style();
    let consumers: Vec<Value> = request
        .admin
        .consumers(Some(vhost))
        .iter()
        .filter(|consumer| consumer.queue == name)
        .map(|consumer| consumer_json(consumer, &node, style))
        .collect();
    let object = queue_json(&queue, &node, style).set("consumer_details", consumers);
    let object = with_rates(object, request, &queue, request.admin.uptime_ms());
    Ok(Answer::Ok(single(request, object)))
}

pub(crate) fn put(request: &Request<'_>) -> Result<Answer, ApiError> {
    let body = &request.body;
    if let Some(node) = body.get("node").and_then(Value::as_str)
        && node != request.admin.node_name()
    {
        return Err(ApiError::bad_request(format!("Node {node} could not be contacted")));
    }
    let queue = QueueSpec {
        name: request.part(1)?.to_owned(),
        durable: boolean(body, "durable")?,
        auto_delete: boolean(body, "auto_delete")?,
        arguments: arguments(body)?,
    };
    Ok(Answer::put(request.admin.declare_queue(request.caller.acting(), request.part(0)?, &queue)?))
}

pub(crate) fn delete(request: &Request<'_>) -> Result<Answer, ApiError> {
    let (vhost, name) = named(request)?;
    let (if_unused, if_empty) = (request.flag("if-unused"), request.flag("if-empty"));
    request.admin.delete_queue(request.caller.acting(), vhost, name, if_unused, if_empty)?;
    Ok(Answer::Done)
}

pub(crate) fn purge(request: &Request<'_>) -> Result<Answer, ApiError> {
    let (vhost, name) = named(request)?;
    request.admin.purge_queue(request.caller.acting(), vhost, name)?;
    Ok(Answer::Done)
}

/// What is not there is not found, whatever the caller may do.
fn named<'r>(request: &'r Request<'_>) -> Result<(&'r str, &'r str), ApiError> {
    let (vhost, name) = (request.part(0)?, request.part(1)?);
    request.admin.queue(vhost, name).map(|_| (vhost, name)).ok_or(ApiError::NotFound)
}

/// RabbitMQ's actions were for mirrored queues; since version 4 it knows none.
pub(crate) fn actions(request: &Request<'_>) -> Result<Answer, ApiError> {
    if named(request).is_err() {
        return Err(ApiError::Missing("queue_not_found".to_owned()));
    }
    let [action] = required(&request.body, ["action"])?;
    Err(ApiError::bad_request(json!(["unknown", action])))
}

/// Adds how fast the queue moves.
fn with_rates(object: Object, request: &Request<'_>, queue: &QueueView, now_ms: u64) -> Object {
    let whose = format!("queue/{}/{}", queue.vhost.len(), queue.vhost) + "/" + &queue.name;
    let (ready, unacknowledged) = (queue.messages_ready, queue.messages_unacknowledged);
    let lengths = [
        ("messages", ready.saturating_add(unacknowledged)),
        ("messages_ready", ready),
        ("messages_unacknowledged", unacknowledged),
    ];
    let object = object.merge(request.rates.object(&format!("lengths/{whose}"), now_ms, &lengths));
    let stats = message_stats::of_queues(request.rates, &whose, now_ms, &queue.stats);
    object.known("message_stats", stats)
}

fn queue_json(queue: &QueueView, node: &str, style: ArgumentStyle) -> Object {
    let bytes = queue
        .message_bytes_ready
        .zip(queue.message_bytes_unacknowledged)
        .map(|(ready, unacknowledged)| ready.saturating_add(unacknowledged));
    let object = Object::default()
        .set("name", queue.name.as_str())
        .set("vhost", queue.vhost.as_str())
        .set("type", queue.queue_type)
        .set("durable", queue.durable)
        .set("auto_delete", queue.auto_delete)
        .set("exclusive", queue.owner.is_some())
        .set("arguments", arguments_json(&queue.arguments, style))
        .set("node", node)
        .set("state", if queue.damage.is_some() { "stopped" } else { "running" })
        .known("leveret_damage", queue.damage.clone())
        .set("policy", queue.policy.as_deref().map_or(Value::Null, Value::from))
        .set("messages", queue.messages_ready.saturating_add(queue.messages_unacknowledged))
        .set("messages_ready", queue.messages_ready)
        .set("messages_unacknowledged", queue.messages_unacknowledged)
        .known("messages_persistent", queue.messages_persistent)
        .known("message_bytes", bytes)
        .known("message_bytes_ready", queue.message_bytes_ready)
        .known("message_bytes_unacknowledged", queue.message_bytes_unacknowledged)
        .set("consumers", queue.consumers)
        .set(
            "exclusive_consumer_tag",
            queue.exclusive_consumer_tag.as_deref().map_or(Value::Null, Value::from),
        )
        .known("owner_pid_details", queue.owner.as_ref().map(peer_json));
    if queue.queue_type == "quorum" {
        return object.set("leader", node).set("members", json!([node])).set("online", json!([node]));
    }
    object
}
