//! `/api/leveret`: what the command line needs and RabbitMQ's API lacks, apart from the node itself (`leveret.rs`).

use std::time::Duration;

use leveret_core::admin::{
    AdminError, ConnectionView, GetExtent, PasswordChange, PermissionView, VhostSettings,
};
use serde_json::{Map, Value, json};

use crate::body::{required, tags, text as text_of};
use crate::error::ApiError;
use crate::messages::message_json;
use crate::request::Request;
use crate::routes::Answer;
use crate::topic_permissions;

/// The longest pause between two connections that are closed one after another, in milliseconds.
const CLOSE_DELAY_MAX_MS: u64 = 10_000;

/// The node's name and that it runs. Over the control socket the node itself answers, also while it does not.
pub(crate) fn node(request: &Request<'_>) -> Result<Answer, ApiError> {
    let name = request.admin.node_name();
    Ok(Answer::Ok(json!({"node": name, "running": true, "pid": std::process::id()})))
}

/// The settings that the broker runs with.
pub(crate) fn environment(request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Ok(settings_json(request.admin.settings())))
}

/// Settings as an object.
pub(crate) fn settings_json(settings: Vec<(String, String)>) -> Value {
    let settings: Map<String, Value> =
        settings.into_iter().map(|(name, value)| (name, value.into())).collect();
    Value::Object(settings)
}

/// Adds a user that is not there: `{"password": "…"}` or `{"password_hash": "…"}`.
pub(crate) fn add_user(request: &Request<'_>) -> Result<Answer, ApiError> {
    match request.admin.add_user(request.part(0)?, &password(&request.body)?, &[]) {
        Ok(()) => Ok(Answer::Done),
        Err(error @ AdminError::AlreadyExists) => Err(named("already_exists", &error)),
        Err(error) => Err(error.into()),
    }
}

/// Changes a user's password and nothing else; an empty hash is no password.
pub(crate) fn set_password(request: &Request<'_>) -> Result<Answer, ApiError> {
    request.admin.set_password(request.part(0)?, &password(&request.body)?)?;
    Ok(Answer::Done)
}

/// Changes a user's tags and nothing else.
pub(crate) fn set_tags(request: &Request<'_>) -> Result<Answer, ApiError> {
    let tags = request.body.get("tags").and_then(Value::as_array);
    let tags: Option<Vec<String>> =
        tags.and_then(|tags| tags.iter().map(|tag| tag.as_str().map(str::to_owned)).collect());
    let tags = tags.ok_or_else(|| ApiError::bad_request("a list of \"tags\" is needed"))?;
    request.admin.set_user_tags(request.part(0)?, &tags)?;
    Ok(Answer::Done)
}

fn password(body: &Value) -> Result<PasswordChange, ApiError> {
    let field = |key: &str| body.get(key).and_then(Value::as_str);
    match (field("password"), field("password_hash")) {
        (Some(password), None) => Ok(PasswordChange::Plain(password.as_bytes().to_vec())),
        (None, Some("")) => Ok(PasswordChange::None),
        (None, Some(hash)) => Ok(PasswordChange::Hash { base64: hash.to_owned(), algorithm: None }),
        _ => Err(ApiError::bad_request("a \"password\" or a \"password_hash\" is needed")),
    }
}

/// Whether a name and a password log in: `{"username": "…", "password": "…"}`.
pub(crate) fn authenticate(request: &Request<'_>) -> Result<Answer, ApiError> {
    let [password, user] = required(&request.body, ["password", "username"])?;
    let (user, password) = (text_of("username", user)?, text_of("password", password)?);
    let authenticated = request.admin.authenticate(user, password.as_bytes(), true).is_ok();
    Ok(Answer::Ok(json!({"authenticated": authenticated})))
}

/// Adds a virtual host, and gives nobody permissions in it.
pub(crate) fn put_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    let text =
        |key: &str| request.body.get(key).map(|value| text_of(key, value).map(str::to_owned)).transpose();
    let settings = VhostSettings {
        description: text("description")?,
        tags: request.body.get("tags").map(tags).transpose()?,
        default_queue_type: text("default_queue_type")?,
    };
    request.admin.put_vhost(request.part(0)?, &settings)?;
    Ok(Answer::Done)
}

/// As `/api/permissions` does it, and says apart what is missing or wrong.
pub(crate) fn set_permissions(request: &Request<'_>) -> Result<Answer, ApiError> {
    let [configure, read, write] = required(&request.body, ["configure", "read", "write"])?;
    let permission = PermissionView {
        vhost: request.part(0)?.to_owned(),
        user: request.part(1)?.to_owned(),
        configure: text_of("configure", configure)?.to_owned(),
        write: text_of("write", write)?.to_owned(),
        read: text_of("read", read)?.to_owned(),
    };
    granted(request.admin.put_permission(&permission).map(|_| ()))
}

/// As `/api/topic-permissions` does it, and says apart what is missing or wrong.
pub(crate) fn set_topic_permissions(request: &Request<'_>) -> Result<Answer, ApiError> {
    granted(request.admin.put_topic_permission(&topic_permissions::asked_for(request)?).map(|_| ()))
}

fn granted(outcome: Result<(), AdminError>) -> Result<Answer, ApiError> {
    match outcome {
        Ok(()) => Ok(Answer::Done),
        Err(error @ AdminError::NoSuchUser(_)) => Err(named("no_such_user", &error)),
        Err(error @ AdminError::NoSuchVhost(_)) => Err(named("no_such_vhost", &error)),
        Err(error) => Err(error.into()),
    }
}

fn named(error: &'static str, reason: &AdminError) -> ApiError {
    ApiError::BadRequest { error, reason: reason.to_string().into() }
}

/// Closes the connections of a `vhost`, of a `user`, or all; at most `limit` of them, with `delay_ms` between two.
/// Tells how many it were.
pub(crate) fn close_connections(request: &Request<'_>) -> Result<Answer, ApiError> {
    let field = |key: &str| request.body.get(key).and_then(Value::as_str);
    let number = |key: &str| request.body.get(key).and_then(Value::as_u64);
    let reason = field("reason").unwrap_or("Closed via management plugin");
    let (vhost, user) = (field("vhost"), field("user"));
    let is_meant = |connection: &ConnectionView| {
        vhost.is_none_or(|vhost| connection.vhost.as_deref() == Some(vhost))
            && user.is_none_or(|user| connection.user.as_deref() == Some(user))
            && connection.vhost.is_some()
    };
    let limit = number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let delay = Duration::from_millis(number("delay_ms").unwrap_or_default().min(CLOSE_DELAY_MAX_MS));
    let mut closed = 0_u64;
    for connection in request.admin.connections().into_iter().filter(is_meant).take(limit) {
        if closed > 0 && !delay.is_zero() {
            std::thread::sleep(delay);
        }
        // One that is gone meanwhile was not closed here.
        if request.admin.close_connection_by_id(connection.id, reason).is_ok() {
            closed = closed.saturating_add(1);
        }
    }
    Ok(Answer::Ok(json!({"closed": closed})))
}

/// The first `count` messages of a queue, which stay as they are.
pub(crate) fn peek(request: &Request<'_>) -> Result<Answer, ApiError> {
    let (vhost, queue) = (request.part(0)?, request.part(1)?);
    let count = request.option("count").map_or(Ok(1), str::parse);
    let count = count.map_err(|_| ApiError::bad_request("count is no number"))?;
    let extent = GetExtent { count, truncate: u64::MAX };
    let messages = request.admin.peek_messages(request.caller.acting(), vhost, queue, extent)?;
    Ok(Answer::Ok(messages.into_iter().map(|message| message_json(message, false)).collect()))
}
