"""Publisher confirms, handled as they come: SelectConnection and a table of what is outstanding."""

import pika

COUNT = 2000


class Publisher:
    """Publishes COUNT messages at once and waits for every confirm."""

    def __init__(self):
        self.outstanding = {}
        self.connection = pika.SelectConnection(
            pika.ConnectionParameters("localhost"),
            on_open_callback=lambda connection: connection.channel(
                on_open_callback=self.on_channel
            ),
            on_close_callback=lambda connection, _: connection.ioloop.stop(),
        )
        self.channel = None

    def on_channel(self, channel):
        self.channel = channel
        channel.queue_declare("", exclusive=True, callback=self.on_queue)

    def on_queue(self, frame):
        self.channel.confirm_delivery(self.on_confirm)
        for number in range(1, COUNT + 1):
            self.outstanding[number] = str(number)
            self.channel.basic_publish("", frame.method.queue, str(number))

    def on_confirm(self, frame):
        method = frame.method
        assert isinstance(method, pika.spec.Basic.Ack), method
        if method.multiple:
            for number in [n for n in self.outstanding if n <= method.delivery_tag]:
                del self.outstanding[number]
        else:
            del self.outstanding[method.delivery_tag]
        if not self.outstanding:
            print(f"confirmed {COUNT}", flush=True)
            self.connection.close()


Publisher().connection.ioloop.start()
