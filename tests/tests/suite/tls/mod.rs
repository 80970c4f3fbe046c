//! TLS: what works, and that everything that must be refused is refused. Every chain is made by the test that uses it.

mod clients;
mod external;
mod https;
mod servers;
mod start;
mod strangers;
mod traffic;

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use leveret_tests::{
    broker::{Broker, Options},
    client::Client,
    login::Login,
    methods::queue,
    process,
    tls::{Authority, Identity, Request, Stream, Trust},
    wait::{PATIENCE, until},
    wire::Table,
};
use tempfile::TempDir;

/// The names of the broker's certificate.
const SERVER_NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// The PEM files of a broker.
struct Files {
    folder: TempDir,
}

impl Files {
    /// The broker's certificate by that authority, which clients' certificates are verified against too.
    fn new(authority: &Authority) -> Self {
        let files = Self { folder: TempDir::with_prefix("leveret-tls-").expect("a folder") };
        files.put_server(&authority.issue(&Request::server(&SERVER_NAMES)));
        files.put("ca.pem", &authority.chain_pem);
        files
    }

    fn put_server(&self, identity: &Identity) {
        self.put("server.key", &identity.key_pem);
        self.put("server.pem", &identity.chain_pem());
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `PREFIX.certfile` and `.keyfile`.
    fn server_lines(&self, prefix: &str) -> String {
        let (certificate, key) = (self.path("server.pem"), self.path("server.key"));
        format!("{prefix}.certfile = {}\n{prefix}.keyfile = {}\n", certificate.display(), key.display())
    }

    /// `PREFIX.cacertfile`.
    fn authority_line(&self, prefix: &str) -> String {
        format!("{prefix}.cacertfile = {}\n", self.path("ca.pem").display())
    }
}

/// A broker that listens for TLS too.
struct House {
    broker: Broker,
    files: Files,
    authority: Authority,
    amqps: SocketAddr,
}

impl House {
    /// With a `cacertfile` and these further lines.
    fn start(lines: &str) -> Self {
        let files_lines = |files: &Files| files.authority_line("ssl_options") + lines;
        Self::start_with(files_lines)
    }

    /// Without a `cacertfile` unless a line sets it.
    fn start_with(lines: impl FnOnce(&Files) -> String) -> Self {
        let authority = Authority::root("the authority");
        let files = Files::new(&authority);
        let amqps = SocketAddr::from((Ipv4Addr::LOCALHOST, process::free_port()));
        let mut config = format!("listeners.ssl.1 = {amqps}\n");
        config += &files.server_lines("ssl_options");
        config += &lines(&files);
        let broker = Broker::start_with(Options::config(&config));
        Self { broker, files, authority, amqps }
    }

    /// A client that trusts the broker and shows nothing.
    fn trust(&self) -> Trust {
        Trust::in_authority(&self.authority)
    }

    /// A client that shows a good certificate.
    fn good(&self) -> Trust {
        self.trust().showing(&self.authority.issue(&Request::client("good")))
    }

    /// A logged-in client, or why there is none.
    fn login(&self, trust: &Trust) -> std::io::Result<Client> {
        login(self.amqps, trust, &Login::default()).map(|(client, _)| client)
    }

    /// Waits until the log holds the text as often.
    fn logged(&self, text: &str, times: usize) {
        until(&format!("{times} lines with {text:?}"), PATIENCE, || {
            (self.broker.log().matches(text).count() >= times).then_some(())
        });
    }
}

/// Logs in over TLS; gives the mechanisms that were offered too.
fn login(address: SocketAddr, trust: &Trust, login: &Login) -> std::io::Result<(Client, String)> {
    let mut client = Client::over(Stream::tls(address, trust)?);
    let start = client.begin()?;
    let mut arguments = start.arguments();
    let mut mechanisms = || {
        arguments.u16()?;
        arguments.long()?;
        Some(String::from_utf8_lossy(arguments.long()?).into_owned())
    };
    let mechanisms = mechanisms().ok_or_else(|| std::io::Error::other("start is cut short"))?;
    client.open(login)?;
    client.open_channel(1)?;
    Ok((client, mechanisms))
}

/// The client is served: it declares a queue of its own.
fn declares(client: &mut Client) {
    client.call(1, queue::declare("", queue::EXCLUSIVE, &Table::default()), (50, 11)).expect("a queue");
}

/// Settings as lines.
fn lines(settings: &[(&str, &str)]) -> String {
    settings.iter().fold(String::new(), |mut text, (key, value)| {
        writeln!(text, "{key} = {value}").expect("memory");
        text
    })
}
