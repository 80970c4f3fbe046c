"""Fixtures: kombu connections, and a celery application with a worker in this process."""

import celery
import kombu
import pytest
from celery.contrib.testing.worker import start_worker

from support import URL, unique


@pytest.fixture
def connection():
    """A connection that closes with the test."""
    with kombu.Connection(URL) as connection:
        yield connection


@pytest.fixture
def channel(connection):
    """A channel of it."""
    with connection.channel() as channel:
        yield channel


def application(**settings):
    """A celery application with queues of its own; results come by RPC, through the broker."""
    name = unique()
    app = celery.Celery(name, broker=URL, backend="rpc://", set_as_current=False)
    app.conf.update(
        task_default_queue=name,
        task_default_exchange=name,
        task_default_routing_key=name,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        **settings,
    )

    @app.task(name="add", shared=False)
    def add(a, b):
        return a + b

    @app.task(name="fail", shared=False)
    def fail():
        raise ValueError("on purpose")

    @app.task(name="retry", shared=False, bind=True, max_retries=3)
    def retry(self):
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return self.request.retries

    @app.task(name="echo", shared=False)
    def echo(value):
        return value

    return app


@pytest.fixture(scope="module")
def app():
    """An application whose worker runs in this process."""
    app = application(task_acks_late=True, worker_prefetch_multiplier=1)
    with start_worker(app, perform_ping_check=False, pool="solo", shutdown_timeout=30):
        yield app
    with kombu.Connection(URL) as connection, connection.channel() as channel:
        channel.queue_delete(app.conf.task_default_queue)
        channel.exchange_delete(app.conf.task_default_exchange)


@pytest.fixture
def idle():
    """An application without a worker."""
    app = application()
    yield app
    with kombu.Connection(URL) as connection, connection.channel() as channel:
        channel.queue_delete(app.conf.task_default_queue)
        channel.exchange_delete(app.conf.task_default_exchange)
