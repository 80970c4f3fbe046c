package leveret;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultSaslConfig;
import com.rabbitmq.client.Delivery;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.concurrent.BlockingQueue;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLException;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** TLS: AMQPS_PORT says where, TLS_FOLDER has the authority and a client's certificate, which is guest's. */
final class TlsTest {
    private static final char[] NO_PASSWORD = new char[0];

    private static Path file(String name) {
        return Path.of(System.getenv("TLS_FOLDER"), name);
    }

    /** A factory for the TLS listener, which verifies the broker's certificate and name. */
    private static ConnectionFactory factory(String version, KeyManager[] shown, TrustManager[] trusted) throws Exception {
        String port = System.getenv("AMQPS_PORT");
        assumeTrue(port != null, "the broker does not listen for TLS");
        SSLContext context = SSLContext.getInstance(version);
        context.init(shown, trusted, null);
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost("localhost");
        factory.setPort(Integer.parseInt(port));
        factory.setAutomaticRecoveryEnabled(false);
        factory.useSslProtocol(context);
        factory.enableHostnameVerification();
        return factory;
    }

    private static Certificate certificate(String name) throws Exception {
        try (InputStream pem = Files.newInputStream(file(name))) {
            return CertificateFactory.getInstance("X.509").generateCertificate(pem);
        }
    }

    private static KeyStore empty() throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, NO_PASSWORD);
        return store;
    }

    private static TrustManager[] authority() throws Exception {
        KeyStore store = empty();
        store.setCertificateEntry("authority", certificate("ca_certificate.pem"));
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        return trust.getTrustManagers();
    }

    private static KeyManager[] guest() throws Exception {
        String pem = Files.readString(file("client_key.pem"));
        byte[] der = Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", ""));
        PrivateKey key = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der));
        KeyStore store = empty();
        store.setKeyEntry("guest", key, NO_PASSWORD, new Certificate[] {certificate("client_certificate.pem")});
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store, NO_PASSWORD);
        return keys.getKeyManagers();
    }

    private static void roundTrip(Connection connection, byte[] body) throws Exception {
        Channel channel = connection.createChannel();
        String queue = Broker.queue(channel, null);
        channel.basicPublish("", queue, new AMQP.BasicProperties(), body);
        BlockingQueue<Delivery> deliveries = Broker.consume(channel, queue, true);
        assertArrayEquals(body, Broker.next(deliveries).getBody());
        channel.close();
    }

    private static void allSizes(String version) throws Exception {
        try (Connection connection = factory(version, null, authority()).newConnection()) {
            for (int size : new int[] {1, 16_384, 131_072, 3_000_000}) {
                roundTrip(connection, new byte[size]);
            }
        }
    }

    @Test
    void bodiesOfAllSizesOverTls12() throws Exception {
        allSizes("TLSv1.2");
    }

    @Test
    void bodiesOfAllSizesOverTls13() throws Exception {
        allSizes("TLSv1.3");
    }

    @Test
    void aCertificateLogsIn() throws Exception {
        ConnectionFactory factory = factory("TLSv1.3", guest(), authority());
        factory.setSaslConfig(DefaultSaslConfig.EXTERNAL);
        try (Connection connection = factory.newConnection()) {
            roundTrip(connection, new byte[] {1, 2, 3});
        }
    }

    @Test
    void anAuthorityThatIsNotTrustedIsRefused() throws Exception {
        ConnectionFactory factory = factory("TLSv1.3", null, null);
        assertThrows(SSLException.class, factory::newConnection);
    }
}
