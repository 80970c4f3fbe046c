//! The x-death header: one entry for each queue and reason, the newest first.

use leveret_protocol::field_table::{ArrayWriter, FieldTable, FieldValue, TableWriter};

use super::Reason;
use crate::ids::UnixMillis;

/// One more death to be recorded.
pub(super) struct Death<'a> {
    pub(super) queue: &'a str,
    pub(super) reason: Reason,
    pub(super) time: UnixMillis,
    /// Where the message was published to.
    pub(super) exchange: &'a [u8],
    /// The keys it went by, as far as they may be seen.
    pub(super) routing_keys: Vec<&'a [u8]>,
    /// Its expiration, if it had one.
    pub(super) expiration_ms: Option<u64>,
}

/// The header's entries, as tables.
pub(super) fn entries(header: Option<FieldValue<'_>>) -> Vec<FieldTable<'_>> {
    let Some(FieldValue::Array(array)) = header else { return Vec::new() };
    let table = |value| match value {
        FieldValue::Table(table) => Some(table),
        _ => None,
    };
    array.iter().filter_map(table).collect()
}

/// Queue and reason of an entry.
pub(super) fn key<'a>(entry: &FieldTable<'a>) -> (&'a [u8], &'a [u8]) {
    let text = |name: &[u8]| entry.get(name).and_then(|value| value.as_long_string()).unwrap_or_default();
    (text(b"queue"), text(b"reason"))
}

/// The header's array after one more death, as its content. An entry of the same queue and reason counts one up and
/// comes first; all else of it stays as it was at its first time.
pub(super) fn record(entries: &[FieldTable<'_>], death: &Death<'_>) -> Vec<u8> {
    let is_same =
        |entry: &FieldTable<'_>| key(entry) == (death.queue.as_bytes(), death.reason.as_str().as_bytes());
    let newest = match entries.iter().find(|entry| is_same(entry)) {
        Some(entry) => counted_up(entry),
        None => new_entry(death),
    };
    let mut content = Vec::new();
    put_table(&mut content, &newest);
    for entry in entries.iter().filter(|entry| !is_same(entry)) {
        put_table(&mut content, entry.as_bytes());
    }
    content
}

fn counted_up(entry: &FieldTable<'_>) -> Vec<u8> {
    let mut table = TableWriter::new();
    for (name, value) in entry.iter() {
        let value = match value {
            FieldValue::I64(count) if name == b"count" => FieldValue::I64(count.saturating_add(1)),
            other => other,
        };
        // What was read from a table fits one.
        _ = table.put(name, &value);
    }
    table.into_content()
}

/// An entry in the order in which RabbitMQ 4 writes it.
fn new_entry(death: &Death<'_>) -> Vec<u8> {
    let mut keys = ArrayWriter::new();
    for key in &death.routing_keys {
        _ = keys.put(&FieldValue::LongString(key));
    }
    let mut table = TableWriter::new();
    if let Some(expiration) = death.expiration_ms {
        _ = table.put(b"original-expiration", &FieldValue::LongString(expiration.to_string().as_bytes()));
    }
    let fields = [
        (&b"count"[..], FieldValue::I64(1)),
        (b"reason", FieldValue::LongString(death.reason.as_str().as_bytes())),
        (b"queue", FieldValue::LongString(death.queue.as_bytes())),
        (b"time", FieldValue::Timestamp(death.time.0 / 1000)),
        (b"exchange", FieldValue::LongString(death.exchange)),
    ];
    for (name, value) in fields {
        _ = table.put(name, &value);
    }
    if let Ok(keys) = keys.as_array() {
        _ = table.put(b"routing-keys", &FieldValue::Array(keys));
    }
    table.into_content()
}

fn put_table(array: &mut Vec<u8>, content: &[u8]) {
    array.push(b'F');
    array.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
    array.extend_from_slice(content);
}
