"""The callback adapters, SelectConnection and AsyncioConnection: what BlockingConnection cannot show, such as
pipelining, confirms by tag, nowait, and the order of events."""

import pika
import pytest

from scenario import Scenario
from support import unique


@pytest.fixture(params=["select", "asyncio"])
def scenario(request):
    """A scenario on each of the two adapters."""
    return Scenario(request.param)


class Confirms:
    """The publish sequence numbers 1 to `count`, and how the broker settled each."""

    def __init__(self, scenario, count):
        self.scenario = scenario
        self.outstanding = set(range(1, count + 1))
        self.acked = []
        self.nacked = []

    def __call__(self, frame):
        method = frame.method
        if method.multiple:
            # Of those still outstanding: singles may have overtaken.
            tags = sorted(n for n in self.outstanding if n <= method.delivery_tag)
        else:
            tags = [method.delivery_tag]
        assert tags, f"{method} settles nothing"
        self.outstanding.difference_update(tags)
        settled = self.acked if isinstance(method, pika.spec.Basic.Ack) else self.nacked
        settled.extend(tags)
        self.scenario.check()


def exclusive_queue(channel):
    """A step that declares a queue of the connection's own and gives its name."""

    def step(done):
        channel.queue_declare(
            "", exclusive=True, callback=lambda frame: done(frame.method.queue)
        )

    return step


def open_channel(scenario):
    """A step that opens a channel."""
    return lambda done: scenario.connection.channel(on_open_callback=done)


def test_open_and_close(scenario):
    def script(it):
        channel = yield open_channel(it)
        assert channel.is_open
        yield lambda done: (channel.add_on_close_callback(done), channel.close())
        assert channel.is_closed

    scenario.run(script)
    assert isinstance(scenario.closed_with, pika.exceptions.ConnectionClosedByClient)
    assert scenario.closed_with.reply_code == 200


@pytest.mark.parametrize("durable, mode", [(False, 1), (True, 2)])
def test_every_publish_is_confirmed_exactly_once(scenario, durable, mode):
    count, name = 2000, unique()

    def script(it):
        channel = yield open_channel(it)
        yield lambda done: channel.queue_declare(name, durable=durable, callback=done)
        confirms = Confirms(it, count)
        yield lambda done: channel.confirm_delivery(confirms, callback=done)
        properties = pika.BasicProperties(delivery_mode=mode)
        for n in range(count):
            channel.basic_publish("", name, str(n), properties)
        yield it.wait(lambda: not confirms.outstanding)
        assert sorted(confirms.acked) == list(range(1, count + 1))
        assert confirms.nacked == []
        frame = yield lambda done: channel.queue_delete(name, callback=done)
        assert frame.method.message_count == count

    scenario.run(script)


def test_confirms_and_unroutable_messages(scenario):
    def script(it):
        channel = yield open_channel(it)
        queue = yield exclusive_queue(channel)
        confirms = Confirms(it, 300)
        yield lambda done: channel.confirm_delivery(confirms, callback=done)
        for n in range(300):
            channel.basic_publish("", queue if n % 2 else "absent", b"")
        yield it.wait(lambda: not confirms.outstanding)
        assert sorted(confirms.acked) == list(range(1, 301))

    scenario.run(script)


def test_return_comes_before_its_ack(scenario):
    def script(it):
        channel = yield open_channel(it)
        queue = yield exclusive_queue(channel)
        events = []
        confirms = Confirms(it, 100)

        def on_confirm(frame):
            before = len(confirms.acked)
            confirms(frame)
            events.extend(("ack", tag) for tag in confirms.acked[before:])

        channel.add_on_return_callback(
            lambda _channel, _method, _properties, body: events.append(
                ("return", int(body))
            )
        )
        yield lambda done: channel.confirm_delivery(on_confirm, callback=done)
        for n in range(1, 101):
            key = "absent" if n % 2 else queue
            channel.basic_publish("", key, str(n), mandatory=True)
        yield it.wait(lambda: not confirms.outstanding)
        returned = [n for kind, n in events if kind == "return"]
        assert returned == list(range(1, 101, 2))
        for n in returned:
            assert events.index(("return", n)) < events.index(("ack", n))

    scenario.run(script)


def test_confirm_counting_starts_at_select(scenario):
    def script(it):
        channel = yield open_channel(it)
        queue = yield exclusive_queue(channel)
        for _ in range(10):
            channel.basic_publish("", queue, b"before")
        confirms = Confirms(it, 1)
        yield lambda done: channel.confirm_delivery(confirms, callback=done)
        channel.basic_publish("", queue, b"after")
        yield it.wait(lambda: not confirms.outstanding)
        assert confirms.acked == [1]

    scenario.run(script)


def test_pipelined_declarations_are_answered_in_order(scenario):
    def script(it):
        channel = yield open_channel(it)
        names = [unique() for _ in range(50)]
        answers = []

        def answered(frame):
            answers.append(frame.method.queue)
            it.check()

        for name in names:
            channel.queue_declare(name, exclusive=True, callback=answered)
        yield it.wait(lambda: len(answers) == len(names))
        assert answers == names

    scenario.run(script)


def test_nowait_methods_take_effect_in_order(scenario):
    def script(it):
        channel = yield open_channel(it)
        queue, exchange = unique(), unique()
        # No callback means nowait in pika.
        channel.exchange_declare(exchange, "fanout", auto_delete=True)
        channel.queue_declare(queue, exclusive=True)
        channel.queue_bind(queue, exchange)
        channel.basic_publish(exchange, "", b"one")
        channel.queue_purge(queue)
        channel.basic_publish(exchange, "", b"two")
        inbox = []

        def deliver(_channel, _method, _properties, body):
            inbox.append(body)
            it.check()

        channel.basic_consume(queue, deliver, auto_ack=True)
        yield it.wait(lambda: inbox)
        assert inbox == [b"two"]
        channel.queue_delete(queue)
        # The queue was the exchange's only one, so both are gone.
        yield lambda done: (
            channel.add_on_close_callback(lambda _, reason: done(reason)),
            channel.exchange_declare(exchange, passive=True),
        )
        assert channel.is_closed

    scenario.run(script)


def test_nowait_error_closes_the_channel(scenario):
    def script(it):
        channel = yield open_channel(it)
        reason = yield lambda done: (
            channel.add_on_close_callback(lambda _, reason: done(reason)),
            channel.queue_bind("absent", "amq.direct"),
        )
        assert isinstance(reason, pika.exceptions.ChannelClosedByBroker)
        assert reason.reply_code == 404
        assert it.connection.is_open

    scenario.run(script)


def test_channel_error_leaves_the_others_alone(scenario):
    def script(it):
        good = yield open_channel(it)
        bad = yield open_channel(it)
        queue = yield exclusive_queue(good)
        reason = yield lambda done: (
            bad.add_on_close_callback(lambda _, reason: done(reason)),
            bad.basic_publish("no-such-exchange", "", b""),
        )
        assert (reason.reply_code, reason.reply_text) == (
            404,
            "NOT_FOUND - no exchange 'no-such-exchange' in vhost '/'",
        )
        frame = yield lambda done: good.queue_purge(queue, callback=done)
        assert frame.method.message_count == 0

    scenario.run(script)


def test_connection_error_is_reported(scenario):
    def script(it):
        channel = yield open_channel(it)
        channel.basic_qos(prefetch_size=7)
        yield it.wait(lambda: it.closed_with is not None)

    scenario.run(script)
    assert isinstance(scenario.closed_with, pika.exceptions.ConnectionClosedByBroker)
    assert scenario.closed_with.reply_code == 540
    assert (
        scenario.closed_with.reply_text == "NOT_IMPLEMENTED - prefetch_size!=0 (7)"
    )


def test_work_is_acked_one_by_one_under_prefetch(scenario):
    def script(it):
        channel = yield open_channel(it)
        queue = yield exclusive_queue(channel)
        yield lambda done: channel.basic_qos(prefetch_count=1, callback=done)
        taken = []

        def work(_channel, method, _properties, body):
            taken.append(int(body))
            channel.basic_ack(method.delivery_tag)
            it.check()

        yield lambda done: channel.basic_consume(queue, work, callback=done)
        for n in range(500):
            channel.basic_publish("", queue, str(n))
        yield it.wait(lambda: len(taken) == 500)
        assert taken == list(range(500))

    scenario.run(script)


def test_large_and_small_bodies_interleave_over_channels(scenario):
    def script(it):
        received = {}
        channels = []
        for _ in range(5):
            channel = yield open_channel(it)
            queue = yield exclusive_queue(channel)
            channels.append((channel, queue))

            def deliver(_channel, method, _properties, body):
                received.setdefault(method.routing_key, []).append(body)
                it.check()

            yield lambda done: channel.basic_consume(
                queue, deliver, auto_ack=True, callback=done
            )
        sizes = [400_000, 0, 131_064, 5, 131_065]
        for size in sizes:
            for number, (channel, queue) in enumerate(channels):
                channel.basic_publish("", queue, bytes([number]) * size)
        yield it.wait(
            lambda: sum(len(bodies) for bodies in received.values()) == 5 * len(sizes)
        )
        for number, (_, queue) in enumerate(channels):
            assert received[queue] == [bytes([number]) * size for size in sizes]

    scenario.run(script)


def test_recover_ok_comes_before_the_redeliveries(scenario):
    # lapin throws away what it has buffered when recover-ok comes.
    def script(it):
        channel = yield open_channel(it)
        queue = yield exclusive_queue(channel)
        events = []

        def deliver(_channel, _method, _properties, body):
            events.append(body)
            it.check()

        yield lambda done: channel.basic_consume(queue, deliver, callback=done)
        channel.basic_publish("", queue, b"1")
        channel.basic_publish("", queue, b"2")
        yield it.wait(lambda: len(events) == 2)

        def recovered(_frame):
            events.append("ok")
            it.check()

        channel.basic_recover(requeue=True, callback=recovered)
        yield it.wait(lambda: len(events) == 5)
        assert events == [b"1", b"2", "ok", b"1", b"2"]

    scenario.run(script)


def test_broker_cancels_a_consumer_of_a_deleted_queue(scenario):
    def script(it):
        channel = yield open_channel(it)
        queue = yield exclusive_queue(channel)
        yield lambda done: channel.basic_consume(
            queue, lambda *_: None, consumer_tag="mine", callback=done
        )
        second = yield open_channel(it)
        cancelled = []

        def on_cancel(frame):
            cancelled.append(frame.method.consumer_tag)
            it.check()

        channel.add_on_cancel_callback(on_cancel)
        yield lambda done: second.queue_delete(queue, callback=done)
        yield it.wait(lambda: cancelled)
        assert cancelled == ["mine"]

    scenario.run(script)


def test_get_answers_one_by_one(scenario):
    def script(it):
        channel = yield open_channel(it)
        queue = yield exclusive_queue(channel)
        for n in range(3):
            channel.basic_publish("", queue, str(n))
        for n in range(3):
            _, method, _, body = yield lambda done: channel.basic_get(
                queue, done, auto_ack=True
            )
            assert (body, method.message_count) == (str(n).encode(), 2 - n)
        empty = yield lambda done: (
            channel.add_callback(done, [pika.spec.Basic.GetEmpty]),
            channel.basic_get(queue, lambda *_: None),
        )
        assert isinstance(empty.method, pika.spec.Basic.GetEmpty)

    scenario.run(script)


def test_channel_numbers_turn_over(scenario):
    def script(it):
        for _ in range(100):
            channel = yield open_channel(it)
            assert channel.channel_number == 1
            yield lambda done: (
                channel.add_on_close_callback(done),
                channel.close(),
            )

    scenario.run(script, channel_max=1)


def test_connection_closes_with_work_in_flight(scenario):
    def script(it):
        channel = yield open_channel(it)
        queue = yield exclusive_queue(channel)
        seen = []

        def deliver(_channel, _method, _properties, body):
            seen.append(body)
            it.check()

        yield lambda done: channel.basic_consume(queue, deliver, callback=done)
        for _ in range(2000):
            channel.basic_publish("", queue, b"x" * 1000)
        yield it.wait(lambda: seen)

    scenario.run(script)
    assert scenario.closed_with.reply_code == 200


@pytest.mark.parametrize(
    "changes, error",
    [
        (
            {"credentials": pika.PlainCredentials("guest", "wrong")},
            pika.exceptions.ProbableAuthenticationError,
        ),
        ({"virtual_host": "absent"}, pika.exceptions.ProbableAccessDeniedError),
    ],
    ids=["password", "vhost"],
)
def test_refused_connections_say_why(scenario, changes, error):
    with pytest.raises(pika.exceptions.AMQPConnectionError) as caught:
        scenario.run(lambda _: iter(()), **changes)
    assert error.__name__ in repr(caught.value)
