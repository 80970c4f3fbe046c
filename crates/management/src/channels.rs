//! `/api/channels`.

use leveret_core::admin::{ChannelRef, ChannelView};
use serde_json::{Value, json};

use crate::arguments::Object;
use crate::connections::peer_json;
use crate::error::ApiError;
use crate::list::list;
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn list_all(request: &Request<'_>) -> Result<Answer, ApiError> {
    let mut channels = request.admin.channels();
    channels.retain(|view| request.caller.sees_connection_of(&view.channel.user));
    channels.sort_by(|left, right| order(left).cmp(&order(right)));
    let node = request.admin.node_name();
    let items = channels.iter().map(|view| channel_json(view, &node)).collect();
    Ok(Answer::Ok(list(request, items)?))
}

fn order(view: &ChannelView) -> (&str, &str, u16) {
    (&view.vhost, &view.channel.peer.connection_name, view.channel.number)
}

fn channel_json(view: &ChannelView, node: &str) -> Value {
    Object::default()
        .set("name", channel_name(&view.channel))
        .set("number", view.channel.number)
        .set("node", node)
        .set("user", view.channel.user.as_str())
        .set("user_who_performed_action", view.channel.user.as_str())
        .set("vhost", view.vhost.as_str())
        .set("state", "running")
        .set("connection_details", peer_json(&view.channel.peer))
        .set("consumer_count", view.consumer_count)
        .set("confirm", view.confirm)
        .set("transactional", view.transactional)
        .set("prefetch_count", view.prefetch_count)
        .set("global_prefetch_count", view.global_prefetch_count)
        .set("messages_unacknowledged", view.messages_unacknowledged)
        .set("messages_unconfirmed", view.messages_unconfirmed)
        .set("messages_uncommitted", view.messages_uncommitted)
        .set("acks_uncommitted", view.acks_uncommitted)
        .into()
}

fn channel_name(channel: &ChannelRef) -> String {
    format!("{} ({})", channel.peer.connection_name, channel.number)
}

/// `channel_details`.
pub(crate) fn channel_details(channel: &ChannelRef, node: &str) -> Value {
    json!({
        "name": channel_name(channel),
        "number": channel.number,
        "connection_name": channel.peer.connection_name,
        "node": node,
        "peer_host": channel.peer.peer_host.to_string(),
        "peer_port": channel.peer.peer_port,
        "user": channel.user,
    })
}
