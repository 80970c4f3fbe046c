//! Looks at what is there: counts while a broker runs, and everything of a copy of the disk that a crash left.

use super::ends::refused;
use super::{Life, Table};
use crate::Violation;
use crate::chance::Chance;
use crate::client::{Client, Consumer, GETS};
use crate::ledger::{Found, Recovery};
use crate::topology::{BRIEF, QueueAt, queues};
use crate::wire::Event;
use crate::world::{Machine, World};

impl Table {
    /// Starts a broker on a copy of the disk, and takes every message out of every queue.
    pub(super) fn look(&mut self, copy: Machine) -> Result<Recovery, Violation> {
        let mut world = World::start(copy, self.terms(u64::MAX)).map_err(|error| refused(&error))?;
        let mut recovery = Recovery {
            end: world.recovered_end,
            clean: world.clean_stop,
            now_ms: world.clock().now_ms(),
            ..Recovery::default()
        };
        let mut client = Client::connect(&world, u64::MAX)?;
        world.settle(&mut Chance::new(1, "look")).map_err(|error| Violation::new(error.to_string()))?;
        client.read()?;
        for (queue, _) in queues() {
            let Some((ready, unacked)) = world.counts(queue) else { continue };
            let found = take_all(&mut world, &mut client, queue)?;
            // What is due behind the head goes when its turn comes.
            let is_less = found.len() as u64 != ready && (queue != BRIEF || found.len() as u64 > ready);
            if is_less || unacked != 0 {
                return Err(Violation::new(format!(
                    "{} counts {ready} ready and {unacked} unacked after a recovery, and gave {}",
                    queue.spec().name,
                    found.len()
                )));
            }
            recovery.queues.insert(queue, found);
        }
        Ok(recovery)
    }

    /// For the report of a wrong count: which messages the queue does not give.
    fn missed(&self, life: &mut Life, queue: QueueAt) -> String {
        let found = Client::connect(&life.world, u64::MAX)
            .and_then(|mut client| {
                life.world.sync().map_err(|error| Violation::new(error.to_string()))?;
                client.read()?;
                take_all(&mut life.world, &mut client, queue)
            })
            .unwrap_or_default();
        let found: Vec<u64> = found.iter().filter_map(|found| found.content.message).collect();
        self.ledger.missing(queue, &found)
    }

    /// Counts of queues equal a recount.
    pub(super) fn check_counts(&mut self, life: &mut Life) -> Result<(), Violation> {
        self.read_all(life)?;
        let now_ms = life.world.clock().now_ms();
        for (queue, spec) in queues() {
            let counted = life.world.counts(queue);
            if counted.is_some() != self.ledger.is_declared(queue) {
                return Err(Violation::new(format!("{} is there or not: {counted:?}", spec.name)));
            }
            let Some((ready, unacked)) = counted else { continue };
            let (least, mut most) = self.ledger.count(queue, now_ms);
            if queue == BRIEF {
                // What is due behind the head was not found by recovery's look, and is still there.
                most = u64::MAX;
            }
            if !(least..=most).contains(&(ready + unacked)) {
                let missed = self.missed(life, queue);
                return Err(Violation::new(format!(
                    "{} counts {ready} ready and {unacked} unacked, a recount gives {least} to {most}: {missed}",
                    spec.name
                )));
            }
        }
        Ok(())
    }
}

/// Takes all messages of a queue.
fn take_all(world: &mut World, client: &mut Client, queue: QueueAt) -> Result<Vec<Found>, Violation> {
    let mut taken = Vec::new();
    loop {
        client.get(GETS, Consumer { queue, no_ack: true, asked: (0, 0) });
        let mut answer = None;
        for _ in 0..100 {
            answer = client.read()?.into_iter().find(is_answer);
            if answer.is_some() {
                break;
            }
            world.settle(&mut Chance::new(1, "look")).map_err(|error| Violation::new(error.to_string()))?;
        }
        match answer {
            Some(Event::Message { redelivered, content, .. }) => taken.push(Found { content, redelivered }),
            Some(Event::Empty(_)) => return Ok(taken),
            _ => return Err(Violation::new(format!("a get of {} is not answered", queue.spec().name))),
        }
    }
}

fn is_answer(event: &Event) -> bool {
    matches!(event, Event::Message { .. } | Event::Empty(_) | Event::Closed(..))
}
