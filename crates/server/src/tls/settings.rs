//! A listener's options and files made into what rustls takes.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::TlsError;
use super::ciphers::chosen;
use super::files::{PemFile, complete_chain};
use super::verifier::LimitedDepth;
use crate::config::{TlsOptions, TlsVersion, Verify};

/// What a listener's TLS is made of; its options have been checked against each other.
#[derive(Clone, Debug)]
pub(super) struct TlsSettings {
    /// `ssl_options` or `management.ssl`, for messages.
    prefix: &'static str,
    certfile: PemFile,
    keyfile: PemFile,
    /// For our own chain, and for clients' where they are verified.
    cacertfile: Option<PemFile>,
    verified: bool,
    options: TlsOptions,
    alpn: &'static [&'static [u8]],
}

/// Whether the files that `ssl_options` names can be read, wherever they are used: RabbitMQ starts with none that cannot
/// be, and a listener that is opened later should not be the first to notice.
///
/// # Errors
/// [`TlsError`] names setting, file and reason.
pub fn check_files(options: &TlsOptions) -> Result<(), TlsError> {
    let files =
        [("certfile", &options.certfile), ("keyfile", &options.keyfile), ("cacertfile", &options.cacertfile)];
    for (name, path) in files {
        if let Some(path) = path {
            PemFile { key: format!("ssl_options.{name}"), path: path.clone() }.read()?;
        }
    }
    Ok(())
}

impl TlsSettings {
    /// Checks the options against each other. Nothing is read yet.
    ///
    /// # Errors
    /// [`TlsError`] names the setting that is missing or contradicts another.
    pub(super) fn new(
        prefix: &'static str,
        options: &TlsOptions,
        alpn: &'static [&'static [u8]],
    ) -> Result<Self, TlsError> {
        let file = |name: &str, path: &Option<std::path::PathBuf>| {
            path.clone().map(|path| PemFile { key: format!("{prefix}.{name}"), path })
        };
        let refuse = |name: &str, problem: &str| TlsError {
            place: format!("{prefix}.{name}"),
            problem: problem.to_owned(),
        };
        let missing = |name: &str| refuse(name, "not set, but a TLS listener needs it");
        let cacertfile = file("cacertfile", &options.cacertfile);
        let verified = match options.verify {
            Some(Verify::None) => false,
            Some(Verify::Peer) if cacertfile.is_none() => {
                return Err(refuse("cacertfile", "not set, but verify_peer needs it"));
            }
            Some(Verify::Peer) => true,
            None => cacertfile.is_some(),
        };
        if options.fail_if_no_peer_cert && !verified {
            let problem =
                "set, but clients' certificates are not verified: it needs verify_peer and a cacertfile";
            return Err(refuse("fail_if_no_peer_cert", problem));
        }
        Ok(Self {
            prefix,
            certfile: file("certfile", &options.certfile).ok_or_else(|| missing("certfile"))?,
            keyfile: file("keyfile", &options.keyfile).ok_or_else(|| missing("keyfile"))?,
            cacertfile,
            verified,
            options: options.clone(),
            alpn,
        })
    }

    /// The files it is made of.
    pub(super) fn files(&self) -> impl Iterator<Item = &PemFile> {
        [&self.certfile, &self.keyfile].into_iter().chain(&self.cacertfile)
    }

    /// What is asked of clients, for the log.
    pub(super) fn asks(&self) -> &'static str {
        match (self.verified, self.options.fail_if_no_peer_cert) {
            (false, _) => "clients are not asked for a certificate",
            (true, false) => "clients' certificates are verified, not required",
            (true, true) => "clients' certificates are verified and required",
        }
    }

    /// Reads the files and puts everything together.
    ///
    /// # Errors
    /// [`TlsError`] names setting, file and reason.
    pub(super) fn load(&self) -> Result<ServerConfig, TlsError> {
        let mut chain = self.certfile.certificates()?;
        let key = self.keyfile.private_key()?;
        let authorities = match &self.cacertfile {
            Some(file) => file.certificates()?,
            None => Vec::new(),
        };
        complete_chain(&mut chain, &authorities);
        let provider = Arc::new(self.provider()?);
        let versions = self.versions();
        let wrong = |error: rustls::Error| self.error("versions", &error);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(wrong)?;
        let builder = match self.verifier(authorities, provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| self.keyfile.error(format!("it does not fit the certificate: {error}")))?;
        config.alpn_protocols = self.alpn.iter().map(|protocol| protocol.to_vec()).collect();
        config.ignore_client_order = self.options.honor_cipher_order;
        // A resumed session would skip the verification of a certificate that has expired meanwhile.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn error(&self, option: &str, problem: &dyn std::fmt::Display) -> TlsError {
        TlsError { place: format!("{}.{option}", self.prefix), problem: problem.to_string() }
    }

    fn provider(&self) -> Result<CryptoProvider, TlsError> {
        let (cipher_suites, unknown) = chosen(&self.options.ciphers);
        if cipher_suites.is_empty() {
            return Err(self.error("ciphers", &"none of these can be offered"));
        }
        if !unknown.is_empty() {
            tracing::info!("{}.ciphers: not offered: {}", self.prefix, unknown.join(", "));
        }
        Ok(CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() })
    }

    fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let wanted = &self.options.versions;
        let offered = [(TlsVersion::V1_3, &version::TLS13), (TlsVersion::V1_2, &version::TLS12)].into_iter();
        offered
            .filter(|(name, _)| wanted.is_empty() || wanted.contains(name))
            .map(|(_, version)| version)
            .collect()
    }

    fn verifier(
        &self,
        authorities: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let Some(cacertfile) = self.cacertfile.as_ref().filter(|_| self.verified) else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(|error| cacertfile.error(error))?;
        }
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        if !self.options.fail_if_no_peer_cert {
            builder = builder.allow_unauthenticated();
        }
        let inner = builder.build().map_err(|error| cacertfile.error(error))?;
        Ok(Some(match self.options.depth {
            Some(depth) => Arc::new(LimitedDepth { inner, depth: depth.into() }),
            None => inner,
        }))
    }
}
