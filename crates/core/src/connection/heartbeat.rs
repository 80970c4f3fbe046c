//! Heartbeats both ways, from the time given.
//!
//! RabbitMQ sends one after half the interval without other traffic and gives a peer up that was silent for two
//! intervals (AMQP 0-9-1, 4.2.7).

use crate::ids::MonotonicMillis;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing before the next deadline.
    Nothing,
    /// A heartbeat frame to the peer.
    Send,
    /// The peer was silent for two intervals.
    PeerGone,
}

/// Both directions of one connection. An interval of 0 switches them off.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat {
    interval_ms: u64,
    received_at: MonotonicMillis,
    sent_at: MonotonicMillis,
}

impl Heartbeat {
    /// Off until [`Heartbeat::start`].
    #[must_use]
    pub fn off(now: MonotonicMillis) -> Self {
        Self { interval_ms: 0, received_at: now, sent_at: now }
    }

    /// Starts with the negotiated interval in seconds; 0 is off.
    pub fn start(&mut self, interval_s: u16, now: MonotonicMillis) {
        *self = Self { interval_ms: u64::from(interval_s) * 1000, received_at: now, sent_at: now };
    }

    /// Bytes came in.
    pub fn received(&mut self, now: MonotonicMillis) {
        self.received_at = now;
    }

    /// Bytes went out.
    pub fn sent(&mut self, now: MonotonicMillis) {
        self.sent_at = now;
    }

    /// When to ask [`Heartbeat::due`] next.
    #[must_use]
    pub fn deadline(&self) -> Option<MonotonicMillis> {
        if self.interval_ms == 0 {
            return None;
        }
        let send = self.sent_at.0 + self.interval_ms / 2;
        let gone = self.received_at.0 + self.interval_ms * 2;
        Some(MonotonicMillis(send.min(gone)))
    }

    /// What is due now.
    #[must_use]
    pub fn due(&self, now: MonotonicMillis) -> Due {
        if self.interval_ms == 0 {
            Due::Nothing
        } else if now.0 >= self.received_at.0 + self.interval_ms * 2 {
            Due::PeerGone
        } else if now.0 >= self.sent_at.0 + self.interval_ms / 2 {
            Due::Send
        } else {
            Due::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_after_half_an_interval_and_gives_up_after_two() {
        let at = MonotonicMillis;
        let mut beat = Heartbeat::off(at(0));
        assert_eq!((beat.deadline(), beat.due(at(1_000_000))), (None, Due::Nothing));
        beat.start(10, at(1_000));
        assert_eq!(beat.deadline(), Some(at(6_000)));
        assert_eq!(beat.due(at(5_999)), Due::Nothing);
        assert_eq!(beat.due(at(6_000)), Due::Send);
        beat.sent(at(6_000));
        assert_eq!(beat.deadline(), Some(at(11_000)));
        beat.sent(at(20_000));
        assert_eq!(beat.due(at(20_999)), Due::Nothing);
        assert_eq!(beat.due(at(21_000)), Due::PeerGone);
        beat.received(at(20_500));
        assert_eq!(beat.due(at(21_000)), Due::Nothing);
    }
}
