"""Consuming: tags, order, acks and their errors, prefetch, priorities, exclusivity, cancellation, recover, get."""

import pika
import pytest

from support import (
    Inbox,
    channel_error,
    connection_error,
    consumer_count,
    ready_count,
    send,
    take,
    take_all,
    wait_for,
    wait_ready,
)


def numbers(start, end):
    """Bodies `start`..`end`, both included."""
    return [str(n).encode() for n in range(start, end + 1)]


# Consumers and their tags


def test_server_gives_a_consumer_tag(channel, queue):
    # pika makes up tags of its own, so ask the broker past it.
    seen = []
    channel._impl._rpc(
        pika.spec.Basic.Consume(queue=queue, consumer_tag=""),
        lambda frame: seen.append(frame.method.consumer_tag),
        [pika.spec.Basic.ConsumeOk],
    )
    wait_for(channel.connection, lambda: seen, "consume-ok")
    assert seen[0].startswith("amq.ctag-")
    assert len(seen[0]) == len("amq.ctag-") + 22


def test_consumer_tag_is_the_clients(channel, queue):
    inbox = Inbox(channel, queue, consumer_tag="mine")
    assert inbox.tag == "mine"
    send(channel, queue)
    channel.basic_publish("", queue, b"body")
    method, _, _ = inbox.wait(1)[0]
    assert method.consumer_tag == "mine"


def test_consumer_tag_belongs_to_its_channel(connection, queue):
    inboxes = [
        Inbox(connection.channel(), queue, consumer_tag="same") for _ in range(2)
    ]
    assert consumer_count(inboxes[0].channel, queue) == 2
    for n in range(2):
        inboxes[0].channel.basic_publish("", queue, str(n))
    wait_for(
        connection, lambda: sum(len(i.messages) for i in inboxes) == 2, "2 deliveries"
    )


def test_consumer_tag_is_free_again_after_cancel(channel, queue):
    for _ in range(5):
        inbox = Inbox(channel, queue, consumer_tag="again")
        channel.basic_cancel(inbox.tag)
    assert consumer_count(channel, queue) == 0


def test_consuming_from_a_missing_queue(channel):
    with channel_error(404, "NOT_FOUND - no queue 'absent' in vhost '/'"):
        channel.basic_consume("absent", lambda *_: None)


def test_deliveries_are_in_order_with_rising_tags(channel, queue, other):
    inbox = Inbox(other, queue)
    for n in range(1000):
        channel.basic_publish("", queue, str(n))
    messages = inbox.wait(1000)
    assert inbox.bodies == numbers(0, 999)
    assert [m.delivery_tag for m, _, _ in messages] == list(range(1, 1001))
    assert not any(m.redelivered for m, _, _ in messages)


def test_auto_ack_leaves_nothing_behind(connection, channel, queue):
    send(channel, queue, *numbers(1, 5))
    consumer = connection.channel()
    inbox = Inbox(consumer, queue, auto_ack=True)
    inbox.wait(5)
    consumer.close()
    assert take_all(channel, queue, 0) == []


def test_auto_ack_ignores_prefetch(channel, queue):
    send(channel, queue, *numbers(1, 50))
    channel.basic_qos(prefetch_count=1)
    assert len(Inbox(channel, queue, auto_ack=True).wait(50)) == 50


def test_equal_consumers_take_turns(channel, connection, queue):
    inboxes = [Inbox(connection.channel(), queue) for _ in range(3)]
    for n in range(1, 31):
        channel.basic_publish("", queue, str(n))
    wait_for(
        connection, lambda: sum(len(i.messages) for i in inboxes) == 30, "30 deliveries"
    )
    assert [len(inbox.messages) for inbox in inboxes] == [10, 10, 10]
    assert sorted(sum((i.bodies for i in inboxes), [])) == sorted(numbers(1, 30))


def test_two_consumers_on_one_channel(channel, queue):
    first, second = Inbox(channel, queue), Inbox(channel, queue)
    for n in range(10):
        channel.basic_publish("", queue, str(n))
    wait_for(
        channel.connection,
        lambda: len(first.messages) + len(second.messages) == 10,
        "10 deliveries",
    )
    tags = [m.delivery_tag for m, _, _ in first.messages + second.messages]
    assert sorted(tags) == list(range(1, 11))
    assert len(first.messages) == len(second.messages) == 5


def test_higher_priority_is_served_first(channel, connection, queue):
    low = Inbox(connection.channel(), queue, arguments={"x-priority": -5})
    middle = Inbox(connection.channel(), queue)
    eager = connection.channel()
    eager.basic_qos(prefetch_count=2)
    high = Inbox(eager, queue, arguments={"x-priority": 10})
    for n in range(1, 7):
        channel.basic_publish("", queue, str(n))
    wait_for(
        connection,
        lambda: len(high.messages) + len(middle.messages) == 6,
        "6 deliveries",
    )
    assert high.bodies == numbers(1, 2)
    assert middle.bodies == numbers(3, 6)
    assert low.messages == []


def test_invalid_priority_is_refused(channel, queue):
    with channel_error(406, "PRECONDITION_FAILED", "x-priority"):
        channel.basic_consume(
            queue, lambda *_: None, arguments={"x-priority": "not a number"}
        )


def test_exclusive_consumer_keeps_others_out(channel, connection, queue):
    inbox = Inbox(channel, queue, exclusive=True)
    second = connection.channel()
    with channel_error(
        403, f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"
    ):
        second.basic_consume(queue, lambda *_: None)
    channel.basic_cancel(inbox.tag)
    assert Inbox(connection.channel(), queue).tag


def test_exclusive_consumer_needs_an_unused_queue(channel, connection, queue):
    Inbox(channel, queue)
    with channel_error(
        403, f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"
    ):
        connection.channel().basic_consume(queue, lambda *_: None, exclusive=True)


# Cancelling


def test_cancel_leaves_what_was_delivered_unacked(channel, queue):
    send(channel, queue, *numbers(1, 3))
    inbox = Inbox(channel, queue)
    inbox.wait(3)
    channel.basic_cancel(inbox.tag)
    assert ready_count(channel, queue) == 0
    channel.basic_ack(2)
    channel.basic_nack(3, requeue=True)
    wait_ready(channel, queue, 1)
    assert take(channel, queue)[2] == b"3"
    channel.basic_nack(1, requeue=True)
    wait_ready(channel, queue, 1)


def test_nothing_is_delivered_after_cancel_ok(channel, queue):
    inbox = Inbox(channel, queue)
    channel.basic_cancel(inbox.tag)
    send(channel, queue, b"later")
    assert inbox.messages == []


def test_broker_cancels_when_the_queue_is_deleted(channel, connection, queue):
    consumer = connection.channel()
    cancelled = []
    consumer.add_on_cancel_callback(
        lambda frame: cancelled.append(frame.method.consumer_tag)
    )
    tags = {Inbox(consumer, queue).tag, Inbox(consumer, queue).tag}
    channel.queue_delete(queue)
    wait_for(connection, lambda: len(cancelled) == 2, "two cancellations")
    assert set(cancelled) == tags
    assert consumer.is_open


def test_consume_generator_ends_when_the_broker_cancels(channel, queue, other):
    send(channel, queue, b"only")
    bodies = []
    for _, _, body in channel.consume(queue, auto_ack=True):
        bodies.append(body)
        other.queue_delete(queue)
    assert bodies == [b"only"]


# Acknowledging


def test_single_acks_out_of_order(connection, channel, queue):
    send(channel, queue, *numbers(1, 5))
    consumer = connection.channel()
    Inbox(consumer, queue).wait(5)
    for tag in (4, 1, 5):
        consumer.basic_ack(tag)
    consumer.close()
    wait_ready(channel, queue, 2)
    assert take_all(channel, queue, 2) == [b"2", b"3"]


def test_multiple_ack_takes_all_up_to_its_tag(connection, channel, queue):
    send(channel, queue, *numbers(1, 5))
    consumer = connection.channel()
    Inbox(consumer, queue).wait(5)
    consumer.basic_ack(3, multiple=True)
    consumer.close()
    wait_ready(channel, queue, 2)
    assert take_all(channel, queue, 2) == [b"4", b"5"]


def test_multiple_ack_of_tag_zero_takes_all(connection, channel, queue):
    send(channel, queue, *numbers(1, 5))
    consumer = connection.channel()
    Inbox(consumer, queue).wait(5)
    consumer.basic_ack(0, multiple=True)
    consumer.close()
    assert take_all(channel, queue, 0) == []


def test_multiple_ack_of_tag_zero_with_nothing_unacked_is_fine(channel):
    channel.basic_ack(0, multiple=True)
    assert channel.queue_declare("", exclusive=True).method.message_count == 0


@pytest.mark.parametrize("method", ["ack", "nack", "reject"])
@pytest.mark.parametrize("tag", [2, 99])
def test_unknown_delivery_tag(channel, queue, method, tag):
    send(channel, queue, b"1")
    take(channel, queue, auto_ack=False)
    getattr(channel, f"basic_{method}")(tag)
    with channel_error(406, f"PRECONDITION_FAILED - unknown delivery tag {tag}"):
        channel.queue_declare(queue, passive=True)


def test_acking_twice_is_an_unknown_tag(channel, queue):
    send(channel, queue, b"1")
    take(channel, queue, auto_ack=False)
    channel.basic_ack(1)
    channel.basic_ack(1)
    with channel_error(406, "PRECONDITION_FAILED - unknown delivery tag 1"):
        channel.queue_declare(queue, passive=True)


def test_delivery_tags_belong_to_their_channel(connection, channel, queue):
    send(channel, queue, b"1")
    take(channel, queue, auto_ack=False)
    second = connection.channel()
    second.basic_ack(1)
    with channel_error(406, "PRECONDITION_FAILED - unknown delivery tag 1"):
        second.queue_declare(queue, passive=True)


def test_reject_drops_or_requeues(channel, queue):
    send(channel, queue, b"1", b"2")
    first, second = (take(channel, queue, auto_ack=False)[0] for _ in range(2))
    channel.basic_reject(first.delivery_tag, requeue=False)
    channel.basic_reject(second.delivery_tag, requeue=True)
    wait_ready(channel, queue, 1)
    method, _, body = take(channel, queue)
    assert (method.redelivered, body) == (True, b"2")


def test_nack_multiple_drops_or_requeues(channel, queue):
    send(channel, queue, *numbers(1, 6))
    tags = [take(channel, queue, auto_ack=False)[0].delivery_tag for _ in range(6)]
    channel.basic_nack(tags[2], multiple=True, requeue=False)
    channel.basic_nack(tags[4], multiple=True, requeue=True)
    wait_ready(channel, queue, 2)
    assert take_all(channel, queue, 2) == [b"4", b"5"]


def test_requeued_message_returns_to_its_place(channel, queue):
    send(channel, queue, *numbers(1, 5))
    method, _, _ = take(channel, queue, auto_ack=False)
    channel.basic_reject(method.delivery_tag, requeue=True)
    wait_ready(channel, queue, 5)
    assert take_all(channel, queue, 5) == numbers(1, 5)


def test_requeue_in_any_order_restores_the_order(channel, queue):
    send(channel, queue, *numbers(1, 6))
    tags = [take(channel, queue, auto_ack=False)[0].delivery_tag for _ in range(4)]
    for tag in (tags[2], tags[0], tags[3], tags[1]):
        channel.basic_nack(tag, requeue=True)
    wait_ready(channel, queue, 6)
    assert take_all(channel, queue, 6) == numbers(1, 6)


def test_closing_a_channel_restores_the_order(connection, channel, queue):
    send(channel, queue, *numbers(1, 10))
    holder = connection.channel()
    for _ in range(5):
        take(holder, queue, auto_ack=False)
    holder.close()
    wait_ready(channel, queue, 10)
    messages = [take(channel, queue) for _ in range(10)]
    assert [body for _, _, body in messages] == numbers(1, 10)
    assert [m.redelivered for m, _, _ in messages] == [True] * 5 + [False] * 5


def test_redelivered_goes_to_another_consumer(connection, channel, queue):
    send(channel, queue, b"task")
    failing = connection.channel()
    Inbox(failing, queue).wait(1)
    healthy = Inbox(channel, queue)
    failing.close()
    method, _, body = healthy.wait(1)[0]
    assert (method.redelivered, body) == (True, b"task")


def test_many_redeliveries_keep_the_message(channel, queue):
    send(channel, queue, b"again")
    for round_ in range(50):
        method, _, body = take(channel, queue, auto_ack=False)
        assert (method.redelivered, body) == (round_ > 0, b"again")
        channel.basic_nack(method.delivery_tag, requeue=True)
    wait_ready(channel, queue, 1)


# Prefetch


def test_prefetch_bounds_what_is_unacked(channel, queue):
    send(channel, queue, *numbers(1, 10))
    channel.basic_qos(prefetch_count=3)
    inbox = Inbox(channel, queue)
    inbox.wait(3)
    wait_ready(channel, queue, 7)
    assert inbox.bodies == numbers(1, 3)
    channel.basic_ack(2)
    inbox.wait(4)
    wait_ready(channel, queue, 6)
    channel.basic_ack(4, multiple=True)
    inbox.wait(7)
    wait_ready(channel, queue, 3)
    assert inbox.bodies == numbers(1, 7)


@pytest.mark.parametrize("method", ["nack", "reject"])
def test_refusing_gives_credit_back(channel, queue, method):
    send(channel, queue, *numbers(1, 3))
    channel.basic_qos(prefetch_count=1)
    inbox = Inbox(channel, queue)
    inbox.wait(1)
    getattr(channel, f"basic_{method}")(1, requeue=False)
    inbox.wait(2)
    wait_ready(channel, queue, 1)
    assert inbox.bodies == numbers(1, 2)


def test_prefetch_is_each_consumers_own(channel, queue):
    send(channel, queue, *numbers(1, 10))
    channel.basic_qos(prefetch_count=2)
    first, second = Inbox(channel, queue), Inbox(channel, queue)
    first.wait(2)
    second.wait(2)
    wait_ready(channel, queue, 6)


def test_prefetch_holds_for_later_consumers_only(channel, queue):
    send(channel, queue, *numbers(1, 10))
    channel.basic_qos(prefetch_count=1)
    first = Inbox(channel, queue)
    first.wait(1)
    channel.basic_qos(prefetch_count=4)
    second = Inbox(channel, queue)
    second.wait(4)
    wait_ready(channel, queue, 5)
    assert len(first.messages) == 1


def test_global_prefetch_is_the_channels(channel, queue):
    send(channel, queue, *numbers(1, 10))
    channel.basic_qos(prefetch_count=3, global_qos=True)
    first, second = Inbox(channel, queue), Inbox(channel, queue)
    wait_for(
        channel.connection,
        lambda: len(first.messages) + len(second.messages) == 3,
        "3 deliveries",
    )
    wait_ready(channel, queue, 7)
    channel.basic_ack(0, multiple=True)
    wait_ready(channel, queue, 4)


def test_both_prefetches_hold_at_once(channel, queue):
    send(channel, queue, *numbers(1, 20))
    channel.basic_qos(prefetch_count=3)
    channel.basic_qos(prefetch_count=5, global_qos=True)
    first, second = Inbox(channel, queue), Inbox(channel, queue)
    wait_ready(channel, queue, 15)
    wait_for(
        channel.connection,
        lambda: len(first.messages) + len(second.messages) == 5,
        "5 deliveries",
    )
    assert max(len(first.messages), len(second.messages)) == 3


def test_setting_the_consumers_prefetch_lifts_the_channels(channel, queue):
    send(channel, queue, *numbers(1, 20))
    channel.basic_qos(prefetch_count=5, global_qos=True)
    channel.basic_qos(prefetch_count=3)
    first, second = Inbox(channel, queue), Inbox(channel, queue)
    first.wait(3)
    second.wait(3)
    wait_ready(channel, queue, 14)


def test_prefetch_zero_means_no_bound(channel, queue):
    send(channel, queue, *numbers(1, 200))
    channel.basic_qos(prefetch_count=0)
    assert len(Inbox(channel, queue).wait(200)) == 200


def test_prefetch_size_is_not_implemented(channel):
    with connection_error(540, "NOT_IMPLEMENTED - prefetch_size!=0 (1024)"):
        channel.basic_qos(prefetch_size=1024)


def test_get_is_not_bound_by_prefetch(channel, queue):
    send(channel, queue, *numbers(1, 3))
    channel.basic_qos(prefetch_count=1)
    for n in range(1, 4):
        assert take(channel, queue, auto_ack=False)[2] == str(n).encode()


def test_slow_consumer_does_not_hold_up_another(connection, channel, queue):
    slow_channel, quick_channel = connection.channel(), connection.channel()
    slow_channel.basic_qos(prefetch_count=1)
    slow = Inbox(slow_channel, queue)
    channel.basic_publish("", queue, b"first")
    slow.wait(1)
    quick = Inbox(quick_channel, queue)
    for n in range(1, 21):
        channel.basic_publish("", queue, str(n))
    quick.wait(20)
    assert quick.bodies == numbers(1, 20)
    assert slow.bodies == [b"first"]


# Recover and get


def test_recover_requeues_and_redelivers(channel, queue):
    send(channel, queue, *numbers(1, 3))
    inbox = Inbox(channel, queue)
    inbox.wait(3)
    channel.basic_recover(requeue=True)
    messages = inbox.wait(6)
    assert inbox.bodies == numbers(1, 3) * 2
    assert [m.redelivered for m, _, _ in messages] == [False] * 3 + [True] * 3
    assert [m.delivery_tag for m, _, _ in messages] == list(range(1, 7))


def test_recover_without_requeue_is_not_implemented(channel):
    with connection_error(540, "NOT_IMPLEMENTED - requeue=false"):
        channel.basic_recover(requeue=False)


def test_get_from_an_empty_queue(channel, queue):
    assert channel.basic_get(queue) == (None, None, None)


def test_get_counts_what_remains(channel, queue):
    send(channel, queue, *numbers(1, 3))
    counts = [take(channel, queue)[0].message_count for _ in range(3)]
    assert counts == [2, 1, 0]


def test_get_without_ack_is_returned(connection, channel, queue):
    send(channel, queue, b"1")
    second = connection.channel()
    method, _, _ = take(second, queue, auto_ack=False)
    assert (method.redelivered, method.delivery_tag) == (False, 1)
    second.close()
    wait_ready(channel, queue, 1)
    assert take(channel, queue)[0].redelivered


def test_get_from_a_missing_queue(channel):
    with channel_error(404, "NOT_FOUND - no queue 'absent' in vhost '/'"):
        channel.basic_get("absent")
