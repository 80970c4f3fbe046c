//! The handshake as tables.

use leveret_protocol::amqp::connection::{AMQPMethod as M, Open, StartOk, TuneOk};

use super::*;

const NOW: MonotonicMillis = MonotonicMillis(5_000);

fn tuned(frame_max: u32, channel_max: u16) -> Result<Connection, BrokerError> {
    let mut connection = Connection::new(Tuning::default(), NOW);
    let start_ok = StartOk {
        client_properties: FieldTable::default(),
        mechanism: "PLAIN".into(),
        response: "\0guest\0guest".into(),
        locale: "en_US".into(),
    };
    let ask = connection.on_method(M::StartOk(start_ok)).unwrap();
    assert_eq!(ask, Ask::Login { mechanism: "PLAIN".into(), response: b"\0guest\0guest".to_vec() });
    connection.logged_in();
    connection.on_method(M::TuneOk(TuneOk { channel_max, frame_max, heartbeat: 20 }))?;
    Ok(connection)
}

#[test]
fn the_whole_way_to_an_open_connection() {
    let mut connection = tuned(8_192, 100).unwrap();
    assert_eq!(connection.deadline(), Some(MonotonicMillis(15_000)));
    assert!(connection.timed_out(MonotonicMillis(15_000)));
    let ask = connection.on_method(M::Open(Open { virtual_host: "/".into() })).unwrap();
    assert_eq!(ask, Ask::Open { vhost: "/".into() });
    connection.opened(NOW);
    assert_eq!(connection.phase(), Phase::Running);
    assert_eq!(
        (connection.frame_max(), connection.channel_max(), connection.heartbeat_s()),
        (8_192, 100, 20)
    );
    assert_eq!(connection.deadline(), Some(MonotonicMillis(15_000)), "half a heartbeat");
    assert!(!connection.timed_out(MonotonicMillis(u64::MAX / 2)));
}

#[test]
fn refused_negotiations_have_rabbitmqs_texts() {
    for (frame_max, channel_max, text) in [
        (4_095, 0, "negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"),
        (131_073, 10, "negotiated frame_max = 131073 is higher than the maximum allowed value (131072)"),
        (0, 10, "negotiated frame_max = 0 (no limit) is higher than the maximum allowed value (131072)"),
        (4_096, 0, "negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)"),
        (4_096, 2_048, "negotiated channel_max = 2048 is higher than the maximum allowed value (2047)"),
    ] {
        let error = tuned(frame_max, channel_max).unwrap_err();
        assert_eq!((error.code, error.explanation.as_str()), (530, text));
    }
    assert!(tuned(4_096, 1).is_ok());
}

#[test]
fn methods_out_of_place_are_refused() {
    let mut connection = Connection::new(Tuning::default(), NOW);
    assert!(connection.on_method(M::Open(Open { virtual_host: "/".into() })).is_err());
    let mut connection = tuned(8_192, 10).unwrap();
    assert!(
        connection.on_method(M::TuneOk(TuneOk { channel_max: 1, frame_max: 8_192, heartbeat: 0 })).is_err()
    );
}

#[test]
fn while_closing_only_the_close_counts() {
    let mut connection = tuned(8_192, 10).unwrap();
    connection.close_sent(NOW, 1_000);
    let open = M::Open(Open { virtual_host: "/".into() });
    assert_eq!(connection.on_method(open), Ok(Ask::Nothing));
    assert_eq!(connection.on_method(M::CloseOk(connection::CloseOk {})), Ok(Ask::PeerClosed));
    assert!(connection.timed_out(MonotonicMillis(6_000)));
}
