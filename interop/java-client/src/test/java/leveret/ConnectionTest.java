package leveret;

import com.rabbitmq.client.AuthenticationFailureException;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.ShutdownSignalException;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

class ConnectionTest {
    @Test
    void serverIntroducesItself() throws Exception {
        try (Broker broker = new Broker()) {
            Map<String, Object> properties = broker.connection.getServerProperties();
            assertEquals("RabbitMQ", properties.get("product").toString());
            Map<?, ?> capabilities = (Map<?, ?>) properties.get("capabilities");
            for (String name : new String[] {"publisher_confirms", "basic.nack", "consumer_cancel_notify",
                "connection.blocked", "authentication_failure_close"}) {
                assertEquals(true, capabilities.get(name), name);
            }
        }
    }

    @Test
    void wrongPasswordIsRefused() throws Exception {
        ConnectionFactory factory = Broker.factory();
        factory.setPassword("wrong");
        AuthenticationFailureException refusal =
            assertThrows(AuthenticationFailureException.class, factory::newConnection);
        assertTrue(refusal.getMessage().startsWith(
            "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN."), refusal.getMessage());
    }

    @Test
    void unknownVhostIsRefused() throws Exception {
        ConnectionFactory factory = Broker.factory();
        factory.setVirtualHost("nowhere");
        Broker.assertRefused(530, "NOT_ALLOWED - vhost nowhere not found", factory::newConnection);
    }

    @Test
    void tuningIsNegotiated() throws Exception {
        ConnectionFactory factory = Broker.factory();
        factory.setRequestedFrameMax(8192);
        factory.setRequestedChannelMax(2);
        factory.setRequestedHeartbeat(7);
        try (Connection connection = factory.newConnection()) {
            assertEquals(8192, connection.getFrameMax());
            assertEquals(2, connection.getChannelMax());
            assertEquals(7, connection.getHeartbeat());
            assertNotNull(connection.createChannel());
            assertNotNull(connection.createChannel());
            assertNull(connection.createChannel());
        }
    }

    @Test
    void reusedConsumerTagClosesTheConnection() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            String queue = Broker.queue(channel, null);
            channel.basicConsume(queue, true, "tag", (tag, delivery) -> { }, tag -> { });
            Broker.assertRefused(530, "NOT_ALLOWED - attempt to reuse consumer tag 'tag'",
                () -> channel.basicConsume(queue, true, "tag", (tag, delivery) -> { }, tag -> { }));
            BlockingQueue<ShutdownSignalException> ended = new LinkedBlockingQueue<>();
            broker.connection.addShutdownListener(ended::add);
            assertTrue(Broker.next(ended).isHardError());
        }
    }

    @Test
    void channelErrorSparesTheConnection() throws Exception {
        try (Broker broker = new Broker()) {
            Channel bad = broker.channel();
            String name = Broker.unique();
            Broker.assertRefused(404, "NOT_FOUND - no queue '" + name + "' in vhost '/'",
                () -> bad.queueDeclarePassive(name));
            assertTrue(broker.connection.isOpen());
            Broker.queue(broker.channel(), null);
        }
    }

    @Test
    void manyChannelsComeAndGo() throws Exception {
        try (Broker broker = new Broker()) {
            for (int i = 0; i < 300; i++) {
                broker.channel().close();
            }
        }
    }
}
