//! TLS to an HTTP API: who is trusted, and what is shown. The server's certificate is always verified.

use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::args::Place;
use crate::error::Failure;

/// Where systems keep the authorities that they trust, in one file.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A stream to a server whose certificate is that of its name.
pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// What TLS is done with.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Trusts the authorities of `--cacertfile`, else those of `SSL_CERT_FILE`, else the system's; shows the certificate
    /// of `--certfile` and `--keyfile` to servers that ask for one.
    ///
    /// # Errors
    /// A file that cannot be used, by its name.
    pub(crate) fn new(place: &Place) -> Result<Self, Failure> {
        let roots = roots(place.cacertfile.as_deref())?;
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::unavailable(error.to_string()))?
            .with_root_certificates(roots);
        let config = match (&place.certfile, &place.keyfile) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
                builder.with_client_auth_cert(chain, secret).map_err(|error| unusable(key, &error))?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => return Err(Failure::unavailable("--certfile and --keyfile are needed together")),
        };
        Ok(Self { config: Arc::new(config) })
    }

    /// Shakes hands over a socket with the server of that name, or address.
    ///
    /// # Errors
    /// The socket's, or why the server is not trusted.
    pub(crate) fn connect(&self, host: &str, socket: TcpStream) -> io::Result<TlsStream> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }
}

fn roots(given: Option<&Path>) -> Result<RootCertStore, Failure> {
    let from_environment = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let system = || SYSTEM.iter().map(PathBuf::from).find(|path| path.is_file());
    let file = given.map(Path::to_owned).or(from_environment).or_else(system);
    let file = file.ok_or_else(|| {
        Failure::unavailable("no authorities are known here: name a file of theirs with --cacertfile")
    })?;
    let mut roots = RootCertStore::empty();
    // A system's file may hold some that cannot be used.
    let (added, _) = roots.add_parsable_certificates(certificates(&file)?);
    if added == 0 {
        return Err(unusable(&file, &"no authority in it"));
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.map_err(|error| unusable(file, &error))
}

fn unusable(file: &Path, problem: &dyn std::fmt::Display) -> Failure {
    Failure::unavailable(format!("{}: {problem}", file.display()))
}
