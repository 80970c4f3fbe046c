//! The oracle: what clients did and saw, and so what must be true.
//!
//! It knows nothing of the engine's insides. Each thing that a client does is noted with the log's positions before and
//! after it; recovery says where the log ends; so what counts after a crash is known exactly, except where the log ends
//! between the records of one action, and where messages leave a queue by themselves (expiry, length and delivery
//! limits): then a copy has several candidates, and must be in exactly one of them.

mod recovery;
mod token;

use std::collections::BTreeMap;

use crate::Violation;
use crate::chance::body;
use crate::topology::{QUEUES, QueueAt};
use crate::wire::Content;

pub use recovery::{Found, Recovery};
pub use token::TokenKey;
use token::{MAYBE, NOW, Stage, Token};

/// When something happened: the simulation's step, its time, and the log's positions from before its first record to
/// its last.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// The simulation's step.
    pub step: u64,
    /// The time, in milliseconds.
    pub now_ms: u64,
    /// The first position that its records may have.
    pub lo: u64,
    /// The last one.
    pub hi: u64,
}

/// A message as it is published.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Its number.
    pub message: u64,
    /// Who publishes.
    pub publisher: u64,
    /// Bytes of its body.
    pub len: usize,
    /// delivery-mode 2.
    pub persistent: bool,
    /// priority.
    pub priority: Option<u8>,
    /// expiration.
    pub expires_ms: Option<u64>,
    /// The transaction it belongs to.
    pub transaction: Option<u64>,
}

/// Who reads a delivery.
#[derive(Clone, Copy, Debug)]
pub struct ReadBy {
    /// The client's number.
    pub client: u64,
    /// The queue of its consumer or get.
    pub queue: QueueAt,
    /// Needs no ack.
    pub no_ack: bool,
    /// Step and position at which it had read everything before.
    pub drained: (u64, u64),
}

/// Everything that clients know.
#[derive(Debug, Default)]
pub struct Ledger {
    tokens: BTreeMap<TokenKey, Token>,
    /// Whether each queue is there, as declared and deleted at these positions.
    declared: BTreeMap<QueueAt, Vec<(u64, bool)>>,
    /// The positions of each message that was not confirmed, at least and at most.
    unconfirmed: BTreeMap<u64, (u64, u64)>,
    /// Everything up to here was promised to be durable.
    promised: u64,
    last_message: u64,
    last_order: u64,
    /// Copies that a client saw in another queue than their first.
    pub dead_letters: u64,
    watched: Option<u64>,
    story: Vec<String>,
}

impl Ledger {
    /// An empty ledger that tells the story of a message, if one is named.
    #[must_use]
    pub fn watching(watched: Option<u64>) -> Self {
        Self { watched, ..Self::default() }
    }

    /// What happened to the message that is watched.
    #[must_use]
    pub fn story(&self) -> &[String] {
        &self.story
    }

    /// A number for a new message.
    pub fn next_message(&mut self) -> u64 {
        self.last_message += 1;
        self.last_message
    }

    /// Notes what happens to the message that is watched.
    fn tell(&mut self, message: u64, what: impl FnOnce() -> String) {
        if self.watched == Some(message) {
            self.story.push(what());
        }
    }

    /// A message was published to these queues.
    pub fn published(&mut self, published: &Published, to: &[QueueAt], when: When) {
        self.tell(published.message, || format!("{published:?} to {to:?} at {when:?}"));
        self.last_order += 1;
        let mut is_logged = false;
        for queue in to {
            let level = queue.spec().max_priority.map_or(0, |most| published.priority.unwrap_or(0).min(most));
            let token = Token {
                publisher: published.publisher,
                order: self.last_order,
                level,
                len: published.len,
                persistent: published.persistent,
                expires_at_ms: published.expires_ms.map(|ms| when.now_ms + ms),
                transaction: published.transaction,
                is_ordered: true,
                maybe_sent: false,
                returns: 0,
                stages: vec![Stage::new(Some(*queue), (when.lo, when.hi), when.step, when.now_ms)],
            };
            is_logged |= token.is_logged_in(*queue);
            self.tokens.insert(TokenKey { message: published.message, first: *queue }, token);
        }
        if is_logged && published.transaction.is_none() {
            self.unconfirmed.insert(published.message, (when.lo, when.hi));
        }
    }

    /// A client was told that everything up to a position is durable.
    pub fn promised(&mut self, position: u64) {
        self.promised = self.promised.max(position);
    }

    /// The power went, and nothing had been synced for those who were promised something.
    pub fn machine_lost_power(&mut self) {
        self.promised = 0;
        for token in self.tokens.values_mut() {
            for stage in &mut token.stages {
                // Its Expose may be lost as well.
                stage.maybe_sent |= stage.sent;
                stage.sent = false;
            }
        }
    }

    /// A client was sent the confirm of a message, when everything up to `synced` was.
    ///
    /// # Errors
    /// It came too early.
    pub fn confirmed(&mut self, message: u64, synced: u64) -> Result<(), Violation> {
        let Some((lo, hi)) = self.unconfirmed.remove(&message) else { return Ok(()) };
        if lo > synced {
            return Err(Violation::new(format!(
                "message {message} stands in the log from {lo} on, and was confirmed at {synced}"
            )));
        }
        // What followed from the publish may be logged behind it.
        let position = hi.min(synced);
        self.promised(position);
        for first in (0..QUEUES.len()).map(QueueAt) {
            let token = self.tokens.get_mut(&TokenKey { message, first });
            if let Some(published) = token.and_then(|token| token.stages.first_mut()) {
                published.hi = published.hi.min(position);
            }
        }
        Ok(())
    }

    /// A client read a message.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn delivered(
        &mut self,
        content: &Content,
        redelivered: bool,
        by: ReadBy,
        when: When,
    ) -> Result<Option<TokenKey>, Violation> {
        let key = key_of(content, by.queue)?;
        self.tell(key.message, || {
            format!("delivered {key:?} redelivered={redelivered} by {by:?} at {when:?}")
        });
        let name = by.queue.spec().name;
        let wrong = |what: &str| Violation::new(format!("{key:?} came from {name}, but {what}"));
        let Some(token) = self.tokens.get_mut(&key) else { return Err(wrong("it was settled for good")) };
        check_body(&key, token.len, content)?;
        let candidates = token.candidates(NOW, when.now_ms);
        let Some(candidate) = candidates.iter().rev().find(|candidate| candidate.queue == Some(by.queue))
        else {
            let last = token.stages.last();
            // It was put into the client's buffer before it left the queue.
            if last.is_some_and(|stage| stage.step > by.drained.0) {
                return Ok(None);
            }
            return Err(wrong(&format!("it is at {last:?}")));
        };
        match candidate.stage {
            Some(index) => {
                token.stages.truncate(index + 1);
                // It surely is there now.
                token
                    .stages
                    .iter_mut()
                    .skip(index)
                    .for_each(|stage| stage.hi = stage.hi.min(when.hi.max(stage.lo)));
            }
            None => {
                let lo = token.stages.last().map_or(0, |stage| stage.lo);
                token.stages.push(Stage::new(Some(by.queue), (lo, when.hi), when.step, 0));
                self.dead_letters += 1;
            }
        }
        let maybe_sent = token.maybe_sent && candidate.stage.is_none();
        let Some(stage) = token.last() else { return Err(wrong("it was never published")) };
        if let Some(holder) = stage.held {
            return Err(wrong(&format!("client {holder} holds it")));
        }
        if stage.must_be_marked() && !redelivered {
            return Err(wrong("it was sent before and is not marked as redelivered"));
        }
        if redelivered && !stage.may_be_marked() && !maybe_sent {
            return Err(wrong("it is marked as redelivered and was never sent"));
        }
        stage.sent = true;
        stage.held = (!by.no_ack).then_some(by.client);
        if by.no_ack {
            token.stages.push(Stage::new(None, (by.drained.1 + 1, when.hi), when.step, 0));
            return Ok(None);
        }
        Ok(Some(key))
    }

    /// A first delivery's place among those of its consumer: publisher, level, order. `None` for copies whose order of
    /// arrival nobody knows.
    #[must_use]
    pub fn order(&self, key: &TokenKey) -> Option<(u64, u8, u64)> {
        let token = self.tokens.get(key)?;
        (token.is_ordered && token.stages.len() == 1).then_some((token.publisher, token.level, token.order))
    }

    /// A client acked or rejected a message that it holds. With `may_pause` a rejected one may be moved later.
    pub fn settled(&mut self, key: &TokenKey, is_rejected: bool, may_pause: bool, when: When) {
        self.tell(key.message, || format!("settled {key:?} rejected={is_rejected} at {when:?}"));
        let Some(token) = self.tokens.get_mut(key) else { return };
        let Some(stage) = token.last() else { return };
        stage.held = None;
        let Some(queue) = stage.queue else { return };
        let to = if is_rejected { queue.spec().dead_letter } else { None };
        let hi = if to.is_some() && may_pause { MAYBE } else { when.hi };
        token.stages.push(Stage::new(to, (when.lo, hi), when.step, when.now_ms));
    }

    /// A message that a client held went back.
    pub fn returned(&mut self, key: &TokenKey) {
        self.tell(key.message, || format!("returned {key:?}"));
        let Some(token) = self.tokens.get_mut(key) else { return };
        token.returns += 1;
        if let Some(stage) = token.last() {
            stage.held = None;
        }
    }

    /// A client was lost that had not read what it was sent from a queue.
    pub fn lost_unread(&mut self, queue: QueueAt, no_ack: bool, drained_position: u64, when: When) {
        let watched = self.watched;
        for (key, token) in &mut self.tokens {
            if watched == Some(key.message) && token.maybe_in(queue, when.now_ms) {
                self.story
                    .push(format!("{queue:?} lost unread, no_ack={no_ack} at {when:?}: {key:?} {token:?}"));
            }
            // What another client holds was not sent to this one.
            let is_held = token.stages.last().is_some_and(|stage| stage.held.is_some());
            if is_held || !token.maybe_in(queue, when.now_ms) {
                continue;
            }
            token.returns += 1;
            token.maybe_sent = true;
            for stage in token.stages.iter_mut().filter(|stage| stage.queue == Some(queue)) {
                stage.maybe_sent = true;
            }
            if no_ack {
                let range = (drained_position + 1, MAYBE);
                token.stages.push(Stage::new(None, range, when.step, when.now_ms));
            }
        }
    }

    /// A queue was purged, with everything read that clients were sent. Gives how many messages may have gone.
    pub fn purged(&mut self, queue: QueueAt, when: When) -> (u64, u64) {
        let (mut least, mut most) = (0, 0);
        let watched = self.watched;
        for (key, token) in &mut self.tokens {
            if watched == Some(key.message) && token.maybe_in(queue, when.now_ms) {
                self.story.push(format!("{queue:?} purged at {when:?}: {key:?} {token:?}"));
            }
            if token.stages.last().is_some_and(|stage| stage.held.is_some()) {
                continue;
            }
            let is_sure = token.surely_in(when.now_ms) == Some(queue);
            if is_sure || token.maybe_in(queue, when.now_ms) {
                least += u64::from(is_sure);
                most += 1;
                let hi = if is_sure { when.hi } else { MAYBE };
                token.stages.push(Stage::new(None, (when.lo, hi), when.step, when.now_ms));
            }
        }
        (least, most)
    }

    /// A queue was declared.
    pub fn declared(&mut self, queue: QueueAt, when: When) {
        self.declared.entry(queue).or_default().push((when.hi, true));
    }

    /// A queue was deleted.
    pub fn deleted(&mut self, queue: QueueAt, when: When) {
        self.declared.entry(queue).or_default().push((when.hi, false));
        for token in self.tokens.values_mut() {
            let elsewhere = |stage: &Stage| stage.held.is_some() && stage.queue != Some(queue);
            if token.maybe_in(queue, when.now_ms) && !token.stages.last().is_some_and(elsewhere) {
                let is_sure = token.surely_in(when.now_ms) == Some(queue);
                let hi = if is_sure { when.hi } else { MAYBE };
                token.stages.push(Stage::new(None, (when.lo, hi), when.step, when.now_ms));
            }
        }
    }

    /// Whether a queue is there.
    #[must_use]
    pub fn is_declared(&self, queue: QueueAt) -> bool {
        self.declared.get(&queue).and_then(|changes| changes.last()).is_some_and(|(_, is_there)| *is_there)
    }

    /// How many messages a queue holds, ready and unacked, at least and at most.
    #[must_use]
    pub fn count(&self, queue: QueueAt, now_ms: u64) -> (u64, u64) {
        let (mut least, mut most) = (0, 0);
        for token in self.tokens.values() {
            if token.maybe_in(queue, now_ms) {
                most += 1;
                least += u64::from(token.surely_in(now_ms) == Some(queue));
            }
        }
        (least, most)
    }

    /// Bytes of all messages that may live, with what stands around them in the log at most.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        let live = self.tokens.values().filter(|token| !token.is_gone());
        live.map(|token| token.len as u64 + 1024).sum()
    }

    /// For the report of a wrong count: the copies of a queue that were not found in it.
    #[must_use]
    pub fn missing(&self, queue: QueueAt, found: &[u64]) -> String {
        let tokens = self.tokens.iter().filter(|(key, token)| {
            token.stages.last().is_some_and(|stage| stage.queue == Some(queue) && stage.held.is_none())
                && !found.contains(&key.message)
        });
        tokens.map(|(key, token)| format!("{key:?} {token:?}; ")).collect()
    }

    /// Forgets copies that are settled for good: a later sight of one is a violation.
    pub fn prune(&mut self, synced: u64) {
        self.tokens.retain(|_, token| {
            !token.is_gone() || token.stages.last().is_some_and(|stage| stage.hi > synced)
        });
    }

    /// Copies that are noted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The numbers of all queues that are there.
    pub fn queues_there(&self) -> impl Iterator<Item = QueueAt> {
        (0..QUEUES.len()).map(QueueAt).filter(|queue| self.is_declared(*queue))
    }
}

/// The copy that a message is, seen in a queue.
fn key_of(content: &Content, queue: QueueAt) -> Result<TokenKey, Violation> {
    let message = content.message.unwrap_or(0);
    let first = match &content.first_death {
        None => queue,
        Some(name) => QueueAt::named(name).ok_or_else(|| {
            Violation::new(format!("message {message} died first in {}", String::from_utf8_lossy(name)))
        })?,
    };
    Ok(TokenKey { message, first })
}

fn check_body(key: &TokenKey, len: usize, content: &Content) -> Result<(), Violation> {
    if content.body == body(key.message, len) {
        return Ok(());
    }
    let found = content.body.len();
    Err(Violation::new(format!("{key:?} has other bytes than were published ({found} of {len})")))
}
