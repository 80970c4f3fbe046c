//! One connection of a scenario: calls that are answered, and what comes unasked kept in order.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use leveret_tests::{
    client::{Client, Content, Event},
    content_text,
    describe::describe,
    methods::{Properties, access, basic, channel, connection},
    wire::{Frame, Reader},
};

/// How long a scenario waits for what normally takes milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

const FENCE_OK: (u16, u16) = (30, 11);
const CHANNEL_CLOSE: (u16, u16) = (20, 40);
const CONNECTION_CLOSE: (u16, u16) = (10, 50);
const ACK: (u16, u16) = (60, 80);
const NACK: (u16, u16) = (60, 120);
const RETURN: (u16, u16) = (60, 50);

/// A method with its content, if it carries one.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) frame: Frame,
    pub(super) content: Option<Content>,
}

impl Arrived {
    /// The line of a golden; the scenario says the channel.
    pub(super) fn line(&self) -> String {
        let method = method_text(&self.frame);
        let Some(content) = &self.content else {
            return method;
        };
        let properties = content_text::properties(&content.properties);
        format!("{method} | {} | {properties}", body_text(&content.body))
    }

    fn is(&self, channel: u16, method: (u16, u16)) -> bool {
        self.frame.channel == channel && self.frame.method() == Some(method)
    }
}

/// Why a call has no answer: the line of the close.
pub(super) type Closed = String;

/// A connection, its open channels and what came unasked.
pub(super) struct Link {
    client: Client,
    open: BTreeSet<u16>,
    inbox: VecDeque<Arrived>,
    publishers: BTreeMap<u16, Publisher>,
    closed: bool,
}

/// What was published on a channel, and how it was confirmed.
#[derive(Default)]
struct Publisher {
    published: u64,
    outcomes: BTreeMap<u64, &'static str>,
}

impl Publisher {
    fn settle(&mut self, tag: u64, multiple: bool, outcome: &'static str) {
        for tag in if multiple { 1 } else { tag }..=tag {
            self.outcomes.entry(tag).or_insert(outcome);
        }
    }

    fn is_settled(&self) -> bool {
        self.outcomes.len() as u64 >= self.published
    }
}

impl Link {
    pub(super) fn new(address: SocketAddr) -> Self {
        let client = Client::login(address).expect("a login");
        Self {
            client,
            open: BTreeSet::new(),
            inbox: VecDeque::new(),
            publishers: BTreeMap::new(),
            closed: false,
        }
    }

    /// Whether the broker closed the connection.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Opens `channel` unless it is open.
    pub(super) fn open(&mut self, channel: u16) -> Result<(), Closed> {
        if self.open.insert(channel) {
            self.publishers.remove(&channel);
            self.call(channel, channel::open(), (20, 11))?;
        }
        Ok(())
    }

    pub(super) fn publish(
        &mut self,
        channel: u16,
        place: (&str, &str, u8),
        properties: &Properties,
        body: &[u8],
    ) {
        self.publishers.entry(channel).or_default().published += 1;
        // A broker may close while it is still being written to; the next call tells.
        let _ = self.client.publish(channel, place, properties, body);
    }

    /// Sends a method that has no answer.
    pub(super) fn send(&mut self, channel: u16, payload: impl AsRef<[u8]>) {
        let _ = self.client.method(channel, payload);
    }

    /// Sends a method and waits for its answer `method` on `channel`.
    pub(super) fn call(
        &mut self,
        channel: u16,
        payload: impl AsRef<[u8]>,
        method: (u16, u16),
    ) -> Result<Arrived, Closed> {
        self.send(channel, payload);
        self.wait(channel, |arrived| arrived.is(channel, method))
    }

    /// `basic.get`, whose answer is one of two.
    pub(super) fn get(&mut self, channel: u16, queue: &str, no_ack: bool) -> Result<Arrived, Closed> {
        self.send(channel, basic::get(queue, no_ack));
        self.wait(channel, |arrived| arrived.is(channel, (60, 71)) || arrived.is(channel, (60, 72)))
    }

    /// Closes `channel`.
    pub(super) fn close(&mut self, channel: u16) -> Result<(), Closed> {
        self.call(channel, channel::close(), (20, 41))?;
        self.open.remove(&channel);
        self.inbox.retain(|kept| kept.frame.channel != channel);
        Ok(())
    }

    /// All that was sent on `channel` has been handled.
    pub(super) fn fence(&mut self, channel: u16) -> Result<(), Closed> {
        self.call(channel, access::request(), FENCE_OK).map(|_| ())
    }

    /// The first `method` on `channel` that came unasked or comes now.
    pub(super) fn take(&mut self, channel: u16, method: (u16, u16)) -> Result<Arrived, Closed> {
        let kept = self.inbox.iter().position(|arrived| arrived.is(channel, method));
        match kept.and_then(|place| self.inbox.remove(place)) {
            Some(arrived) => Ok(arrived),
            None => self.wait(channel, |arrived| arrived.is(channel, method)),
        }
    }

    /// Waits until all that was published on `channel` is confirmed; gives the outcomes in publish order.
    pub(super) fn confirms(&mut self, channel: u16) -> Result<&BTreeMap<u64, &'static str>, Closed> {
        while self.publishers.get(&channel).is_some_and(|publisher| !publisher.is_settled()) {
            let arrived = self.take_either(channel, ACK, NACK)?;
            let mut arguments = arrived.frame.arguments();
            let (tag, multiple) = arguments.u64().zip(arguments.bit()).expect("a tag and a bit");
            let outcome = if arrived.is(channel, ACK) { "ack" } else { "nack" };
            self.publishers.entry(channel).or_default().settle(tag, multiple, outcome);
        }
        Ok(&self.publishers.entry(channel).or_default().outcomes)
    }

    /// Whether a message came back on `channel`; takes it.
    pub(super) fn has_returned(&mut self, channel: u16) -> bool {
        let kept = self.inbox.iter().position(|arrived| arrived.is(channel, RETURN));
        kept.is_some_and(|place| self.inbox.remove(place).is_some())
    }

    /// Everything that came unasked and was not read by the scenario, confirms left out.
    pub(super) fn rest(&mut self) -> Vec<String> {
        if self.closed {
            return Vec::new();
        }
        let channels: Vec<u16> = self.open.iter().copied().collect();
        let mut lines: Vec<String> = channels.into_iter().filter_map(|c| self.fence(c).err()).collect();
        let kept = std::mem::take(&mut self.inbox);
        let unread = kept.iter().filter(|a| !matches!(a.frame.method(), Some(ACK | NACK)));
        lines.extend(unread.map(Arrived::line));
        lines
    }

    fn take_either(&mut self, channel: u16, one: (u16, u16), other: (u16, u16)) -> Result<Arrived, Closed> {
        let wanted = |arrived: &Arrived| arrived.is(channel, one) || arrived.is(channel, other);
        let kept = self.inbox.iter().position(wanted);
        match kept.and_then(|place| self.inbox.remove(place)) {
            Some(arrived) => Ok(arrived),
            None => self.wait(channel, wanted),
        }
    }

    fn wait(&mut self, channel: u16, wanted: impl Fn(&Arrived) -> bool) -> Result<Arrived, Closed> {
        loop {
            let arrived = self.next()?;
            match arrived.frame.method() {
                Some(CONNECTION_CLOSE) => {
                    self.send(0, connection::close_ok());
                    self.closed = true;
                    return Err(method_text(&arrived.frame));
                }
                Some(CHANNEL_CLOSE) => {
                    let closed = arrived.frame.channel;
                    self.send(closed, channel::close_ok());
                    self.open.remove(&closed);
                    self.inbox.retain(|kept| kept.frame.channel != closed);
                    if closed == channel {
                        return Err(method_text(&arrived.frame));
                    }
                }
                _ if wanted(&arrived) => return Ok(arrived),
                _ => self.inbox.push_back(arrived),
            }
        }
    }

    fn next(&mut self) -> Result<Arrived, Closed> {
        let frame = match self.client.next(PATIENCE) {
            Event::Frame(frame) => frame,
            Event::Closed => {
                self.closed = true;
                return Err("closed without a word".to_owned());
            }
            Event::Silence => return Err("silence".to_owned()),
        };
        let content = match frame.method() {
            Some((60, 50 | 60 | 71)) => {
                Some(self.client.content(frame.clone()).map_err(|error| error.to_string())?)
            }
            _ => None,
        };
        Ok(Arrived { frame, content })
    }
}

/// The numbers of a declare-ok: ready messages and consumers.
pub(super) fn counts(declare_ok: &Frame) -> (u32, u32) {
    let mut arguments: Reader<'_> = declare_ok.arguments();
    arguments.short().expect("a name");
    (arguments.u32().expect("messages"), arguments.u32().expect("consumers"))
}

fn method_text(frame: &Frame) -> String {
    let text = describe(frame);
    text.split_once(": ").filter(|_| frame.channel != 0).map_or(text.clone(), |(_, method)| method.to_owned())
}

fn body_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match body.len() {
        0..=32 => format!("{text:?}"),
        len => format!("{:?}… ({len} octets)", text.chars().take(8).collect::<String>()),
    }
}
