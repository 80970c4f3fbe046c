"""Fixtures: connections that close themselves, and names that are cleaned up afterwards."""

import pika
import pytest

from support import parameters, unique


class Janitor:
    """One connection for the whole run that deletes what tests left."""

    def __init__(self):
        self._connection = None

    def channel(self):
        """A channel of its own, on a connection made anew if the last one is gone."""
        if self._connection is None or not self._connection.is_open:
            self._connection = pika.BlockingConnection(parameters(heartbeat=0))
        return self._connection.channel()

    def close(self):
        """Close the connection, if there is one."""
        if self._connection is not None and self._connection.is_open:
            self._connection.close()


class Broker:
    """Opens connections for one test, and removes what the test declared."""

    def __init__(self, janitor):
        self._janitor = janitor
        self._connections = []
        self._queues = []
        self._exchanges = []

    def connect(self, **changes):
        """A connection with `changes` in its parameters; closed when the test ends."""
        connection = pika.BlockingConnection(parameters(**changes))
        self._connections.append(connection)
        return connection

    def queue_name(self, prefix="leveret-pika"):
        """A queue name of this test; the queue is deleted when the test ends."""
        name = unique(prefix)
        self._queues.append(name)
        return name

    def exchange_name(self, prefix="leveret-pika"):
        """An exchange name of this test; the exchange is deleted when the test ends."""
        name = unique(prefix)
        self._exchanges.append(name)
        return name

    def clean_up(self):
        """Close every connection, then delete every name handed out."""
        for connection in self._connections:
            if connection.is_open:
                connection.close()
        if not self._queues and not self._exchanges:
            return
        channel = self._janitor.channel()
        for name in self._queues:
            channel.queue_delete(name)
        for name in self._exchanges:
            channel.exchange_delete(name)
        channel.close()


@pytest.fixture(scope="session")
def janitor():
    """The connection that cleans up."""
    janitor = Janitor()
    yield janitor
    janitor.close()


@pytest.fixture
def broker(janitor):
    """The broker under test."""
    broker = Broker(janitor)
    yield broker
    broker.clean_up()


@pytest.fixture
def connection(broker):
    """An open connection."""
    return broker.connect()


@pytest.fixture
def channel(connection):
    """An open channel on `connection`."""
    return connection.channel()


@pytest.fixture
def other(broker):
    """An open channel on a connection of its own."""
    return broker.connect().channel()


@pytest.fixture
def queue(broker, channel):
    """A declared transient queue that survives its connection."""
    name = broker.queue_name()
    channel.queue_declare(name)
    return name


@pytest.fixture
def bound(channel):
    """Declare a server-named queue and bind it: `bound(exchange, key, …)` returns its name."""

    def make(exchange, *keys, arguments=None):
        name = channel.queue_declare("", exclusive=True).method.queue
        for key in keys or ("",):
            channel.queue_bind(name, exchange, key, arguments=arguments)
        return name

    return make
