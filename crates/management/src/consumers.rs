//! `/api/consumers`.

use leveret_core::admin::ConsumerView;
use serde_json::{Value, json};

use crate::arguments::{ArgumentStyle, Object, arguments_json};
use crate::channels::channel_details;
use crate::error::ApiError;
use crate::list::list;
use crate::request::Request;
use crate::routes::Answer;
use crate::vhosts;

pub(crate) fn list_all(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_consumers(request, None)
}

pub(crate) fn list_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    let vhost = vhosts::named(request)?;
    list_consumers(request, Some(&vhost.name))
}

fn list_consumers(request: &Request<'_>, vhost: Option<&str>) -> Result<Answer, ApiError> {
    let mut consumers = request.admin.consumers(vhost);
    consumers.retain(|consumer| request.caller.sees_connection_of(&consumer.channel.user));
    consumers.sort_by(|left, right| order(left).cmp(&order(right)));
    let node = request.admin.node_name();
    let style = request.argument_style();
    let items = consumers.iter().map(|consumer| consumer_json(consumer, &node, style)).collect();
    Ok(Answer::Ok(list(request, items)?))
}

fn order(consumer: &ConsumerView) -> (&str, &str, &str, &str, u16) {
    let channel = &consumer.channel;
    (&consumer.vhost, &consumer.queue, &channel.peer.connection_name, &consumer.consumer_tag, channel.number)
}

/// One consumer, also within its queue's answer.
pub(crate) fn consumer_json(consumer: &ConsumerView, node: &str, style: ArgumentStyle) -> Value {
    let activity = if consumer.active { "up" } else { "waiting" };
    Object::default()
        .set("consumer_tag", consumer.consumer_tag.as_str())
        .set("queue", json!({"name": consumer.queue, "vhost": consumer.vhost}))
        .set("channel_details", channel_details(&consumer.channel, node))
        .set("ack_required", consumer.ack_required)
        .set("prefetch_count", consumer.prefetch_count)
        .set("exclusive", consumer.exclusive)
        .set("active", consumer.active)
        .set("activity_status", activity)
        .set("arguments", arguments_json(&consumer.arguments, style))
        .into()
}
