//! Where a published message goes.

use leveret_routing::{ExchangeKey, ExchangeType, Publication, QueueKey, Routes};

use super::Vhost;
use crate::error::BrokerError;
use crate::ids::QueueId;

impl From<QueueKey> for QueueId {
    fn from(key: QueueKey) -> Self {
        Self(key.0)
    }
}

impl From<QueueId> for QueueKey {
    fn from(id: QueueId) -> Self {
        Self(id.0)
    }
}

impl Vhost {
    /// The exchange that a client publishes to. The permission to write to it is the caller's to ask first.
    ///
    /// # Errors
    /// 404, 403 for an internal exchange.
    pub fn exchange_to_publish(&self, name: &[u8]) -> Result<ExchangeKey, BrokerError> {
        let exchange = std::str::from_utf8(name).ok().and_then(|name| self.exchanges.get(name));
        let Some(exchange) = exchange else { return Err(self.no_exchange(&String::from_utf8_lossy(name))) };
        if exchange.definition.internal {
            let resource = self.exchange_resource(&exchange.definition.name);
            return Err(BrokerError::access_refused(format!("cannot publish to internal {resource}")));
        }
        Ok(exchange.key)
    }

    /// Whether it is a topic exchange, where topic permissions count.
    #[must_use]
    pub fn is_topic(&self, exchange: ExchangeKey) -> bool {
        self.router.exchange(exchange).is_some_and(|exchange| exchange.exchange_type() == ExchangeType::Topic)
    }

    /// The default exchange: its routing keys are names of queues.
    #[must_use]
    pub const fn default_exchange(&self) -> ExchangeKey {
        self.default_exchange
    }

    /// Writes the queues that a message reaches into `routes`, each once, and the exchanges it passed with their
    /// generations.
    pub fn route(&self, exchange: ExchangeKey, message: &Publication<'_>, routes: &mut Routes) {
        if exchange != self.default_exchange {
            return self.router.route(exchange, message, routes);
        }
        routes.clear();
        routes.push_passed(exchange, self.queue_changes);
        for key in std::iter::once(&message.routing_key).chain(message.extra_keys) {
            if let Some(queue) = std::str::from_utf8(key).ok().and_then(|name| self.queues.get(name)) {
                routes.push_queue(queue.definition.id.into());
            }
        }
    }

    /// The exchange's generation now: it rises with each change that can alter where a message goes from there. None
    /// once the exchange is gone.
    #[must_use]
    pub fn generation(&self, exchange: ExchangeKey) -> Option<u64> {
        if exchange == self.default_exchange {
            return Some(self.queue_changes);
        }
        self.router.generation(exchange)
    }

    /// Whether what was routed still holds: every exchange that was passed is as it was.
    #[must_use]
    pub fn is_current(&self, passed: &[(ExchangeKey, u64)]) -> bool {
        passed.iter().all(|(exchange, generation)| self.generation(*exchange) == Some(*generation))
    }

    /// Whether one of the passed exchanges looked at headers, so that the result holds for this message only.
    #[must_use]
    pub fn reads_headers(&self, passed: &[(ExchangeKey, u64)]) -> bool {
        passed.iter().any(|(exchange, _)| {
            self.router
                .exchange(*exchange)
                .is_some_and(|exchange| exchange.exchange_type() == ExchangeType::Headers)
        })
    }
}
