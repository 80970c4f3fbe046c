//! Transactions.

use crate::support::*;

#[test]
fn publishes_and_acks_wait_for_the_commit() {
    run(async |broker| {
        let (_connection, other) = broker.open().await;
        let queue = broker.queue(&other, true, "classic").await;
        let (_second, channel) = broker.open().await;
        send(&other, &queue, &["old"]).await;
        channel.tx_select().await.expect("select-ok");
        let old = take(&channel, &queue, false).await.delivery;
        old.ack(Default::default()).await.expect("sent");
        publish(&channel, "", queue.as_str(), b"new").await;
        assert_eq!(count_ready(&channel, &queue).await, 0);
        channel.tx_commit().await.expect("commit-ok");
        channel.close(200, "OK".into()).await.expect("close-ok");
        assert_eq!(take_all(&other, &queue, 1).await, ["new"]);
    });
}

#[test]
fn rollback_forgets() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let queue = private_queue(&channel).await;
        channel.tx_select().await.expect("select-ok");
        publish(&channel, "", queue.as_str(), b"forgotten").await;
        channel.tx_rollback().await.expect("rollback-ok");
        publish(&channel, "", queue.as_str(), b"kept").await;
        channel.tx_commit().await.expect("commit-ok");
        assert_eq!(take_all(&channel, &queue, 1).await, ["kept"]);
    });
}

#[test]
fn commit_without_select_is_refused() {
    run(async |broker| {
        let (_connection, channel) = broker.open().await;
        let text = "PRECONDITION_FAILED - channel is not transactional";
        assert_refused(channel.tx_commit().await, 406, text);
    });
}

#[test]
fn tx_and_confirm_exclude_each_other() {
    run(async |broker| {
        let (connection, channel) = broker.open().await;
        channel.tx_select().await.expect("select-ok");
        let text = "PRECONDITION_FAILED - cannot switch from tx to confirm mode";
        assert_refused(channel.confirm_select(Default::default()).await, 406, text);
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(Default::default()).await.expect("select-ok");
        let text = "PRECONDITION_FAILED - cannot switch from confirm to tx mode";
        assert_refused(channel.tx_select().await, 406, text);
    });
}
