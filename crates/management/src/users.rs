//! `/api/users` and `/api/whoami`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use leveret_core::admin::{PasswordChange, UserLimitValues, UserView};
use serde_json::{Value, json};

use crate::body::{required, tags as parse_tags, text};
use crate::error::ApiError;
use crate::list::{list, single};
use crate::object_limits::{user_limits, user_limits_json};
use crate::request::{Caller, Request};
use crate::routes::Answer;

/// How a page has its users log in.
pub(crate) fn auth(_request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Ok(json!({"oauth_enabled": false})))
}

/// A hash for definitions. Nothing is stored.
pub(crate) fn hash_password(request: &Request<'_>) -> Result<Answer, ApiError> {
    let hash = request.admin.hash_password(request.part(0)?.as_bytes());
    Ok(Answer::Ok(json!({"ok": STANDARD.encode(hash)})))
}

pub(crate) fn whoami(request: &Request<'_>) -> Result<Answer, ApiError> {
    let user = match &request.caller {
        // The owner of the process has no user's name; the tag says what it may do.
        Caller::Owner => json!({"name": "", "tags": ["administrator"], "is_internal_user": true}),
        Caller::User(user) => {
            json!({"name": user.name, "tags": user.tags, "is_internal_user": true})
        }
        Caller::Nobody => return Err(ApiError::NoLogin),
    };
    Ok(Answer::Ok(user))
}

pub(crate) fn list_all(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_users(request, request.admin.users())
}

/// Those who may do nothing anywhere.
pub(crate) fn without_permissions(request: &Request<'_>) -> Result<Answer, ApiError> {
    let permissions = request.admin.permissions();
    let mut users = request.admin.users();
    users.retain(|user| !permissions.iter().any(|permission| permission.user == user.name));
    list_users(request, users)
}

fn list_users(request: &Request<'_>, mut users: Vec<UserView>) -> Result<Answer, ApiError> {
    users.sort_by(|left, right| left.name.cmp(&right.name));
    let limits = request.admin.user_limits();
    Ok(Answer::Ok(list(request, users.iter().map(|user| user_json(user, &limits)).collect())?))
}

pub(crate) fn show(request: &Request<'_>) -> Result<Answer, ApiError> {
    let user = named(request)?;
    Ok(Answer::Ok(single(request, user_json(&user, &request.admin.user_limits()))))
}

/// The user that the path's first variable part names.
pub(crate) fn named(request: &Request<'_>) -> Result<UserView, ApiError> {
    let name = request.part(0)?;
    request.admin.users().into_iter().find(|user| user.name == name).ok_or(ApiError::NotFound)
}

/// Without a password and without a hash the user has none, also one that had.
pub(crate) fn put(request: &Request<'_>) -> Result<Answer, ApiError> {
    let body = &request.body;
    let tags = body.get("tags").ok_or_else(|| ApiError::bad_request("tags_not_present"))?;
    let tags = parse_tags(tags)?;
    let password = match (body.get("password"), body.get("password_hash")) {
        (Some(_), Some(_)) => {
            return Err(ApiError::bad_request("both_password_and_password_hash_are_provided"));
        }
        (Some(password), None) => PasswordChange::Plain(text("password", password)?.as_bytes().to_vec()),
        (None, Some(hash)) => hash_of(body, text("password_hash", hash)?)?,
        (None, None) => PasswordChange::None,
    };
    let limits = body.get("limits").map(user_limits).transpose()?;
    let name = request.part(0)?;
    let is_new = request.admin.put_user(name, &password, Some(&tags))?;
    if let Some(limits) = limits {
        request.admin.set_user_limits(name, limits)?;
    }
    Ok(Answer::put(is_new))
}

fn hash_of(body: &Value, base64: &str) -> Result<PasswordChange, ApiError> {
    if STANDARD.decode(base64).is_err() {
        return Err(ApiError::bad_request(json!(["not_base64", base64])));
    }
    let algorithm =
        body.get("hashing_algorithm").map(|value| text("hashing_algorithm", value)).transpose()?;
    Ok(PasswordChange::Hash { base64: base64.to_owned(), algorithm: algorithm.map(str::to_owned) })
}

pub(crate) fn delete(request: &Request<'_>) -> Result<Answer, ApiError> {
    request.admin.delete_user(request.part(0)?)?;
    Ok(Answer::Done)
}

/// Users that are not there are as good as deleted.
pub(crate) fn bulk_delete(request: &Request<'_>) -> Result<Answer, ApiError> {
    let [users] = required(&request.body, ["users"])?;
    let users = users.as_array().ok_or_else(|| ApiError::bad_request(json!(["not_list", "users"])))?;
    let users: Vec<&str> = users.iter().map(|user| text("users", user)).collect::<Result<_, _>>()?;
    for user in users {
        match request.admin.delete_user(user).map_err(ApiError::from) {
            Ok(()) | Err(ApiError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Answer::Done)
}

fn user_json(user: &UserView, limits: &[(String, UserLimitValues)]) -> Value {
    let limits = limits.iter().find(|(limited, _)| *limited == user.name);
    json!({
        "name": user.name,
        "password_hash": STANDARD.encode(&user.password_hash),
        "hashing_algorithm": user.hashing_algorithm,
        "tags": user.tags,
        "limits": limits.map_or_else(|| json!({}), |(_, limits)| user_limits_json(limits)),
    })
}
