//! `/api/extensions`, `/api/feature-flags` and `/api/deprecated-features`: this broker has none of them, and says so.

use serde_json::Value;

use crate::error::ApiError;
use crate::list::list;
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn extensions(_request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Ok(Value::Array(Vec::new())))
}

/// Nothing has to be switched on after an upgrade.
pub(crate) fn flags(request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Ok(list(request, Vec::new())?))
}

pub(crate) fn deprecated(request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Ok(list(request, Vec::new())?))
}

pub(crate) fn deprecated_in_use(request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Ok(list(request, Vec::new())?))
}
