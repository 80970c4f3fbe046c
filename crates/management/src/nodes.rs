//! `/api/nodes`: this broker is the only one.

use leveret_core::admin::{Alarm, NodeStatus};
use serde_json::{Value, json};

use crate::arguments::Object;
use crate::error::ApiError;
use crate::list::{list, single};
use crate::overview::exchange_types;
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn list_all(request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Ok(list(request, vec![node_json(&request.admin.node_status())])?))
}

pub(crate) fn show(request: &Request<'_>) -> Result<Answer, ApiError> {
    let node = request.admin.node_status();
    is_named(request, &node.name)?;
    Ok(Answer::Ok(single(request, node_json(&node))))
}

/// RabbitMQ's breakdown is one of the Erlang machine; it too says this where it has none.
pub(crate) fn memory(request: &Request<'_>) -> Result<Answer, ApiError> {
    is_named(request, &request.admin.node_name())?;
    Ok(Answer::Ok(json!({"memory": "not_available"})))
}

fn is_named(request: &Request<'_>, node: &str) -> Result<(), ApiError> {
    if request.part(0)? == node { Ok(()) } else { Err(ApiError::NotFound) }
}

/// One node has its queues in balance.
pub(crate) fn rebalance(_request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Done)
}

fn node_json(node: &NodeStatus) -> Value {
    Object::default()
        .set("name", node.name.as_str())
        .set("type", "disc")
        .set("running", true)
        .set("being_drained", false)
        .set("os_pid", node.os_pid.to_string())
        .set("uptime", node.uptime_ms)
        .set("processors", node.processors)
        .set("rates_mode", "basic")
        .set("mem_used", node.mem_used)
        .set("mem_limit", node.mem_limit)
        .set("mem_alarm", node.alarms.contains(&Alarm::Memory))
        .known("disk_free", node.disk_free)
        .set("disk_free_limit", node.disk_free_limit)
        .set("disk_free_alarm", node.alarms.contains(&Alarm::Disk))
        .known("fd_used", node.fd_used)
        .set("fd_total", node.fd_total)
        .set("sockets_used", node.sockets_used)
        .set("sockets_total", node.sockets_total)
        .set("partitions", json!([]))
        .set("enabled_plugins", json!([]))
        .set(
            "applications",
            json!([{
                "name": "rabbit",
                "description": node.product_name,
                "version": node.product_version,
            }]),
        )
        .set("exchange_types", exchange_types())
        .set("auth_mechanisms", auth_mechanisms(node))
        .set("db_dir", node.data_dir.as_str())
        .set("config_files", node.config_files.clone())
        .set("log_files", json!(["<stdout>"]))
        .set("contexts", json!([]))
        .set("leveret_version", node.leveret_version.as_str())
        .into()
}

/// In RabbitMQ's words.
fn auth_mechanisms(node: &NodeStatus) -> Value {
    let described = |(name, enabled): &(&'static str, bool)| {
        let description = match *name {
            "PLAIN" => "SASL PLAIN authentication mechanism",
            "AMQPLAIN" => "QPid AMQPLAIN mechanism",
            "ANONYMOUS" => "SASL ANONYMOUS authentication mechanism",
            _ => "SASL EXTERNAL authentication mechanism",
        };
        json!({"name": name, "description": description, "enabled": enabled})
    };
    node.auth_mechanisms.iter().map(described).collect()
}
