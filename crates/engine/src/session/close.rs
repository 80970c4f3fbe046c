//! Ends: of a channel, of the connection, of the socket.

use std::sync::atomic::Ordering;

use leveret_core::channel::Mode;
use leveret_core::connection::Phase;
use leveret_core::ids::MonotonicMillis;
use leveret_core::queue::ConsumerKey;
use leveret_core::{BrokerError, Scope};
use leveret_protocol::amqp::{AMQPClass, channel, connection, short_string};
use leveret_storage::Position;

use super::held::Held;
use super::{Failure, Flow, Session, write_method};
use crate::cell::Outcome;
use crate::queue::QueueRef;
use crate::seams::{Log, Registry, Seams};

/// How long a client has to answer connection.close (RabbitMQ's `?CLOSING_TIMEOUT`).
const CLOSING_TIMEOUT_MS: u64 = 30_000;

/// How long a refused login waits for its silent end (RabbitMQ's `?SILENT_CLOSE_DELAY`).
pub(super) const SILENT_CLOSE_MS: u64 = 3_000;

impl<S: Seams> Session<S> {
    /// Reports an error of the client: closes its channel or the connection.
    pub(super) fn fail(&mut self, failure: Failure, now: MonotonicMillis) {
        match (failure.error.scope, self.connection.phase()) {
            // Before connection.open, RabbitMQ closes the socket without a word, after a while.
            (_, Phase::StartOk | Phase::TuneOk) => {
                self.connection.close_sent(now, SILENT_CLOSE_MS.min(1_000));
                self.flow = Flow::CloseAfterFlush;
            }
            (_, Phase::Closing) => {
                if failure.desynchronized {
                    self.flow = Flow::CloseAfterFlush;
                }
            }
            (Scope::Channel, _) if failure.channel != 0 => self.channel_failure(&failure),
            _ => self.close_connection(&failure, now),
        }
    }

    /// Sends channel.close and gives everything of the channel back; close-ok is awaited.
    pub(super) fn channel_failure(&mut self, failure: &Failure) {
        let number = failure.channel;
        if self.channels.get(&number).is_none_or(|channel| channel.core.closing) {
            return;
        }
        tracing_error(self, failure);
        self.release_deliveries(number);
        let close = channel::Close {
            reply_code: failure.error.code,
            reply_text: short_string(&failure.error.reply_text()),
            class_id: failure.class_id,
            method_id: failure.method_id,
        };
        self.reply(number, AMQPClass::Channel(channel::AMQPMethod::Close(close)));
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.core.closing = true;
            // No confirm follows the close: clients take a frame on a closed channel for a fault.
            channel.core.mode = Mode::Plain;
            channel.content = super::content::PendingContent::default();
            channel.transaction = super::transaction::Transaction::default();
        }
    }

    /// Takes a channel's consumers from their queues and returns its unacked messages.
    pub(super) fn release_deliveries(&mut self, number: u16) {
        self.end_reply_consumer(number, None);
        let mut returned: Vec<(QueueRef<S>, Vec<_>)> = Vec::new();
        let consumers: Vec<(QueueRef<S>, ConsumerKey)> = self.outbox.with(|outbox| {
            let Some(mut deliveries) = outbox.channels.remove(&number) else { return Vec::new() };
            let mut settled = Vec::new();
            let consumers = deliveries.close(&mut settled);
            for run in settled {
                let Some(queue) = deliveries.queue(run.origin) else { continue };
                let range = (run.first, run.last, Outcome::Requeued);
                match returned.iter_mut().find(|(of, _)| of == queue) {
                    Some((_, runs)) => runs.push(range),
                    None => returned.push((queue.clone(), vec![range])),
                }
            }
            consumers
        });
        let mut emptied = Vec::new();
        for (queue, key) in consumers {
            if self.broker.work(&queue, |cell, around| cell.cancel(around, key)) && queue.auto_delete {
                emptied.push(queue);
            }
        }
        for (queue, runs) in returned {
            self.broker.work(&queue, |cell, around| cell.settle(around, None, &runs, &[]));
        }
        for queue in emptied {
            self.broker.delete_unused(&queue);
        }
    }

    /// Sends connection.close; every channel ends at once.
    pub(super) fn close_connection(&mut self, failure: &Failure, now: MonotonicMillis) {
        tracing_error(self, failure);
        self.end_channels();
        self.broker.delete_exclusive(self.vhost.as_deref(), self.id);
        let close = connection::Close {
            reply_code: failure.error.code,
            reply_text: short_string(&failure.error.reply_text()),
            class_id: failure.class_id,
            method_id: failure.method_id,
        };
        self.send(0, AMQPClass::Connection(connection::AMQPMethod::Close(close)));
        self.connection.close_sent(now, CLOSING_TIMEOUT_MS);
        self.blocked = false;
        self.go_on();
        if failure.desynchronized {
            self.flow = Flow::CloseAfterFlush;
        }
    }

    /// connection.close from the client. Replies and confirms that wait for the log leave before close-ok: the
    /// client may be counting on them.
    pub(super) fn peer_closes(&mut self) {
        self.peer_closing = true;
        self.release_all();
        self.release();
        if self.waiting.is_empty() {
            self.answer_close();
        }
    }

    /// close-ok, once nothing waits any more.
    pub(super) fn answer_close(&mut self) {
        self.end_channels();
        self.send(0, AMQPClass::Connection(connection::AMQPMethod::CloseOk(connection::CloseOk {})));
        self.flow = Flow::AwaitClose;
    }

    /// Gives back what all channels hold. Nothing more is delivered to a client that leaves: what one channel gives back
    /// must not go out, and be lost, on another one.
    fn release_all(&mut self) {
        self.outbox.with(|outbox| outbox.closed = true);
        let mut numbers: Vec<u16> = self.channels.keys().copied().collect();
        // Always in the same order, so that a simulation repeats.
        numbers.sort_unstable();
        for number in numbers {
            self.release_deliveries(number);
        }
    }

    /// Ends all channels, giving back what they hold.
    pub(super) fn end_channels(&mut self) {
        self.release_all();
        let open = self.channels.len() as u64;
        self.broker.counters.channels_closed.fetch_add(open, Ordering::Relaxed);
        self.channels.clear();
        self.waiting.clear();
        self.entry.forget_channels();
    }

    /// channel.close from the client: close-ok waits behind what the channel waits for.
    pub(super) fn close_channel(&mut self, number: u16) {
        self.release_deliveries(number);
        let position = self.channels.get(&number).and_then(|channel| channel.held.last_position());
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.core.closing = true;
            channel.leaving = true;
        }
        let close_ok = AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {}));
        match position.filter(|position| *position > self.broker.log.synced()) {
            None => self.flush_and_forget(number, close_ok),
            Some(position) => {
                let mut bytes = Vec::new();
                write_method(&mut bytes, number, close_ok);
                self.hold(number, Held { position, bytes, resumes: None });
            }
        }
    }

    fn flush_and_forget(&mut self, number: u16, close_ok: AMQPClass) {
        let mut channel = self.channels.remove(&number);
        let synced = self.broker.log.synced().max(Position(0));
        self.outbox.with(|outbox| {
            let out = outbox.out.tail();
            while let Some(held) = channel.as_mut().and_then(|channel| channel.held.pop(synced)) {
                out.extend_from_slice(&held.bytes);
            }
            write_method(out, number, close_ok);
        });
        self.entry.set_channel(number, None);
    }

    /// The socket is gone, or about to be: everything of this connection ends.
    pub fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if self.vhost.is_some() {
            tracing::info!(connection = %self.name(), "closed");
        }
        self.end_channels();
        self.broker.connections.remove(&self.id);
        self.broker.counters.keep_connection(&self.entry);
        self.broker.delete_exclusive(self.vhost.as_deref(), self.id);
    }

    /// Tells the client to go, as at a stop of the broker. One that has not logged in just finds its socket
    /// closed.
    pub fn shut_down(&mut self, error: BrokerError, now: MonotonicMillis) -> Flow {
        match self.connection.phase() {
            Phase::Running | Phase::Closing => self.fail(Failure::new(error, 0, (0, 0)), now),
            Phase::StartOk | Phase::TuneOk | Phase::Open => self.flow = Flow::CloseAfterFlush,
        }
        self.flow
    }
}

/// Whatever takes a session away, a panic of its task included, leaves nothing of it behind.
impl<S: Seams> Drop for Session<S> {
    fn drop(&mut self) {
        self.end();
    }
}

/// One line in the log, where the error is handled.
fn tracing_error<S: Seams>(session: &Session<S>, failure: &Failure) {
    session.broker.report(&session.peer, session.user.as_ref(), failure.channel, &failure.error);
}
