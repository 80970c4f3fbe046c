//! What a client is told when it does something wrong: reply code, reply text and how much closes.

use std::fmt;

pub use leveret_protocol::constants::reply_code;

/// How much an error closes (AMQP 0-9-1, 1.5.2.5: soft errors close the channel, hard ones the connection).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// channel.close; the connection and its other channels go on.
    Channel,
    /// connection.close.
    Connection,
}

/// The client's fault: what it is told, in RabbitMQ's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BrokerError {
    /// What closes.
    pub scope: Scope,
    /// The reply code, for instance 404.
    pub code: u16,
    /// The explanation, without the code's name before it.
    pub explanation: String,
}

impl BrokerError {
    /// An error whose scope follows from its code: 311, 312, 313, 403, 404, 405 and 406 close the channel, all
    /// others the connection.
    pub fn new(code: u16, explanation: impl Into<String>) -> Self {
        let scope = match code {
            reply_code::CONTENT_TOO_LARGE
            | reply_code::NO_ROUTE
            | reply_code::NO_CONSUMERS
            | reply_code::ACCESS_REFUSED
            | reply_code::NOT_FOUND
            | reply_code::RESOURCE_LOCKED
            | reply_code::PRECONDITION_FAILED => Scope::Channel,
            _ => Scope::Connection,
        };
        Self { scope, code, explanation: explanation.into() }
    }

    /// The same error, closing the whole connection (a refused login is a 403 of the connection).
    #[must_use]
    pub fn on_connection(mut self) -> Self {
        self.scope = Scope::Connection;
        self
    }

    /// 403 ACCESS_REFUSED.
    pub fn access_refused(explanation: impl Into<String>) -> Self {
        Self::new(reply_code::ACCESS_REFUSED, explanation)
    }

    /// 404 NOT_FOUND.
    pub fn not_found(explanation: impl Into<String>) -> Self {
        Self::new(reply_code::NOT_FOUND, explanation)
    }

    /// 405 RESOURCE_LOCKED.
    pub fn resource_locked(explanation: impl Into<String>) -> Self {
        Self::new(reply_code::RESOURCE_LOCKED, explanation)
    }

    /// 406 PRECONDITION_FAILED.
    pub fn precondition_failed(explanation: impl Into<String>) -> Self {
        Self::new(reply_code::PRECONDITION_FAILED, explanation)
    }

    /// 530 NOT_ALLOWED.
    pub fn not_allowed(explanation: impl Into<String>) -> Self {
        Self::new(reply_code::NOT_ALLOWED, explanation)
    }

    /// 540 NOT_IMPLEMENTED.
    pub fn not_implemented(explanation: impl Into<String>) -> Self {
        Self::new(reply_code::NOT_IMPLEMENTED, explanation)
    }

    /// 503 COMMAND_INVALID.
    pub fn command_invalid(explanation: impl Into<String>) -> Self {
        Self::new(reply_code::COMMAND_INVALID, explanation)
    }

    /// 541 INTERNAL_ERROR.
    pub fn internal(explanation: impl Into<String>) -> Self {
        Self::new(reply_code::INTERNAL_ERROR, explanation)
    }

    /// The reply text as it goes on the wire: `NAME - explanation`, cut to 255 bytes at a character's edge.
    /// RabbitMQ cuts with an ellipsis (`rabbit_binary_generator:map_exception`).
    #[must_use]
    pub fn reply_text(&self) -> String {
        if self.explanation.is_empty() {
            return reply_code::name(self.code).to_owned();
        }
        let mut text = format!("{} - {}", reply_code::name(self.code), self.explanation);
        if text.len() > 255 {
            let mut end = 252;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.push_str("...");
        }
        text
    }
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.reply_text())
    }
}
