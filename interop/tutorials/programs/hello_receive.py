"""Hello world, the receiving half."""

import pika


def on_message(_channel, _method, _properties, body):
    print("received", body.decode(), flush=True)


connection = pika.BlockingConnection(pika.ConnectionParameters(host="localhost"))
channel = connection.channel()
channel.queue_declare(queue="hello")
channel.basic_consume(queue="hello", on_message_callback=on_message, auto_ack=True)
print("waiting", flush=True)
channel.start_consuming()
