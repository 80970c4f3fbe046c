"""Routing and topics: `receive_keyed.py TYPE BINDING_KEY…` prints what matches any of the keys."""

import sys

import pika

kind = sys.argv[1]
exchange = f"{kind}_logs"


def on_line(_channel, method, _properties, body):
    print("received", method.routing_key, body.decode(), flush=True)


connection = pika.BlockingConnection(pika.ConnectionParameters(host="localhost"))
channel = connection.channel()
channel.exchange_declare(exchange=exchange, exchange_type=kind)
result = channel.queue_declare("", exclusive=True)
queue = result.method.queue
for binding_key in sys.argv[2:]:
    channel.queue_bind(exchange=exchange, queue=queue, routing_key=binding_key)
channel.basic_consume(queue=queue, on_message_callback=on_line, auto_ack=True)
print("waiting", flush=True)
channel.start_consuming()
