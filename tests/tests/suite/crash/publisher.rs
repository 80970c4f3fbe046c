//! A publisher: keeps a window of unconfirmed messages under way until the broker dies.

use std::{collections::BTreeMap, io, mem, time::Duration};

use leveret_tests::{
    client::{Client, Event, message},
    describe::describe,
    ledger::{Ledger, MessageId, body},
    methods::{basic, confirm},
    wait::{PATIENCE, pass},
    wire::Frame,
};

use super::{
    load::Load,
    topology::{EXCHANGE, Name, routing_key},
};

/// Between two looks whether more is wanted.
const PAUSE: Duration = Duration::from_millis(5);

/// Publishes until the broker dies, or until no more is wanted and all is confirmed.
pub(super) fn run(load: &Load, publisher: usize, window: usize) -> io::Result<()> {
    let life = load.ledger.life();
    let mut client = Client::login(load.address)?;
    client.open_channel(1)?;
    client.call(1, confirm::select(), (85, 11))?;
    let mut outstanding = Outstanding::default();
    loop {
        if load.wants_more() {
            let mut bytes = Vec::new();
            while outstanding.len() < window {
                let id = load.ledger.publish(publisher, life);
                bytes.extend(load_message(id, client.frame_max));
                outstanding.expect(id);
            }
            if let Err(error) = client.send(&bytes) {
                // The broker died while it was written to; confirms that it had sent before still count.
                while outstanding.read(&mut client, &load.ledger, |id| load.ledger.confirm(id)) {}
                return Err(error);
            }
        } else if outstanding.is_empty() {
            if !load.is_publishing() {
                return Ok(());
            }
            if client.next(PAUSE) != Event::Silence {
                return Err(io::Error::other("the broker is gone"));
            }
            continue;
        }
        if !outstanding.read(&mut client, &load.ledger, |id| load.ledger.confirm(id)) {
            pass(PAUSE);
            return Ok(());
        }
    }
}

fn load_message(id: MessageId, frame_max: u32) -> Vec<u8> {
    let method = basic::publish(EXCHANGE, &routing_key(id), 0);
    message(1, &method, &Name::Message(id).properties(), &body(id), frame_max)
}

/// Whether the broker says that it stops.
pub(super) fn is_farewell(frame: &Frame) -> bool {
    frame.method() == Some((10, 50)) && frame.arguments().u16() == Some(320)
}

/// What was sent on one confirming channel and is not confirmed.
pub(super) struct Outstanding<T> {
    sequence: u64,
    waiting: BTreeMap<u64, T>,
}

impl<T> Default for Outstanding<T> {
    fn default() -> Self {
        Self { sequence: 0, waiting: BTreeMap::new() }
    }
}

impl<T> Outstanding<T> {
    /// The next message that goes out.
    pub(super) fn expect(&mut self, message: T) {
        self.sequence += 1;
        self.waiting.insert(self.sequence, message);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Reads one confirm and gives its messages to `confirmed`; false when the connection is at its end.
    pub(super) fn read(&mut self, client: &mut Client, ledger: &Ledger, confirmed: impl FnMut(T)) -> bool {
        let frame = match client.next(PATIENCE) {
            Event::Frame(frame) => frame,
            Event::Closed => return false,
            Event::Silence => panic!("no confirm came for {PATIENCE:?}: {} are waited for", self.len()),
        };
        if is_farewell(&frame) {
            return false;
        }
        if frame.method() != Some((60, 80)) {
            ledger.wrong_confirm(&format!("a publisher was told: {}", describe(&frame)));
            return false;
        }
        let mut arguments = frame.arguments();
        let (tag, multiple) = (arguments.u64().expect("a tag"), arguments.bit().expect("a bit"));
        let mut done = BTreeMap::new();
        if multiple {
            let later = self.waiting.split_off(&(tag + 1));
            done = mem::replace(&mut self.waiting, later);
        } else if let Some(message) = self.waiting.remove(&tag) {
            done.insert(tag, message);
        }
        if done.is_empty() {
            ledger.wrong_confirm(&format!("{} confirms nothing", describe(&frame)));
        }
        done.into_values().for_each(confirmed);
        true
    }
}
