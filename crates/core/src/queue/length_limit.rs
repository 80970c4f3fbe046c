//! How much a queue may hold, and who gives way when it is full. Only ready messages count, as in RabbitMQ.

use super::contents::Totals;
use crate::arguments::{Overflow, QueueSettings, QueueType};

/// `x-max-length`, `x-max-length-bytes` and `x-overflow`.
#[derive(Clone, Copy, Debug)]
pub(super) struct LengthLimit {
    messages: u64,
    bytes: u64,
    overflow: Overflow,
    /// A quorum queue refuses only once it is over its limit, and until it is well below.
    is_soft: bool,
    is_refusing: bool,
}

impl LengthLimit {
    /// The limit in those settings, if there is one.
    pub(super) fn new(settings: &QueueSettings) -> Option<Self> {
        if settings.max_length.is_none() && settings.max_length_bytes.is_none() {
            return None;
        }
        Some(Self {
            messages: settings.max_length.unwrap_or(u64::MAX),
            bytes: settings.max_length_bytes.unwrap_or(u64::MAX),
            overflow: settings.overflow(),
            is_soft: settings.queue_type == QueueType::Quorum,
            is_refusing: false,
        })
    }

    /// Whether a new message of that length must be refused.
    pub(super) fn would_reject(&mut self, totals: &Totals, body_len: u64) -> bool {
        if self.overflow == Overflow::DropHead {
            return false;
        }
        if self.is_soft {
            self.watch(totals);
            return self.is_refusing;
        }
        totals.ready >= self.messages || totals.ready_bytes.saturating_add(body_len) > self.bytes
    }

    /// Whether the next message must make room.
    pub(super) fn must_drop(&mut self, totals: &Totals) -> bool {
        if self.overflow == Overflow::DropHead {
            return self.is_over(totals);
        }
        self.watch(totals);
        false
    }

    /// A quorum queue begins to refuse above the limit, and ends at four fifths of it.
    fn watch(&mut self, totals: &Totals) {
        let is_below = |limit: u64, count: u64| limit == u64::MAX || count <= limit - limit.div_ceil(5);
        if self.is_over(totals) {
            self.is_refusing = true;
        } else if is_below(self.messages, totals.ready) && is_below(self.bytes, totals.ready_bytes) {
            self.is_refusing = false;
        }
    }

    /// Whether messages are to make room now.
    pub(super) fn drops(&self, totals: &Totals) -> bool {
        self.overflow == Overflow::DropHead && self.is_over(totals)
    }

    fn is_over(&self, totals: &Totals) -> bool {
        totals.ready > self.messages || totals.ready_bytes > self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(ready: u64) -> Totals {
        Totals { ready, ready_bytes: ready * 10, ..Totals::default() }
    }

    #[test]
    fn a_quorum_queue_refuses_from_above_its_limit_to_four_fifths_of_it() {
        let settings = QueueSettings {
            queue_type: QueueType::Quorum,
            max_length: Some(10),
            overflow: Some(Overflow::RejectPublish),
            ..QueueSettings::default()
        };
        let mut limit = LengthLimit::new(&settings).unwrap();
        for (ready, refused) in
            [(0, false), (10, false), (11, true), (10, true), (9, true), (8, false), (10, false)]
        {
            assert_eq!(limit.would_reject(&totals(ready), 10), refused, "{ready} ready");
        }
    }

    #[test]
    fn a_classic_queue_refuses_what_would_not_fit() {
        let settings = QueueSettings {
            max_length_bytes: Some(100),
            overflow: Some(Overflow::RejectPublishDlx),
            ..QueueSettings::default()
        };
        let mut limit = LengthLimit::new(&settings).unwrap();
        assert!(!limit.would_reject(&totals(9), 10));
        assert!(limit.would_reject(&totals(9), 11));
        assert!(limit.would_reject(&totals(0), 101));
        assert!(!limit.must_drop(&totals(11)));
    }
}
