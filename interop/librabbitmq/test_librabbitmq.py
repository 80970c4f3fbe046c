"""An unmodified librabbitmq, through Debian's amqp-tools."""

import subprocess

import pytest

from support import URL, command, get, get_soon, ok, run, unique


def send(queue, body, *options):
    """Publishes a text to a queue."""
    ok("publish", "--routing-key", queue, "--body", body, *options)


def test_publish_and_get(queue):
    send(queue, "häse")
    assert get_soon(queue) == "häse"
    assert get(queue) is None


def test_body_from_standard_input(queue):
    ok("publish", "--routing-key", queue, text="from a pipe")
    assert get_soon(queue) == "from a pipe"


@pytest.mark.parametrize("size", [0, 1, 131_064, 131_065, 3_000_000])
def test_sizes(queue, size):
    ok("publish", "--routing-key", queue, text="x" * size)
    assert get_soon(queue) == "x" * size


def test_lines_become_messages(queue):
    ok("publish", "--routing-key", queue, "--line-buffered", text="1\n2\n3\n")
    assert [get_soon(queue).strip() for _ in range(3)] == ["1", "2", "3"]


def test_consume_with_acks(queue):
    for i in range(5):
        send(queue, str(i))
    assert ok("consume", "--queue", queue, "--count", "5", "cat") == "01234"
    assert get(queue) is None


def test_consume_without_acks(queue):
    for i in range(5):
        send(queue, str(i))
    assert ok("consume", "--queue", queue, "--no-ack", "--count", "5", "cat") == "01234"


def test_prefetch(queue):
    for i in range(20):
        send(queue, "x")
    assert ok("consume", "--queue", queue, "--prefetch-count", "3", "--count", "20", "cat") == "x" * 20


def test_a_failing_command_returns_its_message(queue):
    send(queue, "again")
    run("consume", "--queue", queue, "--count", "1", "false")
    assert get_soon(queue) == "again"


def test_consumers_share_a_queue(queue):
    consumers = [
        subprocess.Popen(command("consume", "--queue", queue, "--prefetch-count", "1", "--count", "10", "cat"),
                         stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for _ in range(20):
        send(queue, "x")
    assert [consumer.communicate(timeout=20)[0] for consumer in consumers] == [b"x" * 10] * 2


@pytest.mark.parametrize("exchange", ["amq.direct", "amq.topic", "amq.fanout"])
def test_bound_to_an_exchange(exchange):
    key = unique()
    consumer = subprocess.Popen(
        command("consume", "--exclusive", "--queue", unique(), "--exchange", exchange, "--routing-key", key, "--count", "1", "cat"),
        stdout=subprocess.PIPE,
    )
    # The queue is there at some time; what is published before is routed nowhere.
    while consumer.poll() is None:
        ok("publish", "--exchange", exchange, "--routing-key", key, "--body", "x")
    assert consumer.communicate()[0] == b"x"


def test_headers_are_taken(queue):
    send(queue, "x", "--header", "kind: a", "--header", "size: 2", "--content-type", "text/plain", "--persistent")
    assert get_soon(queue) == "x"


def test_server_named_queue():
    name = ok("declare-queue", "--queue", "").strip()
    assert name.startswith("amq.gen-")
    assert ok("delete-queue", "--queue", name).strip() == "0"


def test_delete_tells_how_many_messages():
    name = unique()
    ok("declare-queue", "--queue", name)
    for i in range(3):
        send(name, str(i))
    refused = run("delete-queue", "--queue", name, "--if-empty")
    assert refused.returncode != 0
    assert f"PRECONDITION_FAILED - queue '{name}' in vhost '/' not empty".encode() in refused.stderr
    assert ok("delete-queue", "--queue", name).strip() == "3"


def test_durable_queue_of_the_same_name_is_refused(queue):
    refused = run("declare-queue", "--queue", queue, "--durable")
    assert refused.returncode != 0
    assert f"inequivalent arg 'durable' for queue '{queue}' in vhost '/': received 'true' but current is 'false'".encode() in refused.stderr


def test_wrong_password():
    refused = run("get", "--queue", "any", url=URL.replace("guest:guest", "guest:wrong"))
    assert refused.returncode != 0
    assert b"ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN" in refused.stderr


def test_unknown_vhost():
    refused = run("get", "--queue", "any", url=URL.replace("/%2f", "/nowhere"))
    assert refused.returncode != 0
    assert b"NOT_ALLOWED - vhost nowhere not found" in refused.stderr
