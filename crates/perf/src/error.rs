//! What can go wrong, in words for the person at the terminal.

use std::io;
use std::path::PathBuf;

use leveret_protocol::{DecodeError, EncodeError};

/// Why a run ended without its figures.
#[derive(Debug, thiserror::Error)]
pub enum PerfError {
    /// The URI is not one.
    #[error("'{uri}' is not a usable AMQP URI: {reason}")]
    Uri {
        /// As it was given.
        uri: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection: no such peer, or it refused the login.
    #[error("cannot reach {uri}: {reason}")]
    Unreachable {
        /// Where to.
        uri: String,
        /// Why not.
        reason: String,
    },
    /// The socket failed or ended.
    #[error("connection lost: {0}")]
    Socket(#[from] io::Error),
    /// The broker closed the connection or the channel.
    #[error("the broker closed: {code} {text}")]
    Closed {
        /// The reply code.
        code: u16,
        /// The reply text.
        text: String,
    },
    /// Bytes that are not AMQP.
    #[error("the broker sent what cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// A method that does not fit the wire format.
    #[error("a method cannot be written: {0}")]
    Encode(#[from] EncodeError),
    /// A well-formed frame that does not belong here.
    #[error("the broker sent something unexpected: {0}")]
    Unexpected(String),
    /// Options that contradict each other.
    #[error("{0}")]
    Options(String),
    /// Messages lost, repeated or altered.
    #[error("the counts do not agree: {0}")]
    Counts(String),
    /// Nothing moved any more.
    #[error("no progress for {seconds} s: {what}")]
    Stalled {
        /// How long it was waited.
        seconds: u64,
        /// What was waited for.
        what: String,
    },
    /// A thread of the load failed; the first failure, in words.
    #[error("{0}")]
    Load(String),
    /// A program of the measurement does not run.
    #[error("cannot run {program}: {source}")]
    Program {
        /// Which.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Part of what was asked could not be shown.
    #[error("not shown: {0}")]
    NotShown(String),
}
