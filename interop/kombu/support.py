"""The broker's address, and names that are a test's own."""

import os
import time
import uuid

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2f").replace("/%2f", "//").replace("amqp:", "pyamqp:")

LIMIT_S = 30
"""Ends a wait in vain; nothing here is expected to take as long."""


def unique():
    """A name that no other test uses."""
    return f"leveret-kombu-{uuid.uuid4().hex[:12]}"


def until(condition):
    """Asks again and again until the condition holds."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
