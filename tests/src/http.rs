//! A small HTTP/1.1 client: one connection that is kept open, plain requests, whole answers.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::wait::PATIENCE;

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The code of the status line.
    pub status: u16,
    /// Names in small letters, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `null` when it is empty, a string when it is no JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&self.body).into_owned()))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One connection to an HTTP listener, opened when it is needed.
#[derive(Debug)]
pub struct Http {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Http {
    /// A client of the listener at `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Sends a request and reads its answer. `login` is `name:password`.
    ///
    /// # Panics
    /// When the listener cannot be reached or does not answer in HTTP.
    pub fn call(&mut self, method: &str, path: &str, login: Option<&str>, body: Option<&str>) -> Reply {
        self.try_call(method, path, login, body).expect("an answer")
    }

    /// [`Self::call`] to a listener that may go away.
    ///
    /// # Errors
    /// When it cannot be reached, or ends the connection before its answer does.
    pub fn try_call(
        &mut self,
        method: &str,
        path: &str,
        login: Option<&str>,
        body: Option<&str>,
    ) -> io::Result<Reply> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        if let Some(login) = login {
            head.push_str(&format!("authorization: Basic {}\r\n", STANDARD.encode(login)));
        }
        if let Some(body) = body {
            head.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
        }
        self.try_raw(&format!("{head}\r\n{}", body.unwrap_or_default()), method == "HEAD")
    }

    /// Sends octets as they are and reads one answer; `bodyless` for the answer to HEAD.
    ///
    /// # Panics
    /// When the listener cannot be reached or does not answer in HTTP.
    pub fn raw(&mut self, request: &str, bodyless: bool) -> Reply {
        self.try_raw(request, bodyless).expect("an answer")
    }

    fn try_raw(&mut self, request: &str, bodyless: bool) -> io::Result<Reply> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        stream.get_mut().write_all(request.as_bytes())?;
        let reply = read_reply(&mut stream, bodyless)?;
        if reply.header("connection") != Some("close") {
            self.stream = Some(stream);
        }
        Ok(reply)
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(BufReader::new(stream))
    }
}

fn read_reply(stream: &mut BufReader<TcpStream>, bodyless: bool) -> io::Result<Reply> {
    let status = line(stream)?;
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status: u16 = status.ok_or_else(|| io::Error::other("no status line"))?;
    let mut headers = Vec::new();
    loop {
        let line = line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other("no header"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut reply = Reply { status, headers, body: Vec::new() };
    if bodyless || status == 204 {
        return Ok(reply);
    }
    if reply.header("transfer-encoding") == Some("chunked") {
        loop {
            let size = usize::from_str_radix(&line(stream)?, 16).map_err(io::Error::other)?;
            let start = reply.body.len();
            reply.body.resize(start + size, 0);
            stream.read_exact(&mut reply.body[start..])?;
            line(stream)?;
            if size == 0 {
                return Ok(reply);
            }
        }
    }
    let length = reply.header("content-length").map_or(Ok(0), str::parse).map_err(io::Error::other)?;
    reply.body.resize(length, 0);
    stream.read_exact(&mut reply.body)?;
    Ok(reply)
}

fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
