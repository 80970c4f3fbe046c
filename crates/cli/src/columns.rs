//! The columns of the list commands: rabbitmqctl's names, and where each value stands in the API's answer.

use serde_json::Value;

use crate::term::Kind;

/// One column.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    source: Source,
}

enum Source {
    /// A JSON pointer.
    At(&'static str),
    /// Always the same.
    Fixed(&'static str),
    /// The handle of the connection whose name stands at this pointer.
    ConnectionPid(&'static str),
    /// The handle of the channel: pointers to its connection's name and its number.
    ChannelPid(&'static str, &'static str),
    /// A list without items: there are no policies.
    EmptyList,
    /// A list with one item: what stands at this pointer.
    ListOf(&'static str),
    /// RabbitMQ has it, there is nothing to say here.
    Nothing,
}

impl Column {
    /// The value in one item of the answer; null if there is none.
    pub(crate) fn value(&self, item: &Value) -> Value {
        let at = |pointer: &str| item.pointer(pointer).cloned().unwrap_or(Value::Null);
        match self.source {
            Source::At(pointer) => at(pointer),
            Source::Fixed(text) => text.into(),
            Source::ConnectionPid(name) => {
                at(name).as_str().map_or(Value::Null, |name| connection_pid(name).into())
            }
            Source::ChannelPid(name, number) => match (at(name), at(number)) {
                (Value::String(name), Value::Number(number)) => {
                    channel_pid(&name, &number.to_string()).into()
                }
                _ => Value::Null,
            },
            Source::EmptyList => Value::Array(Vec::new()),
            Source::ListOf(pointer) => Value::Array(vec![at(pointer)]),
            Source::Nothing => Value::Null,
        }
    }
}

/// What stands for a connection where RabbitMQ shows an Erlang process: its name in one word. `close_connection` takes
/// it.
pub(crate) fn connection_pid(name: &str) -> String {
    format!("<{}>", name.replace(' ', ""))
}

fn channel_pid(connection: &str, number: &str) -> String {
    format!("<{}.{number}>", connection.replace(' ', ""))
}

const fn at(name: &'static str, pointer: &'static str) -> Column {
    Column { name, kind: Kind::Plain, source: Source::At(pointer) }
}

const fn kind(name: &'static str, kind: Kind, pointer: &'static str) -> Column {
    Column { name, kind, source: Source::At(pointer) }
}

const fn from(name: &'static str, source: Source) -> Column {
    Column { name, kind: Kind::Plain, source }
}

const fn nothing(name: &'static str) -> Column {
    Column { name, kind: Kind::Plain, source: Source::Nothing }
}

pub(crate) const QUEUES: &[Column] = &[
    at("name", "/name"),
    at("messages", "/messages"),
    at("durable", "/durable"),
    at("auto_delete", "/auto_delete"),
    kind("arguments", Kind::Arguments, "/arguments"),
    at("policy", "/policy"),
    nothing("operator_policy"),
    from("effective_policy_definition", Source::EmptyList),
    nothing("pid"),
    from("owner_pid", Source::ConnectionPid("/owner_pid_details/name")),
    at("exclusive", "/exclusive"),
    nothing("exclusive_consumer_pid"),
    at("exclusive_consumer_tag", "/exclusive_consumer_tag"),
    at("messages_ready", "/messages_ready"),
    at("messages_unacknowledged", "/messages_unacknowledged"),
    nothing("messages_ready_ram"),
    nothing("messages_unacknowledged_ram"),
    nothing("messages_ram"),
    at("messages_persistent", "/messages_persistent"),
    at("message_bytes", "/message_bytes"),
    at("message_bytes_ready", "/message_bytes_ready"),
    at("message_bytes_unacknowledged", "/message_bytes_unacknowledged"),
    nothing("message_bytes_ram"),
    nothing("message_bytes_persistent"),
    nothing("head_message_timestamp"),
    nothing("disk_reads"),
    nothing("disk_writes"),
    at("consumers", "/consumers"),
    nothing("consumer_utilisation"),
    nothing("consumer_capacity"),
    nothing("memory"),
    at("state", "/state"),
    at("type", "/type"),
    at("leader", "/node"),
    Column { name: "members", kind: Kind::Names, source: Source::ListOf("/node") },
    kind("online", Kind::Names, "/online"),
];

pub(crate) const EXCHANGES: &[Column] = &[
    at("name", "/name"),
    at("type", "/type"),
    at("durable", "/durable"),
    at("auto_delete", "/auto_delete"),
    at("internal", "/internal"),
    kind("arguments", Kind::Arguments, "/arguments"),
    at("policy", "/policy"),
];

pub(crate) const BINDINGS: &[Column] = &[
    at("source_name", "/source"),
    from("source_kind", Source::Fixed("exchange")),
    at("destination_name", "/destination"),
    at("destination_kind", "/destination_type"),
    at("routing_key", "/routing_key"),
    kind("arguments", Kind::Arguments, "/arguments"),
];

pub(crate) const CONNECTIONS: &[Column] = &[
    at("user", "/user"),
    kind("peer_host", Kind::Address, "/peer_host"),
    at("peer_port", "/peer_port"),
    at("state", "/state"),
    from("pid", Source::ConnectionPid("/name")),
    at("name", "/name"),
    kind("host", Kind::Address, "/host"),
    at("port", "/port"),
    at("ssl", "/ssl"),
    at("ssl_protocol", "/ssl_protocol"),
    at("ssl_key_exchange", "/ssl_key_exchange"),
    at("ssl_cipher", "/ssl_cipher"),
    at("ssl_hash", "/ssl_hash"),
    at("peer_cert_subject", "/peer_cert_subject"),
    at("peer_cert_issuer", "/peer_cert_issuer"),
    at("peer_cert_validity", "/peer_cert_validity"),
    at("channels", "/channels"),
    kind("protocol", Kind::Protocol, "/protocol"),
    at("auth_mechanism", "/auth_mechanism"),
    at("vhost", "/vhost"),
    at("timeout", "/timeout"),
    at("frame_max", "/frame_max"),
    at("channel_max", "/channel_max"),
    kind("client_properties", Kind::Arguments, "/client_properties"),
    at("recv_oct", "/recv_oct"),
    at("recv_cnt", "/recv_cnt"),
    at("send_oct", "/send_oct"),
    at("send_cnt", "/send_cnt"),
    at("send_pend", "/send_pend"),
    at("connected_at", "/connected_at"),
];

pub(crate) const CHANNELS: &[Column] = &[
    from("pid", Source::ChannelPid("/connection_details/name", "/number")),
    at("user", "/user"),
    at("consumer_count", "/consumer_count"),
    at("messages_unacknowledged", "/messages_unacknowledged"),
    from("connection", Source::ConnectionPid("/connection_details/name")),
    at("name", "/name"),
    at("number", "/number"),
    at("vhost", "/vhost"),
    at("transactional", "/transactional"),
    at("confirm", "/confirm"),
    at("messages_uncommitted", "/messages_uncommitted"),
    at("acks_uncommitted", "/acks_uncommitted"),
    at("messages_unconfirmed", "/messages_unconfirmed"),
    at("prefetch_count", "/prefetch_count"),
];

pub(crate) const CONSUMERS: &[Column] = &[
    at("queue_name", "/queue/name"),
    from("channel_pid", Source::ChannelPid("/channel_details/connection_name", "/channel_details/number")),
    at("consumer_tag", "/consumer_tag"),
    at("ack_required", "/ack_required"),
    at("prefetch_count", "/prefetch_count"),
    at("active", "/active"),
    at("activity_status", "/activity_status"),
    kind("arguments", Kind::Arguments, "/arguments"),
];

pub(crate) const VHOSTS: &[Column] = &[
    at("name", "/name"),
    at("description", "/description"),
    kind("tags", Kind::Names, "/tags"),
    at("default_queue_type", "/default_queue_type"),
    at("tracing", "/tracing"),
    at("cluster_state", "/cluster_state"),
];

pub(crate) const USERS: &[Column] = &[at("user", "/name"), kind("tags", Kind::Names, "/tags")];
