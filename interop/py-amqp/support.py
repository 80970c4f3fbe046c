"""The broker's address, names that are a test's own, and small helpers."""

import os
import uuid
from urllib.parse import unquote, urlsplit

import amqp

LIMIT_S = 20
"""Ends a wait in vain; nothing here is expected to take as long."""


def parameters(**changes):
    """How to connect, from AMQP_URL."""
    url = urlsplit(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2f"))
    found = {
        "host": f"{url.hostname}:{url.port or 5672}",
        "userid": url.username,
        "password": url.password,
        "virtual_host": unquote(url.path[1:]) or "/",
    }
    return {**found, **changes}


def unique():
    """A name that no other test uses."""
    return f"leveret-py-amqp-{uuid.uuid4().hex[:12]}"


def exclusive(channel, **arguments):
    """A queue that goes with its connection; arguments are written with `_` for `-`."""
    named = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    return channel.queue_declare(unique(), exclusive=True, auto_delete=False, arguments=named).queue


def send(channel, queue, text, **properties):
    """Publishes a text to a queue."""
    channel.basic_publish(amqp.Message(text, **properties), routing_key=queue)


def consume(channel, queue, **options):
    """A list that fills while events are drained."""
    messages = []
    channel.basic_consume(queue, callback=messages.append, **options)
    return messages


def drain(channel, condition):
    """Reads from the socket until the condition holds."""
    while not condition():
        channel.connection.drain_events(timeout=LIMIT_S)


def taken(channel, queue, count):
    """The next messages."""
    messages = consume(channel, queue, no_ack=True)
    drain(channel, lambda: len(messages) >= count)
    return messages
