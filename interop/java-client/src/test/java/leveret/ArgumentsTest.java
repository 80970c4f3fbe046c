package leveret;

import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Delivery;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

class ArgumentsTest {
    @Test
    void expiredIsDeadLettered() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            String dead = Broker.queue(channel, null);
            String queue = Broker.queue(channel, Map.of("x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead));
            Broker.send(channel, queue, "late", new BasicProperties.Builder().expiration("20").build());
            Delivery letter = Broker.next(Broker.consume(channel, dead, true));
            Map<?, ?> death = (Map<?, ?>) ((List<?>) letter.getProperties().getHeaders().get("x-death")).get(0);
            assertEquals("expired", death.get("reason").toString());
            assertEquals(queue, death.get("queue").toString());
            assertEquals("20", death.get("original-expiration").toString());
            assertEquals(1L, death.get("count"));
        }
    }

    @Test
    void prioritiesAreServedHighestFirst() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            channel.confirmSelect();
            String queue = Broker.queue(channel, Map.of("x-max-priority", 3));
            for (int priority : new int[] {1, 3, 0, 2}) {
                Broker.send(channel, queue, "" + priority, new BasicProperties.Builder().priority(priority).build());
            }
            channel.waitForConfirmsOrDie(Broker.LIMIT_MS);
            assertEquals(List.of("3", "2", "1", "0"), Broker.texts(Broker.consume(channel, queue, true), 4));
        }
    }

    @Test
    void fullQueueNacks() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            channel.confirmSelect();
            String queue = Broker.queue(channel, Map.of("x-max-length", 1, "x-overflow", "reject-publish"));
            Broker.send(channel, queue, "fits", null);
            assertTrue(channel.waitForConfirms(Broker.LIMIT_MS));
            Broker.send(channel, queue, "too much", null);
            assertFalse(channel.waitForConfirms(Broker.LIMIT_MS));
        }
    }

    @Test
    void quorumQueueCountsDeliveries() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            String queue = Broker.unique();
            channel.queueDeclare(queue, true, false, false, Map.of("x-queue-type", "quorum", "x-delivery-limit", 2));
            Broker.send(channel, queue, "poison", null);
            BlockingQueue<Delivery> deliveries = Broker.consume(channel, queue, false);
            List<Object> counts = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                Delivery delivery = Broker.next(deliveries);
                Map<String, Object> headers = delivery.getProperties().getHeaders();
                counts.add(headers == null ? null : headers.get("x-delivery-count"));
                channel.basicNack(delivery.getEnvelope().getDeliveryTag(), false, true);
            }
            assertEquals(Arrays.asList(null, 1L, 2L), counts);
            channel.queueDelete(queue);
        }
    }

    @Test
    void invalidArgumentIsRefused() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            String queue = Broker.unique();
            Broker.assertRefused(406, "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue '" + queue
                + "' in vhost '/': {value_negative,-1}",
                () -> channel.queueDeclare(queue, false, true, false, Map.of("x-message-ttl", -1)));
        }
    }
}
