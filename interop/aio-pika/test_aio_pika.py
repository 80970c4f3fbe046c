"""An unmodified aio-pika, as its users write it."""

import asyncio
import datetime
import functools

import aio_pika
import pytest
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.exceptions import (
    AMQPError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    DeliveryError,
    ProbableAuthenticationError,
    QueueEmpty,
)
from aio_pika.patterns import RPC, Master
from yarl import URL as Address

from support import URL, asynchronous, exclusive, opened, send, taken, unique


def bodies(messages):
    """Their texts."""
    return [message.body.decode() for message in messages]


@asynchronous
async def test_wrong_password_is_refused():
    with pytest.raises(ProbableAuthenticationError):
        await aio_pika.connect(str(Address(URL).with_password("wrong")))


@asynchronous
async def test_unknown_vhost_is_refused():
    with pytest.raises(AMQPError, match="Connection.Close"):
        await aio_pika.connect(str(Address(URL).with_path("/nowhere")))


@asynchronous
async def test_properties_come_back():
    headers = {
        "text": "häse", "yes": True, "small": 7, "large": 2**40, "half": 0.5, "nothing": None,
        "list": [1, "two"], "table": {"deep": "er"},
    }
    when = datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.timezone.utc)
    sent = dict(
        headers=headers, content_type="text/plain", content_encoding="identity", priority=3, correlation_id="c",
        reply_to="r", message_id="m", timestamp=when, type="kind", user_id="guest", app_id="app",
        delivery_mode=DeliveryMode.PERSISTENT,
    )
    async with opened() as channel:
        queue = await exclusive(channel)
        await send(channel, queue, "body", **sent)
        [message] = await taken(queue, 1)
    assert {name: getattr(message, name) for name in sent} == sent
    assert message.body == b"body"


@pytest.mark.parametrize("size", [0, 1, 131_064, 131_065, 5_000_000])
@asynchronous
async def test_body_arrives_whole(size):
    body = bytes(range(256)) * (size // 256 + 1)
    async with opened() as channel:
        queue = await exclusive(channel)
        await channel.default_exchange.publish(Message(body[:size]), queue.name)
        message = await queue.get(no_ack=True)
    assert message.body == body[:size]


@asynchronous
async def test_confirms_come_for_all():
    async with opened() as channel:
        queue = await exclusive(channel)
        confirms = await asyncio.gather(*(send(channel, queue, str(i)) for i in range(500)))
        assert all(confirms)
        assert (await queue.purge()).message_count == 500


@asynchronous
async def test_unroutable_is_returned():
    async with opened(on_return_raises=True) as channel:
        with pytest.raises(DeliveryError):
            await channel.default_exchange.publish(Message(b"lost"), unique())


@asynchronous
async def test_missing_queue_is_404_and_the_channel_comes_back():
    async with opened() as channel:
        with pytest.raises(ChannelNotFoundEntity):
            await channel.declare_queue(unique(), passive=True)
        await channel.reopen()
        await exclusive(channel)


@asynchronous
async def test_other_arguments_are_406():
    async with opened() as channel:
        queue = await exclusive(channel, message_ttl=60_000)
        with pytest.raises(ChannelPreconditionFailed, match="inequivalent arg 'x-message-ttl'"):
            await channel.declare_queue(queue.name, exclusive=True)


@asynchronous
async def test_get_of_an_empty_queue():
    async with opened() as channel:
        queue = await exclusive(channel)
        assert await queue.get(fail=False) is None
        with pytest.raises(QueueEmpty):
            await queue.get()


@asynchronous
async def test_prefetch_spreads_work():
    async with opened() as channel:
        await channel.set_qos(prefetch_count=1)
        queue = await exclusive(channel)
        seen = {1: [], 2: []}
        done = asyncio.Event()

        async def work(number, message):
            async with message.process():
                seen[number].append(message.body)
                if sum(map(len, seen.values())) == 40:
                    done.set()

        for number in seen:
            await queue.consume(functools.partial(work, number))
        for i in range(40):
            await send(channel, queue, str(i))
        await done.wait()
    assert all(seen.values())


@asynchronous
async def test_requeued_comes_again_marked():
    async with opened() as channel:
        queue = await exclusive(channel)
        await send(channel, queue, "1")
        await send(channel, queue, "2")
        first = await queue.get()
        await first.reject(requeue=True)
        again = await taken(queue, 2)
    assert bodies(again) == ["1", "2"]
    assert [message.redelivered for message in again] == [True, False]


@asynchronous
async def test_rejected_is_dead_lettered():
    async with opened() as channel:
        dead = await exclusive(channel)
        queue = await exclusive(channel, dead_letter_exchange="", dead_letter_routing_key=dead.name)
        await send(channel, queue, "no")
        await (await queue.get()).reject()
        [letter] = await taken(dead, 1)
    [death] = letter.headers["x-death"]
    assert (death["reason"], death["queue"], death["count"]) == ("rejected", queue.name, 1)


@asynchronous
async def test_expired_is_dead_lettered():
    async with opened() as channel:
        dead = await exclusive(channel)
        queue = await exclusive(channel, dead_letter_exchange="", dead_letter_routing_key=dead.name)
        await send(channel, queue, "late", expiration=0.02)
        [letter] = await taken(dead, 1)
    assert letter.headers["x-first-death-reason"] == "expired"
    assert letter.expiration is None


@asynchronous
async def test_priorities():
    async with opened() as channel:
        queue = await exclusive(channel, max_priority=3)
        for priority in (1, 3, 0, 2):
            await send(channel, queue, str(priority), priority=priority)
        assert bodies(await taken(queue, 4)) == ["3", "2", "1", "0"]


@asynchronous
async def test_full_queue_nacks():
    async with opened() as channel:
        queue = await exclusive(channel, max_length=1, overflow="reject-publish")
        await send(channel, queue, "fits")
        with pytest.raises(DeliveryError):
            await send(channel, queue, "too much")


@asynchronous
async def test_exchanges_of_all_kinds_route():
    async with opened() as channel:
        queue = await exclusive(channel)
        topic = await channel.declare_exchange(unique(), ExchangeType.TOPIC, auto_delete=True)
        headers = await channel.declare_exchange(unique(), ExchangeType.HEADERS, auto_delete=True)
        await headers.bind(topic, "orders.#")
        await queue.bind(headers, arguments={"x-match": "all", "kind": "a"})
        await topic.publish(Message(b"no", headers={"kind": "b"}), "orders.new")
        await topic.publish(Message(b"yes", headers={"kind": "a"}), "orders.new")
        assert bodies(await taken(queue, 1)) == ["yes"]
        await headers.unbind(topic, "orders.#")


@asynchronous
async def test_transactions():
    async with opened(publisher_confirms=False) as channel, opened() as other:
        queue = await other.declare_queue(unique(), auto_delete=True)
        async with channel.transaction():
            await send(channel, queue, "committed")
            assert await queue.get(fail=False) is None
        assert (await queue.get(no_ack=True)).body == b"committed"
        await queue.delete()


@asynchronous
async def test_rpc_pattern():
    async def double(*, value):
        return value * 2

    async with opened() as channel:
        rpc = await RPC.create(channel)
        name = unique()
        await rpc.register(name, double, auto_delete=True)
        assert await asyncio.gather(*(rpc.call(name, {"value": i}) for i in range(20))) == [2 * i for i in range(20)]
        await rpc.close()


@asynchronous
async def test_master_pattern():
    done = asyncio.Queue()

    async def work(*, task):
        done.put_nowait(task)

    async with opened() as channel:
        master = Master(channel)
        name = unique()
        worker = await master.create_worker(name, work, auto_delete=True)
        for task in range(10):
            await master.create_task(name, {"task": task})
        assert sorted([await done.get() for _ in range(10)]) == list(range(10))
        await worker.close()


@asynchronous
async def test_robust_connection_restores_its_consumer():
    async with await aio_pika.connect_robust(URL, reconnect_interval=0.05) as connection:
        channel = await connection.channel()
        name = unique()
        queue = await channel.declare_queue(name, auto_delete=False)
        got = asyncio.Queue()
        await queue.consume(got.put, no_ack=True)
        await connection.transport.connection.close(ConnectionError("the test ends it"))
        async with opened() as other:
            await send(other, queue, "after")
        assert (await got.get()).body == b"after"
        await queue.delete(if_unused=False)
