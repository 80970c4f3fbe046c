//! TLS for listeners: files and options to a server's settings, handshakes, and what a certificate says.
//!
//! Everything about certificates is refused unless it is known to be good: what cannot be read or does not fit together
//! stops the start, and verification is off only where `verify_none` says so or no authority is there to verify with.
//! The encrypted bytes of a connection that is open are [`crate::transport`]'s.

mod acceptor;
mod certificate;
mod ciphers;
mod files;
mod settings;
mod verifier;

pub use acceptor::{Secured, TlsAcceptor, listener_certificates};
pub use certificate::certificate_facts;
pub use settings::check_files;

/// Why TLS cannot be set up: the setting, its file if it has one, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct TlsError {
    /// For instance `ssl_options.keyfile = /etc/key.pem`.
    pub place: String,
    /// What is wrong.
    pub problem: String,
}
