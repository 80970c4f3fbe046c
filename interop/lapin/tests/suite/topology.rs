//! Queues, exchanges and bindings, and where messages go by them.

use lapin::ExchangeKind;
use lapin::options::*;
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use lapin::{BasicProperties, Channel};

use crate::support::*;

async fn declare(channel: &Channel, name: &str, options: QueueDeclareOptions) -> lapin::Result<lapin::Queue> {
    channel.queue_declare(name.into(), options, FieldTable::default()).await
}

#[test]
fn inequivalent_queue_is_refused() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let name = broker.queue(&channel, false, "classic").await;
        let same = declare(&channel, name.as_str(), Default::default()).await;
        assert_eq!(same.expect("equivalent").name(), &name);
        let result = declare(&channel, name.as_str(), QueueDeclareOptions::durable()).await;
        let text = format!(
            "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{name}' in vhost '/': \
             received 'true' but current is 'false'"
        );
        assert_refused(result, 406, &text);
    });
}

#[test]
fn inequivalent_exchange_is_refused() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let name = broker.exchange(&channel, ExchangeKind::Topic).await;
        let result = channel
            .exchange_declare(name.clone(), ExchangeKind::Fanout, Default::default(), FieldTable::default())
            .await;
        let text = format!(
            "PRECONDITION_FAILED - inequivalent arg 'type' for exchange '{name}' in vhost '/': \
             received 'fanout' but current is 'topic'"
        );
        assert_refused(result, 406, &text);
    });
}

#[test]
fn nowait_methods_take_effect() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let (queue, exchange) = (unique(), unique());
        let exchange_options =
            ExchangeDeclareOptions { auto_delete: true, nowait: true, ..Default::default() };
        channel
            .exchange_declare(exchange.clone(), ExchangeKind::Direct, exchange_options, FieldTable::default())
            .await
            .expect("sent");
        let queue_options = QueueDeclareOptions { exclusive: true, nowait: true, ..Default::default() };
        declare(&channel, queue.as_str(), queue_options).await.expect("sent");
        channel
            .queue_bind(
                queue.clone(),
                exchange.clone(),
                "key".into(),
                QueueBindOptions { nowait: true },
                FieldTable::default(),
            )
            .await
            .expect("sent");
        publish(&channel, exchange.as_str(), "key", b"body").await;
        assert_eq!(take_all(&channel, &queue, 1).await, ["body"]);
    });
}

#[test]
fn exclusive_queue_is_locked_for_others() {
    run(async |broker| {
        let (_owner, theirs) = broker.open().await;
        let (_connection, channel) = broker.open().await;
        let name = private_queue(&theirs).await;
        let result = declare(&channel, name.as_str(), passive()).await;
        let (code, text) = refusal(&result.expect_err("locked"));
        assert_eq!(code, 405);
        let start = format!(
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{name}' in vhost '/'. "
        );
        assert!(text.starts_with(&start), "{text}");
    });
}

#[test]
fn exclusive_queue_ends_with_its_connection() {
    run(async |broker| {
        let (owner, theirs) = broker.open().await;
        let (connection, _) = broker.open().await;
        let name = private_queue(&theirs).await;
        close(&owner).await;
        let text = format!("NOT_FOUND - no queue '{name}' in vhost '/'");
        in_time("the queue's end", async {
            loop {
                let channel = connection.create_channel().await.expect("a channel");
                let result = declare(&channel, name.as_str(), passive()).await;
                let error = refusal(&result.expect_err("locked or gone"));
                if error == (404, text.clone()) {
                    return;
                }
            }
        })
        .await;
    });
}

#[test]
fn purge_and_delete_count() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = broker.queue(&channel, true, "classic").await;
        send(&channel, &queue, &["1", "2", "3"]).await;
        let purge = channel.queue_purge(queue.clone(), Default::default()).await;
        assert_eq!(purge.expect("purge-ok"), 3);
        send(&channel, &queue, &["4", "5"]).await;
        let delete = channel.queue_delete(queue.clone(), Default::default()).await;
        assert_eq!(delete.expect("delete-ok"), 2);
        let again = channel.queue_delete(queue, Default::default()).await;
        assert_eq!(again.expect("delete-ok"), 0);
    });
}

#[test]
fn delete_obeys_its_flags() {
    run(async |broker| {
        let (connection, channel) = broker.open().await;
        let queue = broker.queue(&channel, false, "classic").await;
        send(&channel, &queue, &["1"]).await;
        let if_empty = QueueDeleteOptions { if_empty: true, ..Default::default() };
        let refused = connection.create_channel().await.expect("a channel");
        let text = format!("PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty");
        assert_refused(refused.queue_delete(queue.clone(), if_empty).await, 406, &text);
        let _consumer = consume(&channel, &queue).await;
        let if_unused = QueueDeleteOptions { if_unused: true, ..Default::default() };
        let refused = connection.create_channel().await.expect("a channel");
        let text = format!("PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use");
        assert_refused(refused.queue_delete(queue, if_unused).await, 406, &text);
    });
}

#[test]
fn topic_patterns_route() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let exchange = broker.exchange(&channel, ExchangeKind::Topic).await;
        let cases = [
            ("*.orange.*", vec!["quick.orange.rabbit", "lazy.orange.elephant"]),
            ("*.*.rabbit", vec!["quick.orange.rabbit", "lazy.pink.rabbit"]),
            ("lazy.#", vec!["lazy.orange.elephant", "lazy.pink.rabbit", "lazy", "lazy.a.b.c"]),
            ("#.fox", vec!["fox", "quick.brown.fox"]),
        ];
        let mut queues = Vec::new();
        for (pattern, _) in &cases {
            let queue = private_queue(&channel).await;
            bind(&channel, &queue, &exchange, pattern).await;
            queues.push(queue);
        }
        let keys = [
            "quick.orange.rabbit",
            "lazy.orange.elephant",
            "lazy.pink.rabbit",
            "fox",
            "quick.brown.fox",
            "lazy",
            "lazy.a.b.c",
            "",
        ];
        for key in keys {
            publish(&channel, exchange.as_str(), key, key.as_bytes()).await;
        }
        for ((pattern, expected), queue) in cases.iter().zip(&queues) {
            let got = take_all(&channel, queue, expected.len()).await;
            assert_eq!(&got, expected, "{pattern}");
        }
    });
}

#[test]
fn headers_compare_values_of_any_width() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let exchange = broker.exchange(&channel, ExchangeKind::Headers).await;
        let queue = private_queue(&channel).await;
        channel
            .queue_bind(
                queue.clone(),
                exchange.clone(),
                "".into(),
                Default::default(),
                table([("x-match", text("all")), ("n", AMQPValue::LongInt(7))]),
            )
            .await
            .expect("bind-ok");
        let values = [
            (AMQPValue::ShortShortInt(7), "b"),
            (AMQPValue::ShortInt(7), "s"),
            (AMQPValue::LongInt(7), "I"),
            (AMQPValue::LongLongInt(7), "l"),
            (AMQPValue::LongInt(8), "other value"),
            (text("7"), "text"),
        ];
        for (value, name) in values {
            let properties = BasicProperties::default().with_headers(table([("n", value)]));
            publish_with(&channel, exchange.as_str(), "", name.as_bytes(), properties).await;
        }
        assert_eq!(take_all(&channel, &queue, 4).await, ["b", "s", "I", "l"]);
    });
}

#[test]
fn exchanges_bind_to_exchanges() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let source = broker.exchange(&channel, ExchangeKind::Topic).await;
        let middle = broker.exchange(&channel, ExchangeKind::Direct).await;
        let queue = private_queue(&channel).await;
        bind(&channel, &queue, &middle, "a.b").await;
        for (from, to, key) in [(&source, &middle, "a.*"), (&middle, &source, "a.b")] {
            channel
                .exchange_bind(
                    to.clone(),
                    from.clone(),
                    key.into(),
                    Default::default(),
                    FieldTable::default(),
                )
                .await
                .expect("bind-ok");
        }
        for key in ["a.b", "a.c", "b.b"] {
            publish(&channel, source.as_str(), key, key.as_bytes()).await;
        }
        assert_eq!(take_all(&channel, &queue, 1).await, ["a.b"]);
        channel
            .exchange_unbind(middle, source.clone(), "a.*".into(), Default::default(), FieldTable::default())
            .await
            .expect("unbind-ok");
        publish(&channel, source.as_str(), "a.b", b"unbound").await;
        assert!(take_all(&channel, &queue, 0).await.is_empty());
    });
}

#[test]
fn alternate_exchange_catches_the_rest() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let spare = broker.exchange(&channel, ExchangeKind::Fanout).await;
        let main = broker
            .exchange_with(
                &channel,
                ExchangeKind::Direct,
                table([("alternate-exchange", text(spare.as_str()))]),
            )
            .await;
        let (wanted, rest) = (private_queue(&channel).await, private_queue(&channel).await);
        bind(&channel, &wanted, &main, "key").await;
        bind(&channel, &rest, &spare, "").await;
        publish(&channel, main.as_str(), "key", b"wanted").await;
        publish(&channel, main.as_str(), "other", b"rest").await;
        assert_eq!(take_all(&channel, &wanted, 1).await, ["wanted"]);
        assert_eq!(take_all(&channel, &rest, 1).await, ["rest"]);
    });
}

#[test]
fn fanout_reaches_every_queue_once() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let exchange = broker.exchange(&channel, ExchangeKind::Fanout).await;
        let mut queues = Vec::new();
        for _ in 0..50 {
            let queue = private_queue(&channel).await;
            bind(&channel, &queue, &exchange, "").await;
            bind(&channel, &queue, &exchange, "again").await;
            queues.push(queue);
        }
        publish(&channel, exchange.as_str(), "again", b"one").await;
        publish(&channel, exchange.as_str(), "", b"two").await;
        for queue in &queues {
            assert_eq!(take_all(&channel, queue, 2).await, ["one", "two"]);
        }
    });
}

#[test]
fn cc_and_bcc_reach_more_queues() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let (to, cc, bcc) =
            (private_queue(&channel).await, private_queue(&channel).await, private_queue(&channel).await);
        let list = |name: &str| AMQPValue::FieldArray(FieldArray::from(vec![text(name)]));
        let headers = table([("CC", list(cc.as_str())), ("BCC", list(bcc.as_str()))]);
        let properties = BasicProperties::default().with_headers(headers);
        publish_with(&channel, "", to.as_str(), b"copy", properties).await;
        for queue in [&to, &cc, &bcc] {
            let delivery = take(&channel, queue, true).await.delivery;
            let headers = delivery.properties.headers().as_ref().expect("headers");
            assert!(headers.contains_key("CC") && !headers.contains_key("BCC"));
            assert_eq!(delivery.routing_key, to);
        }
    });
}

#[test]
fn quorum_queue_carries_messages() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = broker.queue(&channel, true, "quorum").await;
        channel.confirm_select(Default::default()).await.expect("select-ok");
        for n in 0..20 {
            let confirm = channel
                .basic_publish(
                    "".into(),
                    queue.clone(),
                    Default::default(),
                    n.to_string().as_bytes(),
                    BasicProperties::default(),
                )
                .await
                .expect("published");
            assert!(confirm.await.expect("confirmed").is_ack());
        }
        let mut consumer = consume(&channel, &queue).await;
        for n in 0..20 {
            let delivery = next(&mut consumer).await;
            assert_eq!(body_of(&delivery), n.to_string());
            delivery.ack(Default::default()).await.expect("acked");
        }
    });
}
