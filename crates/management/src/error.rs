//! What a caller is told when a request is not answered, in RabbitMQ's words.

use axum::http::StatusCode;
use leveret_core::admin::AdminError;
use serde_json::{Value, json};

/// A refusal: status, and the JSON body that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// 401 with a request to log in: no name, or one that does not log in.
    Login,
    /// 401: logged in, but not allowed (RabbitMQ has no 403).
    NotAuthorised(&'static str),
    /// 404.
    NotFound,
    /// 405, with the methods that the path has.
    MethodNotAllowed(&'static str),
    /// 400 with its kind.
    BadRequest { error: &'static str, reason: String },
    /// 500: ours.
    Internal,
}

impl ApiError {
    /// 400 `bad_request`.
    pub(crate) fn bad_request(reason: impl Into<String>) -> Self {
        Self::BadRequest { error: "bad_request", reason: reason.into() }
    }

    /// The status line's code.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Login | Self::NotAuthorised(_) => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The body. Both spellings of "authorised" are RabbitMQ's: one for a failed login, one for a missing right.
    pub(crate) fn body(&self) -> Value {
        match self {
            Self::Login => json!({"error": "not_authorized", "reason": "Not_Authorized"}),
            Self::NotAuthorised(reason) => json!({"error": "not_authorised", "reason": reason}),
            Self::NotFound => json!({"error": "Object Not Found", "reason": "Not Found"}),
            Self::MethodNotAllowed(_) => {
                json!({"error": "method_not_allowed", "reason": "Method Not Allowed"})
            }
            Self::BadRequest { error, reason } => json!({"error": error, "reason": reason}),
            Self::Internal => {
                json!({"error": "internal_server_error", "reason": "Internal Server Error"})
            }
        }
    }
}

impl From<AdminError> for ApiError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NotFound => Self::NotFound,
            AdminError::PreconditionFailed(reason) | AdminError::BadRequest(reason) => {
                Self::bad_request(reason)
            }
            AdminError::NoSuchUser(_) | AdminError::NoSuchVhost(_) => Self::NotFound,
            other => Self::bad_request(other.to_string()),
        }
    }
}
