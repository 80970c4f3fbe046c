"""Work queues: one persistent task for each argument, into a durable quorum queue."""

import sys

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(host="localhost"))
channel = connection.channel()
channel.queue_declare(
    queue="task_queue", durable=True, arguments={"x-queue-type": "quorum"}
)
for task in sys.argv[1:]:
    channel.basic_publish(
        exchange="",
        routing_key="task_queue",
        body=task,
        properties=pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent),
    )
    print("sent", task, flush=True)
connection.close()
