//! `/api/channels`.

use leveret_core::admin::{ChannelRef, ChannelView};
use serde_json::{Value, json};

use crate::arguments::Object;
use crate::connections::{self, peer_json};
use crate::consumers::consumer_json;
use crate::error::ApiError;
use crate::list::{list, single};
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn list_all(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_where(request, |_| true)
}

pub(crate) fn list_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    let vhost = request.part(0)?;
    list_where(request, |view| view.vhost == vhost)
}

pub(crate) fn list_connection(request: &Request<'_>) -> Result<Answer, ApiError> {
    let connection = connections::named(request)?;
    list_where(request, |view| view.channel.peer == connection.peer)
}

fn list_where(request: &Request<'_>, keep: impl Fn(&ChannelView) -> bool) -> Result<Answer, ApiError> {
    let mut channels = request.admin.channels();
    channels.retain(|view| request.caller.sees_connection_of(&view.channel.user) && keep(view));
    channels.sort_by(|left, right| order(left).cmp(&order(right)));
    let node = request.admin.node_name();
    let items = channels.iter().map(|view| channel_json(view, &node).into()).collect();
    Ok(Answer::Ok(list(request, items)?))
}

pub(crate) fn show(request: &Request<'_>) -> Result<Answer, ApiError> {
    let name = request.part(0)?;
    let mut channels = request.admin.channels().into_iter();
    let view = channels.find(|view| channel_name(&view.channel) == name).ok_or(ApiError::NotFound)?;
    if !request.caller.sees_connection_of(&view.channel.user) {
        return Err(ApiError::NotAuthorised("User not authorised to access object"));
    }
    let node = request.admin.node_name();
    let style = request.argument_style();
    let consumers = request.admin.consumers(Some(&view.vhost));
    let of_channel = consumers.iter().filter(|consumer| consumer.channel == view.channel);
    let details: Vec<Value> = of_channel.map(|consumer| consumer_json(consumer, &node, style)).collect();
    Ok(Answer::Ok(single(request, channel_json(&view, &node).set("consumer_details", details))))
}

fn order(view: &ChannelView) -> (&str, &str, u16) {
    (&view.vhost, &view.channel.peer.connection_name, view.channel.number)
}

fn channel_json(view: &ChannelView, node: &str) -> Object {
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
}

/// The name that lists show.
pub(crate) fn channel_name(channel: &ChannelRef) -> String {
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
