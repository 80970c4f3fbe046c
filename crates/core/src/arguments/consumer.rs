//! The arguments of basic.consume.

use leveret_protocol::field_table::FieldValue;
use leveret_routing::erlang_term::type_name;

use super::{Arguments, QueueType};
use crate::error::BrokerError;

/// Arguments that only consumers of streams may have.
const STREAM_ONLY: &[&str] = &["x-stream-offset", "x-stream-filter", "x-stream-match-unfiltered"];

/// What a consumer asks for, in typed form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// `x-priority`; beyond 32 bits the nearest number. Higher ones are served first while they have credit.
    pub priority: i32,
}

impl ConsumerSettings {
    /// Checks a new consumer's arguments as RabbitMQ 4 does. `resource` is the queue as texts name it.
    ///
    /// # Errors
    /// 406 with RabbitMQ's texts for a priority that is no integer, and for the arguments of streams.
    pub fn parse(
        arguments: &Arguments,
        queue_type: QueueType,
        resource: impl Fn() -> String,
    ) -> Result<Self, BrokerError> {
        let priority = match arguments.get("x-priority") {
            None => 0,
            Some(value) => priority(&value).ok_or_else(|| {
                let resource = resource();
                let given = type_name(&value);
                let why = format!("\"expected integer, got {given}\"");
                BrokerError::precondition_failed(format!("invalid arg 'x-priority' for {resource}: {why}"))
            })?,
        };
        if let Some(key) = STREAM_ONLY.iter().find(|key| arguments.get(key).is_some()) {
            let (resource, module) = (resource(), queue_type.module());
            let text = format!("invalid arg '{key}' for {resource} of queue type {module}");
            return Err(BrokerError::precondition_failed(text));
        }
        Ok(Self { priority })
    }
}

fn priority(value: &FieldValue<'_>) -> Option<i32> {
    let number = value.as_i64()?;
    Some(i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX }))
}

#[cfg(test)]
mod tests {
    use leveret_protocol::amqp::{AMQPValue, FieldTable, short_string};

    use super::*;

    #[test]
    fn consumers_arguments_are_checked_in_rabbitmqs_words() {
        let text = || AMQPValue::LongString("a".into());
        for (key, value, expected) in [
            ("x-priority", AMQPValue::ShortInt(-3), "-3"),
            ("x-priority", AMQPValue::LongLongInt(1 << 40), "2147483647"),
            (
                "x-priority",
                text(),
                "406 PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' in vhost '/': \"expected integer, got \
                 longstr\"",
            ),
            (
                "x-stream-offset",
                text(),
                "406 PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 'q' in vhost '/' of queue type \
                 rabbit_quorum_queue",
            ),
            ("x-cancel-on-ha-failover", AMQPValue::Boolean(true), "0"),
        ] {
            let mut table = FieldTable::default();
            table.insert(short_string(key), value);
            let arguments = Arguments::from_amqp(&table).expect("within bounds");
            let resource = || "queue 'q' in vhost '/'".to_owned();
            let got = ConsumerSettings::parse(&arguments, QueueType::Quorum, resource);
            let got = got.map_or_else(|error| error.to_string(), |settings| settings.priority.to_string());
            assert_eq!(got, expected, "{key}");
        }
    }
}
