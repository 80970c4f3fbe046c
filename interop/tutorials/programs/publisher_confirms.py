"""Publisher confirms: one by one, and with a mandatory message that nobody takes."""

import pika
from pika.exceptions import UnroutableError

COUNT = 500

connection = pika.BlockingConnection(pika.ConnectionParameters("localhost"))
channel = connection.channel()
queue = channel.queue_declare(queue="", exclusive=True).method.queue
channel.confirm_delivery()
for number in range(COUNT):
    channel.basic_publish(
        exchange="",
        routing_key=queue,
        body=str(number),
        properties=pika.BasicProperties(
            content_type="text/plain", delivery_mode=pika.DeliveryMode.Transient
        ),
        mandatory=True,
    )
print(f"confirmed {COUNT}", flush=True)
waiting = channel.queue_declare(queue=queue, passive=True).method.message_count
print(f"in the queue {waiting}", flush=True)
try:
    channel.basic_publish(
        exchange="", routing_key="no-such-queue", body="x", mandatory=True
    )
except UnroutableError:
    print("unroutable", flush=True)
connection.close()
