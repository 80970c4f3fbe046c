//! Certificates made for a test, and the client's side of TLS.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    sign::{CertifiedKey, SingleCertAndKey},
};

use crate::wait::PATIENCE;

/// What a certificate is to be; [`Authority::issue`] makes it.
#[derive(Debug)]
pub struct Request {
    params: CertificateParams,
}

impl Request {
    /// For a server of these names and addresses, good until 2096.
    #[must_use]
    pub fn server(names: &[&str]) -> Self {
        Self::new("server", names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For a client whose subject is `O=Acme` and this common name, good until 2096.
    #[must_use]
    pub fn client(common_name: &str) -> Self {
        Self::new(common_name, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn new(common_name: &str, names: &[&str], usage: ExtendedKeyUsagePurpose) -> Self {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Acme");
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        Self { params }.from_year(2000).until_year(2096)
    }

    /// Good from the first day of that year.
    #[must_use]
    pub fn from_year(mut self, year: i32) -> Self {
        self.params.not_before = date_time_ymd(year, 1, 1);
        self
    }

    /// Good until the first day of that year.
    #[must_use]
    pub fn until_year(mut self, year: i32) -> Self {
        self.params.not_after = date_time_ymd(year, 1, 1);
        self
    }

    /// With these alternative names and addresses.
    ///
    /// # Panics
    /// When one is neither.
    #[must_use]
    pub fn named(mut self, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        self.params.subject_alt_names = CertificateParams::new(names).expect("names").subject_alt_names;
        self
    }

    /// It may sign others.
    #[must_use]
    pub fn authority(mut self) -> Self {
        self.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self.params.extended_key_usages.clear();
        self.params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        self
    }
}

/// Who signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate and those above it, itself first, PEM; the topmost one, which signed itself, last.
    pub chain_pem: String,
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate alone, PEM.
    pub certificate_pem: String,
    /// Those between it and the topmost authority, PEM.
    pub intermediates_pem: String,
    /// The private key, PEM.
    pub key_pem: String,
}

impl Authority {
    /// One that signed itself.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn root(name: &str) -> Self {
        let params = Request::client(name).authority().params;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { chain_pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// One below this one, whether that may sign or not.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn below(&self, request: Request) -> Self {
        let key = KeyPair::generate().expect("a key");
        let certificate = request.params.signed_by(&key, &self.issuer).expect("a certificate");
        let chain_pem = certificate.pem() + &self.chain_pem;
        Self { chain_pem, issuer: Issuer::new(request.params, key) }
    }

    /// A certificate with a new key.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn issue(&self, request: &Request) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = request.params.signed_by(&key, &self.issuer).expect("a certificate");
        let end = "-----END CERTIFICATE-----";
        let above: Vec<&str> = self.chain_pem.split_inclusive(end).filter(|pem| pem.contains(end)).collect();
        let between = above.split_last().map_or(&[][..], |(_, between)| between);
        Identity {
            certificate_pem: certificate.pem(),
            intermediates_pem: between.concat() + "\n",
            key_pem: key.serialize_pem(),
        }
    }
}

impl Identity {
    /// The certificate and those between it and the authority, PEM.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        format!("{}{}", self.certificate_pem, self.intermediates_pem)
    }
}

/// How a client speaks TLS.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The authorities it trusts, PEM.
    pub authorities_pem: String,
    /// What it shows when asked.
    pub identity: Option<Identity>,
    /// The name it expects the server to have.
    pub server_name: &'static str,
    /// The version it speaks; `None` takes the best.
    pub version: Option<&'static SupportedProtocolVersion>,
}

impl Trust {
    /// A client that trusts this authority and shows nothing.
    #[must_use]
    pub fn in_authority(authority: &Authority) -> Self {
        Self {
            authorities_pem: authority.chain_pem.clone(),
            identity: None,
            server_name: "localhost",
            version: None,
        }
    }

    /// The same client with a certificate.
    #[must_use]
    pub fn showing(&self, identity: &Identity) -> Self {
        Self { identity: Some(identity.clone()), ..self.clone() }
    }

    fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&self.authorities_pem) {
            roots.add(authority).expect("an authority");
        }
        let versions = match self.version {
            Some(version) => vec![version],
            None => rustls::ALL_VERSIONS.to_vec(),
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&versions)
            .expect("versions")
            .with_root_certificates(roots);
        match &self.identity {
            Some(identity) => {
                let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).expect("a key");
                let key = aws_lc_rs::sign::any_supported_type(&key).expect("a key");
                // Not checked whether they fit: a thief would not, either.
                let shown = CertifiedKey::new(certificates(&identity.chain_pem()), key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
            }
            None => builder.with_no_client_auth(),
        }
    }
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(|certificate| certificate.expect("PEM")).collect()
}

/// The client's end of a connection.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over it.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Opens a plain socket.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn plain(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self::Plain(socket))
    }

    /// Opens a socket and does the TLS handshake.
    ///
    /// # Errors
    /// What either side refuses. With TLS 1.3 the server's refusal of a client's certificate shows with the first
    /// read only.
    ///
    /// # Panics
    /// When what the client shows or trusts is no certificate.
    pub fn tls(address: SocketAddr, trust: &Trust) -> io::Result<Self> {
        let Self::Plain(mut socket) = Self::plain(address)? else { unreachable!("it was made plain") };
        socket.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from(trust.server_name).expect("a name");
        let mut tls = ClientConnection::new(Arc::new(trust.config()), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(tls, socket))))
    }

    /// Says that nothing more will be sent: close_notify with TLS, else the socket's half.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown(Shutdown::Write),
            Self::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush()
            }
        }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
