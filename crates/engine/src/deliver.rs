//! From a queue to its consumers: in turn, each turn one lock of one outbox.

use leveret_core::deliveries::Credit;
use leveret_core::limits::{CONSUMER_TURN_MESSAGES, OUTBOX_HIGH_WATER_BYTES};
use leveret_core::queue::{ConsumerKey, Contents, SeqRanges};
use leveret_protocol::constants::class_id;
use leveret_protocol::encode;
use leveret_protocol::method::Deliver;
use leveret_storage::SettleReason;

use crate::around::Around;
use crate::cell::{ConsumerHandle, QueueCell};
use crate::outbox::Outbox;
use crate::queue::QueueRef;
use crate::seams::Seams;
use crate::shown;

/// Backlogs up to this many messages are dealt out one by one, as RabbitMQ does; deeper ones in larger turns.
const DEAL_SINGLY: u64 = 64;

/// What consumers took.
#[derive(Default)]
struct Served {
    /// What needs no ack, and the log must hear of.
    settled: SeqRanges,
    /// Messages that were out before.
    redelivered: u64,
}

/// How a consumer's turn ended.
enum Turn {
    /// It took its share.
    Over,
    /// It has no credit, or its connection no room: it is noted there and comes back.
    Parked,
    /// It is gone.
    Gone,
}

impl<S: Seams> QueueCell<S> {
    /// Hands ready messages to consumers until one of both runs out. What expired on the way is given up; what lives
    /// for 0 ms has this one chance.
    pub(crate) fn deliver(&mut self, around: &Around<'_, S>) {
        if self.contents.totals().unacked == 0 {
            self.consumers.displace_idle();
        }
        let mut served = Served::default();
        let mut now_ms = None;
        while self.contents.totals().ready > 0 {
            if self.contents.is_timed() {
                let now_ms = *now_ms.get_or_insert_with(|| around.now_ms());
                self.expire(around, now_ms.saturating_sub(1));
                if self.contents.next_deadline_ms().is_some_and(|deadline_ms| deadline_ms < now_ms) {
                    break;
                }
            }
            let Some((key, consumer)) = self.consumers.next_ready() else { break };
            let ready = self.contents.totals().ready;
            let share = share(ready, self.consumers.ready());
            let handle = &consumer.handle;
            let contents = &mut self.contents;
            let turn = handle.outbox.write(|outbox| {
                let taker = Taker { key, handle, outbox };
                take_turn(contents, around.queue, taker, (share, now_ms), &mut served)
            });
            let taken = ready - self.contents.totals().ready;
            self.beyond.count_taken(taken);
            let count =
                if handle.no_ack { &mut self.stats.delivered_no_ack } else { &mut self.stats.delivered };
            *count += taken;
            match turn {
                // The next message is not in memory, or may not leave yet: the queue goes on when that has changed.
                Turn::Over if self.contents.is_blocked() => break,
                Turn::Over => self.consumers.end_turn(key),
                Turn::Parked => self.consumers.park(key),
                Turn::Gone => _ = self.consumers.remove(key),
            }
        }
        self.stats.redelivered += served.redelivered;
        self.log_settled(around.log, None, &served.settled, SettleReason::Acknowledged);
        if self.contents.is_timed() {
            self.expire(around, now_ms.unwrap_or_else(|| around.now_ms()));
            self.arm(around);
        }
    }
}

/// How many messages a consumer may take before the next one's turn.
fn share(ready: u64, consumers: usize) -> usize {
    match consumers {
        0 | 1 => usize::MAX,
        _ if ready <= DEAL_SINGLY => 1,
        n => (usize::try_from(ready).unwrap_or(usize::MAX) / n).clamp(1, CONSUMER_TURN_MESSAGES),
    }
}

/// Who takes its turn.
struct Taker<'a, S: Seams> {
    key: ConsumerKey,
    handle: &'a ConsumerHandle<S>,
    outbox: &'a mut Outbox<S>,
}

/// `share` is how many messages at most. With a time, the turn ends before a message that expired earlier.
fn take_turn<S: Seams>(
    contents: &mut Contents,
    queue: &QueueRef<S>,
    taker: Taker<'_, S>,
    (share, now_ms): (usize, Option<u64>),
    served: &mut Served,
) -> Turn {
    let Taker { key, handle, outbox } = taker;
    if outbox.closed {
        return Turn::Gone;
    }
    let Outbox { out, channels, stalled, frame_max, .. } = outbox;
    let channel = handle.channel;
    let Some(deliveries) = channels.get_mut(&channel) else { return Turn::Gone };
    let credit = match deliveries.credit(handle.origin) {
        Credit::Gone => return Turn::Gone,
        Credit::Parked => return Turn::Parked,
        Credit::Ready(messages) => messages as usize,
    };
    for _ in 0..share.min(credit) {
        if out.len() >= OUTBOX_HIGH_WATER_BYTES {
            stalled.push((queue.clone(), key));
            return Turn::Parked;
        }
        if let Some(now_ms) = now_ms
            && contents.next_deadline_ms().is_some_and(|deadline_ms| deadline_ms < now_ms)
        {
            break;
        }
        let Some(entry) = contents.take_to_deliver() else { break };
        let tag = deliveries.deliver(handle.origin, entry.seq(), handle.no_ack);
        served.redelivered += u64::from(entry.is_redelivered());
        let message = contents.message(&entry);
        let deliver = Deliver {
            consumer_tag: handle.tag.as_bytes(),
            delivery_tag: tag.0,
            redelivered: entry.is_redelivered(),
            exchange: message.exchange,
            routing_key: message.routing_key,
        };
        let properties = shown::properties(contents, &message, &entry);
        let size = message.body.len() as u64;
        let tail = out.tail();
        encode::encode_deliver(tail, channel, &deliver);
        encode::encode_content_header(tail, channel, class_id::BASIC, size, &properties);
        out.push_body(channel, *frame_max, message.body);
        if handle.no_ack {
            if entry.is_logged() {
                served.settled.push(entry.seq());
            }
            contents.discard(&entry);
        } else {
            contents.hold(entry);
        }
    }
    Turn::Over
}
