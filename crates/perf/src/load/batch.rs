//! Many copies of one publish, framed once, so that a write of any number of them is a slice.

use leveret_protocol::constants::class_id;
use leveret_protocol::encode::{encode_body, encode_content_header, encode_publish};
use leveret_protocol::method::Publish;
use leveret_protocol::properties::{PropertiesBuilder, Property};

use crate::client::CHANNEL;

/// Bytes of one write, at most, unless a single message is larger.
const WRITE_BYTES: usize = 128 * 1024;

/// The bytes of a write.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    messages: u64,
}

impl Batch {
    /// At most `most_messages` publishes to a queue through the default exchange.
    pub(crate) fn new(
        queue: &str,
        size: usize,
        persistent: bool,
        frame_max: u32,
        most_messages: u64,
    ) -> Self {
        let mut properties = PropertiesBuilder::new();
        if persistent {
            properties.set_octet(Property::DeliveryMode, 2);
        }
        let publish =
            Publish { exchange: b"", routing_key: queue.as_bytes(), mandatory: false, immediate: false };
        let mut one = Vec::new();
        encode_publish(&mut one, CHANNEL, &publish);
        encode_content_header(&mut one, CHANNEL, class_id::BASIC, size as u64, &properties.to_vec());
        encode_body(&mut one, CHANNEL, frame_max, &vec![b'x'; size]);
        let fit = (WRITE_BYTES / one.len()).max(1);
        let count = fit.min(usize::try_from(most_messages).unwrap_or(fit)).max(1);
        Self { bytes: one.repeat(count), messages: count as u64 }
    }

    /// Everything.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Messages in it.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_by_bytes_and_by_messages() {
        let table = [(16, 1_000_000, 1_000..3_000), (16, 250, 250..251), (1 << 20, 250, 1..2), (16, 0, 1..2)];
        for (size, most, messages) in table {
            let batch = Batch::new("q", size, false, 131_072, most);
            assert!(messages.contains(&batch.messages()), "{size} {most}: {}", batch.messages());
            assert_eq!(batch.bytes().len() as u64 % batch.messages(), 0);
        }
    }
}
