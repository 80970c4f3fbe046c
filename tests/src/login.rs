//! What a client says between the protocol header and `connection.open-ok`.

use crate::wire::Table;

/// The answers of a client during the handshake; the default logs in as guest and announces every capability.
#[derive(Debug, Clone)]
pub struct Login {
    /// `client-properties` of start-ok.
    pub properties: Table,
    /// SASL mechanism.
    pub mechanism: String,
    /// SASL response.
    pub response: Vec<u8>,
    /// `channel-max` of tune-ok; `None` takes the broker's.
    pub channel_max: Option<u16>,
    /// `frame-max` of tune-ok; `None` takes the broker's.
    pub frame_max: Option<u32>,
    /// Seconds; the tests switch heartbeats off unless they are the subject.
    pub heartbeat: u16,
    /// Virtual host to open.
    pub vhost: String,
}

impl Default for Login {
    fn default() -> Self {
        Self {
            properties: capabilities(true),
            mechanism: "PLAIN".into(),
            response: plain("guest", "guest"),
            channel_max: None,
            frame_max: None,
            heartbeat: 0,
            vhost: "/".into(),
        }
    }
}

/// Client properties that announce every capability, or none.
#[must_use]
pub fn capabilities(on: bool) -> Table {
    let names = [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "authentication_failure_close",
    ];
    let list = names.iter().fold(Table::default(), |table, name| table.flag(name, on));
    Table::default().text("product", "leveret-tests").table("capabilities", &list)
}

/// The response of the PLAIN mechanism.
#[must_use]
pub fn plain(user: &str, password: &str) -> Vec<u8> {
    format!("\0{user}\0{password}").into_bytes()
}

/// The response of the AMQPLAIN mechanism: a field table without its length.
#[must_use]
pub fn amqplain(user: &str, password: &str) -> Vec<u8> {
    Table::default().text("LOGIN", user).text("PASSWORD", password).0
}
