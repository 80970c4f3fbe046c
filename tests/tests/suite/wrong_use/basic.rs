//! Class `basic` without what concerns a publish's content.

use leveret_tests::{
    methods::{
        Properties,
        basic::{
            EXCLUSIVE, IMMEDIATE, MANDATORY, NO_ACK, NO_LOCAL, ack, cancel, cancel_ok, consume, get, nack,
            publish, qos, recover, recover_async, reject,
        },
        exchange, queue,
    },
    wire::{Table, Writer},
};

use super::{Case, script::Script};

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

fn none() -> Table {
    Table::default()
}

/// One message of a queue got and acked.
fn one_acked(s: &mut Script) {
    s.open();
    let queue = s.filled_queue(1);
    s.get(&queue);
    s.send(1, ack(1, false));
}

/// One message of a queue got and not acked.
fn one_unacked(s: &mut Script) {
    s.open();
    let queue = s.filled_queue(1);
    s.get(&queue);
}

fn with_foreign_queue(s: &mut Script, then: fn(&mut Script, &str)) {
    s.open();
    let name = s.queue();
    let mut owner = s.neighbour();
    let declare = queue::declare(&name, queue::EXCLUSIVE, &none());
    owner.call(1, declare, (50, 11)).expect("the owner's queue");
    then(s, &name);
    drop(owner);
}

fn consume_with(s: &mut Script, arguments: &Table) {
    s.open();
    let queue = s.new_queue(0);
    s.ask(consume(&queue, "t", 0, arguments));
}

fn consume_quorum_with(s: &mut Script, arguments: &Table) {
    s.open();
    let queue = s.queue();
    let quorum = none().text("x-queue-type", "quorum");
    s.ok(1, queue::declare(&queue, queue::DURABLE, &quorum));
    s.ask(consume(&queue, "t", 0, arguments));
}

pub(super) const CASES: &[Case] = &[
    ("basic.qos: prefetch size", |s| {
        s.open();
        s.ask(qos(1_000, 1, false));
    }),
    ("basic.qos: prefetch size, global", |s| {
        s.open();
        s.ask(qos(1, 0, true));
    }),
    ("basic.qos: global", |s| {
        s.open();
        s.ask(qos(0, 1, true));
    }),
    ("basic.qos: cut short", |s| {
        s.open();
        s.ask(Writer::method(60, 10).u16(0).done());
    }),
    ("basic.consume: missing queue", |s| {
        s.open();
        let queue = s.queue();
        s.ask(consume(&queue, "t", 0, &none()));
    }),
    ("basic.consume: missing queue, no answer wanted", |s| {
        s.open();
        let queue = s.queue();
        s.ask(consume(&queue, "t", 8, &none()));
    }),
    ("basic.consume: empty name, none declared", |s| {
        s.open();
        s.ask(consume("", "t", 0, &none()));
    }),
    ("basic.consume: tag used twice", |s| {
        s.open();
        let queue = s.new_queue(0);
        s.ok(1, consume(&queue, "t", 0, &none()));
        s.ask(consume(&queue, "t", 0, &none()));
    }),
    ("basic.consume: tag of another channel", |s| {
        s.open();
        let queue = s.new_queue(0);
        s.ok(2, leveret_tests::methods::channel::open());
        s.ok(2, consume(&queue, "t", 0, &none()));
        s.ask(consume(&queue, "t", 0, &none()));
    }),
    ("basic.consume: tag used twice, the queue missing", |s| {
        s.open();
        let queue = s.new_queue(0);
        s.ok(1, consume(&queue, "t", 0, &none()));
        s.ask(consume("missing", "t", 0, &none()));
    }),
    ("basic.consume: empty tag", |s| {
        s.open();
        let queue = s.new_queue(0);
        s.ask(consume(&queue, "", 0, &none()));
    }),
    ("basic.consume: exclusive, is consumed", |s| {
        s.open();
        let queue = s.new_queue(0);
        s.ok(1, consume(&queue, "a", 0, &none()));
        s.ask(consume(&queue, "b", EXCLUSIVE, &none()));
    }),
    ("basic.consume: consumed exclusively", |s| {
        s.open();
        let queue = s.new_queue(0);
        s.ok(1, consume(&queue, "a", EXCLUSIVE, &none()));
        s.ask(consume(&queue, "b", 0, &none()));
    }),
    ("basic.consume: another's exclusive queue", |s| {
        with_foreign_queue(s, |s, name| s.ask(consume(name, "t", 0, &none())));
    }),
    ("basic.consume: no-local", |s| {
        s.open();
        let queue = s.new_queue(0);
        s.ask(consume(&queue, "t", NO_LOCAL, &none()));
    }),
    ("basic.consume: priority is a text", |s| {
        consume_with(s, &none().text("x-priority", "high"));
    }),
    ("basic.consume: priority is a boolean", |s| {
        consume_with(s, &none().flag("x-priority", true));
    }),
    ("basic.consume: priority is a fraction", |s| {
        consume_with(s, &none().field("x-priority", b'd', &1.5_f64.to_be_bytes()));
    }),
    ("basic.consume: priority is negative", |s| {
        consume_with(s, &none().int("x-priority", -5));
    }),
    ("basic.consume: priority is a text, on a quorum queue", |s| {
        consume_quorum_with(s, &none().text("x-priority", "high"));
    }),
    ("basic.consume: unknown argument", |s| {
        consume_with(s, &none().text("x-odd", "1"));
    }),
    ("basic.consume: global prefetch, on a quorum queue", |s| {
        s.open();
        s.ok(1, qos(0, 1, true));
        let queue = s.queue();
        let quorum = none().text("x-queue-type", "quorum");
        s.ok(1, queue::declare(&queue, queue::DURABLE, &quorum));
        s.ask(consume(&queue, "t", 0, &none()));
    }),
    ("basic.consume: reply-to with acks", |s| {
        s.open();
        s.ask(consume(REPLY_TO, "t", 0, &none()));
    }),
    ("basic.consume: reply-to twice", |s| {
        s.open();
        s.ok(1, consume(REPLY_TO, "a", NO_ACK, &none()));
        s.ask(consume(REPLY_TO, "b", NO_ACK, &none()));
    }),
    ("basic.consume: reply-to twice with one tag", |s| {
        s.open();
        s.ok(1, consume(REPLY_TO, "a", NO_ACK, &none()));
        s.ask(consume(REPLY_TO, "a", NO_ACK, &none()));
    }),
    ("basic.consume: a forged reply name", |s| {
        s.open();
        s.ask(consume(&format!("{REPLY_TO}.forged"), "t", NO_ACK, &none()));
    }),
    ("basic.consume: cut short", |s| {
        s.open();
        s.ask(Writer::method(60, 20).u16(0).short("q").done());
    }),
    ("basic.consume-ok: from a client", |s| {
        s.open();
        s.ask(Writer::method(60, 21).short("t").done());
    }),
    ("basic.cancel: unknown tag", |s| {
        s.open();
        s.ask(cancel("nobody", false));
    }),
    ("basic.cancel: unknown tag, no answer wanted", |s| {
        s.open();
        s.ask(cancel("nobody", true));
    }),
    ("basic.cancel: tag of another channel", |s| {
        s.open();
        let queue = s.new_queue(0);
        s.ok(2, leveret_tests::methods::channel::open());
        s.ok(2, consume(&queue, "t", 0, &none()));
        s.ask(cancel("t", false));
    }),
    ("basic.cancel: the reply-to consumer twice", |s| {
        s.open();
        s.ok(1, consume(REPLY_TO, "t", NO_ACK, &none()));
        s.ok(1, cancel("t", false));
        s.ask(cancel("t", false));
    }),
    ("basic.cancel-ok: without a cancel", |s| {
        s.open();
        s.ask(cancel_ok("t"));
    }),
    ("basic.deliver: from a client", |s| {
        s.open();
        let payload = Writer::method(60, 60).short("t").u64(1).u8(0).short("").short("q");
        s.ask(payload.done());
    }),
    ("basic.return: from a client", |s| {
        s.open();
        let payload = Writer::method(60, 50).u16(312).short("t").short("").short("q");
        s.ask(payload.done());
    }),
    ("basic.get: missing queue", |s| {
        s.open();
        let queue = s.queue();
        s.ask(get(&queue, false));
    }),
    ("basic.get: empty name, none declared", |s| {
        s.open();
        s.ask(get("", false));
    }),
    ("basic.get: another's exclusive queue", |s| {
        with_foreign_queue(s, |s, name| s.ask(get(name, false)));
    }),
    ("basic.get: empty queue", |s| {
        s.open();
        let queue = s.new_queue(0);
        s.ask(get(&queue, false));
    }),
    ("basic.get: a queue consumed exclusively", |s| {
        s.open();
        let queue = s.new_queue(0);
        s.ok(1, consume(&queue, "a", EXCLUSIVE, &none()));
        s.ask(get(&queue, false));
    }),
    ("basic.get: direct reply-to", |s| {
        s.open();
        s.ask(get(REPLY_TO, true));
    }),
    ("basic.get: cut short", |s| {
        s.open();
        s.ask(Writer::method(60, 70).u16(0).done());
    }),
    ("basic.get-ok: from a client", |s| {
        s.open();
        let payload = Writer::method(60, 71).u64(1).u8(0).short("").short("q");
        s.ask(payload.u32(0).done());
    }),
    ("basic.ack: unknown tag", |s| {
        s.open();
        s.ask(ack(7, false));
    }),
    ("basic.ack: unknown tag, multiple", |s| {
        s.open();
        s.ask(ack(7, true));
    }),
    ("basic.ack: tag 0", |s| {
        s.open();
        s.ask(ack(0, false));
    }),
    ("basic.ack: tag 0, multiple, nothing unacked", |s| {
        s.open();
        s.ask(ack(0, true));
    }),
    ("basic.ack: twice", |s| {
        one_acked(s);
        s.ask(ack(1, false));
    }),
    ("basic.ack: twice, multiple", |s| {
        one_acked(s);
        s.ask(ack(1, true));
    }),
    ("basic.ack: above the highest tag, multiple", |s| {
        one_unacked(s);
        s.ask(ack(2, true));
    }),
    ("basic.ack: the largest tag", |s| {
        one_unacked(s);
        s.ask(ack(u64::MAX, false));
    }),
    ("basic.ack: a message got without acks", |s| {
        s.open();
        let queue = s.filled_queue(1);
        s.send(1, get(&queue, true));
        s.answer(1);
        s.ask(ack(1, false));
    }),
    ("basic.ack: a tag of another channel", |s| {
        one_unacked(s);
        s.ok(2, leveret_tests::methods::channel::open());
        s.send(2, ack(1, false));
        s.answer(2);
    }),
    ("basic.ack: cut short", |s| {
        s.open();
        s.ask(Writer::method(60, 80).u32(0).done());
    }),
    ("basic.reject: unknown tag", |s| {
        s.open();
        s.ask(reject(7, true));
    }),
    ("basic.reject: tag 0", |s| {
        one_unacked(s);
        s.ask(reject(0, true));
    }),
    ("basic.reject: after an ack", |s| {
        one_acked(s);
        s.ask(reject(1, false));
    }),
    ("basic.nack: unknown tag", |s| {
        s.open();
        s.ask(nack(7, false, true));
    }),
    ("basic.nack: unknown tag, multiple", |s| {
        s.open();
        s.ask(nack(7, true, true));
    }),
    ("basic.nack: tag 0", |s| {
        one_unacked(s);
        s.ask(nack(0, false, true));
    }),
    ("basic.nack: tag 0, multiple, nothing unacked", |s| {
        s.open();
        s.ask(nack(0, true, false));
    }),
    ("basic.nack: after an ack", |s| {
        one_acked(s);
        s.ask(nack(1, false, false));
    }),
    ("basic.recover: without requeue", |s| {
        s.open();
        s.ask(recover(false));
    }),
    ("basic.recover: with requeue, nothing unacked", |s| {
        s.open();
        s.ask(recover(true));
    }),
    ("basic.recover-async: without requeue", |s| {
        s.open();
        s.ask(recover_async(false));
    }),
    ("basic.recover-async: with requeue, nothing unacked", |s| {
        s.open();
        s.ask(recover_async(true));
    }),
    ("basic.recover: then the old tag acked", |s| {
        one_unacked(s);
        s.ok(1, recover(true));
        s.ask(ack(1, false));
    }),
    ("basic.publish: missing exchange", |s| {
        s.open();
        let exchange = s.exchange();
        s.publish(&exchange, "k", 0, &Properties::default(), b"hello");
        s.answer(1);
    }),
    ("basic.publish: missing exchange, method alone", |s| {
        s.open();
        let exchange = s.exchange();
        s.send(1, publish(&exchange, "k", 0));
        s.publish_to("k", &Properties::default());
        s.until_close();
    }),
    ("basic.publish: internal exchange", |s| {
        s.open();
        let exchange = s.new_exchange("direct", exchange::INTERNAL);
        s.publish(&exchange, "k", 0, &Properties::default(), b"hello");
        s.answer(1);
    }),
    ("basic.publish: immediate", |s| {
        s.open();
        s.publish("", "k", IMMEDIATE, &Properties::default(), b"hello");
        s.answer(1);
    }),
    ("basic.publish: mandatory, to no queue", |s| {
        s.open();
        let queue = s.queue();
        s.publish("", &queue, MANDATORY, &Properties::default(), b"hello");
        s.answer(1);
    }),
    ("basic.publish: mandatory, empty body, to no queue", |s| {
        s.open();
        s.publish("amq.direct", "k", MANDATORY, &Properties::default(), b"");
        s.answer(1);
    }),
    ("basic.publish: to no queue", |s| {
        s.open();
        let queue = s.queue();
        s.publish_to(&queue, &Properties::default());
        s.answer(1);
    }),
    ("basic.publish: cut short", |s| {
        s.open();
        s.ask(Writer::method(60, 40).u16(0).done());
    }),
    ("basic: unknown method 60.99", |s| {
        s.open();
        s.ask(Writer::method(60, 99).done());
    }),
];
