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
pub(crate) mod values;

use crate::error::ApiError;
use crate::request::Request;
use crate::routes::Answer;

pub use document::Malformed;
pub use export::export;
pub use import::{ImportError, Imported, import};

/// `GET /api/definitions`.
pub(crate) fn show(request: &Request<'_>) -> Result<Answer, ApiError> {
    exported(request, None)
}

/// `GET /api/definitions/VHOST`.
pub(crate) fn show_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    exported(request, Some(request.part(0)?))
}

/// `POST /api/definitions`.
pub(crate) fn load(request: &Request<'_>) -> Result<Answer, ApiError> {
    imported(request, None)
}

/// `POST /api/definitions/VHOST`.
pub(crate) fn load_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    imported(request, Some(request.part(0)?))
}

fn imported(request: &Request<'_>, vhost: Option<&str>) -> Result<Answer, ApiError> {
    match import(request.admin, request.caller.acting(), &request.raw_body, vhost) {
        Ok(imported) => {
            for warning in &imported.warnings {
                tracing::warn!("imported definitions: {warning}");
            }
            Ok(Answer::Done)
        }
        Err(ImportError::NoSuchVhost) => Err(ApiError::Missing("vhost_not_found".to_owned())),
        Err(error @ (ImportError::Malformed(_) | ImportError::Refused(_))) => {
            Err(ApiError::bad_request(error.to_string()))
        }
    }
}

/// `download` names the file that a browser keeps.
fn exported(request: &Request<'_>, vhost: Option<&str>) -> Result<Answer, ApiError> {
    let document = export(request.admin, vhost).ok_or_else(|| ApiError::bad_request("vhost_not_found"))?;
    Ok(match request.option("download") {
        Some(name) => Answer::Download(document, name.to_owned()),
        None => Answer::Ok(document),
    })
}
