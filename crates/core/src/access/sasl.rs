//! Ways to log in: what is offered in connection.start, and what a client says in connection.start-ok.
//!
//! PLAIN (RFC 4616), AMQPLAIN (RabbitMQ's old own), ANONYMOUS (the user that was set for it) and EXTERNAL (the name in
//! a verified certificate).

use std::str::FromStr;

use leveret_protocol::field_table::{FieldTable, FieldValue};

use super::{Access, User};
use crate::connection::TlsFacts;
use crate::error::BrokerError;

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Name and password.
    Plain,
    /// Name and password, as a field table.
    Amqplain,
    /// No name: whoever comes is one certain user. From this machine only.
    Anonymous,
    /// The name in the client's certificate. Over TLS only.
    External,
}

impl Mechanism {
    /// All that there are.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Amqplain, Self::Anonymous, Self::External];

    /// Its registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Amqplain => "AMQPLAIN",
            Self::Anonymous => "ANONYMOUS",
            Self::External => "EXTERNAL",
        }
    }
}

/// A name that is no mechanism of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be used; allowed: PLAIN, AMQPLAIN, ANONYMOUS, EXTERNAL")]
pub struct UnknownMechanism(String);

impl FromStr for Mechanism {
    type Err = UnknownMechanism;

    fn from_str(name: &str) -> Result<Self, UnknownMechanism> {
        let known = Self::ALL.into_iter().find(|mechanism| mechanism.as_str() == name);
        known.ok_or_else(|| UnknownMechanism(name.to_owned()))
    }
}

/// What the operator set of logging in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslSettings {
    /// What is offered, in this order.
    pub mechanisms: Vec<Mechanism>,
    /// Whom ANONYMOUS logs in; `None`: it is not offered.
    pub anonymous: Option<Anonymous>,
}

/// The login that ANONYMOUS stands for.
#[derive(Clone, PartialEq, Eq)]
pub struct Anonymous {
    /// The user's name.
    pub user: String,
    /// The password; not shown by `Debug`.
    pub password: String,
}

impl std::fmt::Debug for Anonymous {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Anonymous").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Default for SaslSettings {
    /// RabbitMQ's defaults.
    fn default() -> Self {
        Self {
            mechanisms: vec![Mechanism::Plain, Mechanism::Amqplain, Mechanism::Anonymous],
            anonymous: Some(Anonymous { user: "guest".to_owned(), password: "guest".to_owned() }),
        }
    }
}

/// Where a client that logs in comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// It is on this machine.
    pub is_loopback: bool,
    /// What its TLS handshake gave; `None` over plain TCP.
    pub tls: Option<&'a TlsFacts>,
}

impl SaslSettings {
    /// The mechanisms that a client from there may use, for connection.start: ANONYMOUS is for this machine alone,
    /// EXTERNAL needs TLS. A client without a certificate is offered EXTERNAL too: its refusal says more.
    #[must_use]
    pub fn offered(&self, origin: Origin<'_>) -> String {
        let offered = self.mechanisms.iter().filter(|mechanism| self.offers(**mechanism, origin));
        offered.map(|mechanism| mechanism.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn offers(&self, mechanism: Mechanism, origin: Origin<'_>) -> bool {
        self.mechanisms.contains(&mechanism)
            && match mechanism {
                Mechanism::Plain | Mechanism::Amqplain => true,
                Mechanism::Anonymous => origin.is_loopback && self.anonymous.is_some(),
                Mechanism::External => origin.tls.is_some(),
            }
    }

    /// Logs in.
    ///
    /// # Errors
    /// [`LoginError`]; nothing is changed.
    pub fn login<'a>(
        &self,
        access: &'a Access,
        mechanism: &str,
        response: &[u8],
        origin: Origin<'_>,
    ) -> Result<&'a User, LoginError> {
        let known = mechanism.parse::<Mechanism>();
        let Ok(known) = known else {
            return Err(not_offered("unknown", mechanism));
        };
        if !self.offers(known, origin) {
            return Err(not_offered("invalid", mechanism));
        }
        let refused = |reason| LoginError::refused(known, reason);
        let credentials = match known {
            Mechanism::Plain => plain(response).ok_or_else(|| malformed("PLAIN response is malformed"))?,
            Mechanism::Amqplain => amqplain(response)
                .ok_or_else(|| malformed("AMQPLAIN auth info is missing LOGIN or PASSWORD field"))?,
            Mechanism::Anonymous => match &self.anonymous {
                Some(Anonymous { user, password }) => {
                    Credentials { user: user.as_bytes(), password: password.as_bytes() }
                }
                None => return Err(not_offered("invalid", mechanism)),
            },
            Mechanism::External => return external(access, origin).map_err(refused),
        };
        let name = String::from_utf8_lossy(credentials.user);
        access.authenticate(&name, credentials.password, origin.is_loopback).map_err(refused)
    }
}

/// A name and password as they were sent.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Credentials<'a> {
    user: &'a [u8],
    password: &'a [u8],
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

impl LoginError {
    fn refused(mechanism: Mechanism, reason: String) -> Self {
        let name = mechanism.as_str();
        let reply = BrokerError::access_refused(format!(
            "Login was refused using authentication mechanism {name}. For details see the broker logfile."
        ));
        Self::Refused { reply: reply.on_connection(), reason: format!("{name} login refused: {reason}") }
    }
}

fn not_offered(how: &str, mechanism: &str) -> LoginError {
    let text = format!("{how} authentication mechanism '{mechanism}'");
    LoginError::Malformed(BrokerError::command_invalid(text))
}

fn malformed(explanation: &str) -> LoginError {
    let code = leveret_protocol::constants::reply_code::SYNTAX_ERROR;
    LoginError::Malformed(BrokerError::new(code, explanation))
}

/// The user named by the client's certificate, whom the TLS handshake has verified. What the client says in its
/// response does not count.
fn external<'a>(access: &'a Access, origin: Origin<'_>) -> Result<&'a User, String> {
    let certificate = origin.tls.and_then(|tls| tls.certificate.as_ref());
    let certificate = certificate.ok_or("connection peer presented no TLS (x.509) certificate")?;
    let name = certificate.login.as_deref().ok_or("no name found")?;
    let user = access.user(name).ok_or_else(|| format!("user '{name}' - invalid credentials"))?;
    if !origin.is_loopback && access.is_loopback_only(name) {
        return Err(format!("user '{name}' can only connect via localhost"));
    }
    Ok(user)
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

#[cfg(test)]
mod tests;
