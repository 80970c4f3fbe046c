//! `/api/vhosts`.

use leveret_core::admin::VhostView;
use serde_json::{Value, json};

use crate::arguments::Object;
use crate::error::ApiError;
use crate::list::{list, single};
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
    let name = request.part(0)?;
    let vhost =
        request.admin.vhosts().into_iter().find(|vhost| vhost.name == name).ok_or(ApiError::NotFound)?;
    let node = request.admin.node_name();
    Ok(Answer::Ok(single(request, vhost_json(request, &vhost, &node))))
}

fn vhost_json(request: &Request<'_>, vhost: &VhostView, node: &str) -> Value {
    let (mut ready, mut unacknowledged) = (0u64, 0u64);
    for queue in request.admin.queues(Some(&vhost.name)) {
        ready = ready.saturating_add(queue.messages_ready);
        unacknowledged = unacknowledged.saturating_add(queue.messages_unacknowledged);
    }
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
        .set("messages", ready.saturating_add(unacknowledged))
        .set("messages_ready", ready)
        .set("messages_unacknowledged", unacknowledged)
        .into()
}
