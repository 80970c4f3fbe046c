//! The arguments of declarations: kept as they came, parsed once into settings, compared on redeclaration.
//!
//! Owns [`Arguments`], the bytes of a declaration's table. [`settings`] has RabbitMQ 4's checks of what may stand in a
//! queue's, [`consumer`] in a consumer's, [`equivalence`] what a redeclaration must repeat.

pub mod consumer;
pub mod equivalence;
pub mod settings;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use leveret_protocol::amqp::{self, AMQPValue};
use leveret_protocol::error::DecodeError;
use leveret_protocol::field_table::{self, FieldTable, FieldValue};
use leveret_routing::erlang_term::type_name;

use crate::admin::{self, Argument};
use crate::error::BrokerError;
use crate::names::ExchangeName;

pub use consumer::ConsumerSettings;
pub use settings::{DeadLetterStrategy, Overflow, QueueProperties, QueueSettings, QueueType};

/// A declaration's arguments: a field table's content in the order of its names, so that equal tables are equal
/// bytes. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arguments(Arc<[u8]>);

impl Default for Arguments {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl Arguments {
    /// Arguments as a method brought them.
    ///
    /// # Errors
    /// [`DecodeError`] for a table beyond the bounds of `leveret_protocol::limits`.
    pub fn from_amqp(table: &amqp::FieldTable) -> Result<Self, DecodeError> {
        if table.inner().is_empty() {
            return Ok(Self::default());
        }
        field_table::from_amqp(table).map(|content| Self(content.into()))
    }

    /// Arguments from a table's content that [`Arguments::as_bytes`] gave before.
    ///
    /// # Errors
    /// [`DecodeError`] for bytes that are no table.
    pub fn from_content(content: &[u8]) -> Result<Self, DecodeError> {
        FieldTable::parse(content).map(|table| Self(table.as_bytes().into()))
    }

    /// The table's content, without a length before it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], FieldValue<'_>)> {
        FieldTable::parse(&self.0).into_iter().flatten()
    }

    /// The value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<FieldValue<'_>> {
        FieldTable::parse(&self.0).ok()?.get(name.as_bytes())
    }

    /// These and one more text; what would pass the bounds of a table stays as it is.
    #[must_use]
    pub fn with_text(&self, name: &str, text: &str) -> Self {
        let mut table = self.to_amqp();
        table.insert(amqp::short_string(name), AMQPValue::LongString(text.into()));
        Self::from_amqp(&table).unwrap_or_else(|_| self.clone())
    }

    /// Arguments as management has them.
    ///
    /// # Errors
    /// [`DecodeError`] for a table beyond the bounds of `leveret_protocol::limits`.
    pub fn from_admin(table: &admin::Arguments) -> Result<Self, DecodeError> {
        Self::from_amqp(&amqp_table(table))
    }

    /// As management sees them.
    #[must_use]
    pub fn to_admin(&self) -> admin::Arguments {
        FieldTable::parse(&self.0).map(table_view).unwrap_or_default()
    }

    /// As amq-protocol's table.
    #[must_use]
    pub fn to_amqp(&self) -> amqp::FieldTable {
        FieldTable::parse(&self.0).map(|table| table.to_amqp()).unwrap_or_default()
    }
}

fn amqp_table(table: &admin::Arguments) -> amqp::FieldTable {
    let mut amqp = amqp::FieldTable::default();
    for (name, value) in table {
        amqp.insert(amqp::short_string(name), amqp_value(value));
    }
    amqp
}

// Recurses as deep as the caller's value, which JSON's reader has bounded.
fn amqp_value(value: &Argument) -> AMQPValue {
    match value {
        Argument::Void => AMQPValue::Void,
        Argument::Bool(value) => AMQPValue::Boolean(*value),
        Argument::Byte(value) => AMQPValue::ShortShortInt(*value),
        Argument::UnsignedByte(value) => AMQPValue::ShortShortUInt(*value),
        Argument::Short(value) => AMQPValue::ShortInt(*value),
        Argument::UnsignedShort(value) => AMQPValue::ShortUInt(*value),
        Argument::SignedInt(value) => AMQPValue::LongInt(*value),
        Argument::UnsignedInt(value) => AMQPValue::LongUInt(*value),
        Argument::Long(value) => AMQPValue::LongLongInt(*value),
        Argument::Float(value) => AMQPValue::Float(*value),
        Argument::Double(value) => AMQPValue::Double(*value),
        Argument::Decimal(scale, value) => {
            AMQPValue::DecimalValue(amqp::DecimalValue { scale: *scale, value: *value })
        }
        Argument::LongStr(bytes) => AMQPValue::LongString(bytes.clone().into()),
        Argument::Binary(bytes) => AMQPValue::ByteArray(bytes.clone().into()),
        Argument::Timestamp(seconds) => AMQPValue::Timestamp(*seconds),
        Argument::Array(values) => {
            AMQPValue::FieldArray(values.iter().map(amqp_value).collect::<Vec<_>>().into())
        }
        Argument::Table(table) => AMQPValue::FieldTable(amqp_table(table)),
    }
}

fn table_view(table: FieldTable<'_>) -> admin::Arguments {
    table
        .iter()
        .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value_view(value)))
        .collect()
}

// Recurses as deep as a checked table goes (`leveret_protocol::limits::TABLE_DEPTH`).
fn value_view(value: FieldValue<'_>) -> Argument {
    match value {
        FieldValue::Bool(value) => Argument::Bool(value),
        FieldValue::I8(value) => Argument::Byte(value),
        FieldValue::U8(value) => Argument::UnsignedByte(value),
        FieldValue::I16(value) => Argument::Short(value),
        FieldValue::U16(value) => Argument::UnsignedShort(value),
        FieldValue::I32(value) => Argument::SignedInt(value),
        FieldValue::U32(value) => Argument::UnsignedInt(value),
        FieldValue::I64(value) => Argument::Long(value),
        FieldValue::F32(value) => Argument::Float(value),
        FieldValue::F64(value) => Argument::Double(value),
        FieldValue::Decimal { scale, value } => Argument::Decimal(scale, value),
        FieldValue::LongString(bytes) => Argument::LongStr(bytes.to_vec()),
        FieldValue::Bytes(bytes) => Argument::Binary(bytes.to_vec()),
        FieldValue::Timestamp(seconds) => Argument::Timestamp(seconds),
        FieldValue::Array(array) => Argument::Array(array.iter().map(value_view).collect()),
        FieldValue::Table(table) => Argument::Table(table_view(table)),
        FieldValue::Void => Argument::Void,
    }
}
/// The exchange that a new queue dead-letters to. RabbitMQ looks at it before all other arguments, to check the
/// permissions to read the queue and to write to that exchange.
///
/// # Errors
/// 406 for a value that is no text.
pub fn dead_letter_exchange(
    arguments: &Arguments,
    queue: &str,
    vhost: &str,
) -> Result<Option<ExchangeName>, BrokerError> {
    exchange_argument(arguments, "x-dead-letter-exchange", &format!("queue '{queue}' in vhost '{vhost}'"))
}

/// The alternate exchange that a new exchange names.
///
/// # Errors
/// 406 for a value that is no text.
pub fn alternate_exchange(
    arguments: &Arguments,
    exchange: &str,
    vhost: &str,
) -> Result<Option<ExchangeName>, BrokerError> {
    exchange_argument(arguments, "alternate-exchange", &format!("exchange '{exchange}' in vhost '{vhost}'"))
}

fn exchange_argument(
    arguments: &Arguments,
    key: &str,
    resource: &str,
) -> Result<Option<ExchangeName>, BrokerError> {
    match arguments.get(key) {
        None => Ok(None),
        Some(FieldValue::LongString(name)) => {
            Ok(Some(ExchangeName::from(String::from_utf8_lossy(name).into_owned())))
        }
        Some(other) => Err(BrokerError::precondition_failed(format!(
            "invalid type '{}' for arg '{key}' in {resource}",
            type_name(&other)
        ))),
    }
}
