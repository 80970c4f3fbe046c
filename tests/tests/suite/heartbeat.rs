//! Heartbeats: the broker sends them, and drops who does not.

use leveret_tests::{
    broker::Broker,
    client::Client,
    login::Login,
    wait::PATIENCE,
    wire::{self, Frame},
};

fn with_heartbeat(broker: &Broker) -> Client {
    let login = Login { heartbeat: 1, ..Login::default() };
    Client::login_with(broker.amqp(), &login).expect("a login")
}

#[test]
fn a_silent_client_gets_heartbeats_and_is_dropped() {
    let broker = Broker::start();
    let mut client = with_heartbeat(&broker);
    let mut octets = client.read_to_close(PATIENCE).expect("the close of a silent connection");
    let heartbeat = Frame { kind: wire::HEARTBEAT, channel: 0, payload: Vec::new() };
    assert_eq!(Frame::take(&mut octets), Some(heartbeat));
}

#[test]
fn a_client_that_sends_heartbeats_stays() {
    let broker = Broker::start();
    let mut client = with_heartbeat(&broker);
    let start = std::time::Instant::now();
    while start.elapsed() < std::time::Duration::from_secs(4) {
        client.send(&wire::frame(wire::HEARTBEAT, 0, b"")).expect("an open connection");
        let quiet = client.next(std::time::Duration::from_millis(400));
        assert_eq!(quiet, leveret_tests::client::Event::Silence);
    }
    client.open_channel(1).expect("service");
}
