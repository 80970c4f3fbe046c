//! Frames that are wrong before their method is looked at.

use leveret_tests::{
    login::Login,
    methods::{Properties, access, basic, channel, content_header, queue},
    wire::{self, Writer},
};

use super::Case;

pub(super) const CASES: &[Case] = &[
    ("frame: unknown class 99", |s| {
        s.open();
        s.ask(Writer::method(99, 10).done());
    }),
    ("frame: class 0", |s| {
        s.open();
        s.ask(Writer::method(0, 0).done());
    }),
    ("frame: method without ids", |s| {
        s.open();
        s.ask(b"");
    }),
    ("frame: method with half an id", |s| {
        s.open();
        s.ask(b"\x00\x14\x00");
    }),
    ("frame: unknown type 4", |s| {
        s.open();
        s.frame(4, 1, b"\x00\x14");
        s.answer(1);
    }),
    ("frame: unknown type 0", |s| {
        s.open();
        s.frame(0, 1, b"");
        s.answer(1);
    }),
    ("frame: unknown type 255 on channel 0", |s| {
        s.login();
        s.frame(255, 0, b"");
        s.answer(0);
    }),
    ("frame: wrong end octet", |s| {
        s.open();
        let mut bytes = wire::frame(wire::METHOD, 1, &access::request());
        if let Some(end) = bytes.last_mut() {
            *end = 0;
        }
        s.bytes(&bytes);
        s.until_close();
    }),
    ("frame: wrong end octet before login", |s| {
        s.start();
        let mut bytes = wire::frame(wire::HEARTBEAT, 0, b"");
        if let Some(end) = bytes.last_mut() {
            *end = 0;
        }
        s.bytes(&bytes);
        s.until_close();
    }),
    ("frame: larger than frame_max", |s| {
        s.open();
        s.bytes(&wire::frame_head(wire::METHOD, 1, 131_073));
        s.until_close();
    }),
    ("frame: a body as long as frame_max, without its head", |s| {
        s.open();
        let queue = s.new_queue(0);
        s.send(1, basic::publish("", &queue, 0));
        let header = content_header(131_072, &Properties::default());
        s.frame(wire::HEADER, 1, header);
        s.frame(wire::BODY, 1, vec![b'.'; 131_072]);
        s.answer(1);
        s.ask(queue::purge(&queue));
    }),
    ("frame: larger than an agreed frame_max of 4096", |s| {
        s.login_with(&Login { frame_max: Some(4_096), ..Login::default() });
        s.bytes(&wire::frame_head(wire::METHOD, 1, 4_097));
        s.until_close();
    }),
    ("frame: size of 4 GiB", |s| {
        s.open();
        s.bytes(&wire::frame_head(wire::BODY, 1, u32::MAX));
        s.until_close();
    }),
    ("frame: body larger than frame_max", |s| {
        s.open();
        s.send(1, basic::publish("", "nobody", 0));
        let header = content_header(200_000, &Properties::default());
        s.frame(wire::HEADER, 1, header);
        s.bytes(&wire::frame_head(wire::BODY, 1, 200_000));
        s.until_close();
    }),
    ("frame: heartbeat on channel 1", |s| {
        s.open();
        s.frame(wire::HEARTBEAT, 1, b"");
        s.answer(1);
    }),
    ("frame: heartbeat on a channel that is not open", |s| {
        s.login();
        s.frame(wire::HEARTBEAT, 5, b"");
        s.until_close();
    }),
    ("frame: heartbeat with a payload", |s| {
        s.login();
        s.frame(wire::HEARTBEAT, 0, b"boo");
        s.answer(0);
    }),
    ("frame: heartbeat in the middle of a message", |s| {
        s.open();
        let queue = s.new_queue(0);
        s.send(1, basic::publish("", &queue, 0));
        s.frame(wire::HEADER, 1, content_header(5, &Properties::default()));
        s.frame(wire::HEARTBEAT, 0, b"");
        s.frame(wire::BODY, 1, b"hello");
        s.sync(1);
        s.ask(basic::get(&queue, true));
    }),
    ("frame: another channel in the middle of a message", |s| {
        s.open();
        s.ok(2, channel::open());
        let queue = s.new_queue(0);
        s.send(1, basic::publish("", &queue, 0));
        s.frame(wire::HEADER, 1, content_header(5, &Properties::default()));
        s.ok(2, basic::qos(0, 1, false));
        s.frame(wire::BODY, 1, b"hello");
        s.sync(1);
        s.ask(basic::get(&queue, true));
    }),
    ("frame: header on channel 0", |s| {
        s.login();
        let header = content_header(5, &Properties::default());
        s.frame(wire::HEADER, 0, header);
        s.answer(0);
    }),
    ("frame: body on channel 0", |s| {
        s.login();
        s.frame(wire::BODY, 0, b"hello");
        s.answer(0);
    }),
    ("frame: protocol header on an open connection", |s| {
        s.login();
        s.bytes(wire::PROTOCOL_HEADER);
        s.until_close();
    }),
];
