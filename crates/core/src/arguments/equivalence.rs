//! What a redeclaration must repeat, and the texts that say what differs.

use leveret_protocol::field_table::FieldValue;
use leveret_routing::erlang_term::{Term, type_name};

use super::{Arguments, QueueType};
use crate::error::BrokerError;

impl QueueType {
    /// The arguments that a redeclaration must repeat, in the order in which RabbitMQ compares them.
    const fn compared_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Classic => &[
                "x-expires",
                "x-message-ttl",
                "x-dead-letter-exchange",
                "x-dead-letter-routing-key",
                "x-max-length",
                "x-max-length-bytes",
                "x-max-priority",
                "x-overflow",
                "x-queue-mode",
                "x-queue-version",
                "x-single-active-consumer",
                "x-queue-master-locator",
                "x-queue-leader-locator",
            ],
            Self::Quorum => &[
                "x-dead-letter-exchange",
                "x-dead-letter-routing-key",
                "x-dead-letter-strategy",
                "x-expires",
                "x-max-length",
                "x-max-length-bytes",
                "x-max-in-memory-length",
                "x-max-in-memory-bytes",
                "x-overflow",
                "x-single-active-consumer",
                "x-quorum-initial-group-size",
                "x-delivery-limit",
                "x-message-ttl",
                "x-queue-leader-locator",
            ],
        }
    }
}

/// Whether a queue that exists has the arguments of a new declaration: only those that its type knows count, and
/// all widths of integers are one.
///
/// # Errors
/// 406 with RabbitMQ's text for the first argument that differs.
pub fn check_queue_equivalence(
    current: &Arguments,
    queue_type: QueueType,
    received: &Arguments,
    resource: &str,
) -> Result<(), BrokerError> {
    let default = FieldValue::LongString(b"classic");
    let received_type = received.get("x-queue-type").unwrap_or(default);
    let current_type = FieldValue::LongString(queue_type.as_str().as_bytes());
    check_equal("x-queue-type", Some(current_type), Some(received_type), resource)?;
    for key in queue_type.compared_arguments() {
        check_equal(key, current.get(key), received.get(key), resource)?;
    }
    Ok(())
}

/// Compares one argument of a declaration with the one in force.
///
/// # Errors
/// 406 with RabbitMQ's text if they differ.
pub fn check_equal(
    key: &str,
    current: Option<FieldValue<'_>>,
    received: Option<FieldValue<'_>>,
    resource: &str,
) -> Result<(), BrokerError> {
    let (received, current) = match (received, current) {
        (None, None) => return Ok(()),
        (Some(received), Some(current)) if is_same(&received, &current) => return Ok(()),
        (Some(received), Some(current)) => (quoted(&received), quoted(&current)),
        (received, current) => (described(received.as_ref()), described(current.as_ref())),
    };
    Err(inequivalent(key, resource, &received, &current))
}

/// 406 `inequivalent arg …`.
pub(crate) fn inequivalent(key: &str, resource: &str, received: &str, current: &str) -> BrokerError {
    BrokerError::precondition_failed(format!(
        "inequivalent arg '{key}' for {resource}: received {received} but current is {current}"
    ))
}

fn is_same(a: &FieldValue<'_>, b: &FieldValue<'_>) -> bool {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a == b,
        _ => match (a, b) {
            (
                FieldValue::LongString(a) | FieldValue::Bytes(a),
                FieldValue::LongString(b) | FieldValue::Bytes(b),
            ) => a == b,
            (a, b) => a == b,
        },
    }
}

/// A value as text: strings bare, the rest as a term.
fn plain(value: &FieldValue<'_>) -> String {
    match value {
        FieldValue::LongString(text) | FieldValue::Bytes(text) => String::from_utf8_lossy(text).into_owned(),
        other => Term(*other).to_string(),
    }
}

fn quoted(value: &FieldValue<'_>) -> String {
    match value {
        FieldValue::Void => "none".to_owned(),
        value => format!("'{}'", plain(value)),
    }
}

fn described(value: Option<&FieldValue<'_>>) -> String {
    match value {
        None => "none".to_owned(),
        Some(value) => format!("the value '{}' of type '{}'", plain(value), type_name(value)),
    }
}
