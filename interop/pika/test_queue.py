"""Queues: declaring, equivalence, exclusivity, automatic end, purge and delete."""

import pika
import pytest

from support import (
    Inbox,
    channel_error,
    consumer_count,
    inequivalent,
    ready_count,
    send,
    take,
    take_all,
    wait_for,
    wait_ready,
)


def missing(connection, queue):
    """Whether `queue` is gone, asked on a channel of its own."""
    channel = connection.channel()
    try:
        channel.queue_declare(queue, passive=True)
    except pika.exceptions.ChannelClosedByBroker as error:
        assert error.reply_code == 404
        return True
    channel.close()
    return False


def locked(queue):
    """RabbitMQ's refusal of a queue that is another connection's, cut to a short string as it cuts it."""
    text = (
        f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. "
        "It could be originally declared on another connection or the exclusive property value "
        "does not match that of the original declaration."
    )
    return text if len(text) <= 255 else text[:252] + "..."


def test_server_gives_a_name(channel):
    names = {
        channel.queue_declare("", exclusive=True).method.queue for _ in range(20)
    }
    assert len(names) == 20
    for name in names:
        assert name.startswith("amq.gen-")
        assert len(name) == len("amq.gen-") + 22


def test_server_given_name_may_only_be_declared_passively(channel):
    name = channel.queue_declare("", exclusive=True).method.queue
    assert channel.queue_declare(name, passive=True).method.queue == name
    with channel_error(
        403, f"ACCESS_REFUSED - queue name '{name}' contains reserved prefix 'amq.*'"
    ):
        channel.queue_declare(name, exclusive=True)


def test_empty_name_means_the_last_declared_queue(broker, channel):
    channel.queue_declare("", exclusive=True)
    name = channel.queue_declare("", exclusive=True).method.queue
    exchange = broker.exchange_name()
    channel.exchange_declare(exchange, "direct")
    channel.queue_bind("", exchange, "key")
    channel.basic_publish(exchange, "key", b"body")
    assert take(channel, "")[2] == b"body"
    assert take_all(channel, name, 0) == []


def test_empty_binding_key_and_name_mean_the_queue_name(channel):
    name = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind("", "amq.direct", "")
    channel.basic_publish("amq.direct", name, b"body")
    assert take(channel, name)[2] == b"body"


@pytest.mark.parametrize("operation", ["bind", "get", "purge"])
def test_empty_name_without_a_declaration(channel, operation):
    with channel_error(404, "NOT_FOUND - no previously declared queue"):
        if operation == "bind":
            channel.queue_bind("", "amq.direct", "key")
        elif operation == "get":
            channel.basic_get("")
        else:
            channel.queue_purge("")


def test_passive_declare_needs_a_name(channel):
    channel.queue_declare("", exclusive=True)
    with channel_error(404, "NOT_FOUND - no queue '' in vhost '/'"):
        channel.queue_declare("", passive=True)


def test_declare_counts_messages_and_consumers(channel, queue, other):
    send(channel, queue, b"1", b"2", b"3")
    ok = channel.queue_declare(queue).method
    assert (ok.queue, ok.message_count, ok.consumer_count) == (queue, 3, 0)
    inbox = Inbox(other, queue)
    inbox.wait(3)
    ok = channel.queue_declare(queue, passive=True).method
    assert (ok.message_count, ok.consumer_count) == (0, 1)


def test_passive_declare_of_a_missing_queue(channel):
    with channel_error(404, "NOT_FOUND - no queue 'absent' in vhost '/'"):
        channel.queue_declare("absent", passive=True)


def test_passive_declare_ignores_the_other_flags(channel, queue):
    channel.queue_declare(queue, passive=True, durable=True, auto_delete=True)
    assert channel.is_open


@pytest.mark.parametrize(
    "changed, argument, received, current",
    [
        ({"durable": True}, "durable", "'true'", "'false'"),
        ({"auto_delete": True}, "auto_delete", "'true'", "'false'"),
    ],
)
def test_inequivalent_redeclaration(
    channel, queue, changed, argument, received, current
):
    with channel_error(406, inequivalent(argument, "queue", queue, received, current)):
        channel.queue_declare(queue, **changed)


def test_redeclaring_a_shared_queue_as_exclusive(channel, queue):
    with channel_error(405, locked(queue)):
        channel.queue_declare(queue, exclusive=True)


def test_redeclaring_as_another_queue_type(broker, channel):
    name = broker.queue_name()
    channel.queue_declare(name, durable=True)
    with channel_error(
        406, inequivalent("x-queue-type", "queue", name, "'quorum'", "'classic'")
    ):
        channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})


def test_missing_queue_type_means_classic(broker, channel):
    name = broker.queue_name()
    channel.queue_declare(name, durable=True, arguments={"x-queue-type": "classic"})
    channel.queue_declare(name, durable=True)
    assert channel.is_open


def test_unknown_arguments_are_kept_but_not_compared(broker, channel):
    name = broker.queue_name()
    channel.queue_declare(name, arguments={"x-leveret-unknown": "one", "plain": 1})
    channel.queue_declare(name, arguments={"x-leveret-unknown": "two"})
    channel.queue_declare(name)
    send(channel, name, b"works")
    assert take(channel, name)[2] == b"works"


def test_reserved_prefix_is_refused(channel):
    with channel_error(
        403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"
    ):
        channel.queue_declare("amq.mine")


@pytest.mark.parametrize(
    "operation", ["declare", "passive", "consume", "get", "bind", "purge", "delete"]
)
def test_exclusive_queue_is_locked_for_others(broker, channel, other, operation):
    name = broker.queue_name()
    channel.queue_declare(name, exclusive=True)
    with channel_error(405, locked(name)):
        if operation == "declare":
            other.queue_declare(name, exclusive=True)
        elif operation == "passive":
            other.queue_declare(name, passive=True)
        elif operation == "consume":
            other.basic_consume(name, lambda *_: None)
        elif operation == "get":
            other.basic_get(name)
        elif operation == "bind":
            other.queue_bind(name, "amq.direct", "key")
        elif operation == "purge":
            other.queue_purge(name)
        else:
            other.queue_delete(name)
    assert channel.queue_declare(name, passive=True).method.message_count == 0


def test_others_may_publish_to_an_exclusive_queue(channel, other):
    name = channel.queue_declare("", exclusive=True).method.queue
    other.basic_publish("", name, b"for you")
    assert take(channel, name)[2] == b"for you"


def test_exclusive_queue_is_shared_by_its_connections_channels(connection, channel):
    name = channel.queue_declare("", exclusive=True).method.queue
    second = connection.channel()
    send(second, name, b"body")
    channel.close()
    assert take(second, name)[2] == b"body"


def test_exclusive_queue_ends_with_its_connection(broker, connection):
    name = broker.queue_name()
    owner = broker.connect()
    owner.channel().queue_declare(name, exclusive=True, durable=True)
    owner.close()
    wait_for(connection, lambda: missing(connection, name), "the queue's end")


def test_auto_delete_queue_goes_with_its_last_consumer(broker, connection, channel):
    name = broker.queue_name()
    channel.queue_declare(name, auto_delete=True)
    channel.queue_declare(name, auto_delete=True)
    first, second = Inbox(channel, name), Inbox(channel, name)
    channel.basic_cancel(first.tag)
    assert not missing(connection, name)
    channel.basic_cancel(second.tag)
    wait_for(connection, lambda: missing(connection, name), "the queue's end")


def test_auto_delete_queue_goes_with_its_consumers_channel(broker, connection, channel):
    name = broker.queue_name()
    channel.queue_declare(name, auto_delete=True)
    consumer = connection.channel()
    Inbox(consumer, name)
    consumer.close()
    wait_for(connection, lambda: missing(connection, name), "the queue's end")


def test_auto_delete_queue_waits_for_its_first_consumer(broker, channel):
    name = broker.queue_name()
    owner = broker.connect()
    owner.channel().queue_declare(name, auto_delete=True)
    owner.close()
    send(channel, name, b"body")
    assert take(channel, name)[2] == b"body"
    assert ready_count(channel, name) == 0


def test_durable_queue_and_its_messages_outlive_the_connection(broker, channel):
    name = broker.queue_name()
    declarer = broker.connect()
    theirs = declarer.channel()
    theirs.confirm_delivery()
    theirs.queue_declare(name, durable=True)
    theirs.basic_publish("", name, b"kept", pika.BasicProperties(delivery_mode=2))
    declarer.close()
    method, properties, body = take(channel, name)
    assert (method.redelivered, properties.delivery_mode, body) == (False, 2, b"kept")


def test_purge_counts_ready_messages_only(channel, queue):
    send(channel, queue, b"1", b"2", b"3", b"4")
    held = take(channel, queue, auto_ack=False)
    assert channel.queue_purge(queue).method.message_count == 3
    assert channel.queue_purge(queue).method.message_count == 0
    channel.basic_reject(held[0].delivery_tag, requeue=True)
    wait_ready(channel, queue, 1)
    assert take(channel, queue)[2] == b"1"


def test_purge_of_a_missing_queue(channel):
    with channel_error(404, "NOT_FOUND - no queue 'absent' in vhost '/'"):
        channel.queue_purge("absent")


def test_delete_returns_the_count(connection, channel, queue):
    send(channel, queue, b"1", b"2")
    assert channel.queue_delete(queue).method.message_count == 2
    assert missing(connection, queue)


def test_deleting_a_missing_queue_is_fine(channel):
    assert channel.queue_delete("absent").method.message_count == 0


def test_delete_if_empty(connection, channel, queue):
    send(channel, queue, b"1")
    refused = connection.channel()
    with channel_error(
        406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty"
    ):
        refused.queue_delete(queue, if_empty=True)
    channel.queue_purge(queue)
    channel.queue_delete(queue, if_empty=True)
    assert missing(connection, queue)


def test_delete_if_unused(connection, channel, queue):
    inbox = Inbox(channel, queue)
    refused = connection.channel()
    with channel_error(
        406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use"
    ):
        refused.queue_delete(queue, if_unused=True)
    channel.basic_cancel(inbox.tag)
    channel.queue_delete(queue, if_unused=True)
    assert missing(connection, queue)


def test_deleting_a_queue_removes_its_bindings(broker, channel):
    name = broker.queue_name()
    channel.queue_declare(name)
    channel.queue_bind(name, "amq.direct", name + "-key")
    channel.queue_delete(name)
    channel.queue_declare(name)
    channel.confirm_delivery()
    channel.basic_publish("amq.direct", name + "-key", b"nowhere")
    assert take_all(channel, name, 0) == []


def test_queue_made_anew_is_empty(channel, queue):
    send(channel, queue, b"old")
    channel.queue_delete(queue)
    channel.queue_declare(queue)
    assert ready_count(channel, queue) == 0
    send(channel, queue, b"new")
    assert take_all(channel, queue, 1) == [b"new"]


def test_ack_after_the_queue_is_gone_is_fine(channel, queue):
    send(channel, queue, b"1")
    method, _, _ = take(channel, queue, auto_ack=False)
    channel.queue_delete(queue)
    channel.basic_ack(method.delivery_tag)
    assert channel.queue_declare("", exclusive=True).method.message_count == 0


def test_unicode_queue_name(broker, channel):
    name = broker.queue_name("håse 兔子 🐇")
    assert channel.queue_declare(name).method.queue == name
    send(channel, name, b"body")
    assert take(channel, name)[0].routing_key == name


def test_queue_name_of_255_bytes(broker, channel):
    name = broker.queue_name("n" * 222)
    assert len(name) == 255
    channel.queue_declare(name)
    send(channel, name, b"body")
    assert take(channel, name)[0].routing_key == name


def test_quorum_queue_works(broker, channel, other):
    name = broker.queue_name()
    arguments = {"x-queue-type": "quorum"}
    for _ in range(2):
        channel.queue_declare(name, durable=True, arguments=arguments)
    channel.confirm_delivery()
    for n in range(10):
        channel.basic_publish("", name, str(n))
    inbox = Inbox(other, name)
    inbox.wait(10)
    assert inbox.bodies == [str(n).encode() for n in range(10)]
    other.basic_ack(10, multiple=True)
    assert channel.queue_delete(name).method.message_count == 0


@pytest.mark.parametrize(
    "flags, text",
    [
        ({"durable": False}, "invalid property 'non-durable' for queue"),
        (
            {"durable": True, "auto_delete": True},
            "invalid property 'auto-delete' for queue",
        ),
        (
            {"durable": True, "exclusive": True},
            "invalid property 'exclusive-owner' for queue",
        ),
    ],
)
def test_quorum_queue_must_be_durable_and_shared(broker, channel, flags, text):
    name = broker.queue_name()
    with channel_error(406, f"PRECONDITION_FAILED - {text} '{name}' in vhost '/'"):
        channel.queue_declare(name, arguments={"x-queue-type": "quorum"}, **flags)


def test_unknown_queue_type(broker, channel):
    with channel_error(406, "PRECONDITION_FAILED - ", "x-queue-type"):
        channel.queue_declare(
            broker.queue_name(), durable=True, arguments={"x-queue-type": "no-such"}
        )


def test_many_queues_on_one_channel(channel):
    names = [channel.queue_declare("", exclusive=True).method.queue for _ in range(200)]
    for name in names:
        channel.basic_publish("", name, name)
    for name in names:
        assert take(channel, name)[2] == name.encode()


def test_consumer_count_falls_when_a_connection_goes(broker, channel, queue):
    theirs = broker.connect()
    Inbox(theirs.channel(), queue)
    assert consumer_count(channel, queue) == 1
    theirs.close()
    wait_for(
        channel.connection, lambda: consumer_count(channel, queue) == 0, "no consumer"
    )
