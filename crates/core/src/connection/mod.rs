//! A connection's life from the protocol header to close-ok.
//!
//! ```text
//!  header -> start -> StartOk --login--> tune -> TuneOk -> Open --vhost--> Running
//!                        |                         |         |                |
//!                        +------------ error: close sent ----+----------------+--> Closing -> gone
//! ```
//!
//! This machine answers the methods of channel 0. Who may log in and which vhosts exist is asked of its caller
//! by [`Ask`].

mod heartbeat;
mod server_properties;
mod tls;

pub use heartbeat::{Due, Heartbeat};
pub use server_properties::Announcement;
pub use tls::{CertificateFacts, TlsFacts};

use leveret_protocol::amqp::{AMQPClass, AMQPValue, FieldTable, connection};
use leveret_protocol::constants::reply_code;

use crate::BrokerError;
use crate::ids::MonotonicMillis;
use crate::limits;

/// What the operator may set of the negotiation.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// The highest channel number; 0 is no limit.
    pub channel_max: u16,
    /// The largest frame in bytes.
    pub frame_max: u32,
    /// Heartbeat interval in seconds; 0 is off.
    pub heartbeat_s: u16,
    /// Time from accept to connection.open-ok, in milliseconds.
    pub handshake_timeout_ms: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            channel_max: limits::CHANNEL_MAX,
            frame_max: limits::FRAME_MAX_BYTES,
            heartbeat_s: limits::HEARTBEAT_S,
            handshake_timeout_ms: limits::HANDSHAKE_TIMEOUT_MS,
        }
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// connection.start is out.
    StartOk,
    /// connection.tune is out.
    TuneOk,
    /// tune-ok came; connection.open is next.
    Open,
    /// Open: channels work.
    Running,
    /// connection.close is out; only close and close-ok count.
    Closing,
}

/// What the machine wants done before it can go on.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Nothing.
    Nothing,
    /// Check these credentials, then call [`Connection::logged_in`].
    Login {
        /// The SASL mechanism.
        mechanism: String,
        /// Its response.
        response: Vec<u8>,
    },
    /// Check the vhost, then call [`Connection::opened`].
    Open {
        /// Its name.
        vhost: String,
    },
    /// Check the new secret of the logged-in user, then answer update-secret-ok.
    UpdateSecret {
        /// The new password or token.
        secret: Vec<u8>,
    },
    /// The peer closes: answer close-ok, then end.
    PeerCloses,
    /// The peer answered our close: end.
    PeerClosed,
}

/// What a client said of itself.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// All its properties.
    pub properties: FieldTable,
    /// It wants to hear why a login failed.
    pub authentication_failure_close: bool,
    /// It understands a basic.cancel from the broker.
    pub consumer_cancel_notify: bool,
    /// It understands connection.blocked.
    pub connection_blocked: bool,
}

impl Client {
    fn new(properties: FieldTable) -> Self {
        let capability = |name: &str| match properties.inner().get("capabilities") {
            Some(AMQPValue::FieldTable(table)) => table.inner().get(name) == Some(&AMQPValue::Boolean(true)),
            _ => false,
        };
        Self {
            authentication_failure_close: capability("authentication_failure_close"),
            consumer_cancel_notify: capability("consumer_cancel_notify"),
            connection_blocked: capability("connection.blocked"),
            properties,
        }
    }

    /// The client's `connection_name` property.
    #[must_use]
    pub fn connection_name(&self) -> Option<String> {
        match self.properties.inner().get("connection_name") {
            Some(AMQPValue::LongString(name)) => Some(String::from_utf8_lossy(name.as_bytes()).into_owned()),
            _ => None,
        }
    }
}

/// The state of one connection.
#[derive(Debug)]
pub struct Connection {
    phase: Phase,
    tuning: Tuning,
    client: Client,
    mechanism: String,
    frame_max: u32,
    channel_max: u16,
    heartbeat_s: u16,
    heartbeat: Heartbeat,
    handshake_deadline: MonotonicMillis,
    closing_deadline: Option<MonotonicMillis>,
}

impl Connection {
    /// A connection whose protocol header was right; `start` of the caller goes out next.
    #[must_use]
    pub fn new(tuning: Tuning, now: MonotonicMillis) -> Self {
        Self {
            phase: Phase::StartOk,
            client: Client::default(),
            mechanism: String::new(),
            frame_max: limits::HANDSHAKE_FRAME_MAX_BYTES,
            channel_max: 0,
            heartbeat_s: 0,
            heartbeat: Heartbeat::off(now),
            handshake_deadline: MonotonicMillis(now.0 + tuning.handshake_timeout_ms),
            closing_deadline: None,
            tuning,
        }
    }

    /// connection.start as it goes out first, with the SASL mechanisms that are offered, parted by spaces.
    #[must_use]
    pub fn start(announcement: &Announcement, mechanisms: &str) -> AMQPClass {
        AMQPClass::Connection(connection::AMQPMethod::Start(connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: announcement.to_table(),
            mechanisms: mechanisms.into(),
            locales: "en_US".into(),
        }))
    }

    /// Takes a method of channel 0.
    ///
    /// # Errors
    /// What RabbitMQ answers to a method out of place or with refused values.
    pub fn on_method(&mut self, method: connection::AMQPMethod) -> Result<Ask, BrokerError> {
        use connection::AMQPMethod as M;
        match (self.phase, method) {
            (Phase::Closing, M::Close(_)) | (Phase::Running, M::Close(_)) => Ok(Ask::PeerCloses),
            (Phase::Closing, M::CloseOk(_)) => Ok(Ask::PeerClosed),
            (Phase::Closing, _) => Ok(Ask::Nothing),
            (Phase::StartOk, M::StartOk(ok)) => {
                self.client = Client::new(ok.client_properties);
                self.mechanism = ok.mechanism.to_string();
                Ok(Ask::Login {
                    mechanism: ok.mechanism.to_string(),
                    response: ok.response.as_bytes().to_vec(),
                })
            }
            (Phase::TuneOk, M::TuneOk(ok)) => self.tune_ok(&ok).map(|()| Ask::Nothing),
            (Phase::Open, M::Open(open)) => Ok(Ask::Open { vhost: open.virtual_host.to_string() }),
            (Phase::Running, M::UpdateSecret(update)) => {
                Ok(Ask::UpdateSecret { secret: update.new_secret.as_bytes().to_vec() })
            }
            (phase, _) => Err(BrokerError::new(
                reply_code::CHANNEL_ERROR,
                format!("unexpected method in connection state {}", phase_name(phase)),
            )),
        }
    }

    /// The credentials are right: connection.tune.
    pub fn logged_in(&mut self) -> AMQPClass {
        self.phase = Phase::TuneOk;
        AMQPClass::Connection(connection::AMQPMethod::Tune(connection::Tune {
            channel_max: self.tuning.channel_max,
            frame_max: self.tuning.frame_max,
            heartbeat: self.tuning.heartbeat_s,
        }))
    }

    fn tune_ok(&mut self, ok: &connection::TuneOk) -> Result<(), BrokerError> {
        negotiated("frame_max", ok.frame_max, limits::FRAME_MIN_BYTES, self.tuning.frame_max)?;
        negotiated("channel_max", ok.channel_max.into(), 1, self.tuning.channel_max.into())?;
        self.frame_max = if ok.frame_max == 0 { limits::FRAME_MAX_BYTES } else { ok.frame_max };
        self.channel_max = ok.channel_max;
        self.heartbeat_s = ok.heartbeat;
        self.phase = Phase::Open;
        Ok(())
    }

    /// The vhost is there and allowed: connection.open-ok.
    pub fn opened(&mut self, now: MonotonicMillis) -> AMQPClass {
        self.phase = Phase::Running;
        self.heartbeat.start(self.heartbeat_s, now);
        AMQPClass::Connection(connection::AMQPMethod::OpenOk(connection::OpenOk {}))
    }

    /// connection.close went out; `timeout_ms` later the socket closes without close-ok.
    pub fn close_sent(&mut self, now: MonotonicMillis, timeout_ms: u64) {
        self.phase = Phase::Closing;
        self.closing_deadline = Some(MonotonicMillis(now.0 + timeout_ms));
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What the client said of itself.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The SASL mechanism it logged in by.
    #[must_use]
    pub fn mechanism(&self) -> &str {
        &self.mechanism
    }

    /// The largest frame in bytes, as far as it is negotiated.
    #[must_use]
    pub fn frame_max(&self) -> u32 {
        self.frame_max
    }

    /// The highest channel number as negotiated; 0 is no limit.
    #[must_use]
    pub fn channel_max(&self) -> u16 {
        self.channel_max
    }

    /// The heartbeat interval as negotiated, in seconds.
    #[must_use]
    pub fn heartbeat_s(&self) -> u16 {
        self.heartbeat_s
    }

    /// Both directions of the heartbeat.
    pub fn heartbeat(&mut self) -> &mut Heartbeat {
        &mut self.heartbeat
    }

    /// When [`Connection::timed_out`] or the heartbeat must be asked next.
    #[must_use]
    pub fn deadline(&self) -> Option<MonotonicMillis> {
        match self.phase {
            Phase::Closing => self.closing_deadline,
            Phase::Running => self.heartbeat.deadline(),
            Phase::StartOk | Phase::TuneOk | Phase::Open => Some(self.handshake_deadline),
        }
    }

    /// Whether the handshake or the wait for close-ok took too long.
    #[must_use]
    pub fn timed_out(&self, now: MonotonicMillis) -> bool {
        match self.phase {
            Phase::Running => false,
            _ => self.deadline().is_some_and(|deadline| now >= deadline),
        }
    }
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::StartOk => "starting",
        Phase::TuneOk => "tuning",
        Phase::Open => "opening",
        Phase::Running => "running",
        Phase::Closing => "closing",
    }
}

/// RabbitMQ's rule and text (`rabbit_reader:validate_negotiated_integer_value`): 0 asks for no limit at all.
fn negotiated(field: &str, client: u32, min: u32, server: u32) -> Result<(), BrokerError> {
    let (comparison, bound, allowed) = if client != 0 && client < min {
        ("lower", "minimum", min)
    } else if server != 0 && (client == 0 || client > server) {
        ("higher", "maximum", server)
    } else {
        return Ok(());
    };
    let detail = if client == 0 { " (no limit)" } else { "" };
    Err(BrokerError::not_allowed(format!(
        "negotiated {field} = {client}{detail} is {comparison} than the {bound} allowed value ({allowed})"
    )))
}

#[cfg(test)]
mod tests;
