//! Confirms and transactions, and mixing them.

use leveret_tests::{
    methods::{Properties, basic, confirm, tx},
    wire::Writer,
};

use super::Case;

pub(super) const CASES: &[Case] = &[
    ("confirm.select: in a transactional channel", |s| {
        s.open();
        s.ok(1, tx::select());
        s.ask(confirm::select());
    }),
    ("confirm.select: twice", |s| {
        s.open();
        s.ok(1, confirm::select());
        s.ask(confirm::select());
    }),
    ("confirm.select: no answer wanted", |s| {
        s.open();
        s.ask(Writer::method(85, 10).u8(1).done());
    }),
    ("confirm.select: cut short", |s| {
        s.open();
        s.ask(Writer::method(85, 10).done());
    }),
    ("confirm: unknown method 85.99", |s| {
        s.open();
        s.ask(Writer::method(85, 99).done());
    }),
    ("confirm.select: a return before its ack", |s| {
        s.open();
        s.ok(1, confirm::select());
        let nothing = Properties::default();
        s.publish("amq.direct", "nowhere", basic::MANDATORY, &nothing, b"");
        s.one_answer();
        s.one_answer();
        s.one_answer();
    }),
    ("confirm.select: missing exchange", |s| {
        s.open();
        s.ok(1, confirm::select());
        let exchange = s.exchange();
        s.publish(&exchange, "k", 0, &Properties::default(), b"hello");
        s.answer(1);
    }),
    ("tx.select: in a confirming channel", |s| {
        s.open();
        s.ok(1, confirm::select());
        s.ask(tx::select());
    }),
    ("tx.select: twice", |s| {
        s.open();
        s.ok(1, tx::select());
        s.ask(tx::select());
    }),
    ("tx.commit: without select", |s| {
        s.open();
        s.ask(tx::commit());
    }),
    ("tx.commit: in a confirming channel", |s| {
        s.open();
        s.ok(1, confirm::select());
        s.ask(tx::commit());
    }),
    ("tx.commit: nothing to commit", |s| {
        s.open();
        s.ok(1, tx::select());
        s.ask(tx::commit());
    }),
    ("tx.rollback: without select", |s| {
        s.open();
        s.ask(tx::rollback());
    }),
    ("tx.rollback: nothing to roll back", |s| {
        s.open();
        s.ok(1, tx::select());
        s.ask(tx::rollback());
    }),
    ("tx.commit: an unknown tag acked before", |s| {
        s.open();
        s.ok(1, tx::select());
        s.send(1, basic::ack(7, false));
        s.ask(tx::commit());
    }),
    ("tx.commit: a missing exchange published to before", |s| {
        s.open();
        s.ok(1, tx::select());
        let exchange = s.exchange();
        s.publish(&exchange, "k", 0, &Properties::default(), b"hello");
        s.ask(tx::commit());
    }),
    ("tx.commit: one tag acked twice before", |s| {
        s.open();
        let queue = s.filled_queue(1);
        s.ok(1, tx::select());
        s.get(&queue);
        s.send(1, basic::ack(1, false));
        s.send(1, basic::ack(1, false));
        s.ask(tx::commit());
    }),
    ("tx.commit: mandatory to no queue", |s| {
        s.open();
        s.ok(1, tx::select());
        let nothing = Properties::default();
        s.publish("amq.direct", "nowhere", basic::MANDATORY, &nothing, b"");
        s.ask(tx::commit());
    }),
    ("tx: unknown method 90.99", |s| {
        s.open();
        s.ask(Writer::method(90, 99).done());
    }),
];
