//! The PEM files of a listener: reading them, and noticing that they have changed.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::TlsError;

/// Issuers added to our chain at most; real ones have two or three.
const CHAIN_MAX: usize = 8;

/// A file named by a setting.
#[derive(Clone, Debug)]
pub(super) struct PemFile {
    /// The setting, for messages.
    pub(super) key: String,
    pub(super) path: PathBuf,
}

/// What tells one state of the files from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<(SystemTime, u64)>>);

impl Stamp {
    /// The state now. A file that is not there counts as a state, too.
    pub(super) fn of<'f>(files: impl Iterator<Item = &'f PemFile>) -> Self {
        let state = |path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Self(files.map(|file| state(&file.path)).collect())
    }
}

impl PemFile {
    /// An error about this file.
    pub(super) fn error(&self, problem: impl ToString) -> TlsError {
        let place = format!("{} = {}", self.key, self.path.display());
        TlsError { place, problem: problem.to_string() }
    }

    /// What is in it.
    pub(super) fn read(&self) -> Result<Vec<u8>, TlsError> {
        std::fs::read(&self.path).map_err(|error| self.error(error))
    }

    /// Its certificates; at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let text = self.read()?;
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let certificates = read.map_err(|error| self.error(format!("not PEM: {error}")))?;
        if certificates.is_empty() {
            return Err(self.error("no certificate in it"));
        }
        for certificate in &certificates {
            parse(certificate).ok_or_else(|| self.error("a certificate in it cannot be read"))?;
        }
        Ok(certificates)
    }

    /// Its first private key.
    pub(super) fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let text = self.read()?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
            let is_encrypted = [&b"ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"]
                .iter()
                .any(|mark| text.windows(mark.len()).any(|window| window == *mark));
            if is_encrypted {
                self.error("the private key is encrypted, which is not supported; `openssl pkey` decrypts it")
            } else {
                self.error(format!("no private key in it: {error}"))
            }
        })
    }
}

/// Adds the issuers that the chain lacks, as far as they are among the authorities: a certificate alone in `certfile`
/// and its issuers in `cacertfile` is a common way to set up RabbitMQ. Authorities that signed themselves are left out,
/// since clients must have them anyway.
pub(super) fn complete_chain(
    chain: &mut Vec<CertificateDer<'static>>,
    authorities: &[CertificateDer<'static>],
) {
    for _ in 0..CHAIN_MAX {
        let Some(next) = chain.last().and_then(|last| issuer_of(last, authorities)) else { return };
        chain.push(next.clone());
    }
}

fn issuer_of<'a>(
    certificate: &CertificateDer<'_>,
    authorities: &'a [CertificateDer<'static>],
) -> Option<&'a CertificateDer<'static>> {
    let issued = parse(certificate)?;
    if is_self_issued(&issued) {
        return None;
    }
    authorities.iter().find(|authority| {
        parse(authority).is_some_and(|authority| {
            authority.subject().as_raw() == issued.issuer().as_raw() && !is_self_issued(&authority)
        })
    })
}

fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
}

/// `None` for what is no certificate, or has something behind it.
pub(super) fn parse<'c>(certificate: &'c CertificateDer<'_>) -> Option<X509Certificate<'c>> {
    let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
    rest.is_empty().then_some(parsed)
}
