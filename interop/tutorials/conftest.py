"""Runs the programs and reads what they print; removes what they declared."""

import queue
import subprocess
import sys
import threading
from pathlib import Path

import pika
import pytest

PROGRAMS = Path(__file__).parent / "programs"
PATIENCE = 20


class Program:
    """One running program."""

    def __init__(self, name, *arguments):
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, PROGRAMS / f"{name}.py", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line(self):
        """The next line it prints."""
        line = self._lines.get(timeout=PATIENCE)
        assert line is not None, f"{self.name} ended without a further line"
        return line

    def lines(self, count):
        """The next `count` lines."""
        return [self.line() for _ in range(count)]

    def nothing_more(self):
        """Stop it, and check that it printed nothing beyond what was read."""
        self.stop()
        rest = list(iter(lambda: self._lines.get(timeout=PATIENCE), None))
        assert rest == [], f"{self.name} also printed {rest}"

    def tell(self, line):
        """Write a line to its standard input."""
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def finish(self):
        """Wait for its own end, and return the lines it printed."""
        assert self._process.wait(timeout=PATIENCE) == 0, f"{self.name} failed"
        return list(iter(lambda: self._lines.get(timeout=PATIENCE), None))

    def stop(self):
        """End it now."""
        self._process.kill()
        self._process.wait(timeout=PATIENCE)


@pytest.fixture
def start():
    """Start a program: `start(name, *arguments)`; all are stopped when the test ends."""
    running = []

    def run(name, *arguments):
        program = Program(name, *arguments)
        running.append(program)
        return program

    yield run
    for program in running:
        program.stop()


@pytest.fixture(autouse=True)
def clean():
    """The tutorials' fixed names are removed before and after each test."""
    remove_names()
    yield
    remove_names()


def remove_names():
    with pika.BlockingConnection(pika.ConnectionParameters("localhost")) as connection:
        channel = connection.channel()
        for name in ("hello", "task_queue", "rpc_queue"):
            channel.queue_delete(name)
        for name in ("logs", "direct_logs", "topic_logs"):
            channel.exchange_delete(name)
