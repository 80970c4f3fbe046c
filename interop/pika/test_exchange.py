"""Exchanges: declaring, the four types, bindings between exchanges, alternates, and their end."""

import pika
import pytest

from support import channel_error, inequivalent, send, take, take_all, wait_for

TYPES = ["direct", "fanout", "topic", "headers"]
PREDECLARED = {
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.topic": "topic",
    "amq.headers": "headers",
    "amq.match": "headers",
}


def gone(connection, exchange):
    """Whether `exchange` is missing, asked on a channel of its own."""
    channel = connection.channel()
    try:
        channel.exchange_declare(exchange, passive=True)
    except pika.exceptions.ChannelClosedByBroker as error:
        assert error.reply_code == 404
        return True
    channel.close()
    return False


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_declare_again_is_equivalent(broker, channel, kind, durable):
    name = broker.exchange_name()
    for _ in range(2):
        channel.exchange_declare(name, kind, durable=durable)
    channel.exchange_declare(name, passive=True)


def test_passive_declare_of_a_missing_exchange(channel):
    with channel_error(404, "NOT_FOUND - no exchange 'absent' in vhost '/'"):
        channel.exchange_declare("absent", passive=True)


@pytest.mark.parametrize("name", PREDECLARED)
def test_predeclared_exchange_exists(channel, name):
    channel.exchange_declare(name, passive=True)
    channel.exchange_declare(name, PREDECLARED[name], durable=True)


@pytest.mark.parametrize(
    "changed, argument, received, current",
    [
        ({"exchange_type": "fanout"}, "type", "'fanout'", "'direct'"),
        ({"durable": True}, "durable", "'true'", "'false'"),
        ({"auto_delete": True}, "auto_delete", "'true'", "'false'"),
        ({"internal": True}, "internal", "'true'", "'false'"),
    ],
)
def test_inequivalent_redeclaration(
    broker, channel, changed, argument, received, current
):
    name = broker.exchange_name()
    channel.exchange_declare(name, "direct")
    with channel_error(
        406, inequivalent(argument, "exchange", name, received, current)
    ):
        channel.exchange_declare(name, **{"exchange_type": "direct", **changed})


def test_unknown_exchange_type(broker, channel):
    with channel_error(406, "PRECONDITION_FAILED - unknown exchange type 'no-such-type'"):
        channel.exchange_declare(broker.exchange_name(), "no-such-type")


def test_reserved_prefix_is_refused(channel):
    with channel_error(
        403,
        "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
    ):
        channel.exchange_declare("amq.mine", "direct")


def test_deleting_a_predeclared_exchange_is_refused(channel):
    with channel_error(
        403,
        "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    ):
        channel.exchange_delete("amq.direct")


@pytest.mark.parametrize("operation", ["declare", "delete", "bind", "unbind", "passive"])
def test_default_exchange_is_left_alone(channel, queue, operation):
    with channel_error(
        403, "ACCESS_REFUSED - operation not permitted on the default exchange"
    ):
        if operation == "declare":
            channel.exchange_declare("", "direct")
        elif operation == "passive":
            channel.exchange_declare("", passive=True)
        elif operation == "delete":
            channel.exchange_delete("")
        elif operation == "bind":
            channel.queue_bind(queue, "", "key")
        else:
            channel.queue_unbind(queue, "", queue)


def test_deleting_a_missing_exchange_is_fine(channel):
    channel.exchange_delete("absent")
    assert channel.is_open


def test_delete_if_unused(broker, connection, channel, bound):
    name = broker.exchange_name()
    channel.exchange_declare(name, "direct")
    queue = bound(name, "key")
    refused = connection.channel()
    with channel_error(
        406, f"PRECONDITION_FAILED - exchange '{name}' in vhost '/' in use"
    ):
        refused.exchange_delete(name, if_unused=True)
    channel.queue_unbind(queue, name, "key")
    channel.exchange_delete(name, if_unused=True)
    assert gone(connection, name)


def test_publishing_to_a_missing_exchange_closes_the_channel(channel):
    channel.basic_publish("absent", "", b"")
    with channel_error(404, "NOT_FOUND - no exchange 'absent' in vhost '/'"):
        channel.queue_declare("", exclusive=True)


def test_publishing_to_an_internal_exchange_is_refused(broker, channel):
    name = broker.exchange_name()
    channel.exchange_declare(name, "fanout", internal=True)
    channel.basic_publish(name, "", b"")
    with channel_error(
        403,
        f"ACCESS_REFUSED - cannot publish to internal exchange '{name}' in vhost '/'",
    ):
        channel.queue_declare("", exclusive=True)


def test_internal_exchange_takes_messages_from_exchanges(broker, channel, bound):
    outer, inner = broker.exchange_name(), broker.exchange_name()
    channel.exchange_declare(outer, "fanout")
    channel.exchange_declare(inner, "fanout", internal=True)
    channel.exchange_bind(inner, outer)
    queue = bound(inner)
    channel.basic_publish(outer, "", b"through")
    assert take(channel, queue)[2] == b"through"


@pytest.mark.parametrize("missing", ["queue", "exchange"])
def test_bind_to_something_missing(broker, channel, queue, missing):
    if missing == "queue":
        with channel_error(404, "NOT_FOUND - no queue 'absent' in vhost '/'"):
            channel.queue_bind("absent", "amq.direct", "key")
    else:
        with channel_error(404, "NOT_FOUND - no exchange 'absent' in vhost '/'"):
            channel.queue_bind(queue, "absent", "key")


def test_unbinding_what_is_not_bound_is_fine(channel, queue):
    channel.queue_unbind(queue, "amq.direct", "never bound")
    assert channel.is_open


def test_direct_routes_by_the_whole_key(broker, channel, bound):
    name = broker.exchange_name()
    channel.exchange_declare(name, "direct")
    red, both = bound(name, "red"), bound(name, "red", "blue")
    for key in ("red", "blue", "Red", "red.", ""):
        channel.basic_publish(name, key, key)
    assert take_all(channel, red, 1) == [b"red"]
    assert take_all(channel, both, 2) == [b"red", b"blue"]


def test_fanout_ignores_the_key(broker, channel, bound):
    name = broker.exchange_name()
    channel.exchange_declare(name, "fanout")
    queues = [bound(name, key) for key in ("", "one", "two")]
    for key in ("", "one", "anything"):
        channel.basic_publish(name, key, key)
    for queue in queues:
        assert take_all(channel, queue, 3) == [b"", b"one", b"anything"]


@pytest.mark.parametrize(
    "pattern, matching, others",
    [
        ("a.b", ["a.b"], ["a", "a.b.c", "b.a", "a.B"]),
        ("*", ["a", "b"], ["a.b", ""]),
        ("#", ["", "a", "a.b", "a.b.c"], []),
        ("a.*", ["a.b", "a."], ["a", "a.b.c"]),
        ("*.b", ["a.b", ".b"], ["b", "a.a.b"]),
        ("a.#", ["a", "a.b", "a.b.c"], ["b.a", "ab"]),
        ("#.z", ["z", "a.z", "a.b.z"], ["z.a", "az"]),
        ("a.#.z", ["a.z", "a.b.z", "a.b.c.z"], ["a", "z", "a.z.b"]),
        ("*.#.*", ["a.b", "a.b.c"], ["a"]),
        ("#.b.#", ["b", "a.b", "b.c", "a.b.c"], ["a.c", ""]),
        ("*.*", ["a.b"], ["a", "a.b.c"]),
        ("", [""], ["a"]),
        ("#.#", ["", "a", "a.b"], []),
        ("stock.*.nyse", ["stock.ibm.nyse"], ["stock.nyse", "stock.a.b.nyse"]),
        ("a*", ["a*"], ["ab", "a"]),
    ],
)
def test_topic_pattern(broker, channel, bound, pattern, matching, others):
    name = broker.exchange_name()
    channel.exchange_declare(name, "topic")
    queue, everything = bound(name, pattern), bound(name, "#")
    for key in matching + others:
        channel.basic_publish(name, key, b"key " + key.encode())
    total = len(matching) + len(others)
    take_all(channel, everything, total)
    expected = [b"key " + key.encode() for key in matching]
    assert take_all(channel, queue, len(expected)) == expected


def test_topic_several_matching_bindings_deliver_once(broker, channel, bound):
    name = broker.exchange_name()
    channel.exchange_declare(name, "topic")
    queue = bound(name, "#", "a.*", "*.b", "a.b")
    channel.basic_publish(name, "a.b", b"once")
    assert take_all(channel, queue, 1) == [b"once"]


def test_topic_binding_can_be_taken_away(broker, channel, bound):
    name = broker.exchange_name()
    channel.exchange_declare(name, "topic")
    queue = bound(name, "a.#", "#.b")
    channel.queue_unbind(queue, name, "a.#")
    for key in ("a.c", "a.b", "c.b"):
        channel.basic_publish(name, key, key)
    assert take_all(channel, queue, 2) == [b"a.b", b"c.b"]


@pytest.mark.parametrize(
    "arguments, headers, matches",
    [
        ({"x-match": "all", "a": "1", "b": 2}, {"a": "1", "b": 2}, True),
        ({"x-match": "all", "a": "1", "b": 2}, {"a": "1", "b": 2, "c": 3}, True),
        ({"x-match": "all", "a": "1", "b": 2}, {"a": "1"}, False),
        ({"x-match": "all", "a": "1", "b": 2}, {"a": "1", "b": 3}, False),
        ({"a": "1", "b": 2}, {"a": "1"}, False),
        ({"x-match": "any", "a": "1", "b": 2}, {"a": "1"}, True),
        ({"x-match": "any", "a": "1", "b": 2}, {"b": 2, "c": 3}, True),
        ({"x-match": "any", "a": "1", "b": 2}, {"a": "2", "b": 3}, False),
        ({"x-match": "any", "a": "1"}, None, False),
        ({"x-match": "all"}, None, True),
        ({}, {"a": "1"}, True),
        ({"x-match": "all", "a": None}, {"a": "whatever"}, True),
        ({"x-match": "all", "x-a": "1", "b": 2}, {"b": 2}, True),
        ({"x-match": "all-with-x", "x-a": "1", "b": 2}, {"b": 2}, False),
        ({"x-match": "all-with-x", "x-a": "1", "b": 2}, {"x-a": "1", "b": 2}, True),
        ({"x-match": "any", "x-a": "1", "b": 2}, {"x-a": "1"}, False),
        ({"x-match": "any-with-x", "x-a": "1", "b": 2}, {"x-a": "1"}, True),
        ({"x-match": "all", "a": True}, {"a": True}, True),
        ({"x-match": "all", "a": True}, {"a": False}, False),
    ],
)
def test_headers_match(broker, channel, bound, arguments, headers, matches):
    name = broker.exchange_name()
    channel.exchange_declare(name, "headers")
    queue = bound(name, arguments=arguments)
    witness = channel.queue_declare("", exclusive=True).method.queue
    channel.confirm_delivery()
    properties = pika.BasicProperties(headers=headers)
    channel.basic_publish(name, "any key", b"body", properties)
    send(channel, witness, b"after")
    assert take_all(channel, queue, int(matches)) == [b"body"] * int(matches)


def test_headers_invalid_x_match_is_refused(channel, queue):
    with channel_error(406, "PRECONDITION_FAILED", "Invalid x-match field value"):
        channel.queue_bind(queue, "amq.headers", "", {"x-match": "some"})


def test_same_binding_twice_counts_once(broker, channel, bound):
    name = broker.exchange_name()
    channel.exchange_declare(name, "direct")
    queue = bound(name, "key", "key")
    channel.basic_publish(name, "key", b"once")
    assert take_all(channel, queue, 1) == [b"once"]
    channel.queue_unbind(queue, name, "key")
    channel.confirm_delivery()
    channel.basic_publish(name, "key", b"never")
    assert take_all(channel, queue, 0) == []


def test_bindings_that_differ_in_arguments_are_two(broker, channel, bound):
    name = broker.exchange_name()
    channel.exchange_declare(name, "direct")
    queue = bound(name, "key", arguments={"n": 1})
    channel.queue_bind(queue, name, "key", {"n": 2})
    channel.queue_unbind(queue, name, "key", {"n": 1})
    channel.basic_publish(name, "key", b"still bound")
    assert take_all(channel, queue, 1) == [b"still bound"]


def test_predeclared_exchange_routes(channel, bound):
    queue = bound("amq.topic", "leveret.pika.#")
    channel.basic_publish("amq.topic", "leveret.pika.here", b"body")
    method, _, body = take(channel, queue)
    assert (method.exchange, method.routing_key) == ("amq.topic", "leveret.pika.here")
    assert body == b"body"


def test_exchange_to_exchange_chain(broker, channel, bound):
    first, second, third = (broker.exchange_name() for _ in range(3))
    channel.exchange_declare(first, "topic")
    channel.exchange_declare(second, "direct")
    channel.exchange_declare(third, "fanout")
    channel.exchange_bind(second, first, "a.*")
    channel.exchange_bind(third, second, "a.b")
    queue = bound(third)
    for key in ("a.b", "a.c", "b.b"):
        channel.basic_publish(first, key, key)
    assert take_all(channel, queue, 1) == [b"a.b"]


def test_exchange_cycle_ends_and_delivers_once(broker, channel, bound):
    names = [broker.exchange_name() for _ in range(3)]
    for name in names:
        channel.exchange_declare(name, "fanout")
    for source, destination in zip(names, names[1:] + names[:1]):
        channel.exchange_bind(destination, source)
    channel.exchange_bind(names[0], names[0])
    queues = [bound(name) for name in names]
    channel.basic_publish(names[1], "", b"round")
    for queue in queues:
        assert take_all(channel, queue, 1) == [b"round"]


def test_exchange_unbind(broker, channel, bound):
    source, destination = broker.exchange_name(), broker.exchange_name()
    channel.exchange_declare(source, "direct")
    channel.exchange_declare(destination, "fanout")
    channel.exchange_bind(destination, source, "a")
    channel.exchange_bind(destination, source, "b")
    channel.exchange_unbind(destination, source, "a")
    queue = bound(destination)
    channel.basic_publish(source, "a", b"a")
    channel.basic_publish(source, "b", b"b")
    assert take_all(channel, queue, 1) == [b"b"]


def test_exchange_bind_to_a_missing_exchange(broker, channel):
    with channel_error(404, "NOT_FOUND - no exchange 'absent' in vhost '/'"):
        channel.exchange_bind("absent", "amq.direct", "key")


def test_deleting_an_exchange_removes_its_bindings(broker, channel, bound):
    name = broker.exchange_name()
    channel.exchange_declare(name, "fanout")
    queue = bound(name)
    channel.exchange_delete(name)
    channel.exchange_declare(name, "fanout")
    channel.confirm_delivery()
    channel.basic_publish(name, "", b"nowhere")
    assert take_all(channel, queue, 0) == []


def test_alternate_exchange_takes_what_nothing_matches(broker, channel, bound):
    main, spare = broker.exchange_name(), broker.exchange_name()
    channel.exchange_declare(spare, "fanout")
    channel.exchange_declare(main, "direct", arguments={"alternate-exchange": spare})
    wanted, rest = bound(main, "key"), bound(spare)
    channel.basic_publish(main, "key", b"wanted")
    channel.basic_publish(main, "other", b"rest")
    assert take_all(channel, wanted, 1) == [b"wanted"]
    method, _, body = take(channel, rest)
    assert body == b"rest"
    assert (method.exchange, method.routing_key) == (main, "other")


def test_alternate_exchange_counts_as_routed(broker, channel, bound):
    main, spare = broker.exchange_name(), broker.exchange_name()
    channel.exchange_declare(spare, "fanout")
    channel.exchange_declare(main, "direct", arguments={"alternate-exchange": spare})
    rest = bound(spare)
    channel.confirm_delivery()
    channel.basic_publish(main, "other", b"rest", mandatory=True)
    assert take_all(channel, rest, 1) == [b"rest"]


def test_missing_alternate_exchange_is_no_error(broker, channel):
    name = broker.exchange_name()
    channel.exchange_declare(name, "direct", arguments={"alternate-exchange": "absent"})
    channel.confirm_delivery()
    channel.basic_publish(name, "key", b"dropped")
    assert channel.is_open


def test_alternate_exchange_is_part_of_equivalence(broker, channel):
    name = broker.exchange_name()
    channel.exchange_declare(name, "direct", arguments={"alternate-exchange": "one"})
    with channel_error(
        406,
        inequivalent("alternate-exchange", "exchange", name, "'two'", "'one'"),
    ):
        channel.exchange_declare(
            name, "direct", arguments={"alternate-exchange": "two"}
        )


def test_auto_delete_exchange_goes_with_its_last_binding(
    broker, connection, channel, bound
):
    name = broker.exchange_name()
    channel.exchange_declare(name, "direct", auto_delete=True)
    assert not gone(connection, name)
    queue = bound(name, "one", "two")
    channel.queue_unbind(queue, name, "one")
    assert not gone(connection, name)
    channel.queue_unbind(queue, name, "two")
    assert gone(connection, name)


def test_auto_delete_exchange_goes_with_its_last_queue(
    broker, connection, channel, bound
):
    name = broker.exchange_name()
    channel.exchange_declare(name, "fanout", auto_delete=True)
    queue = bound(name)
    channel.queue_delete(queue)
    wait_for(connection, lambda: gone(connection, name), "the exchange's end")


def test_auto_delete_source_goes_with_its_destination(broker, connection, channel):
    source, destination = broker.exchange_name(), broker.exchange_name()
    channel.exchange_declare(source, "fanout", auto_delete=True)
    channel.exchange_declare(destination, "fanout")
    channel.exchange_bind(destination, source)
    channel.exchange_delete(destination)
    assert gone(connection, source)


@pytest.mark.parametrize("name", ["", "håse-兔-🐇-"], ids=["long", "unicode"])
def test_names_of_full_length(broker, channel, bound, name):
    full = broker.exchange_name(name)
    channel.exchange_declare(full, "direct")
    key = "k" * 255
    queue = bound(full, key)
    channel.basic_publish(full, key, b"body")
    method, _, _ = take(channel, queue)
    assert (method.exchange, method.routing_key) == (full, key)
