//! What connection.start says of the broker.

use leveret_protocol::amqp::{AMQPValue, FieldTable};

/// RabbitMQ's nine capabilities; clients gate features on them.
const CAPABILITIES: [&str; 9] = [
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
];

/// How the broker introduces itself. Some clients insist on RabbitMQ's name and parse its version, so these are
/// announced by default; Leveret's own stand in `information` and under `leveret`.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// `product`.
    pub product: String,
    /// `version`.
    pub version: String,
    /// Leveret's own version.
    pub leveret_version: String,
    /// `cluster_name`.
    pub cluster_name: String,
    /// `platform`.
    pub platform: String,
}

impl Default for Announcement {
    fn default() -> Self {
        Self {
            product: "RabbitMQ".to_owned(),
            version: "4.0.5".to_owned(),
            leveret_version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster_name: "rabbit@localhost".to_owned(),
            platform: "Rust".to_owned(),
        }
    }
}

impl Announcement {
    /// The server-properties of connection.start.
    #[must_use]
    pub fn to_table(&self) -> FieldTable {
        let mut capabilities = FieldTable::default();
        for name in CAPABILITIES {
            capabilities.insert(name.into(), AMQPValue::Boolean(true));
        }
        let leveret = &self.leveret_version;
        let mut table = FieldTable::default();
        table.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
        for (key, value) in [
            ("cluster_name", self.cluster_name.clone()),
            ("copyright", "Copyright (c) The Leveret authors.".to_owned()),
            ("information", format!("Leveret {leveret}. Licensed under the MIT or Apache-2.0 licence.")),
            ("platform", self.platform.clone()),
            ("product", self.product.clone()),
            ("version", self.version.clone()),
            ("leveret", leveret.clone()),
        ] {
            table.insert(key.into(), AMQPValue::LongString(value.into()));
        }
        table
    }
}
