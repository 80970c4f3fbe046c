//! One seed's game: lives of a broker, each with random steps of everybody who acts, between them stops and crashes.

mod disk;
mod ends;
mod look;
mod moves;

use std::collections::BTreeSet;

use leveret_storage::Durability;

use crate::Violation;
use crate::chance::Chance;
use crate::client::{Client, Consumer};
use crate::cold::Step;
use crate::coverage::Coverage;
use crate::ledger::{Ledger, ReadBy, When};
use crate::topology::{QueueAt, queues};
use crate::wire::Event;
use crate::world::{Machine, Terms, World};

use disk::Trouble;

/// Clients that work at the same time.
const CLIENTS: usize = 4;

/// After that much time the broker looks whether the log has caught up.
const PAUSE_MS: u64 = 20;

/// Where reads fail, one of so many does.
const READ_FAILS: u64 = 20;

/// A game to play.
#[derive(Clone, Copy, Debug)]
pub struct Game {
    /// What all chance follows from.
    pub seed: u64,
    /// How many operations of clients at least.
    pub operations: u64,
    /// How many ends of a life, by crash or stop, at least;
    pub ends: u64,
    /// and how many of them are crashes, at least.
    pub crashes: u64,
    /// A message whose story is told with a violation.
    pub watched: Option<u64>,
}

impl Game {
    /// A full game of a seed: 1,000 operations, four ends, clean stops among them, at least two crashes.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, operations: 1_000, ends: 4, crashes: 2, watched: None }
    }
}

/// Plays a game.
///
/// # Errors
/// The first violation.
pub fn run(game: &Game) -> Result<Coverage, Violation> {
    let mut table = Table::new(game);
    let played = table.play(game);
    played.map_err(|violation| violation.at(table.step, table.ledger.story()))?;
    for (name, least) in [("operation", game.operations), ("crash", game.crashes), ("checkpoint", 1)] {
        if table.coverage.count(name) < least {
            return Err(Violation::new(format!("the game was too short: {}", table.coverage)));
        }
    }
    Ok(table.coverage)
}

/// Why a life ends before its time.
enum Stop {
    /// Something is wrong.
    Violation(Violation),
    /// The disk failed, as it was told to: the process ends.
    Disk,
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// The state of a game.
struct Table {
    /// What clients do.
    workload: Chance,
    /// Who acts next.
    schedule: Chance,
    /// When and how lives end.
    fate: Chance,
    ledger: Ledger,
    coverage: Coverage,
    step: u64,
    operations: u64,
    last_client: u64,
    last_transaction: u64,
    /// The broker is being stopped: it closes connections.
    is_stopping: bool,
    /// What confirms wait for in this game.
    durability: Durability,
    /// Clients are not read while so many bytes wait for the log.
    log_backlog_bytes: usize,
    /// Queues of which a read failed in this life: they give and take nothing.
    stopped: BTreeSet<QueueAt>,
    /// So many ends may be clean stops: the others are crashes.
    stops_left: u64,
}

/// What is there during a life.
struct Life {
    world: World,
    clients: Vec<Client>,
    /// What is wrong with the disk.
    trouble: Trouble,
    /// The log has no room, and the spill has none.
    full: (bool, bool),
}

impl Table {
    fn new(game: &Game) -> Self {
        let is_os = Chance::new(game.seed, "durability").one_in(6);
        let durability = if is_os { Durability::Os } else { Durability::Fsync };
        let mut backlog = Chance::new(game.seed, "backlog");
        let log_backlog_bytes = if backlog.one_in(2) { usize::MAX } else { 4096 << backlog.below(6) };
        Self {
            durability,
            log_backlog_bytes,
            stopped: BTreeSet::new(),
            workload: Chance::new(game.seed, "workload"),
            schedule: Chance::new(game.seed, "schedule"),
            fate: Chance::new(game.seed, "fate"),
            ledger: Ledger::watching(game.watched),
            coverage: Coverage::default(),
            step: 0,
            operations: 0,
            last_client: 0,
            last_transaction: 0,
            is_stopping: false,
            stops_left: game.ends - game.crashes,
        }
    }

    fn play(&mut self, game: &Game) -> Result<(), Violation> {
        let mut machine = Machine::new(game.seed);
        let world = World::start(machine.clone(), self.terms(u64::MAX))
            .map_err(|error| Violation::new(format!("the first start: {error}")))?;
        let mut world = Some(world);
        for end in 0.. {
            let Some(started) = world.take() else { break };
            let mut life =
                Life { world: started, clients: Vec::new(), trouble: Trouble::None, full: (false, false) };
            self.stopped.clear();
            let until = (end + 1) * game.operations / game.ends;
            let mut ended = self.live(&mut life, until);
            let is_last = end + 1 >= game.ends && self.operations >= game.operations;
            if is_last && ended.is_ok() {
                ended = self.last_rest(&mut life);
            }
            machine = match ended {
                Ok(()) => self.end(life)?,
                Err(Stop::Disk) => self.crash(life),
                Err(Stop::Violation(violation)) => return Err(violation),
            };
            let next = self.recover(machine.clone())?;
            if !is_last {
                world = Some(next);
            }
        }
        self.coverage.add("operation", self.operations);
        self.coverage.add("dead letter", self.ledger.dead_letters);
        Ok(())
    }

    /// While much waits for the log, messages that a queue gave up are not moved to where they are dead-lettered.
    fn may_pause(&self) -> bool {
        self.log_backlog_bytes != usize::MAX
    }

    /// What the operator sets.
    fn terms(&self, hot_window_bytes: u64) -> Terms {
        let log_backlog_bytes = self.log_backlog_bytes;
        Terms { hot_window_bytes, durability: self.durability, log_backlog_bytes }
    }

    /// A life until so many operations were done in all.
    fn live(&mut self, life: &mut Life, until: u64) -> Result<(), Stop> {
        self.settle_in(life)?;
        self.plan_trouble(life);
        while self.operations < until {
            self.step += 1;
            self.act(life)?;
        }
        Ok(())
    }

    /// Clients connect and declare what is not there.
    fn settle_in(&mut self, life: &mut Life) -> Result<(), Stop> {
        self.step += 1;
        self.quiesce(life)?;
        self.check_counts(life)?;
        while life.clients.len() < CLIENTS {
            let client = self.connect(&life.world)?;
            life.clients.push(client);
        }
        if let Some(client) = life.clients.first_mut() {
            client.declare_fan();
        }
        for (queue, _) in queues() {
            if !life.clients.first().is_some_and(Client::may_send) {
                self.quiesce(life)?;
            }
            // Those that are there too: the log may end between a queue's record and its binding's.
            let lo = life.world.position() + 1;
            if let Some(client) = life.clients.first_mut() {
                client.send_together(|client| client.declare(queue));
            }
            if !self.ledger.is_declared(queue) {
                self.ledger.declared(queue, self.when(&life.world, lo));
            }
        }
        let position = life.world.position();
        self.quiesce(life)?;
        self.read_all(life)?;
        self.ledger.promised(position);
        Ok(())
    }

    fn connect(&mut self, world: &World) -> Result<Client, Violation> {
        self.last_client += 1;
        Client::connect(world, self.last_client)
    }

    /// Until nothing happens any more: all is read, all is synced, all that is due is done.
    fn rest(&mut self, life: &mut Life) -> Result<(), Stop> {
        self.step += 1;
        self.quiesce(life)?;
        life.world.tick();
        self.quiesce(life)?;
        self.check_counts(life)?;
        check_confirms(life)?;
        Ok(())
    }

    /// The rest at the end of a game, with the files looked at: what was settled has given its room back.
    fn last_rest(&mut self, life: &mut Life) -> Result<(), Stop> {
        self.rest(life)?;
        for _ in 0..2 {
            self.disk(life, |world| world.checkpoint().map(drop))?;
            for _ in 0..1_000 {
                let mut more = false;
                self.disk(life, |world| {
                    more = world.tidy(false, false)?;
                    Ok(())
                })?;
                if !more {
                    break;
                }
            }
        }
        self.check_room(life)?;
        Ok(())
    }

    /// Everything is synced, everything asked is answered, everything sent is read.
    fn quiesce(&mut self, life: &mut Life) -> Result<(), Stop> {
        self.free_disk(life)?;
        for _ in 0..1_000 {
            let mut chance = self.schedule.clone();
            self.disk(life, |world| world.settle(&mut chance))?;
            if self.read_all(life)? > 0 || !life.world.broker.store.is_idle() {
                continue;
            }
            let before = life.world.position();
            if self.may_pause() {
                life.world.clock().step(PAUSE_MS);
                life.world.tick();
            }
            if life.world.position() == before && life.world.broker.store.is_idle() {
                return Ok(());
            }
        }
        Err(Violation::new("clients are sent something without an end".to_owned()).into())
    }

    fn reads(&mut self, life: &Life) -> Result<(), Violation> {
        for _ in 0..self.schedule.between(1, 4) {
            let fails = life.trouble == Trouble::Unreadable && self.schedule.one_in(READ_FAILS);
            match life.world.read(&mut self.schedule, fails) {
                Step::Unreadable(queue) => {
                    self.coverage.note("queue stopped");
                    self.stopped.insert(queue);
                }
                Step::Nothing => {}
                Step::Done => self.coverage.note("cold read"),
                Step::Spilled => self.coverage.note("spill"),
                Step::Damaged => {
                    return Err(Violation::new("a read found damage that nobody did".to_owned()));
                }
            }
        }
        Ok(())
    }

    /// One step of whoever chance picks.
    fn act(&mut self, life: &mut Life) -> Result<(), Stop> {
        #[derive(Clone, Copy)]
        enum Actor {
            Client,
            Reader,
            Take,
            Write,
            Publish,
            Tend,
            Clock,
            Definitions,
            Spill,
            Read,
            Checkpoint,
            Tidy,
            Room,
            Look,
        }
        let actors = [
            (34, Actor::Client),
            (24, Actor::Reader),
            (10, Actor::Take),
            (10, Actor::Write),
            (10, Actor::Publish),
            (3, Actor::Tend),
            (4, Actor::Clock),
            (2, Actor::Definitions),
            (4, Actor::Spill),
            (16, Actor::Read),
            (3, Actor::Checkpoint),
            (6, Actor::Tidy),
            (2, Actor::Room),
            (1, Actor::Look),
        ];
        match self.schedule.weighted(&actors).unwrap_or(Actor::Client) {
            Actor::Client => self.client_moves(life)?,
            Actor::Reader => {
                let at = usize::try_from(self.schedule.below(CLIENTS as u64)).unwrap_or(0);
                if self.schedule.one_in(4) {
                    self.client_reads_some(life, at)?;
                } else {
                    self.client_reads(life, at)?;
                }
            }
            Actor::Take => life.world.take(),
            Actor::Write => self.write(life)?,
            Actor::Checkpoint => self.checkpoint(life)?,
            Actor::Tidy => self.tidy(life)?,
            Actor::Room => self.room_changes(life)?,
            Actor::Publish => life.world.publish(),
            Actor::Tend => _ = self.disk(life, World::tend)?,
            Actor::Clock => self.clock_moves(life),
            Actor::Spill => self.spill(life)?,
            Actor::Read => self.reads(life)?,
            Actor::Definitions => _ = self.disk(life, World::feed_definitions)?,
            Actor::Look => {
                self.quiesce(life)?;
                self.check_counts(life)?;
                if self.durability == Durability::Fsync {
                    self.ledger.prune(life.world.synced());
                }
            }
        }
        Ok(())
    }

    fn clock_moves(&mut self, life: &Life) {
        let ms = match self.schedule.below(10) {
            0 => self.schedule.between(1_000, 6_000),
            1 => 0,
            _ => self.schedule.between(1, 400),
        };
        life.world.clock().step(ms);
        if self.schedule.one_in(20) {
            life.world.clock().jump(self.schedule.between(1, 86_400_000));
            self.coverage.note("clock jump");
        }
        if life.world.broker.next_deadline().is_some_and(|at| at.0 <= life.world.clock().now_ms()) {
            self.coverage.note("expiry");
        }
        life.world.tick();
    }

    /// What happens between the position `lo` and now.
    fn when(&self, world: &World, lo: u64) -> When {
        When { step: self.step, now_ms: world.clock().now_ms(), lo, hi: world.position() }
    }

    /// Every client reads until nothing more comes by itself.
    fn read_all(&mut self, life: &mut Life) -> Result<usize, Violation> {
        let mut total = 0;
        loop {
            let mut events = 0;
            for at in 0..life.clients.len() {
                events += self.client_reads(life, at)?;
            }
            if events == 0 {
                return Ok(total);
            }
            total += events;
        }
    }

    /// A client reads some of what it was sent, and leaves the rest where it is.
    fn client_reads_some(&mut self, life: &mut Life, at: usize) -> Result<(), Violation> {
        let most = usize::try_from(self.schedule.between(1, 20_000)).unwrap_or(1);
        let Some(client) = life.clients.get_mut(at) else { return Ok(()) };
        let events = client.read_some(most)?;
        self.coverage.note("partial read");
        let world = &life.world;
        let when = When { lo: client.drained.1 + 1, ..self.when(world, 0) };
        for event in events {
            self.client_sees(client, event, when, world.synced())?;
        }
        if client.is_being_closed() {
            self.acks_too_late(life, at)?;
            // Nobody else reads before it what went back.
            return self.client_reads(life, at).map(drop);
        }
        Ok(())
    }

    /// A client that was turned away comes as another.
    fn let_in_again(&mut self, life: &mut Life, at: usize) -> Result<(), Violation> {
        if life.clients.get(at).is_some_and(|client| client.is_turned_away) {
            self.coverage.note("turned away");
            self.replace(life, at)?;
        }
        Ok(())
    }

    /// A client reads until nothing more comes by itself. Gives how many events it read.
    fn client_reads(&mut self, life: &mut Life, at: usize) -> Result<usize, Violation> {
        let Some(client) = life.clients.get_mut(at) else { return Ok(0) };
        let mut count = 0;
        loop {
            let events = client.read()?;
            if events.is_empty() {
                break;
            }
            count += events.len();
            let when = When {
                step: self.step,
                now_ms: life.world.clock().now_ms(),
                lo: client.drained.1 + 1,
                hi: life.world.position(),
            };
            for event in events {
                self.client_sees(client, event, when, life.world.synced())?;
            }
        }
        client.drained = (self.step, life.world.position());
        self.let_in_again(life, at)?;
        Ok(count)
    }

    fn client_sees(
        &mut self,
        client: &mut Client,
        event: Event,
        when: When,
        synced: u64,
    ) -> Result<(), Violation> {
        match event {
            Event::Confirmed(tag, multiple) => {
                let first = if multiple { 0 } else { tag };
                let tags: Vec<u64> = client.unconfirmed.range(first..=tag).map(|(tag, _)| *tag).collect();
                for tag in tags {
                    if let Some(message) = client.unconfirmed.remove(&tag) {
                        self.ledger.confirmed(message, synced)?;
                        self.coverage.note("confirm");
                    }
                }
            }
            Event::Refused(tag, _) => {
                return Err(Violation::new(format!("publish {tag} was refused for no reason")));
            }
            Event::Message { channel, consumer, tag, redelivered, content } => {
                self.coverage.add("redelivery", redelivered.into());
                let known = match &consumer {
                    Some(name) => client.consumers.get(name).copied(),
                    None => client.gets.get_mut(&channel).and_then(|gets| gets.pop_front()),
                };
                let Some(Consumer { queue, no_ack, asked }) = known else {
                    return Err(Violation::new(format!("a delivery for nobody: {consumer:?}")));
                };
                let by = ReadBy { client: client.number, queue, no_ack, drained: client.drained.min(asked) };
                let key = self.ledger.delivered(&content, redelivered, by, when)?;
                if let Some(key) = key {
                    if let Some(consumer) = consumer.filter(|_| !redelivered) {
                        check_first(client, consumer, self.ledger.order(&key))?;
                    }
                    client.unacked.insert((channel, tag), key);
                }
            }
            Event::Empty(channel) => _ = client.gets.get_mut(&channel).and_then(|gets| gets.pop_front()),
            Event::Cancelled(tag) => _ = client.consumers.remove(&tag),
            Event::Closed(..) if self.is_stopping => {
                // What it held has gone back by now.
                for key in std::mem::take(&mut client.unacked).into_values() {
                    self.ledger.returned(&key);
                }
            }
            Event::Closed(541, text) if !self.stopped.is_empty() && text.contains("is stopped") => {
                // It asked for a queue before that was stopped: its connection is gone, and it comes again.
                client.is_turned_away = true;
            }
            Event::Closed(code, text) => {
                let unacked: Vec<_> = client.unacked.keys().collect();
                return Err(Violation::new(format!(
                    "a client was closed: {code} {text}; unacked {unacked:?}"
                )));
            }
            Event::Committed => self.coverage.note("commit"),
            Event::Purged(_) | Event::Deleted | Event::Declared | Event::Bound | Event::Other => {}
        }
        Ok(())
    }
}

/// When all is synced and read, everything that was published is confirmed.
fn check_confirms(life: &Life) -> Result<(), Violation> {
    for client in &life.clients {
        if let Some(publish) = client.unconfirmed.keys().next() {
            return Err(Violation::new(format!("publish {publish} is never confirmed")));
        }
    }
    Ok(())
}

/// First deliveries of one consumer come in the order in which each publisher published.
fn check_first(
    client: &mut Client,
    consumer: Vec<u8>,
    order: Option<(u64, u8, u64)>,
) -> Result<(), Violation> {
    let Some((publisher, level, order)) = order else { return Ok(()) };
    let before = client.seen_order.insert((consumer, publisher, level), order);
    match before {
        Some(before) if before > order => {
            Err(Violation::new(format!("publish {order} was delivered first after publish {before}")))
        }
        _ => Ok(()),
    }
}
