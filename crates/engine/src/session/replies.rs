//! Replies and confirms: at once, or once the log is synced far enough.

use std::sync::atomic::Ordering;

use leveret_core::queue::ConsumerKey;
use leveret_protocol::amqp::AMQPClass;
use leveret_protocol::encode;
use leveret_protocol::method::{Ack, Nack};
use leveret_storage::Position;

use super::Session;
use super::held::Held;
use crate::queue::QueueRef;
use crate::seams::{Log, Seams};

/// Appends a method of ours. One that cannot be encoded is a fault of ours, told in debug builds.
pub(crate) fn write_method(out: &mut Vec<u8>, channel: u16, method: AMQPClass) {
    let encoded = encode::encode_method(out, channel, method);
    debug_assert!(encoded.is_ok(), "methods of the broker's own making fit the wire");
}

impl<S: Seams> Session<S> {
    /// Answers a method on a channel, behind replies of the channel that still wait.
    pub(super) fn reply(&mut self, channel: u16, method: AMQPClass) {
        self.reply_after(channel, Position(0), method);
    }

    /// Answers a method once the log is synced up to `position`.
    pub(super) fn reply_after(&mut self, channel: u16, position: Position, method: AMQPClass) {
        self.reply_then_resume(channel, position, method, None);
    }

    /// Whether a reply to this channel must wait.
    pub(super) fn must_hold(&self, channel: u16, position: Position) -> bool {
        position > self.broker.log.synced() || self.channels.get(&channel).is_some_and(|c| !c.held.is_empty())
    }

    pub(super) fn reply_then_resume(
        &mut self,
        channel: u16,
        position: Position,
        method: AMQPClass,
        resumes: Option<(QueueRef<S>, ConsumerKey)>,
    ) {
        if !self.must_hold(channel, position) {
            self.send(channel, method);
            return;
        }
        let mut bytes = Vec::new();
        write_method(&mut bytes, channel, method);
        self.hold(channel, Held { position, bytes, resumes });
    }

    /// Lets a reply wait behind what the channel waits for already.
    pub(super) fn hold(&mut self, channel: u16, held: Held<S>) {
        let Some(state) = self.channels.get_mut(&channel) else {
            // The channel closed meanwhile; its replies have nobody to go to.
            return;
        };
        state.held.push(held);
        self.note_waiting(channel);
    }

    /// Marks a channel whose confirms or replies may wait for the log.
    pub(super) fn note_waiting(&mut self, channel: u16) {
        if let Some(state) = self.channels.get_mut(&channel)
            && !std::mem::replace(&mut state.is_waiting, true)
        {
            self.waiting.push(channel);
        }
    }

    /// Sends what the log's syncs have released, and asks for a wake for the rest.
    pub(super) fn release(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let synced = self.broker.log.synced();
        let mut first: Option<Position> = None;
        let waiting = std::mem::take(&mut self.waiting);
        for channel in waiting {
            if let Some(state) = self.channels.get_mut(&channel) {
                state.is_waiting = false;
            }
            if let Some(position) = self.release_channel(channel, synced) {
                self.note_waiting(channel);
                first = Some(first.map_or(position, |first| first.min(position)));
            }
        }
        let Some(position) = first else { return };
        if self.waits_until.is_none_or(|until| until <= synced || position < until) {
            self.waits_until = Some(position);
            self.broker.log.wake_when_synced(position, self.outbox.waker());
        }
    }

    /// Releases one channel; what it waits for next, if anything.
    fn release_channel(&mut self, number: u16, synced: Position) -> Option<Position> {
        let channel = self.channels.get_mut(&number)?;
        let mut resumed = Vec::new();
        let mut acked = 0;
        self.outbox.with(|outbox| {
            let out = outbox.out.tail();
            while let Some(held) = channel.held.pop(synced) {
                out.extend_from_slice(&held.bytes);
                resumed.extend(held.resumes);
            }
            if let Some(confirms) = channel.core.confirms() {
                let mut told = confirms.confirmed().0;
                confirms.release(synced.0, |confirmation| {
                    if confirmation.acked {
                        acked += confirmation.seq.0 - told;
                    }
                    told = confirmation.seq.0;
                    let (delivery_tag, multiple) = (confirmation.seq.0, confirmation.multiple);
                    if confirmation.acked {
                        encode::encode_ack(out, number, &Ack { delivery_tag, multiple });
                    } else {
                        encode::encode_nack(out, number, &Nack { delivery_tag, multiple, requeue: false });
                    }
                });
            }
        });
        self.entry.counters.confirmed(acked);
        let unconfirmed = channel.core.confirms().map_or(0, |confirms| confirms.outstanding());
        channel.counters.unconfirmed.store(unconfirmed, Ordering::Relaxed);
        let left = channel.leaving && channel.held.is_empty();
        let confirms = channel.core.confirms().and_then(|confirms| confirms.waits_for()).map(Position);
        let held = channel.held.waits_for();
        for (queue, key) in resumed {
            self.broker.work(&queue, |cell, around| cell.resume(around, key));
        }
        if left {
            self.forget_channel(number);
            return None;
        }
        match (confirms, held) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}
