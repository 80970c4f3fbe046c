"""Fixtures: queues that are deleted when their test ends."""

import pytest

from support import ok, run, unique


@pytest.fixture
def queue():
    """A queue."""
    name = unique()
    assert ok("declare-queue", "--queue", name).strip() == name
    yield name
    run("delete-queue", "--queue", name)
