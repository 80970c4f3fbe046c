//! Class `queue`.

use leveret_tests::{
    methods::{
        basic,
        queue::{
            AUTO_DELETE, DURABLE, EXCLUSIVE, IF_EMPTY, IF_UNUSED, NOWAIT, PASSIVE, bind, declare, delete,
            purge, unbind,
        },
    },
    wire::{Table, Writer},
};

use super::{Case, script::Script};

fn none() -> Table {
    Table::default()
}

fn of_type(kind: &str) -> Table {
    none().text("x-queue-type", kind)
}

fn redeclare(s: &mut Script, first: u8, again: u8) {
    s.open();
    let name = s.new_queue(first);
    s.ask(declare(&name, again, &none()));
}

/// A queue that belongs to another connection, which `then` is about.
fn with_foreign_queue(s: &mut Script, then: fn(&mut Script, &str)) {
    s.open();
    let name = s.queue();
    let mut owner = s.neighbour();
    let made = owner.call(1, declare(&name, EXCLUSIVE, &none()), (50, 11));
    made.expect("the owner's queue");
    then(s, &name);
    drop(owner);
}

pub(super) const CASES: &[Case] = &[
    ("queue.declare: passive, missing", |s| {
        s.open();
        let name = s.queue();
        s.ask(declare(&name, PASSIVE, &none()));
    }),
    ("queue.declare: passive, missing, no answer wanted", |s| {
        s.open();
        let name = s.queue();
        s.ask(declare(&name, PASSIVE | NOWAIT, &none()));
    }),
    ("queue.declare: passive, other flags", |s| {
        s.open();
        let name = s.new_queue(0);
        s.ask(declare(&name, PASSIVE | DURABLE | AUTO_DELETE, &none()));
    }),
    ("queue.declare: passive, empty name, none before", |s| {
        s.open();
        s.ask(declare("", PASSIVE, &none()));
    }),
    ("queue.declare: passive, empty name, one before", |s| {
        s.open();
        s.new_queue(0);
        s.ask(declare("", PASSIVE, &none()));
    }),
    ("queue.declare: reserved prefix", |s| {
        s.open();
        s.ask(declare("amq.new", 0, &none()));
    }),
    ("queue.declare: passive, reserved prefix", |s| {
        s.open();
        s.ask(declare("amq.gen-new", PASSIVE, &none()));
    }),
    ("queue.declare: passive, reply-to without a consumer", |s| {
        s.open();
        s.ask(declare("amq.rabbitmq.reply-to", PASSIVE, &none()));
    }),
    ("queue.declare: the name of direct reply-to", |s| {
        s.open();
        s.ask(declare("amq.rabbitmq.reply-to", 0, &none()));
    }),
    ("queue.declare: passive, forged reply name", |s| {
        s.open();
        s.ask(declare("amq.rabbitmq.reply-to.forged", PASSIVE, &none()));
    }),
    ("queue.declare: durable, is not", |s| {
        redeclare(s, 0, DURABLE);
    }),
    ("queue.declare: not durable, is", |s| {
        redeclare(s, DURABLE, 0);
    }),
    ("queue.declare: auto-delete, is not", |s| {
        redeclare(s, 0, AUTO_DELETE);
    }),
    ("queue.declare: not auto-delete, is", |s| {
        redeclare(s, AUTO_DELETE, 0);
    }),
    ("queue.declare: exclusive, is not", |s| {
        redeclare(s, 0, EXCLUSIVE);
    }),
    ("queue.declare: not exclusive, is", |s| {
        redeclare(s, EXCLUSIVE, 0);
    }),
    ("queue.declare: durable and exclusive, is exclusive", |s| {
        redeclare(s, EXCLUSIVE, EXCLUSIVE | DURABLE);
    }),
    ("queue.declare: durable and exclusive twice", |s| {
        redeclare(s, EXCLUSIVE | DURABLE, EXCLUSIVE | DURABLE);
    }),
    ("queue.declare: everything different", |s| {
        redeclare(s, 0, DURABLE | EXCLUSIVE | AUTO_DELETE);
    }),
    ("queue.declare: no answer wanted, different", |s| {
        redeclare(s, 0, DURABLE | NOWAIT);
    }),
    ("queue.declare: another connection's exclusive queue", |s| {
        with_foreign_queue(s, |s, name| s.ask(declare(name, EXCLUSIVE, &none())));
    }),
    ("queue.declare: passive, another's exclusive queue", |s| {
        with_foreign_queue(s, |s, name| s.ask(declare(name, PASSIVE, &none())));
    }),
    ("queue.declare: shared, another's exclusive queue", |s| {
        with_foreign_queue(s, |s, name| s.ask(declare(name, 0, &none())));
    }),
    ("queue.declare: unknown queue type", |s| {
        s.open();
        let name = s.queue();
        s.ask(declare(&name, DURABLE, &of_type("nonsense")));
    }),
    ("queue.declare: queue type is a number", |s| {
        s.open();
        let name = s.queue();
        s.ask(declare(&name, DURABLE, &none().int("x-queue-type", 1)));
    }),
    ("queue.declare: quorum, not durable", |s| {
        s.open();
        let name = s.queue();
        s.ask(declare(&name, 0, &of_type("quorum")));
    }),
    ("queue.declare: quorum, exclusive", |s| {
        s.open();
        let name = s.queue();
        s.ask(declare(&name, DURABLE | EXCLUSIVE, &of_type("quorum")));
    }),
    ("queue.declare: quorum, auto-delete", |s| {
        s.open();
        let name = s.queue();
        s.ask(declare(&name, DURABLE | AUTO_DELETE, &of_type("quorum")));
    }),
    ("queue.declare: quorum, empty name", |s| {
        s.open();
        s.ask(declare("", DURABLE, &of_type("quorum")));
    }),
    ("queue.declare: quorum, is classic", |s| {
        s.open();
        let name = s.new_queue(DURABLE);
        s.ask(declare(&name, DURABLE, &of_type("quorum")));
    }),
    ("queue.declare: classic, is quorum", |s| {
        s.open();
        let name = s.queue();
        s.ok(1, declare(&name, DURABLE, &of_type("quorum")));
        s.ask(declare(&name, DURABLE, &of_type("classic")));
    }),
    ("queue.declare: no type, is quorum", |s| {
        s.open();
        let name = s.queue();
        s.ok(1, declare(&name, DURABLE, &of_type("quorum")));
        s.ask(declare(&name, DURABLE, &none()));
    }),
    ("queue.declare: classic by name, is classic", |s| {
        s.open();
        let name = s.new_queue(DURABLE);
        s.ask(declare(&name, DURABLE, &of_type("classic")));
    }),
    ("queue.declare: unknown argument", |s| {
        s.open();
        let name = s.queue();
        s.ask(declare(&name, 0, &none().text("x-odd", "1")));
    }),
    ("queue.declare: unknown argument changed", |s| {
        s.open();
        let name = s.queue();
        s.ok(1, declare(&name, 0, &none().text("x-odd", "1")));
        s.ask(declare(&name, 0, &none().text("x-odd", "2")));
    }),
    ("queue.declare: argument of an unknown type letter", |s| {
        s.open();
        let name = s.queue();
        let arguments = none().field("odd", b'?', &[0; 4]);
        s.ask(declare(&name, 0, &arguments));
    }),
    ("queue.declare: argument cut short", |s| {
        s.open();
        let name = s.queue();
        let arguments = none().field("odd", b'S', &100_u32.to_be_bytes());
        s.ask(declare(&name, 0, &arguments));
    }),
    ("queue.declare: name that is not UTF-8", |s| {
        s.open();
        let payload = Writer::method(50, 10).u16(0).short(b"\xff\xfe").u8(0).table(&none()).done();
        s.ask(payload);
    }),
    ("queue.declare: line ends in the name", |s| {
        s.open();
        let name = s.queue();
        s.ok(1, declare(&format!("{name}\r\n"), 0, &none()));
        s.ask(declare(&name, PASSIVE, &none()));
    }),
    ("queue.declare: a name of 255 octets, missing", |s| {
        s.open();
        s.ask(declare(&"n".repeat(255), PASSIVE, &none()));
    }),
    ("queue.declare: cut short", |s| {
        s.open();
        s.ask(Writer::method(50, 10).u16(0).short("q").done());
    }),
    ("queue.declare: octets after the arguments", |s| {
        s.open();
        let name = s.queue();
        let mut payload = declare(&name, 0, &none());
        payload.extend(b"more");
        s.ask(payload);
    }),
    ("queue.declare-ok: from a client", |s| {
        s.open();
        s.ask(Writer::method(50, 11).short("q").u32(0).u32(0).done());
    }),
    ("queue.bind: missing queue", |s| {
        s.open();
        let name = s.queue();
        s.ask(bind(&name, "amq.direct", "k", &none()));
    }),
    ("queue.bind: missing exchange", |s| {
        s.open();
        let name = s.new_queue(0);
        s.ask(bind(&name, "missing", "k", &none()));
    }),
    ("queue.bind: both missing", |s| {
        s.open();
        let name = s.queue();
        s.ask(bind(&name, "missing", "k", &none()));
    }),
    ("queue.bind: to the default exchange", |s| {
        s.open();
        let name = s.new_queue(0);
        s.ask(bind(&name, "", &name, &none()));
    }),
    ("queue.bind: empty name, none declared", |s| {
        s.open();
        s.ask(bind("", "amq.direct", "k", &none()));
    }),
    ("queue.bind: empty name and key", |s| {
        s.open();
        s.new_queue(0);
        s.ask(bind("", "amq.direct", "", &none()));
    }),
    ("queue.bind: another's exclusive queue", |s| {
        with_foreign_queue(s, |s, name| s.ask(bind(name, "amq.direct", "k", &none())));
    }),
    ("queue.bind: wrong x-match", |s| {
        s.open();
        let name = s.new_queue(0);
        let arguments = none().text("x-match", "some").text("a", "1");
        s.ask(bind(&name, "amq.headers", "", &arguments));
    }),
    ("queue.bind: x-match is a number", |s| {
        s.open();
        let name = s.new_queue(0);
        let arguments = none().int("x-match", 1).text("a", "1");
        s.ask(bind(&name, "amq.headers", "", &arguments));
    }),
    ("queue.bind: twice the same", |s| {
        s.open();
        let name = s.new_queue(0);
        s.ok(1, bind(&name, "amq.direct", "k", &none()));
        s.ask(bind(&name, "amq.direct", "k", &none()));
    }),
    ("queue.bind: cut short", |s| {
        s.open();
        s.ask(Writer::method(50, 20).u16(0).short("q").done());
    }),
    ("queue.unbind: missing binding", |s| {
        s.open();
        let name = s.new_queue(0);
        s.ask(unbind(&name, "amq.direct", "k", &none()));
    }),
    ("queue.unbind: missing queue", |s| {
        s.open();
        let name = s.queue();
        s.ask(unbind(&name, "amq.direct", "k", &none()));
    }),
    ("queue.unbind: missing exchange", |s| {
        s.open();
        let name = s.new_queue(0);
        s.ask(unbind(&name, "missing", "k", &none()));
    }),
    ("queue.unbind: from the default exchange", |s| {
        s.open();
        let name = s.new_queue(0);
        s.ask(unbind(&name, "", &name, &none()));
    }),
    ("queue.unbind: another's exclusive queue", |s| {
        with_foreign_queue(s, |s, name| {
            s.ask(unbind(name, "amq.direct", "k", &none()));
        });
    }),
    ("queue.unbind: empty name, none declared", |s| {
        s.open();
        s.ask(unbind("", "amq.direct", "k", &none()));
    }),
    ("queue.purge: missing", |s| {
        s.open();
        let name = s.queue();
        s.ask(purge(&name));
    }),
    ("queue.purge: empty name, none declared", |s| {
        s.open();
        s.ask(purge(""));
    }),
    ("queue.purge: another's exclusive queue", |s| {
        with_foreign_queue(s, |s, name| s.ask(purge(name)));
    }),
    ("queue.purge: a queue with an unacked message", |s| {
        s.open();
        let name = s.filled_queue(3);
        s.get(&name);
        s.ask(purge(&name));
    }),
    ("queue.delete: missing", |s| {
        s.open();
        let name = s.queue();
        s.ask(delete(&name, 0));
    }),
    ("queue.delete: missing, if unused and if empty", |s| {
        s.open();
        let name = s.queue();
        s.ask(delete(&name, IF_UNUSED | IF_EMPTY));
    }),
    ("queue.delete: empty name, none declared", |s| {
        s.open();
        s.ask(delete("", 0));
    }),
    ("queue.delete: another's exclusive queue", |s| {
        with_foreign_queue(s, |s, name| s.ask(delete(name, 0)));
    }),
    ("queue.delete: if empty, with messages", |s| {
        s.open();
        let name = s.filled_queue(1);
        s.ask(delete(&name, IF_EMPTY));
    }),
    ("queue.delete: if unused, with a consumer", |s| {
        s.open();
        let name = s.new_queue(0);
        s.ok(1, basic::consume(&name, "t", 0, &none()));
        s.ask(delete(&name, IF_UNUSED));
    }),
    ("queue.delete: if unused and if empty, both not so", |s| {
        s.open();
        let name = s.new_queue(0);
        s.ok(1, basic::qos(0, 1, false));
        s.ok(1, basic::consume(&name, "t", 0, &none()));
        s.ask(delete(&name, IF_UNUSED | IF_EMPTY));
    }),
    ("queue.delete: quorum, if empty", |s| {
        s.open();
        let name = s.queue();
        s.ok(1, declare(&name, DURABLE, &of_type("quorum")));
        s.ask(delete(&name, IF_EMPTY));
    }),
    ("queue.delete: quorum, if unused", |s| {
        s.open();
        let name = s.queue();
        s.ok(1, declare(&name, DURABLE, &of_type("quorum")));
        s.ask(delete(&name, IF_UNUSED));
    }),
    ("queue.delete: with messages", |s| {
        s.open();
        let name = s.filled_queue(2);
        s.ask(delete(&name, 0));
    }),
    ("queue.delete: then used by its empty name", |s| {
        s.open();
        let name = s.new_queue(0);
        s.ok(1, delete(&name, 0));
        s.ask(purge(""));
    }),
    ("queue: unknown method 50.99", |s| {
        s.open();
        s.ask(Writer::method(50, 99).done());
    }),
];
