//! amq-protocol's types, under one roof, so that no other crate depends on it directly.
//!
//! These are the vocabulary of the cold methods and of arguments. Their parsers are not re-exported:
//! they recurse without a bound, so bytes go through [`decode_method`](crate::decode_method) and
//! [`FieldTable::to_amqp`](crate::field_table::FieldTable::to_amqp) instead.
//!
//! `ShortString::from` panics beyond 255 bytes: use [`short_string`] for text of unknown length.

pub use amq_protocol::protocol::{
    AMQPClass, BasicProperties, access, basic, channel, confirm, connection, exchange, queue, tx,
};
pub use amq_protocol::types::{
    AMQPType, AMQPValue, ByteArray, DecimalValue, FieldArray, FieldTable, LongString, ShortString,
};

/// `text` as a short string, cut at the last whole character within 255 bytes.
///
/// Reply texts are cut so, as RabbitMQ cuts its own.
pub fn short_string(text: &str) -> ShortString {
    let end = text.floor_char_boundary(crate::limits::SHORT_STRING_BYTES);
    ShortString::from(text.get(..end).unwrap_or_default())
}
