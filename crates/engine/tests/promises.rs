//! What the engine promises, each on a log that syncs when the test says so.

mod harness;

use harness::{Client, World, publish_bytes, publish_with};
use leveret_core::BrokerError;
use leveret_engine::Registry;
use leveret_protocol::amqp::{
    AMQPValue, FieldTable, basic, channel, confirm, connection, exchange, queue, tx,
};

fn confirm_select(client: &mut Client, channel: u16) {
    client.method(channel, confirm::AMQPMethod::Select(confirm::Select { nowait: true }));
}

fn tx_select(client: &mut Client, channel: u16) {
    client.method(channel, tx::AMQPMethod::Select(tx::Select {}));
}

fn commit(client: &mut Client, channel: u16) {
    client.method(channel, tx::AMQPMethod::Commit(tx::Commit {}));
}

fn declare_exchange(client: &mut Client, channel: u16, name: &str) {
    client.method(
        channel,
        exchange::AMQPMethod::Declare(exchange::Declare {
            exchange: name.into(),
            kind: "fanout".into(),
            passive: false,
            durable: true,
            auto_delete: false,
            internal: false,
            nowait: false,
            arguments: FieldTable::default(),
        }),
    );
}

fn bind(client: &mut Client, channel: u16, queue: &str, exchange: &str) {
    client.method(
        channel,
        queue::AMQPMethod::Bind(queue::Bind {
            queue: queue.into(),
            exchange: exchange.into(),
            routing_key: "".into(),
            nowait: false,
            arguments: FieldTable::default(),
        }),
    );
}

fn delete_exchange(client: &mut Client, channel: u16, name: &str) {
    client.method(
        channel,
        exchange::AMQPMethod::Delete(exchange::Delete {
            exchange: name.into(),
            if_unused: false,
            nowait: false,
        }),
    );
}

fn ready(world: &World, client: &mut Client, queue: &str, durable: bool, messages: usize) {
    client.open(1);
    client.declare(1, queue, durable);
    for n in 0..messages {
        client.publish(1, "", queue, format!("m{n}").as_bytes());
    }
    world.sync();
    client.frames();
}

#[test]
fn what_was_confirmed_is_there_after_a_crash() {
    let world = World::new();
    let mut client = world.client();
    client.open(1);
    client.declare(1, "q", true);
    confirm_select(&mut client, 1);
    client.publish(1, "", "q", b"hello");
    assert_eq!(client.frames(), ["1 channel.open-ok"]);
    world.sync();
    assert_eq!(client.frames(), ["1 queue.declare-ok", "1 ack 1"]);
    drop(client);
    let world = world.crash();
    assert_eq!(world.counts("q"), Some((1, 0)));
}

#[test]
fn a_second_declaration_waits_for_the_firsts_sync() {
    let world = World::new();
    let (mut a, mut b) = (world.client(), world.client());
    a.open(1);
    b.open(1);
    a.declare(1, "q", true);
    b.declare(1, "q", true);
    let before = b.frames();
    assert!(!before.contains(&"1 queue.declare-ok".to_owned()), "{before:?}: not durable yet");
}

#[test]
fn a_second_purge_waits_for_the_firsts_sync() {
    let world = World::new();
    let (mut a, mut b) = (world.client(), world.client());
    ready(&world, &mut a, "q", true, 3);
    b.open(1);
    b.frames();
    let purge = || queue::AMQPMethod::Purge(queue::Purge { queue: "q".into(), nowait: false });
    a.method(1, purge());
    b.method(1, purge());
    assert_eq!(b.frames(), [] as [String; 0]);
}

#[test]
fn an_ack_of_all_in_a_transaction_leaves_later_deliveries_alone() {
    let world = World::new();
    let mut client = world.client();
    ready(&world, &mut client, "q", true, 1);
    tx_select(&mut client, 1);
    client.consume(1, "q", "c", false);
    client.ack(1, 0, true);
    let mut other = world.client();
    other.open(1);
    other.publish(1, "", "q", b"never acked");
    assert_eq!(world.counts("q"), Some((0, 2)));
    commit(&mut client, 1);
    assert_eq!(world.counts("q"), Some((0, 1)), "the second message was delivered after the ack");
}

#[test]
fn recover_in_a_transaction_leaves_what_it_acked() {
    let world = World::new();
    let mut client = world.client();
    ready(&world, &mut client, "q", true, 3);
    tx_select(&mut client, 1);
    for _ in 0..3 {
        client.get(1, "q", false);
    }
    client.ack(1, 2, false);
    client.method(1, basic::AMQPMethod::Recover(basic::Recover { requeue: true }));
    assert_eq!(world.counts("q"), Some((2, 1)));
    commit(&mut client, 1);
    assert_eq!(world.counts("q"), Some((2, 0)));
}

#[test]
fn a_commit_that_fails_in_its_middle_publishes_nothing_and_is_not_answered_with_ok() {
    let world = World::new();
    let mut client = world.client();
    ready(&world, &mut client, "q", true, 0);
    declare_exchange(&mut client, 1, "x");
    bind(&mut client, 1, "q", "x");
    tx_select(&mut client, 1);
    client.publish(1, "", "q", b"1");
    client.publish(1, "x", "", b"2");
    client.publish(1, "", "q", b"3");
    client.open(2);
    delete_exchange(&mut client, 2, "x");
    world.sync();
    client.frames();
    commit(&mut client, 1);
    world.sync();
    let frames = client.frames();
    let closed = frames.iter().position(|frame| frame.starts_with("1 channel.close"));
    let ok = frames.iter().position(|frame| frame == "1 commit-ok");
    assert!(closed.is_none() || ok.is_none(), "both in {frames:?}");
    let count = world.counts("q").unwrap().0;
    assert!(if ok.is_some() { count == 3 } else { count == 0 }, "{count} of 3 after {frames:?}");
}

#[test]
fn a_commit_that_fails_at_its_end_leaves_nothing_that_a_restart_takes_away() {
    let world = World::new();
    let (mut client, mut other) = (world.client(), world.client());
    ready(&world, &mut client, "q", true, 0);
    declare_exchange(&mut client, 1, "x");
    tx_select(&mut client, 1);
    client.publish(1, "", "q", b"1");
    client.publish(1, "x", "", b"2");
    other.open(1);
    delete_exchange(&mut other, 1, "x");
    commit(&mut client, 1);
    world.sync();
    let before = world.counts("q").map(|(ready, _)| ready);
    drop((client, other));
    let after = world.crash().counts("q").map(|(ready, _)| ready);
    assert_eq!(before, after, "a message that was there and synced is there after a crash");
}

#[test]
fn no_confirm_follows_the_channels_close() {
    let world = World::new();
    let mut client = world.client();
    ready(&world, &mut client, "q", true, 0);
    confirm_select(&mut client, 1);
    let mut bytes = publish_bytes(1, "", "q", b"good", true);
    bytes.extend(publish_bytes(1, "missing", "q", b"bad", true));
    client.bytes(&bytes);
    let mut frames = client.frames();
    world.sync();
    frames.extend(client.frames());
    assert_eq!(frames.last().map(String::as_str), Some("1 channel.close 404"), "{frames:?}");
}

#[test]
fn an_operators_close_wakes_a_connection_whose_client_does_not_read() {
    let world = World::new();
    let (mut reader, mut publisher) = (world.client(), world.client());
    ready(&world, &mut reader, "q", true, 0);
    reader.consume(1, "q", "c", false);
    reader.frames();
    publisher.open(1);
    publisher.publish(1, "", "q", b"1");
    // The task wakes, and finds that its socket takes nothing: the output stays where it is.
    reader.wake();
    assert_eq!(reader.wakes.take(), 0);
    for entry in world.broker.connections.values() {
        entry.close("go");
    }
    assert!(reader.wakes.take() > 0, "the close is seen only once the client reads");
}

#[test]
fn a_clean_stop_remembers_what_is_out_with_a_client_that_did_not_answer() {
    let world = World::new();
    let mut client = world.client();
    ready(&world, &mut client, "q", true, 1);
    client.consume(1, "q", "c", false);
    assert_eq!(client.frames(), ["1 consume-ok", "1 deliver c 1"]);
    world.broker.log_delivered();
    world.sync();
    std::mem::forget(client);
    let world = world.crash();
    let mut client = world.client();
    client.open(1);
    client.get(1, "q", false);
    assert_eq!(client.frames().last().unwrap(), "1 get-ok 1 again");
}

#[test]
fn an_auto_delete_queue_goes_when_its_last_consumer_is_found_gone_by_a_delivery() {
    let world = World::new();
    let (mut consumer, mut publisher) = (world.client(), world.client());
    consumer.open(1);
    consumer.declare_as(1, "q", false, false, true);
    consumer.consume(1, "q", "c", false);
    consumer.frames();
    publisher.open(1);
    let queue = world.broker.vhosts.find("/").unwrap().queue(&"q".into()).unwrap();
    let key = queue.with(|cell| cell.consumers().iter().next().unwrap().0);
    // The first half of a channel's end: its deliveries go. Before the second half, a publish comes.
    let entry = world.broker.connections.find(&consumer.session.id()).unwrap();
    let _taken = entry.outbox.with(|outbox| outbox.channels.remove(&1));
    publisher.publish(1, "", "q", b"1");
    // The second half.
    let is_last = world.broker.work(&queue, |cell, around| cell.cancel(around, key));
    assert!(is_last, "it was the last one, whoever took it out");
}

#[test]
fn replies_are_not_dropped_while_the_requester_is_a_moment_behind() {
    let world = World::new();
    let (mut requester, mut server) = (world.client(), world.client());
    requester.open(1);
    requester.consume(1, "amq.rabbitmq.reply-to", "r", true);
    requester.declare(1, "rpc", false);
    let mut properties = vec![0x02, 0x00, 22];
    properties.extend(b"amq.rabbitmq.reply-to");
    properties[2] = 21;
    let request = publish_with(1, "", "rpc", b"", &properties);
    requester.bytes(&request);
    requester.frames();
    let name = {
        let queue = world.broker.vhosts.find("/").unwrap().queue(&"rpc".into()).unwrap();
        queue.with(|cell| {
            assert_eq!(cell.totals().ready, 1);
        });
        server.open(1);
        server.get(1, "rpc", true);
        server.reply_to()
    };
    let body = vec![b'x'; 100_000];
    for _ in 0..10 {
        server.publish(1, "", &name, &body);
    }
    let replies = requester.frames().iter().filter(|frame| frame.starts_with("1 deliver")).count();
    assert_eq!(replies, 10);
}

#[test]
fn a_got_message_takes_no_credit_of_consumers() {
    let world = World::new();
    let mut client = world.client();
    ready(&world, &mut client, "q", false, 2);
    client.qos(1, 1, true);
    client.get(1, "q", false);
    client.consume(1, "q", "c", false);
    assert_eq!(client.frames(), ["1 qos-ok", "1 get-ok 1", "1 consume-ok", "1 deliver c 2"]);
}

#[test]
fn an_alarm_stops_publishers_in_transactions_too() {
    let world = World::new();
    let mut client = world.client();
    ready(&world, &mut client, "q", true, 0);
    tx_select(&mut client, 1);
    client.frames();
    world.broker.set_alarms(true, false);
    client.publish(1, "", "q", b"1");
    assert!(!client.session.wants_input());
    assert_eq!(client.frames(), ["0 connection.blocked"]);
}

#[test]
fn exclusive_queues_are_gone_when_the_broker_says_close() {
    let world = World::new();
    let (mut client, mut next) = (world.client(), world.client());
    client.open(1);
    client.declare_as(1, "mine", false, true, false);
    client.frames();
    // A hard error.
    client.method(1, basic::AMQPMethod::RecoverAsync(basic::RecoverAsync { requeue: false }));
    assert_eq!(client.frames(), ["0 connection.close 540"]);
    next.open(1);
    next.declare_as(1, "mine", false, true, false);
    assert_eq!(next.frames().last().unwrap(), "1 queue.declare-ok");
}

#[test]
fn a_replys_sync_is_waited_for_before_the_connections_close_ok() {
    let world = World::new();
    let mut client = world.client();
    client.open(1);
    client.declare(1, "q", true);
    client.method(
        0,
        connection::AMQPMethod::Close(connection::Close {
            reply_code: 200,
            reply_text: "".into(),
            class_id: 0,
            method_id: 0,
        }),
    );
    world.sync();
    let frames = client.frames();
    assert!(frames.contains(&"1 queue.declare-ok".to_owned()), "{frames:?}");
}

#[test]
fn a_reply_consumer_may_not_take_another_consumers_tag() {
    let world = World::new();
    let mut client = world.client();
    ready(&world, &mut client, "q", false, 0);
    client.consume(1, "q", "c", true);
    client.frames();
    client.consume(1, "amq.rabbitmq.reply-to", "c", true);
    assert_eq!(client.frames(), ["0 connection.close 530"]);
}

#[test]
fn a_notice_of_a_channel_before_does_not_touch_the_one_after() {
    let world = World::new();
    let (mut client, mut other) = (world.client(), world.client());
    ready(&world, &mut client, "q1", false, 0);
    client.declare(1, "q2", false);
    client.consume(1, "q1", "old", false);
    client.frames();
    other.open(1);
    other.method(
        1,
        queue::AMQPMethod::Delete(queue::Delete {
            queue: "q1".into(),
            if_unused: false,
            if_empty: false,
            nowait: false,
        }),
    );
    client.method(
        1,
        channel::AMQPMethod::Close(channel::Close {
            reply_code: 200,
            reply_text: "".into(),
            class_id: 0,
            method_id: 0,
        }),
    );
    client.open(1);
    client.consume(1, "q2", "new", false);
    client.frames();
    client.method(1, basic::AMQPMethod::Cancel(basic::Cancel { consumer_tag: "new".into(), nowait: false }));
    client.frames();
    let queue = world.broker.vhosts.find("/").unwrap().queue(&"q2".into()).unwrap();
    assert_eq!(queue.with(|cell| cell.consumer_count()), 0, "it was cancelled");
}

#[test]
fn what_a_client_does_not_read_is_bounded_whatever_it_asks() {
    let world = World::new();
    let mut client = world.client();
    client.open(1);
    let mut bytes = Vec::new();
    let get = basic::AMQPMethod::Qos(basic::Qos { prefetch_count: 1, global: false });
    for _ in 0..10_000 {
        leveret_protocol::encode::encode_method(
            &mut bytes,
            1,
            leveret_protocol::amqp::AMQPClass::Basic(get.clone()),
        )
        .unwrap();
    }
    for _ in 0..200 {
        if !client.session.wants_input() {
            return;
        }
        client.bytes(&bytes);
    }
    panic!("24 MB of answers wait for a client that reads nothing, and more is taken");
}

#[test]
fn a_stop_closes_clients_with_320() {
    let world = World::new();
    let mut client = world.client();
    for entry in world.broker.connections.values() {
        entry.outbox.close(BrokerError::new(320, "shutdown"));
    }
    assert_eq!(client.frames(), ["0 connection.close 320"]);
}

#[test]
fn a_passive_declaration_waits_for_the_firsts_sync() {
    let world = World::new();
    let (mut a, mut b) = (world.client(), world.client());
    a.open(1);
    b.open(1);
    a.declare(1, "q", true);
    b.frames();
    b.method(
        1,
        queue::AMQPMethod::Declare(queue::Declare {
            queue: "q".into(),
            passive: true,
            durable: false,
            exclusive: false,
            auto_delete: false,
            nowait: false,
            arguments: FieldTable::default(),
        }),
    );
    assert_eq!(b.frames(), [] as [String; 0]);
}

#[test]
fn a_second_deletion_waits_for_the_firsts_sync() {
    let world = World::new();
    let (mut a, mut b) = (world.client(), world.client());
    ready(&world, &mut a, "q", true, 3);
    b.open(1);
    b.frames();
    delete_queue(&mut a, 1, "q");
    delete_queue(&mut b, 1, "q");
    assert_eq!(b.frames(), [] as [String; 0]);
}

#[test]
fn a_consumer_is_not_cancelled_before_it_is_told_of() {
    let world = World::new();
    let (mut a, mut b) = (world.client(), world.client());
    ready(&world, &mut a, "q", false, 0);
    a.declare(1, "durable", true);
    a.consume(1, "q", "c", false);
    b.open(1);
    delete_queue(&mut b, 1, "q");
    let mut frames = a.frames();
    world.sync();
    frames.extend(a.frames());
    assert_eq!(frames, ["1 queue.declare-ok", "1 consume-ok", "1 cancel"]);
}

#[test]
fn a_vanished_client_is_noticed_whatever_it_left_unread() {
    let world = World::new();
    let mut client = world.client();
    ready(&world, &mut client, "q", false, 0);
    for _ in 0..20 {
        client.publish(1, "", "q", &[0; 1 << 20]);
        client.get(1, "q", true);
    }
    assert!(!client.session.wants_input());
    let mut flow = leveret_engine::Flow::Go;
    for _ in 0..20 {
        let Some(deadline) = client.session.deadline() else { break };
        flow = client.session.tick(deadline);
    }
    assert_eq!(flow, leveret_engine::Flow::Close, "its heartbeats are 60 s, and 600 s have passed");
}

#[test]
fn a_stop_does_not_wait_for_a_client_that_has_not_begun() {
    let world = World::new();
    let mut client = world.stranger();
    for entry in world.broker.connections.values() {
        entry.close("shutdown");
    }
    client.wake();
    assert_ne!(client.session.woken(client.now), leveret_engine::Flow::Go);
}

fn delete_queue(client: &mut Client, channel: u16, queue: &str) {
    client.method(
        channel,
        queue::AMQPMethod::Delete(queue::Delete {
            queue: queue.into(),
            if_unused: false,
            if_empty: false,
            nowait: false,
        }),
    );
}

/// RabbitMQ offers each message as it comes: the highest of a batch does not go before the first.
#[test]
fn a_waiting_consumer_gets_the_first_of_a_batch_whatever_its_priority() {
    let world = World::new();
    let mut client = world.client();
    client.open(1);
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-priority".into(), AMQPValue::ShortShortUInt(9));
    client.method(
        1,
        queue::AMQPMethod::Declare(queue::Declare {
            queue: "q".into(),
            passive: false,
            durable: false,
            exclusive: false,
            auto_delete: false,
            nowait: false,
            arguments,
        }),
    );
    client.qos(1, 1, false);
    client.consume(1, "q", "c", false);
    // The second one has priority 9 and an expiration of 10 ms, which counts only while it waits.
    let batch = [
        publish_with(1, "", "q", b"first", &[0, 0]),
        publish_with(1, "", "q", b"second", &[0x09, 0, 9, 2, b'1', b'0']),
    ];
    client.bytes(&batch.concat());
    assert_eq!(world.counts("q"), Some((1, 1)));
    world.pass(10);
    assert_eq!(world.counts("q"), Some((0, 1)));
}
