//! What is known of a TLS connection: what was agreed, and who the client proved to be.

/// The outcome of a TLS handshake, in RabbitMQ's (that is, Erlang's) words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `tlsv1.2` or `tlsv1.3`.
    pub protocol: &'static str,
    /// How the key was agreed: `ecdhe_rsa`, `ecdhe_ecdsa`, or `any` with TLS 1.3.
    pub key_exchange: &'static str,
    /// For instance `aes_256_gcm`.
    pub cipher: &'static str,
    /// `aead`, which every cipher here is.
    pub hash: &'static str,
    /// The client's certificate, if it showed one; it is verified.
    pub certificate: Option<CertificateFacts>,
}

/// What a client's verified certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whose it is, as RFC 4514 writes names and RabbitMQ escapes them.
    pub subject: String,
    /// Who signed it, written alike.
    pub issuer: String,
    /// From when to when: `2026-11-21T13:59:16Z - 2036-11-18T13:59:16Z`.
    pub validity: String,
    /// The user that EXTERNAL logs in; `None` if the certificate has no such name.
    pub login: Option<String>,
}
