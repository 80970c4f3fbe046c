//! Channel 0: login, vhost, close, and the secret's renewal.

use leveret_core::BrokerError;
use leveret_core::connection::{Ask, Phase};
use leveret_core::ids::MonotonicMillis;
use leveret_protocol::amqp::{AMQPClass, connection};
use leveret_protocol::constants::reply_code;
use leveret_protocol::method::{Method, decode_method};

use super::methods::decode_failure;
use super::{Failure, Flow, Session};
use crate::seams::{Seams, SharedRw};
use crate::stats::count;

impl<S: Seams> Session<S> {
    /// A method frame on channel 0.
    pub(super) fn connection_method(&mut self, payload: &[u8], now: MonotonicMillis) -> Result<(), Failure> {
        let phase = self.connection.phase();
        let method = decode_method(payload).map_err(|error| decode_failure(&error, payload))?;
        let ids = method.ids();
        let Method::Cold(AMQPClass::Connection(method)) = method else {
            if phase == Phase::Closing {
                return Ok(());
            }
            let text = "unexpected method in connection state running";
            return Err(Failure::new(BrokerError::new(reply_code::CHANNEL_ERROR, text), 0, ids));
        };
        let ask = self.connection.on_method(method).map_err(|error| Failure::new(error, 0, ids))?;
        self.answer_ask(ask, now).map_err(|error| Failure::new(error, 0, ids))
    }

    fn answer_ask(&mut self, ask: Ask, now: MonotonicMillis) -> Result<(), BrokerError> {
        match ask {
            Ask::Nothing => Ok(()),
            Ask::Login { mechanism, response } => self.login(&mechanism, &response, now),
            Ask::Open { vhost } => self.open(&vhost, now),
            Ask::UpdateSecret { secret } => self.update_secret(&secret),
            Ask::PeerCloses => {
                self.peer_closes();
                Ok(())
            }
            Ask::PeerClosed => {
                self.flow = Flow::CloseAfterFlush;
                Ok(())
            }
        }
    }

    fn login(&mut self, mechanism: &str, response: &[u8], now: MonotonicMillis) -> Result<(), BrokerError> {
        let user = match self.broker.login(mechanism, response, self.peer.origin()) {
            Ok(user) => user,
            Err(refusal) => return self.refuse_login(refusal, now),
        };
        self.entry.logged_in(&user, mechanism, self.connection.client());
        self.user = Some(user);
        let tune = self.connection.logged_in();
        self.send(0, tune);
        Ok(())
    }

    /// A client that understands it hears why; any other finds its socket closed after a while, so that guessing
    /// passwords is slow (RabbitMQ waits 3 seconds; our shell does, by the deadline of the closing state).
    fn refuse_login(
        &mut self,
        refusal: Option<BrokerError>,
        now: MonotonicMillis,
    ) -> Result<(), BrokerError> {
        match refusal {
            Some(error) if self.connection.client().authentication_failure_close => {
                let mut failure = Failure::new(error.on_connection(), 0, (0, 0));
                failure.desynchronized = false;
                self.close_connection(&failure, now);
            }
            _ => self.connection.close_sent(now, super::close::SILENT_CLOSE_MS),
        }
        Ok(())
    }

    fn open(&mut self, name: &str, now: MonotonicMillis) -> Result<(), BrokerError> {
        let user = self.user.clone().ok_or_else(|| BrokerError::internal("connection has no user"))?;
        let vhost = self.broker.open_vhost(&user, name)?;
        count(&self.broker.counters.connections_opened);
        self.entry.opened(&vhost.name, &self.connection);
        // Who deleted it meanwhile has not seen this connection there yet.
        vhost.topology.read(leveret_core::vhost::Vhost::check_exists)?;
        tracing::info!(connection = %self.name(), %user, vhost = %vhost.name, "authenticated and opened");
        self.vhost = Some(vhost);
        let frame_max = self.connection.frame_max();
        self.outbox.with(|outbox| outbox.frame_max = frame_max);
        let open_ok = self.connection.opened(now);
        self.send(0, open_ok);
        Ok(())
    }

    /// RabbitMQ's internal users have nothing to renew: any secret is taken, as there.
    fn update_secret(&mut self, _secret: &[u8]) -> Result<(), BrokerError> {
        let ok = connection::UpdateSecretOk {};
        self.send(0, AMQPClass::Connection(connection::AMQPMethod::UpdateSecretOk(ok)));
        Ok(())
    }
}
