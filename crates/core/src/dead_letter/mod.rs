//! Dead-lettering: from a message that a queue gave up to the message that its dead-letter exchange is given.
//!
//! Owns the headers as RabbitMQ 4 writes them (`x-death`, `x-first-death-*`, `x-last-death-*`), the keys that the new
//! message goes by, and the rule that ends cycles. It moves nothing: that is the engine's part.
//!
//! ```
//! use leveret_core::dead_letter::{DeadLetter, Reason, Source};
//! use leveret_core::ids::UnixMillis;
//! use leveret_core::message::{Body, Message};
//!
//! let message = Message { exchange: b"", routing_key: b"work", properties: &[0, 0], body: Body::Small(b"job") };
//! let source = Source { queue: "work", exchange: "failed", routing_key: None, counts: false };
//! let dead = DeadLetter::new(&message, false, &source, Reason::Rejected, UnixMillis(0));
//! assert_eq!((&*dead.exchange, &*dead.routing_key), (&b"failed"[..], &b"work"[..]));
//! assert!(!dead.is_cycle("work"), "a client rejected it");
//! ```

mod deaths;
mod notes;

use leveret_protocol::field_table::{FieldTable, FieldValue};
use leveret_protocol::properties::{PropertiesBuilder, Property, PropertyView};

use crate::expiration;
use crate::ids::UnixMillis;
use crate::message::Message;
use deaths::Death;
pub use notes::Notes;

/// Why a queue gave a message up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A consumer rejected it without requeue.
    Rejected,
    /// Its time to live ran out.
    Expired,
    /// The queue was full.
    MaxLength,
    /// It came back too often.
    DeliveryLimit,
}

impl Reason {
    /// The word in x-death.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLength => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

/// The queue that gave a message up, and where it sends its dead letters.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// `x-dead-letter-exchange`.
    pub exchange: &'a str,
    /// `x-dead-letter-routing-key`; without one the message keeps its keys.
    pub routing_key: Option<&'a [u8]>,
    /// It counts rejections (a quorum queue).
    pub counts: bool,
}

/// The message for the dead-letter exchange; its body is the old one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The exchange to publish it to.
    pub exchange: Box<[u8]>,
    /// Its routing key.
    pub routing_key: Box<[u8]>,
    /// Its properties, as exchanges and consumers see them.
    pub properties: Vec<u8>,
    /// What is kept behind them ([`Notes::behind`]).
    pub notes: Notes,
}

impl DeadLetter {
    /// Makes the dead letter of a message. `annotated` says that its properties carry [`Notes`].
    #[must_use]
    pub fn new(
        message: &Message<'_>,
        annotated: bool,
        source: &Source<'_>,
        reason: Reason,
        now: UnixMillis,
    ) -> Self {
        let (notes, properties) = Notes::of_stored(message.properties, annotated);
        // Unreadable ones never came in: they are checked when they are published.
        let view = PropertyView::parse_kept(properties).ok();
        let expiration = view.as_ref().and_then(PropertyView::expiration);
        let death = Death {
            queue: source.queue,
            reason,
            time: now,
            exchange: message.exchange,
            routing_keys: shown_keys(message.routing_key, &notes),
            expiration_ms: expiration.and_then(|text| expiration::parse(text).ok()),
        };
        let headers = view.as_ref().and_then(PropertyView::headers_table);
        let headers = headers_after(headers, notes.has_deaths, &death);
        let mut builder = view.map(PropertiesBuilder::from).unwrap_or_default();
        builder.remove(Property::Expiration).set_headers(&headers);
        let is_counted = source.counts && reason == Reason::Rejected;
        let rejections = notes.rejections.saturating_add(is_counted.into());
        let (routing_key, extra_keys) = match source.routing_key {
            Some(key) => (key, Vec::new()),
            None => (message.routing_key, notes.extra_keys),
        };
        Self {
            exchange: source.exchange.as_bytes().into(),
            routing_key: routing_key.into(),
            properties: builder.to_vec(),
            notes: Notes { has_deaths: true, extra_keys, hidden_keys: notes.hidden_keys, rejections },
        }
    }

    /// Whether the message was in that queue before and came round to it without a client's rejection: RabbitMQ drops
    /// it there.
    #[must_use]
    pub fn is_cycle(&self, queue: &str) -> bool {
        let Some(view) = PropertyView::parse_kept(&self.properties).ok() else { return false };
        let header = view.headers_table().and_then(|headers| headers.get(X_DEATH));
        for entry in deaths::entries(header) {
            let (of, reason) = deaths::key(&entry);
            if reason == Reason::Rejected.as_str().as_bytes() {
                return false;
            }
            if of == queue.as_bytes() {
                return true;
            }
        }
        false
    }
}

const X_DEATH: &[u8] = b"x-death";

/// All keys but the hidden ones; each of those takes one away, as Erlang's `--` does.
fn shown_keys<'a>(routing_key: &'a [u8], notes: &'a Notes) -> Vec<&'a [u8]> {
    let mut keys: Vec<&[u8]> = vec![routing_key];
    keys.extend(notes.extra_keys.iter().map(|key| &**key));
    for hidden in &notes.hidden_keys {
        if let Some(at) = keys.iter().position(|key| *key == &**hidden) {
            keys.remove(at);
        }
    }
    keys
}

/// A message's headers after one more death, sorted by name and each name once, as RabbitMQ delivers them.
fn headers_after(before: Option<FieldTable<'_>>, has_deaths: bool, death: &Death<'_>) -> Vec<u8> {
    let old_deaths = before.as_ref().filter(|_| has_deaths).and_then(|headers| headers.get(X_DEATH));
    let array = deaths::record(&deaths::entries(old_deaths), death);
    let reason = death.reason.as_str().as_bytes();
    let plain = [
        (&b"x-first-death-exchange"[..], death.exchange),
        (b"x-first-death-queue", death.queue.as_bytes()),
        (b"x-first-death-reason", reason),
        (b"x-last-death-exchange", death.exchange),
        (b"x-last-death-queue", death.queue.as_bytes()),
        (b"x-last-death-reason", reason),
    ];
    let mut fields: Vec<(&[u8], Vec<u8>)> = vec![(X_DEATH, encoded_array(&array))];
    // The first death is told once and for all.
    for (name, value) in plain.into_iter().skip(if has_deaths { 3 } else { 0 }) {
        fields.push((name, encoded(&FieldValue::LongString(value))));
    }
    for (name, value) in before.iter().flat_map(FieldTable::iter) {
        fields.push((name, encoded(&value)));
    }
    // Both keep the first of a name: the broker's word before the client's.
    fields.sort_by_key(|(name, _)| *name);
    fields.dedup_by_key(|(name, _)| *name);
    let mut content = Vec::new();
    for (name, value) in fields {
        content.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        content.extend_from_slice(name);
        content.extend_from_slice(&value);
    }
    content
}

fn encoded(value: &FieldValue<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read from a message, or is a name, has a length that 32 bits can say.
    _ = value.write_to(&mut bytes);
    bytes
}

fn encoded_array(content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![b'A'];
    bytes.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(content);
    bytes
}

#[cfg(test)]
mod tests;
