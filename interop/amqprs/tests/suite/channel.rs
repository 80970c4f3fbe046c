//! Publishing, consuming, routing.

use amqprs::channel::{
    BasicAckArguments, BasicConsumeArguments, BasicNackArguments, BasicQosArguments, ExchangeBindArguments,
    ExchangeDeclareArguments, QueueBindArguments, QueueDeclareArguments, QueueDeleteArguments,
    QueuePurgeArguments,
};
use amqprs::{BasicProperties, FieldValue};

use crate::support::{Client, Told, next, soon, table, texts, unique};

fn plain() -> BasicProperties {
    BasicProperties::default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_come_back() {
    let client = Client::open().await;
    let queue = client.queue(Default::default()).await;
    let headers = table([
        ("text", FieldValue::from("häse")),
        ("yes", FieldValue::t(true)),
        ("small", FieldValue::I(-7)),
        ("large", FieldValue::l(1 << 40)),
        ("nothing", FieldValue::V),
        ("table", FieldValue::F(table([("deep", FieldValue::I(1))]))),
    ]);
    let sent = plain()
        .with_content_type("text/plain")
        .with_headers(headers)
        .with_persistence(true)
        .with_priority(3)
        .with_correlation_id("c")
        .with_reply_to("r")
        .with_expiration("60000")
        .with_message_id("m")
        .with_timestamp(1_700_000_000)
        .with_message_type("kind")
        .with_user_id("guest")
        .with_app_id("app")
        .finish();
    client.send(&queue, "body", sent.clone()).await;
    let mut deliveries = client.consume(&queue, true).await;
    let (_, redelivered, properties, body) = next(&mut deliveries).await;
    assert_eq!(properties.headers(), sent.headers());
    // Headers apart, which print in any order.
    let without_headers = |mut properties: BasicProperties| {
        properties.with_headers(Default::default());
        format!("{properties:?}")
    };
    assert_eq!(without_headers(properties), without_headers(sent));
    assert_eq!((redelivered, body.as_str()), (false, "body"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_all_sizes_arrive_whole() {
    let client = Client::open().await;
    let queue = client.queue(Default::default()).await;
    let mut deliveries = client.consume(&queue, true).await;
    for size in [0, 1, 131_064, 131_065, 3_000_000] {
        client.publish("", &queue, vec![b'x'; size], plain(), false).await;
        assert_eq!(next(&mut deliveries).await.3.len(), size);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirms_come_for_all() {
    let mut client = Client::confirming().await;
    let queue = client.queue(Default::default()).await;
    for _ in 0..500 {
        client.send(&queue, "x", plain()).await;
    }
    client.confirmed(500).await;
    let purge = QueuePurgeArguments::new(&queue);
    assert_eq!(client.channel.queue_purge(purge).await.expect("purge-ok"), Some(500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unroutable_is_returned_before_its_confirm() {
    let mut client = Client::confirming().await;
    client.publish("", &unique(), b"lost".to_vec(), plain(), true).await;
    match client.told().await {
        Told::Returned(code, text, body) => {
            assert_eq!((code, text.as_str(), body.as_slice()), (312, "NO_ROUTE", &b"lost"[..]))
        }
        other => panic!("{other:?}"),
    }
    client.confirmed(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prefetch_holds_back_until_an_ack() {
    let mut client = Client::confirming().await;
    let queue = client.queue(Default::default()).await;
    for i in 1..=5 {
        client.send(&queue, &i.to_string(), plain()).await;
    }
    client.confirmed(5).await;
    client.channel.basic_qos(BasicQosArguments::new(0, 2, false)).await.expect("qos-ok");
    let mut deliveries = client.consume(&queue, false).await;
    next(&mut deliveries).await;
    let (second, ..) = next(&mut deliveries).await;
    assert_eq!(client.ready(&queue).await, 3);
    client.channel.basic_ack(BasicAckArguments::new(second, true)).await.expect("ack");
    assert_eq!(texts(&mut deliveries, 2).await, ["3", "4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requeued_keeps_its_place() {
    let mut client = Client::confirming().await;
    let queue = client.queue(Default::default()).await;
    client.send(&queue, "1", plain()).await;
    client.send(&queue, "2", plain()).await;
    client.confirmed(2).await;
    let (first, redelivered, ..) = client.get(&queue, false).await.expect("a message");
    assert!(!redelivered);
    client.channel.basic_nack(BasicNackArguments::new(first, false, true)).await.expect("nack");
    let (_, redelivered, _, body) = client.get(&queue, true).await.expect("a message");
    assert_eq!((redelivered, body.as_str()), (true, "1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recover_delivers_again() {
    let mut client = Client::confirming().await;
    let queue = client.queue(Default::default()).await;
    client.send(&queue, "x", plain()).await;
    client.confirmed(1).await;
    client.get(&queue, false).await.expect("a message");
    client.channel.basic_recover(true).await.expect("recover-ok");
    assert!(client.get(&queue, true).await.expect("a message").1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_ack_closes_the_channel() {
    let mut client = Client::open().await;
    let queue = client.queue(Default::default()).await;
    client.send(&queue, "x", plain()).await;
    let (tag, ..) = next(&mut client.consume(&queue, false).await).await;
    for _ in 0..2 {
        client.channel.basic_ack(BasicAckArguments::new(tag, false)).await.expect("ack");
    }
    match client.told().await {
        Told::Closed(code, text) => {
            assert_eq!((code, text.as_str()), (406, "PRECONDITION_FAILED - unknown delivery tag 1"))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_queue_cancels_its_consumers() {
    let mut client = Client::open().await;
    let queue = client.queue(Default::default()).await;
    let consume = BasicConsumeArguments::new(&queue, &unique()).finish();
    let (consumer, mut deliveries) = client.channel.basic_consume_rx(consume).await.expect("consume-ok");
    client.channel.queue_delete(QueueDeleteArguments::new(&queue)).await.expect("delete-ok");
    assert!(matches!(client.told().await, Told::Cancelled(tag) if tag == consumer));
    assert!(soon(deliveries.recv()).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transaction_is_seen_at_commit() {
    let (client, other) = (Client::open().await, Client::open().await);
    let queue = unique();
    other.channel.queue_declare(QueueDeclareArguments::new(&queue)).await.expect("declare-ok");
    client.channel.tx_select().await.expect("select-ok");
    client.send(&queue, "rolled back", plain()).await;
    client.channel.tx_rollback().await.expect("rollback-ok");
    client.send(&queue, "committed", plain()).await;
    assert!(other.get(&queue, true).await.is_none());
    client.channel.tx_commit().await.expect("commit-ok");
    assert_eq!(other.get(&queue, true).await.expect("a message").3, "committed");
    other.channel.queue_delete(QueueDeleteArguments::new(&queue)).await.expect("delete-ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchanges_and_bindings_route() {
    let client = Client::open().await;
    let (from, to) = (unique(), unique());
    for (name, kind) in [(&from, "topic"), (&to, "headers")] {
        let declare = ExchangeDeclareArguments::new(name, kind).auto_delete(true).finish();
        client.channel.exchange_declare(declare).await.expect("declare-ok");
    }
    let queue = client.queue(Default::default()).await;
    client.channel.exchange_bind(ExchangeBindArguments::new(&to, &from, "orders.#")).await.expect("bind-ok");
    let matching = table([("x-match", FieldValue::from("all")), ("kind", FieldValue::from("a"))]);
    let bind = QueueBindArguments::new(&queue, &to, "").arguments(matching).finish();
    client.channel.queue_bind(bind).await.expect("bind-ok");
    for kind in ["b", "a"] {
        let properties = plain().with_headers(table([("kind", FieldValue::from(kind))])).finish();
        client.publish(&from, "orders.new", kind.as_bytes().to_vec(), properties, false).await;
    }
    assert_eq!(texts(&mut client.consume(&queue, true).await, 1).await, ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_come_directly() {
    let (client, server) = (Client::open().await, Client::open().await);
    let queue = server.queue(Default::default()).await;
    let mut requests = server.consume(&queue, true).await;
    let mut answers = client.consume("amq.rabbitmq.reply-to", true).await;
    client.send(&queue, "hello", plain().with_reply_to("amq.rabbitmq.reply-to").finish()).await;
    let (_, _, properties, text) = next(&mut requests).await;
    server.send(properties.reply_to().expect("reply-to"), &format!("{text}!"), plain()).await;
    assert_eq!(next(&mut answers).await.3, "hello!");
}
