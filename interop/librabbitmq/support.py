"""The command-line programs of librabbitmq, run as a user runs them."""

import os
import subprocess
import time
import uuid

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2f")

LIMIT_S = 20
"""Ends a wait in vain; nothing here is expected to take as long."""


def unique():
    """A name that no other test uses."""
    return f"leveret-librabbitmq-{uuid.uuid4().hex[:12]}"


def command(name, *arguments, url=URL):
    """How a program is called."""
    return [f"amqp-{name}", "--url", url, *arguments]


def run(name, *arguments, text="", url=URL):
    """Runs a program to its end."""
    return subprocess.run(command(name, *arguments, url=url), input=text.encode(), capture_output=True, timeout=LIMIT_S)


def ok(name, *arguments, text=""):
    """The output of a program that must succeed."""
    ended = run(name, *arguments, text=text)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.decode()


def get(queue):
    """The next message, or None."""
    ended = run("get", "--queue", queue)
    return ended.stdout.decode() if ended.returncode == 0 else None


def get_soon(queue):
    """The next message, waited for."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        body = get(queue)
        if body is not None:
            return body
        assert time.monotonic() < deadline, "nothing came"
