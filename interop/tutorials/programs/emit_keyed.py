"""Routing and topics: `emit_keyed.py TYPE KEY=LINE…` publishes each line with its key."""

import sys

import pika

kind = sys.argv[1]
exchange = f"{kind}_logs"
connection = pika.BlockingConnection(pika.ConnectionParameters(host="localhost"))
channel = connection.channel()
channel.exchange_declare(exchange=exchange, exchange_type=kind)
for argument in sys.argv[2:]:
    key, line = argument.split("=", 1)
    channel.basic_publish(exchange=exchange, routing_key=key, body=line)
    print("sent", key, line, flush=True)
connection.close()
