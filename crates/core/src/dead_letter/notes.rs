//! What the broker knows of a message beside its properties, kept behind them and never shown.
//!
//! A dead-lettered message, and one that was published with a BCC header, carries facts that its properties do not
//! tell: whether its x-death is the broker's (a client may have sent one, which counts for nothing), which keys beside
//! its routing key it goes by (with a dead-letter routing key the CC header stays but holds no longer), which of those
//! nobody may see, and how often quorum queues saw it rejected. They stand behind the properties as
//!
//! ```text
//! properties, field table {d: bool, k: array of keys, b: array of hidden keys, r: i64}, u32 length of that table
//! ```
//! and whoever keeps the message remembers that they are there (`Keep::annotated`): bytes alone never say it, so no
//! client can forge them.

use leveret_protocol::field_table::{ArrayWriter, FieldTable, FieldValue, TableWriter};
use leveret_protocol::properties::PropertyView;

const DEATHS: &[u8] = b"d";
const KEYS: &[u8] = b"k";
const HIDDEN_KEYS: &[u8] = b"b";
const REJECTIONS: &[u8] = b"r";

/// The facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// The x-death header was written by the broker.
    pub has_deaths: bool,
    /// Keys that the message goes by beside its routing key, hidden ones included.
    pub extra_keys: Vec<Box<[u8]>>,
    /// Those of them that came by BCC.
    pub hidden_keys: Vec<Box<[u8]>>,
    /// How often clients rejected it from quorum queues. RabbitMQ tells that as x-delivery-count when the message first
    /// leaves another quorum queue.
    pub rejections: u32,
}

impl Notes {
    /// What a message's CC and BCC headers say of it; for one that carries no notes.
    #[must_use]
    pub fn of_headers(headers: Option<&FieldTable<'_>>) -> Self {
        let keys = |name: &[u8]| match headers.and_then(|headers| headers.get(name)) {
            Some(value) => keys(&value),
            None => Vec::new(),
        };
        let hidden_keys = keys(b"BCC");
        let mut extra_keys = keys(b"CC");
        extra_keys.extend(hidden_keys.iter().cloned());
        Self { has_deaths: false, extra_keys, hidden_keys, rejections: 0 }
    }

    /// Puts the notes behind a message's properties.
    #[must_use]
    pub fn behind(&self, properties: &[u8]) -> Vec<u8> {
        let mut table = TableWriter::new();
        // Keys are parts of a message whose size is bounded far below what a length can say.
        _ = table.put(DEATHS, &FieldValue::Bool(self.has_deaths));
        for (name, keys) in [(KEYS, &self.extra_keys), (HIDDEN_KEYS, &self.hidden_keys)] {
            let mut array = ArrayWriter::new();
            for key in keys {
                _ = array.put(&FieldValue::LongString(key));
            }
            if let Ok(array) = array.as_array() {
                _ = table.put(name, &FieldValue::Array(array));
            }
        }
        _ = table.put(REJECTIONS, &FieldValue::I64(self.rejections.into()));
        let table = table.into_content();
        let length = u32::try_from(table.len()).unwrap_or(u32::MAX);
        [properties, &table, &length.to_be_bytes()].concat()
    }

    /// The properties of a message that carries notes, without them.
    #[must_use]
    pub fn before(stored: &[u8]) -> &[u8] {
        split(stored).map_or(stored, |(properties, _)| properties)
    }

    /// The notes behind a message's properties.
    #[must_use]
    pub fn read(stored: &[u8]) -> Self {
        let table = split(stored).map(|(_, table)| FieldTable::new_checked(table));
        let Some(table) = table else { return Self::default() };
        let keys = |name: &[u8]| table.get(name).map(|value| keys(&value)).unwrap_or_default();
        Self {
            has_deaths: table.get(DEATHS) == Some(FieldValue::Bool(true)),
            extra_keys: keys(KEYS),
            hidden_keys: keys(HIDDEN_KEYS),
            rejections: table
                .get(REJECTIONS)
                .and_then(|value| value.as_i64())
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or_default(),
        }
    }

    /// The notes of a stored message, whether it carries them or its headers say it all, and its properties.
    #[must_use]
    pub fn of_stored(stored: &[u8], annotated: bool) -> (Self, &[u8]) {
        if annotated {
            return (Self::read(stored), Self::before(stored));
        }
        let headers = PropertyView::parse_kept(stored).ok().and_then(|view| view.headers_table());
        (Self::of_headers(headers.as_ref()), stored)
    }
}

fn split(stored: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, length) = stored.split_last_chunk::<4>()?;
    rest.split_at_checked(rest.len().checked_sub(u32::from_be_bytes(*length) as usize)?)
}

fn keys(value: &FieldValue<'_>) -> Vec<Box<[u8]>> {
    match value {
        FieldValue::Array(array) => {
            array.iter().filter_map(|value| value.as_long_string().map(Into::into)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some_keys() -> impl Strategy<Value = Vec<Box<[u8]>>> {
        let key = proptest::collection::vec(any::<u8>(), 0..300).prop_map(Into::into);
        proptest::collection::vec(key, 0..5)
    }

    proptest! {
        #[test]
        fn notes_come_back_and_leave_the_properties_alone(
            has_deaths: bool,
            extra_keys in some_keys(),
            hidden_keys in some_keys(),
            rejections: u32,
            properties in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let notes = Notes { has_deaths, extra_keys, hidden_keys, rejections };
            let stored = notes.behind(&properties);
            prop_assert_eq!(Notes::before(&stored), properties.as_slice());
            prop_assert_eq!(Notes::read(&stored), notes);
        }

        #[test]
        fn bytes_that_are_no_notes_are_read_as_none(stored in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Notes::read(&stored);
            prop_assert!(stored.starts_with(Notes::before(&stored)));
        }
    }
}
