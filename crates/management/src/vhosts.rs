//! `/api/vhosts`.

use leveret_core::admin::{PermissionView, QueueStats, VhostSettings, VhostView};
use serde_json::{Value, json};

use crate::arguments::Object;
use crate::auth::existing_vhost;
use crate::body::{boolean, tags, text};
use crate::error::ApiError;
use crate::list::{list, single};
use crate::message_stats;
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn list_all(request: &Request<'_>) -> Result<Answer, ApiError> {
    let mut vhosts = request.admin.vhosts();
    vhosts.retain(|vhost| request.caller.may_monitor() || request.caller.sees_vhost(&vhost.name));
    vhosts.sort_by(|left, right| left.name.cmp(&right.name));
    let node = request.admin.node_name();
    let items = vhosts.iter().map(|vhost| vhost_json(request, vhost, &node)).collect();
    Ok(Answer::Ok(list(request, items)?))
}

pub(crate) fn show(request: &Request<'_>) -> Result<Answer, ApiError> {
    let vhost = named(request)?;
    let node = request.admin.node_name();
    Ok(Answer::Ok(single(request, vhost_json(request, &vhost, &node))))
}

/// The virtual host that the path's first variable part names.
pub(crate) fn named(request: &Request<'_>) -> Result<VhostView, ApiError> {
    let name = existing_vhost(request.admin, request.part(0)?).ok_or(ApiError::NotFound)?;
    request.admin.vhosts().into_iter().find(|vhost| vhost.name == name).ok_or(ApiError::NotFound)
}

/// A new one's creator may do everything in it. Description and tags that are not given become empty, the type of
/// its queues stays.
pub(crate) fn put(request: &Request<'_>) -> Result<Answer, ApiError> {
    let body = &request.body;
    if boolean(body, "tracing")? {
        return Err(ApiError::bad_request("tracing is not supported"));
    }
    let queue_type = body.get("default_queue_type").or_else(|| body.get("defaultqueuetype"));
    let settings = VhostSettings {
        description: Some(match body.get("description") {
            None | Some(Value::Null) => String::new(),
            Some(description) => text("description", description)?.to_owned(),
        }),
        tags: Some(body.get("tags").map(tags).transpose()?.unwrap_or_default()),
        default_queue_type: match queue_type {
            None | Some(Value::Null) => None,
            Some(queue_type) => Some(text("default_queue_type", queue_type)?.to_owned()),
        },
    };
    let name = request.part(0)?;
    let is_new = request.admin.put_vhost(name, &settings)?;
    if is_new && let Some(creator) = request.caller.name() {
        request.admin.put_permission(&PermissionView {
            vhost: name.to_owned(),
            user: creator.to_owned(),
            configure: ".*".to_owned(),
            write: ".*".to_owned(),
            read: ".*".to_owned(),
        })?;
    }
    Ok(Answer::put(is_new))
}

pub(crate) fn delete(request: &Request<'_>) -> Result<Answer, ApiError> {
    request.admin.delete_vhost(request.part(0)?)?;
    Ok(Answer::Done)
}

/// Every virtual host runs as long as the broker does.
pub(crate) fn start(request: &Request<'_>) -> Result<Answer, ApiError> {
    named(request)?;
    let node = request.part(1)?;
    if node == request.admin.node_name() {
        Ok(Answer::Done)
    } else {
        Err(ApiError::bad_request(format!("Request to node {node} failed with nodedown")))
    }
}

fn vhost_json(request: &Request<'_>, vhost: &VhostView, node: &str) -> Value {
    let (mut ready, mut unacknowledged) = (0u64, 0u64);
    let mut stats = QueueStats::default();
    for queue in request.admin.queues(Some(&vhost.name)) {
        ready = ready.saturating_add(queue.messages_ready);
        unacknowledged = unacknowledged.saturating_add(queue.messages_unacknowledged);
        stats = stats.plus(queue.stats);
    }
    let now_ms = request.admin.uptime_ms();
    let whose = format!("vhost/{}", vhost.name);
    let lengths = [
        ("messages", ready.saturating_add(unacknowledged)),
        ("messages_ready", ready),
        ("messages_unacknowledged", unacknowledged),
    ];
    Object::default()
        .set("name", vhost.name.as_str())
        .set("description", vhost.description.as_str())
        .set("tags", vhost.tags.clone())
        .set("default_queue_type", vhost.default_queue_type.as_str())
        .set(
            "metadata",
            json!({
                "description": vhost.description,
                "tags": vhost.tags,
                "default_queue_type": vhost.default_queue_type,
            }),
        )
        .set("tracing", false)
        .set("cluster_state", json!({node: "running"}))
        .merge(request.rates.object(&format!("lengths/{whose}"), now_ms, &lengths))
        .known("message_stats", message_stats::of_queues(request.rates, &whose, now_ms, &stats))
        .into()
}
