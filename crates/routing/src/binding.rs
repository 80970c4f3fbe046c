//! A binding and what it joins; its identity is all four of its fields.

/// A queue, as the caller numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueKey(pub u64);

/// An exchange of one [`crate::Router`]: given at its declaration and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeKey(pub u64);

/// Where a binding leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// A queue takes the message.
    Queue(QueueKey),
    /// Another exchange routes it on.
    Exchange(ExchangeKey),
}

/// A binding. Two bindings are one if all fields are equal, arguments byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binding {
    /// The exchange whose messages it takes.
    pub source: ExchangeKey,
    /// Where they go.
    pub destination: Destination,
    /// The binding key.
    pub key: Box<[u8]>,
    /// The arguments as a field table's content, without the length before it, fields in the order of their
    /// names so that equal tables are equal bytes.
    pub arguments: Box<[u8]>,
}

impl Binding {
    /// A binding; `arguments` as in [`Binding::arguments`].
    #[must_use]
    pub fn new(source: ExchangeKey, destination: Destination, key: &[u8], arguments: &[u8]) -> Self {
        Self { source, destination, key: key.into(), arguments: arguments.into() }
    }
}

/// A binding that its exchange refuses; the text is RabbitMQ's, for a 406.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidBinding(pub String);
