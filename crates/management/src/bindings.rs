//! `/api/bindings`. Every queue is bound to the default exchange under its name; those bindings are shown too.

use std::fmt::Write as _;

use leveret_core::admin::{BindingView, DestinationKind};
use serde_json::Value;

use crate::arguments::{ArgumentStyle, Object, arguments_json};
use crate::error::ApiError;
use crate::exchanges::name_of;
use crate::list::list;
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn list_all(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_where(request, None, |_| true)
}

pub(crate) fn list_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_where(request, Some(request.part(0)?), |_| true)
}

pub(crate) fn from_exchange(request: &Request<'_>) -> Result<Answer, ApiError> {
    let exchange = name_of(request.part(1)?);
    list_where(request, Some(request.part(0)?), |binding| binding.source == exchange)
}

pub(crate) fn to_exchange(request: &Request<'_>) -> Result<Answer, ApiError> {
    let exchange = name_of(request.part(1)?);
    list_where(request, Some(request.part(0)?), |binding| {
        leads_to(binding, DestinationKind::Exchange, exchange)
    })
}

pub(crate) fn to_queue(request: &Request<'_>) -> Result<Answer, ApiError> {
    let queue = request.part(1)?;
    list_where(request, Some(request.part(0)?), |binding| leads_to(binding, DestinationKind::Queue, queue))
}

/// Whether a binding leads there.
pub(crate) fn leads_to(binding: &BindingView, kind: DestinationKind, name: &str) -> bool {
    binding.destination_kind == kind && binding.destination == name
}

fn list_where(
    request: &Request<'_>,
    vhost: Option<&str>,
    keep: impl Fn(&BindingView) -> bool,
) -> Result<Answer, ApiError> {
    let mut bindings = all(request, vhost);
    bindings.retain(keep);
    let style = request.argument_style();
    let items = bindings.iter().map(|binding| binding_json(binding, style)).collect();
    Ok(Answer::Ok(list(request, items)?))
}

/// The bindings that the caller sees, in order, the implied ones included.
pub(crate) fn all(request: &Request<'_>, vhost: Option<&str>) -> Vec<BindingView> {
    let mut bindings = request.admin.bindings(vhost);
    bindings.extend(request.admin.queues(vhost).into_iter().map(|queue| BindingView {
        vhost: queue.vhost,
        source: String::new(),
        destination: queue.name.clone(),
        destination_kind: DestinationKind::Queue,
        routing_key: queue.name,
        arguments: Vec::new(),
    }));
    bindings.retain(|binding| request.caller.sees_vhost(&binding.vhost));
    bindings.sort_by(|left, right| order(left).cmp(&order(right)));
    bindings
}

fn order(binding: &BindingView) -> (&str, &str, DestinationKind, &str, &str) {
    (&binding.vhost, &binding.source, binding.destination_kind, &binding.destination, &binding.routing_key)
}

/// One binding.
pub(crate) fn binding_json(binding: &BindingView, style: ArgumentStyle) -> Value {
    let kind = match binding.destination_kind {
        DestinationKind::Exchange => "exchange",
        DestinationKind::Queue => "queue",
    };
    Object::default()
        .set("source", binding.source.as_str())
        .set("vhost", binding.vhost.as_str())
        .set("destination", binding.destination.as_str())
        .set("destination_type", kind)
        .set("routing_key", binding.routing_key.as_str())
        .set("arguments", arguments_json(&binding.arguments, style))
        .set("properties_key", properties_key(binding))
        .into()
}

/// The name of a binding between its two ends: `~` without key and arguments, else the quoted key, and a hash of
/// the arguments if there are any. Clients take it from here and give it back; only its stability counts.
pub(crate) fn properties_key(binding: &BindingView) -> String {
    if binding.routing_key.is_empty() && binding.arguments.is_empty() {
        return "~".to_owned();
    }
    let mut key = quote(&binding.routing_key);
    if !binding.arguments.is_empty() {
        let text = arguments_json(&binding.arguments, ArgumentStyle::Typed).to_string();
        let _ = write!(key, "~{:016x}", fnv1a(text.as_bytes()));
    }
    key
}

/// A text as it stands in a path.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
            quoted.push(char::from(byte));
        } else {
            let _ = write!(quoted, "%{byte:02X}");
        }
    }
    quoted
}

/// FNV-1a, 64 bits: the same on every machine and in every version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use leveret_core::admin::{Argument, Arguments};

    use super::*;

    fn key(routing_key: &str, arguments: Arguments) -> String {
        properties_key(&BindingView {
            vhost: "/".to_owned(),
            source: "x".to_owned(),
            destination: "q".to_owned(),
            destination_kind: DestinationKind::Queue,
            routing_key: routing_key.to_owned(),
            arguments,
        })
    }

    #[test]
    fn properties_keys() {
        assert_eq!(key("", vec![]), "~");
        assert_eq!(key("a.b", vec![]), "a.b");
        assert_eq!(key("~", vec![]), "%7E");
        assert_eq!(key("a/b c", vec![]), "a%2Fb%20c");
        let one = vec![("k".to_owned(), Argument::SignedInt(1))];
        let two = vec![("k".to_owned(), Argument::SignedInt(2))];
        assert!(key("", one.clone()).starts_with('~'));
        assert_eq!(key("", one.clone()), key("", one.clone()));
        assert_ne!(key("", one.clone()), key("", two));
        assert_ne!(key("", one), "~");
    }
}
