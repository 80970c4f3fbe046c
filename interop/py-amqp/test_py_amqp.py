"""An unmodified py-amqp, the client under kombu and celery."""

import datetime

import amqp
import pytest

from support import consume, drain, exclusive, send, taken, unique


def bodies(messages):
    """Their texts."""
    return [message.body for message in messages]


def test_server_properties(connect):
    properties = connect().server_properties
    assert properties["product"] == "RabbitMQ"
    assert properties["version"].startswith("4.")
    assert properties["capabilities"]["consumer_cancel_notify"] is True


def test_wrong_password(connect):
    with pytest.raises(amqp.AccessRefused, match="Login was refused using authentication mechanism"):
        connect(password="wrong")


def test_unknown_vhost(connect):
    with pytest.raises(amqp.NotAllowed, match="vhost nowhere not found"):
        connect(virtual_host="nowhere")


@pytest.mark.parametrize("method", ["PLAIN", "AMQPLAIN"])
def test_login_methods(connect, method):
    assert connect(login_method=method).connected


def test_tuning(connect):
    connection = connect(heartbeat=7)
    assert (connection.frame_max, connection.channel_max, connection.heartbeat) == (131072, 2047, 7)
    channel = connection.channel()
    queue = exclusive(channel)
    send(channel, queue, "x" * 300_000)
    assert bodies(taken(channel, queue, 1)) == ["x" * 300_000]


def test_properties(channel):
    headers = {
        "text": "häse", "yes": True, "small": 7, "large": 2**40, "half": 0.5, "nothing": None,
        "list": [1, "two"], "table": {"deep": "er"}, "when": datetime.datetime(2023, 11, 14, 22, 13, 20),
    }
    properties = dict(
        content_type="text/plain", content_encoding="utf-8", application_headers=headers, delivery_mode=2, priority=3,
        correlation_id="c", reply_to="r", expiration="60000", message_id="m", type="kind", user_id="guest", app_id="app",
    )
    queue = exclusive(channel)
    send(channel, queue, "body", **properties)
    [message] = taken(channel, queue, 1)
    assert {name: message.properties[name] for name in properties} == properties
    assert message.body == "body"


def test_confirms(confirming):
    queue = exclusive(confirming)
    for i in range(100):
        send(confirming, queue, str(i))
    assert confirming.queue_purge(queue) == 100


def test_nack_of_a_full_queue(confirming):
    queue = exclusive(confirming, max_length=1, overflow="reject-publish")
    send(confirming, queue, "fits")
    with pytest.raises(amqp.exceptions.MessageNacked):
        send(confirming, queue, "too much")


def test_returns(channel):
    returned = []
    channel.events["basic_return"].add(lambda *parts: returned.append(parts))
    channel.basic_publish(amqp.Message("lost"), routing_key=unique(), mandatory=True)
    drain(channel, lambda: returned)
    [(error, _exchange, _key, message)] = returned
    assert (error.reply_code, error.reply_text, message.body) == (312, "NO_ROUTE", "lost")


def test_missing_queue(channel):
    with pytest.raises(amqp.NotFound, match="no queue 'none' in vhost '/'"):
        channel.queue_declare("none", passive=True)
    assert channel.connection.connected


def test_other_arguments(channel):
    queue = exclusive(channel, message_ttl=60_000)
    with pytest.raises(amqp.PreconditionFailed, match="inequivalent arg 'x-message-ttl'"):
        channel.queue_declare(queue, exclusive=True, auto_delete=False, arguments={"x-message-ttl": 1})


def test_locked_queue(connect, channel):
    queue = exclusive(channel)
    with pytest.raises(amqp.ResourceLocked, match="cannot obtain exclusive access to locked queue"):
        connect().channel().queue_declare(queue, passive=True)


def test_prefetch(confirming):
    queue = exclusive(confirming)
    for i in range(5):
        send(confirming, queue, str(i))
    confirming.basic_qos(0, 2, False)
    messages = consume(confirming, queue)
    drain(confirming, lambda: len(messages) == 2)
    assert confirming.queue_declare(queue, passive=True).message_count == 3
    confirming.basic_ack(messages[-1].delivery_tag, multiple=True)
    drain(confirming, lambda: len(messages) == 4)
    assert bodies(messages) == ["0", "1", "2", "3"]


def test_reject_and_requeue(confirming):
    queue = exclusive(confirming)
    send(confirming, queue, "x")
    confirming.basic_reject(confirming.basic_get(queue).delivery_tag, requeue=True)
    again = confirming.basic_get(queue)
    assert again.delivery_info["redelivered"]
    confirming.basic_reject(again.delivery_tag, requeue=False)
    assert confirming.basic_get(queue) is None


def test_recover(confirming):
    queue = exclusive(confirming)
    send(confirming, queue, "x")
    confirming.basic_get(queue)
    confirming.basic_recover(requeue=True)
    assert confirming.basic_get(queue, no_ack=True).delivery_info["redelivered"]


def test_cancel(channel):
    queue = exclusive(channel)
    tag = channel.basic_consume(queue, callback=lambda message: None)
    channel.basic_cancel(tag)
    assert channel.queue_declare(queue, passive=True).consumer_count == 0


def test_cancel_by_the_broker(channel):
    queue = exclusive(channel)
    cancelled = []
    tag = channel.basic_consume(queue, callback=lambda message: None, on_cancel=cancelled.append)
    channel.queue_delete(queue)
    drain(channel, lambda: cancelled)
    assert cancelled == [tag]


def test_bindings(channel):
    first, second = unique(), unique()
    channel.exchange_declare(first, "topic", auto_delete=True)
    channel.exchange_declare(second, "headers", auto_delete=True)
    queue = exclusive(channel)
    channel.exchange_bind(second, first, "orders.#")
    channel.queue_bind(queue, second, arguments={"x-match": "any", "kind": "a"})
    for kind in ("b", "a"):
        channel.basic_publish(amqp.Message(kind, application_headers={"kind": kind}), first, "orders.new")
    assert bodies(taken(channel, queue, 1)) == ["a"]
    channel.exchange_unbind(second, first, "orders.#")


def test_transactions(connect, channel):
    other = connect().channel()
    queue = other.queue_declare(unique(), exclusive=False, auto_delete=False).queue
    channel.tx_select()
    send(channel, queue, "rolled back")
    channel.tx_rollback()
    send(channel, queue, "committed")
    assert other.basic_get(queue) is None
    channel.tx_commit()
    assert other.basic_get(queue, no_ack=True).body == "committed"
    other.queue_delete(queue)


def test_dead_letters(channel):
    dead = exclusive(channel)
    queue = exclusive(channel, message_ttl=20, dead_letter_exchange="", dead_letter_routing_key=dead)
    send(channel, queue, "late")
    [letter] = taken(channel, dead, 1)
    [death] = letter.headers["x-death"]
    assert (death["reason"], death["queue"], death["count"], death["routing-keys"]) == ("expired", queue, 1, [queue])


def test_priorities(confirming):
    queue = exclusive(confirming, max_priority=3)
    for priority in (1, 3, 0, 2):
        send(confirming, queue, str(priority), priority=priority)
    assert bodies(taken(confirming, queue, 4)) == ["3", "2", "1", "0"]
