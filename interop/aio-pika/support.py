"""What every test needs: the broker's address, connections that end with the test, names that are its own."""

import asyncio
import contextlib
import functools
import os
import uuid

import aio_pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2f")

LIMIT_S = 20
"""Ends a wait in vain; nothing here is expected to take as long."""


def unique():
    """A name that no other test uses."""
    return f"leveret-aio-pika-{uuid.uuid4().hex[:12]}"


def asynchronous(test):
    """Runs a coroutine test in an event loop of its own, within the limit."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), LIMIT_S))

    return run


@contextlib.asynccontextmanager
async def opened(**channel):
    """A channel on a connection of its own."""
    async with await aio_pika.connect(URL) as connection:
        yield await connection.channel(**channel)


async def exclusive(channel, **arguments):
    """A queue that goes with its connection; arguments are written with `_` for `-`."""
    named = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    return await channel.declare_queue(unique(), exclusive=True, arguments=named or None)


async def send(channel, queue, text, **properties):
    """Publishes a text to a queue."""
    message = aio_pika.Message(text.encode(), **properties)
    return await channel.default_exchange.publish(message, queue.name)


async def taken(queue, count, **options):
    """The next messages, acknowledged."""
    messages = []
    async with queue.iterator(**options) as iterator:
        async for message in iterator:
            async with message.process():
                messages.append(message)
            if len(messages) == count:
                return messages
