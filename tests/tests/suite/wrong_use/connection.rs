//! The handshake, and methods of class `connection` on an open one.

use leveret_tests::{
    login::{Login, amqplain, capabilities, plain},
    methods::{basic, connection, queue},
    wire::{self, Table, Writer},
};

use super::Case;

/// A login with another response.
fn with_response(response: Vec<u8>) -> Login {
    Login { response, ..Login::default() }
}

fn start_ok(login: &Login) -> Vec<u8> {
    connection::start_ok(&login.properties, &login.mechanism, &login.response)
}

/// A login with AMQPLAIN and another response.
fn amqplain_login(response: Vec<u8>) -> Login {
    Login { mechanism: "AMQPLAIN".into(), response, ..Login::default() }
}

pub(super) const CASES: &[Case] = &[
    ("protocol header: garbage", |s| {
        s.bytes(b"GARBAGE!");
        s.octets_until_close();
    }),
    ("protocol header: HTTP", |s| {
        s.bytes(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        s.octets_until_close();
    }),
    ("protocol header: version 0-9-2", |s| {
        s.bytes(b"AMQP\x00\x00\x09\x02");
        s.octets_until_close();
    }),
    ("protocol header: version 0-10", |s| {
        s.bytes(b"AMQP\x01\x01\x00\x0a");
        s.octets_until_close();
    }),
    ("protocol header: version 8-0", |s| {
        s.bytes(b"AMQP\x01\x01\x08\x00");
        s.octets_until_close();
    }),
    ("protocol header: version 0-9", |s| {
        s.bytes(b"AMQP\x01\x01\x00\x09");
        s.one_answer();
    }),
    ("protocol header: a frame instead", |s| {
        s.send(0, connection::open("/"));
        s.octets_until_close();
    }),
    ("connection.start-ok: wrong password", |s| {
        s.start();
        s.send(0, start_ok(&with_response(plain("guest", "wrong"))));
        s.until_close();
    }),
    ("connection.start-ok: wrong password without the capability", |s| {
        s.start();
        let login = Login { properties: capabilities(false), ..with_response(plain("guest", "wrong")) };
        s.send(0, start_ok(&login));
        s.until_close();
    }),
    ("connection.start-ok: unknown user", |s| {
        s.start();
        s.send(0, start_ok(&with_response(plain("nobody", "guest"))));
        s.until_close();
    }),
    ("connection.start-ok: empty password", |s| {
        s.start();
        s.send(0, start_ok(&with_response(plain("guest", ""))));
        s.until_close();
    }),
    ("connection.start-ok: PLAIN response without zeros", |s| {
        s.start();
        s.send(0, start_ok(&with_response(b"guest guest".to_vec())));
        s.until_close();
    }),
    ("connection.start-ok: empty PLAIN response", |s| {
        s.start();
        s.send(0, start_ok(&with_response(Vec::new())));
        s.until_close();
    }),
    ("connection.start-ok: unknown mechanism", |s| {
        s.start();
        let login = Login { mechanism: "CRAM-MD5".into(), ..Login::default() };
        s.send(0, start_ok(&login));
        s.until_close();
    }),
    ("connection.start-ok: empty mechanism", |s| {
        s.start();
        let login = Login { mechanism: String::new(), ..Login::default() };
        s.send(0, start_ok(&login));
        s.until_close();
    }),
    ("connection.start-ok: mechanism in lower case", |s| {
        s.start();
        let login = Login { mechanism: "plain".into(), ..Login::default() };
        s.send(0, start_ok(&login));
        s.until_close();
    }),
    ("connection.start-ok: AMQPLAIN with a wrong password", |s| {
        s.start();
        s.send(0, start_ok(&amqplain_login(amqplain("guest", "wrong"))));
        s.until_close();
    }),
    ("connection.start-ok: AMQPLAIN without a password", |s| {
        s.start();
        let response = Table::default().text("LOGIN", "guest").0;
        s.send(0, start_ok(&amqplain_login(response)));
        s.until_close();
    }),
    ("connection.start-ok: AMQPLAIN response is no table", |s| {
        s.start();
        s.send(0, start_ok(&amqplain_login(b"\xff\xff\xff".to_vec())));
        s.until_close();
    }),
    ("connection.start-ok: client properties with an unknown type", |s| {
        s.start();
        let properties = Table::default().field("odd", b'?', &[0; 4]);
        let login = Login { properties, ..Login::default() };
        s.send(0, start_ok(&login));
        s.until_close();
    }),
    ("connection.start-ok: client properties longer than the frame", |s| {
        s.start();
        let payload = Writer::method(10, 11).u32(1_000_000).raw(b"short").done();
        s.send(0, payload);
        s.until_close();
    }),
    ("connection.start-ok: capabilities that are no table", |s| {
        s.start();
        let login =
            Login { properties: Table::default().text("capabilities", "all of them"), ..Login::default() };
        s.send(0, start_ok(&login));
        s.one_answer();
    }),
    ("connection.start-ok: unknown locale", |s| {
        s.start();
        let payload = Writer::method(10, 11)
            .table(&capabilities(true))
            .short("PLAIN")
            .long(plain("guest", "guest"))
            .short("tlh_QO")
            .done();
        s.send(0, payload);
        s.one_answer();
    }),
    ("connection.start-ok: sent twice", |s| {
        s.start();
        s.send(0, start_ok(&Login::default()));
        s.one_answer();
        s.send(0, start_ok(&Login::default()));
        s.until_close();
    }),
    ("connection.start-ok: on an open connection", |s| {
        s.login();
        s.send(0, start_ok(&Login::default()));
        s.answer(0);
    }),
    ("connection.start-ok: on channel 1", |s| {
        s.start();
        s.send(1, start_ok(&Login::default()));
        s.until_close();
    }),
    ("connection.start-ok: tune-ok instead", |s| {
        s.start();
        s.send(0, connection::tune_ok(0, 131_072, 0));
        s.until_close();
    }),
    ("connection.start-ok: open instead", |s| {
        s.start();
        s.send(0, connection::open("/"));
        s.until_close();
    }),
    ("connection.start-ok: close instead", |s| {
        s.start();
        s.send(0, connection::close());
        s.until_close();
    }),
    ("connection.start-ok: channel.open instead", |s| {
        s.start();
        s.send(1, leveret_tests::methods::channel::open());
        s.until_close();
    }),
    ("connection.start-ok: a frame of 1 MiB instead", |s| {
        s.start();
        s.bytes(&wire::frame_head(wire::METHOD, 0, 1 << 20));
        s.until_close();
    }),
    ("connection.start-ok: a heartbeat first", |s| {
        s.start();
        s.frame(wire::HEARTBEAT, 0, b"");
        s.send(0, start_ok(&Login::default()));
        s.one_answer();
    }),
    ("connection.secure-ok: without a challenge", |s| {
        s.start();
        s.send(0, connection::secure_ok(b"answer"));
        s.until_close();
    }),
    ("connection.secure-ok: on an open connection", |s| {
        s.login();
        s.send(0, connection::secure_ok(b"answer"));
        s.answer(0);
    }),
    ("connection.tune-ok: frame_max below the minimum", |s| {
        s.start();
        s.send(0, start_ok(&Login::default()));
        s.one_answer();
        s.send(0, connection::tune_ok(0, 100, 0));
        s.until_close();
    }),
    ("connection.tune-ok: frame_max 4095", |s| {
        s.start();
        s.send(0, start_ok(&Login::default()));
        s.one_answer();
        s.send(0, connection::tune_ok(0, 4_095, 0));
        s.until_close();
    }),
    ("connection.tune-ok: frame_max 4096", |s| {
        s.tune(&Login { frame_max: Some(4_096), ..Login::default() });
        s.send(0, connection::open("/"));
        s.one_answer();
    }),
    ("connection.tune-ok: frame_max above the broker's", |s| {
        s.tune(&Login { frame_max: Some(131_073), ..Login::default() });
        s.until_close();
    }),
    ("connection.tune-ok: frame_max 0", |s| {
        s.tune(&Login { frame_max: Some(0), ..Login::default() });
        s.send(0, connection::open("/"));
        s.one_answer();
    }),
    ("connection.tune-ok: channel_max above the broker's", |s| {
        s.tune(&Login { channel_max: Some(2_048), ..Login::default() });
        s.until_close();
    }),
    ("connection.tune-ok: channel_max 0", |s| {
        s.tune(&Login { channel_max: Some(0), ..Login::default() });
        s.send(0, connection::open("/"));
        s.one_answer();
    }),
    ("connection.tune-ok: sent twice", |s| {
        s.tune(&Login::default());
        s.send(0, connection::tune_ok(0, 131_072, 0));
        s.until_close();
    }),
    ("connection.tune-ok: on an open connection", |s| {
        s.login();
        s.send(0, connection::tune_ok(0, 131_072, 0));
        s.answer(0);
    }),
    ("connection.open: missing vhost", |s| {
        s.tune(&Login::default());
        s.send(0, connection::open("nowhere"));
        s.until_close();
    }),
    ("connection.open: empty vhost", |s| {
        s.tune(&Login::default());
        s.send(0, connection::open(""));
        s.until_close();
    }),
    ("connection.open: before tune-ok", |s| {
        s.start();
        s.send(0, start_ok(&Login::default()));
        s.one_answer();
        s.send(0, connection::open("/"));
        s.until_close();
    }),
    ("connection.open: sent twice", |s| {
        s.login();
        s.send(0, connection::open("/"));
        s.answer(0);
    }),
    ("connection.open: on channel 1", |s| {
        s.open();
        s.ask(connection::open("/"));
    }),
    ("connection.open: channel.open before it", |s| {
        s.tune(&Login::default());
        s.send(1, leveret_tests::methods::channel::open());
        s.until_close();
    }),
    ("connection.close: on channel 1", |s| {
        s.open();
        s.ask(connection::close());
    }),
    ("connection.close: cut short", |s| {
        s.login();
        s.send(0, Writer::method(10, 50).u16(200).done());
        s.answer(0);
    }),
    ("connection.close: other methods after it", |s| {
        s.open();
        let mut both = wire::frame(wire::METHOD, 0, &connection::close());
        let declare = queue::declare("never", queue::PASSIVE, &Table::default());
        both.extend(wire::frame(wire::METHOD, 1, &declare));
        s.bytes(&both);
        s.until_close();
    }),
    ("connection.close: crossing the broker's own close", |s| {
        s.open();
        let mut both = wire::frame(wire::METHOD, 1, &basic::qos(1, 1, false));
        both.extend(wire::frame(wire::METHOD, 0, &connection::close()));
        s.bytes(&both);
        s.one_answer();
    }),
    ("connection.close: answered by a close", |s| {
        s.open();
        s.send(1, basic::qos(1, 1, false));
        s.next_line();
        s.send(0, connection::close());
        s.one_answer();
    }),
    ("connection.close-ok: without a close", |s| {
        s.login();
        s.send(0, connection::close_ok());
        s.answer(0);
    }),
    ("connection.blocked: from a client", |s| {
        s.login();
        s.send(0, Writer::method(10, 60).short("no").done());
        s.answer(0);
    }),
    ("connection.unblocked: from a client", |s| {
        s.login();
        s.send(0, Writer::method(10, 61).done());
        s.answer(0);
    }),
    ("connection.update-secret: a wrong one", |s| {
        s.login();
        s.send(0, connection::update_secret("wrong", "renewal"));
        s.answer(0);
    }),
    ("connection.update-secret: the right one", |s| {
        s.login();
        s.send(0, connection::update_secret("guest", "renewal"));
        s.answer(0);
    }),
    ("connection.start: from a client", |s| {
        s.login();
        let payload =
            Writer::method(10, 10).u8(0).u8(9).table(&Table::default()).long("PLAIN").long("en_US").done();
        s.send(0, payload);
        s.answer(0);
    }),
    ("connection.open-ok: from a client", |s| {
        s.login();
        s.send(0, Writer::method(10, 41).short("").done());
        s.answer(0);
    }),
    ("connection: unknown method 10.99", |s| {
        s.login();
        s.send(0, Writer::method(10, 99).done());
        s.answer(0);
    }),
    ("connection: unknown method before login", |s| {
        s.start();
        s.send(0, Writer::method(10, 99).done());
        s.until_close();
    }),
];
