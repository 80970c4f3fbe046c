//! The handshake, refusals, and the lives of connections and channels.

use futures_lite::future::zip;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, ErrorKind};

use crate::support::*;

#[test]
fn negotiates_rabbitmq_limits() {
    run(async |broker| {
        let connection = broker.connect().await;
        let configuration = connection.configuration();
        assert_eq!(configuration.channel_max(), 2047);
        assert_eq!(configuration.frame_max(), 131_072);
        assert_eq!(configuration.heartbeat(), 60);
    });
}

#[test]
fn client_lowers_all_limits() {
    run(async |broker| {
        let options = "channel_max=2&frame_max=8192&heartbeat=7";
        let connection = broker.connect_with(options).await.expect("connected");
        let configuration = connection.configuration();
        assert_eq!(configuration.channel_max(), 2);
        assert_eq!(configuration.frame_max(), 8192);
        assert_eq!(configuration.heartbeat(), 7);
        let first = connection.create_channel().await.expect("channel 1");
        let second = connection.create_channel().await.expect("channel 2");
        assert_eq!((first.id(), second.id()), (1, 2));
        let third = connection.create_channel().await.expect_err("no third");
        assert!(matches!(third.kind(), ErrorKind::ChannelsLimitReached));
    });
}

#[test]
fn small_frames_carry_large_bodies() {
    run(async |broker| {
        let connection = broker.connect_with("frame_max=4096").await.expect("connected");
        let channel = connection.create_channel().await.expect("a channel");
        let queue = private_queue(&channel).await;
        let body: Vec<u8> = (0..=255).cycle().take(200_001).collect();
        publish(&channel, "", queue.as_str(), &body).await;
        assert_eq!(take(&channel, &queue, true).await.delivery.data, body);
    });
}

#[test]
fn amqplain_logs_in() {
    run(async |broker| {
        let connection = broker.connect_with("auth_mechanism=amqplain").await.expect("connected");
        assert!(connection.status().connected());
    });
}

#[test]
fn wrong_password_is_refused() {
    run(async |_| {
        for mechanism in ["plain", "amqplain"] {
            let url = url(&format!("auth_mechanism={mechanism}")).replace("guest:guest@", "guest:wrong@");
            let result = Connection::connect(&url, ConnectionProperties::default()).await;
            let text = format!(
                "ACCESS_REFUSED - Login was refused using authentication mechanism {}. \
                 For details see the broker logfile.",
                mechanism.to_uppercase()
            );
            assert_refused(result, 403, &text);
        }
    });
}

#[test]
fn unknown_vhost_is_refused() {
    run(async |_| {
        let url = url("").replace("%2f", "no-such-vhost");
        let result = Connection::connect(&url, ConnectionProperties::default()).await;
        assert_refused(result, 530, "NOT_ALLOWED - vhost no-such-vhost not found");
    });
}

#[test]
fn connection_name_may_be_any_text() {
    run(async |_| {
        let properties = ConnectionProperties::default().with_connection_name("håse 兔子 🐇".into());
        let connection = Connection::connect(&url(""), properties).await.expect("connected");
        close(&connection).await;
    });
}

#[test]
fn update_secret_is_answered() {
    run(async |broker| {
        let (connection, channel) = broker.open().await;
        connection.update_secret("guest".into(), "renewed".into()).await.expect("update-secret-ok");
        private_queue(&channel).await;
    });
}

#[test]
fn closed_connection_takes_no_more() {
    run(async |broker| {
        let (connection, channel) = broker.open().await;
        close(&connection).await;
        assert!(!connection.status().connected());
        assert!(connection.create_channel().await.is_err());
        assert!(channel.basic_qos(1, Default::default()).await.is_err());
    });
}

#[test]
fn many_connections_at_once() {
    run(async |broker| {
        let mut connections = Vec::new();
        for _ in 0..20 {
            let (one, other) = zip(broker.connect(), broker.connect()).await;
            connections.extend([one, other]);
        }
        for connection in &connections {
            let channel = connection.create_channel().await.expect("a channel");
            private_queue(&channel).await;
        }
        for connection in &connections {
            close(connection).await;
        }
    });
}

#[test]
fn many_channels_at_once() {
    run(async |broker| {
        let connection = broker.connect().await;
        let mut channels = Vec::new();
        for number in 0..200 {
            let channel = connection.create_channel().await.expect("a channel");
            let queue = private_queue(&channel).await;
            publish(&channel, "", queue.as_str(), number.to_string().as_bytes()).await;
            channels.push((channel, queue));
        }
        for (number, (channel, queue)) in channels.iter().enumerate() {
            assert_eq!(take_all(channel, queue, 1).await, [number.to_string()]);
        }
        for (channel, _) in &channels {
            channel.close(200, "OK".into()).await.expect("close-ok");
        }
        assert!(connection.status().connected());
    });
}

#[test]
fn channel_error_leaves_the_others_alone() {
    run(async |broker| {
        let (connection, good) = broker.open().await;
        for _ in 0..10 {
            let bad = connection.create_channel().await.expect("a channel");
            let result = bad.queue_declare("absent".into(), passive(), FieldTable::default()).await;
            assert_refused(result, 404, "NOT_FOUND - no queue 'absent' in vhost '/'");
            assert!(!bad.status().connected());
        }
        private_queue(&good).await;
    });
}

#[test]
fn connection_error_ends_every_channel() {
    run(async |broker| {
        let (connection, first) = broker.open().await;
        let second = connection.create_channel().await.expect("a channel");
        let queue = private_queue(&first).await;
        let again = async || {
            first.basic_consume(queue.clone(), "mine".into(), Default::default(), FieldTable::default()).await
        };
        let _consumer = again().await.expect("consume-ok");
        let text = "NOT_ALLOWED - attempt to reuse consumer tag 'mine'";
        assert_refused(again().await, 530, text);
        in_time("the end of the connection", async {
            while connection.status().connected() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert!(second.basic_qos(1, Default::default()).await.is_err());
    });
}

#[test]
fn flow_and_access_request_are_answered() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let active =
            channel.channel_flow(lapin::options::ChannelFlowOptions { active: true }).await.expect("flow-ok");
        assert!(active);
        channel.access_request("/data".into(), Default::default()).await.expect("request-ok");
    });
}
