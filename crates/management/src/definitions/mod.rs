//! Definitions: all that survives a restart but messages, in RabbitMQ's JSON.
//!
//! [`export`] writes them, [`import`] reads them into the broker: what is there already stays, nothing is deleted. A
//! file is read in full before anything is changed, so that a malformed one changes nothing; what the broker then
//! refuses (an unknown virtual host, say) ends an import where it stands, as in RabbitMQ. All of it is durable when
//! the import returns.

mod document;
mod export;
mod import;
mod items;
#[cfg(test)]
mod tests;
mod values;

use serde_json::Value;

use crate::error::ApiError;
use crate::request::Request;
use crate::routes::Answer;

pub use document::Malformed;
pub use export::export;
pub use import::{ImportError, Imported, import};

/// `GET /api/definitions`.
pub(crate) fn show(request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Ok(exported(request, None)?))
}

/// `GET /api/definitions/VHOST`.
pub(crate) fn show_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Ok(exported(request, Some(request.part(0)?))?))
}

fn exported(request: &Request<'_>, vhost: Option<&str>) -> Result<Value, ApiError> {
    export(request.admin, vhost).ok_or(ApiError::NotFound)
}
