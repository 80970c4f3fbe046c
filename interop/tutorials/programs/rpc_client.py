"""RPC: asks for the Fibonacci numbers of its arguments, one after another."""

import sys
import uuid

import pika


class FibonacciClient:
    """A client with a reply queue of its own."""

    def __init__(self):
        self.connection = pika.BlockingConnection(
            pika.ConnectionParameters(host="localhost")
        )
        self.channel = self.connection.channel()
        result = self.channel.queue_declare(queue="", exclusive=True)
        self.reply_queue = result.method.queue
        self.channel.basic_consume(
            queue=self.reply_queue, on_message_callback=self.on_reply, auto_ack=True
        )
        self.answer = None
        self.correlation_id = None

    def on_reply(self, _channel, _method, properties, body):
        if properties.correlation_id == self.correlation_id:
            self.answer = body

    def call(self, n):
        self.answer = None
        self.correlation_id = str(uuid.uuid4())
        self.channel.basic_publish(
            exchange="",
            routing_key="rpc_queue",
            properties=pika.BasicProperties(
                reply_to=self.reply_queue, correlation_id=self.correlation_id
            ),
            body=str(n),
        )
        while self.answer is None:
            self.connection.process_data_events(time_limit=None)
        return int(self.answer)


client = FibonacciClient()
for argument in sys.argv[1:]:
    print(f"fibonacci({argument}) = {client.call(int(argument))}", flush=True)
client.connection.close()
