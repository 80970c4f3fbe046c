//! `/api/topic-permissions`, and the same within virtual hosts and users.

use leveret_core::admin::TopicPermissionView;
use serde_json::{Value, json};

use crate::body::{required, text};
use crate::error::ApiError;
use crate::list::list;
use crate::permissions::refused;
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

/// One user may have several in a virtual host, so this is a list; without any, nothing is there.
pub(crate) fn show(request: &Request<'_>) -> Result<Answer, ApiError> {
    let (vhost, user) = (request.part(0)?, request.part(1)?);
    let of_both = |permission: &TopicPermissionView| permission.vhost == vhost && permission.user == user;
    if !request.admin.topic_permissions().iter().any(of_both) {
        return Err(ApiError::NotFound);
    }
    list_where(request, of_both)
}

fn list_where(
    request: &Request<'_>,
    keep: impl Fn(&TopicPermissionView) -> bool,
) -> Result<Answer, ApiError> {
    let mut permissions = request.admin.topic_permissions();
    permissions.retain(keep);
    permissions.sort_by(|left, right| {
        (&left.vhost, &left.user, &left.exchange).cmp(&(&right.vhost, &right.user, &right.exchange))
    });
    Ok(Answer::Ok(list(request, permissions.iter().map(permission_json).collect())?))
}

pub(crate) fn put(request: &Request<'_>) -> Result<Answer, ApiError> {
    let [exchange, write, read] = required(&request.body, ["exchange", "write", "read"])?;
    let (vhost, user) = (request.part(0)?, request.part(1)?);
    let permission = TopicPermissionView {
        vhost: vhost.to_owned(),
        user: user.to_owned(),
        exchange: text("exchange", exchange)?.to_owned(),
        write: text("write", write)?.to_owned(),
        read: text("read", read)?.to_owned(),
    };
    // RabbitMQ calls it new when the user had none at any exchange there.
    let had = request.admin.topic_permissions();
    let had = had.iter().any(|permission| permission.vhost == vhost && permission.user == user);
    request.admin.put_topic_permission(&permission).map_err(refused)?;
    Ok(Answer::put(!had))
}

/// One exchange's, or all of them.
pub(crate) fn delete(request: &Request<'_>) -> Result<Answer, ApiError> {
    let exchange = request.path.get(2).map(String::as_str);
    if request.admin.delete_topic_permission(request.part(0)?, request.part(1)?, exchange)? {
        Ok(Answer::Done)
    } else {
        Err(ApiError::NotFound)
    }
}

/// One topic permission.
pub(crate) fn permission_json(permission: &TopicPermissionView) -> Value {
    json!({
        "user": permission.user,
        "vhost": permission.vhost,
        "exchange": permission.exchange,
        "write": permission.write,
        "read": permission.read,
    })
}
