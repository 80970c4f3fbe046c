//! What a recovered broker holds, against what the driver knows.

use std::collections::{HashMap, HashSet};

use leveret_tests::ledger::MessageId;

use super::{
    drain::Found,
    events::Facts,
    topology::{CONSUMED, DEAD, IN_TRANSACTION, REJECTED, TRANSACTIONS, name, route},
};

/// How many violations are kept with their words.
const KEPT_WORDS: usize = 20;

/// Violations of one or of many recoveries, and what there was to violate.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) points: usize,
    /// Messages confirmed before the cuts, counted for each cut.
    pub(super) confirmed: usize,
    /// Cuts with writes that no flush had followed.
    pub(super) with_pending: usize,
    /// Cuts whose recovery was itself cut.
    pub(super) cut_again: usize,
    /// Starts that were refused.
    refused: usize,
    lost: usize,
    altered: usize,
    out_of_order: usize,
    wrong_flags: usize,
    /// Messages in two places, and transactions that are there in part.
    torn: usize,
    words: Vec<String>,
}

impl Verdict {
    pub(super) fn is_clean(&self) -> bool {
        self.violations() == 0
    }

    fn violations(&self) -> usize {
        self.refused + self.lost + self.altered + self.out_of_order + self.wrong_flags + self.torn
    }

    /// The broker would not start: nothing that was confirmed can be had.
    pub(super) fn refuse(&mut self, facts: &Facts, words: String) {
        self.points += 1;
        self.confirmed += facts.confirmed.len();
        self.note(|v| &mut v.refused, || words);
    }

    /// Confirmed messages that did not come, from a broker that did start.
    pub(super) fn lost(&self) -> usize {
        self.lost
    }

    pub(super) fn add(&mut self, other: Self) {
        self.points += other.points;
        self.confirmed += other.confirmed;
        self.with_pending += other.with_pending;
        self.cut_again += other.cut_again;
        self.refused += other.refused;
        self.lost += other.lost;
        self.altered += other.altered;
        self.out_of_order += other.out_of_order;
        self.wrong_flags += other.wrong_flags;
        self.torn += other.torn;
        self.words.extend(other.words);
        self.words.truncate(KEPT_WORDS);
    }

    /// Judges the first reading of a recovered broker.
    pub(super) fn judge(&mut self, facts: &Facts, queues: &[Vec<Found>]) {
        self.points += 1;
        self.confirmed += facts.confirmed.len();
        for (queue, found) in queues.iter().enumerate() {
            self.judge_queue(facts, queue, found);
        }
        let there: Vec<HashSet<MessageId>> =
            queues.iter().map(|found| found.iter().filter_map(|found| found.id).collect()).collect();
        for id in &facts.confirmed {
            self.judge_confirmed(facts, *id, &there);
        }
        self.judge_transactions(facts, &there);
    }

    /// Judges a second reading, after a kill: the same messages in the same order, all of them flagged.
    pub(super) fn judge_again(&mut self, first: &[Vec<Found>], second: &[Vec<Found>]) {
        for (queue, (first, second)) in first.iter().zip(second).enumerate() {
            if !first.iter().map(|found| found.id).eq(second.iter().map(|found| found.id)) {
                let counts = (first.len(), second.len());
                self.note(|v| &mut v.lost, || format!("{}: then other messages, {counts:?}", name(queue)));
            }
            for found in second {
                if !found.intact {
                    self.note(|v| &mut v.altered, || format!("{}: then {:?}", name(queue), found.id));
                }
                if !found.redelivered {
                    let words = || format!("{}: {:?} came again without the flag", name(queue), found.id);
                    self.note(|v| &mut v.wrong_flags, words);
                }
            }
        }
    }

    fn judge_queue(&mut self, facts: &Facts, queue: usize, found: &[Found]) {
        let mut highest: HashMap<usize, usize> = HashMap::new();
        for &Found { id, redelivered, intact } in found {
            let known = id.filter(|id| {
                let sent_here =
                    if queue == DEAD { facts.rejected.contains(id) } else { route(*id).contains(&queue) };
                facts.published.contains(id) && sent_here
            });
            let Some(id) = known.filter(|_| intact) else {
                self.note(|v| &mut v.altered, || format!("{}: {id:?} is not what was sent", name(queue)));
                continue;
            };
            if let Some(before) = highest.insert(id.publisher, id.number)
                && before >= id.number
            {
                let words = || format!("{}: {} came behind {before}", name(queue), id.to_text());
                self.note(|v| &mut v.out_of_order, words);
            }
            // What may have been delivered comes flagged; where there never was a consumer, nothing was.
            let must = facts.delivered.contains(&(queue, id));
            if must && !redelivered || redelivered && !CONSUMED.contains(&queue) {
                let words =
                    || format!("{}: {} came with redelivered={redelivered}", name(queue), id.to_text());
                self.note(|v| &mut v.wrong_flags, words);
            }
        }
    }

    fn judge_confirmed(&mut self, facts: &Facts, id: MessageId, there: &[HashSet<MessageId>]) {
        for &queue in route(id) {
            let here = there[queue].contains(&id);
            let dead = queue == REJECTED && there[DEAD].contains(&id);
            if here && dead {
                self.note(|v| &mut v.torn, || format!("{} is in two places", id.to_text()));
            }
            if !here && !dead && !facts.acked.contains(&(queue, id)) {
                self.note(|v| &mut v.lost, || format!("{}: {} was confirmed", name(queue), id.to_text()));
            }
        }
    }

    fn judge_transactions(&mut self, facts: &Facts, there: &[HashSet<MessageId>]) {
        let published = facts.published.iter().filter(|id| id.publisher == TRANSACTIONS);
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for id in published {
            let count = route(*id).iter().filter(|queue| there[**queue].contains(id)).count();
            *counts.entry(id.number / IN_TRANSACTION).or_default() += count;
        }
        let whole = IN_TRANSACTION * route(MessageId { publisher: TRANSACTIONS, number: 0 }).len();
        for (number, count) in counts.into_iter().filter(|(_, count)| ![0, whole].contains(count)) {
            self.note(|v| &mut v.torn, || format!("transaction {number}: {count} of {whole} are there"));
        }
    }

    pub(super) fn note(&mut self, count: impl Fn(&mut Self) -> &mut usize, words: impl FnOnce() -> String) {
        *count(self) += 1;
        if self.words.len() < KEPT_WORDS {
            self.words.push(words());
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} power cuts ({} with unflushed writes, {} cut again in their recovery), {} confirmed messages: \
             {} starts refused, {} lost, {} altered, {} out of order, {} wrong flags, {} torn",
            self.points,
            self.with_pending,
            self.cut_again,
            self.confirmed,
            self.refused,
            self.lost,
            self.altered,
            self.out_of_order,
            self.wrong_flags,
            self.torn
        )?;
        self.words.iter().try_for_each(|words| write!(f, "\n  {words}"))
    }
}
