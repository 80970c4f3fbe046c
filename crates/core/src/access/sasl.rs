//! What a client says in connection.start-ok to log in: PLAIN (RFC 4616) and AMQPLAIN, RabbitMQ's old own.

use leveret_protocol::field_table::{FieldTable, FieldValue};

use super::{Access, User};
use crate::error::BrokerError;

/// A name and password as they were sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// The user's name.
    pub user: &'a [u8],
    /// The password.
    pub password: &'a [u8],
}

/// Why a login failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The mechanism was not offered, or its response is malformed. RabbitMQ drops the connection without a word
    /// and logs the text with this error.
    #[error("{0}")]
    Malformed(BrokerError),
    /// Wrong name or password, or not from there. The client is told `reply` if it has the capability
    /// `authentication_failure_close`, else the connection is dropped; only the log learns the reason.
    #[error("{reason}")]
    Refused {
        /// 403 for the connection.
        reply: BrokerError,
        /// For the log, for instance `PLAIN login refused: user 'guest' can only connect via localhost`.
        reason: String,
    },
}

/// Logs in.
///
/// # Errors
/// [`LoginError`]; nothing is changed.
pub fn login<'a>(
    access: &'a Access,
    mechanism: &str,
    response: &[u8],
    is_loopback: bool,
) -> Result<&'a User, LoginError> {
    let credentials = read(mechanism, response).map_err(LoginError::Malformed)?;
    let name = String::from_utf8_lossy(credentials.user);
    access.authenticate(&name, credentials.password, is_loopback).map_err(|reason| LoginError::Refused {
        reply: BrokerError::access_refused(format!(
            "Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
        ))
        .on_connection(),
        reason: format!("{mechanism} login refused: {reason}"),
    })
}

/// Reads a response.
///
/// # Errors
/// 503 for a mechanism that is not offered, 502 for a malformed response.
pub fn read<'a>(mechanism: &str, response: &'a [u8]) -> Result<Credentials<'a>, BrokerError> {
    match mechanism {
        "PLAIN" => plain(response).ok_or_else(|| syntax_error("PLAIN response is malformed")),
        "AMQPLAIN" => amqplain(response)
            .ok_or_else(|| syntax_error("AMQPLAIN auth info is missing LOGIN or PASSWORD field")),
        other => Err(BrokerError::command_invalid(format!("unknown authentication mechanism '{other}'"))),
    }
}

fn syntax_error(explanation: &str) -> BrokerError {
    BrokerError::new(leveret_protocol::constants::reply_code::SYNTAX_ERROR, explanation)
}

/// `NUL user NUL password`: RabbitMQ takes no authorization identity before the first NUL.
fn plain(response: &[u8]) -> Option<Credentials<'_>> {
    let mut parts = response.split(|octet| *octet == 0);
    let (identity, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    (identity.is_empty() && parts.next().is_none()).then_some(Credentials { user, password })
}

/// A field table's content with `LOGIN` and `PASSWORD`.
fn amqplain(response: &[u8]) -> Option<Credentials<'_>> {
    let table = FieldTable::parse(response).ok()?;
    let text = |name: &[u8]| match table.get(name)? {
        FieldValue::LongString(text) | FieldValue::Bytes(text) => Some(text),
        _ => None,
    };
    Some(Credentials { user: text(b"LOGIN")?, password: text(b"PASSWORD")? })
}
