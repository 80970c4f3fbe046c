"""An unmodified celery: tasks and their results both through the broker."""

import pytest
from celery import chain, chord, group

from support import LIMIT_S


def add(app, a, b):
    """A signature of the task."""
    return app.tasks["add"].s(a, b)


def test_result(app):
    assert app.tasks["add"].delay(2, 3).get(timeout=LIMIT_S) == 5


def test_exception_comes_back(app):
    with pytest.raises(ValueError, match="on purpose"):
        app.tasks["fail"].delay().get(timeout=LIMIT_S)


def test_retries(app):
    assert app.tasks["retry"].delay().get(timeout=LIMIT_S) == 2


def test_countdown(app):
    result = app.tasks["add"].apply_async((1, 1), countdown=0.1)
    assert result.get(timeout=LIMIT_S) == 2


def test_chain(app):
    assert chain(add(app, 1, 2), app.tasks["add"].s(3), app.tasks["add"].s(4))().get(timeout=LIMIT_S) == 10


def test_group(app):
    results = [add(app, i, i).apply_async() for i in range(20)]
    assert [result.get(timeout=LIMIT_S) for result in results] == [2 * i for i in range(20)]
    assert group(add(app, i, 1) for i in range(5))().get(timeout=LIMIT_S) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("size", [0, 1_000, 1_000_000])
def test_sizes(app, size):
    assert app.tasks["echo"].delay("x" * size).get(timeout=LIMIT_S) == "x" * size


def test_chords_need_another_backend(app):
    with pytest.raises(NotImplementedError):
        chord([add(app, 1, 1)])(app.tasks["echo"].s())


def test_a_task_waits_in_its_queue(idle):
    result = idle.tasks["add"].apply_async((1, 1), expires=60)
    with idle.connection_for_write() as connection:
        queue = connection.SimpleQueue(idle.conf.task_default_queue, queue_opts=None, no_ack=True)
        message = queue.get(timeout=LIMIT_S)
        assert message.headers["id"] == result.id
        assert message.headers["task"] == "add"
        queue.close()


def test_purge(idle):
    for _ in range(5):
        idle.tasks["add"].delay(1, 1)
    assert idle.control.purge() == 5
