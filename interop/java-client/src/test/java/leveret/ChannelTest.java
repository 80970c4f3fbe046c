package leveret;

import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.MessageProperties;
import com.rabbitmq.client.impl.LongStringHelper;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

class ChannelTest {
    @Test
    void propertiesComeBack() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            String queue = Broker.queue(channel, null);
            Map<String, Object> headers = new LinkedHashMap<>();
            headers.put("text", LongStringHelper.asLongString("häse"));
            headers.put("yes", true);
            headers.put("byte", (byte) -3);
            headers.put("short", (short) -300);
            headers.put("int", -70_000);
            headers.put("long", 1L << 40);
            headers.put("float", 0.5f);
            headers.put("double", 0.25);
            headers.put("decimal", new BigDecimal("12.34"));
            headers.put("when", new Date(1_700_000_000_000L));
            headers.put("nothing", null);
            headers.put("list", Arrays.asList(1, LongStringHelper.asLongString("two")));
            headers.put("table", Collections.singletonMap("deep", 1));
            Date when = new Date(1_700_000_001_000L);
            BasicProperties sent = new BasicProperties("text/plain", "identity", headers, 2, 3, "c", "r", "60000", "m",
                when, "kind", "guest", "app", null);
            Broker.send(channel, queue, "body", sent);
            Delivery got = Broker.next(Broker.consume(channel, queue, true));
            assertEquals(headers, got.getProperties().getHeaders());
            assertEquals(sent, got.getProperties());
            assertEquals("body", Broker.text(got));
        }
    }

    @Test
    void largeBodiesArriveWhole() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            String queue = Broker.queue(channel, null);
            BlockingQueue<Delivery> deliveries = Broker.consume(channel, queue, true);
            for (int size : new int[] {0, 1, 131_064, 131_065, 10_000_000}) {
                byte[] body = new byte[size];
                Arrays.fill(body, (byte) 7);
                channel.basicPublish("", queue, null, body);
                assertArrayEquals(body, Broker.next(deliveries).getBody());
            }
        }
    }

    @Test
    void confirmsComeForAll() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            channel.confirmSelect();
            String queue = Broker.queue(channel, null);
            for (int i = 0; i < 1000; i++) {
                Broker.send(channel, queue, "" + i, MessageProperties.PERSISTENT_BASIC);
            }
            channel.waitForConfirmsOrDie(Broker.LIMIT_MS);
            assertEquals(1000, channel.messageCount(queue));
            assertEquals(1000, channel.queuePurge(queue).getMessageCount());
        }
    }

    @Test
    void unroutableIsReturnedBeforeItsConfirm() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            channel.confirmSelect();
            BlockingQueue<String> order = new LinkedBlockingQueue<>();
            channel.addReturnListener(lost -> order.add(lost.getReplyCode() + " " + lost.getReplyText()));
            channel.addConfirmListener((tag, multiple) -> order.add("ack"), (tag, multiple) -> order.add("nack"));
            channel.basicPublish("", Broker.unique(), true, null, new byte[0]);
            assertEquals(List.of("312 NO_ROUTE", "ack"), List.of(Broker.next(order), Broker.next(order)));
        }
    }

    @Test
    void prefetchHoldsBackUntilAck() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            channel.confirmSelect();
            String queue = Broker.queue(channel, null);
            for (int i = 1; i <= 5; i++) {
                Broker.send(channel, queue, "" + i, null);
            }
            channel.waitForConfirmsOrDie(Broker.LIMIT_MS);
            channel.basicQos(2);
            BlockingQueue<Delivery> deliveries = Broker.consume(channel, queue, false);
            Broker.next(deliveries);
            Delivery second = Broker.next(deliveries);
            assertEquals(3, channel.messageCount(queue));
            assertTrue(deliveries.isEmpty());
            channel.basicAck(second.getEnvelope().getDeliveryTag(), true);
            assertEquals(List.of("3", "4"), Broker.texts(deliveries, 2));
        }
    }

    @Test
    void requeuedKeepsItsPlace() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            channel.confirmSelect();
            String queue = Broker.queue(channel, null);
            Broker.send(channel, queue, "1", null);
            Broker.send(channel, queue, "2", null);
            channel.waitForConfirmsOrDie(Broker.LIMIT_MS);
            GetResponse first = channel.basicGet(queue, false);
            assertEquals(1, first.getMessageCount());
            assertFalse(first.getEnvelope().isRedeliver());
            channel.basicReject(first.getEnvelope().getDeliveryTag(), true);
            GetResponse again = channel.basicGet(queue, true);
            assertTrue(again.getEnvelope().isRedeliver());
            assertEquals("1", new String(again.getBody()));
            assertNotNull(channel.basicGet(queue, true));
            assertNull(channel.basicGet(queue, true));
        }
    }

    @Test
    void recoverDeliversAgain() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            String queue = Broker.queue(channel, null);
            BlockingQueue<Delivery> deliveries = Broker.consume(channel, queue, false);
            Broker.send(channel, queue, "x", null);
            assertFalse(Broker.next(deliveries).getEnvelope().isRedeliver());
            channel.basicRecover(true);
            assertTrue(Broker.next(deliveries).getEnvelope().isRedeliver());
        }
    }

    @Test
    void secondAckClosesTheChannel() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            String queue = Broker.queue(channel, null);
            Broker.send(channel, queue, "x", null);
            Delivery delivery = Broker.next(Broker.consume(channel, queue, false));
            BlockingQueue<com.rabbitmq.client.ShutdownSignalException> closed = new LinkedBlockingQueue<>();
            channel.addShutdownListener(closed::add);
            channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
            channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
            Broker.assertReason(406, "PRECONDITION_FAILED - unknown delivery tag 1", Broker.next(closed));
        }
    }

    @Test
    void deletedQueueCancelsItsConsumers() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            String queue = Broker.queue(channel, null);
            CompletableFuture<String> cancelled = new CompletableFuture<>();
            String tag = channel.basicConsume(queue, true, (t, delivery) -> { }, cancelled::complete);
            channel.queueDelete(queue);
            assertEquals(tag, cancelled.get(Broker.LIMIT_MS, TimeUnit.MILLISECONDS));
        }
    }

    @Test
    void transactionsAreSeenAtCommit() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            Channel other = broker.channel();
            String queue = Broker.queue(channel, null);
            channel.txSelect();
            Broker.send(channel, queue, "rolled back", null);
            channel.txRollback();
            Broker.send(channel, queue, "committed", null);
            assertEquals(0, other.messageCount(queue));
            channel.txCommit();
            assertEquals("committed", new String(other.basicGet(queue, true).getBody()));
        }
    }

    @Test
    void exchangesAndBindingsRoute() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            String from = Broker.unique();
            String to = Broker.unique();
            channel.exchangeDeclare(from, "topic", false, true, null);
            channel.exchangeDeclare(to, "headers", false, true, null);
            String queue = Broker.queue(channel, null);
            channel.exchangeBind(to, from, "orders.*.#");
            Map<String, Object> match = Map.of("x-match", "all", "kind", "a", "size", 2);
            channel.queueBind(queue, to, "", match);
            for (Map<String, Object> headers : List.<Map<String, Object>>of(Map.of("kind", "a"), Map.of("kind", "a", "size", 2))) {
                channel.basicPublish(from, "orders.new", new BasicProperties.Builder().headers(headers).build(),
                    ("" + headers.size()).getBytes());
            }
            assertEquals("2", Broker.text(Broker.next(Broker.consume(channel, queue, true))));
            channel.queueUnbind(queue, to, "", match);
            channel.exchangeUnbind(to, from, "orders.*.#");
        }
    }

    @Test
    void repliesComeDirectly() throws Exception {
        try (Broker broker = new Broker()) {
            Channel server = broker.channel();
            Channel client = broker.channel();
            String queue = Broker.queue(server, null);
            server.basicConsume(queue, true, (tag, request) -> server.basicPublish("", request.getProperties().getReplyTo(),
                null, (Broker.text(request) + "!").getBytes()), tag -> { });
            BlockingQueue<Delivery> answers = Broker.consume(client, "amq.rabbitmq.reply-to", true);
            Broker.send(client, queue, "hello", new BasicProperties.Builder().replyTo("amq.rabbitmq.reply-to").build());
            assertEquals("hello!", Broker.text(Broker.next(answers)));
        }
    }

    @Test
    void alternateExchangeTakesTheRest() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            String other = Broker.unique();
            String main = Broker.unique();
            channel.exchangeDeclare(other, "fanout", false, true, null);
            channel.exchangeDeclare(main, "direct", false, false, Map.of("alternate-exchange", other));
            String queue = Broker.queue(channel, null);
            channel.queueBind(queue, other, "");
            channel.basicPublish(main, "nobody", null, "x".getBytes());
            assertEquals(main, Broker.next(Broker.consume(channel, queue, true)).getEnvelope().getExchange());
            channel.exchangeDelete(main);
        }
    }

    @Test
    void listsOfBodiesKeepTheirOrder() throws Exception {
        try (Broker broker = new Broker()) {
            Channel channel = broker.channel();
            String queue = Broker.queue(channel, null);
            List<String> sent = new ArrayList<>();
            for (int i = 0; i < 5000; i++) {
                sent.add("" + i);
                Broker.send(channel, queue, "" + i, null);
            }
            assertEquals(sent, Broker.texts(Broker.consume(channel, queue, true), 5000));
        }
    }
}
