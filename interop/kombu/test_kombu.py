"""An unmodified kombu."""

import socket

import kombu
import pytest
from amqp import AccessRefused
from kombu import Consumer, Exchange, Producer, Queue
from kombu.pools import producers

from support import LIMIT_S, URL, unique, until


def queue_of(channel, exchange=None, **options):
    """A queue that goes with its connection, declared."""
    name = unique()
    exchange = exchange or Exchange(name, "direct", durable=False, auto_delete=True)
    queue = Queue(name, exchange, routing_key=name, exclusive=True, durable=False, **options)(channel)
    queue.declare()
    return queue


def taken(connection, channel, queue, count):
    """The next messages' bodies and the messages, acknowledged."""
    got = []

    def receive(body, message):
        got.append((body, message))
        message.ack()

    with Consumer(channel, queue, callbacks=[receive], accept=["json", "text/plain", "pickle"]):
        while len(got) < count:
            connection.drain_events(timeout=LIMIT_S)
    return got


def send(channel, queue, body, **options):
    """Publishes to a queue by its exchange."""
    Producer(channel).publish(body, exchange=queue.exchange, routing_key=queue.routing_key, **options)


def test_product_and_version_are_understood(connection):
    connection.connect()
    properties = connection.connection.server_properties
    assert properties["product"] == "RabbitMQ"
    assert tuple(map(int, properties["version"].split("."))) >= (4, 0)
    # What kombu thinks of a version 4.
    assert connection.qos_semantics_matches_spec is True


@pytest.mark.parametrize("body", [{"a": [1, 2.5, None, "ü"]}, [1, 2], "text", 7])
def test_json_bodies(connection, channel, body):
    queue = queue_of(channel)
    send(channel, queue, body)
    [(got, message)] = taken(connection, channel, queue, 1)
    assert got == body
    assert message.content_type in ("application/json", "text/plain")


@pytest.mark.parametrize("compression", ["zlib", "bzip2"])
def test_compressed_bodies(connection, channel, compression):
    queue = queue_of(channel)
    send(channel, queue, {"text": "x" * 100_000}, compression=compression)
    [(got, _)] = taken(connection, channel, queue, 1)
    assert got == {"text": "x" * 100_000}


def test_headers_and_properties(connection, channel):
    queue = queue_of(channel)
    send(channel, queue, "x", headers={"n": 1, "t": "ü"}, priority=3, correlation_id="c", reply_to="r", expiration=60)
    [(_, message)] = taken(connection, channel, queue, 1)
    assert message.headers == {"n": 1, "t": "ü"}
    properties = message.properties
    assert (properties["priority"], properties["correlation_id"], properties["expiration"]) == (3, "c", "60000")


def test_requeue_and_reject(channel):
    queue = queue_of(channel)
    send(channel, queue, "x")
    message = queue.get(no_ack=False)
    message.requeue()
    again = queue.get(no_ack=False)
    assert again.delivery_info["redelivered"]
    again.reject()
    assert queue.get() is None


def test_prefetch(connection, channel):
    queue = queue_of(channel)
    for i in range(5):
        send(channel, queue, i)
    got = []
    with Consumer(channel, queue, callbacks=[lambda body, message: got.append(message)], prefetch_count=2):
        while len(got) < 2:
            connection.drain_events(timeout=LIMIT_S)
        assert queue.queue_declare(passive=True).message_count == 3
        got[0].ack()
        while len(got) < 3:
            connection.drain_events(timeout=LIMIT_S)
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=0.2)


@pytest.mark.parametrize("kind", ["direct", "topic", "fanout", "headers"])
def test_exchange_types(connection, channel, kind):
    queue = queue_of(channel, Exchange(unique(), kind, durable=False, auto_delete=True))
    send(channel, queue, kind)
    assert [body for body, _ in taken(connection, channel, queue, 1)] == [kind]


def test_queue_arguments(connection, channel):
    dead = queue_of(channel)
    queue = queue_of(
        channel, message_ttl=0.02, max_length=10,
        queue_arguments={"x-dead-letter-exchange": dead.exchange.name, "x-dead-letter-routing-key": dead.routing_key},
    )
    send(channel, queue, "late")
    [(body, message)] = taken(connection, channel, dead, 1)
    assert body == "late"
    assert message.headers["x-first-death-reason"] == "expired"


def test_priorities(connection):
    with connection.channel() as channel:
        queue = queue_of(channel, max_priority=3)
        for priority in (1, 3, 0, 2):
            send(channel, queue, priority, priority=priority)
        until(lambda: queue.queue_declare(passive=True).message_count == 4)
        assert [body for body, _ in taken(connection, channel, queue, 4)] == [3, 2, 1, 0]


def test_confirmed_publishes():
    with kombu.Connection(URL, transport_options={"confirm_publish": True}) as connection, connection.channel() as channel:
        queue = queue_of(channel)
        for i in range(100):
            send(channel, queue, i)
        assert queue.purge() == 100


def test_simple_queue(connection):
    name = unique()
    queue = connection.SimpleQueue(name)
    for i in range(10):
        queue.put({"i": i})
    got = []
    for _ in range(10):
        message = queue.get(timeout=LIMIT_S)
        got.append(message.payload["i"])
        message.ack()
    assert got == list(range(10))
    with pytest.raises(queue.Empty):
        queue.get_nowait()
    queue.close()
    connection.default_channel.queue_delete(name)


def test_publish_survives_a_lost_connection(connection):
    with connection.channel() as channel:
        queue = queue_of(channel, Exchange("", "direct"))
        with producers[kombu.Connection(URL)].acquire(block=True) as producer:
            producer.publish("before", routing_key=queue.name)
            producer.connection.connection.transport.sock.shutdown(socket.SHUT_RDWR)
            producer.publish("after", routing_key=queue.name, retry=True, retry_policy={"interval_start": 0})
        assert [body for body, _ in taken(connection, channel, queue, 2)] == ["before", "after"]


def test_missing_queue_raises(connection):
    with connection.channel() as channel, pytest.raises(connection.channel_errors, match="no queue"):
        Queue(unique(), channel=channel).queue_declare(passive=True)


def test_wrong_password():
    refused = kombu.Connection(URL)
    refused.password = "wrong"
    with pytest.raises(AccessRefused, match="ACCESS_REFUSED - Login was refused"):
        refused.connect()
