//! HTTP/1.1 over the control socket: one request a connection.
//!
//! The socket is opened through a descriptor of its folder, since a socket's path ends at 107 bytes and a data
//! folder's may be longer.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::error::Failure;

/// The longest answer, in bytes: some millions of queues.
const ANSWER_BYTES: u64 = 4 << 30;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// The broker of a data folder.
pub(crate) struct Client {
    data_dir: PathBuf,
    timeout: Option<Duration>,
}

impl Client {
    pub(crate) fn new(data_dir: PathBuf, timeout: Option<Duration>) -> Self {
        Self { data_dir, timeout }
    }

    /// Asks for a path; 404 is `None`, anything else that is not a success is a failure.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Value>, Failure> {
        let answer = self.request("GET", path, &[], None)?;
        match answer.status {
            404 => Ok(None),
            _ => Ok(Some(expect_success(answer)?)),
        }
    }

    /// Sends a request of any kind.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let stream = self.connect().map_err(|error| self.no_connection(&error))?;
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        for (name, value) in headers {
            let value: String = value.chars().filter(|c| !c.is_control()).collect();
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        exchange(stream, request.as_bytes()).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Failure::TimedOut("the broker did not answer in time".to_owned())
            }
            _ => Failure::Unavailable(format!("the broker's answer cannot be read: {error}")),
        })
    }

    fn connect(&self) -> io::Result<UnixStream> {
        let folder = File::open(self.data_dir.join("control"))?;
        let stream = UnixStream::connect(format!("/proc/self/fd/{}/leveret.sock", folder.as_raw_fd()))?;
        stream.set_read_timeout(self.timeout)?;
        stream.set_write_timeout(self.timeout)?;
        Ok(stream)
    }

    fn no_connection(&self, error: &io::Error) -> Failure {
        let socket = self.data_dir.join("control").join("leveret.sock");
        Failure::Unavailable(format!(
            "unable to connect to the broker's control socket {}: {error}\n\nIs the broker running, and is this its \
             data folder? Give another with --data-dir or LEVERET_DATA_DIR.",
            socket.display()
        ))
    }
}

/// The body of an answer that is a success.
pub(crate) fn expect_success(answer: Answer) -> Result<Value, Failure> {
    if (200..300).contains(&answer.status) {
        return Ok(answer.body);
    }
    let reason = answer.body.get("reason").and_then(Value::as_str).unwrap_or("no reason given");
    Err(Failure::Unavailable(format!("the broker refused ({}): {reason}", answer.status)))
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

    #[test]
    fn no_broker_says_where_it_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let client = Client::new(folder.path().to_owned(), None);
        let failure = client.get("/api/overview").unwrap_err();
        assert_eq!(failure.exit_code(), 69);
        assert!(failure.text(&[]).contains("control/leveret.sock"), "{}", failure.text(&[]));
    }
}
