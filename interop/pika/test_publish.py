"""Publishing: bodies of every size, properties of every kind, returns, CC and BCC, and confirms."""

import datetime
import decimal

import pika
import pytest

from support import (
    channel_error,
    ready_count,
    take,
    take_all,
    wait_for,
    wait_ready,
)

FRAME_MAX = 131072
PAYLOAD = FRAME_MAX - 8


def pattern(size):
    """Bytes that repeat only after 251, so that a lost or swapped frame shows."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.parametrize(
    "size",
    [0, 1, 255, 4096, PAYLOAD - 1, PAYLOAD, PAYLOAD + 1]
    + [FRAME_MAX - 1, FRAME_MAX, FRAME_MAX + 1, 2 * PAYLOAD, 2 * PAYLOAD + 1, 1 << 20],
)
def test_body_size(channel, queue, size):
    body = pattern(size)
    channel.basic_publish("", queue, body)
    assert take(channel, queue)[2] == body


def test_body_of_20_mib(channel, queue):
    body = pattern(20 << 20)
    channel.confirm_delivery()
    channel.basic_publish("", queue, body)
    assert take(channel, queue)[2] == body


def test_body_with_every_byte(channel, queue):
    body = bytes(range(256)) + b"\xce" * 100 + b"AMQP\x00\x00\x09\x01"
    channel.basic_publish("", queue, body)
    assert take(channel, queue)[2] == body


def test_bodies_of_mixed_sizes_stay_in_order(channel, queue):
    sizes = [0, 300_000, 1, 0, PAYLOAD, 7, 500_000, 2]
    for size in sizes:
        channel.basic_publish("", queue, pattern(size))
    assert [len(body) for body in take_all(channel, queue, len(sizes))] == sizes


ALL_PROPERTIES = {
    "content_type": "text/plain; charset=utf-8",
    "content_encoding": "identity",
    "headers": {"key": "value"},
    "delivery_mode": 2,
    "priority": 9,
    "correlation_id": "correlation-42",
    "reply_to": "some.reply.queue",
    "message_id": "message-42",
    "timestamp": 1_700_000_000,
    "type": "event",
    "user_id": "guest",
    "app_id": "leveret-pika",
    "cluster_id": "cluster",
}


def test_all_properties_at_once_come_back(channel, queue):
    channel.basic_publish("", queue, b"", pika.BasicProperties(**ALL_PROPERTIES))
    _, properties, _ = take(channel, queue)
    for name, value in ALL_PROPERTIES.items():
        assert getattr(properties, name) == value, name


@pytest.mark.parametrize("name", ALL_PROPERTIES)
def test_one_property_alone_comes_back_alone(channel, queue, name):
    sent = pika.BasicProperties(**{name: ALL_PROPERTIES[name]})
    channel.basic_publish("", queue, b"body", sent)
    _, properties, body = take(channel, queue)
    assert body == b"body"
    assert properties == sent


def test_no_property_stays_no_property(channel, queue):
    channel.basic_publish("", queue, b"body")
    assert take(channel, queue)[1] == pika.BasicProperties()


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        0,
        -1,
        2**31 - 1,
        -(2**31),
        2**63 - 1,
        -(2**63),
        "",
        "text",
        "håse 兔子 🐇",
        "x" * 70_000,
        b"",
        b"\x00\xff\xce",
        None,
        decimal.Decimal("3.14"),
        decimal.Decimal(-2),
        datetime.datetime(2026, 11, 21, 12, 30, 15, tzinfo=datetime.timezone.utc),
        {},
        {"a": 1, "b": {"c": [1, 2, 3]}},
        [],
        [1, "two", None, True, {"three": 3}, [4, [5]]],
    ],
    ids=lambda value: f"{type(value).__name__}-{str(value)[:12]}",
)
def test_header_value_comes_back(channel, queue, value):
    sent = pika.BasicProperties(headers={"value": value})
    channel.basic_publish("", queue, b"", sent)
    headers = take(channel, queue)[1].headers
    assert headers == {"value": value}
    assert isinstance(headers["value"], type(value))


def test_empty_headers_come_back(channel, queue):
    channel.basic_publish("", queue, b"", pika.BasicProperties(headers={}))
    assert take(channel, queue)[1].headers == {}


def test_a_thousand_headers_come_back(channel, queue):
    headers = {f"key-{n:04}": n for n in range(1000)}
    channel.basic_publish("", queue, b"", pika.BasicProperties(headers=headers))
    assert take(channel, queue)[1].headers == headers


@pytest.mark.parametrize("priority", [0, 1, 128, 255])
def test_priority_is_any_octet(channel, queue, priority):
    channel.basic_publish("", queue, b"", pika.BasicProperties(priority=priority))
    assert take(channel, queue)[1].priority == priority


def test_strings_of_255_bytes_come_back(channel, queue):
    text = "é" * 127 + "x"
    sent = pika.BasicProperties(correlation_id=text, type=text, message_id=text)
    channel.basic_publish("", queue, b"", sent)
    assert take(channel, queue)[1] == sent


def test_wrong_user_id_is_refused(channel, queue):
    channel.basic_publish("", queue, b"", pika.BasicProperties(user_id="somebody"))
    with channel_error(
        406,
        "PRECONDITION_FAILED - user_id property set to 'somebody' "
        "but authenticated user was 'guest'",
    ):
        channel.queue_declare(queue, passive=True)


def test_delivery_names_exchange_and_key(channel, bound):
    queue = bound("amq.direct", "leveret.key")
    channel.basic_publish("amq.direct", "leveret.key", b"")
    channel.basic_publish("", queue, b"")
    methods = [take(channel, queue)[0] for _ in range(2)]
    assert [(m.exchange, m.routing_key) for m in methods] == [
        ("amq.direct", "leveret.key"),
        ("", queue),
    ]


def test_one_message_reaches_many_queues_unchanged(broker, channel, bound):
    name = broker.exchange_name()
    channel.exchange_declare(name, "fanout")
    queues = [bound(name) for _ in range(20)]
    body = pattern(200_000)
    properties = pika.BasicProperties(headers={"n": 1}, message_id="m")
    channel.basic_publish(name, "key", body, properties)
    for queue in queues:
        _, received, copy = take(channel, queue)
        assert (received, copy) == (properties, body)


def returned_of(channel):
    """A list that fills with what the broker returns on `channel`."""
    returned = []
    channel.add_on_return_callback(
        lambda _channel, method, properties, body: returned.append(
            (method, properties, body)
        )
    )
    return returned


def test_mandatory_message_without_a_queue_is_returned(connection, channel):
    returned = returned_of(channel)
    properties = pika.BasicProperties(headers={"a": [1]}, message_id="m")
    body = pattern(300_000)
    channel.basic_publish("amq.direct", "absent", body, properties, mandatory=True)
    wait_for(connection, lambda: returned, "a return")
    method, received, copy = returned[0]
    assert (method.reply_code, method.reply_text) == (312, "NO_ROUTE")
    assert (method.exchange, method.routing_key) == ("amq.direct", "absent")
    assert (received, copy) == (properties, body)


def test_mandatory_message_with_a_queue_is_not_returned(channel, queue):
    returned = returned_of(channel)
    channel.basic_publish("", queue, b"wanted", mandatory=True)
    assert take(channel, queue)[2] == b"wanted"
    assert returned == []


def test_returns_come_in_order(connection, channel, queue):
    returned = returned_of(channel)
    for n in range(100):
        key = queue if n % 3 == 0 else "absent"
        channel.basic_publish("", key, str(n), mandatory=True)
    wait_for(connection, lambda: len(returned) == 66, "66 returns")
    assert [int(body) for _, _, body in returned] == [n for n in range(100) if n % 3]
    wait_ready(channel, queue, 34)


def test_confirmed_mandatory_message_raises_unroutable(channel):
    channel.confirm_delivery()
    with pytest.raises(pika.exceptions.UnroutableError) as caught:
        channel.basic_publish("", "absent", b"body", mandatory=True)
    assert [message.body for message in caught.value.messages] == [b"body"]
    assert channel.is_open


def test_confirmed_message_without_a_queue_is_acked(channel):
    channel.confirm_delivery()
    channel.basic_publish("", "absent", b"dropped")
    assert channel.is_open


@pytest.mark.parametrize("mode", [1, 2])
@pytest.mark.parametrize("durable", [False, True])
def test_confirmed_message_is_in_the_queue(broker, channel, durable, mode):
    name = broker.queue_name()
    channel.queue_declare(name, durable=durable)
    channel.confirm_delivery()
    for n in range(20):
        channel.basic_publish(
            "", name, str(n), pika.BasicProperties(delivery_mode=mode)
        )
        assert ready_count(channel, name) == n + 1


def test_confirm_mode_on_a_tx_channel_is_refused(channel):
    channel.tx_select()
    with channel_error(
        406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode"
    ):
        channel.confirm_delivery()


def test_cc_and_bcc_reach_more_queues(channel):
    names = [channel.queue_declare("", exclusive=True).method.queue for _ in range(4)]
    headers = {"CC": [names[1], names[2]], "BCC": [names[3]], "kept": "yes"}
    channel.basic_publish("", names[0], b"copy", pika.BasicProperties(headers=headers))
    for name in names:
        method, properties, body = take(channel, name)
        assert (method.routing_key, body) == (names[0], b"copy")
        assert properties.headers == {"CC": [names[1], names[2]], "kept": "yes"}


def test_cc_to_the_same_queue_delivers_once(channel, queue):
    headers = {"CC": [queue, queue]}
    channel.basic_publish("", queue, b"once", pika.BasicProperties(headers=headers))
    assert take_all(channel, queue, 1) == [b"once"]


@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_cc_of_a_wrong_type_is_refused(channel, queue, header):
    headers = {header: "not a list"}
    channel.basic_publish("", queue, b"", pika.BasicProperties(headers=headers))
    with channel_error(406, "PRECONDITION_FAILED", header):
        channel.queue_declare(queue, passive=True)


def test_ten_thousand_messages_in_order(channel, queue):
    for n in range(10_000):
        channel.basic_publish("", queue, str(n))
    wait_ready(channel, queue, 10_000)
    expected = 0
    for method, _, body in channel.consume(queue, auto_ack=True):
        assert int(body) == expected
        expected += 1
        if expected == 10_000:
            break
    assert channel.cancel() == 0
    assert ready_count(channel, queue) == 0
