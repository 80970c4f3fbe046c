package interop

import (
	"net/url"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func changed(t *testing.T, change func(*url.URL)) string {
	t.Helper()
	parsed, err := url.Parse(address())
	check(t, err)
	change(parsed)
	return parsed.String()
}

func TestServerIntroducesItself(t *testing.T) {
	connection := connect(t)
	if product := connection.Properties["product"]; product != "RabbitMQ" {
		t.Fatalf("product %v", product)
	}
	capabilities, ok := connection.Properties["capabilities"].(amqp.Table)
	if !ok || capabilities["basic.nack"] != true || capabilities["publisher_confirms"] != true {
		t.Fatalf("capabilities %v", connection.Properties["capabilities"])
	}
	if connection.Major != 0 || connection.Minor != 9 {
		t.Fatalf("version %d-%d", connection.Major, connection.Minor)
	}
}

func TestWrongPasswordIsRefused(t *testing.T) {
	_, err := amqp.Dial(changed(t, func(to *url.URL) { to.User = url.UserPassword("guest", "wrong") }))
	refused(t, err, amqp.AccessRefused, "username or password not allowed")
}

func TestUnknownVhostIsRefused(t *testing.T) {
	_, err := amqp.Dial(changed(t, func(to *url.URL) { to.Path, to.RawPath = "/nowhere", "" }))
	// The client's own words for a connection that ends at connection.open.
	refused(t, err, amqp.AccessRefused, "no access to this vhost")
}

func TestAmqplainIsOffered(t *testing.T) {
	parsed, err := amqp.ParseURI(address())
	check(t, err)
	login := &amqp.AMQPlainAuth{Username: parsed.Username, Password: parsed.Password}
	connection, err := amqp.DialConfig(address(), amqp.Config{SASL: []amqp.Authentication{login}})
	check(t, err)
	check(t, connection.Close())
}

func TestTuningIsNegotiated(t *testing.T) {
	connection, err := amqp.DialConfig(address(), amqp.Config{FrameSize: 8192, ChannelMax: 3, Heartbeat: 7 * time.Second})
	check(t, err)
	defer connection.Close()
	config := connection.Config
	if config.FrameSize != 8192 || config.ChannelMax != 3 || config.Heartbeat != 7*time.Second {
		t.Fatalf("tuned to %+v", config)
	}
	for i := 0; i < 3; i++ {
		_, err := connection.Channel()
		check(t, err)
	}
	if _, err := connection.Channel(); err == nil {
		t.Fatal("a fourth channel opened")
	}
}

func TestChannelErrorSparesTheConnection(t *testing.T) {
	connection := connect(t)
	bad, err := connection.Channel()
	check(t, err)
	name := unique(t)
	_, err = bad.QueueDeclarePassive(name, false, false, false, false, nil)
	refused(t, err, amqp.NotFound, "NOT_FOUND - no queue '"+name+"' in vhost '/'")
	good, err := connection.Channel()
	check(t, err)
	queue(t, good, nil)
}

func TestChannelsComeAndGo(t *testing.T) {
	connection := connect(t)
	for i := 0; i < 300; i++ {
		channel, err := connection.Channel()
		check(t, err)
		check(t, channel.Close())
	}
}

func TestImmediateIsNotImplemented(t *testing.T) {
	connection := connect(t)
	closed := connection.NotifyClose(make(chan *amqp.Error, 1))
	channel, err := connection.Channel()
	check(t, err)
	check(t, channel.Publish("", "key", false, true, amqp.Publishing{}))
	if err := next(t, closed); err.Code != amqp.NotImplemented || !strings.HasSuffix(err.Reason, "immediate=true") {
		t.Fatalf("closed by %v", err)
	}
}
