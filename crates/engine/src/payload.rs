//! A message as the log keeps it: names and properties before the body, bodies where they are.
//!
//! ```text
//! u8 exchange length, exchange, u8 routing key length, routing key, u32 properties length, properties, body
//! ```
//! Lengths are big-endian. The log checksums the whole, so a reader only checks that lengths fit.

use leveret_core::message::{Body, Message};
use leveret_storage::MessageFlags;

/// The message's properties carry notes (`leveret_core::dead_letter::Notes`).
pub(crate) const ANNOTATED: MessageFlags = MessageFlags::from_bits(2);

/// The three length fields of a message, to stand between the slices they measure.
#[derive(Debug)]
pub(crate) struct Lengths {
    exchange: [u8; 1],
    routing_key: [u8; 1],
    properties: [u8; 4],
}

impl Lengths {
    pub(crate) fn of(message: &Message<'_>) -> Self {
        let byte = |len: usize| [u8::try_from(len).unwrap_or(u8::MAX)];
        let properties = u32::try_from(message.properties.len()).unwrap_or(u32::MAX);
        Self {
            exchange: byte(message.exchange.len()),
            routing_key: byte(message.routing_key.len()),
            properties: properties.to_be_bytes(),
        }
    }

    /// The slices of the payload in order; a large body is not among them.
    pub(crate) fn parts<'a>(&'a self, message: &Message<'a>) -> [&'a [u8]; 7] {
        let small: &[u8] = match message.body {
            Body::Small(bytes) => bytes,
            Body::Large(_) => &[],
        };
        [
            &self.exchange,
            message.exchange,
            &self.routing_key,
            message.routing_key,
            &self.properties,
            message.properties,
            small,
        ]
    }
}

/// How long the body is, as the log and the queues count it.
#[inline]
pub(crate) fn body_len(message: &Message<'_>) -> u32 {
    u32::try_from(message.body.len()).unwrap_or(u32::MAX)
}

/// Reads a payload back. None if its lengths do not fit it.
pub(crate) fn split(payload: &[u8]) -> Option<(Message<'_>, usize)> {
    let (&exchange_len, rest) = payload.split_first()?;
    let (exchange, rest) = rest.split_at_checked(exchange_len.into())?;
    let (&key_len, rest) = rest.split_first()?;
    let (routing_key, rest) = rest.split_at_checked(key_len.into())?;
    let (properties_len, rest) = rest.split_first_chunk::<4>()?;
    let (properties, body) = rest.split_at_checked(u32::from_be_bytes(*properties_len) as usize)?;
    let body_at = payload.len() - body.len();
    Some((Message { exchange, routing_key, properties, body: Body::Small(body) }, body_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_reads_back_and_a_cut_one_does_not() {
        let message =
            Message { exchange: b"x", routing_key: b"a.b", properties: &[0, 0], body: Body::Small(b"body") };
        let bytes = Lengths::of(&message).parts(&message).concat();
        let (read, body_at) = split(&bytes).unwrap();
        assert_eq!((read.exchange, read.routing_key, read.properties), (&b"x"[..], &b"a.b"[..], &[0, 0][..]));
        assert_eq!(&bytes[body_at..], b"body");
        for end in 0..body_at {
            assert!(split(&bytes[..end]).is_none(), "cut at {end}");
        }
    }
}
