//! Publishing: bodies, properties, header tables, returns and confirms.

use lapin::options::*;
use lapin::types::{AMQPValue, DecimalValue, FieldArray, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, ExchangeKind};

use crate::support::*;

async fn confirmed(channel: &Channel, key: &str, mandatory: bool, body: &[u8]) -> Confirmation {
    let options = BasicPublishOptions { mandatory, ..Default::default() };
    channel
        .basic_publish("".into(), key.into(), options, body, BasicProperties::default())
        .await
        .expect("published")
        .await
        .expect("confirmed")
}

async fn confirm_mode(channel: &Channel) {
    channel.confirm_select(Default::default()).await.expect("select-ok");
}

#[test]
fn bodies_of_every_size_come_back() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        let payload = 131_072 - 8;
        let sizes = [0, 1, payload - 1, payload, payload + 1, 3 * payload, 1_000_000];
        for size in sizes {
            let body: Vec<u8> = (0..=250).cycle().take(size).collect();
            publish(&channel, "", queue.as_str(), &body).await;
            let delivery = take(&channel, &queue, true).await.delivery;
            assert!(delivery.data == body, "{size} bytes differ");
        }
    });
}

#[test]
fn body_of_20_mib_comes_back() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        confirm_mode(&channel).await;
        let body: Vec<u8> = (0..=250).cycle().take(20 << 20).collect();
        let confirmation = confirmed(&channel, queue.as_str(), true, &body).await;
        assert_eq!(confirmation, Confirmation::Ack(None));
        assert!(take(&channel, &queue, true).await.delivery.data == body);
    });
}

#[test]
fn every_property_comes_back() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        let properties = BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_content_encoding("gzip".into())
            .with_headers(table([("key", text("value"))]))
            .with_delivery_mode(2)
            .with_priority(255)
            .with_correlation_id("håse 🐇".into())
            .with_reply_to("reply.queue".into())
            .with_message_id("id".into())
            .with_timestamp(u64::from(u32::MAX) + 1)
            .with_type("type".into())
            .with_user_id("guest".into())
            .with_app_id("app".into())
            .with_cluster_id("cluster".into());
        publish_with(&channel, "", queue.as_str(), b"", properties.clone()).await;
        let delivery = take(&channel, &queue, true).await.delivery;
        assert_eq!(delivery.properties, properties);
    });
}

#[test]
fn every_field_type_comes_back() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        let scalars = [
            ("t", AMQPValue::Boolean(true)),
            ("b", AMQPValue::ShortShortInt(i8::MIN)),
            ("B", AMQPValue::ShortShortUInt(u8::MAX)),
            ("s", AMQPValue::ShortInt(i16::MIN)),
            ("u", AMQPValue::ShortUInt(u16::MAX)),
            ("I", AMQPValue::LongInt(i32::MIN)),
            ("i", AMQPValue::LongUInt(u32::MAX)),
            ("l", AMQPValue::LongLongInt(i64::MIN)),
            ("f", AMQPValue::Float(1.5)),
            ("d", AMQPValue::Double(-2.25e100)),
            ("D", AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 314 })),
            ("S", text("long string, håse 🐇")),
            ("T", AMQPValue::Timestamp(1_700_000_000)),
            ("x", AMQPValue::ByteArray(vec![0, 0xCE, 0xFF].into())),
            ("V", AMQPValue::Void),
        ];
        let mut headers: FieldTable = table(scalars.clone());
        let values = scalars.map(|(_, value)| value).to_vec();
        let array = AMQPValue::FieldArray(FieldArray::from(values));
        headers.insert("F".into(), AMQPValue::FieldTable(headers.clone()));
        headers.insert("A".into(), array);
        let properties = BasicProperties::default().with_headers(headers);
        publish_with(&channel, "", queue.as_str(), b"", properties.clone()).await;
        let delivery = take(&channel, &queue, true).await.delivery;
        assert_eq!(delivery.properties, properties);
    });
}

#[test]
fn every_publish_is_confirmed() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        for (durable, mode) in [(false, 1), (true, 2)] {
            let queue = broker.queue(&channel, durable, "classic").await;
            confirm_mode(&channel).await;
            let mut confirms = Vec::new();
            for n in 0..3000_u32 {
                let confirm = channel
                    .basic_publish(
                        "".into(),
                        queue.clone(),
                        Default::default(),
                        &n.to_be_bytes(),
                        BasicProperties::default().with_delivery_mode(mode),
                    )
                    .await
                    .expect("published");
                confirms.push(confirm);
            }
            for confirm in confirms {
                assert_eq!(confirm.await.expect("confirmed"), Confirmation::Ack(None));
            }
            assert_eq!(count_ready(&channel, &queue).await, 3000);
        }
    });
}

#[test]
fn unroutable_mandatory_message_is_returned_with_its_ack() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        confirm_mode(&channel).await;
        let confirmation = confirmed(&channel, "absent", true, b"body").await;
        assert!(confirmation.is_ack());
        let returned = confirmation.take_message().expect("returned");
        assert_eq!(returned.reply_code, 312);
        assert_eq!(returned.reply_text.as_str(), "NO_ROUTE");
        assert_eq!(returned.delivery.routing_key.as_str(), "absent");
        assert_eq!(returned.delivery.data, b"body");
    });
}

#[test]
fn unroutable_message_is_acked() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        confirm_mode(&channel).await;
        let confirmation = confirmed(&channel, "absent", false, b"body").await;
        assert_eq!(confirmation, Confirmation::Ack(None));
    });
}

#[test]
fn returned_messages_are_all_collected() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        confirm_mode(&channel).await;
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        for n in 0..100 {
            let key = if n % 4 == 0 { queue.as_str() } else { "absent" };
            drop(
                channel
                    .basic_publish(
                        "".into(),
                        key.into(),
                        options,
                        n.to_string().as_bytes(),
                        BasicProperties::default(),
                    )
                    .await
                    .expect("published"),
            );
        }
        let returned = channel.wait_for_confirms().await.expect("all confirmed");
        // lapin itself collects them in no certain order.
        let mut numbers: Vec<u32> =
            returned.iter().map(|message| body_of(&message.delivery).parse().expect("a number")).collect();
        numbers.sort_unstable();
        let expected: Vec<u32> = (0..100).filter(|n| n % 4 != 0).collect();
        assert_eq!(numbers, expected);
    });
}

#[test]
fn immediate_is_not_implemented() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        confirm_mode(&channel).await;
        let options = BasicPublishOptions { immediate: true, ..Default::default() };
        let confirm = channel
            .basic_publish("".into(), queue, options, b"", BasicProperties::default())
            .await
            .expect("sent");
        assert_refused(confirm.await, 540, "NOT_IMPLEMENTED - immediate=true");
    });
}

#[test]
fn publishing_to_a_missing_exchange_closes_the_channel() {
    run(async |broker| {
        let (connection, channel) = broker.open().await;
        confirm_mode(&channel).await;
        let confirm = channel
            .basic_publish("absent".into(), "".into(), Default::default(), b"", BasicProperties::default())
            .await
            .expect("sent");
        let text = "NOT_FOUND - no exchange 'absent' in vhost '/'";
        assert_refused(confirm.await, 404, text);
        assert!(connection.status().connected());
    });
}

#[test]
fn publishing_to_an_internal_exchange_is_refused() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let name = unique();
        let options = ExchangeDeclareOptions { internal: true, ..Default::default() };
        channel
            .exchange_declare(name.clone(), ExchangeKind::Fanout, options, FieldTable::default())
            .await
            .expect("declared");
        let cleaner = broker.connect().await;
        confirm_mode(&channel).await;
        let confirm = channel
            .basic_publish(name.clone(), "".into(), Default::default(), b"", BasicProperties::default())
            .await
            .expect("sent");
        let text = format!("ACCESS_REFUSED - cannot publish to internal exchange '{name}' in vhost '/'");
        let refused = confirm.await;
        let channel = cleaner.create_channel().await.expect("a channel");
        channel.exchange_delete(name, Default::default()).await.expect("deleted");
        assert_refused(refused, 403, &text);
    });
}

#[test]
fn publishers_on_many_channels_do_not_mix() {
    run(async |broker| {
        let connection = broker.connect().await;
        let mut tasks = Vec::new();
        for number in 0..8_u8 {
            let channel = connection.create_channel().await.expect("a channel");
            tasks.push(tokio::spawn(async move {
                let queue = private_queue(&channel).await;
                confirm_mode(&channel).await;
                for size in [0, 10, 140_000, 1, 300_000] {
                    let body = vec![number; size];
                    assert!(confirmed(&channel, queue.as_str(), true, &body).await.is_ack());
                    let delivery = take(&channel, &queue, true).await.delivery;
                    assert!(delivery.data == body, "{size} bytes differ");
                }
            }));
        }
        for task in tasks {
            task.await.expect("the publisher's end");
        }
    });
}
