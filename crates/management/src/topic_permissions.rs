//! `/api/topic-permissions`; they are listed as permissions are.

use leveret_core::admin::{Admin, TopicPermissionView};
use serde_json::{Value, json};

use crate::body::{required, text};
use crate::error::ApiError;
use crate::permissions::{Granted, list_where, refused};
use crate::request::Request;
use crate::routes::Answer;

impl Granted for TopicPermissionView {
    fn all(admin: &dyn Admin) -> Vec<Self> {
        admin.topic_permissions()
    }

    fn key(&self) -> (&str, &str, &str) {
        (&self.vhost, &self.user, &self.exchange)
    }

    fn json(&self) -> Value {
        json!({
            "user": self.user,
            "vhost": self.vhost,
            "exchange": self.exchange,
            "write": self.write,
            "read": self.read,
        })
    }
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

pub(crate) fn put(request: &Request<'_>) -> Result<Answer, ApiError> {
    let permission = asked_for(request)?;
    let TopicPermissionView { vhost, user, .. } = &permission;
    // RabbitMQ calls it new when the user had none at any exchange there.
    let had = request.admin.topic_permissions();
    let had = had.iter().any(|permission| permission.vhost == *vhost && permission.user == *user);
    request.admin.put_topic_permission(&permission).map_err(refused)?;
    Ok(Answer::put(!had))
}

/// The permission that a request is about.
pub(crate) fn asked_for(request: &Request<'_>) -> Result<TopicPermissionView, ApiError> {
    let [exchange, write, read] = required(&request.body, ["exchange", "write", "read"])?;
    Ok(TopicPermissionView {
        vhost: request.part(0)?.to_owned(),
        user: request.part(1)?.to_owned(),
        exchange: text("exchange", exchange)?.to_owned(),
        write: text("write", write)?.to_owned(),
        read: text("read", read)?.to_owned(),
    })
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
