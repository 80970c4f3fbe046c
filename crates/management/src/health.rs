//! `/api/health/checks`: cheap answers that touch no queue.

use leveret_core::admin::{AckMode, CertificateEnd, GetExtent, ListenerCertificates, NewMessage, QueueSpec};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::leveret::interface;
use crate::messages;
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn alarms(request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(check(request, "There are alarms in effect in the cluster"))
}

pub(crate) fn local_alarms(request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(check(request, "There are alarms in effect on the node"))
}

/// All virtual hosts run as long as the broker does.
pub(crate) fn virtual_hosts(_request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Ok(json!({"status": "ok"})))
}

/// No other node waits for this one.
pub(crate) fn quorum_critical(_request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Ok(json!({"status": "ok", "reason": "single node cluster"})))
}

/// Whether a certificate of a TLS listener, or of its authorities, ends within that time.
pub(crate) fn certificate_expiration(request: &Request<'_>) -> Result<Answer, ApiError> {
    let (within, unit) = (request.part(0)?, request.part(1)?);
    let within: i64 = within.parse().map_err(|_| ApiError::bad_request("Invalid expiration value."))?;
    // As long as RabbitMQ takes them.
    let days = match unit {
        "days" => 1,
        "weeks" => 7,
        "months" => 30,
        "years" => 365,
        _ => {
            let units = "days, weeks, months, years";
            let reason = format!("Time unit not recognised. Supported units: {units}.");
            return Err(ApiError::bad_request(reason));
        }
    };
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_secs());
    let limit_s = i64::try_from(now).unwrap_or(i64::MAX).saturating_add(within.saturating_mul(days * 86_400));
    let mut expired = request.admin.certificates();
    expired.retain(|it| it.certfile_ends.iter().chain(&it.cacertfile_ends).any(|end| end.at_s < limit_s));
    if expired.is_empty() {
        return Ok(Answer::Ok(json!({"status": "ok"})));
    }
    let node = request.admin.node_name();
    let expired: Vec<Value> = expired.iter().map(|it| certificates_json(&node, it)).collect();
    Ok(Answer::Unavailable(
        json!({"status": "failed", "reason": "Certificates expiring", "expired": expired}),
    ))
}

fn certificates_json(node: &str, certificates: &ListenerCertificates) -> Value {
    let times = |ends: &[CertificateEnd]| ends.iter().map(|end| end.text.clone()).collect::<Vec<_>>();
    json!({
        "node": node,
        "port": certificates.listener.port,
        "protocol": certificates.listener.protocol,
        "interface": interface(&certificates.listener),
        "certfile": certificates.certfile,
        "cacertfile": certificates.cacertfile,
        "certfile_expires_on": times(&certificates.certfile_ends),
        "cacertfile_expires_on": times(&certificates.cacertfile_ends),
    })
}

pub(crate) fn port_listener(request: &Request<'_>) -> Result<Answer, ApiError> {
    let port: u64 = request.part(0)?.parse().map_err(|_| ApiError::bad_request("Invalid port"))?;
    let ports: Vec<u64> = request.admin.node_status().listeners.iter().map(|l| l.port.into()).collect();
    Ok(if ports.contains(&port) {
        Answer::Ok(json!({"status": "ok", "port": port}))
    } else {
        let reason = "No active listener";
        Answer::Unavailable(json!({"status": "failed", "reason": reason, "missing": port, "ports": ports}))
    })
}

pub(crate) fn protocol_listener(request: &Request<'_>) -> Result<Answer, ApiError> {
    let asked = request.part(0)?;
    let protocol = protocol_name(asked);
    let protocols: Vec<&str> = request.admin.node_status().listeners.iter().map(|l| l.protocol).collect();
    Ok(if protocols.contains(&protocol) {
        Answer::Ok(json!({"status": "ok", "protocol": protocol}))
    } else {
        let reason = "No active listener";
        let missing = protocol;
        Answer::Unavailable(
            json!({"status": "failed", "reason": reason, "missing": missing, "protocols": protocols}),
        )
    })
}

/// A protocol's name among the listeners, for the names that people use.
fn protocol_name(asked: &str) -> &str {
    match asked {
        "amqp091" | "amqp0.9.1" | "amqp0-9-1" | "amqp-0-9-1" => "amqp",
        "amqps" | "amqp+ssl" => "amqp/ssl",
        "http/api" | "management" => "http",
        other => other,
    }
}

/// A test message makes the way through a queue that stays for the next test.
pub(crate) fn aliveness(request: &Request<'_>) -> Result<Answer, ApiError> {
    const QUEUE: &str = "aliveness-test";
    let (admin, acting, vhost) = (request.admin, request.caller.acting(), request.part(0)?);
    messages::may_enter(request, vhost)?;
    let queue = QueueSpec { name: QUEUE.to_owned(), ..QueueSpec::default() };
    admin.declare_queue(acting, vhost, &queue).map_err(messages::told)?;
    let message = NewMessage {
        routing_key: QUEUE.to_owned(),
        payload: b"test_message".to_vec(),
        ..NewMessage::default()
    };
    admin.publish(acting, vhost, &message).map_err(messages::told)?;
    let one = GetExtent { count: 1, truncate: 64 };
    let got = admin.get_messages(acting, vhost, QUEUE, AckMode::Ack, one).map_err(messages::told)?;
    Ok(if got.is_empty() {
        Answer::Unavailable(json!({"status": "failed", "reason": "the message did not arrive"}))
    } else {
        Answer::Ok(json!({"status": "ok"}))
    })
}

/// The old check of a node as a whole.
pub(crate) fn node(request: &Request<'_>) -> Result<Answer, ApiError> {
    let asked = request.path.first();
    if asked.is_some_and(|asked| *asked != request.admin.node_name()) {
        return Err(ApiError::NotFound);
    }
    let alarms: Vec<&str> = request.admin.alarms().iter().map(|alarm| alarm.as_str()).collect();
    Ok(Answer::Ok(if alarms.is_empty() {
        json!({"status": "ok"})
    } else {
        json!({"status": "failed", "reason": format!("resource alarm(s) in effect:[{}]", alarms.join(","))})
    }))
}

fn check(request: &Request<'_>, reason: &str) -> Answer {
    let alarms = request.admin.alarms();
    if alarms.is_empty() {
        return Answer::Ok(json!({"status": "ok"}));
    }
    let node = request.admin.node_name();
    let alarms: Vec<Value> =
        alarms.iter().map(|alarm| json!({"node": node, "resource": alarm.as_str()})).collect();
    Answer::Unavailable(json!({"status": "failed", "reason": reason, "alarms": alarms}))
}
