//! What `ssl_options.*` and `management.ssl.*` say: the same options for AMQP and for the HTTP API.

use std::path::PathBuf;

use super::values::parse_switch;

/// Whether clients' certificates are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// `verify_none`: none is asked for.
    None,
    /// `verify_peer`: one is asked for, and what is shown must be good.
    Peer,
}

/// A version of TLS. Older ones are not offered at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// Options of a TLS listener as they were set; they are checked against each other and the files when it is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The authorities that clients' certificates are verified against, PEM; they complete our own chain too.
    pub cacertfile: Option<PathBuf>,
    /// Our certificate and, behind it, its issuers, PEM.
    pub certfile: Option<PathBuf>,
    /// Its private key, PEM, unencrypted.
    pub keyfile: Option<PathBuf>,
    /// Whether clients' certificates are verified. Not set, it is `verify_peer` wherever there are authorities to
    /// verify them with.
    pub verify: Option<Verify>,
    /// A client without a certificate is refused.
    pub fail_if_no_peer_cert: bool,
    /// What is offered; empty is all.
    pub versions: Vec<TlsVersion>,
    /// What is offered, by the names of OpenSSL or IANA; empty is all.
    pub ciphers: Vec<String>,
    /// Certificates allowed between a client's and the authority's; `None` is as many as the verifier takes.
    pub depth: Option<u8>,
    /// The order of `ciphers` counts, not the client's.
    pub honor_cipher_order: bool,
}

/// Options that say nothing here; RabbitMQ's values for them are taken and have no effect.
const WITHOUT_EFFECT: [&str; 12] = [
    "password",
    "honor_ecc_order",
    "client_renegotiation",
    "secure_renegotiate",
    "reuse_sessions",
    "reuse_session",
    "dhfile",
    "bypass_pem_cache",
    "log_alert",
    "log_level",
    "hibernate_after",
    "client_ecc_curves",
];

impl TlsOptions {
    /// Sets an option by its name behind `ssl_options.`. An unknown one is refused: a misspelt option must not leave
    /// something unverified.
    ///
    /// # Errors
    /// The problem with the name or the value, and what is allowed.
    pub(super) fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        match option {
            "cacertfile" => self.cacertfile = Some(path(value)?),
            "certfile" => self.certfile = Some(path(value)?),
            "keyfile" => self.keyfile = Some(path(value)?),
            "verify" => {
                self.verify = Some(match value {
                    "verify_peer" => Verify::Peer,
                    "verify_none" => Verify::None,
                    _ => return Err(refuse(value, "verify_peer or verify_none")),
                });
            }
            "fail_if_no_peer_cert" => self.fail_if_no_peer_cert = switch(value)?,
            "honor_cipher_order" => self.honor_cipher_order = switch(value)?,
            "depth" => {
                self.depth = Some(value.parse().map_err(|_| refuse(value, "a number from 0 to 255"))?);
            }
            "crl_check" if parse_switch(value) == Some(false) => {}
            "crl_check" => return Err(refuse(value, "false: revocation lists are not read")),
            _ if option.starts_with("versions.") => self.versions.push(match value {
                "tlsv1.3" => TlsVersion::V1_3,
                "tlsv1.2" => TlsVersion::V1_2,
                _ => return Err(refuse(value, "tlsv1.2 and tlsv1.3; older versions are not offered")),
            }),
            _ if option.starts_with("ciphers.") => self.ciphers.push(value.to_owned()),
            _ if WITHOUT_EFFECT.contains(&option) => {}
            _ => return Err(format!("there is no TLS option {option}")),
        }
        Ok(())
    }
}

fn path(value: &str) -> Result<PathBuf, String> {
    if value.is_empty() { Err("it is empty; a file is needed".to_owned()) } else { Ok(value.into()) }
}

fn switch(value: &str) -> Result<bool, String> {
    parse_switch(value).ok_or_else(|| refuse(value, "true or false"))
}

fn refuse(value: &str, allowed: &str) -> String {
    format!("`{value}` cannot be used; allowed: {allowed}")
}
