package leveret;

import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.ShutdownSignalException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.fail;

/** The broker under test, and a connection that a test closes with it. */
final class Broker implements AutoCloseable {
    /** Ends a wait in vain; nothing here is expected to take as long. */
    static final long LIMIT_MS = 20_000;

    final Connection connection;

    Broker() throws Exception {
        connection = factory().newConnection();
    }

    static ConnectionFactory factory() throws Exception {
        String url = System.getenv("AMQP_URL");
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(url == null ? "amqp://guest:guest@localhost:5672/%2f" : url);
        factory.setAutomaticRecoveryEnabled(false);
        return factory;
    }

    Channel channel() throws IOException {
        return connection.createChannel();
    }

    static String unique() {
        return "leveret-java-" + UUID.randomUUID();
    }

    /** A queue that goes with its connection. */
    static String queue(Channel channel, Map<String, Object> arguments) throws IOException {
        return channel.queueDeclare(unique(), false, true, false, arguments).getQueue();
    }

    static void send(Channel channel, String queue, String text, BasicProperties properties) throws IOException {
        channel.basicPublish("", queue, properties, text.getBytes(StandardCharsets.UTF_8));
    }

    /** What a consumer gets, as it comes. */
    static BlockingQueue<Delivery> consume(Channel channel, String queue, boolean autoAck) throws IOException {
        BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
        channel.basicConsume(queue, autoAck, (tag, delivery) -> deliveries.add(delivery), tag -> { });
        return deliveries;
    }

    static <T> T next(BlockingQueue<T> from) throws InterruptedException {
        T value = from.poll(LIMIT_MS, TimeUnit.MILLISECONDS);
        assertNotNull(value, "nothing came");
        return value;
    }

    static String text(Delivery delivery) {
        return new String(delivery.getBody(), StandardCharsets.UTF_8);
    }

    static List<String> texts(BlockingQueue<Delivery> from, int count) throws InterruptedException {
        List<String> texts = new ArrayList<>();
        while (texts.size() < count) {
            texts.add(text(next(from)));
        }
        return texts;
    }

    /** Something that the broker refuses. */
    interface Refused {
        void run() throws Exception;
    }

    /** Checks for the reply code and text with which a call is refused. */
    static void assertRefused(int code, String text, Refused call) throws Exception {
        try {
            call.run();
        } catch (IOException | ShutdownSignalException refusal) {
            Throwable cause = refusal instanceof ShutdownSignalException ? refusal : refusal.getCause();
            assertReason(code, text, (ShutdownSignalException) cause);
            return;
        }
        fail("was not refused");
    }

    static void assertReason(int code, String text, ShutdownSignalException signal) {
        Object reason = signal.getReason();
        if (reason instanceof com.rabbitmq.client.AMQP.Channel.Close close) {
            assertEquals(code + " " + text, close.getReplyCode() + " " + close.getReplyText());
        } else if (reason instanceof com.rabbitmq.client.AMQP.Connection.Close close) {
            assertEquals(code + " " + text, close.getReplyCode() + " " + close.getReplyText());
        } else {
            fail("closed by " + reason);
        }
    }

    @Override
    public void close() throws IOException {
        if (connection.isOpen()) {
            connection.close();
        }
    }
}
