//! Counts deliveries frame by frame and checks each: its tag, its size, its first bytes' worth of body.

use leveret_protocol::amqp::{AMQPClass, basic};
use leveret_protocol::constants::{basic_method_id, class_id};
use leveret_protocol::frame::{Frame, FrameKind};
use leveret_protocol::properties::parse_content_header;
use leveret_protocol::{Method, decode_method};

use crate::client::closed;
use crate::error::PerfError;

/// Class and method of basic.deliver.
const DELIVER: [u8; 4] = [0, class_id::BASIC as u8, 0, basic_method_id::DELIVER as u8];

/// What one consumer has received.
#[derive(Debug)]
pub(crate) struct Deliveries {
    body_bytes: u64,
    /// Tag of the newest delivery; a channel counts them from 1.
    last_tag: u64,
    /// Body bytes still owed of the newest delivery, once its header was read.
    owed: u64,
    expects_header: bool,
    complete: u64,
}

impl Deliveries {
    /// Expects bodies of this size.
    pub(crate) fn new(body_bytes: u64) -> Self {
        Self { body_bytes, last_tag: 0, owed: 0, expects_header: false, complete: 0 }
    }

    /// Whole messages so far.
    pub(crate) fn complete(&self) -> u64 {
        self.complete
    }

    /// Takes the next frame.
    ///
    /// # Errors
    /// For a close, a cancel, a gap in the tags, a body of another size, and whatever is no delivery.
    #[inline]
    pub(crate) fn take(&mut self, frame: &Frame<'_>) -> Result<(), PerfError> {
        match frame.kind {
            FrameKind::Method if frame.payload.starts_with(&DELIVER) => self.deliver(frame.payload),
            FrameKind::Header if self.expects_header => {
                let size = parse_content_header(frame.payload)?.body_size;
                if size != self.body_bytes {
                    let text = format!("a body of {size} bytes instead of {}", self.body_bytes);
                    return Err(PerfError::Counts(text));
                }
                self.expects_header = false;
                self.owed = size;
                self.finish();
                Ok(())
            }
            FrameKind::Body if self.owed >= frame.payload.len() as u64 => {
                self.owed -= frame.payload.len() as u64;
                self.finish();
                Ok(())
            }
            FrameKind::Heartbeat => Ok(()),
            FrameKind::Method => other_method(frame.payload),
            FrameKind::Header | FrameKind::Body => {
                Err(PerfError::Unexpected("content that no delivery announced".to_owned()))
            }
        }
    }

    fn deliver(&mut self, payload: &[u8]) -> Result<(), PerfError> {
        let Method::Deliver(deliver) = decode_method(payload)? else {
            return Err(PerfError::Unexpected("a method that looks like a delivery".to_owned()));
        };
        if self.expects_header || self.owed > 0 {
            return Err(PerfError::Unexpected("a delivery within another".to_owned()));
        }
        if deliver.delivery_tag != self.last_tag + 1 {
            let text = format!("delivery tag {} after {}", deliver.delivery_tag, self.last_tag);
            return Err(PerfError::Counts(text));
        }
        self.last_tag = deliver.delivery_tag;
        self.expects_header = true;
        Ok(())
    }

    #[inline]
    fn finish(&mut self) {
        if self.owed == 0 {
            self.complete += 1;
        }
    }
}

#[cold]
fn other_method(payload: &[u8]) -> Result<(), PerfError> {
    let Method::Cold(method) = decode_method(payload)? else {
        return Err(PerfError::Unexpected("a confirm or a return for a consumer".to_owned()));
    };
    if let Some(error) = closed(&method) {
        return Err(error);
    }
    match method {
        AMQPClass::Basic(basic::AMQPMethod::Cancel(_)) => {
            Err(PerfError::Unexpected("the broker cancelled the consumer".to_owned()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use leveret_protocol::encode::{encode_body, encode_content_header, encode_deliver};
    use leveret_protocol::method::Deliver;
    use leveret_protocol::parse_frame;

    use super::*;

    /// The frames of deliveries with these tags and body sizes, taken one after the other.
    fn take(expected: u64, messages: &[(u64, usize)]) -> Result<u64, PerfError> {
        let mut bytes = Vec::new();
        for &(delivery_tag, size) in messages {
            let deliver = Deliver {
                consumer_tag: b"c",
                delivery_tag,
                redelivered: false,
                exchange: b"",
                routing_key: b"q",
            };
            encode_deliver(&mut bytes, 1, &deliver);
            encode_content_header(&mut bytes, 1, class_id::BASIC, size as u64, &[0, 0]);
            encode_body(&mut bytes, 1, 4096, &vec![b'x'; size]);
        }
        let mut deliveries = Deliveries::new(expected);
        let mut rest = &bytes[..];
        while let Some((frame, used)) = parse_frame(rest, 4096)? {
            deliveries.take(&frame)?;
            rest = &rest[used..];
        }
        Ok(deliveries.complete())
    }

    #[test]
    fn whole_messages_are_counted_whatever_their_frames() {
        assert_eq!(take(0, &[(1, 0), (2, 0)]).unwrap(), 2);
        assert_eq!(take(16, &[(1, 16), (2, 16), (3, 16)]).unwrap(), 3);
        assert_eq!(take(10_000, &[(1, 10_000), (2, 10_000)]).unwrap(), 2);
    }

    #[test]
    fn a_lost_a_repeated_and_an_altered_message_are_seen() {
        for messages in [&[(1, 16), (3, 16)][..], &[(1, 16), (1, 16)], &[(1, 15)], &[(2, 16)]] {
            assert!(matches!(take(16, messages), Err(PerfError::Counts(_))), "{messages:?}");
        }
    }
}
