//! `/api/permissions`, and the same within virtual hosts and users; with [`Granted`] what both kinds of permissions are
//! listed by.

use leveret_core::admin::{Admin, AdminError, PermissionView};
use serde_json::{Value, json};

use crate::body::{required, text};
use crate::error::ApiError;
use crate::list::{list, single};
use crate::request::Request;
use crate::routes::Answer;
use crate::{users, vhosts};

/// A kind of permission, of a user in a virtual host.
pub(crate) trait Granted: Sized {
    /// All that there are.
    fn all(admin: &dyn Admin) -> Vec<Self>;
    /// Where, to whom, and for what; the order of lists.
    fn key(&self) -> (&str, &str, &str);
    /// One of them as it is shown.
    fn json(&self) -> Value;
}

impl Granted for PermissionView {
    fn all(admin: &dyn Admin) -> Vec<Self> {
        admin.permissions()
    }

    fn key(&self) -> (&str, &str, &str) {
        (&self.vhost, &self.user, "")
    }

    fn json(&self) -> Value {
        json!({
            "user": self.user,
            "vhost": self.vhost,
            "configure": self.configure,
            "write": self.write,
            "read": self.read,
        })
    }
}

pub(crate) fn list_all<G: Granted>(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_where(request, |_: &G| true)
}

pub(crate) fn of_vhost<G: Granted>(request: &Request<'_>) -> Result<Answer, ApiError> {
    let vhost = vhosts::named(request)?;
    list_where(request, |granted: &G| granted.key().0 == vhost.name)
}

pub(crate) fn of_user<G: Granted>(request: &Request<'_>) -> Result<Answer, ApiError> {
    let user = users::named(request)?;
    list_where(request, |granted: &G| granted.key().1 == user.name)
}

/// Those that are kept, in order.
pub(crate) fn list_where<G: Granted>(
    request: &Request<'_>,
    keep: impl Fn(&G) -> bool,
) -> Result<Answer, ApiError> {
    let mut granted = G::all(request.admin);
    granted.retain(keep);
    granted.sort_by(|left, right| left.key().cmp(&right.key()));
    Ok(Answer::Ok(list(request, granted.iter().map(G::json).collect())?))
}

pub(crate) fn show(request: &Request<'_>) -> Result<Answer, ApiError> {
    let (vhost, user) = (request.part(0)?, request.part(1)?);
    let mut permissions = request.admin.permissions().into_iter();
    let found = permissions.find(|permission| permission.vhost == vhost && permission.user == user);
    Ok(Answer::Ok(single(request, found.ok_or(ApiError::NotFound)?.json())))
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
