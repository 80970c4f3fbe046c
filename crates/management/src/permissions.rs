//! `/api/permissions`, and the same within virtual hosts and users.

use leveret_core::admin::{AdminError, PermissionView};
use serde_json::{Value, json};

use crate::body::{required, text};
use crate::error::ApiError;
use crate::list::{list, single};
use crate::request::Request;
use crate::routes::Answer;
use crate::{users, vhosts};

pub(crate) fn list_all(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_where(request, |_| true)
}

pub(crate) fn of_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    let vhost = vhosts::named(request)?;
    list_where(request, |permission| permission.vhost == vhost.name)
}

pub(crate) fn of_user(request: &Request<'_>) -> Result<Answer, ApiError> {
    let user = users::named(request)?;
    list_where(request, |permission| permission.user == user.name)
}

fn list_where(request: &Request<'_>, keep: impl Fn(&PermissionView) -> bool) -> Result<Answer, ApiError> {
    let mut permissions = request.admin.permissions();
    permissions.retain(keep);
    permissions.sort_by(|left, right| (&left.vhost, &left.user).cmp(&(&right.vhost, &right.user)));
    Ok(Answer::Ok(list(request, permissions.iter().map(permission_json).collect())?))
}

pub(crate) fn show(request: &Request<'_>) -> Result<Answer, ApiError> {
    let (vhost, user) = (request.part(0)?, request.part(1)?);
    let mut permissions = request.admin.permissions().into_iter();
    let found = permissions.find(|permission| permission.vhost == vhost && permission.user == user);
    Ok(Answer::Ok(single(request, permission_json(&found.ok_or(ApiError::NotFound)?))))
}

pub(crate) fn put(request: &Request<'_>) -> Result<Answer, ApiError> {
    let [configure, write, read] = required(&request.body, ["configure", "write", "read"])?;
    let permission = PermissionView {
        vhost: request.part(0)?.to_owned(),
        user: request.part(1)?.to_owned(),
        configure: text("configure", configure)?.to_owned(),
        write: text("write", write)?.to_owned(),
        read: text("read", read)?.to_owned(),
    };
    let is_new = request.admin.put_permission(&permission).map_err(refused)?;
    Ok(Answer::put(is_new))
}

pub(crate) fn delete(request: &Request<'_>) -> Result<Answer, ApiError> {
    if request.admin.delete_permission(request.part(0)?, request.part(1)?)? {
        Ok(Answer::Done)
    } else {
        Err(ApiError::NotFound)
    }
}

/// Why a permission was not granted, in RabbitMQ's words.
pub(crate) fn refused(error: AdminError) -> ApiError {
    match error {
        AdminError::NoSuchUser(_) | AdminError::NoSuchVhost(_) => {
            ApiError::bad_request("vhost_or_user_not_found")
        }
        AdminError::InvalidPattern { pattern, reason } => {
            ApiError::bad_request(json!(["invalid_regexp", pattern, reason]))
        }
        other => other.into(),
    }
}

/// One permission.
pub(crate) fn permission_json(permission: &PermissionView) -> Value {
    json!({
        "user": permission.user,
        "vhost": permission.vhost,
        "configure": permission.configure,
        "write": permission.write,
        "read": permission.read,
    })
}
