//! What a case can do, and how its answers become lines.

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use leveret_tests::{
    client::{Client, Event},
    describe::describe,
    login::Login,
    methods::{Properties, access, basic, channel, connection, exchange, queue},
    wait::PATIENCE,
    wire::{self, Frame, Table},
};

/// The answer to a fence: everything sent before it has been handled.
const FENCE_OK: (u16, u16) = (30, 11);
/// A channel for the fence when the case is about channel 0.
const FENCE_CHANNEL: u16 = 999;

/// One case while it runs: a connection, the lines so far, and the names to clean up.
pub(crate) struct Script {
    address: SocketAddr,
    slug: String,
    client: Client,
    lines: Vec<String>,
    queues: Vec<String>,
    exchanges: Vec<String>,
}

impl Script {
    /// Runs `case` on a fresh connection and gives its lines; a failure of its preparation is a line too.
    pub(crate) fn run(address: SocketAddr, name: &str, case: fn(&mut Self)) -> Vec<String> {
        let client = Client::connect(address).expect("the broker accepts");
        let mut script = Self {
            address,
            slug: slug(name),
            client,
            lines: Vec::new(),
            queues: Vec::new(),
            exchanges: Vec::new(),
        };
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| case(&mut script))) {
            let text = cause.downcast_ref::<String>().cloned();
            script.line(format!("FAILED: {}", text.unwrap_or_default()));
        }
        let lines = std::mem::take(&mut script.lines);
        script.clean();
        lines
    }

    /// Takes the names away that the case made. Its connection is dropped first: exclusive queues go with it.
    fn clean(self) {
        drop(self.client);
        let Ok(mut client) = Client::login(self.address) else {
            return;
        };
        if client.open_channel(1).is_err() {
            return;
        }
        let queues = self.queues.iter().map(|name| queue::delete(name, 0));
        let exchanges = self.exchanges.iter().map(|name| exchange::delete(name, 0));
        for payload in queues.chain(exchanges) {
            let sent = client.method(1, payload);
            if sent.is_err() || matches!(client.next(PATIENCE), Event::Frame(answer) if is_close(&answer)) {
                return;
            }
        }
    }

    /// The name of this case's queue, deleted at its end.
    pub(crate) fn queue(&mut self) -> String {
        let name = format!("{}.q", self.slug);
        self.queues.push(name.clone());
        name
    }

    /// The name of this case's exchange, deleted at its end.
    pub(crate) fn exchange(&mut self) -> String {
        let name = format!("{}.x", self.slug);
        self.exchanges.push(name.clone());
        name
    }

    /// A queue made on channel 1.
    pub(crate) fn new_queue(&mut self, flags: u8) -> String {
        let name = self.queue();
        self.ok(1, queue::declare(&name, flags, &Table::default()));
        name
    }

    /// An exchange made on channel 1.
    pub(crate) fn new_exchange(&mut self, kind: &str, flags: u8) -> String {
        let name = self.exchange();
        let declare = exchange::declare(&name, kind, flags, &Table::default());
        self.ok(1, declare);
        name
    }

    /// A queue made on channel 1 with `count` messages in it.
    pub(crate) fn filled_queue(&mut self, count: usize) -> String {
        let name = self.new_queue(0);
        for _ in 0..count {
            self.publish("", &name, 0, &Properties::default(), b"hello");
        }
        self.sync(1);
        name
    }

    /// Says the protocol header and reads `connection.start`.
    pub(crate) fn start(&mut self) {
        self.client.send(wire::PROTOCOL_HEADER).unwrap();
        self.client.expect_method(0, (10, 10)).unwrap();
    }

    /// The handshake up to and with tune-ok, as `login` says.
    pub(crate) fn tune(&mut self, login: &Login) {
        self.start();
        self.client.tune(login).unwrap();
    }

    /// Logs in as `login` says.
    pub(crate) fn login_with(&mut self, login: &Login) {
        self.tune(login);
        self.ok(0, connection::open(&login.vhost));
    }

    /// Logs in.
    pub(crate) fn login(&mut self) {
        self.login_with(&Login::default());
    }

    /// Logs in and opens channel 1.
    pub(crate) fn open(&mut self) {
        self.login();
        self.ok(1, channel::open());
    }

    /// Another connection, logged in, channel 1 open.
    pub(crate) fn neighbour(&self) -> Client {
        let mut client = Client::login(self.address).unwrap();
        client.open_channel(1).unwrap();
        client
    }

    /// Sends octets.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        // A broker may close while it is still being written to; what it said stands in the lines.
        let _ = self.client.send(bytes);
    }

    /// Sends a frame.
    pub(crate) fn frame(&mut self, kind: u8, channel: u16, payload: impl AsRef<[u8]>) {
        self.bytes(&wire::frame(kind, channel, payload.as_ref()));
    }

    /// Sends a method.
    pub(crate) fn send(&mut self, channel: u16, payload: impl AsRef<[u8]>) {
        self.frame(wire::METHOD, channel, payload);
    }

    /// Publishes a whole message on channel 1.
    pub(crate) fn publish(
        &mut self,
        exchange: &str,
        key: &str,
        flags: u8,
        properties: &Properties,
        body: &[u8],
    ) {
        let sent = self.client.publish(1, (exchange, key, flags), properties, body);
        let _ = sent;
    }

    /// Publishes a short message with `properties` to the default exchange.
    pub(crate) fn publish_to(&mut self, key: &str, properties: &Properties) {
        self.publish("", key, 0, properties, b"hello");
    }

    /// Sends a method and reads one answer that is part of the preparation.
    pub(crate) fn ok(&mut self, channel: u16, payload: impl AsRef<[u8]>) -> Frame {
        self.send(channel, payload);
        match self.client.next(PATIENCE) {
            Event::Frame(frame) if !is_close(&frame) => frame,
            Event::Frame(frame) => panic!("preparation was refused: {}", describe(&frame)),
            other => panic!("preparation was not answered: {other:?}"),
        }
    }

    /// Waits until the broker has handled all that was sent on `channel`, as part of the preparation.
    pub(crate) fn sync(&mut self, channel: u16) {
        self.client.call(channel, access::request(), FENCE_OK).unwrap();
    }

    /// Gets one message of `queue` on channel 1 and keeps it unacked, as part of the preparation.
    pub(crate) fn get(&mut self, queue: &str) {
        let get_ok = self.ok(1, basic::get(queue, false));
        assert_eq!(get_ok.method(), Some((60, 71)), "{}", describe(&get_ok));
        self.client.content(get_ok).unwrap();
    }

    /// The case's wrong method on channel 1 and everything that comes of it.
    pub(crate) fn ask(&mut self, payload: impl AsRef<[u8]>) {
        let payload = payload.as_ref();
        self.send(1, payload);
        // RabbitMQ's consume-ok comes from the queue's process: a fence in the channel may overtake it.
        if payload.starts_with(b"\x00\x3c\x00\x14") && self.consume_answer() {
            return;
        }
        self.answer(1);
    }

    /// Writes down the answer to a consume; says whether it was a close.
    fn consume_answer(&mut self) -> bool {
        match self.client.next(PATIENCE) {
            Event::Frame(frame) => {
                self.line(describe(&frame));
                if frame.method() == Some((10, 50)) {
                    self.finish_close();
                }
                is_close(&frame)
            }
            other => {
                self.line(format!("{other:?}"));
                true
            }
        }
    }

    /// Writes down what comes of all that was sent on `channel`, until it or the connection closes or a fence
    /// shows that nothing more will come.
    pub(crate) fn answer(&mut self, channel: u16) {
        let fence = if channel == 0 {
            self.send(FENCE_CHANNEL, channel::open());
            FENCE_CHANNEL
        } else {
            channel
        };
        self.send(fence, access::request());
        self.read_until(PATIENCE, |frame| frame.channel == fence && frame.method() == Some(FENCE_OK));
    }

    /// Writes down what comes until the channel or the connection closes.
    pub(crate) fn until_close(&mut self) {
        self.read_until(PATIENCE, |_| false);
    }

    /// Writes down the next frame or the close.
    pub(crate) fn one_answer(&mut self) {
        match self.client.next(PATIENCE) {
            Event::Frame(frame) => {
                self.line(describe(&frame));
                if frame.method() == Some((10, 50)) {
                    self.finish_close();
                }
            }
            Event::Closed => self.line("closed without a word"),
            Event::Silence => self.line("silence"),
        }
    }

    /// Writes down the next frame and leaves a close unanswered.
    pub(crate) fn next_line(&mut self) {
        let line = match self.client.next(PATIENCE) {
            Event::Frame(frame) => describe(&frame),
            other => format!("{other:?}"),
        };
        self.line(line);
    }

    /// Writes down the octets that come before the broker closes.
    pub(crate) fn octets_until_close(&mut self) {
        let line = match self.client.read_to_close(PATIENCE) {
            Some(octets) => format!("octets \"{}\", then closed", octets.escape_ascii()),
            None => "not closed".to_owned(),
        };
        self.line(line);
    }

    fn read_until(&mut self, patience: Duration, fence: impl Fn(&Frame) -> bool) {
        loop {
            match self.client.next(patience) {
                Event::Frame(frame) if fence(&frame) => return,
                Event::Frame(frame) if frame.channel == FENCE_CHANNEL => {}
                Event::Frame(frame) => {
                    self.line(describe(&frame));
                    match frame.method() {
                        Some((10, 50)) => return self.finish_close(),
                        Some((20, 40) | (10, 51)) => return,
                        _ => {}
                    }
                }
                Event::Closed => return self.line("closed without a word"),
                Event::Silence => return self.line("silence"),
            }
        }
    }

    /// After the broker's `connection.close`: answers it; the broker must then close the socket.
    fn finish_close(&mut self) {
        self.send(0, connection::close_ok());
        if self.client.read_to_close(PATIENCE).is_none() {
            self.line("the socket stays open");
        }
    }

    pub(crate) fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }
}

fn is_close(frame: &Frame) -> bool {
    matches!(frame.method(), Some((10, 50) | (20, 40)))
}

/// A case's name as part of a queue's name.
fn slug(name: &str) -> String {
    let words: Vec<&str> = name
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '.')
        .filter(|word| !word.is_empty())
        .collect();
    words.join("-")
}
