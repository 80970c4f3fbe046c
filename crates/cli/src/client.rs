//! HTTP/1.1 over the control socket, or over TCP or TLS with a login: one request a connection.
//!
//! The socket is opened through a descriptor of its folder, since a socket's path ends at 107 bytes and a data
//! folder's may be longer.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::args::{Place, Timeout};
use crate::error::{EX_TIMEOUT, EX_UNAVAILABLE, Failure};
use crate::tls::Tls;

/// The longest answer, in bytes: some millions of queues.
const ANSWER_BYTES: u64 = 4 << 30;

/// The time that a TCP connection may take, unless the command's own is shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// Why it is no success, in the broker's words.
    pub(crate) fn reason(&self) -> &str {
        self.body.get("reason").and_then(Value::as_str).unwrap_or("no reason given")
    }
}

/// Where requests go.
enum Target {
    /// The control socket of a data folder.
    Socket(PathBuf),
    /// A host and port, with what stands before every path, and the login's header.
    Http { authority: String, prefix: String, authorization: String, tls: Option<Tls> },
}

/// The broker.
pub(crate) struct Client {
    target: Target,
    timeout: Cell<Timeout>,
}

impl Client {
    /// A broker at its place.
    ///
    /// # Errors
    /// A URL that is none of HTTP; files that TLS cannot be done with.
    pub(crate) fn new(place: &Place, timeout: Timeout) -> Result<Self, Failure> {
        let target = match &place.url {
            None => Target::Socket(place.data_dir.clone()),
            Some(url) => {
                let plain = url.strip_prefix("http://").map(|rest| (rest, None, ":15672"));
                let secured = || Some((url.strip_prefix("https://")?, Some(()), ":15671"));
                let (rest, secured, usual) = plain.or_else(secured).ok_or_else(|| not_http(url))?;
                let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
                let port = if has_port(authority) { "" } else { usual };
                let login = STANDARD.encode(format!("{}:{}", place.username, place.password));
                Target::Http {
                    authority: format!("{authority}{port}"),
                    prefix: prefix.trim_end_matches('/').trim_end_matches("/api").to_owned(),
                    authorization: format!("Authorization: Basic {login}\r\n"),
                    tls: secured.map(|()| Tls::new(place)).transpose()?,
                }
            }
        };
        Ok(Self { target, timeout: Cell::new(timeout) })
    }

    /// Whether this is the control socket, whose opener may do everything.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.target, Target::Socket(_))
    }

    /// Waits so long for an answer from now on.
    pub(crate) fn set_timeout(&self, timeout: Timeout) {
        self.timeout.set(timeout);
    }

    /// Asks for a path; 404 is `None`, anything else that is not a success is a failure.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Value>, Failure> {
        let answer = self.request("GET", path, &[], None)?;
        match answer.status {
            404 => Ok(None),
            _ => Ok(Some(expect_success(answer)?)),
        }
    }

    /// Sends a body.
    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        self.request("PUT", path, &[], Some(body))
    }

    /// Sends a request of any kind.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let (host, prefix, authorization) = match &self.target {
            Target::Socket(_) => ("localhost", "", ""),
            Target::Http { authority, prefix, authorization, .. } => {
                (authority.as_str(), prefix.as_str(), authorization.as_str())
            }
        };
        let mut request = format!(
            "{method} {prefix}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{authorization}"
        );
        for (name, value) in headers {
            let value: String = value.chars().filter(|c| !c.is_control()).collect();
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if body.is_some() {
            request.push_str("Content-Type: application/json\r\n");
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let answer = match &self.target {
            Target::Socket(data_dir) => {
                let stream = self.open(data_dir).map_err(|error| no_socket(data_dir, &error))?;
                exchange(stream, request.as_bytes())
            }
            Target::Http { authority, tls, .. } => {
                let no_host = |error: io::Error| no_host(authority, &error);
                let stream = self.connect(authority).map_err(no_host)?;
                match tls {
                    None => exchange(stream, request.as_bytes()),
                    Some(tls) => {
                        let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
                        exchange(tls.connect(host, stream).map_err(no_host)?, request.as_bytes())
                    }
                }
            }
        };
        answer.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Failure::error(EX_TIMEOUT, "the broker did not answer in time")
            }
            _ => Failure::unavailable(format!("the broker's answer cannot be read: {error}")),
        })
    }

    fn open(&self, data_dir: &Path) -> io::Result<UnixStream> {
        let folder = File::open(data_dir.join("control"))?;
        let stream = UnixStream::connect(format!("/proc/self/fd/{}/leveret.sock", folder.as_raw_fd()))?;
        stream.set_read_timeout(self.timeout.get())?;
        stream.set_write_timeout(self.timeout.get())?;
        Ok(stream)
    }

    fn connect(&self, authority: &str) -> io::Result<TcpStream> {
        let wait = self.timeout.get().map_or(CONNECT_TIMEOUT, |timeout| timeout.min(CONNECT_TIMEOUT));
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, wait) {
                Ok(stream) => {
                    stream.set_read_timeout(self.timeout.get())?;
                    stream.set_write_timeout(self.timeout.get())?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn has_port(authority: &str) -> bool {
    authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

fn not_http(url: &str) -> Failure {
    Failure::unavailable(format!("{url} is not an address that begins with http:// or https://"))
}

fn no_socket(data_dir: &Path, error: &io::Error) -> Failure {
    let socket = data_dir.join("control").join("leveret.sock");
    Failure::plain(
        EX_UNAVAILABLE,
        format!(
            "Error: unable to perform an operation: there is no broker at the control socket {}: {error}\n\nIs the \
             broker running, and is this its data folder? Give another with --data-dir or LEVERET_DATA_DIR, or an \
             HTTP API with --url, --username and --password.",
            socket.display()
        ),
    )
}

fn no_host(authority: &str, error: &io::Error) -> Failure {
    Failure::plain(
        EX_UNAVAILABLE,
        format!("Error: unable to perform an operation: there is no HTTP API at {authority}: {error}"),
    )
}

/// The body of an answer that is a success.
pub(crate) fn expect_success(answer: Answer) -> Result<Value, Failure> {
    if (200..300).contains(&answer.status) {
        return Ok(answer.body);
    }
    let (status, reason) = (answer.status, answer.reason());
    Err(Failure::unavailable(format!("the broker refused ({status}): {reason}")))
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> io::Result<Answer> {
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is not a whole HTTP answer"))
}

/// An answer that ends with the connection. Its body has a length or is chunked.
fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, rest) = answer.split_at_checked(end)?;
    let rest = rest.get(4..)?;
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let header = |name: &str| {
        let mut headers = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let body = if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        dechunk(rest)?
    } else if let Some(length) = header("content-length") {
        rest.get(..length.parse().ok()?)?.to_vec()
    } else {
        rest.to_vec()
    };
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).ok()? };
    Some(Answer { status, body })
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let line = std::str::from_utf8(rest.get(..end)?).ok()?;
        let length = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        let start = end.checked_add(2)?;
        let chunk_end = start.checked_add(length)?;
        body.extend_from_slice(rest.get(start..chunk_end)?);
        rest = rest.get(chunk_end.checked_add(2)?..)?;
    }
}

/// A part of a path: everything but letters, digits and a few marks is written as `%XX`.
pub(crate) fn encode(part: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::new();
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let cases: [(&str, Option<(u16, &str)>); 9] = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", Some((200, "[]"))),
            ("HTTP/1.1 204 No Content\r\n\r\n", Some((204, "null"))),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n[\r\n1;x=y\r\n]\r\n0\r\n\r\n",
                Some((200, "[]")),
            ),
            (
                "HTTP/1.1 404 Not Found\r\ncontent-length: 15\r\n\r\n{\"reason\":\"no\"}",
                Some((404, "{\"reason\":\"no\"}")),
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[]", None),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n[", None),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n[", None),
            ("HTTP/1.1 200 OK\r\n", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let got = parse(text.as_bytes()).map(|answer| (answer.status, answer.body.to_string()));
            assert_eq!(got.as_ref().map(|(status, body)| (*status, body.as_str())), expected, "{text}");
        }
    }

    #[test]
    fn parts_of_paths() {
        assert_eq!(encode("/"), "%2F");
        assert_eq!(encode("a b+é%"), "a%20b%2B%C3%A9%25");
    }

    fn socket(data_dir: &Path) -> Client {
        Client::new(&Place { data_dir: data_dir.to_owned(), ..Place::default() }, None).unwrap()
    }

    #[test]
    fn no_broker_says_where_it_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let failure = socket(folder.path()).get("/api/overview").unwrap_err();
        assert_eq!(failure.code, EX_UNAVAILABLE);
        assert!(failure.text.contains("control/leveret.sock"), "{}", failure.text);
    }

    #[test]
    fn addresses() {
        let cases = [
            ("http://h", Some(("h:15672", ""))),
            ("http://h:1/", Some(("h:1", ""))),
            ("http://u:p@h:1/api", Some(("h:1", ""))),
            ("http://h/prefix/api/", Some(("h:15672", "/prefix"))),
            ("http://[::1]", Some(("[::1]:15672", ""))),
            ("https://h/api", Some(("h:15671", ""))),
            ("https://[::1]:1", Some(("[::1]:1", ""))),
            ("ftp://h", None),
            ("h", None),
        ];
        for (url, expected) in cases {
            let place = Place { url: Some(url.to_owned()), ..Place::default() };
            let client = Client::new(&place, None).ok();
            let got = client.as_ref().and_then(|client| match &client.target {
                Target::Http { authority, prefix, .. } => Some((authority.as_str(), prefix.as_str())),
                Target::Socket(_) => None,
            });
            assert_eq!(got, expected, "{url}");
        }
    }
}
