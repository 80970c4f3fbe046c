//! The task of one client connection: reads, drives its session, writes.

use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use leveret_engine::{Flow, Session, WriteQueue};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::Clock;
use crate::seams::{Shell, TaskWaker};

/// The first read of an idle connection; more is reserved while reads fill it.
const FIRST_READ_BYTES: usize = 8 * 1024;

/// The largest read, and so about the largest batch.
const MOST_READ_BYTES: usize = 256 * 1024;

/// What a connection may read before it is open (login and vhost done), in bytes.
const UNAUTHENTICATED_READ_BYTES: usize = 8 * 1024;

/// Slices handed to one write.
const SLICES: usize = 64;

/// Writes in a row before other tasks get their turn.
const WRITES_IN_A_ROW: usize = 8;

/// How long a closed connection's last bytes may take.
const LINGER: Duration = Duration::from_secs(2);

/// The socket's side of a session.
pub struct ConnectionTask {
    stream: TcpStream,
    session: Session<Shell>,
    waker: TaskWaker,
    clock: Clock,
    input: BytesMut,
    output: WriteQueue,
    read_bytes: usize,
    on_open: Option<Box<dyn FnOnce() + Send>>,
}

impl ConnectionTask {
    /// A task for an accepted socket. `on_open` is called once login and vhost are done.
    pub fn new(
        stream: TcpStream,
        session: Session<Shell>,
        waker: TaskWaker,
        clock: Clock,
        on_open: Box<dyn FnOnce() + Send>,
    ) -> Self {
        Self {
            stream,
            session,
            waker,
            clock,
            input: BytesMut::new(),
            output: WriteQueue::default(),
            read_bytes: FIRST_READ_BYTES,
            on_open: Some(on_open),
        }
    }

    /// Runs until either side closes. Whatever ends it, everything of the connection is given back.
    pub async fn run(mut self) {
        let result = self.converse().await;
        if let Err(error) = &result {
            tracing::debug!(connection = %self.session.name(), "connection lost: {error}");
        }
        self.session.end();
        if matches!(result, Ok(Flow::CloseAfterFlush)) {
            self.linger().await;
        }
    }

    async fn converse(&mut self) -> io::Result<Flow> {
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        loop {
            let more_to_write = self.write()?;
            let wants_input = self.session.wants_input();
            let interest = match (wants_input, more_to_write) {
                (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
                (true, false) => Some(Interest::READABLE),
                (false, true) => Some(Interest::WRITABLE),
                (false, false) => None,
            };
            if !wants_input {
                self.session.wake_when_log_catches_up();
            }
            let deadline = self.session.deadline().map(|at| self.clock.instant(at));
            if let Some(deadline) = deadline
                && timer.deadline() != deadline
            {
                timer.as_mut().reset(deadline);
            }
            let flow = tokio::select! {
                ready = ready(&self.stream, interest) => {
                    if ready?.is_readable() && wants_input { self.read()? } else { Flow::Go }
                }
                () = self.waker.woken() => self.session.woken(self.clock.now()),
                () = &mut timer, if deadline.is_some() => self.session.tick(self.clock.now()),
            };
            if flow != Flow::Go {
                return Ok(flow);
            }
            // A busy connection must not starve those that it has just woken.
            tokio::task::yield_now().await;
        }
    }

    fn read(&mut self) -> io::Result<Flow> {
        let most = if self.session.is_open() { MOST_READ_BYTES } else { UNAUTHENTICATED_READ_BYTES };
        let room = self.read_bytes.min(most);
        self.input.reserve(room);
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => return Err(io::ErrorKind::ConnectionReset.into()),
            Ok(count) if count >= room => self.read_bytes = (self.read_bytes * 2).min(MOST_READ_BYTES),
            Ok(count) if count < room / 4 => self.read_bytes = (self.read_bytes / 2).max(FIRST_READ_BYTES),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flow::Go),
            Err(error) => return Err(error),
        }
        let flow = self.session.input(&mut self.input, self.clock.now());
        if self.input.is_empty() && self.read_bytes == FIRST_READ_BYTES {
            // An idle connection holds no buffer.
            self.input = BytesMut::new();
        }
        if self.session.is_open()
            && let Some(on_open) = self.on_open.take()
        {
            on_open();
        }
        Ok(flow)
    }

    /// Writes what the socket takes now. True if something is left.
    fn write(&mut self) -> io::Result<bool> {
        for _ in 0..WRITES_IN_A_ROW {
            if !self.output.has_remaining() {
                self.session.take_output(&mut self.output);
                if !self.output.has_remaining() {
                    self.output.release();
                    return Ok(false);
                }
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.output.chunks_vectored(&mut slices);
            match self.stream.try_write_vectored(&slices[..count]) {
                Ok(written) => self.output.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
            if !self.output.has_remaining() {
                self.session.flushed(self.clock.now());
            }
        }
        Ok(true)
    }

    /// Writes the last bytes and waits for the peer to have read them: a socket closed over unread input would
    /// reset the connection and take them along.
    async fn linger(mut self) {
        let written = async {
            if !self.output.has_remaining() {
                self.session.take_output(&mut self.output);
            }
            loop {
                while self.output.has_remaining() {
                    self.stream.write_buf(&mut self.output).await?;
                }
                self.session.take_output(&mut self.output);
                if !self.output.has_remaining() {
                    break;
                }
            }
            self.stream.shutdown().await?;
            let mut rest = [0; 1024];
            while self.stream.read(&mut rest).await? > 0 {}
            Ok::<(), io::Error>(())
        };
        // Either way the socket closes now.
        _ = timeout(LINGER, written).await;
    }
}

async fn ready(stream: &TcpStream, interest: Option<Interest>) -> io::Result<tokio::io::Ready> {
    match interest {
        Some(interest) => stream.ready(interest).await,
        None => std::future::pending().await,
    }
}
