"""The calls of RabbitMQ's Python tutorials one to six, of the one on publisher confirms, and the plain hello
pair, as programs on the default port with nothing set."""

import pytest


def test_one_hello_world(start):
    assert start("hello_send").finish() == ["sent Hello World!"]
    receiver = start("hello_receive")
    assert receiver.lines(2) == ["waiting", "received Hello World!"]
    start("hello_send").finish()
    assert receiver.line() == "received Hello World!"
    receiver.nothing_more()


def test_hello_survives_many_quick_senders(start):
    senders = [start("hello_send") for _ in range(5)]
    for sender in senders:
        assert sender.finish() == ["sent Hello World!"]
    receiver = start("hello_receive")
    assert receiver.lines(6) == ["waiting"] + ["received Hello World!"] * 5
    receiver.nothing_more()


def test_two_work_queues_dispatch_fairly(start):
    busy = start("worker")
    assert busy.line() == "waiting"
    start("new_task", "long job").finish()
    assert busy.line() == "received long job"
    idle = start("worker")
    assert idle.line() == "waiting"
    start("new_task", *[f"task {n}" for n in range(5)]).finish()
    expected = [line for n in range(5) for line in (f"received task {n}", f"done task {n}")]
    assert idle.lines(10) == expected
    idle.nothing_more()
    busy.tell("finish")
    assert busy.line() == "done long job"
    start("new_task", "last").finish()
    assert busy.lines(2) == ["received last", "done last"]
    busy.nothing_more()


def test_two_work_of_a_killed_worker_is_done_again(start):
    doomed = start("worker")
    assert doomed.line() == "waiting"
    start("new_task", "long job").finish()
    assert doomed.line() == "received long job"
    doomed.stop()
    heir = start("worker")
    assert heir.lines(2) == ["waiting", "received long job again"]
    heir.tell("finish")
    assert heir.line() == "done long job"
    heir.nothing_more()


def test_three_publish_subscribe(start):
    start("emit_log", "nobody listens").finish()
    subscribers = [start("receive_logs") for _ in range(3)]
    for subscriber in subscribers:
        assert subscriber.line() == "waiting"
    start("emit_log", "one", "two").finish()
    for subscriber in subscribers:
        assert subscriber.lines(2) == ["received one", "received two"]
        subscriber.nothing_more()


def test_four_routing(start):
    errors = start("receive_keyed", "direct", "error")
    everything = start("receive_keyed", "direct", "info", "warning", "error")
    assert errors.line() == everything.line() == "waiting"
    start(
        "emit_keyed", "direct", "info=started", "error=disk full", "debug=noise"
    ).finish()
    assert everything.lines(2) == ["received info started", "received error disk full"]
    assert errors.line() == "received error disk full"
    errors.nothing_more()
    everything.nothing_more()


@pytest.mark.parametrize(
    "binding_keys, expected",
    [
        (["#"], ["kern.critical a", "kern.info.disk b", "cron.critical c", "auth d"]),
        (["kern.*"], ["kern.critical a"]),
        (["*.critical"], ["kern.critical a", "cron.critical c"]),
        (["kern.#", "*.critical"], ["kern.critical a", "kern.info.disk b", "cron.critical c"]),
    ],
    ids=["all", "one-word", "critical", "two-bindings"],
)
def test_five_topics(start, binding_keys, expected):
    receiver = start("receive_keyed", "topic", *binding_keys)
    assert receiver.line() == "waiting"
    start(
        "emit_keyed",
        "topic",
        "kern.critical=a",
        "kern.info.disk=b",
        "cron.critical=c",
        "auth=d",
    ).finish()
    assert receiver.lines(len(expected)) == [f"received {line}" for line in expected]
    receiver.nothing_more()


def test_six_rpc(start):
    server = start("rpc_server")
    assert server.line() == "waiting"
    clients = [start("rpc_client", "30", "0", "10") for _ in range(3)]
    for client in clients:
        assert client.finish() == [
            "fibonacci(30) = 832040",
            "fibonacci(0) = 0",
            "fibonacci(10) = 55",
        ]
    assert sorted(server.lines(9)) == sorted(["asked 30", "asked 0", "asked 10"] * 3)


def test_seven_publisher_confirms(start):
    assert start("publisher_confirms").finish() == [
        "confirmed 500",
        "in the queue 500",
        "unroutable",
    ]


def test_seven_publisher_confirms_as_they_come(start):
    assert start("publisher_confirms_async").finish() == ["confirmed 2000"]
