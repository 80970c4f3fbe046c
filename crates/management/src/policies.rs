//! `/api/policies`: what is kept.

use leveret_core::admin::PolicyView;
use serde_json::{Value, json};

use crate::arguments::{ArgumentStyle, arguments_json};
use crate::error::ApiError;
use crate::list::{list, single};
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn list_all(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_where(request, |_| true)
}

pub(crate) fn list_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    let vhost = request.part(0)?;
    list_where(request, |policy| policy.vhost == vhost)
}

fn list_where(request: &Request<'_>, keep: impl Fn(&PolicyView) -> bool) -> Result<Answer, ApiError> {
    let mut policies = request.admin.policies();
    policies.retain(|policy| request.caller.sees_vhost(&policy.vhost) && keep(policy));
    policies.sort_by(|left, right| (&left.vhost, &left.name).cmp(&(&right.vhost, &right.name)));
    Ok(Answer::Ok(list(request, policies.iter().map(policy_json).collect())?))
}

pub(crate) fn show(request: &Request<'_>) -> Result<Answer, ApiError> {
    let (vhost, name) = (request.part(0)?, request.part(1)?);
    let mut policies = request.admin.policies().into_iter();
    let policy = policies.find(|policy| policy.vhost == vhost && policy.name == name);
    Ok(Answer::Ok(single(request, policy_json(&policy.ok_or(ApiError::NotFound)?))))
}

fn policy_json(policy: &PolicyView) -> Value {
    json!({
        "vhost": policy.vhost,
        "name": policy.name,
        "pattern": policy.pattern,
        "apply-to": policy.apply_to,
        "definition": arguments_json(&policy.definition, ArgumentStyle::Plain),
        "priority": policy.priority,
    })
}
