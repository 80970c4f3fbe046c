package interop

import (
	"bytes"
	"context"
	"reflect"
	"strconv"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestPropertiesComeBack(t *testing.T) {
	channel := open(t)
	name := queue(t, channel, nil)
	when := time.Unix(1_700_000_000, 0)
	sent := amqp.Publishing{
		Headers: amqp.Table{
			"text": "häse", "yes": true, "byte": byte(200), "int8": int8(-3), "int16": int16(-300), "int32": int32(-70_000),
			"int64": int64(1) << 40, "float": float32(0.5), "double": 0.25, "decimal": amqp.Decimal{Scale: 2, Value: 1234},
			"bytes": []byte{0, 255}, "when": when, "nothing": nil,
			"list": []interface{}{int32(1), "two", amqp.Table{"three": int32(3)}}, "table": amqp.Table{"deep": "er"},
		},
		ContentType: "text/plain", ContentEncoding: "identity", DeliveryMode: amqp.Persistent, Priority: 3,
		CorrelationId: "c", ReplyTo: "r", Expiration: "60000", MessageId: "m", Timestamp: when, Type: "kind",
		UserId: "guest", AppId: "app", Body: []byte("body"),
	}
	publish(t, channel, name, sent)
	got := next(t, consume(t, channel, name, true))
	if !reflect.DeepEqual(got.Headers, sent.Headers) {
		t.Fatalf("headers %#v", got.Headers)
	}
	back := amqp.Publishing{
		Headers: got.Headers, ContentType: got.ContentType, ContentEncoding: got.ContentEncoding,
		DeliveryMode: got.DeliveryMode, Priority: got.Priority, CorrelationId: got.CorrelationId, ReplyTo: got.ReplyTo,
		Expiration: got.Expiration, MessageId: got.MessageId, Timestamp: got.Timestamp, Type: got.Type,
		UserId: got.UserId, AppId: got.AppId, Body: got.Body,
	}
	if !reflect.DeepEqual(back, sent) {
		t.Fatalf("got %#v", back)
	}
}

func TestLargeBodies(t *testing.T) {
	channel := open(t)
	name := queue(t, channel, nil)
	deliveries := consume(t, channel, name, true)
	for _, size := range []int{0, 1, 131_064, 131_065, 10_000_000} {
		body := bytes.Repeat([]byte{7}, size)
		publish(t, channel, name, amqp.Publishing{Body: body})
		if got := next(t, deliveries); !bytes.Equal(got.Body, body) {
			t.Fatalf("%d bytes became %d", size, len(got.Body))
		}
	}
}

func TestConfirms(t *testing.T) {
	channel := open(t)
	check(t, channel.Confirm(false))
	name := queue(t, channel, nil)
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation, 1000))
	for i := 0; i < 1000; i++ {
		send(t, channel, name, strconv.Itoa(i))
	}
	for tag := uint64(1); tag <= 1000; tag++ {
		if confirm := next(t, confirms); !confirm.Ack || confirm.DeliveryTag != tag {
			t.Fatalf("confirm %+v, expected %d", confirm, tag)
		}
	}
	state, err := channel.QueueDeclarePassive(name, false, false, true, false, nil)
	check(t, err)
	if state.Messages != 1000 {
		t.Fatalf("%d messages", state.Messages)
	}
}

func TestUnroutableIsReturnedBeforeItsConfirm(t *testing.T) {
	channel := open(t)
	check(t, channel.Confirm(false))
	order := make(chan string, 2)
	returns := channel.NotifyReturn(make(chan amqp.Return))
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation))
	go func() {
		for i := 0; i < 2; i++ {
			select {
			case lost := <-returns:
				order <- strconv.Itoa(int(lost.ReplyCode)) + " " + lost.ReplyText
			case <-confirms:
				order <- "confirm"
			}
		}
	}()
	check(t, channel.PublishWithContext(context.Background(), "", unique(t), true, false, amqp.Publishing{}))
	if first, second := next(t, order), next(t, order); first != "312 NO_ROUTE" || second != "confirm" {
		t.Fatalf("%s, then %s", first, second)
	}
}

func TestPrefetchAndMultipleAck(t *testing.T) {
	channel := open(t)
	check(t, channel.Confirm(false))
	name := queue(t, channel, nil)
	for i := 1; i <= 5; i++ {
		confirmed(t, channel, name, amqp.Publishing{Body: []byte(strconv.Itoa(i))})
	}
	check(t, channel.Qos(2, 0, false))
	deliveries := consume(t, channel, name, false)
	next(t, deliveries)
	second := next(t, deliveries)
	state, err := channel.QueueDeclarePassive(name, false, false, true, false, nil)
	check(t, err)
	if state.Messages != 3 || len(deliveries) != 0 {
		t.Fatalf("%d ready, %d too early", state.Messages, len(deliveries))
	}
	check(t, second.Ack(true))
	if got := texts(t, deliveries, 2); !reflect.DeepEqual(got, []string{"3", "4"}) {
		t.Fatalf("got %v", got)
	}
}

func TestRequeueKeepsThePlace(t *testing.T) {
	channel := open(t)
	check(t, channel.Confirm(false))
	name := queue(t, channel, nil)
	for _, text := range []string{"1", "2", "3"} {
		confirmed(t, channel, name, amqp.Publishing{Body: []byte(text)})
	}
	first, ok, err := channel.Get(name, false)
	check(t, err)
	if !ok || first.MessageCount != 2 {
		t.Fatalf("got %v, %d left", ok, first.MessageCount)
	}
	check(t, first.Nack(false, true))
	deliveries := consume(t, channel, name, true)
	if again := next(t, deliveries); string(again.Body) != "1" || !again.Redelivered {
		t.Fatalf("%s, redelivered %v", again.Body, again.Redelivered)
	}
	if rest := texts(t, deliveries, 2); !reflect.DeepEqual(rest, []string{"2", "3"}) {
		t.Fatalf("got %v", rest)
	}
}

func TestSecondAckClosesTheChannel(t *testing.T) {
	channel := open(t)
	name := queue(t, channel, nil)
	send(t, channel, name, "x")
	delivery := next(t, consume(t, channel, name, false))
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	check(t, delivery.Ack(false))
	check(t, delivery.Ack(false))
	refused(t, next(t, closed), amqp.PreconditionFailed, "PRECONDITION_FAILED - unknown delivery tag 1")
}

func TestCancelFromTheBroker(t *testing.T) {
	channel := open(t)
	name := queue(t, channel, nil)
	cancels := channel.NotifyCancel(make(chan string, 1))
	_, err := channel.Consume(name, "tag", false, false, false, false, nil)
	check(t, err)
	_, err = channel.QueueDelete(name, false, false, false)
	check(t, err)
	if tag := next(t, cancels); tag != "tag" {
		t.Fatalf("cancelled %q", tag)
	}
}

func TestTransactions(t *testing.T) {
	channel, other := open(t), open(t)
	declared, err := other.QueueDeclare(unique(t), false, true, false, false, nil)
	check(t, err)
	check(t, channel.Tx())
	send(t, channel, declared.Name, "rolled back")
	check(t, channel.TxRollback())
	send(t, channel, declared.Name, "committed")
	check(t, channel.TxCommit())
	got, ok, err := other.Get(declared.Name, true)
	check(t, err)
	if !ok || string(got.Body) != "committed" || got.MessageCount != 0 {
		t.Fatalf("%v %q, %d left", ok, got.Body, got.MessageCount)
	}
	_, err = other.QueueDelete(declared.Name, false, false, false)
	check(t, err)
}

func TestExchangesAndBindings(t *testing.T) {
	channel := open(t)
	from, to := unique(t), unique(t)
	check(t, channel.ExchangeDeclare(from, "topic", false, true, false, false, nil))
	check(t, channel.ExchangeDeclare(to, "headers", false, true, false, false, nil))
	name := queue(t, channel, nil)
	check(t, channel.ExchangeBind(to, "orders.*.#", from, false, nil))
	check(t, channel.QueueBind(name, "", to, false, amqp.Table{"x-match": "all", "kind": "a", "size": int32(2)}))
	for _, headers := range []amqp.Table{{"kind": "a"}, {"kind": "a", "size": int32(2)}} {
		message := amqp.Publishing{Headers: headers, Body: []byte(strconv.Itoa(len(headers)))}
		check(t, channel.PublishWithContext(context.Background(), from, "orders.new", false, false, message))
	}
	if got := next(t, consume(t, channel, name, true)); string(got.Body) != "2" {
		t.Fatalf("got %q", got.Body)
	}
	check(t, channel.ExchangeUnbind(to, "orders.*.#", from, false, nil))
	check(t, channel.QueueUnbind(name, "", to, amqp.Table{"x-match": "all", "kind": "a", "size": int32(2)}))
}

func TestDirectReplyTo(t *testing.T) {
	server, client := open(t), open(t)
	name := queue(t, server, nil)
	requests := consume(t, server, name, true)
	answers := consume(t, client, "amq.rabbitmq.reply-to", true)
	publish(t, client, name, amqp.Publishing{ReplyTo: "amq.rabbitmq.reply-to", CorrelationId: "7", Body: []byte("hello")})
	request := next(t, requests)
	publish(t, server, request.ReplyTo, amqp.Publishing{CorrelationId: request.CorrelationId, Body: append(request.Body, '!')})
	if answer := next(t, answers); string(answer.Body) != "hello!" || answer.CorrelationId != "7" {
		t.Fatalf("answer %q of %q", answer.Body, answer.CorrelationId)
	}
}
