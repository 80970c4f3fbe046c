//! The task of one client connection: reads, drives its session, writes.

use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use leveret_engine::{Flow, Session, WriteQueue};
use tokio::io::Interest;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::Clock;
use crate::seams::{Shell, TaskWaker};
use crate::transport::Transport;

/// The first read of an idle connection; more is reserved while reads fill it.
const FIRST_READ_BYTES: usize = 8 * 1024;

/// The largest read, and so about the largest batch.
const MOST_READ_BYTES: usize = 256 * 1024;

/// The largest read before a connection is open (login and vhost done), in bytes.
const HANDSHAKE_READ_BYTES: usize = 4 * 1024;

/// Slices handed to one write.
const SLICES: usize = 64;

/// Writes in a row before other tasks get their turn.
const WRITES_IN_A_ROW: usize = 8;

/// How long a closed connection's last bytes may take.
const LINGER: Duration = Duration::from_secs(2);

/// How long a client that has close-ok may take to close its socket (RabbitMQ's `?CLOSING_TIMEOUT`).
const AWAIT_CLOSE: Duration = Duration::from_secs(30);

/// The socket's side of a session.
pub struct ConnectionTask {
    transport: Transport,
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
        transport: Transport,
        session: Session<Shell>,
        waker: TaskWaker,
        clock: Clock,
        on_open: Box<dyn FnOnce() + Send>,
    ) -> Box<Self> {
        Box::new(Self {
            transport,
            session,
            waker,
            clock,
            input: BytesMut::new(),
            output: WriteQueue::default(),
            read_bytes: FIRST_READ_BYTES,
            on_open: Some(on_open),
        })
    }

    /// Runs until either side closes. Whatever ends it, everything of the connection is given back.
    pub async fn run(mut self: Box<Self>) {
        let result = self.converse().await;
        if let Err(error) = &result {
            tracing::debug!(connection = %self.session.name(), "connection lost: {error}");
        }
        self.session.end();
        match result {
            Ok(Flow::CloseAfterFlush) => Box::pin(self.linger(None)).await,
            Ok(Flow::AwaitClose) => Box::pin(self.linger(Some(AWAIT_CLOSE))).await,
            Ok(Flow::Go | Flow::Close) | Err(_) => {}
        }
    }

    async fn converse(&mut self) -> io::Result<Flow> {
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        loop {
            let more_to_write = self.write()?;
            let mut wants_input = self.session.wants_input();
            if !wants_input {
                self.session.wake_when_log_catches_up();
                // The log may have caught up in between, and then it wakes nobody.
                wants_input = self.session.wants_input();
            }
            let interest = match (wants_input, more_to_write) {
                (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
                (true, false) => Some(Interest::READABLE),
                (false, true) => Some(Interest::WRITABLE),
                (false, false) => None,
            };
            let deadline = self.session.deadline().map(|at| self.clock.instant(at));
            if let Some(deadline) = deadline
                && timer.deadline() != deadline
            {
                timer.as_mut().reset(deadline);
            }
            let flow = tokio::select! {
                ready = self.transport.ready(interest) => {
                    if ready?.is_readable() && wants_input { self.read()? } else { Flow::Go }
                }
                () = self.waker.woken() => self.woken(),
                () = &mut timer, if deadline.is_some() => self.session.tick(self.clock.now()),
            };
            if flow != Flow::Go {
                return Ok(flow);
            }
            // A busy connection must not starve those that it has just woken.
            tokio::task::yield_now().await;
        }
    }

    fn woken(&mut self) -> Flow {
        let now = self.clock.now();
        match self.session.woken(now) {
            Flow::Go => self.session.resume(&mut self.input, now),
            flow => flow,
        }
    }

    fn read(&mut self) -> io::Result<Flow> {
        let received = if self.session.is_open() { self.receive() } else { self.receive_handshake() };
        match received {
            Ok(0) => return Err(io::ErrorKind::ConnectionReset.into()),
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

    /// Reads into a buffer that grows while reads fill it.
    fn receive(&mut self) -> io::Result<usize> {
        let room = self.read_bytes;
        let count = self.transport.try_read_buf(&mut self.input, room)?;
        if count >= room {
            self.read_bytes = (self.read_bytes * 2).min(MOST_READ_BYTES);
        } else if count < room / 4 {
            self.read_bytes = (self.read_bytes / 2).max(FIRST_READ_BYTES);
        }
        Ok(count)
    }

    /// Before login a connection keeps no more than it has sent: thousands may stop half-way.
    fn receive_handshake(&mut self) -> io::Result<usize> {
        let mut buffer = [0; HANDSHAKE_READ_BYTES];
        let count = self.transport.try_read(&mut buffer)?;
        let mut input = BytesMut::with_capacity(self.input.len() + count);
        input.extend_from_slice(&self.input);
        input.extend_from_slice(&buffer[..count]);
        self.input = input;
        Ok(count)
    }

    /// Writes what the socket takes now. True if something is left.
    fn write(&mut self) -> io::Result<bool> {
        for _ in 0..WRITES_IN_A_ROW {
            if !self.output.has_remaining() {
                self.session.take_output(&mut self.output);
                if !self.output.has_remaining() {
                    self.output.release();
                    return self.transport.try_flush();
                }
            }
            if !self.write_once()? {
                return Ok(true);
            }
            if !self.output.has_remaining() {
                self.session.flushed(self.clock.now());
            }
        }
        Ok(true)
    }

    /// Hands the socket one batch of what is left. False if it takes nothing now.
    fn write_once(&mut self) -> io::Result<bool> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = self.output.chunks_vectored(&mut slices);
        match self.transport.try_write_vectored(&slices[..count]) {
            Ok(written) => {
                self.output.advance(written);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes the last bytes and waits for the peer to have read them: a socket closed over unread input would
    /// reset the connection and take them along. `patience` is the time in which the peer may close first.
    async fn linger(mut self: Box<Self>, patience: Option<Duration>) {
        // Whatever goes wrong, the socket closes in the end.
        if !matches!(timeout(LINGER, self.write_rest()).await, Ok(Ok(()))) {
            return;
        }
        if let Some(patience) = patience {
            _ = timeout(patience, self.peer_gone()).await;
        }
        _ = timeout(LINGER, self.transport.finish()).await;
    }

    async fn write_rest(&mut self) -> io::Result<()> {
        loop {
            if !self.output.has_remaining() {
                self.session.take_output(&mut self.output);
                if !self.output.has_remaining() {
                    break;
                }
            }
            if !self.write_once()? {
                self.transport.ready(Some(Interest::WRITABLE)).await?;
            }
        }
        while self.transport.try_flush()? {
            self.transport.ready(Some(Interest::WRITABLE)).await?;
        }
        Ok(())
    }

    /// Reads past whatever still comes, until the peer has closed.
    async fn peer_gone(&mut self) -> io::Result<()> {
        let mut rest = [0; 1024];
        loop {
            self.transport.ready(Some(Interest::READABLE)).await?;
            match self.transport.try_read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            // One that goes on sending must not keep others from their turn.
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connections_task_is_small() {
        fn bytes<F: Future>(_: fn(Box<ConnectionTask>) -> F) -> usize {
            size_of::<F>()
        }
        let total = bytes(ConnectionTask::run) + size_of::<ConnectionTask>();
        assert!(total < 3_000, "thousands of half-open connections pay {total} bytes each");
    }
}
