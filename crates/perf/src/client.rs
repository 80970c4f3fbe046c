//! A blocking AMQP connection: handshake, one channel, calls, and the two halves for the load's threads.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use amq_protocol_uri::{AMQPScheme, AMQPUri};
use leveret_protocol::amqp::{
    AMQPClass, AMQPValue, FieldTable, basic, channel, confirm, connection, queue, short_string,
};
use leveret_protocol::encode::encode_method;
use leveret_protocol::frame::{Frame, FrameKind, frame_bytes_needed, parse_frame};
use leveret_protocol::protocol_header::PROTOCOL_HEADER;
use leveret_protocol::{Method, decode_method};

use crate::error::PerfError;

/// The largest frame we offer, as most clients do.
const FRAME_MAX_BYTES: u32 = 131_072;

/// Room of a read: large, so that a fast broker needs few calls.
const READ_BYTES: usize = 512 * 1024;

/// How long a connection or the answer to a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The channel of everything; each connection has one.
pub(crate) const CHANNEL: u16 = 1;

/// Where a broker is and how to log in.
#[derive(Clone, Debug)]
pub struct Target {
    uri: AMQPUri,
}

impl Target {
    /// Reads a URI.
    ///
    /// # Errors
    /// If it is none, or asks for TLS.
    pub fn parse(text: &str) -> Result<Self, PerfError> {
        let wrong = |reason: String| PerfError::Uri { uri: text.to_owned(), reason };
        let uri: AMQPUri = text.parse().map_err(wrong)?;
        if uri.scheme == AMQPScheme::AMQPS {
            return Err(wrong("TLS is not spoken".to_owned()));
        }
        Ok(Self { uri })
    }

    /// Host and port, as shown to people: without the password.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.uri.authority.port
    }

    /// Whether the broker's process is to be found on this machine.
    pub(crate) fn is_local(&self) -> bool {
        let addresses = (self.uri.authority.host.as_str(), self.port()).to_socket_addrs();
        addresses.is_ok_and(|mut all| all.all(|address| address.ip().is_loopback()))
    }

    /// Connects, logs in and opens the channel.
    ///
    /// # Errors
    /// If nobody listens there, or refuses.
    pub fn connect(&self, name: &str) -> Result<Client, PerfError> {
        let unreachable = |error: PerfError| match error {
            PerfError::Socket(error) => {
                PerfError::Unreachable { uri: self.address(), reason: error.to_string() }
            }
            other => other,
        };
        let stream = TcpStream::connect((self.uri.authority.host.as_str(), self.port()))
            .map_err(|error| unreachable(error.into()))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(CALL_TIMEOUT))?;
        stream.set_write_timeout(Some(CALL_TIMEOUT))?;
        let mut client = Client {
            writer: stream.try_clone()?,
            reader: Reader { stream, buffer: Vec::new(), at: 0, end: 0 },
            frame_max: FRAME_MAX_BYTES,
            server: String::new(),
        };
        client.open(&self.uri, name).map_err(unreachable)?;
        Ok(client)
    }
}

/// An open connection with an open channel.
pub struct Client {
    /// What comes in.
    pub(crate) reader: Reader,
    /// What goes out.
    pub(crate) writer: TcpStream,
    /// The agreed largest frame in bytes.
    pub(crate) frame_max: u32,
    /// Product and version, as the broker says them.
    pub(crate) server: String,
}

impl Client {
    fn open(&mut self, uri: &AMQPUri, name: &str) -> Result<(), PerfError> {
        self.writer.write_all(&PROTOCOL_HEADER)?;
        let start = match self.answer()? {
            AMQPClass::Connection(connection::AMQPMethod::Start(start)) => start,
            other => return Err(unexpected(&other)),
        };
        self.server = server_name(&start.server_properties);
        let login = &uri.authority.userinfo;
        let start_ok = connection::StartOk {
            client_properties: client_properties(name),
            mechanism: short_string("PLAIN"),
            response: format!("\0{}\0{}", login.username, login.password).as_str().into(),
            locale: short_string("en_US"),
        };
        let tune = self.call(0, AMQPClass::Connection(connection::AMQPMethod::StartOk(start_ok)))?;
        let AMQPClass::Connection(connection::AMQPMethod::Tune(tune)) = tune else {
            return Err(unexpected(&tune));
        };
        if tune.frame_max != 0 {
            self.frame_max = self.frame_max.min(tune.frame_max);
        }
        let tune_ok =
            connection::TuneOk { channel_max: tune.channel_max, frame_max: self.frame_max, heartbeat: 0 };
        self.send(0, AMQPClass::Connection(connection::AMQPMethod::TuneOk(tune_ok)))?;
        let open = connection::Open { virtual_host: short_string(&uri.vhost) };
        self.call(0, AMQPClass::Connection(connection::AMQPMethod::Open(open)))?;
        self.call(CHANNEL, AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})))?;
        Ok(())
    }

    /// Sends a method.
    pub(crate) fn send(&mut self, channel: u16, method: AMQPClass) -> Result<(), PerfError> {
        let mut bytes = Vec::new();
        encode_method(&mut bytes, channel, method)?;
        self.writer.write_all(&bytes)?;
        Ok(())
    }

    /// Sends a method and waits for the next one.
    pub(crate) fn call(&mut self, channel: u16, method: AMQPClass) -> Result<AMQPClass, PerfError> {
        self.send(channel, method)?;
        self.answer()
    }

    fn answer(&mut self) -> Result<AMQPClass, PerfError> {
        loop {
            let max = self.frame_max;
            let found = self.reader.frames(max, |frame| match decode(frame)? {
                Some(method) => Ok(Some(method)),
                None => Ok(None),
            })?;
            if let Some(method) = found {
                return Ok(method);
            }
            self.reader.fill()?;
        }
    }

    /// Declares a queue; gives the messages it holds.
    pub(crate) fn declare(&mut self, declare: queue::Declare) -> Result<u64, PerfError> {
        match self.call(CHANNEL, AMQPClass::Queue(queue::AMQPMethod::Declare(declare)))? {
            AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok)) => Ok(u64::from(ok.message_count)),
            other => Err(unexpected(&other)),
        }
    }

    /// The messages that a queue holds and has not delivered.
    ///
    /// # Errors
    /// If there is no such queue, or no answer.
    pub fn waiting(&mut self, name: &str) -> Result<u64, PerfError> {
        self.declare(queue::Declare {
            queue: short_string(name),
            passive: true,
            durable: false,
            exclusive: false,
            auto_delete: false,
            nowait: false,
            arguments: FieldTable::default(),
        })
    }

    /// Deletes a queue; gives the messages that went with it.
    pub(crate) fn delete(&mut self, name: &str) -> Result<u64, PerfError> {
        let delete =
            queue::Delete { queue: short_string(name), if_unused: false, if_empty: false, nowait: false };
        match self.call(CHANNEL, AMQPClass::Queue(queue::AMQPMethod::Delete(delete)))? {
            AMQPClass::Queue(queue::AMQPMethod::DeleteOk(ok)) => Ok(u64::from(ok.message_count)),
            other => Err(unexpected(&other)),
        }
    }

    /// Turns publisher confirms on.
    pub(crate) fn select_confirms(&mut self) -> Result<(), PerfError> {
        let select = confirm::Select { nowait: false };
        self.call(CHANNEL, AMQPClass::Confirm(confirm::AMQPMethod::Select(select)))?;
        Ok(())
    }

    /// Starts a consumer. Deliveries may follow in the same read.
    pub(crate) fn consume(&mut self, queue: &str, no_ack: bool, prefetch: u16) -> Result<(), PerfError> {
        if prefetch > 0 {
            let qos = basic::Qos { prefetch_count: prefetch, global: false };
            self.call(CHANNEL, AMQPClass::Basic(basic::AMQPMethod::Qos(qos)))?;
        }
        let consume = basic::Consume {
            queue: short_string(queue),
            consumer_tag: short_string("c"),
            no_local: false,
            no_ack,
            exclusive: false,
            nowait: false,
            arguments: FieldTable::default(),
        };
        self.call(CHANNEL, AMQPClass::Basic(basic::AMQPMethod::Consume(consume)))?;
        Ok(())
    }

    /// Says goodbye; what still arrives before the answer is read and dropped.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn close(mut self) -> Result<(), PerfError> {
        self.writer.write_all(&close_frame()?)?;
        let max = self.frame_max;
        loop {
            let closed = self.reader.frames(max, |frame| Ok(is_close_ok(frame).then_some(())))?;
            if closed.is_some() {
                return Ok(());
            }
            self.reader.fill()?;
        }
    }
}

/// The frame of connection.close with 200.
pub(crate) fn close_frame() -> Result<Vec<u8>, PerfError> {
    let close =
        connection::Close { reply_code: 200, reply_text: short_string("done"), class_id: 0, method_id: 0 };
    let mut bytes = Vec::new();
    encode_method(&mut bytes, 0, AMQPClass::Connection(connection::AMQPMethod::Close(close)))?;
    Ok(bytes)
}

/// Whether a frame is connection.close-ok.
pub(crate) fn is_close_ok(frame: &Frame<'_>) -> bool {
    frame.kind == FrameKind::Method && frame.channel == 0 && frame.payload.starts_with(&[0, 10, 0, 51])
}

/// A method of the cold kind, or `None` for what a caller need not see. A close is an error.
fn decode(frame: &Frame<'_>) -> Result<Option<AMQPClass>, PerfError> {
    if frame.kind != FrameKind::Method {
        return Ok(None);
    }
    match decode_method(frame.payload)? {
        Method::Cold(method) => match closed(&method) {
            Some(error) => Err(error),
            None if is_notice(&method) => Ok(None),
            None => Ok(Some(method)),
        },
        _ => Ok(None),
    }
}

/// The error in a close of the connection or the channel.
pub(crate) fn closed(method: &AMQPClass) -> Option<PerfError> {
    let (code, text) = match method {
        AMQPClass::Connection(connection::AMQPMethod::Close(close)) => (close.reply_code, &close.reply_text),
        AMQPClass::Channel(channel::AMQPMethod::Close(close)) => (close.reply_code, &close.reply_text),
        _ => return None,
    };
    Some(PerfError::Closed { code, text: text.to_string() })
}

/// What a broker may say unasked and no caller waits for.
fn is_notice(method: &AMQPClass) -> bool {
    matches!(
        method,
        AMQPClass::Connection(connection::AMQPMethod::Blocked(_) | connection::AMQPMethod::Unblocked(_))
    )
}

fn unexpected(method: &AMQPClass) -> PerfError {
    PerfError::Unexpected(format!("method {}.{}", method.get_amqp_class_id(), method.get_amqp_method_id()))
}

/// Product and version; of a broker that announces another's, its own too.
fn server_name(properties: &FieldTable) -> String {
    let told = |key: &str| match properties.inner().get(key) {
        Some(AMQPValue::LongString(text)) => Some(text.to_string()),
        _ => None,
    };
    let announced = [told("product"), told("version")].map(|text| text.unwrap_or_else(|| "?".to_owned()));
    match told("leveret") {
        Some(version) => format!("Leveret {version}, announced as {}", announced.join(" ")),
        None => announced.join(" "),
    }
}

fn client_properties(name: &str) -> FieldTable {
    let mut capabilities = FieldTable::default();
    for key in ["publisher_confirms", "basic.nack", "consumer_cancel_notify", "authentication_failure_close"]
    {
        capabilities.insert(short_string(key), AMQPValue::Boolean(true));
    }
    let mut table = FieldTable::default();
    for (key, value) in [("product", "leveret-perf"), ("connection_name", name)] {
        table.insert(short_string(key), AMQPValue::LongString(value.into()));
    }
    table.insert(short_string("capabilities"), AMQPValue::FieldTable(capabilities));
    table
}

/// The reading half: a buffer and the socket that fills it.
pub(crate) struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
}

impl Reader {
    /// How long a read may block before it fails with `WouldBlock`.
    pub(crate) fn set_timeout(&self, timeout: Duration) -> Result<(), PerfError> {
        Ok(self.stream.set_read_timeout(Some(timeout))?)
    }

    /// Reads once, appending to what is left.
    pub(crate) fn fill(&mut self) -> Result<(), PerfError> {
        let waiting = self.buffer.get(self.at..self.end).unwrap_or_default();
        let needed = frame_bytes_needed(waiting).max(READ_BYTES / 2);
        if self.buffer.len() < self.end + needed {
            self.buffer.copy_within(self.at..self.end, 0);
            (self.at, self.end) = (0, self.end - self.at);
            let room = (self.end + needed).max(READ_BYTES);
            if self.buffer.len() < room {
                self.buffer.resize(room, 0);
            }
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.stream.read(room)? {
            0 => Err(PerfError::Socket(std::io::ErrorKind::UnexpectedEof.into())),
            count => {
                self.end += count;
                Ok(())
            }
        }
    }

    /// Gives each whole frame to `each`, until it answers something or no whole frame is left.
    #[inline]
    pub(crate) fn frames<R>(
        &mut self,
        frame_max: u32,
        mut each: impl FnMut(&Frame<'_>) -> Result<Option<R>, PerfError>,
    ) -> Result<Option<R>, PerfError> {
        let bytes = self.buffer.get(..self.end).unwrap_or_default();
        while let Some(rest) = bytes.get(self.at..)
            && let Some((frame, used)) = parse_frame(rest, frame_max)?
        {
            self.at += used;
            if let Some(result) = each(&frame)? {
                return Ok(Some(result));
            }
        }
        Ok(None)
    }
}
