//! One conversation of the matrix: a connection, and its answers as lines.

use std::net::SocketAddr;

use leveret_tests::{
    client::{Client, Event},
    describe::describe,
    login::{Login, plain},
    methods::{access, channel, connection},
    wait::PATIENCE,
    wire::{self, Frame},
};

/// The answer to a fence: everything sent before it has been handled.
const FENCE_OK: (u16, u16) = (30, 11);

/// A login of a test's user, whose password is `pw`.
pub(super) fn login_of(user: &str, vhost: &str) -> Login {
    Login { response: plain(user, "pw"), vhost: vhost.to_owned(), ..Login::default() }
}

/// A connection and what came over it.
pub(super) struct Script {
    client: Client,
    lines: Vec<String>,
}

impl Script {
    /// A connection of `user` in `vhost` with channel 1 open.
    ///
    /// # Errors
    /// What the broker said instead.
    pub(super) fn open(address: SocketAddr, user: &str, vhost: &str) -> Result<Self, Vec<String>> {
        let client = Client::start(address).expect("the broker answers");
        let mut script = Self { client, lines: Vec::new() };
        let login = login_of(user, vhost);
        if script.client.tune(&login).is_err() {
            return Err(vec!["login refused".to_owned()]);
        }
        script.send(0, connection::open(vhost));
        script.one_answer();
        if script.lines == ["connection.open-ok"] {
            script.ok(1, channel::open());
            script.lines.clear();
            return Ok(script);
        }
        Err(script.lines)
    }

    /// Closes the connection, so that nothing of it is left, and gives the lines.
    pub(super) fn end(mut self) -> Vec<String> {
        let closing = self.lines.last().is_some_and(|line| line.starts_with("connection.close"));
        self.send(0, if closing { connection::close_ok() } else { connection::close() });
        while let Event::Frame(frame) = self.client.next(PATIENCE) {
            if frame.method() == Some((10, 51)) {
                break;
            }
        }
        self.lines
    }

    pub(super) fn frame(&mut self, kind: u8, channel: u16, payload: impl AsRef<[u8]>) {
        // A broker may close while it is still being written to; what it said stands in the lines.
        let _ = self.client.send(&wire::frame(kind, channel, payload.as_ref()));
    }

    pub(super) fn send(&mut self, channel: u16, payload: impl AsRef<[u8]>) {
        self.frame(wire::METHOD, channel, payload);
    }

    /// Sends a method whose answer is preparation.
    pub(super) fn ok(&mut self, channel: u16, payload: impl AsRef<[u8]>) {
        self.send(channel, payload);
        match self.client.next(PATIENCE) {
            Event::Frame(frame) if !is_close(&frame) => {}
            other => panic!("preparation was answered with {other:?}"),
        }
    }

    /// The case's method on channel 1 and everything that comes of it.
    pub(super) fn ask(&mut self, payload: impl AsRef<[u8]>) {
        let payload = payload.as_ref();
        self.send(1, payload);
        // RabbitMQ's consume-ok comes from the queue's process: a fence in the channel may overtake it.
        if payload.starts_with(b"\x00\x3c\x00\x14") && self.one_answer() {
            return;
        }
        self.answer(1);
    }

    /// Writes down what comes of all that was sent on `channel`, until it closes or a fence shows that nothing more
    /// will come.
    pub(super) fn answer(&mut self, channel: u16) {
        self.send(channel, access::request());
        loop {
            match self.client.next(PATIENCE) {
                Event::Frame(frame) if frame.channel == channel && frame.method() == Some(FENCE_OK) => return,
                Event::Frame(frame) => {
                    self.lines.push(describe(&frame));
                    if is_close(&frame) {
                        return;
                    }
                }
                other => return self.lines.push(format!("{other:?}")),
            }
        }
    }

    /// Writes down the next frame; says whether it was a close.
    pub(super) fn one_answer(&mut self) -> bool {
        match self.client.next(PATIENCE) {
            Event::Frame(frame) => {
                self.lines.push(describe(&frame));
                is_close(&frame)
            }
            other => {
                self.lines.push(format!("{other:?}"));
                true
            }
        }
    }
}

fn is_close(frame: &Frame) -> bool {
    matches!(frame.method(), Some((10, 50) | (20, 40)))
}
