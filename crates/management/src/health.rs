//! `/api/health/checks`: cheap answers that touch no queue.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn alarms(request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(check(request, "There are alarms in effect in the cluster"))
}

pub(crate) fn local_alarms(request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(check(request, "There are alarms in effect on the node"))
}

fn check(request: &Request<'_>, reason: &str) -> Answer {
    let alarms = request.admin.alarms();
    if alarms.is_empty() {
        return Answer::Ok(json!({"status": "ok"}));
    }
    let node = request.admin.node_name();
    let alarms: Vec<Value> =
        alarms.iter().map(|alarm| json!({"node": node, "resource": alarm.as_str()})).collect();
    Answer::Unavailable(json!({"status": "failed", "reason": reason, "alarms": alarms}))
}
