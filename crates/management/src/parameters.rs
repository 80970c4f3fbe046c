//! `/api/parameters` and `/api/global-parameters`: what is kept.

use leveret_core::admin::{GlobalParameterView, ParameterView};
use serde_json::{Value, json};

use crate::arguments::{ArgumentStyle, value_json};
use crate::error::ApiError;
use crate::list::{list, single};
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn list_all(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_where(request, |_| true)
}

pub(crate) fn list_component(request: &Request<'_>) -> Result<Answer, ApiError> {
    let component = request.part(0)?;
    list_where(request, |parameter| parameter.component == component)
}

fn list_where(request: &Request<'_>, keep: impl Fn(&ParameterView) -> bool) -> Result<Answer, ApiError> {
    let mut parameters = request.admin.parameters();
    parameters.retain(|parameter| request.caller.sees_vhost(&parameter.vhost) && keep(parameter));
    parameters.sort_by(|left, right| {
        (&left.vhost, &left.component, &left.name).cmp(&(&right.vhost, &right.component, &right.name))
    });
    let items = parameters.iter().map(|parameter| {
        json!({
            "vhost": parameter.vhost,
            "component": parameter.component,
            "name": parameter.name,
            "value": value_json(&parameter.value, ArgumentStyle::Plain, 0),
        })
    });
    Ok(Answer::Ok(list(request, items.collect())?))
}

pub(crate) fn list_global(request: &Request<'_>) -> Result<Answer, ApiError> {
    let mut parameters = request.admin.global_parameters();
    parameters.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(Answer::Ok(list(request, parameters.iter().map(global_json).collect())?))
}

pub(crate) fn show_global(request: &Request<'_>) -> Result<Answer, ApiError> {
    let name = request.part(0)?;
    let mut parameters = request.admin.global_parameters().into_iter();
    let parameter = parameters.find(|parameter| parameter.name == name).ok_or(ApiError::NotFound)?;
    Ok(Answer::Ok(single(request, global_json(&parameter))))
}

fn global_json(parameter: &GlobalParameterView) -> Value {
    json!({"name": parameter.name, "value": value_json(&parameter.value, ArgumentStyle::Plain, 0)})
}
