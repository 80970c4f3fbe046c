//! Peers that speak something else, or nothing.

use std::io::{Read as _, Write as _};

use super::*;

/// A TLS 1.1 hello as OpenSSL would send it: no supported_versions, so nothing newer is meant.
fn old_hello(minor: u8) -> Vec<u8> {
    let extensions: &[u8] = &[
        0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x17, // groups: P-256
        0x00, 0x0b, 0x00, 0x02, 0x01, 0x00, // point formats
        0x00, 0x0d, 0x00, 0x06, 0x00, 0x04, 0x04, 0x03, 0x08, 0x04, // signatures: ECDSA and RSA-PSS
    ];
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    body.push(0);
    // ECDHE-ECDSA-AES128-GCM-SHA256 and an old one.
    body.extend([0, 4, 0xc0, 0x2b, 0xc0, 0x09]);
    body.extend([1, 0]);
    body.extend(u16::try_from(extensions.len()).expect("short").to_be_bytes());
    body.extend(extensions);
    let length = u32::try_from(body.len()).expect("short").to_be_bytes();
    let mut message = vec![1];
    message.extend(&length[1..]);
    message.extend(body);
    let mut record = vec![0x16, 3, 1];
    record.extend(u16::try_from(message.len()).expect("short").to_be_bytes());
    record.extend(message);
    record
}

/// What the broker answers on its TLS port before it closes.
fn answer(house: &House, bytes: &[u8]) -> Vec<u8> {
    let mut client = Client::connect(house.amqps).expect("a socket");
    // The broker may refuse before all is sent.
    let _ = client.send(bytes);
    client.read_to_close(PATIENCE).expect("the broker closes")
}

#[test]
fn what_is_no_tls_is_told_so_and_closed() {
    let house = House::start("ssl_handshake_timeout = 500\n");
    let mut neighbour = house.login(&house.trust()).expect("a client");
    let noise: Vec<u8> = (0..4_096_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let oversized = [&[0x16, 3, 1, 0xff, 0xff][..], &noise].concat();
    let strangers: [(&str, &[u8]); 6] = [
        ("plain AMQP", b"AMQP\0\0\x09\x01"),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("noise", &noise),
        ("an oversized record", &oversized),
        ("application data first", &[0x17, 3, 3, 0, 1, 0]),
        ("an empty handshake", &[0x16, 3, 1, 0, 0]),
    ];
    for (times, (what, bytes)) in strangers.into_iter().enumerate() {
        let answered = answer(&house, bytes);
        // A fatal alert, or nothing; never a word of AMQP.
        assert!(answered.is_empty() || answered.starts_with(&[0x15, 3]), "{what}: {answered:?}");
        house.logged("TLS handshake failed", times + 1);
        declares(&mut neighbour);
    }
    house.logged("does the client speak plain AMQP or HTTP?", 2);
}

#[test]
fn versions_before_1_2_are_refused() {
    let house = House::start("");
    for minor in [0, 1, 2] {
        let answered = answer(&house, &old_hello(minor));
        // protocol_version, fatal.
        assert_eq!(answered.get(5..), Some(&[2, 70][..]), "3.{minor}: {answered:?}");
    }
    // The same hello for TLS 1.2 gets further: the test's bytes are a hello.
    let mut socket = Stream::plain(house.amqps).expect("a socket");
    socket.write_all(&old_hello(3)).expect("sent");
    let mut head = [0; 6];
    socket.read_exact(&mut head).expect("an answer");
    assert_eq!((head[0], head[5]), (0x16, 2), "a server hello: {head:?}");
}

#[test]
fn half_a_handshake_is_ended() {
    let house = House::start("ssl_handshake_timeout = 300\n");
    let hello = old_hello(3);
    // Nothing at all, a part of the hello, a whole one without what follows.
    for sent in [0, 1, 5, hello.len() / 2, hello.len()] {
        answer(&house, &hello[..sent]);
    }
    house.logged("not done within 300 ms", 5);
    // Hundreds of them keep nobody out.
    let waiting: Vec<Client> = (0..300).map(|_| Client::connect(house.amqps).expect("a socket")).collect();
    declares(&mut house.login(&house.trust()).expect("a client"));
    for mut client in waiting {
        client.read_to_close(PATIENCE).expect("the broker closes");
    }
}

#[test]
fn clients_that_go_away_in_between_leave_nothing() {
    let house = House::start("");
    let hello = old_hello(3);
    for sent in [0, 3, hello.len() - 1, hello.len()] {
        let mut client = Client::connect(house.amqps).expect("a socket");
        client.send(&hello[..sent]).expect("sent");
    }
    house.logged("TLS handshake failed", 4);
    // After the handshake, and without a close_notify.
    drop(Stream::tls(house.amqps, &house.trust()).expect("a handshake"));
    declares(&mut house.login(&house.trust()).expect("a client"));
}

#[test]
fn tls_on_the_plain_port_is_a_line_in_the_log() {
    let house = House::start("");
    assert!(Stream::tls(house.broker.amqp(), &house.trust()).is_err());
    house.logged("a TLS handshake came in on the AMQP port", 1);
    let _served = house.broker.channel();
}

/// A record that was changed on its way ends the connection, and only that.
#[test]
fn damaged_records_end_the_connection() {
    let house = House::start("");
    let mut neighbour = house.login(&house.trust()).expect("a client");
    let client = house.login(&house.trust()).expect("a client");
    let mut socket = client.writer().expect("the socket below");
    socket.write_all(&[0x17, 3, 3, 0, 32]).expect("sent");
    socket.write_all(&[9; 32]).expect("sent");
    let mut client = client;
    assert!(client.read_to_close(PATIENCE).is_some(), "the broker closes");
    declares(&mut neighbour);
}
