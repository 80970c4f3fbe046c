//! Publisher confirms of one channel: numbers given, and what each batch of them waits for.

use std::collections::VecDeque;

use crate::ids::ConfirmSeq;

/// What became of a run of publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Acked once the log is synced up to this position; 0 waits for nothing.
    AfterSync(u64),
    /// Refused: nacked.
    Refused,
}

/// One basic.ack or basic.nack to the publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// The last publish it speaks of.
    pub seq: ConfirmSeq,
    /// Whether it speaks of all outstanding ones before it too.
    pub multiple: bool,
    /// ack or nack.
    pub acked: bool,
}

#[derive(Debug)]
struct Run {
    last: u64,
    verdict: Verdict,
}

/// Publish sequence numbers and what they wait for, in order. Confirms leave in order too, so each speaks for
/// all before it and one frame answers a whole batch.
#[derive(Debug, Default)]
pub struct Confirms {
    given: u64,
    confirmed: u64,
    runs: VecDeque<Run>,
}

impl Confirms {
    /// Gives the next number; [`Confirms::conclude`] says later what it waits for.
    pub fn publish(&mut self) -> ConfirmSeq {
        self.given += 1;
        ConfirmSeq(self.given)
    }

    /// The number given last; 0 before the first.
    #[must_use]
    pub fn given(&self) -> ConfirmSeq {
        ConfirmSeq(self.given)
    }

    /// Says what every number up to `last` that has no verdict yet waits for.
    pub fn conclude(&mut self, last: ConfirmSeq, verdict: Verdict) {
        debug_assert!(last.0 <= self.given, "only given numbers are concluded");
        let concluded = self.runs.back().map_or(self.confirmed, |run| run.last);
        if last.0 <= concluded {
            return;
        }
        match (self.runs.back_mut(), verdict) {
            // A position never falls, so a later run's wait covers an earlier one's only when both are equal.
            (Some(run), verdict) if run.verdict == verdict => run.last = last.0,
            _ => self.runs.push_back(Run { last: last.0, verdict }),
        }
    }

    /// Says what every number given so far that has no verdict yet waits for.
    pub fn conclude_all(&mut self, verdict: Verdict) {
        self.conclude(ConfirmSeq(self.given), verdict);
    }

    /// The confirms that may leave now that the log is synced up to `synced`.
    pub fn release(&mut self, synced: u64, mut emit: impl FnMut(Confirmation)) {
        let mut acked: Option<u64> = None;
        while let Some(run) = self.runs.front() {
            let last = run.last;
            match run.verdict {
                Verdict::AfterSync(position) if position > synced => break,
                Verdict::AfterSync(_) => acked = Some(last),
                Verdict::Refused => {
                    if let Some(until) = acked.take() {
                        self.emit(until, true, &mut emit);
                    }
                    self.emit(last, false, &mut emit);
                }
            }
            self.runs.pop_front();
        }
        if let Some(until) = acked {
            self.emit(until, true, &mut emit);
        }
    }

    fn emit(&mut self, last: u64, acked: bool, emit: &mut impl FnMut(Confirmation)) {
        let multiple = last > self.confirmed + 1;
        self.confirmed = last;
        emit(Confirmation { seq: ConfirmSeq(last), multiple, acked });
    }

    /// The position that the oldest waiting confirm needs.
    #[must_use]
    pub fn waits_for(&self) -> Option<u64> {
        self.runs.iter().find_map(|run| match run.verdict {
            Verdict::AfterSync(position) => Some(position),
            Verdict::Refused => None,
        })
    }

    /// The last number that has its confirm; 0 before the first.
    #[must_use]
    pub fn confirmed(&self) -> ConfirmSeq {
        ConfirmSeq(self.confirmed)
    }

    /// How many publishes have no confirm yet.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.given - self.confirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released(confirms: &mut Confirms, synced: u64) -> Vec<(u64, bool, bool)> {
        let mut out = Vec::new();
        confirms.release(synced, |c| out.push((c.seq.0, c.multiple, c.acked)));
        out
    }

    #[test]
    fn every_publish_gets_one_answer_in_order() {
        let mut confirms = Confirms::default();
        for _ in 0..10 {
            confirms.publish();
        }
        confirms.conclude(ConfirmSeq(3), Verdict::AfterSync(100));
        confirms.conclude(ConfirmSeq(4), Verdict::Refused);
        confirms.conclude(ConfirmSeq(6), Verdict::AfterSync(0));
        confirms.conclude(ConfirmSeq(6), Verdict::AfterSync(7));
        assert_eq!(confirms.waits_for(), Some(100));
        assert_eq!(released(&mut confirms, 99), []);
        assert_eq!(released(&mut confirms, 100), [(3, true, true), (4, false, false), (6, true, true)]);
        assert_eq!(confirms.outstanding(), 4);
        confirms.conclude(ConfirmSeq(7), Verdict::AfterSync(200));
        confirms.conclude(ConfirmSeq(10), Verdict::AfterSync(300));
        assert_eq!(released(&mut confirms, 250), [(7, false, true)]);
        assert_eq!(released(&mut confirms, 300), [(10, true, true)]);
        assert_eq!(released(&mut confirms, 300), []);
        assert_eq!(confirms.outstanding(), 0);
        assert_eq!(confirms.waits_for(), None);
    }
}
