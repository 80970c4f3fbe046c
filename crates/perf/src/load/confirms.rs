//! Which publishes are confirmed, when single confirms come out of order among multiple ones.

use std::collections::BTreeSet;

/// The confirms of one channel.
#[derive(Debug, Default)]
pub(crate) struct Confirms {
    /// All up to and including this one are confirmed.
    low: u64,
    /// Confirmed ones beyond it.
    ahead: BTreeSet<u64>,
}

impl Confirms {
    /// Takes a basic.ack. Gives how many publishes it newly confirms.
    pub(crate) fn ack(&mut self, tag: u64, multiple: bool) -> u64 {
        let before = self.confirmed();
        if multiple {
            self.low = self.low.max(tag);
            self.ahead = self.ahead.split_off(&(self.low + 1));
        } else if tag > self.low {
            self.ahead.insert(tag);
        }
        while self.ahead.remove(&(self.low + 1)) {
            self.low += 1;
        }
        self.confirmed() - before
    }

    fn confirmed(&self) -> u64 {
        self.low + self.ahead.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_publish_is_counted_once() {
        let mut confirms = Confirms::default();
        let acks = [(1, false, 1), (3, false, 1), (3, false, 0), (2, false, 1), (7, false, 1), (6, true, 3)];
        for (tag, multiple, newly) in acks {
            assert_eq!(confirms.ack(tag, multiple), newly, "ack {tag} {multiple}");
        }
        assert_eq!(confirms.low, 7);
        assert_eq!(confirms.ack(5, true), 0);
    }
}
