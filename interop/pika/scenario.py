"""Runs one scripted generator on pika's callback adapters.

A script yields functions that take a `done` callback; it goes on with what `done` was given. So the same
script runs on SelectConnection and on AsyncioConnection, and reads from top to bottom."""

import asyncio

import pika
from pika.adapters.asyncio_connection import AsyncioConnection

from support import PATIENCE, parameters


class Scenario:
    """One connection of a callback adapter, and the script that drives it."""

    def __init__(self, adapter):
        self.adapter = adapter
        self.connection = None
        self.closed_with = None
        self._script = None
        self._error = None
        self._waiting = None
        self._own_loop = None
        if adapter == "asyncio":
            self._own_loop = asyncio.new_event_loop()
            # A failed assertion in a callback must end the test, as it does on pika's own loop.
            self._own_loop.set_exception_handler(
                lambda _, context: self._fail(
                    context.get("exception") or AssertionError(context["message"])
                )
            )

    def run(self, script, **changes):
        """Connect, run `script(scenario)` to its end, close, and raise what the script raised."""
        self._script = script(self)
        kind = AsyncioConnection if self.adapter == "asyncio" else pika.SelectConnection
        self.connection = kind(
            parameters(**changes),
            on_open_callback=lambda _: self._step(None),
            on_open_error_callback=lambda _, error: self._fail(error),
            on_close_callback=self._on_close,
            custom_ioloop=self._own_loop,
        )
        loop = self.connection.ioloop
        loop.call_later(PATIENCE, self._too_late)
        try:
            if self.adapter == "asyncio":
                loop.run_forever()
            else:
                loop.start()
        finally:
            loop.close()
        if self._error is not None:
            raise self._error

    def wait(self, condition):
        """A step that ends when `condition()` holds; `check()` is to be called when something changed."""

        def step(done):
            self._waiting = (condition, done)
            self.check()

        return step

    def check(self):
        """Something changed: let the script go on if its condition holds now."""
        if self._waiting is not None and self._waiting[0]():
            done, self._waiting = self._waiting[1], None
            done(None)

    def _step(self, value):
        try:
            step = self._script.send(value)
        except StopIteration:
            self._stop_after_close()
            return
        except BaseException as error:  # the test's own failure is raised by run()
            self._fail(error)
            return
        self._start(step)

    def _start(self, step):
        def done(result=None, *more):
            # Back through the loop, so that a script never runs inside a callback of pika's.
            value = (result, *more) if more else result
            self.connection.ioloop.call_later(0, lambda: self._step(value))

        try:
            step(done)
        except BaseException as error:
            self._fail(error)

    def _on_close(self, _connection, reason):
        self.closed_with = reason
        self.check()
        if self._script is None:
            self._stop()

    def _stop_after_close(self):
        self._script = None
        if self.connection.is_open:
            self.connection.close()
        else:
            self._stop()

    def _fail(self, error):
        self._error = self._error or error
        self._script = None
        if self.connection.is_open:
            self.connection.close()
        else:
            self._stop()

    def _too_late(self):
        self._error = AssertionError(f"the script did not end within {PATIENCE} s")
        self._stop()

    def _stop(self):
        self.connection.ioloop.stop()
