"""The handshake, its refusals, and how connections and channels end."""

import socket

import pika
import pytest

from support import (
    channel_error,
    connection_error,
    parameters,
    ready_count,
    send,
    take,
    wait_for,
    wait_ready,
)

CAPABILITIES = [
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
]


def server_properties(connection):
    return connection._impl.server_properties


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_capability_is_announced(connection, capability):
    assert server_properties(connection)["capabilities"][capability] is True


def test_product_and_version_are_what_clients_expect(connection):
    properties = server_properties(connection)
    assert properties["product"] == "RabbitMQ"
    major, minor, patch = properties["version"].split(".")[:3]
    assert (int(major), int(minor), int(patch)) >= (4, 0, 0)
    for key in ("platform", "copyright", "information", "cluster_name"):
        assert properties[key], key


def test_pika_sees_the_extensions(connection):
    assert connection.publisher_confirms_supported
    assert connection.basic_nack_supported
    assert connection.consumer_cancel_notify_supported
    assert connection.exchange_exchange_bindings_supported


def test_broker_proposes_rabbitmq_limits(connection):
    impl = connection._impl
    assert impl.params.frame_max == 131072
    assert impl.params.channel_max == 2047
    assert impl.params.heartbeat == 60


@pytest.mark.parametrize("frame_max", [4096, 8192, 65536])
def test_client_lowers_frame_max(broker, frame_max):
    connection = broker.connect(frame_max=frame_max)
    assert connection._impl.params.frame_max == frame_max
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    body = bytes(range(256)) * 512
    channel.basic_publish("", queue, body)
    assert take(channel, queue)[2] == body


def test_client_lowers_channel_max(broker):
    connection = broker.connect(channel_max=3)
    assert connection._impl.params.channel_max == 3
    assert [connection.channel().channel_number for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("heartbeat", [0, 5, 30])
def test_client_chooses_the_heartbeat(broker, heartbeat):
    connection = broker.connect(heartbeat=heartbeat)
    assert connection._impl.params.heartbeat == heartbeat
    assert connection.channel().is_open


def test_broker_sends_heartbeats_on_an_idle_connection(broker):
    connection = broker.connect(heartbeat=1)
    before = connection._impl.bytes_received
    wait_for(
        connection,
        lambda: connection._impl.bytes_received >= before + 16,
        "two heartbeat frames",
    )
    assert connection.channel().is_open


@pytest.mark.parametrize("user", ["guest", "nobody-of-that-name"])
def test_wrong_login_is_refused_with_403(broker, user):
    credentials = pika.PlainCredentials(user, "not the password")
    with pytest.raises(pika.exceptions.ProbableAuthenticationError) as caught:
        broker.connect(credentials=credentials)
    text = str(caught.value)
    assert "403" in text
    assert (
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
        "For details see the broker logfile." in text
    )


def test_unknown_vhost_is_refused_with_530(broker):
    with pytest.raises(pika.exceptions.ProbableAccessDeniedError) as caught:
        broker.connect(virtual_host="no-such-vhost")
    text = str(caught.value)
    assert "530" in text
    assert "NOT_ALLOWED - vhost no-such-vhost not found" in text


@pytest.mark.parametrize("name", ["plain", "håse · 兔子 · 🐇"])
def test_connection_name_is_accepted(broker, name):
    connection = broker.connect(client_properties={"connection_name": name})
    assert connection.channel().is_open


def test_update_secret_is_answered(connection):
    password = parameters().credentials.password
    connection.update_secret(password, "renewed")
    assert connection.channel().is_open


def test_close_twice_is_the_clients_own_error(connection):
    connection.close()
    assert connection.is_closed
    with pytest.raises(pika.exceptions.ConnectionWrongStateError):
        connection.close()


def test_connection_error_ends_the_connection_but_no_other(connection, queue, other):
    channel = connection.channel()
    channel.basic_consume(queue, lambda *_: None, consumer_tag="twice")
    with connection_error(530, "NOT_ALLOWED - attempt to reuse consumer tag 'twice'"):
        # Past pika's own check of the tag, as a client without one would send it.
        channel._impl._send_method(
            pika.spec.Basic.Consume(queue=queue, consumer_tag="twice")
        )
        wait_for(connection, lambda: connection.is_closed)
    assert connection.is_closed
    assert ready_count(other, queue) == 0


def test_many_channels_work_side_by_side(connection):
    channels = [connection.channel() for _ in range(200)]
    queues = [c.queue_declare("", exclusive=True).method.queue for c in channels]
    assert len(set(queues)) == 200
    for number, (channel, queue) in enumerate(zip(channels, queues)):
        channel.basic_publish("", queue, str(number))
    for number, (channel, queue) in enumerate(zip(reversed(channels), queues)):
        assert take(channel, queue)[2] == str(number).encode()
    for channel in channels:
        channel.close()
    assert connection.is_open


def test_highest_channel_number_is_usable(connection):
    channel = connection.channel(2047)
    assert channel.queue_declare("", exclusive=True).method.queue


def test_channel_number_is_reused_after_close(connection):
    for _ in range(20):
        channel = connection.channel(7)
        assert channel.queue_declare("", exclusive=True).method.message_count == 0
        channel.close()


def test_channel_number_is_reused_after_an_error(connection):
    for _ in range(10):
        channel = connection.channel(3)
        with channel_error(404, "NOT_FOUND - no queue 'absent' in vhost '/'"):
            channel.queue_declare("absent", passive=True)
        assert channel.is_closed
    assert connection.channel(3).queue_declare("", exclusive=True).method.queue


def test_channel_error_leaves_other_channels_alone(connection, channel, queue):
    broken = connection.channel()
    with channel_error(404):
        broken.queue_declare("absent", passive=True)
    send(channel, queue, b"still here")
    assert take(channel, queue)[2] == b"still here"


def test_frames_sent_after_a_channel_error_are_ignored(connection, channel, queue):
    broken = connection.channel()
    for _ in range(50):
        broken._impl.basic_publish("no-such-exchange", "", b"lost")
    with channel_error(404, "NOT_FOUND - no exchange 'no-such-exchange' in vhost '/'"):
        broken.queue_declare("", exclusive=True)
    assert ready_count(channel, queue) == 0


def test_publish_directly_before_close_arrives(broker, queue, channel):
    for round_ in range(20):
        connection = broker.connect()
        connection.channel().basic_publish("", queue, str(round_))
        connection.close()
    wait_ready(channel, queue, 20)
    bodies = {take(channel, queue)[2] for _ in range(20)}
    assert bodies == {str(n).encode() for n in range(20)}


def test_quick_connections_one_after_another(broker):
    for _ in range(30):
        connection = broker.connect()
        assert connection.channel().is_open
        connection.close()


def test_dropped_socket_returns_what_was_unacked(broker, queue, channel):
    send(channel, queue, b"one", b"two")
    victim = broker.connect()
    taker = victim.channel()
    assert take(taker, queue, auto_ack=False)[2] == b"one"
    assert take(taker, queue, auto_ack=False)[2] == b"two"
    victim._impl._transport._sock.shutdown(socket.SHUT_RDWR)
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        taker.queue_declare(queue, passive=True)
    wait_ready(channel, queue, 2)
    first, second = take(channel, queue), take(channel, queue)
    assert [first[2], second[2]] == [b"one", b"two"]
    assert first[0].redelivered and second[0].redelivered


def test_closing_a_connection_returns_what_was_unacked(broker, queue, channel):
    send(channel, queue, b"kept")
    holder = broker.connect()
    assert take(holder.channel(), queue, auto_ack=False)[2] == b"kept"
    assert ready_count(channel, queue) == 0
    holder.close()
    wait_ready(channel, queue, 1)
    assert take(channel, queue)[0].redelivered


def test_channel_close_race_with_deliveries(connection, channel, queue):
    send(channel, queue, *[b"x"] * 100)
    for _ in range(20):
        consumer = connection.channel()
        consumer.basic_consume(queue, lambda *_: None)
        consumer.close()
    wait_ready(channel, queue, 100)
    assert connection.is_open


def test_topology_is_shared_between_connections(channel, queue, other):
    other.basic_publish("", queue, b"from the other")
    assert take(channel, queue)[2] == b"from the other"


def test_channel_flow_true_is_answered(channel):
    assert channel.flow(True) is True


def test_channel_flow_false_is_not_implemented(channel):
    with connection_error(540, "NOT_IMPLEMENTED - active=false"):
        channel.flow(False)
