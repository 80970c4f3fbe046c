//! `/api/vhost-limits` and `/api/user-limits`.

use leveret_core::admin::{AdminError, UserLimitValues, VhostLimitValues};
use serde_json::{Map, Value, json};

use crate::body::{integer, required};
use crate::error::ApiError;
use crate::list::list;
use crate::request::Request;
use crate::routes::Answer;
use crate::users;

const VHOST_LIMITS: [&str; 2] = ["max-connections", "max-queues"];

const USER_LIMITS: [&str; 2] = ["max-connections", "max-channels"];

pub(crate) fn all_of_vhosts(request: &Request<'_>) -> Result<Answer, ApiError> {
    let mut limits = request.admin.vhost_limits();
    limits.retain(|(vhost, _)| request.caller.may_monitor() || request.caller.sees_vhost(vhost));
    list_vhosts(request, limits)
}

pub(crate) fn of_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    let vhost = request.part(0)?;
    let mut limits = request.admin.vhost_limits();
    limits.retain(|(limited, _)| limited == vhost);
    list_vhosts(request, limits)
}

fn list_vhosts(
    request: &Request<'_>,
    mut limits: Vec<(String, VhostLimitValues)>,
) -> Result<Answer, ApiError> {
    limits.sort_by(|left, right| left.0.cmp(&right.0));
    let items =
        limits.iter().map(|(vhost, limits)| json!({"vhost": vhost, "value": vhost_limits_json(limits)}));
    Ok(Answer::Ok(list(request, items.collect())?))
}

pub(crate) fn put_of_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    let [value] = required(&request.body, ["value"])?;
    let limit = request.part(1)?;
    let number = if VHOST_LIMITS.contains(&limit) {
        number(limit, value)
    } else {
        Err(format!("Unrecognised terms [{}] in limits", term(limit, value)))
    };
    let refused = |problem: String| ApiError::bad_request(format!("Validation failed\n\n{problem}\n"));
    change_vhost(request, Some(number.map_err(refused)?))
}

fn number(limit: &str, value: &Value) -> Result<i64, String> {
    value.as_i64().ok_or_else(|| {
        let was = value.as_str().map_or_else(|| value.to_string(), |text| format!("<<\"{text}\">>"));
        format!("{limit} should be a number, actually was {was}")
    })
}

/// `PUT /api/leveret/vhost-limits/VHOST`: these limits and no others, as `set_vhost_limits` has it.
pub(crate) fn replace_of_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    let [max_connections, max_queues] = numbers(&request.body, VHOST_LIMITS, "limits")
        .map_err(|problem| ApiError::bad_request(format!("Validation failed\n\n{problem}\n")))?;
    let limits = VhostLimitValues { max_connections, max_queues };
    request.admin.set_vhost_limits(request.part(0)?, limits)?;
    Ok(Answer::Done)
}

/// `PUT /api/leveret/user-limits/USER`: these limits beside those that are set, as `set_user_limits` has it.
pub(crate) fn merge_of_user(request: &Request<'_>) -> Result<Answer, ApiError> {
    let [max_connections, max_channels] =
        numbers(&request.body, USER_LIMITS, "user-limits").map_err(ApiError::bad_request)?;
    let user = request.part(0)?;
    let known = request.admin.user_limits().into_iter().find(|(limited, _)| limited == user);
    let known = known.map(|(_, limits)| limits).unwrap_or_default();
    let limits = UserLimitValues {
        max_connections: max_connections.or(known.max_connections),
        max_channels: max_channels.or(known.max_channels),
    };
    request.admin.set_user_limits(user, limits)?;
    Ok(Answer::Done)
}

/// The limits in an object by their names, or what is wrong with it; `what` they are called.
fn numbers(body: &Value, names: [&str; 2], what: &str) -> Result<[Option<i64>; 2], String> {
    let given = body.as_object().into_iter().flatten();
    let unknown = given.filter(|(name, _)| !names.contains(&name.as_str()));
    let terms: Vec<String> = unknown.map(|(name, value)| term(name, value)).collect();
    if !terms.is_empty() {
        return Err(format!("Unrecognised terms [{}] in {what}", terms.join(",")));
    }
    let number = |name: &str| body.get(name).map(|value| number(name, value)).transpose();
    let [first, second] = names.map(number);
    Ok([first?, second?])
}

fn term(limit: &str, value: &Value) -> String {
    format!("{{<<\"{limit}\">>,{value}}}")
}

pub(crate) fn delete_of_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    change_vhost(request, None)
}

fn change_vhost(request: &Request<'_>, value: Option<i64>) -> Result<Answer, ApiError> {
    let vhost = request.part(0)?;
    let known = request.admin.vhost_limits().into_iter().find(|(limited, _)| limited == vhost);
    let mut limits = known.map(|(_, limits)| limits).unwrap_or_default();
    match request.part(1)? {
        "max-connections" => limits.max_connections = value,
        "max-queues" => limits.max_queues = value,
        // One that cannot be set need not be taken away.
        _ => return Ok(Answer::Done),
    }
    match request.admin.set_vhost_limits(vhost, limits) {
        Ok(()) => Ok(Answer::Done),
        Err(AdminError::NoSuchVhost(_)) => Err(ApiError::Missing("vhost_not_found".to_owned())),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn all_of_users(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_users(request, |_| true)
}

pub(crate) fn of_user(request: &Request<'_>) -> Result<Answer, ApiError> {
    let user = users::named(request)?;
    list_users(request, |limited| limited == user.name)
}

fn list_users(request: &Request<'_>, keep: impl Fn(&str) -> bool) -> Result<Answer, ApiError> {
    let mut limits = request.admin.user_limits();
    limits.retain(|(user, _)| keep(user));
    limits.sort_by(|left, right| left.0.cmp(&right.0));
    let items = limits.iter().map(|(user, limits)| json!({"user": user, "value": user_limits_json(limits)}));
    Ok(Answer::Ok(list(request, items.collect())?))
}

pub(crate) fn put_of_user(request: &Request<'_>) -> Result<Answer, ApiError> {
    let [value] = required(&request.body, ["value"])?;
    let limit = request.part(1)?;
    if !USER_LIMITS.contains(&limit) {
        let term = term(limit, value);
        return Err(ApiError::bad_request(format!("Unrecognised terms [{term}] in user-limits")));
    }
    change_user(request, Some(integer(value)?))
}

pub(crate) fn delete_of_user(request: &Request<'_>) -> Result<Answer, ApiError> {
    change_user(request, None)
}

fn change_user(request: &Request<'_>, value: Option<i64>) -> Result<Answer, ApiError> {
    let user = request.part(0)?;
    let known = request.admin.user_limits().into_iter().find(|(limited, _)| limited == user);
    let mut limits = known.map(|(_, limits)| limits).unwrap_or_default();
    match request.part(1)? {
        "max-connections" => limits.max_connections = value,
        "max-channels" => limits.max_channels = value,
        _ => return Ok(Answer::Done),
    }
    match request.admin.set_user_limits(user, limits) {
        Ok(()) => Ok(Answer::Done),
        Err(AdminError::NoSuchUser(user)) => Err(ApiError::bad_request(json!(["no_such_user", user]))),
        Err(error) => Err(error.into()),
    }
}

fn vhost_limits_json(limits: &VhostLimitValues) -> Value {
    set_ones(&[("max-connections", limits.max_connections), ("max-queues", limits.max_queues)])
}

/// A user's limits, as they also stand with the user.
pub(crate) fn user_limits_json(limits: &UserLimitValues) -> Value {
    set_ones(&[("max-connections", limits.max_connections), ("max-channels", limits.max_channels)])
}

/// The limits that a user's definition brings; what is not there stays unlimited.
pub(crate) fn user_limits(value: &Value) -> Result<UserLimitValues, ApiError> {
    let limit = |key: &str| value.get(key).map(integer).transpose();
    Ok(UserLimitValues { max_connections: limit("max-connections")?, max_channels: limit("max-channels")? })
}

fn set_ones(limits: &[(&str, Option<i64>)]) -> Value {
    let set = limits.iter().filter_map(|(key, value)| value.map(|value| ((*key).to_owned(), value.into())));
    Value::Object(set.collect::<Map<_, _>>())
}
