"""Direct reply-to: answers without a queue."""

import pika
import pytest

from support import Inbox, channel_error, take, wait_for

REPLY_TO = "amq.rabbitmq.reply-to"


def ask(client, queue, body, correlation_id="1"):
    """Publish a question that wants its answer directly."""
    client.basic_publish(
        "",
        queue,
        body,
        pika.BasicProperties(reply_to=REPLY_TO, correlation_id=correlation_id),
    )


def test_questions_and_answers(channel, other, queue):
    def answer(server, _method, properties, body):
        server.basic_publish(
            "",
            properties.reply_to,
            body.upper(),
            pika.BasicProperties(correlation_id=properties.correlation_id),
        )

    inbox = Inbox(channel, REPLY_TO, auto_ack=True)
    other.basic_consume(queue, answer, auto_ack=True)
    for n in range(20):
        ask(channel, queue, f"question {n}", str(n))

    def both():
        other.connection.process_data_events(time_limit=0)
        return len(inbox.messages) == 20

    wait_for(channel.connection, both, "20 answers")
    assert [(p.correlation_id, body) for _, p, body in inbox.messages] == [
        (str(n), f"QUESTION {n}".encode()) for n in range(20)
    ]


def test_reply_to_is_rewritten_to_a_name_of_its_own(channel, other, queue):
    Inbox(channel, REPLY_TO, auto_ack=True)
    ask(channel, queue, b"question")
    name = take(other, queue)[1].reply_to
    assert name.startswith(REPLY_TO + ".")
    ok = other.queue_declare(name, passive=True).method
    assert (ok.queue, ok.message_count, ok.consumer_count) == (name, 0, 1)


def test_answer_carries_exchange_and_key(channel, other, queue):
    inbox = Inbox(channel, REPLY_TO, auto_ack=True, consumer_tag="replies")
    ask(channel, queue, b"question")
    name = take(other, queue)[1].reply_to
    other.basic_publish("", name, b"answer")
    method, _, body = inbox.wait(1)[0]
    assert (method.consumer_tag, method.exchange, method.routing_key) == (
        "replies",
        "",
        name,
    )
    assert (method.redelivered, body) == (False, b"answer")


def test_passive_declare_of_the_pseudo_queue(channel):
    assert channel.queue_declare(REPLY_TO, passive=True).method.queue == REPLY_TO


def test_consumer_must_not_ack(channel):
    with channel_error(
        406, "PRECONDITION_FAILED - reply consumer cannot acknowledge"
    ):
        channel.basic_consume(REPLY_TO, lambda *_: None)


def test_one_reply_consumer_a_channel(channel):
    Inbox(channel, REPLY_TO, auto_ack=True)
    with channel_error(406, "PRECONDITION_FAILED - reply consumer already set"):
        channel.basic_consume(REPLY_TO, lambda *_: None, auto_ack=True)


def test_question_without_a_reply_consumer(channel, queue):
    ask(channel, queue, b"question")
    with channel_error(
        406, "PRECONDITION_FAILED - fast reply consumer does not exist"
    ):
        channel.queue_declare(queue, passive=True)


def test_reply_queue_ends_with_its_channel(connection, channel, other, queue):
    client = connection.channel()
    Inbox(client, REPLY_TO, auto_ack=True)
    ask(client, queue, b"question")
    name = take(other, queue)[1].reply_to
    client.close()
    other.basic_publish("", name, b"too late")
    with channel_error(404, f"NOT_FOUND - no queue '{name}' in vhost '/'"):
        other.queue_declare(name, passive=True)


def test_reply_consumer_can_be_cancelled_and_set_again(channel, other, queue):
    first = Inbox(channel, REPLY_TO, auto_ack=True)
    channel.basic_cancel(first.tag)
    second = Inbox(channel, REPLY_TO, auto_ack=True)
    ask(channel, queue, b"question")
    other.basic_publish("", take(other, queue)[1].reply_to, b"answer")
    second.wait(1)
    assert (first.bodies, second.bodies) == ([], [b"answer"])


def test_mandatory_answer_to_nobody_is_returned(connection, channel, other, queue):
    client = connection.channel()
    Inbox(client, REPLY_TO, auto_ack=True)
    ask(client, queue, b"question")
    name = take(other, queue)[1].reply_to
    client.close()
    other.confirm_delivery()
    with pytest.raises(pika.exceptions.UnroutableError):
        other.basic_publish("", name, b"too late", mandatory=True)
