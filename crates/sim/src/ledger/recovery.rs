//! After a stop or a crash: what was found against what must be there, copy by copy.

use std::collections::BTreeMap;

use super::token::{Candidate, Stage, Token, TokenKey};
use super::{Ledger, check_body, key_of};
use crate::Violation;
use crate::topology::{QueueAt, queues};
use crate::wire::Content;

/// A message found in a queue.
#[derive(Clone, Debug)]
pub struct Found {
    /// It.
    pub content: Content,
    /// Marked as redelivered.
    pub redelivered: bool,
}

/// What a recovery found.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// The log's last position.
    pub end: u64,
    /// The stop before it was clean.
    pub clean: bool,
    /// The time.
    pub now_ms: u64,
    /// The queues that are there, each with its messages in order.
    pub queues: BTreeMap<QueueAt, Vec<Found>>,
}

/// A copy and where it was found: queue, place in it, marked as redelivered.
type Sight = (QueueAt, bool);

impl Ledger {
    /// Checks what a recovery found, and goes on from it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn recovered(&mut self, recovery: &Recovery) -> Result<(), Violation> {
        if recovery.end < self.promised {
            return Err(Violation::new(format!(
                "the log ends at {}, but {} was promised to be durable",
                recovery.end, self.promised
            )));
        }
        self.check_queues(recovery)?;
        let sights = self.sights(recovery)?;
        if let Some(watched) = self.watched {
            let tokens: Vec<_> = self.tokens.iter().filter(|(key, _)| key.message == watched).collect();
            let line = format!("recovery to {}: {tokens:?}", recovery.end);
            self.story.push(line);
        }
        let mut committed = BTreeMap::new();
        for (key, token) in &self.tokens {
            check_token(key, token, sights.get(key), recovery)?;
            check_transaction(key, token, sights.contains_key(key), recovery.end, &mut committed)?;
        }
        self.check_order(recovery, &sights)?;
        self.go_on(recovery, &sights);
        Ok(())
    }

    fn check_queues(&self, recovery: &Recovery) -> Result<(), Violation> {
        for (queue, spec) in queues() {
            let changes = self.declared.get(&queue).map_or(&[][..], Vec::as_slice);
            let last = changes.iter().rev().find(|(position, _)| *position <= recovery.end);
            let expected = spec.durable && last.is_some_and(|(_, is_there)| *is_there);
            if recovery.queues.contains_key(&queue) != expected {
                let there = if expected { "gone" } else { "there" };
                return Err(Violation::new(format!("queue {} is {there} after a recovery", spec.name)));
            }
        }
        Ok(())
    }

    fn sights(&self, recovery: &Recovery) -> Result<BTreeMap<TokenKey, Sight>, Violation> {
        let mut sights = BTreeMap::new();
        for (queue, messages) in &recovery.queues {
            for found in messages {
                let key = key_of(&found.content, *queue)?;
                let name = queue.spec().name;
                let Some(token) = self.tokens.get(&key) else {
                    let end = recovery.end;
                    return Err(Violation::new(format!(
                        "{key:?} is in {name} (log ends at {end}), but it was settled for good"
                    )));
                };
                check_body(&key, token.len, &found.content)?;
                if let Some((before, _)) = sights.insert(key.clone(), (*queue, found.redelivered)) {
                    let before: &QueueAt = &before;
                    return Err(Violation::new(format!(
                        "{key:?} is in {name} and in {}",
                        before.spec().name
                    )));
                }
            }
        }
        Ok(sights)
    }

    /// Of one publisher and level, messages that are where they were published stand as they were published.
    fn check_order(&self, recovery: &Recovery, sights: &BTreeMap<TokenKey, Sight>) -> Result<(), Violation> {
        for (queue, messages) in &recovery.queues {
            let mut last: BTreeMap<(u64, u8), u64> = BTreeMap::new();
            let mut level = u8::MAX;
            for found in messages {
                let key = key_of(&found.content, *queue)?;
                let Some(token) = self.tokens.get(&key) else { continue };
                let here = matching(token, sights.get(&key), recovery);
                if !token.is_ordered || here.iter().any(|candidate| candidate.stage != Some(0)) {
                    continue;
                }
                let before = last.insert((token.publisher, token.level), token.order);
                if before.is_some_and(|before| before >= token.order) || token.level > level {
                    return Err(Violation::new(format!("{key:?} is out of order in {}", queue.spec().name)));
                }
                level = token.level;
            }
        }
        Ok(())
    }

    /// What was found is what there is.
    fn go_on(&mut self, recovery: &Recovery, sights: &BTreeMap<TokenKey, Sight>) {
        self.tokens.retain(|key, token| {
            let Some((queue, redelivered)) = sights.get(key) else { return false };
            let matching = matching(token, sights.get(key), recovery);
            let stages = matching.iter().filter_map(|found| token.stages.get(found.stage?));
            let since_ms = stages.map(|stage| stage.since_ms).min().unwrap_or(0);
            if matching.iter().any(|found| found.stage != Some(0)) {
                // Its order of arrival is unknown, and an expiration of its own is spent.
                token.expires_at_ms = None;
                token.is_ordered = false;
            }
            token.transaction = None;
            token.maybe_sent = false;
            let mut stage = Stage::new(Some(*queue), (0, 0), 0, since_ms);
            stage.flagged = *redelivered;
            token.stages = vec![stage];
            true
        });
        self.unconfirmed.clear();
        self.promised = recovery.end;
        for (queue, spec) in queues() {
            let is_there = spec.durable && recovery.queues.contains_key(&queue);
            self.declared.insert(queue, vec![(0, is_there)]);
        }
    }
}

/// The candidates that a sight fits.
fn matching(token: &Token, sight: Option<&Sight>, recovery: &Recovery) -> Vec<Candidate> {
    let mut candidates = token.candidates(recovery.end, recovery.now_ms);
    for candidate in &mut candidates {
        candidate.queue = candidate.queue.filter(|queue| token.is_logged_in(*queue));
    }
    candidates.retain(|candidate| candidate.queue == sight.map(|(queue, _)| *queue));
    candidates
}

fn check_token(
    key: &TokenKey,
    token: &Token,
    sight: Option<&Sight>,
    recovery: &Recovery,
) -> Result<(), Violation> {
    let here = matching(token, sight, recovery);
    let end = recovery.end;
    if here.is_empty() {
        let found = sight.map_or("nowhere", |(queue, _)| queue.spec().name);
        return Err(Violation::new(format!(
            "{key:?} is {found} after a recovery to {end}, and should be at one of {:?}: {token:?}",
            token.candidates(end, recovery.now_ms)
        )));
    }
    let Some((_, redelivered)) = sight else { return Ok(()) };
    let stages = || here.iter().map(|candidate| candidate.stage.and_then(|index| token.stages.get(index)));
    if !redelivered && stages().all(|stage| stage.is_some_and(Stage::must_be_marked)) {
        return Err(Violation::new(format!(
            "{key:?} was sent, and a recovery to {end} forgot it: {token:?}"
        )));
    }
    let may_be_marked = stages().any(|stage| stage.map_or(token.maybe_sent, Stage::may_be_marked));
    if recovery.clean && *redelivered && !may_be_marked {
        return Err(Violation::new(format!(
            "{key:?} was never sent, and a clean stop marked it: {sight:?} {token:?}"
        )));
    }
    Ok(())
}

/// A transaction that the log's end may have cut is there with all it published, or with nothing.
fn check_transaction(
    key: &TokenKey,
    token: &Token,
    is_found: bool,
    end: u64,
    committed: &mut BTreeMap<u64, bool>,
) -> Result<(), Violation> {
    let (Some(transaction), [published]) = (token.transaction, token.stages.as_slice()) else {
        return Ok(());
    };
    let is_open = published.lo <= end && end < published.hi;
    let stays = |queue: QueueAt| queue.spec().keeps_messages() && token.is_logged_in(queue);
    if !is_open || !published.queue.is_some_and(stays) || token.expires_at_ms.is_some() {
        return Ok(());
    }
    match committed.insert(transaction, is_found) {
        Some(before) if before != is_found => {
            Err(Violation::new(format!("a transaction was cut in two: {key:?}, found: {is_found}")))
        }
        _ => Ok(()),
    }
}
