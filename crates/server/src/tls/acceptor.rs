//! TLS handshakes of a listener, with the certificate that is in its files now.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use leveret_core::admin::{CertificateEnd, Listener, ListenerCertificates};
use leveret_core::connection::TlsFacts;
use parking_lot::Mutex;
use rustls::{ProtocolVersion, ServerConfig, ServerConnection};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::server::TlsStream;

use super::TlsError;
use super::certificate::{certificate_end, certificate_facts};
use super::ciphers::described;
use super::files::{PemFile, Stamp};
use super::settings::TlsSettings;
use crate::config::{CertLogin, Config, TlsOptions};

/// How often the files are looked at, while clients come.
const FILES_INTERVAL: Duration = Duration::from_secs(1);

/// A client whose handshake is done.
#[derive(Debug)]
pub struct Secured {
    /// The encrypted stream.
    pub stream: TlsStream<TcpStream>,
    /// What was agreed on, and who the client is.
    pub facts: TlsFacts,
}

/// Does handshakes for one kind of listener.
#[derive(Debug)]
pub struct TlsAcceptor {
    settings: TlsSettings,
    login: CertLogin,
    handshake_timeout: Duration,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    stamp: Stamp,
    looked_at: Instant,
}

impl TlsAcceptor {
    /// For `listeners.ssl`.
    ///
    /// # Errors
    /// [`TlsError`]: a setting or a file that cannot be used.
    pub fn amqps(config: &Config) -> Result<Arc<Self>, TlsError> {
        Self::new(config, TlsSettings::new("ssl_options", &config.tls, &[])?)
    }

    /// For `management.ssl`. Without a certificate of its own it shows that of `ssl_options`.
    ///
    /// # Errors
    /// [`TlsError`]: a setting or a file that cannot be used.
    pub fn https(config: &Config) -> Result<Arc<Self>, TlsError> {
        Self::new(config, TlsSettings::new("management.ssl", &https_options(config), &[b"http/1.1"])?)
    }

    fn new(config: &Config, settings: TlsSettings) -> Result<Arc<Self>, TlsError> {
        // Taken before the files are read: a change in between is seen as one.
        let stamp = Stamp::of(settings.files());
        let loaded = Arc::new(settings.load()?);
        Ok(Arc::new(Self {
            settings,
            login: config.cert_login,
            handshake_timeout: Duration::from_millis(config.tls_handshake_timeout_ms),
            current: Mutex::new(Current { config: loaded, stamp, looked_at: Instant::now() }),
        }))
    }

    /// What is asked of clients, for the log.
    #[must_use]
    pub fn asks(&self) -> &'static str {
        self.settings.asks()
    }

    /// Does a handshake. `None`: it failed, which is logged, and the socket is closed.
    pub async fn accept(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) -> Option<Secured> {
        let config = self.config().await;
        let accepting = tokio_rustls::TlsAcceptor::from(config).accept(stream);
        match timeout(self.handshake_timeout, accepting).await {
            Ok(Ok(stream)) => {
                let facts = tls_facts(stream.get_ref().1, &self.login);
                Some(Secured { stream, facts })
            }
            Ok(Err(error)) => {
                tracing::warn!(client = %peer, "TLS handshake failed: {}", explained(&error));
                None
            }
            Err(_) => {
                let limit = self.handshake_timeout.as_millis();
                tracing::warn!(client = %peer, "TLS handshake failed: not done within {limit} ms");
                None
            }
        }
    }

    /// The settings with the files as they are now, or were a moment ago.
    async fn config(self: &Arc<Self>) -> Arc<ServerConfig> {
        let due = {
            let mut current = self.current.lock();
            let due = current.looked_at.elapsed() >= FILES_INTERVAL;
            if due {
                // Whoever comes meanwhile need not look as well.
                current.looked_at = Instant::now();
            }
            due
        };
        if due {
            let acceptor = Arc::clone(self);
            // It fails only when the runtime ends.
            _ = tokio::task::spawn_blocking(move || acceptor.reload()).await;
        }
        Arc::clone(&self.current.lock().config)
    }

    /// Reads files that have changed. What cannot be used is logged once, and the old ones stay.
    fn reload(&self) {
        let stamp = Stamp::of(self.settings.files());
        if self.current.lock().stamp == stamp {
            return;
        }
        let loaded = self.settings.load();
        let mut current = self.current.lock();
        current.stamp = stamp;
        match loaded {
            Ok(config) => {
                current.config = Arc::new(config);
                tracing::info!("the TLS files have changed and were read again");
            }
            Err(error) => tracing::error!("the TLS files have changed, the old ones stay in use: {error}"),
        }
    }
}

/// `management.ssl`, with the certificate of `ssl_options` where it has none of its own.
fn https_options(config: &Config) -> TlsOptions {
    let mut options = config.management_tls.clone();
    if options.certfile.is_none() && options.keyfile.is_none() {
        options.certfile.clone_from(&config.tls.certfile);
        options.keyfile.clone_from(&config.tls.keyfile);
    }
    options
}

/// The certificates in the files of the listeners over TLS, as they are now. A file that cannot be read now has none.
#[must_use]
pub fn listener_certificates(config: &Config, listeners: &[Listener]) -> Vec<ListenerCertificates> {
    let of = |listener: &Listener| {
        let options = match listener.protocol {
            "amqp/ssl" => config.tls.clone(),
            "https" => https_options(config),
            _ => return None,
        };
        let shown =
            |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        Some(ListenerCertificates {
            listener: listener.clone(),
            certfile: shown(&options.certfile),
            cacertfile: shown(&options.cacertfile),
            certfile_ends: ends(options.certfile),
            cacertfile_ends: ends(options.cacertfile),
        })
    };
    listeners.iter().filter_map(of).collect()
}

fn ends(path: Option<PathBuf>) -> Vec<CertificateEnd> {
    let file = path.map(|path| PemFile { key: String::new(), path });
    let certificates = file.and_then(|file| file.certificates().ok()).unwrap_or_default();
    certificates.iter().filter_map(certificate_end).collect()
}

fn tls_facts(connection: &ServerConnection, login: &CertLogin) -> TlsFacts {
    let (key_exchange, cipher) =
        connection.negotiated_cipher_suite().map_or(("any", "unknown"), |suite| described(suite.suite()));
    let protocol = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "tlsv1.2",
        _ => "tlsv1.3",
    };
    let certificate = connection.peer_certificates().and_then(|chain| chain.first());
    TlsFacts {
        protocol,
        key_exchange,
        cipher,
        hash: "aead",
        certificate: certificate.and_then(|certificate| certificate_facts(certificate, login)),
    }
}

/// What went wrong, in an operator's words where the library's say little.
fn explained(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
            "what came in is no TLS; does the client speak plain AMQP or HTTP?".to_owned()
        }
        Some(rustls::Error::NoCertificatesPresented) => "the client showed no certificate".to_owned(),
        Some(error) => error.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "the client went away".to_owned(),
        None => error.to_string(),
    }
}
