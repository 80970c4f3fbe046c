"""Publish/subscribe: one log line for each argument, to whoever listens now."""

import sys

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(host="localhost"))
channel = connection.channel()
channel.exchange_declare(exchange="logs", exchange_type="fanout")
for line in sys.argv[1:]:
    channel.basic_publish(exchange="logs", routing_key="", body=line)
    print("sent", line, flush=True)
connection.close()
