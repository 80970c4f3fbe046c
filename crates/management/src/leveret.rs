//! `/api/leveret`: what the command line needs and RabbitMQ's API lacks.

use std::net::IpAddr;

use leveret_core::admin::{DiskFreeLimit, Listener, MemoryWatermark, NodeStatus};
use serde_json::{Value, json};

use crate::arguments::Object;
use crate::error::ApiError;
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn ping(_request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Ok(json!({"status": "ok"})))
}

/// The keys are those of `rabbitmqctl status --formatter json`, as far as there is something to say.
pub(crate) fn status(request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Ok(status_json(&request.admin.node_status())))
}

/// The address that a listener is bound to, as RabbitMQ shows it.
pub(crate) fn interface(listener: &Listener) -> String {
    match listener.ip_address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// What a protocol is for, in RabbitMQ's words; AMQP 1.0 is not there.
fn purpose(protocol: &str) -> &'static str {
    match protocol {
        "amqp" => "AMQP 0-9-1",
        "amqp/ssl" => "AMQP 0-9-1 over TLS",
        "http" => "HTTP API",
        "https" => "HTTP API over TLS (HTTPS)",
        _ => "Prometheus exporter API over HTTP",
    }
}

fn status_json(node: &NodeStatus) -> Value {
    let watermark = match node.mem_watermark {
        MemoryWatermark::Relative(part) => json!({"relative": part}),
        MemoryWatermark::Absolute(bytes) => json!({"absolute": bytes}),
    };
    let alarms: Vec<Value> = node
        .alarms
        .iter()
        .map(|alarm| json!({"node": node.name, "type": "resource_limit", "resource": alarm.as_str()}))
        .collect();
    let listeners: Vec<Value> = node
        .listeners
        .iter()
        .map(|listener| {
            json!({
                "node": node.name,
                "protocol": listener.protocol,
                "interface": interface(listener),
                "port": listener.port,
                "purpose": purpose(listener.protocol),
            })
        })
        .collect();
    Object::default()
        .set("node", node.name.as_str())
        .set("cluster_name", node.cluster_name.as_str())
        .set("os", std::env::consts::OS)
        .set("pid", node.os_pid)
        .set("uptime", node.uptime_ms / 1_000)
        .set("is_under_maintenance", false)
        .set("product_name", node.product_name.as_str())
        .set("product_version", node.product_version.as_str())
        .set("rabbitmq_version", node.product_version.as_str())
        .set("leveret_version", node.leveret_version.as_str())
        .set("processors", node.processors)
        .set("memory", json!({"total": {"rss": node.mem_used}, "strategy": "rss"}))
        .set("vm_memory_calculation_strategy", "rss")
        .set("vm_memory_high_watermark_setting", watermark)
        .set("vm_memory_high_watermark_limit", node.mem_limit)
        .known("disk_free", node.disk_free)
        .set("disk_free_limit", node.disk_free_limit)
        .set("file_descriptors", file_descriptors(node))
        .set("alarms", alarms)
        .set("tags", json!([]))
        .set("listeners", listeners)
        .set("data_directory", node.data_dir.as_str())
        .set("config_files", node.config_files.clone())
        .set("log_files", json!(["<stdout>"]))
        .set("active_plugins", json!([]))
        .set("storage", storage(node))
        .set("totals", totals(node))
        .into()
}

fn file_descriptors(node: &NodeStatus) -> Object {
    Object::default()
        .known("total_used", node.fd_used)
        .set("total_limit", node.fd_total)
        .set("sockets_used", node.sockets_used)
        .set("sockets_limit", node.sockets_total)
}

fn storage(node: &NodeStatus) -> Value {
    let storage = &node.storage;
    json!({
        "durability": storage.durability,
        "slot_bytes": storage.slot_bytes,
        "slots_used": storage.slots_used,
        "slots_free": storage.slots_free,
        "used_bytes": storage.used_bytes,
        "runs": storage.runs,
        "run_bytes": storage.run_bytes,
        "tail_messages": storage.tail_messages,
        "tail_bytes": storage.tail_bytes,
        "hot_window_bytes": storage.hot_window_bytes,
        "hot_bytes": storage.hot_bytes,
        "spill_bytes": storage.spill_bytes,
        "damaged_queues": storage.damaged_queues,
    })
}

fn totals(node: &NodeStatus) -> Value {
    json!({
        "virtual_host_count": node.totals.vhosts,
        "connection_count": node.totals.connections,
        "queue_count": node.totals.queues,
    })
}

pub(crate) fn stop(request: &Request<'_>) -> Result<Answer, ApiError> {
    request.admin.request_stop();
    Ok(Answer::Done)
}

/// `{"relative": 0.5}` or `{"absolute": 4000000000}`.
pub(crate) fn set_memory_watermark(request: &Request<'_>) -> Result<Answer, ApiError> {
    let watermark = match limit(&request.body)? {
        Limit::Relative(part) if (0.0..=1.0).contains(&part) => MemoryWatermark::Relative(part),
        Limit::Relative(_) => {
            return Err(ApiError::bad_request("relative must be between 0 and 1"));
        }
        Limit::Absolute(bytes) => MemoryWatermark::Absolute(bytes),
    };
    request.admin.set_memory_watermark(watermark)?;
    Ok(Answer::Done)
}

/// `{"absolute": 1000000000}`, or `{"relative": 1.5}` as a multiple of the machine's memory.
pub(crate) fn set_disk_free_limit(request: &Request<'_>) -> Result<Answer, ApiError> {
    let limit = match limit(&request.body)? {
        Limit::Relative(part) if part >= 0.0 => DiskFreeLimit::Relative(part),
        Limit::Relative(_) => return Err(ApiError::bad_request("relative must not be negative")),
        Limit::Absolute(bytes) => DiskFreeLimit::Absolute(bytes),
    };
    request.admin.set_disk_free_limit(limit)?;
    Ok(Answer::Done)
}

enum Limit {
    Relative(f64),
    Absolute(u64),
}

fn limit(body: &Value) -> Result<Limit, ApiError> {
    if let Some(part) = body.get("relative").and_then(Value::as_f64) {
        return Ok(Limit::Relative(part));
    }
    if let Some(bytes) = body.get("absolute").and_then(Value::as_u64) {
        return Ok(Limit::Absolute(bytes));
    }
    Err(ApiError::bad_request("a number \"relative\" or a number of bytes \"absolute\" is needed"))
}
