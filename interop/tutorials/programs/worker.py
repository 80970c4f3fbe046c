"""Work queues: a worker that takes one task at a time and acks it when done.

A task that starts with "long" is done when a line comes in on standard input."""

import sys

import pika


def on_task(channel, method, _properties, body):
    task = body.decode()
    again = " again" if method.redelivered else ""
    print(f"received {task}{again}", flush=True)
    if task.startswith("long"):
        sys.stdin.readline()
    print("done", task, flush=True)
    channel.basic_ack(delivery_tag=method.delivery_tag)


connection = pika.BlockingConnection(pika.ConnectionParameters(host="localhost"))
channel = connection.channel()
channel.queue_declare(
    queue="task_queue", durable=True, arguments={"x-queue-type": "quorum"}
)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue="task_queue", on_message_callback=on_task)
print("waiting", flush=True)
channel.start_consuming()
