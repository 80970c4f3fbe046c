//! `/api/bindings/VHOST/e/SOURCE/…`: the bindings between two ends, and one of them.

use leveret_core::admin::{BindingSpec, BindingView, DestinationKind};

use crate::bindings::{all, binding_json, leads_to, properties_key, quote};
use crate::body::{arguments, text};
use crate::error::ApiError;
use crate::exchanges::name_of;
use crate::list::{list, single};
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn list_to_queue(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_between(request, DestinationKind::Queue)
}

pub(crate) fn list_to_exchange(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_between(request, DestinationKind::Exchange)
}

pub(crate) fn show_to_queue(request: &Request<'_>) -> Result<Answer, ApiError> {
    show(request, DestinationKind::Queue)
}

pub(crate) fn show_to_exchange(request: &Request<'_>) -> Result<Answer, ApiError> {
    show(request, DestinationKind::Exchange)
}

pub(crate) fn bind_queue(request: &Request<'_>) -> Result<Answer, ApiError> {
    bind(request, DestinationKind::Queue)
}

pub(crate) fn bind_exchange(request: &Request<'_>) -> Result<Answer, ApiError> {
    bind(request, DestinationKind::Exchange)
}

pub(crate) fn unbind_queue(request: &Request<'_>) -> Result<Answer, ApiError> {
    unbind(request, DestinationKind::Queue)
}

pub(crate) fn unbind_exchange(request: &Request<'_>) -> Result<Answer, ApiError> {
    unbind(request, DestinationKind::Exchange)
}

fn between(request: &Request<'_>, kind: DestinationKind) -> Result<Vec<BindingView>, ApiError> {
    let (source, destination) = (name_of(request.part(1)?), destination(request, kind)?);
    let mut bindings = all(request, Some(request.part(0)?));
    bindings.retain(|binding| binding.source == source && leads_to(binding, kind, destination));
    Ok(bindings)
}

fn destination<'r>(request: &'r Request<'_>, kind: DestinationKind) -> Result<&'r str, ApiError> {
    let name = request.part(2)?;
    Ok(match kind {
        DestinationKind::Queue => name,
        DestinationKind::Exchange => name_of(name),
    })
}

fn list_between(request: &Request<'_>, kind: DestinationKind) -> Result<Answer, ApiError> {
    let style = request.argument_style();
    let items = between(request, kind)?.iter().map(|binding| binding_json(binding, style)).collect();
    Ok(Answer::Ok(list(request, items)?))
}

fn named(request: &Request<'_>, kind: DestinationKind) -> Result<BindingView, ApiError> {
    let key = request.part(3)?;
    let mut bindings = between(request, kind)?.into_iter();
    bindings.find(|binding| properties_key(binding) == key).ok_or(ApiError::NotFound)
}

fn show(request: &Request<'_>, kind: DestinationKind) -> Result<Answer, ApiError> {
    let binding = named(request, kind)?;
    Ok(Answer::Ok(single(request, binding_json(&binding, request.argument_style()))))
}

/// Tells where the binding is from here: its destination, and its properties key quoted once more.
fn bind(request: &Request<'_>, kind: DestinationKind) -> Result<Answer, ApiError> {
    let vhost = request.part(0)?;
    let routing_key = request.body.get("routing_key").map(|value| text("routing_key", value)).transpose()?;
    let binding = BindingSpec {
        source: name_of(request.part(1)?).to_owned(),
        destination: destination(request, kind)?.to_owned(),
        destination_kind: kind,
        routing_key: routing_key.unwrap_or_default().to_owned(),
        arguments: arguments(&request.body)?,
    };
    request.admin.bind(request.caller.acting(), vhost, &binding)?;
    let key = properties_key(&BindingView {
        vhost: vhost.to_owned(),
        source: binding.source,
        destination: binding.destination.clone(),
        destination_kind: kind,
        routing_key: binding.routing_key,
        arguments: binding.arguments,
    });
    let key: Vec<String> = key.split('~').map(quote).collect();
    Ok(Answer::CreatedAt(format!("{}/{}", quote(&binding.destination), key.join("~"))))
}

fn unbind(request: &Request<'_>, kind: DestinationKind) -> Result<Answer, ApiError> {
    let binding = named(request, kind)?;
    let spec = BindingSpec {
        source: binding.source,
        destination: binding.destination,
        destination_kind: kind,
        routing_key: binding.routing_key,
        arguments: binding.arguments,
    };
    request.admin.unbind(request.caller.acting(), &binding.vhost, &spec)?;
    Ok(Answer::Done)
}
