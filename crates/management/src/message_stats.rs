//! `message_stats`: what happened to messages, with rates, under RabbitMQ's names.

use leveret_core::admin::{ConnectionStats, QueueStats};
use serde_json::Value;

use crate::rates::Rates;

/// A queue's, or several queues' together; nothing where nothing happened yet.
pub(crate) fn of_queues(rates: &Rates, whose: &str, now_ms: u64, stats: &QueueStats) -> Option<Value> {
    let counts = queue_counts(stats);
    let any = counts.iter().any(|(_, count)| *count > 0);
    any.then(|| rates.object(whose, now_ms, &counts).into())
}

/// The whole broker's.
pub(crate) fn of_broker(
    rates: &Rates,
    now_ms: u64,
    queues: &QueueStats,
    connections: &ConnectionStats,
) -> Option<Value> {
    // A message counts as published once here, however many queues it went to.
    let mut counts = queue_counts(queues);
    counts.retain(|(name, _)| *name != "publish");
    counts.extend([
        ("publish", connections.received),
        ("confirm", connections.confirmed),
        ("return_unroutable", connections.returned),
        ("drop_unroutable", connections.dropped),
    ]);
    let any = counts.iter().any(|(_, count)| *count > 0);
    any.then(|| rates.object("broker/messages", now_ms, &counts).into())
}

fn queue_counts(stats: &QueueStats) -> Vec<(&'static str, u64)> {
    vec![
        ("publish", stats.published),
        ("deliver", stats.delivered),
        ("deliver_no_ack", stats.delivered_no_ack),
        ("get", stats.got),
        ("get_no_ack", stats.got_no_ack),
        ("get_empty", stats.got_empty),
        ("deliver_get", stats.deliver_get()),
        ("redeliver", stats.redelivered),
        ("ack", stats.acked),
    ]
}
