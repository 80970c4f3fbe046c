//! One line of a scenario: the command and how it is carried out.

use leveret_tests::{
    methods::{Properties, basic, confirm, exchange, queue, tx},
    wait::until,
    wire::Table,
};

use super::{
    link::{Arrived, Closed, PATIENCE, counts},
    scene::Scene,
    words::{arguments, plain, properties, unquote, words},
};

const GET_EMPTY: (u16, u16) = (60, 72);

/// What a command was answered.
type Answer = Result<Vec<String>, Closed>;

/// A command and its words.
pub(super) struct Step<'a> {
    command: &'a str,
    words: Vec<&'a str>,
    plain: Vec<&'a str>,
}

impl<'a> Step<'a> {
    /// Takes `line` apart.
    pub(super) fn read(line: &'a str) -> Self {
        let mut words = words(line);
        let command = words.remove(0);
        let plain = plain(&words);
        Self { command, words, plain }
    }

    /// Carries the command out in `scene`.
    pub(super) fn perform(&self, scene: &mut Scene) -> Answer {
        match self.command {
            "on" => scene.go(self.word(0)),
            "disconnect" => scene.disconnect(self.number(0)),
            "publish" => self.publish(scene)?,
            "close" => {
                let (channel, link) = scene.link()?;
                link.close(channel)?;
            }
            "fence" => settled(scene)?,
            "queue" => return self.declare_queue(scene),
            "exchange" => return self.declare_exchange(scene),
            "get" => return self.get(scene, false).map(|arrived| vec![arrived.line()]),
            "take" => return self.get(scene, true).map(|arrived| vec![arrived.line()]),
            "drain" => return self.drain(scene),
            "deliver" => return take(scene, self.number(0), (60, 60)),
            "returned" => return take(scene, 1, (60, 50)),
            "cancelled" => return take(scene, 1, (60, 30)),
            "confirms" => return confirms(scene),
            "ready" => return settled(scene).and_then(|()| self.ready(scene)),
            "gone" => return settled(scene).and_then(|()| self.gone(scene)),
            "pass" => return settled(scene).and_then(|()| self.pass(scene)),
            "ack" | "nack" | "reject" => self.settle(scene)?,
            _ => return self.call(scene),
        }
        Ok(Vec::new())
    }

    /// The commands that are a method with one answer.
    fn call(&self, scene: &mut Scene) -> Answer {
        let table = || arguments(&self.words);
        let (payload, answer) = match self.command {
            "bind" => (queue::bind(self.word(0), self.word(1), self.word(2), &table()), (50, 21)),
            "unbind" => (queue::unbind(self.word(0), self.word(1), self.word(2), &table()), (50, 51)),
            "link" => (exchange::bind(self.word(0), self.word(1), self.word(2), &table()), (40, 31)),
            "consume" => {
                let flags = self.flag("no-ack", basic::NO_ACK) | self.flag("exclusive", basic::EXCLUSIVE);
                (basic::consume(self.word(0), self.word(1), flags, &table()), (60, 21))
            }
            "cancel" => (basic::cancel(self.word(0), false), (60, 31)),
            "qos" => (basic::qos(0, self.number(0), self.has("global")), (60, 11)),
            "recover" => (basic::recover(true), (60, 111)),
            "confirm" => (confirm::select(), (85, 11)),
            "tx" => (tx::select(), (90, 11)),
            "commit" => (tx::commit(), (90, 21)),
            "rollback" => (tx::rollback(), (90, 31)),
            "purge" => (queue::purge(self.word(0)), (50, 31)),
            "delete" => {
                let flags = self.flag("if-empty", queue::IF_EMPTY) | self.flag("if-unused", queue::IF_UNUSED);
                (queue::delete(self.word(0), flags), (50, 41))
            }
            "drop-exchange" => (exchange::delete(self.word(0), 0), (40, 21)),
            other => panic!("no command {other:?}"),
        };
        answered(scene, payload, answer)
    }

    fn declare_queue(&self, scene: &mut Scene) -> Answer {
        let name = self.word(0);
        let flags = if self.has("transient") { 0 } else { queue::DURABLE }
            | self.flag("passive", queue::PASSIVE)
            | self.flag("exclusive", queue::EXCLUSIVE)
            | self.flag("auto-delete", queue::AUTO_DELETE);
        scene.owns_queue(name);
        answered(scene, queue::declare(name, flags, &arguments(&self.words)), (50, 11))
    }

    fn declare_exchange(&self, scene: &mut Scene) -> Answer {
        let name = self.word(0);
        let flags = if self.has("transient") { 0 } else { exchange::DURABLE }
            | self.flag("passive", exchange::PASSIVE)
            | self.flag("internal", exchange::INTERNAL)
            | self.flag("auto-delete", exchange::AUTO_DELETE);
        scene.owns_exchange(name);
        let table = arguments(&self.words);
        answered(scene, exchange::declare(name, self.word(1), flags, &table), (40, 11))
    }

    fn publish(&self, scene: &mut Scene) -> Result<(), Closed> {
        let (text, count) = self.word(2).split_once('*').unwrap_or((self.word(2), "1"));
        let body = text.repeat(count.parse().expect("a number of repetitions"));
        let place = (self.word(0), self.word(1), self.flag("mandatory", basic::MANDATORY));
        let (channel, link) = scene.link()?;
        link.publish(channel, place, &properties(&self.words), body.as_bytes());
        Ok(())
    }

    fn get(&self, scene: &mut Scene, no_ack: bool) -> Result<Arrived, Closed> {
        let (channel, link) = scene.link()?;
        link.get(channel, self.word(0), no_ack)
    }

    fn drain(&self, scene: &mut Scene) -> Answer {
        let mut lines = Vec::new();
        loop {
            let arrived = self.get(scene, true)?;
            if arrived.frame.method() == Some(GET_EMPTY) {
                return Ok(lines);
            }
            lines.push(arrived.line());
        }
    }

    /// Acks and rejects have no answer: a fence shows a close.
    fn settle(&self, scene: &mut Scene) -> Result<(), Closed> {
        let tag = self.word(0).parse().expect("a delivery tag");
        let payload = match self.command {
            "ack" => basic::ack(tag, self.has("multiple")),
            "nack" => basic::nack(tag, self.has("multiple"), self.has("requeue")),
            _ => basic::reject(tag, self.has("requeue")),
        };
        let (channel, link) = scene.link()?;
        link.send(channel, payload);
        link.fence(channel)
    }

    fn ready(&self, scene: &mut Scene) -> Answer {
        let (name, wanted) = (self.word(0), u32::from(self.number(1)));
        let link = scene.aside()?;
        let passive = queue::declare(name, queue::PASSIVE, &Table::default());
        let mut last = None;
        until(&format!("{} ready in {name}", self.word(1)), PATIENCE, || {
            match link.call(1, &passive, (50, 11)) {
                Err(closed) => Some(Err(closed)),
                Ok(arrived) => {
                    let count = counts(&arrived.frame).0;
                    last = Some(count);
                    (count == wanted).then_some(Ok(()))
                }
            }
        })?;
        Ok(Vec::new())
    }

    /// A mandatory message comes back when there is no queue: publishing is no use that keeps a queue alive.
    fn gone(&self, scene: &mut Scene) -> Answer {
        let name = self.word(0);
        // RabbitMQ closes the connection of who publishes to a quorum queue just as it goes: ask again.
        until(&format!("{name} is gone"), PATIENCE, || {
            let link = scene.aside().ok()?;
            link.publish(1, ("", name, basic::MANDATORY), &Properties::default(), b"?");
            link.fence(1).ok().filter(|()| link.has_returned(1))
        });
        Ok(Vec::new())
    }

    /// The time that a message with this expiration lives: it comes and goes in a queue beside.
    fn pass(&self, scene: &mut Scene) -> Answer {
        let name = scene.hourglass();
        let expiration = Some(self.word(0).to_owned());
        let link = scene.aside()?;
        link.call(1, queue::declare(&name, queue::DURABLE, &Table::default()), (50, 11))?;
        link.publish(1, ("", &name, 0), &Properties { expiration, ..Properties::default() }, b"sand");
        link.fence(1)?;
        let passive = queue::declare(&name, queue::PASSIVE, &Table::default());
        until("the time is over", PATIENCE, || match link.call(1, &passive, (50, 11)) {
            Err(closed) => Some(Err(closed)),
            Ok(arrived) => (counts(&arrived.frame).0 == 0).then_some(Ok(())),
        })?;
        Ok(Vec::new())
    }

    fn word(&self, place: usize) -> &str {
        unquote(
            self.plain.get(place).unwrap_or_else(|| panic!("word {place} of {:?} is missing", self.command)),
        )
    }

    fn number(&self, place: usize) -> u16 {
        self.word(place).parse().unwrap_or_else(|_| panic!("no number: {:?}", self.word(place)))
    }

    fn has(&self, flag: &str) -> bool {
        self.plain.contains(&flag)
    }

    fn flag(&self, name: &str, bit: u8) -> u8 {
        if self.has(name) { bit } else { 0 }
    }
}

/// The broker has handled what was sent so far.
fn settled(scene: &mut Scene) -> Result<(), Closed> {
    let (channel, link) = scene.link()?;
    link.fence(channel)
}

fn answered(scene: &mut Scene, payload: Vec<u8>, answer: (u16, u16)) -> Answer {
    let (channel, link) = scene.link()?;
    let arrived = link.call(channel, payload, answer)?;
    Ok(vec![arrived.line()])
}

fn take(scene: &mut Scene, count: u16, method: (u16, u16)) -> Answer {
    let (channel, link) = scene.link()?;
    (0..count).map(|_| link.take(channel, method).map(|arrived| arrived.line())).collect()
}

fn confirms(scene: &mut Scene) -> Answer {
    let (channel, link) = scene.link()?;
    let outcomes = link.confirms(channel)?;
    let words: Vec<String> = outcomes.iter().map(|(number, outcome)| format!("{number} {outcome}")).collect();
    Ok(vec![words.join(", ")])
}
