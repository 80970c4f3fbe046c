//! Publishing to an exchange and getting from a queue over HTTP.
//!
//! RabbitMQ does both over a channel of its own, so that refusals are told in another form than elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use leveret_core::admin::{
    AckMode, AdminError, GetExtent, MessageProperties, MessageView, NewMessage, PROPERTY_NAMES, PropertyValue,
};
use leveret_core::error::reply_code;
use serde_json::{Map, Value, json};

use crate::arguments::{ArgumentStyle, arguments_json};
use crate::body::{integer, required, table_of, text};
use crate::error::ApiError;
use crate::exchanges::{self, name_of};
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn publish(request: &Request<'_>) -> Result<Answer, ApiError> {
    if !exchanges::exists(request) {
        return Err(ApiError::Missing("exchange_not_found".to_owned()));
    }
    let vhost = request.part(0)?;
    may_enter(request, vhost)?;
    let keys = ["payload", "payload_encoding", "properties", "routing_key"];
    let [payload, encoding, properties, routing_key] = required(&request.body, keys)?;
    let message = NewMessage {
        exchange: name_of(request.part(1)?).to_owned(),
        routing_key: text("routing_key", routing_key)?.to_owned(),
        properties: properties_of(properties)?,
        payload: payload_of(text("payload", payload)?, encoding)?,
    };
    let routed =
        request.admin.publish(request.caller.acting(), vhost, &message).map_err(|error| match error {
            AdminError::Refused(refused) => ApiError::bad_request(refused.to_string()),
            other => other.into(),
        })?;
    Ok(Answer::Ok(json!({"routed": routed})))
}

pub(crate) fn get(request: &Request<'_>) -> Result<Answer, ApiError> {
    let (vhost, queue) = (request.part(0)?, request.part(1)?);
    if request.admin.queue(vhost, queue).is_none() {
        return Err(ApiError::Missing("queue_not_found".to_owned()));
    }
    may_enter(request, vhost)?;
    let [ack_mode, count, encoding] = required(&request.body, ["ackmode", "count", "encoding"])?;
    let ack_mode = match ack_mode.as_str() {
        Some("ack_requeue_true" | "reject_requeue_true") => AckMode::Requeue,
        Some("ack_requeue_false") => AckMode::Ack,
        Some("reject_requeue_false") => AckMode::Reject,
        _ => return Err(ApiError::bad_request(json!(["unsupported_ackmode", ack_mode]))),
    };
    let in_base64 = match encoding.as_str() {
        Some("auto") => false,
        Some("base64") => true,
        _ => return Err(ApiError::bad_request("Unsupported encoding. Please use auto or base64.")),
    };
    let limit = |value: &Value| Ok::<_, ApiError>(u64::try_from(integer(value)?).unwrap_or(u64::MAX));
    let extent = GetExtent {
        count: limit(count)?,
        truncate: request.body.get("truncate").map_or(Ok(u64::MAX), limit)?,
    };
    let messages = request.admin.get_messages(request.caller.acting(), vhost, queue, ack_mode, extent);
    let messages = messages.map_err(told)?;
    Ok(Answer::Ok(messages.into_iter().map(|message| message_json(message, in_base64)).collect()))
}

/// A connection is opened for this, so a user without any permission in the virtual host gets no further.
pub(crate) fn may_enter(request: &Request<'_>, vhost: &str) -> Result<(), ApiError> {
    if request.caller.has_permission_in(vhost) {
        Ok(())
    } else {
        Err(ApiError::NotAuthorised("Access refused."))
    }
}

/// A refusal that closed the channel.
pub(crate) fn told(error: AdminError) -> ApiError {
    match error {
        AdminError::Refused(refused) => match refused.code {
            reply_code::ACCESS_REFUSED => ApiError::Refused(refused.reply_text()),
            reply_code::NOT_FOUND => ApiError::Missing(refused.reply_text()),
            _ => ApiError::bad_request(refused.to_string()),
        },
        other => other.into(),
    }
}

fn payload_of(payload: &str, encoding: &Value) -> Result<Vec<u8>, ApiError> {
    match encoding.as_str() {
        Some("string") => Ok(payload.as_bytes().to_vec()),
        Some("base64") => {
            STANDARD.decode(payload).map_err(|_| ApiError::bad_request(json!(["not_base64", payload])))
        }
        _ => Err(ApiError::bad_request(json!(["unsupported_encoding", encoding]))),
    }
}

/// What is no property of a message is passed over; no properties may be written as a list too.
fn properties_of(value: &Value) -> Result<MessageProperties, ApiError> {
    let object = match value {
        Value::Object(object) => object,
        Value::Array(items) if items.is_empty() => return Ok(Vec::new()),
        _ => return Err(ApiError::bad_request(json!(["not_table", "properties"]))),
    };
    let mut properties = Vec::new();
    for name in PROPERTY_NAMES {
        if let Some(value) = object.get(name) {
            properties.push((name, property_of(name, value)?));
        }
    }
    Ok(properties)
}

fn property_of(name: &str, value: &Value) -> Result<PropertyValue, ApiError> {
    let number = || value.as_u64().ok_or_else(|| ApiError::bad_request(json!(["not_int", name])));
    Ok(match name {
        "headers" => PropertyValue::Headers(table_of(Some(value), name)?),
        "timestamp" => PropertyValue::Timestamp(number()?),
        "delivery_mode" | "priority" => {
            let small = u8::try_from(number()?);
            PropertyValue::Octet(small.map_err(|_| ApiError::bad_request(json!(["out_of_range", name])))?)
        }
        _ => PropertyValue::Text(text(name, value)?.as_bytes().to_vec()),
    })
}

/// A message, its body as text where it is one and in base64 elsewhere.
pub(crate) fn message_json(message: MessageView, in_base64: bool) -> Value {
    let text = if in_base64 { Err(message.payload) } else { into_text(message.payload) };
    let (payload, encoding) = match text {
        Ok(text) => (text, "string"),
        Err(bytes) => (STANDARD.encode(bytes), "base64"),
    };
    json!({
        "payload_bytes": message.payload_bytes,
        "redelivered": message.redelivered,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "message_count": message.message_count,
        "properties": properties_json(&message.properties),
        "payload": payload,
        "payload_encoding": encoding,
    })
}

fn into_text(bytes: Vec<u8>) -> Result<String, Vec<u8>> {
    String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes)
}

/// No properties are an empty list, as RabbitMQ writes them.
fn properties_json(properties: &MessageProperties) -> Value {
    if properties.is_empty() {
        return Value::Array(Vec::new());
    }
    let value_json = |value: &PropertyValue| match value {
        PropertyValue::Text(bytes) => String::from_utf8_lossy(bytes).into(),
        PropertyValue::Octet(number) => (*number).into(),
        PropertyValue::Timestamp(seconds) => (*seconds).into(),
        PropertyValue::Headers(headers) => arguments_json(headers, ArgumentStyle::Plain),
    };
    properties
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value_json(value)))
        .collect::<Map<_, _>>()
        .into()
}
