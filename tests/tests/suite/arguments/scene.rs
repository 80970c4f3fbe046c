//! Plays a scenario: each line is a command, and what it is answered stands behind it.
//!
//! `$` in a line is the scenario's own prefix, so `$q` is a queue of its own; answers are written with `$` again.
//! A scenario begins on channel 1 of its first connection.
//!
//! | command | does |
//! |---|---|
//! | `on CONNECTION[.CHANNEL]` | what follows is done there; both are opened when needed |
//! | `queue NAME [FLAG…] [ARG=VALUE…]` | declares; durable unless a flag says `transient`; other flags `passive`, `exclusive`, `auto-delete` |
//! | `exchange NAME KIND [FLAG…] [ARG=VALUE…]` | declares a durable exchange |
//! | `bind QUEUE EXCHANGE KEY [ARG=VALUE…]`, `unbind …`, `link EXCHANGE SOURCE KEY …` | bindings to queues and between exchanges |
//! | `publish EXCHANGE KEY BODY [mandatory] [PROPERTY=VALUE…]` | `BODY*N` repeats; `h.NAME=VALUE` is a header |
//! | `get QUEUE`, `take QUEUE`, `drain QUEUE` | one message unacked, one without acks, all without acks |
//! | `consume QUEUE TAG [no-ack] [exclusive] [ARG=VALUE…]`, `cancel TAG` | |
//! | `deliver N`, `returned`, `cancelled` | reads N deliveries, one return, one cancel by the broker |
//! | `ack TAG [multiple]`, `nack TAG [multiple] [requeue]`, `reject TAG [requeue]` | |
//! | `confirm`, `confirms` | publisher confirms on; waits for all of them |
//! | `tx`, `commit`, `rollback`, `qos N [global]`, `recover`, `close` | |
//! | `purge QUEUE`, `delete QUEUE [if-empty] [if-unused]`, `drop-exchange NAME` | |
//! | `ready QUEUE N` | waits until the queue has N ready messages |
//! | `gone QUEUE` | waits until the queue is not there, without using it |
//! | `disconnect CONNECTION` | drops its socket |
//! | `fence` | waits until the broker has handled everything |
//! | `pass MS` | a message with that expiration comes and goes in a queue beside |

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
};

use leveret_tests::methods::{exchange, queue};

use super::{
    link::{Closed, Link},
    step::Step,
};

/// The connection on which a scenario waits, beside those that it plays on.
const ASIDE: u16 = u16::MAX;

/// A scenario while it is played.
pub(super) struct Scene {
    address: SocketAddr,
    prefix: String,
    links: BTreeMap<u16, Link>,
    place: (u16, u16),
    transcript: Vec<String>,
    queues: Vec<String>,
    exchanges: Vec<String>,
}

impl Scene {
    /// Plays `script` on the broker at `address`; gives its lines, each with what it was answered.
    pub(super) fn play(address: SocketAddr, name: &str, script: &str) -> Vec<String> {
        let mut scene = Self::start(address, name);
        scene.try_perform(script);
        let transcript = scene.finish();
        scene.clean();
        transcript
    }

    /// A scenario that has played nothing yet.
    pub(super) fn start(address: SocketAddr, name: &str) -> Self {
        Self {
            address,
            prefix: format!("{:08x}.", digest(name)),
            links: BTreeMap::new(),
            place: (0, 1),
            transcript: Vec::new(),
            queues: Vec::new(),
            exchanges: Vec::new(),
        }
    }

    /// Plays the lines of `script`; what goes wrong in the playing itself is a line too.
    pub(super) fn try_perform(&mut self, script: &str) {
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| self.perform(script))) {
            let text = cause.downcast_ref::<String>().cloned();
            self.transcript.push(format!("FAILED: {}", text.unwrap_or_default()));
        }
    }

    /// Plays the lines of `script`.
    ///
    /// # Panics
    /// When the script cannot be read, or what it waits for does not come.
    pub(super) fn perform(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.transcript.push(format!("> {line}"));
            let full = line.replace('$', &self.prefix);
            match Step::read(&full).perform(self) {
                Ok(lines) => self.transcript.extend(lines),
                Err(closed) => self.transcript.push(closed),
            }
        }
    }

    /// What was answered so far; what came and was not read is said at its end.
    pub(super) fn finish(&mut self) -> Vec<String> {
        for (number, link) in &mut self.links {
            let rest = link.rest().into_iter().map(|line| format!("unread on {number}: {line}"));
            self.transcript.extend(rest);
        }
        let lines = std::mem::take(&mut self.transcript);
        lines.into_iter().map(|line| line.replace(&self.prefix, "$")).collect()
    }

    /// Drops the connections, but leaves the queues and exchanges.
    pub(super) fn leave(&mut self) {
        self.links.clear();
        self.place = (0, 1);
    }

    /// Takes away what the scenario declared.
    pub(super) fn clean(self) {
        drop(self.links);
        let mut link = Link::new(self.address);
        let queues = self.queues.iter().map(|name| (queue::delete(name, 0), (50, 41)));
        let exchanges = self.exchanges.iter().map(|name| (exchange::delete(name, 0), (40, 21)));
        for (payload, answer) in queues.chain(exchanges) {
            // A name that is not there any more is an answer too.
            let _ = link.open(1).and_then(|()| link.call(1, payload, answer));
        }
    }

    /// The link and the channel that the scenario is on, opened.
    pub(super) fn link(&mut self) -> Result<(u16, &mut Link), Closed> {
        let (connection, channel) = self.place;
        self.link_of(connection, channel)
    }

    /// The link on which a scenario waits, with channel 1 open.
    pub(super) fn aside(&mut self) -> Result<&mut Link, Closed> {
        self.link_of(ASIDE, 1).map(|(_, link)| link)
    }

    fn link_of(&mut self, connection: u16, channel: u16) -> Result<(u16, &mut Link), Closed> {
        if self.links.get(&connection).is_some_and(Link::is_closed) {
            self.links.remove(&connection);
        }
        let link = self.links.entry(connection).or_insert_with(|| Link::new(self.address));
        link.open(channel)?;
        Ok((channel, link))
    }

    /// Goes to another connection and channel, written as `CONNECTION` or `CONNECTION.CHANNEL`.
    pub(super) fn go(&mut self, place: &str) {
        let (connection, channel) = place.split_once('.').unwrap_or((place, "1"));
        self.place = (number(connection), number(channel));
    }

    /// Drops the socket of a connection.
    pub(super) fn disconnect(&mut self, connection: u16) {
        self.links.remove(&connection);
    }

    /// The queue in which messages wait for no more than their expiration.
    pub(super) fn hourglass(&mut self) -> String {
        let name = format!("{}hourglass", self.prefix);
        self.owns_queue(&name);
        name
    }

    /// The scenario declares this queue, so it is taken away at its end.
    pub(super) fn owns_queue(&mut self, name: &str) {
        self.queues.push(name.to_owned());
    }

    /// The scenario declares this exchange, so it is taken away at its end.
    pub(super) fn owns_exchange(&mut self, name: &str) {
        self.exchanges.push(name.to_owned());
    }
}

fn number(text: &str) -> u16 {
    text.parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

/// A digest of the scenario's name: its queues stand apart from those of all others.
fn digest(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |digest, octet| (digest ^ u32::from(octet)).wrapping_mul(0x0100_0193))
}
