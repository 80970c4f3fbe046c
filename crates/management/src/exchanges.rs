//! `/api/exchanges`.

use leveret_core::admin::{ExchangeSpec, ExchangeView};
use serde_json::Value;

use crate::arguments::{ArgumentStyle, Object, arguments_json};
use crate::body::{arguments, boolean, text};
use crate::error::ApiError;
use crate::list::{list, single};
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn list_all(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_exchanges(request, None)
}

pub(crate) fn list_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_exchanges(request, Some(request.part(0)?))
}

fn list_exchanges(request: &Request<'_>, vhost: Option<&str>) -> Result<Answer, ApiError> {
    let mut exchanges = request.admin.exchanges(vhost);
    exchanges.retain(|exchange| request.caller.sees_vhost(&exchange.vhost));
    exchanges.sort_by(|left, right| (&left.vhost, &left.name).cmp(&(&right.vhost, &right.name)));
    let style = request.argument_style();
    let items = exchanges.iter().map(|exchange| exchange_json(exchange, style)).collect();
    Ok(Answer::Ok(list(request, items)?))
}

pub(crate) fn show(request: &Request<'_>) -> Result<Answer, ApiError> {
    let exchange = named(request)?;
    Ok(Answer::Ok(single(request, exchange_json(&exchange, request.argument_style()))))
}

/// The name that a part of a path means: the default exchange has one there.
pub(crate) fn name_of(part: &str) -> &str {
    if part == "amq.default" { "" } else { part }
}

fn named(request: &Request<'_>) -> Result<ExchangeView, ApiError> {
    let (vhost, name) = (request.part(0)?, name_of(request.part(1)?));
    let mut exchanges = request.admin.exchanges(Some(vhost)).into_iter();
    exchanges.find(|exchange| exchange.name == name).ok_or(ApiError::NotFound)
}

/// Whether the exchange that the path names is there.
pub(crate) fn exists(request: &Request<'_>) -> bool {
    named(request).is_ok()
}

pub(crate) fn put(request: &Request<'_>) -> Result<Answer, ApiError> {
    let body = &request.body;
    let exchange_type = body.get("type").map(|value| text("type", value)).transpose()?;
    let exchange = ExchangeSpec {
        name: name_of(request.part(1)?).to_owned(),
        exchange_type: exchange_type.unwrap_or("direct").to_owned(),
        durable: boolean(body, "durable")?,
        auto_delete: boolean(body, "auto_delete")?,
        internal: boolean(body, "internal")?,
        arguments: arguments(body)?,
    };
    let is_new = request.admin.declare_exchange(request.caller.acting(), request.part(0)?, &exchange)?;
    Ok(Answer::put(is_new))
}

pub(crate) fn delete(request: &Request<'_>) -> Result<Answer, ApiError> {
    let exchange = named(request)?;
    let acting = request.caller.acting();
    request.admin.delete_exchange(acting, &exchange.vhost, &exchange.name, request.flag("if-unused"))?;
    Ok(Answer::Done)
}

fn exchange_json(exchange: &ExchangeView, style: ArgumentStyle) -> Value {
    Object::default()
        .set("name", exchange.name.as_str())
        .set("vhost", exchange.vhost.as_str())
        .set("type", exchange.exchange_type.as_str())
        .set("durable", exchange.durable)
        .set("auto_delete", exchange.auto_delete)
        .set("internal", exchange.internal)
        .set("arguments", arguments_json(&exchange.arguments, style))
        .known("policy", exchange.policy.as_deref())
        .into()
}
