//! Every method that a client may send on a channel, each as one line of the permission matrix.

use leveret_tests::{
    methods::{Properties, access, basic, channel, confirm, content_header, exchange, queue, tx},
    wire::{self, Table},
};

use super::script::Script;

/// A line of the matrix: its name begins with the method; the queues `q`, `other` and `full` and the exchanges `x`,
/// `y` and `topic` exist, `bound` is bound to `x` and `y` to `x` with the key `k`.
pub(super) type Operation = (&'static str, fn(&mut Script));

fn none() -> Table {
    Table::default()
}

fn publish(s: &mut Script, exchange: &str, key: &str, flags: u8) {
    s.send(1, basic::publish(exchange, key, flags));
    s.frame(wire::HEADER, 1, content_header(0, &Properties::default()));
    s.answer(1);
}

/// One message got by the administrator's permission to read is not to be had here: the tag is unknown.
fn settle(s: &mut Script, method: Vec<u8>) {
    s.ask(method);
}

pub(super) const OPERATIONS: &[Operation] = &[
    ("channel.open", |s| {
        s.send(2, channel::open());
        s.answer(2);
    }),
    ("channel.flow", |s| s.ask(channel::flow(true))),
    ("channel.close", |s| {
        s.send(1, channel::close());
        s.one_answer();
    }),
    ("access.request", |s| {
        s.send(1, access::request());
        s.one_answer();
    }),
    ("exchange.declare: new", |s| s.ask(exchange::declare("new", "direct", 0, &none()))),
    ("exchange.declare: the same", |s| s.ask(exchange::declare("x", "direct", 0, &none()))),
    ("exchange.declare: another type", |s| s.ask(exchange::declare("x", "fanout", 0, &none()))),
    ("exchange.declare: passive", |s| {
        s.ask(exchange::declare("x", "direct", exchange::PASSIVE, &none()));
    }),
    ("exchange.declare: passive, missing", |s| {
        s.ask(exchange::declare("missing", "direct", exchange::PASSIVE, &none()));
    }),
    ("exchange.declare: predeclared", |s| {
        s.ask(exchange::declare("amq.direct", "direct", exchange::DURABLE, &none()));
    }),
    ("exchange.declare: reserved", |s| s.ask(exchange::declare("amq.new", "direct", 0, &none()))),
    ("exchange.declare: default", |s| s.ask(exchange::declare("", "direct", 0, &none()))),
    ("exchange.declare: alternate exchange", |s| {
        s.ask(exchange::declare("new", "direct", 0, &none().text("alternate-exchange", "y")));
    }),
    ("exchange.declare: missing alternate exchange", |s| {
        s.ask(exchange::declare("new", "direct", 0, &none().text("alternate-exchange", "missing")));
    }),
    ("exchange.delete", |s| s.ask(exchange::delete("y", 0))),
    ("exchange.delete: missing", |s| s.ask(exchange::delete("missing", 0))),
    ("exchange.delete: predeclared", |s| s.ask(exchange::delete("amq.direct", 0))),
    ("exchange.bind", |s| s.ask(exchange::bind("y", "x", "new", &none()))),
    ("exchange.bind: there already", |s| s.ask(exchange::bind("y", "x", "k", &none()))),
    ("exchange.bind: missing source", |s| s.ask(exchange::bind("y", "missing", "k", &none()))),
    ("exchange.bind: missing destination", |s| s.ask(exchange::bind("missing", "x", "k", &none()))),
    ("exchange.bind: from the default exchange", |s| s.ask(exchange::bind("y", "", "k", &none()))),
    ("exchange.unbind", |s| s.ask(exchange::unbind("y", "x", "k", &none()))),
    ("exchange.unbind: missing", |s| s.ask(exchange::unbind("y", "x", "missing", &none()))),
    ("queue.declare: new", |s| s.ask(queue::declare("new", 0, &none()))),
    ("queue.declare: exclusive", |s| s.ask(queue::declare("new", queue::EXCLUSIVE, &none()))),
    ("queue.declare: named by the server", |s| s.ask(queue::declare("", queue::EXCLUSIVE, &none()))),
    ("queue.declare: the same", |s| s.ask(queue::declare("q", 0, &none()))),
    ("queue.declare: durable, is not", |s| s.ask(queue::declare("q", queue::DURABLE, &none()))),
    ("queue.declare: passive", |s| s.ask(queue::declare("q", queue::PASSIVE, &none()))),
    ("queue.declare: passive, missing", |s| s.ask(queue::declare("missing", queue::PASSIVE, &none()))),
    ("queue.declare: reserved", |s| s.ask(queue::declare("amq.new", 0, &none()))),
    ("queue.declare: dead-letter exchange", |s| {
        s.ask(queue::declare("new", 0, &none().text("x-dead-letter-exchange", "x")));
    }),
    ("queue.declare: default exchange for dead letters", |s| {
        s.ask(queue::declare("new", 0, &none().text("x-dead-letter-exchange", "")));
    }),
    ("queue.bind", |s| s.ask(queue::bind("q", "x", "new", &none()))),
    ("queue.bind: to the topic exchange", |s| s.ask(queue::bind("q", "topic", "a.b", &none()))),
    ("queue.bind: missing queue", |s| s.ask(queue::bind("missing", "x", "k", &none()))),
    ("queue.bind: missing exchange", |s| s.ask(queue::bind("q", "missing", "k", &none()))),
    ("queue.bind: default exchange", |s| s.ask(queue::bind("q", "", "k", &none()))),
    ("queue.unbind", |s| s.ask(queue::unbind("bound", "x", "k", &none()))),
    ("queue.unbind: missing", |s| s.ask(queue::unbind("q", "x", "missing", &none()))),
    ("queue.unbind: missing queue", |s| s.ask(queue::unbind("missing", "x", "k", &none()))),
    ("queue.purge", |s| s.ask(queue::purge("q"))),
    ("queue.purge: missing", |s| s.ask(queue::purge("missing"))),
    ("queue.delete", |s| s.ask(queue::delete("other", 0))),
    ("queue.delete: missing", |s| s.ask(queue::delete("missing", 0))),
    ("queue.delete: if empty, is not", |s| s.ask(queue::delete("full", queue::IF_EMPTY))),
    ("basic.qos", |s| s.ask(basic::qos(0, 1, false))),
    ("basic.consume", |s| s.ask(basic::consume("q", "t", 0, &none()))),
    ("basic.consume: missing", |s| s.ask(basic::consume("missing", "t", 0, &none()))),
    ("basic.consume: direct reply-to", |s| {
        s.ask(basic::consume("amq.rabbitmq.reply-to", "t", basic::NO_ACK, &none()));
    }),
    ("basic.cancel", |s| s.ask(basic::cancel("t", false))),
    ("basic.publish", |s| publish(s, "x", "nowhere", 0)),
    ("basic.publish: mandatory", |s| publish(s, "x", "nowhere", basic::MANDATORY)),
    ("basic.publish: default exchange", |s| publish(s, "", "other", 0)),
    ("basic.publish: topic exchange", |s| publish(s, "topic", "a.b", 0)),
    ("basic.publish: missing exchange", |s| publish(s, "missing", "k", 0)),
    ("basic.publish: internal exchange", |s| publish(s, "amq.rabbitmq.trace", "k", 0)),
    ("basic.publish: in a transaction", |s| {
        s.ok(1, tx::select());
        publish(s, "x", "nowhere", 0);
    }),
    ("basic.publish: with confirms", |s| {
        s.ok(1, confirm::select());
        s.send(1, basic::publish("x", "nowhere", 0));
        s.frame(wire::HEADER, 1, content_header(0, &Properties::default()));
        s.one_answer();
    }),
    ("basic.get", |s| s.ask(basic::get("q", true))),
    ("basic.get: missing", |s| s.ask(basic::get("missing", true))),
    ("basic.ack", |s| settle(s, basic::ack(1, false))),
    ("basic.reject", |s| settle(s, basic::reject(1, true))),
    ("basic.nack", |s| settle(s, basic::nack(1, false, true))),
    ("basic.recover", |s| s.ask(basic::recover(true))),
    ("basic.recover-async", |s| s.ask(basic::recover_async(true))),
    ("confirm.select", |s| s.ask(confirm::select())),
    ("tx.select", |s| s.ask(tx::select())),
    ("tx.commit", |s| s.ask(tx::commit())),
    ("tx.rollback", |s| s.ask(tx::rollback())),
];
