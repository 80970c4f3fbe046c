// Package interop holds Leveret's tests of an unmodified amqp091-go.
package interop

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// limit ends a wait in vain; nothing here is expected to take as long.
const limit = 20 * time.Second

func address() string {
	if url := os.Getenv("AMQP_URL"); url != "" {
		return url
	}
	return "amqp://guest:guest@localhost:5672/%2f"
}

// unique is a name that no other test uses.
func unique(t *testing.T) string {
	t.Helper()
	var random [6]byte
	if _, err := rand.Read(random[:]); err != nil {
		t.Fatal(err)
	}
	return "leveret-go-" + hex.EncodeToString(random[:])
}

// connect opens a connection that is closed when the test ends.
func connect(t *testing.T) *amqp.Connection {
	t.Helper()
	connection, err := amqp.Dial(address())
	check(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// open opens a channel on a connection of its own.
func open(t *testing.T) *amqp.Channel {
	t.Helper()
	channel, err := connect(t).Channel()
	check(t, err)
	return channel
}

// queue declares a queue that goes with its connection.
func queue(t *testing.T, channel *amqp.Channel, args amqp.Table) string {
	t.Helper()
	declared, err := channel.QueueDeclare(unique(t), false, false, true, false, args)
	check(t, err)
	return declared.Name
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks for the reply code and the whole text of an AMQP error.
func refused(t *testing.T, err error, code int, text string) {
	t.Helper()
	var failure *amqp.Error
	if !errors.As(err, &failure) || failure.Code != code || failure.Reason != text {
		t.Fatalf("got %v, expected %d %q", err, code, text)
	}
}

// send publishes a text to a queue.
func send(t *testing.T, channel *amqp.Channel, to string, text string) {
	t.Helper()
	publish(t, channel, to, amqp.Publishing{Body: []byte(text)})
}

func publish(t *testing.T, channel *amqp.Channel, to string, message amqp.Publishing) {
	t.Helper()
	check(t, channel.PublishWithContext(context.Background(), "", to, false, false, message))
}

// confirmed publishes and waits for the confirm.
func confirmed(t *testing.T, channel *amqp.Channel, to string, message amqp.Publishing) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	confirm, err := channel.PublishWithDeferredConfirmWithContext(ctx, "", to, false, false, message)
	check(t, err)
	acked, err := confirm.WaitContext(ctx)
	check(t, err)
	return acked
}

// consume starts a consumer.
func consume(t *testing.T, channel *amqp.Channel, name string, noAck bool) <-chan amqp.Delivery {
	t.Helper()
	deliveries, err := channel.Consume(name, "", noAck, false, false, false, nil)
	check(t, err)
	return deliveries
}

// next is what comes next from a Go channel.
func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value, ok := <-from:
		if !ok {
			t.Fatal("closed")
		}
		return value
	case <-time.After(limit):
		t.Fatal("nothing came")
	}
	panic("unreachable")
}

// texts are the bodies of the next deliveries.
func texts(t *testing.T, from <-chan amqp.Delivery, count int) []string {
	t.Helper()
	bodies := make([]string, 0, count)
	for len(bodies) < count {
		bodies = append(bodies, string(next(t, from).Body))
	}
	return bodies
}
