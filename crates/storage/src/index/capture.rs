//! What a checkpoint takes from the index, and what it gives back.
//!
//! A capture is short and needs the index alone. The messages it takes stay in their tails until the run
//! that holds them is durable and listed; then they are installed as residents, at once for all queues.

use crate::index::{Boundary, Index, LineCount, QueueIndex, Resident, TailMessage};
use crate::ranges::RangeSet;

/// The state of the queues for a checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    /// Messages of batches up to here go into the run.
    pub(crate) cut: Boundary,
    /// Every queue that changed since the last capture. The lines are those of the last accounting, and
    /// nothing is unaccounted.
    pub(crate) queues: Vec<CapturedQueue>,
    /// Settled numbers to be accounted first, by queue, and the order keys they may have.
    pub(crate) unaccounted: Vec<Unaccounted>,
    /// Queues that were deleted.
    pub(crate) deleted: Vec<u64>,
    /// Blobs that no message names any more, and that no run ever named.
    pub(crate) dead_blobs: Vec<u64>,
    pub(crate) last_blob: u64,
    /// The position of the last change of the definitions.
    pub(crate) definitions_position: u64,
    pub(crate) last_queue: u64,
}

/// A queue as a checkpoint writes it down.
#[derive(Debug)]
pub(crate) struct CapturedQueue {
    pub(crate) id: u64,
    pub(crate) last_seq: u64,
    pub(crate) resident: Resident,
    /// Whether messages of it go into the run.
    pub(crate) has_tail: bool,
    /// Where its residents ended before.
    end_before: u64,
}

/// Numbers of a queue that were settled while they were in runs.
#[derive(Debug)]
pub(crate) struct Unaccounted {
    pub(crate) queue: u64,
    pub(crate) settled: RangeSet,
    /// The order keys in use when it was taken.
    pub(crate) keys: Vec<u64>,
}

impl Index {
    /// Takes what a checkpoint needs. Nothing changes for readers.
    pub(crate) fn capture(&mut self) -> Capture {
        self.capture_at(self.cut())
    }

    /// Takes the state of the queues with the cut of the last checkpoint: for a change of the files alone.
    pub(crate) fn capture_settled(&mut self) -> Capture {
        self.capture_at(self.checkpointed)
    }

    fn capture_at(&mut self, cut: Boundary) -> Capture {
        let mut capture = Capture {
            cut,
            definitions_position: self.definitions_position,
            last_queue: self.last_queue,
            ..Capture::default()
        };
        self.take_unaccounted(&mut capture.unaccounted);
        capture.deleted = std::mem::take(&mut self.deleted_ids);
        capture.dead_blobs = self.blobs.take_dead(cut.after.number);
        capture.last_blob = self.blobs.last;
        for (id, queue) in self.queues.iter_mut().filter(|(_, queue)| queue.is_changed) {
            // What lies above the cut is for the next capture, whether anything happens until then or not.
            queue.is_changed = queue.tail.last().is_some_and(|message| !message.is_within(cut.after.number));
            let end_before = queue.resident.as_ref().map_or(0, |resident| resident.end);
            let has_tail = queue.bring_residents_up_to(cut.after.number);
            let resident = queue.resident.as_deref().cloned().unwrap_or_default();
            let resident = Resident { unaccounted: RangeSet::default(), ..resident };
            capture.queues.push(CapturedQueue {
                id: *id,
                last_seq: queue.last_seq,
                resident,
                has_tail,
                end_before,
            });
        }
        capture
    }

    /// Takes the numbers that were settled and whose entries are not accounted.
    pub(crate) fn take_unaccounted(&mut self, into: &mut Vec<Unaccounted>) {
        self.unaccounted = 0;
        for (queue, resident) in std::mem::take(&mut self.deleted) {
            if !resident.unaccounted.is_empty() {
                // It may have gone while its messages went into a run: the lines here do not tell its keys.
                into.push(Unaccounted { queue, settled: resident.unaccounted, keys: Vec::new() });
            }
        }
        for (queue, found) in &mut self.queues {
            let Some(resident) = found.resident.as_mut().filter(|resident| !resident.unaccounted.is_empty())
            else {
                continue;
            };
            let settled = std::mem::take(&mut resident.unaccounted);
            let keys = resident.lines.iter().map(|(key, _)| *key).collect();
            into.push(Unaccounted { queue: *queue, settled, keys });
        }
        into.sort_by_key(|unaccounted| unaccounted.queue);
    }

    /// A checkpoint failed: what it took counts as changed again.
    pub(crate) fn give_back(&mut self, capture: Capture) {
        self.give_back_unaccounted(capture.unaccounted);
        for captured in &capture.queues {
            if let Some(queue) = self.queues.get_mut(&captured.id) {
                queue.is_changed = true;
                queue.take_residents_back_to(captured.end_before);
            }
        }
        self.deleted_ids.extend(capture.deleted);
        self.blobs.give_back(capture.dead_blobs, capture.cut.after.number);
    }

    /// They are not accounted after all.
    pub(crate) fn give_back_unaccounted(&mut self, unaccounted: Vec<Unaccounted>) {
        for Unaccounted { queue, settled, .. } in unaccounted {
            self.unaccounted += settled.count(0, u64::MAX);
            match self.queues.get_mut(&queue).and_then(|queue| queue.resident.as_mut()) {
                Some(resident) => {
                    settled.iter().for_each(|(first, last)| resident.unaccounted.add(first, last))
                }
                None => {
                    let resident = Resident { unaccounted: settled, ..Resident::default() };
                    self.deleted.push((queue, Box::new(resident)));
                }
            }
        }
    }

    /// The captured messages are in a listed run now: they leave their tails.
    pub(crate) fn install(&mut self, capture: &Capture) {
        self.checkpointed = capture.cut;
        for captured in &capture.queues {
            let Some(queue) = self.queues.get_mut(&captured.id) else { continue };
            if captured.has_tail {
                let cut = capture.cut.after.number;
                let before = queue.tail.len();
                let last = captured.resident.last().unwrap_or_default();
                let blobs = &mut self.blobs;
                queue.tail.remove_range(
                    0,
                    last,
                    |message| message.is_within(cut),
                    |message| blobs.install(message),
                );
                self.tail_messages -= (before - queue.tail.len()) as u64;
            }
            queue.tail.trim();
        }
    }

    /// Entries of a queue were written to a run, or accounted: what is live by order key follows.
    pub(crate) fn set_lines(
        &mut self,
        queue: u64,
        change: impl FnOnce(&[(u64, LineCount)]) -> Vec<(u64, LineCount)>,
    ) {
        if let Some(resident) = self.queues.get_mut(&queue).and_then(|queue| queue.resident.as_mut()) {
            resident.lines = change(&resident.lines);
        }
    }
}

impl QueueIndex {
    /// The run was not written: what is from here on is in the tail alone, and no manifest may say other.
    fn take_residents_back_to(&mut self, end: u64) {
        match &mut self.resident {
            Some(resident) if end > 0 => resident.take_back_to(end),
            resident => *resident = None,
        }
    }

    /// Numbers of messages in batches up to the cut become resident; those between them that are not in
    /// the tail any more are settled. Says whether there are such messages in the tail.
    fn bring_residents_up_to(&mut self, cut: u64) -> bool {
        let is_taken = |message: &&TailMessage| message.is_within(cut);
        let Some(last) = self.tail.iter().take_while(is_taken).last().map(|message| message.seq) else {
            return false;
        };
        let mut next = self.resident.as_ref().map_or(0, |resident| resident.end);
        let resident = self.resident.get_or_insert_default();
        if last < next {
            return true;
        }
        for message in self.tail.iter().take_while(|message| message.seq <= last) {
            if message.seq > next {
                resident.settled.add(next, message.seq - 1);
            }
            next = next.max(message.seq + 1);
        }
        resident.end = last.saturating_add(1);
        true
    }
}
