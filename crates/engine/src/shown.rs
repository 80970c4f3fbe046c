//! A message's properties as others see them: without the broker's notes, with the count of its returns.

use std::borrow::Cow;

use leveret_core::dead_letter::Notes;
use leveret_core::message::Message;
use leveret_core::queue::{Contents, Entry};
use leveret_protocol::field_table::{FieldTable, FieldValue, TableWriter};
use leveret_protocol::properties::{PropertiesBuilder, PropertyView};

/// The header that says how often a message came back (quorum queues).
const X_DELIVERY_COUNT: &[u8] = b"x-delivery-count";

/// The properties of a queue's message as a consumer gets them.
#[must_use]
pub fn properties<'a>(contents: &Contents, message: &Message<'a>, entry: &Entry) -> Cow<'a, [u8]> {
    // Neither holds for most messages, which cost two looks at their entry.
    if !entry.is_annotated() && entry.delivery_count() == 0 {
        return Cow::Borrowed(message.properties);
    }
    let shown = if entry.is_annotated() { Notes::before(message.properties) } else { message.properties };
    let count = match entry.delivery_count() {
        // Its own queue has nothing to tell yet, so the ones before it do, as in RabbitMQ.
        0 if contents.counts_deliveries() => Notes::read(message.properties).rejections,
        count => count,
    };
    match count {
        0 => Cow::Borrowed(shown),
        count => Cow::Owned(with_delivery_count(shown, count)),
    }
}

/// Sorted by name and each name once, as RabbitMQ delivers headers that it adds to.
fn with_delivery_count(properties: &[u8], count: u32) -> Vec<u8> {
    // What is in a queue was checked when it was published.
    let Ok(view) = PropertyView::parse_kept(properties) else { return properties.to_vec() };
    let mut fields = vec![(X_DELIVERY_COUNT, FieldValue::I64(count.into()))];
    fields.extend(view.headers_table().iter().flat_map(FieldTable::iter));
    fields.sort_by_key(|(name, _)| *name);
    fields.dedup_by_key(|(name, _)| *name);
    let mut table = TableWriter::new();
    for (name, value) in fields {
        // What was read from a table fits one.
        _ = table.put(name, &value);
    }
    let mut builder = PropertiesBuilder::from(view);
    builder.set_headers(&table.into_content());
    builder.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_takes_its_place_among_the_headers_as_rabbitmq_sends_them() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(&with_delivery_count(&[0, 0], 1)),
            "20000000001a10782d64656c69766572792d636f756e746c0000000000000001"
        );
        let mut table = TableWriter::new();
        table.put(b"x-delivery-count", &FieldValue::I32(99)).unwrap();
        table.put(b"m", &FieldValue::I32(1)).unwrap();
        let properties = PropertiesBuilder::new().set_headers(&table.into_content()).to_vec();
        assert_eq!(
            hex(&with_delivery_count(&properties, 2)),
            "200000000021016d490000000110782d64656c69766572792d636f756e746c0000000000000002"
        );
    }
}
