//! The families of `/metrics/detailed`: metrics for each object.

use std::collections::BTreeMap;

use leveret_core::admin::{Admin, ChannelView, ConnectionView, QueueView};

use super::node;
use super::text::{Kind, Page};
use crate::channels::channel_name;

/// Which objects are asked for; an empty list is all.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) vhosts: Vec<String>,
    pub(super) queues: Vec<String>,
}

impl Scope {
    fn has_vhost(&self, vhost: &str) -> bool {
        self.vhosts.is_empty() || self.vhosts.iter().any(|wanted| wanted == vhost)
    }

    fn queues(&self, admin: &dyn Admin) -> Vec<QueueView> {
        let mut queues = admin.queues(None);
        queues.retain(|queue| {
            let is_named = self.queues.is_empty() || self.queues.contains(&queue.name);
            is_named && self.has_vhost(&queue.vhost)
        });
        queues.sort_by(|left, right| (&left.vhost, &left.name).cmp(&(&right.vhost, &right.name)));
        queues
    }
}

/// One family.
pub(super) struct Family {
    pub(super) name: &'static str,
    /// What its metrics' names begin with on the page for details.
    pub(super) prefix: &'static str,
    /// `/metrics/per-object` has it too.
    pub(super) per_object: bool,
    pub(super) write: fn(&mut Page, &str, &dyn Admin, &Scope),
}

const DETAILED: &str = "rabbitmq_detailed_";
const CLUSTER: &str = "rabbitmq_cluster_";

/// All families there are.
pub(super) const FAMILIES: &[Family] = &[
    Family { name: "queue_coarse_metrics", prefix: DETAILED, per_object: true, write: queue_coarse },
    // Metrics that another family of the same page has too stand in one of them only.
    Family { name: "queue_consumer_count", prefix: DETAILED, per_object: true, write: queue_consumers },
    Family { name: "queue_metrics", prefix: DETAILED, per_object: true, write: queue_bytes },
    Family { name: "queue_delivery_metrics", prefix: DETAILED, per_object: true, write: queue_deliveries },
    Family { name: "channel_metrics", prefix: DETAILED, per_object: true, write: channels },
    Family { name: "connection_coarse_metrics", prefix: DETAILED, per_object: true, write: connection_bytes },
    Family { name: "connection_metrics", prefix: DETAILED, per_object: true, write: connection_channels },
    Family { name: "connection_churn_metrics", prefix: DETAILED, per_object: false, write: churn },
    Family { name: "vhost_status", prefix: CLUSTER, per_object: false, write: vhosts },
    Family { name: "exchange_names", prefix: CLUSTER, per_object: false, write: exchange_names },
    Family { name: "exchange_bindings", prefix: CLUSTER, per_object: false, write: exchange_bindings },
];

/// A metric of an object: name, help, value.
type Metric<T> = (&'static str, Kind, &'static str, fn(&T) -> Option<u64>);

fn write_all<T>(
    page: &mut Page,
    prefix: &str,
    metrics: &[Metric<T>],
    objects: &[T],
    labels: impl Fn(&T) -> Vec<(&'static str, String)>,
) {
    for (name, kind, help, value) in metrics {
        let name = format!("{prefix}{name}");
        page.metric(&name, *kind, help);
        for object in objects {
            let Some(value) = value(object) else { continue };
            let labels = labels(object);
            let labels: Vec<(&str, &str)> = labels.iter().map(|(key, text)| (*key, text.as_str())).collect();
            page.sample(&name, &labels, value);
        }
    }
}

fn queue_labels(queue: &QueueView) -> Vec<(&'static str, String)> {
    vec![("vhost", queue.vhost.clone()), ("queue", queue.name.clone())]
}

fn queue_coarse(page: &mut Page, prefix: &str, admin: &dyn Admin, scope: &Scope) {
    let metrics: [Metric<QueueView>; 3] = [
        ("queue_messages_ready", Kind::Gauge, "Messages ready to be delivered to consumers", |queue| {
            Some(queue.messages_ready)
        }),
        (
            "queue_messages_unacked",
            Kind::Gauge,
            "Messages delivered to consumers but not yet acknowledged",
            |queue| Some(queue.messages_unacknowledged),
        ),
        (
            "queue_messages",
            Kind::Gauge,
            "Sum of ready and unacknowledged messages - total queue depth",
            |queue| Some(queue.messages_ready.saturating_add(queue.messages_unacknowledged)),
        ),
    ];
    write_all(page, prefix, &metrics, &scope.queues(admin), queue_labels);
}

fn queue_consumers(page: &mut Page, prefix: &str, admin: &dyn Admin, scope: &Scope) {
    let metrics: [Metric<QueueView>; 1] =
        [("queue_consumers", Kind::Gauge, "Consumers on a queue", |queue| Some(queue.consumers))];
    write_all(page, prefix, &metrics, &scope.queues(admin), queue_labels);
}

fn queue_bytes(page: &mut Page, prefix: &str, admin: &dyn Admin, scope: &Scope) {
    let metrics: [Metric<QueueView>; 4] = [
        ("queue_messages_persistent", Kind::Gauge, "Persistent messages", |queue| queue.messages_persistent),
        (
            "queue_messages_bytes",
            Kind::Gauge,
            "Size in bytes of ready and unacknowledged messages",
            |queue| {
                let both = queue.message_bytes_ready.zip(queue.message_bytes_unacknowledged);
                both.map(|(ready, unacked)| ready.saturating_add(unacked))
            },
        ),
        ("queue_messages_ready_bytes", Kind::Gauge, "Size in bytes of ready messages", |queue| {
            queue.message_bytes_ready
        }),
        (
            "queue_messages_unacked_bytes",
            Kind::Gauge,
            "Size in bytes of all unacknowledged messages",
            |queue| queue.message_bytes_unacknowledged,
        ),
    ];
    write_all(page, prefix, &metrics, &scope.queues(admin), queue_labels);
}

fn queue_deliveries(page: &mut Page, prefix: &str, admin: &dyn Admin, scope: &Scope) {
    let queues = scope.queues(admin);
    let counters: Vec<_> = queues.iter().map(|queue| node::queue_counters(&queue.stats)).collect();
    let names = node::queue_counters(&Default::default());
    for (at, (name, help, _)) in names.iter().enumerate() {
        let name = format!("{prefix}{name}");
        page.metric(&name, Kind::Counter, help);
        for (queue, counters) in queues.iter().zip(&counters) {
            let Some((_, _, value)) = counters.get(at) else { continue };
            page.sample(&name, &[("vhost", &queue.vhost), ("queue", &queue.name)], *value);
        }
    }
}

fn channels(page: &mut Page, prefix: &str, admin: &dyn Admin, scope: &Scope) {
    let mut channels = admin.channels();
    channels.retain(|channel| scope.has_vhost(&channel.vhost));
    let metrics: [Metric<ChannelView>; 7] = [
        ("channel_consumers", Kind::Gauge, "Consumers on a channel", |channel| Some(channel.consumer_count)),
        ("channel_messages_unacked", Kind::Gauge, "Delivered but not yet acknowledged messages", |channel| {
            Some(channel.messages_unacknowledged)
        }),
        (
            "channel_messages_unconfirmed",
            Kind::Gauge,
            "Published but not yet confirmed messages",
            |channel| Some(channel.messages_unconfirmed),
        ),
        (
            "channel_messages_uncommitted",
            Kind::Gauge,
            "Messages received in a transaction but not yet committed",
            |channel| Some(channel.messages_uncommitted),
        ),
        (
            "channel_acks_uncommitted",
            Kind::Gauge,
            "Message acknowledgements in a transaction not yet committed",
            |channel| Some(channel.acks_uncommitted),
        ),
        ("consumer_prefetch", Kind::Gauge, "Limit of unacknowledged messages for each consumer", |channel| {
            Some(channel.prefetch_count.into())
        }),
        ("channel_prefetch", Kind::Gauge, "Deprecated and will be removed in a future version", |channel| {
            Some(channel.global_prefetch_count.into())
        }),
    ];
    let labels = |channel: &ChannelView| vec![("channel", channel_name(&channel.channel))];
    write_all(page, prefix, &metrics, &channels, labels);
}

fn connection_labels(connection: &ConnectionView) -> Vec<(&'static str, String)> {
    vec![("connection", connection.peer.connection_name.clone())]
}

fn connection_bytes(page: &mut Page, prefix: &str, admin: &dyn Admin, _: &Scope) {
    let metrics: [Metric<ConnectionView>; 2] = [
        (
            "connection_incoming_bytes_total",
            Kind::Counter,
            "Total number of bytes received on a connection",
            |connection| connection.recv_oct,
        ),
        (
            "connection_outgoing_bytes_total",
            Kind::Counter,
            "Total number of bytes sent on a connection",
            |connection| connection.send_oct,
        ),
    ];
    write_all(page, prefix, &metrics, &admin.connections(), connection_labels);
}

fn connection_channels(page: &mut Page, prefix: &str, admin: &dyn Admin, _: &Scope) {
    let metrics: [Metric<ConnectionView>; 1] =
        [("connection_channels", Kind::Gauge, "Channels on a connection", |connection| {
            Some(connection.channels)
        })];
    write_all(page, prefix, &metrics, &admin.connections(), connection_labels);
}

fn churn(page: &mut Page, prefix: &str, admin: &dyn Admin, _: &Scope) {
    node::churn(page, prefix, &admin.stats());
}

fn vhosts(page: &mut Page, prefix: &str, admin: &dyn Admin, scope: &Scope) {
    let name = format!("{prefix}vhost_status");
    page.metric(&name, Kind::Gauge, "Whether a given vhost is running");
    for vhost in admin.vhosts().iter().filter(|vhost| scope.has_vhost(&vhost.name)) {
        page.sample(&name, &[("vhost", &vhost.name)], 1u64);
    }
}

fn exchange_names(page: &mut Page, prefix: &str, admin: &dyn Admin, scope: &Scope) {
    let name = format!("{prefix}exchange_name");
    page.metric(&name, Kind::Gauge, "Enumerates exchanges without any additional info. This value is cluster-wide. A cheaper alternative to `exchange_bindings`");
    for exchange in admin.exchanges(None).iter().filter(|exchange| scope.has_vhost(&exchange.vhost)) {
        let labels =
            [("vhost", &*exchange.vhost), ("exchange", &*exchange.name), ("type", &*exchange.exchange_type)];
        page.sample(&name, &labels, 1u64);
    }
}

fn exchange_bindings(page: &mut Page, prefix: &str, admin: &dyn Admin, scope: &Scope) {
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    for binding in admin.bindings(None) {
        *counts.entry((binding.vhost, binding.source)).or_default() += 1;
    }
    let name = format!("{prefix}exchange_bindings");
    page.metric(&name, Kind::Gauge, "Number of bindings for an exchange. This value is cluster-wide.");
    for exchange in admin.exchanges(None).iter().filter(|exchange| scope.has_vhost(&exchange.vhost)) {
        let labels =
            [("vhost", &*exchange.vhost), ("exchange", &*exchange.name), ("type", &*exchange.exchange_type)];
        let count = counts.get(&(exchange.vhost.clone(), exchange.name.clone()));
        page.sample(&name, &labels, count.copied().unwrap_or_default());
    }
}
