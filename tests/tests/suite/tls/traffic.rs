//! Messages over TLS: large ones, many, and a consumer that does not read for a while.

use leveret_tests::client::Event;
use leveret_tests::methods::{Properties, basic, confirm, connection};
use rustls::version::{TLS12, TLS13};

use super::*;

fn body(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|index| (seed.wrapping_mul(31) ^ index.wrapping_mul(7) ^ (index >> 8)) as u8).collect()
}

#[test]
fn messages_of_all_sizes_come_back_as_they_were() {
    let house = House::start("");
    for version in [&TLS12, &TLS13] {
        let trust = Trust { version: Some(version), ..house.trust() };
        let mut client = house.login(&trust).expect("a client");
        client.call(1, confirm::select(), (85, 11)).expect("confirms");
        client.call(1, queue::declare("sizes", 0, &Table::default()), (50, 11)).expect("a queue");
        // Around a record's 16 KiB, a frame's 128 KiB, and far beyond any buffer.
        for len in [0, 1, 16_383, 16_384, 16_385, 131_064, 131_065, 300_000, 5_000_000] {
            let sent = body(len, len);
            client.publish(1, ("", "sizes", 0), &Properties::default(), &sent).expect("published");
            client.expect_method(1, (60, 80)).expect("an ack");
            let got = client.get(1, "sizes").expect("an answer").expect("a message");
            assert!(got.body == sent, "{len} octets with {version:?}");
        }
    }
}

#[test]
fn a_consumer_that_stops_reading_gets_everything_later() {
    let house = House::start("");
    let mut publisher = house.login(&house.trust()).expect("a client");
    publisher.call(1, queue::declare("late", 0, &Table::default()), (50, 11)).expect("a queue");
    let mut consumer = house.login(&house.trust()).expect("a client");
    let consume = basic::consume("late", "c", basic::NO_ACK, &Table::default());
    consumer.call(1, consume, (60, 21)).expect("consuming");
    // More than the sockets' buffers take, so the broker has to wait with encrypted bytes in hand.
    let (count, len) = (400, 50_000);
    publisher.call(1, confirm::select(), (85, 11)).expect("confirms");
    for number in 0..count {
        publisher.publish(1, ("", "late", 0), &Properties::default(), &body(number, len)).expect("published");
    }
    // Another client is served meanwhile.
    declares(&mut house.login(&house.trust()).expect("a client"));
    for number in 0..count {
        let Event::Frame(deliver) = consumer.next(PATIENCE) else { panic!("delivery {number} did not come") };
        assert_eq!(deliver.method(), Some((60, 60)));
        let content = consumer.content(deliver).expect("its content");
        assert!(content.body == body(number, len), "delivery {number}");
    }
}

#[test]
fn many_small_messages_in_one_go() {
    let house = House::start("");
    let mut client = house.login(&house.trust()).expect("a client");
    client.call(1, queue::declare("small", 0, &Table::default()), (50, 11)).expect("a queue");
    let count = 20_000_usize;
    let mut bytes = Vec::new();
    for number in 0..count {
        let text = number.to_string();
        let method = basic::publish("", "small", 0);
        let message =
            leveret_tests::client::message(1, &method, &Properties::default(), text.as_bytes(), 131_072);
        bytes.extend(message);
    }
    client.send(&bytes).expect("sent");
    client
        .call(1, basic::consume("small", "c", basic::NO_ACK, &Table::default()), (60, 21))
        .expect("consuming");
    for number in 0..count {
        let Event::Frame(deliver) = client.next(PATIENCE) else { panic!("delivery {number} did not come") };
        let content = client.content(deliver).expect("its content");
        assert_eq!(content.body, number.to_string().into_bytes());
    }
}

#[test]
fn a_close_in_order_ends_tls_in_order() {
    let house = House::start("");
    let mut client = house.login(&house.trust()).expect("a client");
    client.call(0, connection::close(), (10, 51)).expect("close-ok");
    client.finish().expect("close_notify");
    assert_eq!(client.read_to_close(PATIENCE), Some(Vec::new()));
    assert!(client.ended_in_order(), "the broker said close_notify");
}
