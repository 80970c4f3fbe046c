"""Transactions: what is held back until commit, and what a rollback forgets."""

import pika
import pytest

from support import channel_error, ready_count, send, take, take_all, wait_for, wait_ready


def test_publishes_wait_for_the_commit(channel, queue, other):
    channel.tx_select()
    for n in range(5):
        channel.basic_publish("", queue, str(n))
    channel.queue_declare(queue, passive=True)
    assert ready_count(other, queue) == 0
    channel.tx_commit()
    assert ready_count(other, queue) == 5
    assert take_all(other, queue, 5) == [b"0", b"1", b"2", b"3", b"4"]


def test_rollback_forgets_publishes(channel, queue, other):
    channel.tx_select()
    channel.basic_publish("", queue, b"forgotten")
    channel.tx_rollback()
    channel.basic_publish("", queue, b"kept")
    channel.tx_commit()
    assert take_all(other, queue, 1) == [b"kept"]


def test_acks_wait_for_the_commit(channel, queue, other):
    send(other, queue, b"1", b"2")
    channel.tx_select()
    for _ in range(2):
        method, _, _ = take(channel, queue, auto_ack=False)
        channel.basic_ack(method.delivery_tag)
    channel.tx_commit()
    channel.close()
    assert take_all(other, queue, 0) == []


def test_uncommitted_acks_are_forgotten_with_the_channel(channel, queue, other):
    send(other, queue, b"1")
    channel.tx_select()
    method, _, _ = take(channel, queue, auto_ack=False)
    channel.basic_ack(method.delivery_tag)
    channel.close()
    wait_ready(other, queue, 1)
    assert take(other, queue)[0].redelivered


def test_rollback_leaves_the_messages_unacked(channel, queue, other):
    send(other, queue, b"1")
    channel.tx_select()
    method, _, _ = take(channel, queue, auto_ack=False)
    channel.basic_ack(method.delivery_tag)
    channel.tx_rollback()
    channel.basic_ack(method.delivery_tag)
    channel.tx_commit()
    channel.close()
    assert take_all(other, queue, 0) == []


def test_uncommitted_publishes_are_forgotten_with_the_channel(channel, queue, other):
    channel.tx_select()
    channel.basic_publish("", queue, b"forgotten")
    channel.close()
    assert take_all(other, queue, 0) == []


def test_requeue_waits_for_the_commit(channel, queue, other):
    send(other, queue, b"1")
    channel.tx_select()
    method, _, _ = take(channel, queue, auto_ack=False)
    channel.basic_reject(method.delivery_tag, requeue=True)
    channel.queue_declare(queue, passive=True)
    assert ready_count(other, queue) == 0
    channel.tx_commit()
    wait_ready(other, queue, 1)


def test_commit_over_several_durable_queues(broker, channel, other):
    names = [broker.queue_name() for _ in range(3)]
    for name in names:
        channel.queue_declare(name, durable=True)
    channel.tx_select()
    for name in names:
        channel.basic_publish("", name, name, pika.BasicProperties(delivery_mode=2))
    channel.tx_commit()
    for name in names:
        assert take_all(other, name, 1) == [name.encode()]


def test_mandatory_message_is_returned_at_commit(connection, channel):
    returned = []
    channel.add_on_return_callback(
        lambda _channel, method, _properties, body: returned.append(
            (method.reply_code, body)
        )
    )
    channel.tx_select()
    channel.basic_publish("", "absent", b"body", mandatory=True)
    channel.queue_declare("", exclusive=True)
    assert returned == []
    channel.tx_commit()
    wait_for(connection, lambda: returned, "a return")
    assert returned == [(312, b"body")]


def test_select_twice_and_empty_commits_are_fine(channel):
    for _ in range(2):
        channel.tx_select()
        channel.tx_commit()
        channel.tx_rollback()
    assert channel.is_open


@pytest.mark.parametrize("operation", ["commit", "rollback"])
def test_without_select(channel, operation):
    with channel_error(406, "PRECONDITION_FAILED - channel is not transactional"):
        getattr(channel, f"tx_{operation}")()


def test_tx_on_a_confirm_channel_is_refused(channel):
    channel.confirm_delivery()
    with channel_error(
        406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode"
    ):
        channel.tx_select()
