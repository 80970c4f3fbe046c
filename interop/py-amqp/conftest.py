"""Fixtures: a connection and a channel that close with the test."""

import amqp
import pytest

from support import parameters


@pytest.fixture
def connect():
    """Opens connections, with changes in their parameters; closed when the test ends."""
    connections = []

    def open_one(**changes):
        connection = amqp.Connection(**parameters(**changes))
        connections.append(connection)
        connection.connect()
        return connection

    yield open_one
    for connection in connections:
        connection.collect() if connection.is_closing else connection.close()


@pytest.fixture
def channel(connect):
    """A channel on a connection of its own."""
    return connect().channel()


@pytest.fixture
def confirming(connect):
    """A channel whose publishes wait for their confirm."""
    return connect(confirm_publish=True).channel()
