//! What queue arguments do.

use amqprs::channel::{BasicNackArguments, QueueDeclareArguments, QueueDeleteArguments};
use amqprs::{BasicProperties, FieldValue};

use crate::support::{Client, Told, field, next, table, texts, unique};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_is_dead_lettered() {
    let client = Client::open().await;
    let dead = client.queue(Default::default()).await;
    let queue = client
        .queue(table([
            ("x-message-ttl", FieldValue::I(20)),
            ("x-dead-letter-exchange", FieldValue::from("")),
            ("x-dead-letter-routing-key", FieldValue::from(dead.as_str())),
        ]))
        .await;
    client.send(&queue, "late", BasicProperties::default()).await;
    let (_, _, properties, _) = next(&mut client.consume(&dead, true).await).await;
    let headers = properties.headers().expect("headers");
    assert_eq!(field(headers, "x-first-death-reason"), Some(FieldValue::from("expired")));
    assert_eq!(field(headers, "x-first-death-queue"), Some(FieldValue::from(queue.as_str())));
    assert!(matches!(field(headers, "x-death"), Some(FieldValue::A(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn priorities_are_served_highest_first() {
    let mut client = Client::confirming().await;
    let queue = client.queue(table([("x-max-priority", FieldValue::I(3))])).await;
    for priority in [1, 3, 0, 2] {
        client
            .send(&queue, &priority.to_string(), BasicProperties::default().with_priority(priority).finish())
            .await;
    }
    client.confirmed(4).await;
    assert_eq!(texts(&mut client.consume(&queue, true).await, 4).await, ["3", "2", "1", "0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_queue_nacks() {
    let mut client = Client::confirming().await;
    let limits =
        table([("x-max-length", FieldValue::I(1)), ("x-overflow", FieldValue::from("reject-publish"))]);
    let queue = client.queue(limits).await;
    client.send(&queue, "fits", BasicProperties::default()).await;
    client.confirmed(1).await;
    client.send(&queue, "too much", BasicProperties::default()).await;
    assert!(matches!(client.told().await, Told::Nacked(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quorum_queue_counts_deliveries() {
    let client = Client::open().await;
    let queue = unique();
    let quorum =
        table([("x-queue-type", FieldValue::from("quorum")), ("x-delivery-limit", FieldValue::I(2))]);
    let declare = QueueDeclareArguments::new(&queue).durable(true).arguments(quorum).finish();
    client.channel.queue_declare(declare).await.expect("declare-ok");
    client.send(&queue, "poison", BasicProperties::default()).await;
    let mut deliveries = client.consume(&queue, false).await;
    let mut counts = Vec::new();
    for _ in 0..3 {
        let (tag, _, properties, _) = next(&mut deliveries).await;
        counts.push(properties.headers().and_then(|headers| field(headers, "x-delivery-count")));
        client.channel.basic_nack(BasicNackArguments::new(tag, false, true)).await.expect("nack");
    }
    assert_eq!(counts, [None, Some(FieldValue::l(1)), Some(FieldValue::l(2))]);
    client.channel.queue_delete(QueueDeleteArguments::new(&queue)).await.expect("delete-ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_argument_is_refused() {
    let mut client = Client::open().await;
    let queue = unique();
    let bad = table([("x-message-ttl", FieldValue::I(-1))]);
    let declare = QueueDeclareArguments::new(&queue).exclusive(true).arguments(bad).finish();
    assert!(client.channel.queue_declare(declare).await.is_err());
    match client.told().await {
        Told::Closed(406, text) => assert_eq!(
            text,
            format!(
                "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue '{queue}' in vhost '/': {{value_negative,-1}}"
            )
        ),
        other => panic!("{other:?}"),
    }
}
