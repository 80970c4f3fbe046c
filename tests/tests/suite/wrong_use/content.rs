//! Content: the order of its frames, its sizes, its properties.

use leveret_tests::{
    methods::{Properties, basic, content_header, queue},
    wire::{self, Table, Writer},
};

use super::{Case, script::Script};

fn headers(table: Table) -> Properties {
    Properties { headers: Some(table), ..Properties::default() }
}

/// A publish's method and header for a body of 5 octets.
fn begin(s: &mut Script) {
    s.open();
    s.send(1, basic::publish("", "nobody", 0));
    s.frame(wire::HEADER, 1, content_header(5, &Properties::default()));
}

/// A publish with a header payload of any octets and no body.
fn with_header(s: &mut Script, payload: &[u8]) {
    s.open();
    s.send(1, basic::publish("", "nobody", 0));
    s.frame(wire::HEADER, 1, payload);
    s.answer(1);
}

/// A short message with `properties` to the default exchange.
fn with_properties(s: &mut Script, properties: &Properties) {
    s.open();
    let queue = s.new_queue(0);
    s.publish_to(&queue, properties);
    s.answer(1);
}

fn expiration(s: &mut Script, text: &str) {
    let properties = Properties { expiration: Some(text.into()), ..Properties::default() };
    with_properties(s, &properties);
}

/// Class 60, weight 0, body size 0.
fn bare_header() -> Writer {
    Writer::default().u16(60).u16(0).u64(0)
}

pub(super) const CASES: &[Case] = &[
    ("content header: without a publish", |s| {
        s.open();
        s.frame(wire::HEADER, 1, content_header(5, &Properties::default()));
        s.answer(1);
    }),
    ("content body: without a publish", |s| {
        s.open();
        s.frame(wire::BODY, 1, b"hello");
        s.answer(1);
    }),
    ("content body: after a publish, no header", |s| {
        s.open();
        s.send(1, basic::publish("", "nobody", 0));
        s.frame(wire::BODY, 1, b"hello");
        s.answer(1);
    }),
    ("content header: a second one", |s| {
        begin(s);
        s.frame(wire::HEADER, 1, content_header(5, &Properties::default()));
        s.answer(1);
    }),
    ("content header: a method instead", |s| {
        s.open();
        s.send(1, basic::publish("", "nobody", 0));
        s.ask(queue::declare("q", queue::PASSIVE, &Table::default()));
    }),
    ("content header: another publish instead", |s| {
        s.open();
        s.send(1, basic::publish("", "nobody", 0));
        s.ask(basic::publish("", "nobody", 0));
    }),
    ("content body: a method instead", |s| {
        begin(s);
        s.ask(queue::declare("q", queue::PASSIVE, &Table::default()));
    }),
    ("content body: a method in the middle", |s| {
        begin(s);
        s.frame(wire::BODY, 1, b"hel");
        s.ask(basic::qos(0, 1, false));
    }),
    ("content body: channel.close in the middle", |s| {
        begin(s);
        s.frame(wire::BODY, 1, b"hel");
        s.send(1, leveret_tests::methods::channel::close());
        s.until_close();
    }),
    ("content body: longer than announced", |s| {
        begin(s);
        s.frame(wire::BODY, 1, b"hello, world");
        s.answer(1);
    }),
    ("content body: longer than announced, second frame", |s| {
        begin(s);
        s.frame(wire::BODY, 1, b"hel");
        s.frame(wire::BODY, 1, b"lo, world");
        s.answer(1);
    }),
    ("content body: one frame more", |s| {
        begin(s);
        s.frame(wire::BODY, 1, b"hello");
        s.frame(wire::BODY, 1, b"more");
        s.answer(1);
    }),
    ("content body: a body for an empty message", |s| {
        s.open();
        s.publish("", "nobody", 0, &Properties::default(), b"");
        s.frame(wire::BODY, 1, b"more");
        s.answer(1);
    }),
    ("content body: an empty frame in the middle", |s| {
        s.open();
        let queue = s.new_queue(0);
        s.send(1, basic::publish("", &queue, 0));
        s.frame(wire::HEADER, 1, content_header(5, &Properties::default()));
        for piece in ["hel", "", "lo"] {
            s.frame(wire::BODY, 1, piece);
        }
        s.sync(1);
        s.ask(basic::get(&queue, true));
    }),
    ("content header: class of another", |s| {
        let payload = Writer::default().u16(50).u16(0).u64(0).u16(0).done();
        with_header(s, &payload);
    }),
    ("content header: unknown class", |s| {
        let payload = Writer::default().u16(99).u16(0).u64(0).u16(0).done();
        with_header(s, &payload);
    }),
    ("content header: weight is not 0", |s| {
        let payload = Writer::default().u16(60).u16(1).u64(0).u16(0).done();
        with_header(s, &payload);
    }),
    ("content header: cut short before the flags", |s| {
        with_header(s, &bare_header().done());
    }),
    ("content header: cut short in the size", |s| {
        with_header(s, &Writer::default().u16(60).u16(0).u32(0).done());
    }),
    ("content header: empty frame", |s| {
        with_header(s, b"");
    }),
    ("content header: octets after the properties", |s| {
        with_header(s, &bare_header().u16(0).raw(b"more").done());
    }),
    ("content header: flag without its property", |s| {
        with_header(s, &bare_header().u16(1 << 15).done());
    }),
    ("content header: all flags, no properties", |s| {
        with_header(s, &bare_header().u16(0xFFFC).done());
    }),
    ("content header: the unused flag", |s| {
        with_header(s, &bare_header().u16(1 << 1).done());
    }),
    ("content header: a flag word too many", |s| {
        with_header(s, &bare_header().u16(1).u16(0).done());
    }),
    ("content header: flag words without end", |s| {
        with_header(s, &bare_header().u16(1).u16(1).u16(1).done());
    }),
    ("content header: headers longer than the frame", |s| {
        with_header(s, &bare_header().u16(1 << 13).u32(1_000_000).done());
    }),
    ("content header: headers with an unknown type letter", |s| {
        with_properties(s, &headers(Table::default().field("odd", b'?', &[0; 4])));
    }),
    ("content header: headers with a text cut short", |s| {
        let table = Table::default().field("odd", b'S', &100_u32.to_be_bytes());
        with_properties(s, &headers(table));
    }),
    ("content header: text that is not UTF-8", |s| {
        let payload = bare_header().u16(1 << 15).short(b"\xff\xfe").done();
        with_header(s, &payload);
    }),
    ("basic.publish: expiration is no number", |s| {
        expiration(s, "soon");
    }),
    ("basic.publish: expiration is negative", |s| {
        expiration(s, "-1");
    }),
    ("basic.publish: expiration is empty", |s| {
        expiration(s, "");
    }),
    ("basic.publish: expiration with a unit", |s| {
        expiration(s, "100ms");
    }),
    ("basic.publish: expiration is a fraction", |s| {
        expiration(s, "1.5");
    }),
    ("basic.publish: expiration above ten years", |s| {
        expiration(s, "315360000001");
    }),
    ("basic.publish: expiration of twenty digits", |s| {
        expiration(s, "18446744073709551616");
    }),
    ("basic.publish: expiration with a space", |s| {
        expiration(s, " 100");
    }),
    ("basic.publish: expiration with a plus", |s| {
        expiration(s, "+100000");
    }),
    ("basic.publish: user-id of another", |s| {
        let properties = Properties { user_id: Some("somebody".into()), ..Properties::default() };
        with_properties(s, &properties);
    }),
    ("basic.publish: empty user-id", |s| {
        let properties = Properties { user_id: Some(String::new()), ..Properties::default() };
        with_properties(s, &properties);
    }),
    ("basic.publish: CC is a text", |s| {
        with_properties(s, &headers(Table::default().text("CC", "other")));
    }),
    ("basic.publish: BCC is a number", |s| {
        with_properties(s, &headers(Table::default().int("BCC", 5)));
    }),
    ("basic.publish: CC holds a number", |s| {
        let array = Writer::default().u32(5).u8(b'I').u32(7).done();
        let table = Table::default().field("CC", b'A', &array);
        with_properties(s, &headers(table));
    }),
    ("basic.publish: CC is an empty array", |s| {
        with_properties(s, &headers(Table::default().texts("CC", &[])));
    }),
    ("basic.publish: reply-to without its consumer", |s| {
        let properties =
            Properties { reply_to: Some("amq.rabbitmq.reply-to".into()), ..Properties::default() };
        with_properties(s, &properties);
    }),
    ("basic.publish: to a forged reply name", |s| {
        s.open();
        let key = "amq.rabbitmq.reply-to.forged";
        s.publish("", key, basic::MANDATORY, &Properties::default(), b"hello");
        s.answer(1);
    }),
    ("basic.publish: priority 255", |s| {
        let properties = Properties { priority: Some(255), ..Properties::default() };
        with_properties(s, &properties);
    }),
    ("basic.publish: delivery-mode 3", |s| {
        let properties = Properties { delivery_mode: Some(3), ..Properties::default() };
        with_properties(s, &properties);
    }),
    ("basic.publish: a body of 17 MiB", |s| {
        s.open();
        let body = vec![b'.'; 17 << 20];
        s.publish("", "nobody", 0, &Properties::default(), &body);
        s.answer(1);
    }),
    ("basic.publish: a body of 128 MiB and one octet", |s| {
        s.open();
        let body = vec![b'.'; (128 << 20) + 1];
        s.publish("", "nobody", 0, &Properties::default(), &body);
        s.answer(1);
    }),
];
