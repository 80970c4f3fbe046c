//! The queues and exchanges that a simulation declares: one queue for each way in which a message can leave.

use leveret_protocol::amqp::{AMQPValue, FieldTable};

/// A queue by its place in [`QUEUES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueAt(pub usize);

/// What a queue is declared with.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its name.
    pub name: &'static str,
    /// Whether it survives.
    pub durable: bool,
    /// Where its rejected, expired and dropped messages go.
    pub dead_letter: Option<QueueAt>,
    /// x-message-ttl.
    pub ttl_ms: Option<u64>,
    /// x-max-length.
    pub max_length: Option<u64>,
    /// x-max-priority.
    pub max_priority: Option<u8>,
    /// x-delivery-limit, of a quorum queue.
    pub delivery_limit: Option<u64>,
    /// Bound to the exchange `fan`.
    pub in_fan: bool,
    /// It may be deleted and declared again.
    pub comes_and_goes: bool,
}

const PLAIN: Spec = Spec {
    name: "",
    durable: true,
    dead_letter: None,
    ttl_ms: None,
    max_length: None,
    max_priority: None,
    delivery_limit: None,
    in_fan: false,
    comes_and_goes: false,
};

const WORK: QueueAt = QueueAt(5);
const RETRY: QueueAt = QueueAt(4);
const GRAVE: QueueAt = QueueAt(7);

/// All queues.
pub const QUEUES: &[Spec] = &[
    Spec { name: "plain-a", in_fan: true, ..PLAIN },
    Spec { name: "plain-b", in_fan: true, comes_and_goes: true, ..PLAIN },
    Spec { name: "big", ..PLAIN },
    Spec { name: "levels", max_priority: Some(4), in_fan: true, comes_and_goes: true, ..PLAIN },
    Spec { name: "retry", ttl_ms: Some(5_000), dead_letter: Some(WORK), ..PLAIN },
    Spec { name: "work", dead_letter: Some(RETRY), ..PLAIN },
    Spec { name: "expiring", ttl_ms: Some(3_000), dead_letter: Some(GRAVE), ..PLAIN },
    Spec { name: "grave", ..PLAIN },
    Spec { name: "short", max_length: Some(10), dead_letter: Some(GRAVE), in_fan: true, ..PLAIN },
    Spec { name: "counted", delivery_limit: Some(3), dead_letter: Some(GRAVE), ..PLAIN },
    Spec { name: "passing", durable: false, in_fan: true, comes_and_goes: true, ..PLAIN },
    Spec { name: "brief", ..PLAIN },
];

/// The fan-out exchange.
pub const FAN: &str = "fan";

/// The queue whose messages have an expiration of their own.
pub const BRIEF: QueueAt = QueueAt(11);

/// The quorum queue; its two priorities take turns, so its order is known only without them.
pub const COUNTED: QueueAt = QueueAt(9);

/// All queues by place.
pub fn queues() -> impl Iterator<Item = (QueueAt, &'static Spec)> {
    QUEUES.iter().enumerate().map(|(at, spec)| (QueueAt(at), spec))
}

impl QueueAt {
    /// What it is declared with.
    #[must_use]
    pub fn spec(self) -> &'static Spec {
        QUEUES.get(self.0).unwrap_or(&PLAIN)
    }

    /// The queue of that name.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        QUEUES.iter().position(|spec| spec.name.as_bytes() == name).map(Self)
    }
}

impl Spec {
    /// The arguments of its declaration.
    #[must_use]
    pub fn arguments(&self) -> FieldTable {
        let mut table = FieldTable::default();
        let text = |text: &str| AMQPValue::LongString(text.into());
        let number = |number: u64| AMQPValue::LongLongInt(i64::try_from(number).unwrap_or(i64::MAX));
        if let Some(target) = self.dead_letter {
            table.insert("x-dead-letter-exchange".into(), text(""));
            table.insert("x-dead-letter-routing-key".into(), text(target.spec().name));
        }
        if let Some(ttl_ms) = self.ttl_ms {
            table.insert("x-message-ttl".into(), number(ttl_ms));
        }
        if let Some(most) = self.max_length {
            table.insert("x-max-length".into(), number(most));
        }
        if let Some(most) = self.max_priority {
            table.insert("x-max-priority".into(), number(most.into()));
        }
        if let Some(limit) = self.delivery_limit {
            table.insert("x-queue-type".into(), text("quorum"));
            table.insert("x-delivery-limit".into(), number(limit));
        }
        table
    }

    /// Whether messages leave it only when a client settles them, purges or deletes.
    #[must_use]
    pub fn keeps_messages(&self) -> bool {
        self.ttl_ms.is_none() && self.max_length.is_none() && self.delivery_limit.is_none()
    }
}
