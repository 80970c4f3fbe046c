//! `/api/exchanges`.

use leveret_core::admin::ExchangeView;
use serde_json::Value;

use crate::arguments::{ArgumentStyle, Object, arguments_json};
use crate::error::ApiError;
use crate::list::list;
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
