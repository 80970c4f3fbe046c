//! Metrics of the broker as a whole.

use leveret_core::admin::{Admin, Alarm, Argument, BrokerStats, NodeStatus, QueueStats};

use super::text::{Kind, Page};

/// Which broker this is.
pub(super) fn identity(page: &mut Page, admin: &dyn Admin, node: &NodeStatus) {
    page.metric("rabbitmq_build_info", Kind::Untyped, "RabbitMQ & Erlang/OTP version info");
    let build = [("rabbitmq_version", &*node.product_version), ("leveret_version", &*node.leveret_version)];
    page.sample("rabbitmq_build_info", &build, 1u64);
    let id = admin.global_parameters().into_iter().find_map(|parameter| match parameter.value {
        Argument::LongStr(id) if parameter.name == "internal_cluster_id" => Some(id),
        _ => None,
    });
    let id = id.map(|id| String::from_utf8_lossy(&id).into_owned());
    let mut labels = vec![("rabbitmq_node", &*node.name), ("rabbitmq_cluster", &*node.cluster_name)];
    labels.extend(id.as_deref().map(|id| ("rabbitmq_cluster_permanent_id", id)));
    page.metric("rabbitmq_identity_info", Kind::Untyped, "RabbitMQ node & cluster identity info");
    page.sample("rabbitmq_identity_info", &labels, 1u64);
}

/// What is summed over all queues, channels and connections.
pub(super) fn totals(page: &mut Page, admin: &dyn Admin, node: &NodeStatus) {
    let totals = &node.totals;
    let sum = totals.messages_ready.saturating_add(totals.messages_unacknowledged);
    let gauges = [
        ("queue_messages_ready", "Messages ready to be delivered to consumers", totals.messages_ready),
        (
            "queue_messages_unacked",
            "Messages delivered to consumers but not yet acknowledged",
            totals.messages_unacknowledged,
        ),
        ("queue_messages", "Sum of ready and unacknowledged messages - total queue depth", sum),
        ("queue_consumers", "Consumers on a queue", totals.consumers),
    ];
    for (name, help, value) in gauges {
        page.single(&format!("rabbitmq_{name}"), Kind::Gauge, help, value);
    }
    let stats = admin.stats();
    let (queues, connections) = (stats.classic.plus(stats.quorum), stats.connections);
    for (name, help, value) in queue_counters(&queues) {
        page.single(&format!("rabbitmq_{name}"), Kind::Counter, help, value);
    }
    let counters = [
        (
            "connection_incoming_bytes_total",
            "Total number of bytes received on a connection",
            connections.recv_oct,
        ),
        (
            "connection_outgoing_bytes_total",
            "Total number of bytes sent on a connection",
            connections.send_oct,
        ),
        (
            "channel_messages_published_total",
            "Total number of messages published into an exchange on a channel",
            connections.received,
        ),
        (
            "channel_messages_confirmed_total",
            "Total number of messages published into an exchange and confirmed on the channel",
            connections.confirmed,
        ),
        (
            "channel_messages_unroutable_returned_total",
            "Total number of messages published as mandatory into an exchange and returned to the publisher as \
             unroutable",
            connections.returned,
        ),
        (
            "channel_messages_unroutable_dropped_total",
            "Total number of messages published as non-mandatory into an exchange and dropped as unroutable",
            connections.dropped,
        ),
    ];
    for (name, help, value) in counters {
        page.single(&format!("rabbitmq_{name}"), Kind::Counter, help, value);
    }
}

/// What happened in queues, under the names of a queue's metrics.
pub(super) fn queue_counters(stats: &QueueStats) -> [(&'static str, &'static str, u64); 8] {
    [
        (
            "queue_messages_published_total",
            "Total number of messages published into a queue through an exchange on a channel",
            stats.published,
        ),
        (
            "queue_get_ack_total",
            "Total number of messages fetched from a queue with basic.get in manual acknowledgement mode",
            stats.got,
        ),
        (
            "queue_get_total",
            "Total number of messages fetched from a queue with basic.get in automatic acknowledgement mode",
            stats.got_no_ack,
        ),
        (
            "queue_messages_delivered_ack_total",
            "Total number of messages delivered from a queue to consumers in manual acknowledgement mode",
            stats.delivered,
        ),
        (
            "queue_messages_delivered_total",
            "Total number of messages delivered from a queue to consumers in automatic acknowledgement mode",
            stats.delivered_no_ack,
        ),
        (
            "queue_messages_redelivered_total",
            "Total number of messages redelivered from a queue to consumers",
            stats.redelivered,
        ),
        (
            "queue_messages_acked_total",
            "Total number of messages acknowledged by consumers on a queue",
            stats.acked,
        ),
        (
            "queue_get_empty_total",
            "Total number of times basic.get operations fetched no message on a queue",
            stats.got_empty,
        ),
    ]
}

/// What has no objects below it: the process, what came and went, the global counters.
pub(super) fn all(page: &mut Page, admin: &dyn Admin, node: &NodeStatus) {
    process(page, node);
    let stats = admin.stats();
    churn(page, "rabbitmq_", &stats);
    objects(page, node);
    global(page, &stats, node);
}

/// The process and its limits.
pub(super) fn process(page: &mut Page, node: &NodeStatus) {
    let gauges = [
        ("process_open_fds", "Open file descriptors", node.fd_used),
        ("process_max_fds", "Open file descriptors limit", Some(node.fd_total)),
        ("process_resident_memory_bytes", "Memory used in bytes", Some(node.mem_used)),
        ("resident_memory_limit_bytes", "Memory high watermark in bytes", Some(node.mem_limit)),
        ("disk_space_available_bytes", "Disk space available in bytes", node.disk_free),
        (
            "disk_space_available_limit_bytes",
            "Free disk space low watermark in bytes",
            Some(node.disk_free_limit),
        ),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            page.single(&format!("rabbitmq_{name}"), Kind::Gauge, help, value);
        }
    }
    storage(page, node);
    let seconds = std::time::Duration::from_millis(node.uptime_ms).as_secs_f64();
    page.single("rabbitmq_erlang_uptime_seconds", Kind::Gauge, "Node uptime", seconds);
}

/// What the messages take. RabbitMQ has nothing like these, so they have a prefix of their own.
fn storage(page: &mut Page, node: &NodeStatus) {
    let storage = &node.storage;
    let gauges = [
        ("fsync", "1 if a confirm waits for the drive", u64::from(storage.durability == "fsync")),
        ("log_used_bytes", "Bytes of the log's files in use", storage.used_bytes),
        ("log_files_used", "Files of the log in use", storage.slots_used),
        ("log_files_free", "Files of the log ready to be overwritten", storage.slots_free),
        ("log_tail_bytes", "Bytes of the log since the last checkpoint", storage.tail_bytes),
        ("log_tail_messages", "Unsettled messages since the last checkpoint", storage.tail_messages),
        ("runs", "Indexes of messages on disk", storage.runs),
        ("run_bytes", "Bytes of the indexes of messages", storage.run_bytes),
        ("hot_window_bytes", "Memory that messages may take", storage.hot_window_bytes),
        ("hot_bytes", "Memory that messages take", storage.hot_bytes),
        ("spill_bytes", "Bytes on disk of messages that may be lost with the process", storage.spill_bytes),
        ("damaged_queues", "Queues stopped because a message cannot be read", storage.damaged_queues),
    ];
    for (name, help, value) in gauges {
        page.single(&format!("leveret_storage_{name}"), Kind::Gauge, help, value);
    }
}

/// What came and went.
pub(super) fn churn(page: &mut Page, prefix: &str, stats: &BrokerStats) {
    let churn = &stats.churn;
    let counters = [
        ("connections_opened_total", "Total number of connections opened", churn.connections_opened),
        (
            "connections_closed_total",
            "Total number of connections closed or terminated",
            churn.connections_closed,
        ),
        ("channels_opened_total", "Total number of channels opened", churn.channels_opened),
        ("channels_closed_total", "Total number of channels closed", churn.channels_closed),
        ("queues_declared_total", "Total number of queues declared", churn.queues_declared),
        ("queues_created_total", "Total number of queues created", churn.queues_created),
        ("queues_deleted_total", "Total number of queues deleted", churn.queues_deleted),
    ];
    for (name, help, value) in counters {
        page.single(&format!("{prefix}{name}"), Kind::Counter, help, value);
    }
}

fn objects(page: &mut Page, node: &NodeStatus) {
    let totals = &node.totals;
    let gauges = [
        ("connections", "Connections currently open", totals.connections),
        ("channels", "Channels currently open", totals.channels),
        ("consumers", "Consumers currently connected", totals.consumers),
        ("queues", "Queues available", totals.queues),
    ];
    for (name, help, value) in gauges {
        page.single(&format!("rabbitmq_{name}"), Kind::Gauge, help, value);
    }
}

const PROTOCOL: (&str, &str) = ("protocol", "amqp091");

fn global(page: &mut Page, stats: &BrokerStats, node: &NodeStatus) {
    let connections = &stats.connections;
    let of_protocol = [
        ("received", "Total number of messages received from publishers", connections.received),
        (
            "received_confirm",
            "Total number of messages received from publishers expecting confirmations",
            connections.received_confirm,
        ),
        ("confirmed", "Total number of messages confirmed to publishers", connections.confirmed),
        ("routed", "Total number of messages routed to queues or streams", connections.routed),
        (
            "unroutable_returned",
            "Total number of messages published as mandatory into an exchange and returned to the publisher as \
             unroutable",
            connections.returned,
        ),
        (
            "unroutable_dropped",
            "Total number of messages published as non-mandatory into an exchange and dropped as unroutable",
            connections.dropped,
        ),
    ];
    for (name, help, value) in of_protocol {
        let name = format!("rabbitmq_global_messages_{name}_total");
        page.metric(&name, Kind::Counter, help);
        page.sample(&name, &[PROTOCOL], value);
    }
    for (name, help, value) in OF_QUEUE_TYPE {
        let name = format!("rabbitmq_global_messages_{name}_total");
        page.metric(&name, Kind::Counter, help);
        for (queue_type, stats) in by_type(stats) {
            page.sample(&name, &[PROTOCOL, ("queue_type", queue_type)], value(stats));
        }
    }
    for (reason, help, value) in DEAD_LETTERED {
        let name = format!("rabbitmq_global_messages_dead_lettered_{reason}_total");
        page.metric(&name, Kind::Counter, help);
        // Classic queues have no limit of deliveries.
        let has_it = |queue_type: &str| reason != "delivery_limit" || queue_type == "rabbit_quorum_queue";
        for (queue_type, stats) in by_type(stats).into_iter().filter(|(queue_type, _)| has_it(queue_type)) {
            let labels = [("queue_type", queue_type), ("dead_letter_strategy", "at_most_once")];
            page.sample(&name, &labels, value(stats));
        }
    }
    page.metric("rabbitmq_global_consumers", Kind::Gauge, "Current number of consumers");
    page.sample("rabbitmq_global_consumers", &[PROTOCOL], node.totals.consumers);
}

fn by_type(stats: &BrokerStats) -> [(&'static str, &QueueStats); 2] {
    [("rabbit_classic_queue", &stats.classic), ("rabbit_quorum_queue", &stats.quorum)]
}

/// A counter's name, its help, and where its value is.
type Counter = (&'static str, &'static str, fn(&QueueStats) -> u64);

const OF_QUEUE_TYPE: [Counter; 8] = [
    ("delivered", "Total number of messages delivered to consumers", QueueStats::deliver_get),
    (
        "delivered_consume_manual_ack",
        "Total number of messages delivered to consumers using basic.consume with manual acknowledgment",
        |stats| stats.delivered,
    ),
    (
        "delivered_consume_auto_ack",
        "Total number of messages delivered to consumers using basic.consume with automatic acknowledgment",
        |stats| stats.delivered_no_ack,
    ),
    (
        "delivered_get_manual_ack",
        "Total number of messages delivered to consumers using basic.get with manual acknowledgment",
        |stats| stats.got,
    ),
    (
        "delivered_get_auto_ack",
        "Total number of messages delivered to consumers using basic.get with automatic acknowledgment",
        |stats| stats.got_no_ack,
    ),
    ("get_empty", "Total number of times basic.get operations fetched no message", |stats| stats.got_empty),
    ("redelivered", "Total number of messages redelivered to consumers", |stats| stats.redelivered),
    ("acknowledged", "Total number of messages acknowledged by consumers", |stats| stats.acked),
];

const DEAD_LETTERED: [Counter; 4] = [
    ("rejected", "Total number of messages dead-lettered due to basic.reject or basic.nack", |stats| {
        stats.dead_rejected
    }),
    ("expired", "Total number of messages dead-lettered due to message TTL exceeded", |stats| {
        stats.dead_expired
    }),
    (
        "maxlen",
        "Total number of messages dead-lettered due to overflow drop-head or reject-publish-dlx",
        |stats| stats.dead_max_length,
    ),
    ("delivery_limit", "Total number of messages dead-lettered due to delivery-limit exceeded", |stats| {
        stats.dead_delivery_limit
    }),
];

/// What ran short.
pub(super) fn alarms(page: &mut Page, alarms: &[Alarm]) {
    let all = [
        ("memory_used_watermark", "is 1 if VM memory watermark alarm is in effect", Alarm::Memory),
        ("free_disk_space_watermark", "is 1 if free disk space watermark alarm is in effect", Alarm::Disk),
    ];
    for (name, help, alarm) in all {
        let is_on = u64::from(alarms.contains(&alarm));
        page.single(&format!("rabbitmq_alarms_{name}"), Kind::Untyped, help, is_on);
    }
}
