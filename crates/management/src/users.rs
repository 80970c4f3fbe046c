//! `/api/users` and `/api/whoami`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use leveret_core::admin::UserView;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::list::{list, single};
use crate::request::{Caller, Request};
use crate::routes::Answer;

pub(crate) fn whoami(request: &Request<'_>) -> Result<Answer, ApiError> {
    let user = match &request.caller {
        // The owner of the process has no user's name; the tag says what it may do.
        Caller::Owner => json!({"name": "", "tags": ["administrator"], "is_internal_user": true}),
        Caller::User(user) => {
            json!({"name": user.name, "tags": user.tags, "is_internal_user": true})
        }
    };
    Ok(Answer::Ok(user))
}

pub(crate) fn list_all(request: &Request<'_>) -> Result<Answer, ApiError> {
    let mut users = request.admin.users();
    users.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(Answer::Ok(list(request, users.iter().map(user_json).collect())?))
}

pub(crate) fn show(request: &Request<'_>) -> Result<Answer, ApiError> {
    let name = request.part(0)?;
    let user = request.admin.users().into_iter().find(|user| user.name == name).ok_or(ApiError::NotFound)?;
    Ok(Answer::Ok(single(request, user_json(&user))))
}

fn user_json(user: &UserView) -> Value {
    json!({
        "name": user.name,
        "password_hash": STANDARD.encode(&user.password_hash),
        "hashing_algorithm": user.hashing_algorithm,
        "tags": user.tags,
        "limits": {},
    })
}
