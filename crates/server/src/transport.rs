//! The bytes of one client connection: plain TCP, or TLS over it.
//!
//! Both are used in the same way: wait until the socket is ready, then read or write what goes without waiting. So
//! the connection's task has one loop, and plain TCP pays one branch for each call.

use std::io::{self, IoSlice, Read as _, Write as _};

use bytes::BytesMut;
use rustls::ServerConnection;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest, Ready};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A client's connection.
#[derive(Debug)]
pub enum Transport {
    /// Bytes as they are.
    Plain(TcpStream),
    /// Bytes within TLS.
    Tls(Box<TlsTransport>),
}

/// A TLS connection whose handshake is done.
#[derive(Debug)]
pub struct TlsTransport {
    socket: TcpStream,
    tls: ServerConnection,
    /// The last read filled its buffer: more may lie decrypted here, of which the socket knows nothing.
    has_unread: bool,
}

impl From<TlsStream<TcpStream>> for Transport {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        let (socket, tls) = stream.into_inner();
        // With the handshake's last flight the first bytes may have come.
        Self::Tls(Box::new(TlsTransport { socket, tls, has_unread: true }))
    }
}

impl Transport {
    /// The socket below.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &tls.socket,
        }
    }

    /// Waits until reading or writing may go on; `None` waits for ever.
    ///
    /// # Errors
    /// The socket's.
    pub async fn ready(&self, interest: Option<Interest>) -> io::Result<Ready> {
        let Some(interest) = interest else { return std::future::pending().await };
        match self {
            Self::Tls(tls) if tls.has_unread && interest.is_readable() => Ok(Ready::READABLE),
            _ => self.socket().ready(interest).await,
        }
    }

    /// Appends at most `room` bytes that have come; gives their number, 0 at the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if none have come; anything else ends the connection.
    pub fn try_read_buf(&mut self, buffer: &mut BytesMut, room: usize) -> io::Result<usize> {
        buffer.reserve(room);
        match self {
            Self::Plain(socket) => socket.try_read_buf(buffer),
            Self::Tls(tls) => {
                let before = buffer.len();
                buffer.resize(before + room, 0);
                let read = tls.try_read(buffer.get_mut(before..).unwrap_or_default());
                buffer.truncate(before + read.as_ref().copied().unwrap_or(0));
                read
            }
        }
    }

    /// Reads what has come, as far as there is room.
    ///
    /// # Errors
    /// As [`Transport::try_read_buf`].
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_read(buffer),
            Self::Tls(tls) => tls.try_read(buffer),
        }
    }

    /// Writes what goes without waiting; gives how much was taken.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing was taken; anything else ends the connection.
    pub fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write_vectored(slices),
            Self::Tls(tls) => tls.try_write_vectored(slices),
        }
    }

    /// Sends what was taken and lies here still. True if something is left.
    ///
    /// # Errors
    /// The socket's.
    pub fn try_flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(false),
            Self::Tls(tls) => tls.try_flush(),
        }
    }

    /// Says that nothing more will be sent, and waits until the peer has closed its side too.
    ///
    /// # Errors
    /// The socket's.
    pub async fn finish(&mut self) -> io::Result<()> {
        if let Self::Tls(tls) = self {
            tls.tls.send_close_notify();
            while tls.try_flush()? {
                tls.socket.writable().await?;
            }
        }
        let socket = match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &mut tls.socket,
        };
        socket.shutdown().await?;
        let mut rest = [0; 1024];
        while socket.read(&mut rest).await? > 0 {}
        Ok(())
    }
}

impl TlsTransport {
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        let outcome = loop {
            let room = buffer.get_mut(filled..).unwrap_or_default();
            if room.is_empty() {
                break Ok(filled);
            }
            match self.tls.reader().read(room) {
                Ok(0) => break Ok(filled),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Err(error) = self.receive() {
                        break Err(error);
                    }
                }
                Err(error) => break Err(error),
            }
        };
        self.has_unread = filled == buffer.len();
        // What came before an end or an error counts first; either comes again.
        if filled > 0 { Ok(filled) } else { outcome }
    }

    /// Takes from the socket what has come, and decrypts it.
    fn receive(&mut self) -> io::Result<()> {
        self.tls.read_tls(&mut Nonblocking(&self.socket))?;
        self.tls.process_new_packets().map_err(|error| {
            // The alert that says why; nothing is lost if it does not leave.
            _ = self.tls.write_tls(&mut Nonblocking(&self.socket));
            io::Error::new(io::ErrorKind::InvalidData, error)
        })?;
        Ok(())
    }

    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // Nothing is taken while earlier bytes wait, so what lies here is bounded.
        if self.try_flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.tls.writer().write_vectored(slices)?;
        self.try_flush()?;
        Ok(taken)
    }

    fn try_flush(&mut self) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Nonblocking(&self.socket)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// A socket as rustls wants it: what would wait is an error.
struct Nonblocking<'s>(&'s TcpStream);

impl io::Read for Nonblocking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl io::Write for Nonblocking<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.try_write(buffer)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
