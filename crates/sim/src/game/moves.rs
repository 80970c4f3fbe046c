//! What clients do.

use super::{Life, Table};
use crate::Violation;
use crate::chance::{Chance, body};
use crate::client::{CONFIRMS, CONSUMES, Client, Consumer, GETS, TX};
use crate::ledger::{Published, When};
use crate::topology::{BRIEF, COUNTED, FAN, QUEUES, QueueAt};
use crate::wire::Terms;
use crate::world::World;

/// An operation of a client.
#[derive(Clone, Copy)]
enum Move {
    Publish,
    PublishFan,
    Consume,
    Cancel,
    Get,
    Ack,
    Nack,
    Reject,
    Transaction,
    Purge,
    Delete,
    Declare,
    Lose,
}

const MOVES: &[(u64, Move)] = &[
    (30, Move::Publish),
    (8, Move::PublishFan),
    (6, Move::Consume),
    (2, Move::Cancel),
    (8, Move::Get),
    (22, Move::Ack),
    (5, Move::Nack),
    (5, Move::Reject),
    (6, Move::Transaction),
    (1, Move::Purge),
    (1, Move::Delete),
    (3, Move::Declare),
    (2, Move::Lose),
];

/// A message about to be published.
struct Draft {
    message: u64,
    terms: Terms,
    body: Vec<u8>,
}

impl Table {
    /// One operation of one client.
    pub(super) fn client_moves(&mut self, life: &mut Life) -> Result<(), Violation> {
        let at = usize::try_from(self.schedule.below(life.clients.len() as u64)).unwrap_or(0);
        let what = self.workload.weighted(MOVES).unwrap_or(Move::Publish);
        if !life.clients.get(at).is_some_and(Client::may_send) {
            let is_held_back = life.clients.get(at).is_some_and(Client::is_held_back);
            self.coverage.add("held back", is_held_back.into());
            return Ok(());
        }
        self.operations += 1;
        match what {
            Move::Purge => return self.purge(life, at),
            Move::Delete => return self.delete(life, at),
            Move::Lose => return self.lose(life, at),
            _ => {}
        }
        let Life { world, clients, .. } = life;
        let Some(client) = clients.get_mut(at) else { return Ok(()) };
        match what {
            Move::Publish => self.publish(world, client),
            Move::PublishFan => self.publish_fan(world, client),
            Move::Consume => self.consume(client),
            Move::Cancel => self.cancel(client),
            Move::Get => self.get(world, client),
            Move::Ack => self.settle(world, client, true),
            Move::Nack => self.requeue(client),
            Move::Reject => self.settle(world, client, false),
            Move::Transaction => self.transaction(world, client),
            Move::Declare => self.declare(world, client),
            Move::Purge | Move::Delete | Move::Lose => {}
        }
        Ok(())
    }

    fn any_queue(&mut self) -> QueueAt {
        QueueAt(usize::try_from(self.workload.below(QUEUES.len() as u64)).unwrap_or(0))
    }

    fn there(&mut self) -> Option<QueueAt> {
        let queue = self.any_queue();
        (self.ledger.is_declared(queue) && !self.stopped.contains(&queue)).then_some(queue)
    }

    fn draft(&mut self, queue: Option<QueueAt>) -> Draft {
        let chance = &mut self.workload;
        let message = self.ledger.next_message();
        let terms = Terms {
            message,
            persistent: !chance.one_in(6),
            priority: (queue != Some(COUNTED) && chance.one_in(2))
                .then(|| u8::try_from(chance.below(7)).unwrap_or(0)),
            expires_ms: (queue == Some(BRIEF) && chance.one_in(2)).then(|| chance.below(4_000)),
        };
        let body = body(message, body_len(chance));
        Draft { message, terms, body }
    }

    fn note(&mut self, draft: &Draft, publisher: u64, transaction: Option<u64>, to: &[QueueAt], when: When) {
        let published = Published {
            message: draft.message,
            publisher,
            len: draft.body.len(),
            persistent: draft.terms.persistent,
            priority: draft.terms.priority,
            expires_ms: draft.terms.expires_ms,
            transaction,
        };
        self.ledger.published(&published, to, when);
    }

    fn publish(&mut self, world: &World, client: &mut Client) {
        let queue = self.any_queue();
        for _ in 0..burst(&mut self.workload) {
            if !client.may_send() || self.stopped.contains(&queue) {
                return;
            }
            let draft = self.draft(Some(queue));
            let to: Vec<QueueAt> = self.ledger.is_declared(queue).then_some(queue).into_iter().collect();
            let lo = world.position() + 1;
            client.publish(CONFIRMS, "", queue.spec().name, draft.terms, &draft.body);
            self.published(world, client, &draft, &to, lo);
        }
    }

    fn publish_fan(&mut self, world: &World, client: &mut Client) {
        for _ in 0..burst(&mut self.workload) {
            if !client.may_send() || self.stopped.iter().any(|queue| queue.spec().in_fan) {
                return;
            }
            let draft = self.draft(None);
            let to: Vec<QueueAt> = self.ledger.queues_there().filter(|queue| queue.spec().in_fan).collect();
            let lo = world.position() + 1;
            client.publish(CONFIRMS, FAN, "", draft.terms, &draft.body);
            self.coverage.note("fan-out");
            self.published(world, client, &draft, &to, lo);
        }
    }

    fn published(&mut self, world: &World, client: &mut Client, draft: &Draft, to: &[QueueAt], lo: u64) {
        let when = self.when(world, lo);
        self.note(draft, client.number, None, to, when);
        client.unconfirmed.insert(client.next_publish, draft.message);
        client.next_publish += 1;
    }

    fn consume(&mut self, client: &mut Client) {
        let Some(queue) = self.there() else { return };
        if client.consumers.len() > 3 {
            return;
        }
        let tag = format!("consumer-{}", self.step);
        let no_ack = self.workload.one_in(8);
        let prefetch = u16::try_from(self.workload.below(20)).unwrap_or(0);
        let consumer = Consumer { queue, no_ack, asked: (u64::MAX, u64::MAX) };
        client.send_together(|client| client.consume(&tag, consumer, prefetch));
    }

    /// The tag stays known: deliveries may be on their way.
    fn cancel(&mut self, client: &mut Client) {
        let tags: Vec<Vec<u8>> = client.consumers.keys().cloned().collect();
        if let Some(tag) = self.workload.pick(&tags) {
            client.cancel(tag);
        }
    }

    fn get(&mut self, world: &World, client: &mut Client) {
        let Some(queue) = self.there() else { return };
        let channel = *self.workload.pick(&[TX, GETS, TX, GETS, CONSUMES]).unwrap_or(&GETS);
        let no_ack = self.workload.one_in(5);
        for _ in 0..self.workload.between(1, 4) {
            client.get(channel, Consumer { queue, no_ack, asked: (self.step, world.position()) });
        }
    }

    /// Unacked deliveries of the consuming channel that one ack covers.
    fn pick_unacked(&mut self, client: &Client, channel: u16) -> Option<(u64, bool)> {
        let tags: Vec<u64> =
            client.unacked.range((channel, 0)..=(channel, u64::MAX)).map(|((_, tag), _)| *tag).collect();
        let tag = *self.workload.pick(&tags)?;
        Some((tag, self.workload.one_in(3)))
    }

    fn settle(&mut self, world: &World, client: &mut Client, is_acked: bool) {
        let channel = if self.workload.one_in(4) { GETS } else { CONSUMES };
        for _ in 0..self.workload.between(1, 6) {
            if !client.may_send() {
                return;
            }
            let Some((tag, multiple)) = self.pick_unacked(client, channel) else { return };
            let covered = client.covered(channel, tag, multiple);
            let lo = world.position() + 1;
            if is_acked {
                client.ack(channel, tag, multiple);
            } else {
                client.nack(channel, tag, multiple, false);
            }
            let when = self.when(world, lo);
            for (at, key) in covered {
                client.unacked.remove(&at);
                self.ledger.settled(&key, !is_acked, self.may_pause(), when);
            }
        }
    }

    fn requeue(&mut self, client: &mut Client) {
        let channel = if self.workload.one_in(4) { GETS } else { CONSUMES };
        let Some((tag, multiple)) = self.pick_unacked(client, channel) else { return };
        let covered = client.covered(channel, tag, multiple);
        for (at, key) in covered {
            client.unacked.remove(&at);
            self.ledger.returned(&key);
        }
        client.nack(channel, tag, multiple, true);
    }

    /// Publishes and acks that count together, or not at all.
    fn transaction(&mut self, world: &World, client: &mut Client) {
        self.last_transaction += 1;
        let mut drafts = Vec::new();
        for _ in 0..self.workload.between(1, 5) {
            let queue = self.any_queue();
            if !self.stopped.contains(&queue) {
                drafts.push((self.draft(Some(queue)), queue));
            }
        }
        let ack = self.pick_unacked(client, TX);
        let acked = ack.map_or(Vec::new(), |(tag, multiple)| client.covered(TX, tag, multiple));
        let commit = !self.workload.one_in(4);
        let lo = world.position() + 1;
        client.send_together(|client| {
            for (draft, queue) in &drafts {
                client.publish(TX, "", queue.spec().name, draft.terms, &draft.body);
            }
            if let Some((tag, multiple)) = ack {
                client.ack(TX, tag, multiple);
            }
            client.end_transaction(commit);
        });
        if !commit {
            return;
        }
        let when = self.when(world, lo);
        for (draft, queue) in drafts {
            let to: Vec<QueueAt> = self.ledger.is_declared(queue).then_some(queue).into_iter().collect();
            self.note(&draft, client.number + (1 << 32), Some(self.last_transaction), &to, when);
        }
        for (at, key) in acked {
            client.unacked.remove(&at);
            self.ledger.settled(&key, false, self.may_pause(), when);
        }
    }

    fn declare(&mut self, world: &World, client: &mut Client) {
        let queue = self.any_queue();
        if self.stopped.contains(&queue) {
            return;
        }
        let lo = world.position() + 1;
        client.send_together(|client| client.declare(queue));
        if !self.ledger.is_declared(queue) {
            self.ledger.declared(queue, self.when(world, lo));
        }
    }

    /// Everything sent is read before, so that what is unacked is known.
    fn purge(&mut self, life: &mut Life, at: usize) -> Result<(), Violation> {
        let Some(queue) = self.there() else { return Ok(()) };
        self.read_all(life)?;
        if life.clients.iter().any(|client| client.gets.values().any(|gets| !gets.is_empty())) {
            return Ok(());
        }
        let Some(client) = life.clients.get_mut(at).filter(|client| client.may_send()) else { return Ok(()) };
        let lo = life.world.position() + 1;
        client.purge(queue);
        let when = self.when(&life.world, lo);
        self.ledger.purged(queue, when);
        self.coverage.note("purge");
        Ok(())
    }

    fn delete(&mut self, life: &mut Life, at: usize) -> Result<(), Violation> {
        let Some(queue) = self.there().filter(|queue| queue.spec().comes_and_goes) else { return Ok(()) };
        // A get of a queue that is gone closes its channel: none may be under way.
        self.read_all(life)?;
        if life.clients.iter().any(|client| client.gets.values().any(|gets| !gets.is_empty())) {
            return Ok(());
        }
        let Some(client) = life.clients.get_mut(at).filter(|client| client.may_send()) else { return Ok(()) };
        let lo = life.world.position() + 1;
        client.delete(queue);
        let when = self.when(&life.world, lo);
        self.ledger.deleted(queue, when);
        self.coverage.note("delete");
        Ok(())
    }

    /// A client's connection is lost, and another client comes.
    fn lose(&mut self, life: &mut Life, at: usize) -> Result<(), Violation> {
        if self.workload.one_in(2) {
            self.client_reads(life, at)?;
        }
        self.coverage.note("lost connection");
        self.replace(life, at)
    }

    /// A client is being closed and has not read that yet: what it acks has gone back already, so that it does not count.
    pub(super) fn acks_too_late(&mut self, life: &mut Life, at: usize) -> Result<(), Violation> {
        let Some(client) = life.clients.get_mut(at) else { return Ok(()) };
        let before = life.world.position();
        let unacked: Vec<(u16, u64)> = client.unacked.keys().copied().collect();
        self.coverage.add("acked too late", unacked.len() as u64);
        for (channel, tag) in unacked {
            client.ack(channel, tag, false);
        }
        if life.world.position() == before {
            return Ok(());
        }
        Err(Violation::new("acks behind a connection's close were logged".to_owned()))
    }

    /// Another client in place of one that is gone.
    pub(super) fn replace(&mut self, life: &mut Life, at: usize) -> Result<(), Violation> {
        let fresh = self.connect(&life.world)?;
        let Some(client) = life.clients.get_mut(at) else { return Ok(()) };
        let lost = std::mem::replace(client, fresh);
        self.forget(&life.world, &lost);
        lost.lose();
        Ok(())
    }

    /// What a lost client held goes back, and what it was sent and did not read may have been delivered.
    pub(super) fn forget(&mut self, world: &World, client: &Client) {
        for key in client.unacked.values() {
            self.ledger.returned(key);
        }
        let when = self.when(world, world.position() + 1);
        let is_drained = client.drained == (self.step, world.position());
        let consumers = client.consumers.values().filter(|_| !is_drained);
        for source in client.gets.values().flatten().chain(consumers) {
            let before = client.drained.min(source.asked).1;
            self.ledger.lost_unread(source.queue, source.no_ack, before, when);
        }
    }
}

/// How many messages in a row.
fn burst(chance: &mut Chance) -> u64 {
    if chance.one_in(8) { chance.between(5, 25) } else { chance.between(1, 4) }
}

/// Bytes of a body: mostly small, some beyond what a batch likes.
fn body_len(chance: &mut Chance) -> usize {
    let len = match chance.below(100) {
        0..=4 => 0,
        5..=54 => chance.between(1, 100),
        55..=84 => chance.between(100, 2_000),
        85..=95 => chance.between(2_000, 8_000),
        96..=98 => chance.between(8_000, 20_000),
        _ => chance.between(20_000, 60_000),
    };
    usize::try_from(len).unwrap_or(0)
}
