//! basic.get: one message to one client, outside its consumers' turns.

use leveret_core::deliveries::Deliveries;
use leveret_core::queue::{Contents, Entry, SeqRanges};
use leveret_protocol::constants::class_id;
use leveret_protocol::encode;
use leveret_protocol::method::GetOk;
use leveret_storage::SettleReason;

use super::QueueCell;
use crate::around::Around;
use crate::outbox::{OutBuffer, Outbox, OutboxRef};
use crate::queue::QueueRef;
use crate::seams::Seams;
use crate::shown;

/// What came of a basic.get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// A message of so many bytes.
    Message(usize),
    /// There is none.
    Empty,
    /// There are some, and none can be given yet: the connection is woken when it is worth asking again.
    Later,
}

/// Where the answer of a basic.get goes.
struct Target<'a> {
    out: &'a mut OutBuffer,
    channel: u16,
    frame_max: u32,
    no_ack: bool,
}

impl<S: Seams> QueueCell<S> {
    /// basic.get, written to an outbox that the caller does not hold.
    pub fn get(&mut self, around: &Around<'_, S>, to: &OutboxRef<S>, channel: u16, no_ack: bool) -> Got {
        let queue = around.queue;
        self.take_for_get(around, to, no_ack, |contents, entry, left| {
            to.with(|outbox| {
                let Outbox { out, channels, frame_max, .. } = outbox;
                let Some(deliveries) = channels.get_mut(&channel) else { return false };
                let target = Target { out, channel, frame_max: *frame_max, no_ack };
                write_get(contents, entry, left, deliveries, queue, target);
                true
            })
        })
    }

    fn take_for_get(
        &mut self,
        around: &Around<'_, S>,
        to: &OutboxRef<S>,
        no_ack: bool,
        write: impl FnOnce(&Contents, &Entry, u64) -> bool,
    ) -> Got {
        self.renew_lease(around);
        self.note_get(around);
        self.drop_expired(around);
        if self.contents.totals().ready == 0 {
            self.stats.got_empty += 1;
            return Got::Empty;
        }
        // Of messages with deadlines the one behind is looked at too: if it has expired it is not among those left.
        let needed = if self.contents.is_timed() { 2 } else { 1 };
        // With very much to be dead-lettered expiry pauses; what has expired is not shown meanwhile.
        let is_early = self.is_due(around) || self.contents.want(needed).is_some();
        let taken = if is_early { None } else { self.contents.take_to_deliver() };
        let Some(entry) = taken else {
            self.wait(Some(to.waker()), needed);
            if around.queue.damage().is_some() {
                // It was stopped since the caller looked: nothing else would wake whoever asks.
                self.wake_waiting();
            }
            return Got::Later;
        };
        self.beyond.count_taken(1);
        let bytes = self.contents.message(&entry).stored_bytes();
        // What expired behind it is not among those that are left.
        self.drop_expired(around);
        let left = self.contents.totals().ready;
        if !write(&self.contents, &entry, left) {
            self.contents.put_back(entry);
            return Got::Empty;
        }
        self.stats.redelivered += u64::from(entry.is_redelivered());
        if no_ack {
            self.stats.got_no_ack += 1;
            let mut settled = SeqRanges::default();
            if entry.is_logged() {
                settled.push(entry.seq());
            }
            self.contents.discard(&entry);
            self.log_settled(around.log, None, &settled, SettleReason::Acknowledged);
        } else {
            self.stats.got += 1;
            self.contents.hold(entry);
        }
        self.arm(around);
        Got::Message(bytes)
    }
}

fn write_get<S: Seams>(
    contents: &Contents,
    entry: &Entry,
    left: u64,
    deliveries: &mut Deliveries<QueueRef<S>>,
    queue: &QueueRef<S>,
    to: Target<'_>,
) {
    let tag = match to.no_ack {
        true => deliveries.next_tag(),
        false => {
            let origin = deliveries.get_origin(queue);
            deliveries.deliver(origin, entry.seq(), false)
        }
    };
    let message = contents.message(entry);
    let get_ok = GetOk {
        delivery_tag: tag.0,
        redelivered: entry.is_redelivered(),
        exchange: message.exchange,
        routing_key: message.routing_key,
        message_count: u32::try_from(left).unwrap_or(u32::MAX),
    };
    let properties = shown::properties(contents, &message, entry);
    let tail = to.out.tail();
    encode::encode_get_ok(tail, to.channel, &get_ok);
    encode::encode_content_header(tail, to.channel, class_id::BASIC, message.body.len() as u64, &properties);
    to.out.push_body(to.channel, to.frame_max, message.body);
}
