"""What the tests share: where the broker is, unique names, waiting for a condition, and what a broker's
refusal looks like. Knows no single feature."""

import os
import time
import uuid
from contextlib import contextmanager

import pika
import pytest

AMQP_URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2f")

#: How long a condition may take before the test fails; nothing waits this long when all is well.
PATIENCE = 20.0


def parameters(**changes):
    """The broker's URL as pika parameters, with `changes` set on them."""
    params = pika.URLParameters(AMQP_URL)
    params.socket_timeout = PATIENCE
    params.blocked_connection_timeout = PATIENCE
    for name, value in changes.items():
        setattr(params, name, value)
    return params


def unique(prefix="leveret-pika"):
    """A name nobody else uses."""
    return f"{prefix}-{uuid.uuid4().hex}"


def wait_for(connection, condition, what="the condition"):
    """Serve `connection` until `condition()` holds, and return its value."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come about within {PATIENCE} s")
        connection.process_data_events(time_limit=0.02)


def ready_count(channel, queue):
    """Messages of `queue` that are ready."""
    return channel.queue_declare(queue, passive=True).method.message_count


def consumer_count(channel, queue):
    """Consumers of `queue`."""
    return channel.queue_declare(queue, passive=True).method.consumer_count


def wait_ready(channel, queue, count):
    """Wait until exactly `count` messages of `queue` are ready."""
    wait_for(
        channel.connection,
        lambda: ready_count(channel, queue) == count,
        f"{count} ready messages in {queue}",
    )


def send(channel, queue, *bodies):
    """Publish `bodies` to `queue` through the default exchange, and wait until they are there."""
    before = ready_count(channel, queue)
    for body in bodies:
        channel.basic_publish("", queue, body)
    wait_ready(channel, queue, before + len(bodies))


def take(channel, queue, auto_ack=True):
    """Get one message, waiting for it: `(method, properties, body)`."""
    found = []

    def got():
        method, properties, body = channel.basic_get(queue, auto_ack=auto_ack)
        if method is not None:
            found.append((method, properties, body))
        return found

    wait_for(channel.connection, got, f"a message in {queue}")
    return found[0]


def take_all(channel, queue, count):
    """Get `count` bodies in order, and see that the queue is empty then."""
    bodies = [take(channel, queue)[2] for _ in range(count)]
    assert channel.basic_get(queue, auto_ack=True) == (None, None, None)
    return bodies


class Inbox:
    """A consumer that writes down what it is given."""

    def __init__(self, channel, queue, **consume):
        self.channel = channel
        self.messages = []
        self.tag = channel.basic_consume(queue, self._deliver, **consume)

    def _deliver(self, _channel, method, properties, body):
        self.messages.append((method, properties, body))

    @property
    def bodies(self):
        """The bodies so far, in order."""
        return [body for _, _, body in self.messages]

    def wait(self, count):
        """Wait for at least `count` messages, and return all."""
        wait_for(
            self.channel.connection,
            lambda: len(self.messages) >= count,
            f"{count} deliveries",
        )
        return self.messages


@contextmanager
def channel_error(code, *texts):
    """The block must make the broker close the channel with `code`, its text holding all `texts`."""
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
        yield caught
    assert caught.value.reply_code == code, caught.value
    for text in texts:
        assert text in caught.value.reply_text


@contextmanager
def connection_error(code, *texts):
    """The block must make the broker close the connection with `code`, its text holding all `texts`."""
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as caught:
        yield caught
    assert caught.value.reply_code == code, caught.value
    for text in texts:
        assert text in caught.value.reply_text


def inequivalent(argument, kind, name, received, current):
    """RabbitMQ's text for a redeclaration that differs."""
    return (
        f"PRECONDITION_FAILED - inequivalent arg '{argument}' for {kind} '{name}' in vhost '/': "
        f"received {received} but current is {current}"
    )
