//! What goes to one connection: bytes for its socket, the deliveries of its channels, and notices from others.
//!
//! Queues write deliveries straight into the buffer, under this lock; the connection's task takes the whole
//! buffer at once and writes it. The buffer is bounded: past its high water the consumers of this connection
//! are passed over and noted in `stalled`, and the task brings them back when it has written enough.

use std::collections::{HashMap, VecDeque};
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use foldhash::fast::RandomState;
use leveret_core::BrokerError;
use leveret_core::deliveries::{Deliveries, OriginId};
use leveret_core::message::{Body, SharedBody};
use leveret_core::queue::ConsumerKey;
use leveret_protocol::encode;

use crate::queue::QueueRef;
use crate::seams::{Seams, Shared, Wake};

/// Slices below this are copied into the buffer: a slice of its own costs more than the copy.
const COPY_BYTES: usize = 8 * 1024;

/// Bytes on their way to a socket, in order: copied small ones, shared large ones.
#[derive(Debug, Default)]
pub struct OutBuffer {
    parts: VecDeque<Bytes>,
    parts_bytes: usize,
    tail: Vec<u8>,
}

impl OutBuffer {
    /// Where encoders append.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts_bytes + self.tail.len()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push_shared(&mut self, bytes: Bytes) {
        if bytes.len() < COPY_BYTES {
            self.tail.extend_from_slice(&bytes);
            return;
        }
        if !self.tail.is_empty() {
            let tail = Bytes::from(std::mem::take(&mut self.tail));
            self.parts_bytes += tail.len();
            self.parts.push_back(tail);
        }
        self.parts_bytes += bytes.len();
        self.parts.push_back(bytes);
    }

    /// Appends a body as frames of at most `frame_max` bytes; large ones by reference.
    pub fn push_body(&mut self, channel: u16, frame_max: u32, body: Body<'_>) {
        match body {
            Body::Small(bytes) => encode::encode_body(&mut self.tail, channel, frame_max, bytes),
            Body::Large(body) => self.push_large_body(channel, frame_max, body),
        }
    }

    fn push_large_body(&mut self, channel: u16, frame_max: u32, body: &SharedBody) {
        let payload_max = (frame_max as usize).saturating_sub(8).max(1);
        let mut left = body.len();
        let mut segments = body.segments().iter().cloned();
        let mut segment = Bytes::new();
        while left > 0 {
            let mut payload = left.min(payload_max);
            left -= payload;
            let len = u32::try_from(payload).unwrap_or(u32::MAX);
            self.tail.extend_from_slice(&encode::body_frame_header(channel, len));
            while payload > 0 {
                if segment.is_empty() {
                    match segments.next() {
                        Some(next) => segment = next,
                        None => return,
                    }
                }
                let piece = segment.split_to(payload.min(segment.len()));
                payload -= piece.len();
                self.push_shared(piece);
            }
            self.tail.push(leveret_protocol::constants::FRAME_END);
        }
    }
}

/// What a connection's task is writing. Takes the outbox's buffer whole and gives an emptied one back.
#[derive(Debug, Default)]
pub struct WriteQueue {
    parts: VecDeque<Bytes>,
    tail: Vec<u8>,
    tail_at: usize,
    left: usize,
}

/// Buffers up to this size are kept for the next batch; larger ones are given back to the system.
const KEPT_BUFFER_BYTES: usize = 256 * 1024;

impl WriteQueue {
    /// Moves what waits in the outbox here. Only while nothing is left of the last take.
    fn take(&mut self, from: &mut OutBuffer) {
        debug_assert_eq!(self.left, 0, "the last take is written first");
        self.tail.clear();
        self.tail_at = 0;
        self.left = from.len();
        std::mem::swap(&mut self.parts, &mut from.parts);
        std::mem::swap(&mut self.tail, &mut from.tail);
        from.parts_bytes = 0;
        if from.tail.capacity() > KEPT_BUFFER_BYTES {
            from.tail = Vec::new();
        }
    }

    /// Frees the buffer of an idle connection.
    pub fn release(&mut self) {
        if self.left == 0 {
            *self = Self::default();
        }
    }
}

impl Buf for WriteQueue {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        match self.parts.front() {
            Some(part) => part,
            None => self.tail.get(self.tail_at..).unwrap_or_default(),
        }
    }

    fn advance(&mut self, mut count: usize) {
        self.left -= count;
        while count > 0 {
            let Some(part) = self.parts.front_mut() else {
                self.tail_at += count;
                return;
            };
            let step = count.min(part.len());
            part.advance(step);
            count -= step;
            if part.is_empty() {
                self.parts.pop_front();
            }
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = self.tail.get(self.tail_at..).unwrap_or_default();
        let all = self.parts.iter().map(|part| &part[..]).chain(Some(tail).filter(|tail| !tail.is_empty()));
        let mut count = 0;
        for (slot, bytes) in slices.iter_mut().zip(all) {
            *slot = IoSlice::new(bytes);
            count += 1;
        }
        count
    }
}

/// What others tell a connection.
#[derive(Debug)]
pub enum Notice {
    /// A queue ended this consumer.
    ConsumerGone {
        /// The channel.
        channel: u16,
        /// The consumer.
        key: ConsumerKey,
    },
    /// Close the connection with this error.
    Close(BrokerError),
}

/// Everything that others may touch of a connection.
pub struct Outbox<S: Seams> {
    /// Bytes for the socket.
    pub out: OutBuffer,
    /// Deliveries by channel.
    pub channels: HashMap<u16, Deliveries<QueueRef<S>>, RandomState>,
    /// Consumers passed over because the buffer was full.
    pub stalled: Vec<(QueueRef<S>, ConsumerKey)>,
    /// For the connection's task.
    pub notices: Vec<Notice>,
    /// The negotiated largest frame in bytes.
    pub frame_max: u32,
    /// The connection takes no more deliveries.
    pub closed: bool,
    woken: bool,
}

impl<S: Seams> Outbox<S> {
    /// An empty one for a connection that has not been tuned yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            out: OutBuffer::default(),
            channels: HashMap::default(),
            stalled: Vec::new(),
            notices: Vec::new(),
            frame_max: leveret_core::limits::FRAME_MIN_BYTES,
            closed: false,
            woken: false,
        }
    }

    /// Moves the bytes to be written; whoever writes next wakes the task again.
    pub fn take(&mut self, into: &mut WriteQueue) {
        self.woken = false;
        into.take(&mut self.out);
    }

    /// True the first time since the last [`Outbox::take`]: the task needs a wake.
    pub fn needs_wake(&mut self) -> bool {
        !std::mem::replace(&mut self.woken, true)
    }

    /// Ends a consumer from the queue's side. The channel may have been closed and opened anew meanwhile.
    fn cancel(&mut self, channel: u16, origin: OriginId, key: ConsumerKey) {
        let Some(deliveries) = self.channels.get_mut(&channel) else { return };
        if deliveries.consumer_key(origin) == Some(key) {
            deliveries.cancel(origin);
            self.notices.push(Notice::ConsumerGone { channel, key });
        }
    }
}

impl<S: Seams> Default for Outbox<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// A connection's outbox with the way to wake its task.
pub struct OutboxRef<S: Seams> {
    lock: S::Lock<Outbox<S>>,
    waker: S::Waker,
}

impl<S: Seams> Clone for OutboxRef<S> {
    fn clone(&self) -> Self {
        Self { lock: self.lock.clone(), waker: self.waker.clone() }
    }
}

impl<S: Seams> OutboxRef<S> {
    /// A new outbox.
    #[must_use]
    pub fn new(waker: S::Waker) -> Self {
        Self { lock: S::Lock::new(Outbox::new()), waker }
    }

    /// Runs a closure on the outbox. Queues may be locked by the caller, other outboxes may not.
    pub fn with<R>(&self, run: impl FnOnce(&mut Outbox<S>) -> R) -> R {
        self.lock.with(run)
    }

    /// What wakes the connection's task.
    #[must_use]
    pub fn waker(&self) -> &S::Waker {
        &self.waker
    }

    /// Runs a closure that writes, then wakes the connection's task if it sleeps.
    pub fn write<R>(&self, run: impl FnOnce(&mut Outbox<S>) -> R) -> R {
        let (result, wake) = self.lock.with(|outbox| {
            let result = run(outbox);
            (result, outbox.needs_wake())
        });
        if wake {
            self.waker.wake();
        }
        result
    }

    /// Ends a consumer from the queue's side; its session tells the client.
    pub fn cancel_consumer(&self, channel: u16, origin: OriginId, key: ConsumerKey) {
        self.lock.with(|outbox| outbox.cancel(channel, origin, key));
        // Always: a task that waits for its socket has been woken for the bytes, and not for this.
        self.waker.wake();
    }

    /// Tells the connection to close.
    pub fn close(&self, error: BrokerError) {
        self.lock.with(|outbox| outbox.notices.push(Notice::Close(error)));
        self.waker.wake();
    }
}
