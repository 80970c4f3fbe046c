//! The `x-` arguments of queues, parsed once into [`QueueSettings`].
//!
//! Owns RabbitMQ 4's checks: which key belongs to which queue type, which value each takes, and the texts of refusals.
//! Streams are refused after those checks with a 540; keys that RabbitMQ does not know are kept and ignored, as it does.

use leveret_protocol::field_table::FieldValue;
use leveret_routing::erlang_term::type_name;

use super::{Arguments, dead_letter_exchange};
use crate::error::BrokerError;
use crate::ids::ConnectionId;
use crate::limits::{DEFAULT_DELIVERY_LIMIT, MAX_EXPIRY_MS};
use crate::names::ExchangeName;

/// What kind of queue was asked for with `x-queue-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueType {
    /// The default.
    #[default]
    Classic,
    /// Replicated in RabbitMQ. Here, on one node: durable, every message persistent.
    Quorum,
}

impl QueueType {
    /// The word in `x-queue-type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
        }
    }

    /// The word for it in RabbitMQ's refusals.
    pub(super) const fn module(self) -> &'static str {
        match self {
            Self::Classic => "rabbit_classic_queue",
            Self::Quorum => "rabbit_quorum_queue",
        }
    }
}

/// What happens to a message that a full queue is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest message makes room.
    DropHead,
    /// The publisher is refused.
    RejectPublish,
    /// The publisher is refused and the message dead-lettered.
    RejectPublishDlx,
}

/// How a quorum queue dead-letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterStrategy {
    /// Without waiting for a confirm.
    AtMostOnce,
    /// Kept until the target has confirmed.
    AtLeastOnce,
}

/// A queue's arguments in typed form: what its contents, its consumers and its dead-lettering go by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueSettings {
    /// `x-queue-type`.
    pub queue_type: QueueType,
    /// `x-message-ttl`, in milliseconds.
    pub message_ttl_ms: Option<u64>,
    /// `x-expires`, in milliseconds; not zero.
    pub expires_ms: Option<u64>,
    /// `x-max-length`, in messages.
    pub max_length: Option<u64>,
    /// `x-max-length-bytes`.
    pub max_length_bytes: Option<u64>,
    /// `x-overflow`.
    pub overflow: Option<Overflow>,
    /// `x-dead-letter-exchange`.
    pub dead_letter_exchange: Option<ExchangeName>,
    /// `x-dead-letter-routing-key`.
    pub dead_letter_routing_key: Option<Box<[u8]>>,
    /// `x-dead-letter-strategy`.
    pub dead_letter_strategy: Option<DeadLetterStrategy>,
    /// `x-max-priority`.
    pub max_priority: Option<u8>,
    /// `x-single-active-consumer`.
    pub single_active_consumer: bool,
    /// `x-delivery-limit`; negative for none.
    pub delivery_limit: Option<i64>,
}

/// The queue that is being declared, for checks and texts.
#[derive(Clone, Copy, Debug)]
pub struct QueueProperties<'a> {
    /// The queue's name.
    pub name: &'a str,
    /// Its vhost's name.
    pub vhost: &'a str,
    /// As declared; an exclusive queue is never durable.
    pub durable: bool,
    /// The connection that will own it, for an exclusive queue.
    pub exclusive_owner: Option<ConnectionId>,
    /// As declared.
    pub auto_delete: bool,
}

/// Arguments of other queue types, which RabbitMQ refuses.
pub(super) const NOT_CLASSIC: &[&str] = &[
    "x-delivery-limit",
    "x-dead-letter-strategy",
    "x-initial-cluster-size",
    "x-max-age",
    "x-max-in-memory-bytes",
    "x-max-in-memory-length",
    "x-quorum-initial-group-size",
    "x-stream-max-segment-size-bytes",
];
pub(super) const NOT_QUORUM: &[&str] = &[
    "x-initial-cluster-size",
    "x-max-age",
    "x-max-priority",
    "x-queue-master-locator",
    "x-queue-mode",
    "x-queue-version",
    "x-stream-max-segment-size-bytes",
];

/// The type as it is asked for: streams are known, so that they can be refused honestly.
enum AskedType {
    Classic,
    Quorum,
    Stream,
}

/// Checks arguments of one queue; every method returns the typed value or the refusal.
struct Checker<'a> {
    arguments: &'a Arguments,
    properties: &'a QueueProperties<'a>,
}

impl QueueSettings {
    /// Checks a new queue's arguments and properties as RabbitMQ 4 does and in its order.
    ///
    /// # Errors
    /// 406 with RabbitMQ's texts for what it refuses; 540 for streams, which are not built yet.
    pub fn parse(arguments: &Arguments, properties: &QueueProperties<'_>) -> Result<Self, BrokerError> {
        let check = Checker { arguments, properties };
        let asked = check.asked_type();
        let (module, foreign): (_, &[&str]) = match asked {
            Ok(AskedType::Classic) => (QueueType::Classic.module(), NOT_CLASSIC),
            Ok(AskedType::Quorum) => (QueueType::Quorum.module(), NOT_QUORUM),
            Ok(AskedType::Stream) | Err(_) => ("", &[]),
        };
        if let Some(key) = foreign.iter().find(|key| arguments.get(key).is_some()) {
            return Err(BrokerError::precondition_failed(format!(
                "invalid arg '{key}' for {} of queue type {module}",
                properties.resource()
            )));
        }
        let mut settings = check.values()?;
        settings.queue_type = match asked? {
            AskedType::Classic => return Ok(settings),
            AskedType::Quorum => QueueType::Quorum,
            AskedType::Stream => {
                check.replicated_properties()?;
                return Err(BrokerError::not_implemented("queues of type 'stream' are not supported yet"));
            }
        };
        check.replicated_properties()?;
        Ok(settings)
    }

    /// What happens to a message that does not fit. A quorum queue that was asked for `reject-publish-dlx` drops its
    /// oldest message, as in RabbitMQ.
    #[must_use]
    pub fn overflow(&self) -> Overflow {
        match (self.overflow, self.queue_type) {
            (None, _) | (Some(Overflow::RejectPublishDlx), QueueType::Quorum) => Overflow::DropHead,
            (Some(overflow), _) => overflow,
        }
    }

    /// After how many returns a message is dead-lettered: it is delivered once more often than that. Only quorum
    /// queues count, and they do so by default.
    #[must_use]
    pub fn delivery_limit(&self) -> Option<u64> {
        match self.queue_type {
            QueueType::Classic => None,
            QueueType::Quorum => u64::try_from(self.delivery_limit.unwrap_or(DEFAULT_DELIVERY_LIMIT)).ok(),
        }
    }

    /// Whether every message counts as persistent.
    #[must_use]
    pub fn is_all_persistent(&self) -> bool {
        self.queue_type == QueueType::Quorum
    }

    /// When a message that comes at `now_ms` expires, in milliseconds of wall-clock time: after the shorter of the
    /// queue's `x-message-ttl` and its own `expiration`.
    #[must_use]
    pub fn deadline_ms(&self, now_ms: u64, expiration_ms: Option<u64>) -> Option<u64> {
        let ttl = [self.message_ttl_ms, expiration_ms].into_iter().flatten().min()?;
        Some(now_ms.saturating_add(ttl))
    }
}

impl QueueProperties<'_> {
    fn resource(&self) -> String {
        format!("queue '{}' in vhost '{}'", self.name, self.vhost)
    }
}

impl Checker<'_> {
    fn asked_type(&self) -> Result<AskedType, BrokerError> {
        match self.text("x-queue-type")? {
            None | Some(b"classic") => Ok(AskedType::Classic),
            Some(b"quorum") => Ok(AskedType::Quorum),
            Some(b"stream") => Ok(AskedType::Stream),
            Some(other) => {
                let other = String::from_utf8_lossy(other);
                Err(self.invalid("x-queue-type", &format!("\"unsupported queue type '{other}'\"")))
            }
        }
    }

    /// All values, in the order in which RabbitMQ looks at them.
    fn values(&self) -> Result<QueueSettings, BrokerError> {
        let mut settings = QueueSettings {
            expires_ms: self.positive("x-expires", MAX_EXPIRY_MS)?,
            message_ttl_ms: self.number("x-message-ttl", MAX_EXPIRY_MS)?,
            dead_letter_exchange: self.dead_letter_exchange()?,
            dead_letter_routing_key: self.dead_letter_routing_key()?,
            ..QueueSettings::default()
        };
        settings.dead_letter_strategy = match self.text("x-dead-letter-strategy")? {
            None => None,
            Some(b"at-most-once") => Some(DeadLetterStrategy::AtMostOnce),
            Some(b"at-least-once") => Some(DeadLetterStrategy::AtLeastOnce),
            Some(_) => return Err(self.invalid("x-dead-letter-strategy", "invalid_dlx_strategy")),
        };
        settings.max_length = self.number("x-max-length", u64::MAX)?;
        settings.max_length_bytes = self.number("x-max-length-bytes", u64::MAX)?;
        self.number("x-max-in-memory-length", u64::MAX)?;
        self.number("x-max-in-memory-bytes", u64::MAX)?;
        settings.max_priority =
            match self.number("x-max-priority", u64::MAX)? {
                None => None,
                Some(number) => Some(u8::try_from(number).map_err(|_| {
                    self.invalid("x-max-priority", &format!("{{max_value_exceeded,{number}}}"))
                })?),
            };
        settings.overflow = match self.text("x-overflow")? {
            None => None,
            Some(b"drop-head") => Some(Overflow::DropHead),
            Some(b"reject-publish") => Some(Overflow::RejectPublish),
            Some(b"reject-publish-dlx") => Some(Overflow::RejectPublishDlx),
            Some(_) => return Err(self.invalid("x-overflow", "invalid_overflow")),
        };
        self.ignored_classic_arguments()?;
        settings.single_active_consumer = match self.arguments.get("x-single-active-consumer") {
            None => false,
            Some(FieldValue::Bool(value)) => value,
            Some(other) => return Err(self.unacceptable("x-single-active-consumer", &other)),
        };
        self.asked_type()?;
        self.positive("x-quorum-initial-group-size", u64::MAX)?;
        match self.text("x-queue-leader-locator")? {
            None | Some(b"client-local" | b"balanced" | b"random" | b"least-leaders") => {}
            Some(_) => return Err(self.invalid("x-queue-leader-locator", "invalid_queue_locator_arg")),
        }
        // RabbitMQ takes any value here. It compares counts with it, and in Erlang no number is above a text.
        settings.delivery_limit =
            self.arguments.get("x-delivery-limit").map(|value| value.as_i64().unwrap_or(-1));
        Ok(settings)
    }

    /// Accepted for RabbitMQ's sake; nothing here depends on them.
    fn ignored_classic_arguments(&self) -> Result<(), BrokerError> {
        match self.text("x-queue-mode")? {
            None | Some(b"default" | b"lazy") => {}
            Some(other) => {
                let other = String::from_utf8_lossy(other);
                return Err(self.invalid("x-queue-mode", &format!("\"unsupported queue mode '{other}'\"")));
            }
        }
        match self.number("x-queue-version", u64::MAX)? {
            None | Some(1 | 2) => Ok(()),
            Some(other) => {
                Err(self.invalid("x-queue-version", &format!("\"unsupported queue version '{other}'\"")))
            }
        }
    }

    fn dead_letter_exchange(&self) -> Result<Option<ExchangeName>, BrokerError> {
        dead_letter_exchange(self.arguments, self.properties.name, self.properties.vhost)
    }

    fn dead_letter_routing_key(&self) -> Result<Option<Box<[u8]>>, BrokerError> {
        const KEY: &str = "x-dead-letter-routing-key";
        let Some(key) = self.text(KEY)? else { return Ok(None) };
        if self.arguments.get("x-dead-letter-exchange").is_none() {
            return Err(self.invalid(KEY, "routing_key_but_no_dlx_defined"));
        }
        Ok(Some(key.into()))
    }

    /// A quorum queue or stream is durable and belongs to nobody.
    fn replicated_properties(&self) -> Result<(), BrokerError> {
        let wrong = if self.properties.auto_delete {
            "auto-delete"
        } else if self.properties.exclusive_owner.is_some() {
            "exclusive-owner"
        } else if !self.properties.durable {
            "non-durable"
        } else {
            return Ok(());
        };
        let resource = self.properties.resource();
        Err(BrokerError::precondition_failed(format!("invalid property '{wrong}' for {resource}")))
    }

    fn text(&self, key: &str) -> Result<Option<&[u8]>, BrokerError> {
        match self.arguments.get(key) {
            None => Ok(None),
            Some(FieldValue::LongString(text)) => Ok(Some(text)),
            Some(other) => Err(self.unacceptable(key, &other)),
        }
    }

    fn number(&self, key: &str, max: u64) -> Result<Option<u64>, BrokerError> {
        let Some(value) = self.arguments.get(key) else { return Ok(None) };
        let Some(number) = value.as_i64() else {
            return Err(self.invalid(key, &format!("\"expected integer, got {}\"", type_name(&value))));
        };
        let Ok(number) = u64::try_from(number) else {
            return Err(self.invalid(key, &format!("{{value_negative,{number}}}")));
        };
        if number > max {
            return Err(self.invalid(key, &format!("{{value_too_large,{number}}}")));
        }
        Ok(Some(number))
    }

    fn positive(&self, key: &str, max: u64) -> Result<Option<u64>, BrokerError> {
        match self.number(key, max)? {
            Some(0) => Err(self.invalid(key, "{value_zero,0}")),
            number => Ok(number),
        }
    }

    fn unacceptable(&self, key: &str, value: &FieldValue<'_>) -> BrokerError {
        self.invalid(key, &format!("{{unacceptable_type,{}}}", type_name(value)))
    }

    fn invalid(&self, key: &str, why: &str) -> BrokerError {
        let resource = self.properties.resource();
        BrokerError::precondition_failed(format!("invalid arg '{key}' for {resource}: {why}"))
    }
}
