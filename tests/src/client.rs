//! A raw, blocking AMQP client: it sends what it is told, right or wrong, and reads frames with a deadline.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::{
    describe::describe,
    login::Login,
    methods::{self, Properties, basic, channel, connection},
    tls::Stream,
    wait::PATIENCE,
    wire::{self, Frame},
};

/// What came from the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A whole frame.
    Frame(Frame),
    /// The broker closed the socket, in order or by reset.
    Closed,
    /// Nothing came before the deadline.
    Silence,
}

/// A delivery, a got message or a returned one, with its content.
#[derive(Debug, Clone)]
pub struct Content {
    /// The method frame that announced it.
    pub method: Frame,
    /// Property flags and list, unparsed.
    pub properties: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

/// One connection. Dropping it closes the socket without a word.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    inbox: Vec<u8>,
    /// Largest frame in octets, head and end included, as agreed at login.
    pub frame_max: u32,
}

impl Client {
    /// Opens a socket and says nothing.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn connect(address: SocketAddr) -> std::io::Result<Self> {
        Stream::plain(address).map(Self::over)
    }

    /// A client that has said nothing yet on this stream.
    #[must_use]
    pub fn over(stream: Stream) -> Self {
        Self { stream, inbox: Vec::new(), frame_max: 131_072 }
    }

    /// Opens a socket and says the protocol header; the broker's `connection.start` is read.
    ///
    /// # Errors
    /// When the broker cannot be reached or does not begin with `connection.start`.
    pub fn start(address: SocketAddr) -> std::io::Result<Self> {
        let mut client = Self::connect(address)?;
        client.begin()?;
        Ok(client)
    }

    /// Says the protocol header and reads the broker's `connection.start`.
    ///
    /// # Errors
    /// When the broker does not begin with it.
    pub fn begin(&mut self) -> std::io::Result<Frame> {
        self.send(wire::PROTOCOL_HEADER)?;
        self.expect_method(0, (10, 10))
    }

    /// Connects and logs in as guest on the vhost `/`.
    ///
    /// # Errors
    /// When any step of the handshake is refused.
    pub fn login(address: SocketAddr) -> std::io::Result<Self> {
        Self::login_with(address, &Login::default())
    }

    /// Connects and logs in as told.
    ///
    /// # Errors
    /// When any step of the handshake is refused.
    pub fn login_with(address: SocketAddr, login: &Login) -> std::io::Result<Self> {
        let mut client = Self::start(address)?;
        client.open(login)?;
        Ok(client)
    }

    /// The handshake behind `connection.start`.
    ///
    /// # Errors
    /// When any step of it is refused.
    pub fn open(&mut self, login: &Login) -> std::io::Result<()> {
        self.tune(login)?;
        self.method(0, connection::open(&login.vhost))?;
        self.expect_method(0, (10, 41)).map(|_| ())
    }

    /// The middle of the handshake: start-ok, tune, tune-ok.
    ///
    /// # Errors
    /// When the login is refused.
    pub fn tune(&mut self, login: &Login) -> std::io::Result<()> {
        let start_ok = connection::start_ok(&login.properties, &login.mechanism, &login.response);
        self.method(0, start_ok)?;
        let tune = self.expect_method(0, (10, 30))?;
        let mut arguments = tune.arguments();
        let offer = arguments.u16().zip(arguments.u32());
        let (channel_max, frame_max) = offer.ok_or_else(|| refused("tune is cut short"))?;
        let channel_max = login.channel_max.unwrap_or(channel_max);
        self.frame_max = login.frame_max.unwrap_or(frame_max);
        self.method(0, connection::tune_ok(channel_max, self.frame_max, login.heartbeat))
    }

    /// A second handle of the same socket, for a thread that only writes; of no use with TLS.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn writer(&self) -> std::io::Result<TcpStream> {
        self.stream.socket().try_clone()
    }

    /// The local address of the socket.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.stream.socket().local_addr()
    }

    /// Sends octets as they are.
    ///
    /// # Errors
    /// When the broker has closed the socket.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends one method frame.
    ///
    /// # Errors
    /// When the broker has closed the socket.
    pub fn method(&mut self, channel: u16, payload: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.send(&wire::frame(wire::METHOD, channel, payload.as_ref()))
    }

    /// Publishes a whole message: method, header and as many body frames as it takes.
    ///
    /// # Errors
    /// When the broker has closed the socket.
    pub fn publish(
        &mut self,
        channel: u16,
        (exchange, key, flags): (&str, &str, u8),
        properties: &Properties,
        body: &[u8],
    ) -> std::io::Result<()> {
        let method = basic::publish(exchange, key, flags);
        let bytes = message(channel, &method, properties, body, self.frame_max);
        self.send(&bytes)
    }

    /// Opens channel `number`.
    ///
    /// # Errors
    /// When the broker does not answer with open-ok.
    pub fn open_channel(&mut self, number: u16) -> std::io::Result<()> {
        self.call(number, channel::open(), (20, 11)).map(|_| ())
    }

    /// Sends a method and reads its answer.
    ///
    /// # Errors
    /// When the broker answers anything else.
    pub fn call(
        &mut self,
        channel: u16,
        payload: impl AsRef<[u8]>,
        answer: (u16, u16),
    ) -> std::io::Result<Frame> {
        self.method(channel, payload)?;
        self.expect_method(channel, answer)
    }

    /// Reads the next frame, heartbeats left out.
    ///
    /// # Errors
    /// When it is another one than the one asked for, or none comes.
    pub fn expect_method(&mut self, channel: u16, method: (u16, u16)) -> std::io::Result<Frame> {
        match self.next(PATIENCE) {
            Event::Frame(frame) if frame.channel == channel && frame.method() == Some(method) => Ok(frame),
            Event::Frame(frame) => Err(refused(&format!("expected {method:?}, got {}", describe(&frame)))),
            other => Err(refused(&format!("expected {method:?}, got {other:?}"))),
        }
    }

    /// Reads a message's header and body after its method frame `method` was read.
    ///
    /// # Errors
    /// When something else than that content comes.
    pub fn content(&mut self, method: Frame) -> std::io::Result<Content> {
        let Event::Frame(header) = self.next(PATIENCE) else {
            return Err(refused("no content header came"));
        };
        let size = header.payload.get(4..12).and_then(|b| b.try_into().ok());
        let size = size.map_or(0, u64::from_be_bytes);
        if header.kind != wire::HEADER || header.channel != method.channel {
            return Err(refused("another frame stands where the header should"));
        }
        let mut body = Vec::new();
        while (body.len() as u64) < size {
            let Event::Frame(piece) = self.next(PATIENCE) else {
                return Err(refused("the body was cut short"));
            };
            if piece.kind != wire::BODY || piece.channel != method.channel {
                return Err(refused("another frame stands inside the body"));
            }
            body.extend_from_slice(&piece.payload);
        }
        Ok(Content { method, properties: header.payload[12..].to_vec(), body })
    }

    /// `basic.get` without ack: the message, or `None` from an empty queue.
    ///
    /// # Errors
    /// When the broker answers neither get-ok nor get-empty.
    pub fn get(&mut self, channel: u16, queue: &str) -> std::io::Result<Option<Content>> {
        self.method(channel, basic::get(queue, true))?;
        match self.next(PATIENCE) {
            Event::Frame(frame) if frame.method() == Some((60, 71)) => self.content(frame).map(Some),
            Event::Frame(frame) if frame.method() == Some((60, 72)) => Ok(None),
            Event::Frame(frame) => Err(refused(&describe(&frame))),
            other => Err(refused(&format!("{other:?}"))),
        }
    }

    /// Reads what comes next within `patience`; heartbeats are left out.
    pub fn next(&mut self, patience: Duration) -> Event {
        let deadline = Instant::now() + patience;
        loop {
            match Frame::take(&mut self.inbox) {
                Some(frame) if frame.kind == wire::HEARTBEAT => {}
                Some(frame) => return Event::Frame(frame),
                None => match self.fill(deadline) {
                    Filled::Some => {}
                    Filled::Closed => return Event::Closed,
                    Filled::Nothing => return Event::Silence,
                },
            }
        }
    }

    /// Reads octets, frames or not, until the broker closes; `None` if it does not within `patience`.
    pub fn read_to_close(&mut self, patience: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + patience;
        loop {
            match self.fill(deadline) {
                Filled::Some => {}
                Filled::Closed => return Some(std::mem::take(&mut self.inbox)),
                Filled::Nothing => return None,
            }
        }
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn finish(&mut self) -> std::io::Result<()> {
        self.stream.finish()
    }

    /// Whether the broker ended TLS with a close_notify; to be asked after the end was read.
    pub fn ended_in_order(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0))
    }

    fn fill(&mut self, deadline: Instant) -> Filled {
        let mut chunk = [0_u8; 65_536];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Filled::Nothing;
            }
            if self.stream.socket().set_read_timeout(Some(left)).is_err() {
                return Filled::Closed;
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Filled::Closed,
                Ok(count) => {
                    self.inbox.extend_from_slice(&chunk[..count]);
                    return Filled::Some;
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Filled::Nothing,
                    _ => return Filled::Closed,
                },
            }
        }
    }
}

enum Filled {
    Some,
    Closed,
    Nothing,
}

/// All frames of one message behind its method `method`.
#[must_use]
pub fn message(channel: u16, method: &[u8], properties: &Properties, body: &[u8], frame_max: u32) -> Vec<u8> {
    let header = methods::content_header(body.len() as u64, properties);
    let mut bytes = wire::frame(wire::METHOD, channel, method);
    bytes.extend(wire::frame(wire::HEADER, channel, &header));
    for piece in body.chunks(frame_max as usize - 8) {
        bytes.extend(wire::frame(wire::BODY, channel, piece));
    }
    bytes
}

fn refused(text: &str) -> std::io::Error {
    std::io::Error::other(text.to_owned())
}
