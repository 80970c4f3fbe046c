//! Blobs that messages above the cut name.

use std::collections::BTreeMap;

use crate::index::tail::TailMessage;

/// How many messages of tails name each blob, and which blobs lost their last one there.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    named: BTreeMap<u64, u32>,
    /// With the batch of the last record that named it.
    dead: Vec<(u64, TailMessage)>,
    /// The highest number in any record, or 0.
    pub(crate) last: u64,
}

impl Blobs {
    pub(crate) fn join(&mut self, message: &TailMessage) {
        if let Some(number) = number(message) {
            *self.named.entry(number).or_insert(0) += 1;
            self.last = self.last.max(number);
        }
    }

    /// A message left its tail for good.
    pub(crate) fn leave(&mut self, message: &TailMessage) {
        if let Some(number) = self.part(message) {
            self.dead.push((number, *message));
        }
    }

    /// A message left its tail for a run.
    pub(crate) fn install(&mut self, message: &TailMessage) {
        self.part(message);
    }

    /// Dead blobs that are named below the cut only. A record above it still needs its blob when it is the
    /// last of the log: without it that batch would be taken for a torn one.
    pub(crate) fn take_dead(&mut self, cut: u64) -> Vec<u64> {
        let (taken, kept) =
            std::mem::take(&mut self.dead).into_iter().partition(|(_, message)| message.is_within(cut));
        self.dead = kept;
        let taken: Vec<(u64, TailMessage)> = taken;
        taken
            .into_iter()
            .map(|(number, _)| number)
            .filter(|number| !self.named.contains_key(number))
            .collect()
    }

    /// They were not given up after all; they may be, at any later cut.
    pub(crate) fn give_back(&mut self, dead: Vec<u64>, cut: u64) {
        let at = |offset| crate::run::BodyAt { offset, ..crate::run::BodyAt::default() };
        let flags = crate::record::MessageFlags::NONE;
        self.dead.extend(
            dead.into_iter().map(|number| (number, TailMessage::new(0, 0, 0, flags, at(number), cut))),
        );
    }

    /// Whether a message above the cut names it, or did.
    pub(crate) fn knows(&self, number: u64) -> bool {
        self.named.contains_key(&number) || self.dead.iter().any(|(dead, _)| *dead == number)
    }

    fn part(&mut self, message: &TailMessage) -> Option<u64> {
        let number = number(message)?;
        let count = self.named.get_mut(&number)?;
        *count = count.saturating_sub(1);
        if *count > 0 {
            return None;
        }
        self.named.remove(&number);
        Some(number)
    }
}

fn number(message: &TailMessage) -> Option<u64> {
    let at = message.at();
    at.is_blob().then_some(at.offset)
}
