//! Class `exchange`.

use leveret_tests::{
    methods::{
        exchange::{AUTO_DELETE, DURABLE, INTERNAL, NOWAIT, PASSIVE, bind, declare, delete, unbind},
        queue,
    },
    wire::{Table, Writer},
};

use super::{Case, script::Script};

fn none() -> Table {
    Table::default()
}

/// Declares a durable direct exchange, then asks again with other flags.
fn redeclare(s: &mut Script, first: u8, again: u8) {
    s.open();
    let name = s.new_exchange("direct", first);
    s.ask(declare(&name, "direct", again, &none()));
}

pub(super) const CASES: &[Case] = &[
    ("exchange.declare: unknown type", |s| {
        s.open();
        let name = s.exchange();
        s.ask(declare(&name, "x-nonsense", 0, &none()));
    }),
    ("exchange.declare: empty type", |s| {
        s.open();
        let name = s.exchange();
        s.ask(declare(&name, "", 0, &none()));
    }),
    ("exchange.declare: type in capitals", |s| {
        s.open();
        let name = s.exchange();
        s.ask(declare(&name, "DIRECT", 0, &none()));
    }),
    ("exchange.declare: reserved prefix", |s| {
        s.open();
        s.ask(declare("amq.new", "direct", 0, &none()));
    }),
    ("exchange.declare: the default exchange", |s| {
        s.open();
        s.ask(declare("", "direct", DURABLE, &none()));
    }),
    ("exchange.declare: the default exchange, passive", |s| {
        s.open();
        s.ask(declare("", "direct", PASSIVE, &none()));
    }),
    ("exchange.declare: passive, missing", |s| {
        s.open();
        let name = s.exchange();
        s.ask(declare(&name, "direct", PASSIVE, &none()));
    }),
    ("exchange.declare: passive, missing, no answer wanted", |s| {
        s.open();
        let name = s.exchange();
        s.ask(declare(&name, "direct", PASSIVE | NOWAIT, &none()));
    }),
    ("exchange.declare: passive with another type", |s| {
        s.open();
        let name = s.new_exchange("direct", 0);
        s.ask(declare(&name, "fanout", PASSIVE, &none()));
    }),
    ("exchange.declare: passive with an unknown type", |s| {
        s.open();
        let name = s.new_exchange("direct", 0);
        s.ask(declare(&name, "x-nonsense", PASSIVE, &none()));
    }),
    ("exchange.declare: amq.direct as it is", |s| {
        s.open();
        s.ask(declare("amq.direct", "direct", DURABLE, &none()));
    }),
    ("exchange.declare: amq.direct as fanout", |s| {
        s.open();
        s.ask(declare("amq.direct", "fanout", DURABLE, &none()));
    }),
    ("exchange.declare: amq.direct as not durable", |s| {
        s.open();
        s.ask(declare("amq.direct", "direct", 0, &none()));
    }),
    ("exchange.declare: another type", |s| {
        s.open();
        let name = s.new_exchange("direct", 0);
        s.ask(declare(&name, "fanout", 0, &none()));
    }),
    ("exchange.declare: durable, is not", |s| {
        redeclare(s, 0, DURABLE);
    }),
    ("exchange.declare: not durable, is", |s| {
        redeclare(s, DURABLE, 0);
    }),
    ("exchange.declare: auto-delete, is not", |s| {
        redeclare(s, 0, AUTO_DELETE);
    }),
    ("exchange.declare: internal, is not", |s| {
        redeclare(s, 0, INTERNAL);
    }),
    ("exchange.declare: everything different", |s| {
        s.open();
        let name = s.new_exchange("direct", 0);
        let flags = DURABLE | AUTO_DELETE | INTERNAL;
        let arguments = none().text("alternate-exchange", "amq.fanout");
        s.ask(declare(&name, "fanout", flags, &arguments));
    }),
    ("exchange.declare: no answer wanted, different", |s| {
        redeclare(s, 0, DURABLE | NOWAIT);
    }),
    ("exchange.declare: another alternate exchange", |s| {
        s.open();
        let name = s.exchange();
        let one = none().text("alternate-exchange", "amq.fanout");
        s.ok(1, declare(&name, "direct", 0, &one));
        let other = none().text("alternate-exchange", "amq.topic");
        s.ask(declare(&name, "direct", 0, &other));
    }),
    ("exchange.declare: alternate exchange dropped", |s| {
        s.open();
        let name = s.exchange();
        let one = none().text("alternate-exchange", "amq.fanout");
        s.ok(1, declare(&name, "direct", 0, &one));
        s.ask(declare(&name, "direct", 0, &none()));
    }),
    ("exchange.declare: alternate exchange added", |s| {
        s.open();
        let name = s.new_exchange("direct", 0);
        let arguments = none().text("alternate-exchange", "amq.fanout");
        s.ask(declare(&name, "direct", 0, &arguments));
    }),
    ("exchange.declare: alternate exchange is a number", |s| {
        s.open();
        let name = s.exchange();
        let arguments = none().int("alternate-exchange", 5);
        s.ask(declare(&name, "direct", 0, &arguments));
    }),
    ("exchange.declare: missing alternate exchange", |s| {
        s.open();
        let name = s.exchange();
        let arguments = none().text("alternate-exchange", "missing");
        s.ask(declare(&name, "direct", 0, &arguments));
    }),
    ("exchange.declare: unknown argument", |s| {
        s.open();
        let name = s.exchange();
        s.ask(declare(&name, "direct", 0, &none().text("x-odd", "1")));
    }),
    ("exchange.declare: unknown argument changed", |s| {
        s.open();
        let name = s.exchange();
        s.ok(1, declare(&name, "direct", 0, &none().text("x-odd", "1")));
        s.ask(declare(&name, "direct", 0, &none().text("x-odd", "2")));
    }),
    ("exchange.declare: line ends in the name", |s| {
        s.open();
        let name = s.exchange();
        s.ok(1, declare(&format!("{name}\r\n"), "direct", 0, &none()));
        s.ask(declare(&name, "direct", PASSIVE, &none()));
    }),
    ("exchange.declare: all flag bits set", |s| {
        s.open();
        let name = s.exchange();
        s.ask(declare(&name, "direct", 0xFF, &none()));
    }),
    ("exchange.declare: cut short", |s| {
        s.open();
        s.ask(Writer::method(40, 10).u16(0).short("x").done());
    }),
    ("exchange.declare-ok: from a client", |s| {
        s.open();
        s.ask(Writer::method(40, 11).done());
    }),
    ("exchange.delete: missing", |s| {
        s.open();
        let name = s.exchange();
        s.ask(delete(&name, 0));
    }),
    ("exchange.delete: missing, if unused", |s| {
        s.open();
        let name = s.exchange();
        s.ask(delete(&name, 1));
    }),
    ("exchange.delete: amq.direct", |s| {
        s.open();
        s.ask(delete("amq.direct", 0));
    }),
    ("exchange.delete: missing with the reserved prefix", |s| {
        s.open();
        s.ask(delete("amq.missing", 0));
    }),
    ("exchange.delete: the default exchange", |s| {
        s.open();
        s.ask(delete("", 0));
    }),
    ("exchange.delete: if unused, with a binding", |s| {
        s.open();
        let name = s.new_exchange("direct", 0);
        let queue = s.new_queue(0);
        s.ok(1, queue::bind(&queue, &name, "k", &none()));
        s.ask(delete(&name, 1));
    }),
    ("exchange.delete: if unused, bound as a destination", |s| {
        s.open();
        let name = s.new_exchange("direct", 0);
        s.ok(1, bind(&name, "amq.direct", "k", &none()));
        s.ask(delete(&name, 1));
    }),
    ("exchange.bind: missing source", |s| {
        s.open();
        let name = s.new_exchange("direct", 0);
        s.ask(bind(&name, "missing", "k", &none()));
    }),
    ("exchange.bind: missing destination", |s| {
        s.open();
        s.ask(bind("missing", "amq.direct", "k", &none()));
    }),
    ("exchange.bind: both missing", |s| {
        s.open();
        s.ask(bind("missing-1", "missing-2", "k", &none()));
    }),
    ("exchange.bind: the default exchange as source", |s| {
        s.open();
        s.ask(bind("amq.direct", "", "k", &none()));
    }),
    ("exchange.bind: the default exchange as destination", |s| {
        s.open();
        s.ask(bind("", "amq.direct", "k", &none()));
    }),
    ("exchange.bind: to itself", |s| {
        s.open();
        let name = s.new_exchange("direct", 0);
        s.ask(bind(&name, &name, "k", &none()));
    }),
    ("exchange.bind: wrong x-match", |s| {
        s.open();
        let name = s.new_exchange("fanout", 0);
        let arguments = none().text("x-match", "some");
        s.ask(bind(&name, "amq.headers", "", &arguments));
    }),
    ("exchange.bind: cut short", |s| {
        s.open();
        s.ask(Writer::method(40, 30).u16(0).short("x").done());
    }),
    ("exchange.unbind: missing binding", |s| {
        s.open();
        let name = s.new_exchange("direct", 0);
        s.ask(unbind(&name, "amq.direct", "k", &none()));
    }),
    ("exchange.unbind: missing source", |s| {
        s.open();
        let name = s.new_exchange("direct", 0);
        s.ask(unbind(&name, "missing", "k", &none()));
    }),
    ("exchange.unbind: missing destination", |s| {
        s.open();
        s.ask(unbind("missing", "amq.direct", "k", &none()));
    }),
    ("exchange.unbind: the default exchange", |s| {
        s.open();
        s.ask(unbind("amq.direct", "", "k", &none()));
    }),
    ("exchange: unknown method 40.99", |s| {
        s.open();
        s.ask(Writer::method(40, 99).done());
    }),
];
