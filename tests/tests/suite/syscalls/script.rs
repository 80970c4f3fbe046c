//! The script: some three hundred steps that write enough for checkpoints, compaction and the reuse of slots.

use std::{collections::BTreeMap, io, ops::Range};

use leveret_tests::{
    client::{Client, Event},
    describe::describe,
    methods::{Properties, basic, confirm, exchange, queue, tx},
    numbered::{body, number},
    wait::PATIENCE,
    wire::Table,
};

use super::model::{Fate, Model};

const BOTH: &str = "both";
/// Never read, now and then deleted: what keeps slots from being empty.
const KEPT: &str = "kept";
/// Read as fast as it is written.
const READ: &str = "read";
/// Bodies that are files of their own, purged now and then.
const LARGE: &str = "large";

/// Channels for confirms, for reading and declaring, for transactions.
const CONFIRMS: u16 = 1;
const PLAIN: u16 = 2;
const TX: u16 = 3;

type Places = Vec<(&'static str, u32)>;

/// Plays these rounds on a connection of its own; the first declares everything.
pub(super) fn play(client: Client, model: &mut Model, rounds: Range<u32>) -> io::Result<()> {
    let mut player = Player { client, model, sequence: 0, unconfirmed: BTreeMap::new() };
    for channel in [CONFIRMS, PLAIN, TX] {
        player.client.open_channel(channel)?;
    }
    player.client.call(CONFIRMS, confirm::select(), (85, 11))?;
    player.client.call(TX, tx::select(), (90, 11))?;
    for round in rounds {
        if round == 0 {
            player.declare()?;
        }
        player.round(round)?;
    }
    Ok(())
}

/// A client at its work, and what it knows.
struct Player<'m> {
    client: Client,
    model: &'m mut Model,
    sequence: u64,
    unconfirmed: BTreeMap<u64, Places>,
}

impl Player<'_> {
    fn declare(&mut self) -> io::Result<()> {
        let declare = exchange::declare(BOTH, "fanout", exchange::DURABLE, &Table::default());
        self.client.call(PLAIN, declare, (40, 11))?;
        for name in [KEPT, READ, LARGE] {
            self.declare_queue(name)?;
        }
        self.bind(KEPT)?;
        self.bind(READ)
    }

    fn declare_queue(&mut self, name: &'static str) -> io::Result<()> {
        self.model.changing(name);
        self.client.call(PLAIN, queue::declare(name, queue::DURABLE, &Table::default()), (50, 11))?;
        self.model.changed(name, true);
        Ok(())
    }

    fn bind(&mut self, name: &'static str) -> io::Result<()> {
        self.client.call(PLAIN, queue::bind(name, BOTH, "", &Table::default()), (50, 21)).map(|_| ())
    }

    /// One round; its number says what is special in it.
    fn round(&mut self, round: u32) -> io::Result<()> {
        for len in [8, 180, 3_000] {
            self.publish((BOTH, ""), &[KEPT, READ], len)?;
        }
        for _ in 0..6 {
            self.publish(("", READ), &[READ], 90_000)?;
        }
        self.publish(("", KEPT), &[KEPT], 20_000)?;
        if round.is_multiple_of(4) {
            self.publish(("", LARGE), &[LARGE], 300_000)?;
        }
        self.await_confirms()?;
        self.read(READ, 9, round.is_multiple_of(5))?;
        match round % 12 {
            3 => self.transaction(round),
            5 => self.purge(LARGE),
            7 => self.read(LARGE, 2, true),
            9 => {
                self.delete(KEPT)?;
                self.declare_queue(KEPT)?;
                self.bind(KEPT)
            }
            _ => Ok(()),
        }
    }

    fn next_number(&mut self) -> u32 {
        self.model.next += 1;
        self.model.next
    }

    fn publish(
        &mut self,
        (exchange, key): (&str, &str),
        queues: &[&'static str],
        len: usize,
    ) -> io::Result<()> {
        let number = self.next_number();
        let places: Places = queues.iter().map(|queue| (*queue, number)).collect();
        for (queue, number) in &places {
            self.model.set(queue, *number, Fate::Sent(None));
        }
        self.sequence += 1;
        self.unconfirmed.insert(self.sequence, places);
        self.client.publish(CONFIRMS, (exchange, key, 0), &Properties::persistent(), &body(number, len))
    }

    /// Waits for an answer to everything published; what was refused stays doubtful.
    fn await_confirms(&mut self) -> io::Result<()> {
        while !self.unconfirmed.is_empty() {
            let Event::Frame(frame) = self.client.next(PATIENCE) else {
                return Err(io::Error::other("no confirm came"));
            };
            let is_ack = match frame.method() {
                Some((60, 80)) => true,
                Some((60, 120)) => false,
                _ => return Err(io::Error::other(describe(&frame))),
            };
            let mut arguments = frame.arguments();
            let (tag, multiple) = (arguments.u64().expect("a tag"), arguments.bit().expect("a bit"));
            let first = if multiple { 0 } else { tag };
            let tags: Vec<u64> = self.unconfirmed.range(first..=tag).map(|(tag, _)| *tag).collect();
            for place in tags.iter().filter_map(|tag| self.unconfirmed.remove(tag)).flatten() {
                if is_ack {
                    self.model.set(place.0, place.1, Fate::Confirmed { seen: false });
                }
            }
        }
        Ok(())
    }

    /// Gets up to `most` messages and acks them together, the first one given back before if so told.
    fn read(&mut self, queue: &'static str, most: usize, give_back: bool) -> io::Result<()> {
        let mut got = Vec::new();
        while got.len() < most
            && let Some((tag, number)) = self.get(PLAIN, queue)?
        {
            got.push((tag, number));
        }
        if give_back && got.len() > 1 {
            let (tag, _) = got.remove(0);
            self.client.method(PLAIN, basic::nack(tag, false, true))?;
        }
        let Some((last, _)) = got.last() else { return Ok(()) };
        let last = *last;
        for (_, number) in got {
            self.model.set(queue, number, Fate::Settling);
        }
        self.client.method(PLAIN, basic::ack(last, true))
    }

    /// Gets one message, unacked: its delivery tag and number. It counts as seen from now on.
    fn get(&mut self, channel: u16, queue: &'static str) -> io::Result<Option<(u64, u32)>> {
        self.client.method(channel, basic::get(queue, false))?;
        let Event::Frame(frame) = self.client.next(PATIENCE) else {
            return Err(io::Error::other("no answer to a get"));
        };
        match frame.method() {
            Some((60, 72)) => return Ok(None),
            Some((60, 71)) => {}
            _ => return Err(io::Error::other(describe(&frame))),
        }
        let tag = frame.arguments().u64().expect("a tag");
        let content = self.client.content(frame)?;
        let number = number(&content.body).expect("an unaltered body");
        self.model.set(queue, number, Fate::Confirmed { seen: true });
        Ok(Some((tag, number)))
    }

    /// Five messages and an ack, all or nothing.
    fn transaction(&mut self, group: u32) -> io::Result<()> {
        let mut sent = Vec::new();
        for _ in 0..5 {
            let number = self.next_number();
            self.model.set(READ, number, Fate::Sent(Some(group)));
            sent.push(number);
            self.client.publish(TX, ("", READ, 0), &Properties::persistent(), &body(number, 40_000))?;
        }
        let acked = self.get(TX, KEPT)?;
        if let Some((tag, number)) = acked {
            self.model.set(KEPT, number, Fate::Settling);
            self.client.method(TX, basic::ack(tag, false))?;
        }
        self.client.call(TX, tx::commit(), (90, 21))?;
        for number in sent {
            self.model.set(READ, number, Fate::Confirmed { seen: false });
        }
        if let Some((_, number)) = acked {
            self.model.set(KEPT, number, Fate::Gone);
        }
        Ok(())
    }

    fn purge(&mut self, queue: &'static str) -> io::Result<()> {
        self.model.settling(queue);
        self.client.call(PLAIN, queue::purge(queue), (50, 31))?;
        self.model.gone(queue);
        Ok(())
    }

    fn delete(&mut self, queue: &'static str) -> io::Result<()> {
        self.model.settling(queue);
        self.model.changing(queue);
        self.client.call(PLAIN, queue::delete(queue, 0), (50, 41))?;
        self.model.changed(queue, false);
        self.model.gone(queue);
        Ok(())
    }
}
