//! Class `channel`: opening, closing, flow; and every class on a channel that is not open.

use leveret_tests::{
    login::Login,
    methods::{Properties, access, basic, channel, confirm, connection, content_header, exchange, queue, tx},
    wire::{self, Table, Writer},
};

use super::Case;

pub(super) const CASES: &[Case] = &[
    ("channel.open: second open", |s| {
        s.open();
        s.ask(channel::open());
    }),
    ("channel.open: on channel 0", |s| {
        s.login();
        s.send(0, channel::open());
        s.answer(0);
    }),
    ("channel.open: number above channel_max", |s| {
        s.login_with(&Login { channel_max: Some(1_000), ..Login::default() });
        s.send(1_001, channel::open());
        s.one_answer();
    }),
    ("channel.open: more channels than channel_max", |s| {
        s.login_with(&Login { channel_max: Some(2), ..Login::default() });
        s.ok(1, channel::open());
        s.ok(2, channel::open());
        s.send(3, channel::open());
        s.until_close();
    }),
    ("channel.open: without arguments", |s| {
        s.login();
        s.send(1, Writer::method(20, 10).done());
        s.answer(1);
    }),
    ("channel.open: again after a close by the client", |s| {
        s.open();
        s.ok(1, channel::close());
        s.ask(channel::open());
    }),
    ("channel.open: again after a close by the broker", |s| {
        s.open();
        s.ask(queue::declare("missing", queue::PASSIVE, &Table::default()));
        s.send(1, channel::close_ok());
        s.ask(channel::open());
    }),
    ("channel.open: before close-ok for the broker's close", |s| {
        s.open();
        s.ask(queue::declare("missing", queue::PASSIVE, &Table::default()));
        s.send(1, channel::open());
        s.send(1, channel::close_ok());
        s.ask(channel::open());
    }),
    ("channel.open-ok: from a client", |s| {
        s.open();
        s.ask(Writer::method(20, 11).long("").done());
    }),
    ("channel.flow: inactive", |s| {
        s.open();
        s.ask(channel::flow(false));
    }),
    ("channel.flow: active", |s| {
        s.open();
        s.ask(channel::flow(true));
    }),
    ("channel.flow: on a channel that is not open", |s| {
        s.login();
        s.send(1, channel::flow(true));
        s.until_close();
    }),
    ("channel.flow-ok: without a flow", |s| {
        s.open();
        s.ask(channel::flow_ok(true));
    }),
    ("channel.close: on a channel that is not open", |s| {
        s.login();
        s.send(1, channel::close());
        s.until_close();
    }),
    ("channel.close: on channel 0", |s| {
        s.login();
        s.send(0, channel::close());
        s.answer(0);
    }),
    ("channel.close: sent twice", |s| {
        s.open();
        s.ok(1, channel::close());
        s.send(1, channel::close());
        s.until_close();
    }),
    ("channel.close: other methods after it", |s| {
        s.open();
        s.ok(1, channel::close());
        s.send(1, queue::declare("", 0, &Table::default()));
        s.until_close();
    }),
    ("channel.close: crossing the broker's own close", |s| {
        s.open();
        s.ask(queue::declare("missing", queue::PASSIVE, &Table::default()));
        s.send(1, channel::close());
        s.one_answer();
        s.ask(channel::open());
    }),
    ("channel.close: crossing the broker's own, both answered", |s| {
        s.open();
        s.ask(queue::declare("missing", queue::PASSIVE, &Table::default()));
        s.send(1, channel::close());
        s.one_answer();
        s.send(1, channel::close_ok());
        s.ask(channel::open());
    }),
    ("channel.close: cut short", |s| {
        s.open();
        s.ask(Writer::method(20, 40).u16(200).done());
    }),
    ("channel.close-ok: without a close", |s| {
        s.open();
        s.ask(channel::close_ok());
    }),
    ("channel.close-ok: on a channel that is not open", |s| {
        s.login();
        s.send(1, channel::close_ok());
        s.until_close();
    }),
    ("channel.close-ok: on channel 0", |s| {
        s.login();
        s.send(0, channel::close_ok());
        s.answer(0);
    }),
    ("channel: methods between the broker's close and close-ok", |s| {
        s.open();
        let passive = queue::declare("missing", queue::PASSIVE, &Table::default());
        s.ask(&passive);
        s.send(1, &passive);
        s.publish_to("missing", &Properties::default());
        s.send(1, basic::ack(77, false));
        s.answer(0);
    }),
    ("channel: unknown method 20.99", |s| {
        s.open();
        s.ask(Writer::method(20, 99).done());
    }),
    ("access.request: on a channel that is not open", |s| {
        s.login();
        s.send(1, access::request());
        s.until_close();
    }),
    ("access.request: for any realm", |s| {
        s.open();
        s.send(1, Writer::method(30, 10).short("/odd").u8(0).done());
        s.one_answer();
    }),
    ("access.request: cut short", |s| {
        s.open();
        s.ask(Writer::method(30, 10).done());
    }),
    ("exchange.declare: on a channel that is not open", |s| {
        s.login();
        s.send(1, exchange::declare("x", "direct", 0, &Table::default()));
        s.until_close();
    }),
    ("queue.declare: on a channel that is not open", |s| {
        s.login();
        s.send(1, queue::declare("q", 0, &Table::default()));
        s.until_close();
    }),
    ("queue.declare: on channel 0", |s| {
        s.login();
        s.send(0, queue::declare("q", 0, &Table::default()));
        s.answer(0);
    }),
    ("basic.publish: on a channel that is not open", |s| {
        s.login();
        s.publish_to("q", &Properties::default());
        s.until_close();
    }),
    ("basic.publish: on channel 0", |s| {
        s.login();
        s.send(0, basic::publish("", "q", 0));
        s.answer(0);
    }),
    ("basic.qos: on a channel that is not open", |s| {
        s.login();
        s.send(1, basic::qos(0, 1, false));
        s.until_close();
    }),
    ("basic.ack: on a channel that is not open", |s| {
        s.login();
        s.send(1, basic::ack(1, false));
        s.until_close();
    }),
    ("basic.ack: on a channel that was closed", |s| {
        s.open();
        s.ok(1, channel::close());
        s.send(1, basic::ack(1, false));
        s.until_close();
    }),
    ("confirm.select: on a channel that is not open", |s| {
        s.login();
        s.send(1, confirm::select());
        s.until_close();
    }),
    ("tx.select: on a channel that is not open", |s| {
        s.login();
        s.send(1, tx::select());
        s.until_close();
    }),
    ("content header: on a channel that is not open", |s| {
        s.login();
        let header = content_header(5, &Properties::default());
        s.frame(wire::HEADER, 1, header);
        s.until_close();
    }),
    ("content body: on a channel that is not open", |s| {
        s.login();
        s.frame(wire::BODY, 1, b"hello");
        s.until_close();
    }),
    ("connection.tune-ok: on channel 1", |s| {
        s.open();
        s.ask(connection::tune_ok(0, 131_072, 0));
    }),
];
