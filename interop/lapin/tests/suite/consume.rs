//! Consuming: order, acks, prefetch, priorities, cancellation, recover, get, and direct reply-to.

use std::collections::BTreeSet;

use futures_lite::StreamExt;
use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};

use crate::support::*;

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

async fn send_numbers(channel: &Channel, queue: &lapin::types::ShortString, count: usize) {
    let bodies = numbers(count);
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    send(channel, queue, &bodies).await;
}

async fn qos(channel: &Channel, count: u16, global: bool) {
    channel.basic_qos(count, BasicQosOptions { global }).await.expect("qos-ok");
}

#[test]
fn five_thousand_in_order_with_acks() {
    run(async |broker| {
        let (connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        let consuming = connection.create_channel().await.expect("a channel");
        qos(&consuming, 100, false).await;
        let mut consumer = consume(&consuming, &queue).await;
        let publisher = {
            let queue = queue.clone();
            tokio::spawn(async move {
                for n in 0..5000 {
                    publish(&channel, "", queue.as_str(), n.to_string().as_bytes()).await;
                }
                channel
            })
        };
        for n in 0..5000_u64 {
            let delivery = next(&mut consumer).await;
            assert_eq!(body_of(&delivery), n.to_string());
            assert_eq!((delivery.delivery_tag, delivery.redelivered), (n + 1, false));
            delivery.ack(Default::default()).await.expect("acked");
        }
        let channel = publisher.await.expect("the publisher's end");
        consuming.close(200, "OK".into()).await.expect("close-ok");
        assert_eq!(count_ready(&channel, &queue).await, 0);
    });
}

#[test]
fn competing_consumers_share_without_repeating() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = broker.queue(&channel, true, "classic").await;
        let mut workers = Vec::new();
        for _ in 0..4 {
            let (connection, theirs) = broker.open().await;
            qos(&theirs, 10, false).await;
            let mut consumer = consume(&theirs, &queue).await;
            workers.push(tokio::spawn(async move {
                let mut got = Vec::new();
                while let Some(delivery) = consumer.next().await {
                    let Ok(delivery) = delivery else { break };
                    let body = body_of(&delivery);
                    delivery.ack(Default::default()).await.expect("acked");
                    if body == "end" {
                        break;
                    }
                    got.push(body);
                }
                close(&connection).await;
                got
            }));
        }
        for body in numbers(2000) {
            publish(&channel, "", queue.as_str(), body.as_bytes()).await;
        }
        wait_ready(&channel, &queue, 0).await;
        // Each worker that ends gives back what it holds, so the rest see every "end" at last.
        for _ in 0..4 {
            publish(&channel, "", queue.as_str(), b"end").await;
        }
        let mut all = Vec::new();
        for worker in workers {
            all.extend(in_time("a worker", worker).await.expect("the worker's end"));
        }
        assert_eq!(all.len(), 2000);
        let set: BTreeSet<String> = all.into_iter().collect();
        assert_eq!(set, numbers(2000).into_iter().collect());
    });
}

#[test]
fn server_gives_a_consumer_tag() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        let consumer = consume(&channel, &queue).await;
        assert!(consumer.tag().as_str().starts_with("amq.ctag-"));
    });
}

#[test]
fn prefetch_bounds_each_consumer() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        send_numbers(&channel, &queue, 10).await;
        qos(&channel, 2, false).await;
        let mut first = consume(&channel, &queue).await;
        let mut second = consume(&channel, &queue).await;
        assert_eq!(next_bodies(&mut first, 1).await, ["0"]);
        let held = next(&mut first).await;
        next_bodies(&mut second, 2).await;
        wait_ready(&channel, &queue, 6).await;
        held.ack(Default::default()).await.expect("acked");
        assert_eq!(next_bodies(&mut first, 1).await, ["4"]);
        wait_ready(&channel, &queue, 5).await;
    });
}

#[test]
fn global_prefetch_bounds_the_channel() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        send_numbers(&channel, &queue, 10).await;
        qos(&channel, 3, true).await;
        let _first = consume(&channel, &queue).await;
        let _second = consume(&channel, &queue).await;
        wait_ready(&channel, &queue, 7).await;
        channel.basic_ack(0, BasicAckOptions { multiple: true }).await.expect("sent");
        wait_ready(&channel, &queue, 4).await;
    });
}

#[test]
fn nacked_messages_return_to_their_places() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        send_numbers(&channel, &queue, 5).await;
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(take(&channel, &queue, false).await.delivery);
        }
        let again = BasicNackOptions { requeue: true, ..Default::default() };
        for index in [2, 0, 3, 1] {
            held[index].nack(again).await.expect("sent");
        }
        wait_ready(&channel, &queue, 5).await;
        assert_eq!(take_all(&channel, &queue, 5).await, numbers(5));
    });
}

#[test]
fn rejected_messages_go_or_come_back() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        send_numbers(&channel, &queue, 2).await;
        let first = take(&channel, &queue, false).await.delivery;
        let second = take(&channel, &queue, false).await.delivery;
        first.reject(BasicRejectOptions { requeue: false }).await.expect("sent");
        second.reject(BasicRejectOptions { requeue: true }).await.expect("sent");
        wait_ready(&channel, &queue, 1).await;
        let delivery = take(&channel, &queue, true).await.delivery;
        assert!(delivery.redelivered);
        assert_eq!(body_of(&delivery), "1");
    });
}

#[test]
fn unknown_delivery_tag_closes_the_channel() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        let mut consumer = consume(&channel, &queue).await;
        channel.basic_ack(99, BasicAckOptions::default()).await.expect("sent");
        let result = in_time("the error", consumer.next()).await.expect("an item");
        let text = "PRECONDITION_FAILED - unknown delivery tag 99";
        assert_refused(result, 406, text);
    });
}

#[test]
fn recover_redelivers() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        send_numbers(&channel, &queue, 3).await;
        let mut consumer = consume(&channel, &queue).await;
        assert_eq!(next_bodies(&mut consumer, 3).await, numbers(3));
        channel.basic_recover(BasicRecoverOptions { requeue: true }).await.expect("recover-ok");
        for body in numbers(3) {
            let delivery = next(&mut consumer).await;
            assert_eq!((body_of(&delivery), delivery.redelivered), (body, true));
        }
        channel.basic_recover_async(BasicRecoverAsyncOptions { requeue: true }).await.expect("sent");
        assert_eq!(next_bodies(&mut consumer, 3).await, numbers(3));
    });
}

#[test]
fn cancel_ends_the_stream_and_keeps_the_messages() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        let mut consumer = consume(&channel, &queue).await;
        channel.basic_cancel(consumer.tag(), Default::default()).await.expect("cancel-ok");
        assert!(in_time("the stream's end", consumer.next()).await.is_none());
        send_numbers(&channel, &queue, 1).await;
        assert_eq!(take_all(&channel, &queue, 1).await, ["0"]);
    });
}

#[test]
fn deleting_the_queue_ends_the_stream() {
    run(async |broker| {
        let (connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        let mut consumer = consume(&channel, &queue).await;
        let other = connection.create_channel().await.expect("a channel");
        other.queue_delete(queue, Default::default()).await.expect("delete-ok");
        assert!(in_time("the stream's end", consumer.next()).await.is_none());
        assert!(channel.status().connected());
    });
}

#[test]
fn equal_consumers_take_turns() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        let mut first = consume(&channel, &queue).await;
        let mut second = consume(&channel, &queue).await;
        for body in numbers(10) {
            publish(&channel, "", queue.as_str(), body.as_bytes()).await;
        }
        assert_eq!(next_bodies(&mut first, 5).await, ["0", "2", "4", "6", "8"]);
        assert_eq!(next_bodies(&mut second, 5).await, ["1", "3", "5", "7", "9"]);
    });
}

#[test]
fn higher_priority_is_served_first() {
    run(async |broker| {
        let (connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        let mut low = consume(&channel, &queue).await;
        let eager = connection.create_channel().await.expect("a channel");
        qos(&eager, 2, false).await;
        let arguments = table([("x-priority", AMQPValue::ShortInt(5))]);
        let mut high = consume_with(&eager, &queue, Default::default(), arguments).await.expect("consume-ok");
        for body in numbers(4) {
            publish(&channel, "", queue.as_str(), body.as_bytes()).await;
        }
        assert_eq!(next_bodies(&mut high, 2).await, ["0", "1"]);
        assert_eq!(next_bodies(&mut low, 2).await, ["2", "3"]);
    });
}

#[test]
fn exclusive_consumer_is_alone() {
    run(async |broker| {
        let (connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        let exclusive = BasicConsumeOptions { exclusive: true, ..Default::default() };
        let _consumer =
            consume_with(&channel, &queue, exclusive, FieldTable::default()).await.expect("consume-ok");
        let other = connection.create_channel().await.expect("a channel");
        let result = consume_with(&other, &queue, Default::default(), FieldTable::default()).await;
        let text = format!("ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use");
        assert_refused(result, 403, &text);
    });
}

#[test]
fn no_ack_leaves_nothing_behind() {
    run(async |broker| {
        let (connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        send_numbers(&channel, &queue, 5).await;
        let consuming = connection.create_channel().await.expect("a channel");
        let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let mut consumer =
            consume_with(&consuming, &queue, no_ack, FieldTable::default()).await.expect("consume-ok");
        assert_eq!(next_bodies(&mut consumer, 5).await, numbers(5));
        consuming.close(200, "OK".into()).await.expect("close-ok");
        assert!(take_all(&channel, &queue, 0).await.is_empty());
    });
}

#[test]
fn closing_a_connection_returns_what_it_held() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = broker.queue(&channel, false, "classic").await;
        send_numbers(&channel, &queue, 3).await;
        let (holder, theirs) = broker.open().await;
        let mut consumer = consume(&theirs, &queue).await;
        assert_eq!(next_bodies(&mut consumer, 3).await, numbers(3));
        assert_eq!(count_ready(&channel, &queue).await, 0);
        close(&holder).await;
        wait_ready(&channel, &queue, 3).await;
        for body in numbers(3) {
            let delivery = take(&channel, &queue, true).await.delivery;
            assert_eq!((body_of(&delivery), delivery.redelivered), (body, true));
        }
    });
}

#[test]
fn get_counts_what_remains() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        send_numbers(&channel, &queue, 3).await;
        for remaining in [2, 1, 0] {
            assert_eq!(take(&channel, &queue, true).await.message_count, remaining);
        }
        assert!(take_all(&channel, &queue, 0).await.is_empty());
    });
}

#[test]
fn direct_reply_to_answers_many_askers() {
    run(async |broker| {
        let (_connection, server) = broker.open().await;
        let questions = broker.queue(&server, false, "classic").await;
        let mut incoming = consume(&server, &questions).await;
        let answering = tokio::spawn(async move {
            for _ in 0..100 {
                let delivery = next(&mut incoming).await;
                let reply_to = delivery.properties.reply_to().clone().expect("reply_to");
                let answer = format!("{}!", body_of(&delivery));
                publish(&server, "", reply_to.as_str(), answer.as_bytes()).await;
                delivery.ack(Default::default()).await.expect("acked");
            }
        });
        let mut askers = Vec::new();
        for asker in 0..10 {
            let (connection, channel) = broker.open().await;
            let questions = questions.clone();
            askers.push(tokio::spawn(async move {
                let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
                let pseudo = "amq.rabbitmq.reply-to".into();
                let mut answers =
                    consume_with(&channel, &pseudo, no_ack, FieldTable::default()).await.expect("consume-ok");
                for n in 0..10 {
                    let question = format!("{asker} asks {n}");
                    let properties = BasicProperties::default().with_reply_to(pseudo.clone());
                    let body = question.as_bytes();
                    publish_with(&channel, "", questions.as_str(), body, properties).await;
                    assert_eq!(next_bodies(&mut answers, 1).await, [format!("{question}!")]);
                }
                close(&connection).await;
            }));
        }
        for asker in askers {
            asker.await.expect("the asker's end");
        }
        answering.await.expect("the server's end");
    });
}
