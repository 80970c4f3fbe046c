//! What a caller is told when a request is not answered, in RabbitMQ's words.

use axum::http::StatusCode;
use leveret_core::admin::AdminError;
use leveret_core::error::reply_code;
use serde_json::{Value, json};

/// A refusal: status, and the JSON body that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// 401 with a request to log in and no body: nobody said who they are.
    NoLogin,
    /// 401: a name and password that do not log in.
    Login,
    /// 400 without a body: a login or a path that cannot be decoded.
    Unreadable,
    /// 401: logged in, but not allowed (RabbitMQ has no 403).
    NotAuthorised(&'static str),
    /// 404.
    NotFound,
    /// 404 of something that a request named: RabbitMQ's word or sentence for it.
    Missing(String),
    /// 401 with a sentence of the broker's.
    Refused(String),
    /// 405 without a body, with the methods that the path has.
    MethodNotAllowed(String),
    /// 415 without a body.
    UnsupportedMediaType,
    /// 400 with its kind; the reason is a text or, where RabbitMQ shows a term, a list.
    BadRequest { error: &'static str, reason: Value },
    /// 503: nothing is changed any more.
    Stopping,
    /// 500: ours.
    Internal,
}

impl ApiError {
    /// 400 `bad_request`.
    pub(crate) fn bad_request(reason: impl Into<Value>) -> Self {
        Self::BadRequest { error: "bad_request", reason: reason.into() }
    }

    /// The status line's code.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoLogin | Self::Login | Self::NotAuthorised(_) | Self::Refused(_) => {
                StatusCode::UNAUTHORIZED
            }
            Self::NotFound | Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unreadable | Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
            Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The body, if there is one. Both spellings of "authorised" are RabbitMQ's: one for a failed login, one for a
    /// missing right.
    pub(crate) fn body(&self) -> Option<Value> {
        let (error, reason) = match self {
            Self::NoLogin | Self::Unreadable | Self::MethodNotAllowed(_) | Self::UnsupportedMediaType => {
                return None;
            }
            Self::Login => ("not_authorized", "Not_Authorized".into()),
            Self::NotAuthorised(reason) => ("not_authorised", (*reason).into()),
            Self::Refused(reason) => ("not_authorised", reason.as_str().into()),
            Self::NotFound => ("Object Not Found", "Not Found".into()),
            Self::Missing(reason) => ("not_found", reason.as_str().into()),
            Self::BadRequest { error, reason } => (*error, reason.clone()),
            Self::Stopping => ("service_unavailable", "the broker is stopping".into()),
            Self::Internal => ("internal_server_error", "Internal Server Error".into()),
        };
        Some(json!({"error": error, "reason": reason}))
    }
}

impl From<AdminError> for ApiError {
    /// RabbitMQ tells a refusal by AMQP's rules in three ways: a missing right in two words, something missing as
    /// 404, all else as 400 with AMQP's explanation.
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Stopping => Self::Stopping,
            AdminError::NotFound | AdminError::NoSuchVhost(_) | AdminError::NoSuchUser(_) => Self::NotFound,
            AdminError::Refused(refused) => match refused.code {
                reply_code::ACCESS_REFUSED | reply_code::NOT_ALLOWED => {
                    Self::NotAuthorised("Access refused.")
                }
                reply_code::NOT_FOUND => Self::Missing(refused.explanation),
                _ => Self::bad_request(refused.explanation),
            },
            AdminError::PreconditionFailed(reason) | AdminError::BadRequest(reason) => {
                Self::bad_request(reason)
            }
            error @ (AdminError::AlreadyExists | AdminError::InvalidPattern { .. }) => {
                Self::bad_request(error.to_string())
            }
        }
    }
}
