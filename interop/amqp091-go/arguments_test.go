package interop

import (
	"fmt"
	"reflect"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestExpiredIsDeadLettered(t *testing.T) {
	channel := open(t)
	dead := queue(t, channel, nil)
	name := queue(t, channel, amqp.Table{
		"x-message-ttl": int32(20), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead,
	})
	send(t, channel, name, "late")
	letter := next(t, consume(t, channel, dead, true))
	deaths, ok := letter.Headers["x-death"].([]interface{})
	if !ok || len(deaths) != 1 {
		t.Fatalf("x-death %v", letter.Headers["x-death"])
	}
	death, ok := deaths[0].(amqp.Table)
	if !ok || death["reason"] != "expired" || death["queue"] != name || death["count"] != int64(1) {
		t.Fatalf("death %v", deaths[0])
	}
	if letter.Headers["x-last-death-queue"] != name {
		t.Fatalf("headers %v", letter.Headers)
	}
}

func TestPriorities(t *testing.T) {
	channel := open(t)
	check(t, channel.Confirm(false))
	name := queue(t, channel, amqp.Table{"x-max-priority": int32(3)})
	for _, priority := range []uint8{1, 3, 0, 2} {
		confirmed(t, channel, name, amqp.Publishing{Priority: priority, Body: []byte(fmt.Sprint(priority))})
	}
	if got := texts(t, consume(t, channel, name, true), 4); !reflect.DeepEqual(got, []string{"3", "2", "1", "0"}) {
		t.Fatalf("got %v", got)
	}
}

func TestFullQueueNacks(t *testing.T) {
	channel := open(t)
	check(t, channel.Confirm(false))
	name := queue(t, channel, amqp.Table{"x-max-length": int32(1), "x-overflow": "reject-publish"})
	if !confirmed(t, channel, name, amqp.Publishing{}) {
		t.Fatal("the first was nacked")
	}
	if confirmed(t, channel, name, amqp.Publishing{}) {
		t.Fatal("the second was acked")
	}
}

func TestQuorumCountsDeliveries(t *testing.T) {
	channel := open(t)
	name := unique(t)
	_, err := channel.QueueDeclare(name, true, false, false, false, amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": int32(2)})
	check(t, err)
	check(t, channel.Confirm(false))
	confirmed(t, channel, name, amqp.Publishing{Body: []byte("poison")})
	deliveries := consume(t, channel, name, false)
	counts := []interface{}{}
	for i := 0; i < 3; i++ {
		delivery := next(t, deliveries)
		counts = append(counts, delivery.Headers["x-delivery-count"])
		check(t, delivery.Nack(false, true))
	}
	if !reflect.DeepEqual(counts, []interface{}{nil, int64(1), int64(2)}) {
		t.Fatalf("counts %v", counts)
	}
	_, err = channel.QueueDelete(name, false, false, false)
	check(t, err)
}

func TestInvalidArgumentIsRefused(t *testing.T) {
	channel := open(t)
	name := unique(t)
	_, err := channel.QueueDeclare(name, false, false, true, false, amqp.Table{"x-message-ttl": int32(-1)})
	refused(t, err, amqp.PreconditionFailed,
		"PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue '"+name+"' in vhost '/': {value_negative,-1}")
}
