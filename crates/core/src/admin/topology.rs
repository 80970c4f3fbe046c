//! Exchanges, queues, bindings and messages, as management changes them on somebody's behalf.

use super::{AdminError, Argument, Arguments, DestinationKind};

/// On whose behalf something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acting<'a> {
    /// The owner of the process, who may do everything.
    Owner,
    /// A user: what the permissions forbid over AMQP is forbidden here, in the same words.
    User(&'a str),
}

/// A queue to declare. It is never exclusive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueSpec {
    /// Its name.
    pub name: String,
    /// It survives a restart.
    pub durable: bool,
    /// It goes with its last consumer.
    pub auto_delete: bool,
    /// As queue.declare has them.
    pub arguments: Arguments,
}

/// An exchange to declare.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExchangeSpec {
    /// Its name.
    pub name: String,
    /// `direct`, `fanout`, `topic` or `headers`.
    pub exchange_type: String,
    /// It survives a restart.
    pub durable: bool,
    /// It goes with its last binding.
    pub auto_delete: bool,
    /// Clients may not publish to it.
    pub internal: bool,
    /// As exchange.declare has them.
    pub arguments: Arguments,
}

/// A binding to make or remove.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingSpec {
    /// The exchange it leads from.
    pub source: String,
    /// The queue or exchange it leads to.
    pub destination: String,
    /// Which of the two.
    pub destination_kind: DestinationKind,
    /// The binding key.
    pub routing_key: String,
    /// Its arguments.
    pub arguments: Arguments,
}

/// The value of a message's property.
#[derive(Clone, Debug, PartialEq)]
pub enum PropertyValue {
    /// A text: all but the following.
    Text(Vec<u8>),
    /// `delivery_mode` and `priority`.
    Octet(u8),
    /// `timestamp`, in seconds since the Unix epoch.
    Timestamp(u64),
    /// `headers`.
    Headers(Vec<(String, Argument)>),
}

/// A message's properties by AMQP's names with underscores (`content_type`, `delivery_mode`, `type`, …), in AMQP's
/// order.
pub type MessageProperties = Vec<(&'static str, PropertyValue)>;

/// Every property that a message can have, in AMQP's order.
pub const PROPERTY_NAMES: [&str; 13] = [
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
];

/// A message to publish.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewMessage {
    /// The exchange; the default one's name is empty.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// Its properties, in any order.
    pub properties: MessageProperties,
    /// Its body.
    pub payload: Vec<u8>,
}

/// What becomes of messages that were got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckMode {
    /// `ack_requeue_true` and `reject_requeue_true`: they go back to their places, marked as redelivered.
    Requeue,
    /// `ack_requeue_false`: they are gone.
    Ack,
    /// `reject_requeue_false`: they are gone, or dead-lettered.
    Reject,
}

/// A message in a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageView {
    /// It was delivered before.
    pub redelivered: bool,
    /// The exchange it was published to.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// Messages ready behind it.
    pub message_count: u64,
    /// Its properties.
    pub properties: MessageProperties,
    /// The length of its body in bytes.
    pub payload_bytes: u64,
    /// Its body, cut where the caller asked for it.
    pub payload: Vec<u8>,
}

/// What management may change in a virtual host, and do with messages. What must survive is durable before the call
/// returns.
///
/// All calls fail with [`AdminError::NoSuchVhost`], and for a user who may not do it with [`AdminError::Refused`].
pub trait TopologyAdmin: Send + Sync {
    /// Declares an exchange; true if it is new.
    ///
    /// # Errors
    /// [`AdminError::Refused`] with what AMQP would say.
    fn declare_exchange(
        &self,
        acting: Acting<'_>,
        vhost: &str,
        exchange: &ExchangeSpec,
    ) -> Result<bool, AdminError>;

    /// Deletes an exchange.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::Refused`] with what AMQP would say.
    fn delete_exchange(
        &self,
        acting: Acting<'_>,
        vhost: &str,
        name: &str,
        if_unused: bool,
    ) -> Result<(), AdminError>;

    /// Declares a queue; true if it is new.
    ///
    /// # Errors
    /// [`AdminError::Refused`] with what AMQP would say.
    fn declare_queue(&self, acting: Acting<'_>, vhost: &str, queue: &QueueSpec) -> Result<bool, AdminError>;

    /// Deletes a queue; gives the number of messages that were ready in it. The owner deletes exclusive ones too.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::Refused`] with what AMQP would say; [`AdminError::PreconditionFailed`]
    /// to the owner for `if_unused` and `if_empty`. The queue is as it was.
    fn delete_queue(
        &self,
        acting: Acting<'_>,
        vhost: &str,
        name: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<u64, AdminError>;

    /// Drops the ready messages of a queue; gives their number.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::Refused`] with what AMQP would say.
    fn purge_queue(&self, acting: Acting<'_>, vhost: &str, name: &str) -> Result<u64, AdminError>;

    /// Makes a binding; one that exists stays.
    ///
    /// # Errors
    /// [`AdminError::Refused`] with what AMQP would say.
    fn bind(&self, acting: Acting<'_>, vhost: &str, binding: &BindingSpec) -> Result<(), AdminError>;

    /// Removes a binding; one that does not exist is as good as removed.
    ///
    /// # Errors
    /// [`AdminError::Refused`] with what AMQP would say.
    fn unbind(&self, acting: Acting<'_>, vhost: &str, binding: &BindingSpec) -> Result<(), AdminError>;

    /// Publishes a message; whether a queue took it.
    ///
    /// # Errors
    /// [`AdminError::Refused`] with what AMQP would say; [`AdminError::BadRequest`] for a message that is too large.
    fn publish(&self, acting: Acting<'_>, vhost: &str, message: &NewMessage) -> Result<bool, AdminError>;

    /// Gets up to `count` messages of a queue, with at most `truncate` bytes of each body.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::Refused`] with what AMQP would say.
    fn get_messages(
        &self,
        acting: Acting<'_>,
        vhost: &str,
        queue: &str,
        ack_mode: AckMode,
        extent: GetExtent,
    ) -> Result<Vec<MessageView>, AdminError>;

    /// Shows up to `count` ready messages of a queue and leaves them untouched.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::Refused`] without the permission to read the queue.
    fn peek_messages(
        &self,
        acting: Acting<'_>,
        vhost: &str,
        queue: &str,
        extent: GetExtent,
    ) -> Result<Vec<MessageView>, AdminError>;
}

/// How much to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetExtent {
    /// At most so many messages.
    pub count: u64,
    /// At most so many bytes of each body.
    pub truncate: u64,
}
