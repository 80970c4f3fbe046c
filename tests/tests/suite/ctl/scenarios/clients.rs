//! Connections, channels, consumers.

use leveret_tests::{
    client::Client,
    client::Event,
    describe::describe,
    login::{Login, capabilities},
    methods::{basic, confirm, connection, queue, tx},
    wait::PATIENCE,
    wire::Table,
};

use crate::ctl::stage::Stage;

fn named(name: &str) -> Login {
    Login { properties: capabilities(true).text("connection_name", name), ..Login::default() }
}

pub(super) fn lists(stage: &mut Stage) {
    for command in [
        "rabbitmqctl list_connections",
        "rabbitmqctl list_connections --formatter json",
        "rabbitmqctl list_channels",
        "rabbitmqctl list_channels --formatter json",
        "rabbitmqctl list_consumers",
        "rabbitmqctl list_consumers --formatter json",
        "rabbitmqctl list_consumers -p nosuch",
    ] {
        stage.run(command);
    }
    let mut client = stage.login(&named("the one"));
    for command in [
        "rabbitmqctl list_connections",
        "rabbitmqctl -q list_connections",
        "rabbitmqctl -s list_connections",
        "rabbitmqctl list_connections --formatter json",
        "rabbitmqctl list_connections --formatter csv",
        "rabbitmqctl list_connections --formatter pretty_table",
        "rabbitmqctl -q list_connections pid name port host peer_port peer_host ssl state channels protocol \
         auth_mechanism user vhost timeout frame_max channel_max client_properties send_pend",
        "rabbitmqctl list_connections pid name port host peer_port peer_host ssl state channels protocol \
         auth_mechanism user vhost timeout frame_max channel_max client_properties send_pend --formatter json",
        "rabbitmqctl -q list_connections ssl_protocol ssl_key_exchange ssl_cipher ssl_hash peer_cert_subject \
         peer_cert_issuer peer_cert_validity container_id",
        "rabbitmqctl list_connections ssl_protocol ssl_key_exchange ssl_cipher ssl_hash peer_cert_subject \
         peer_cert_issuer peer_cert_validity --formatter json",
        "rabbitmqctl list_channels",
    ] {
        stage.run(command);
    }
    channels(&mut client);
    let columns = "pid connection name number user vhost transactional confirm consumer_count \
                   messages_unacknowledged messages_uncommitted acks_uncommitted messages_unconfirmed prefetch_count";
    stage.run_sorted("rabbitmqctl list_channels", "pid\t");
    stage.run_sorted(&format!("rabbitmqctl -q list_channels {columns}"), "pid\t");
    stage.run_sorted(&format!("rabbitmqctl list_channels {columns} --formatter json"), "[");
    stage.run_sorted("rabbitmqctl list_channels --formatter csv", "\"pid\"");
    stage.run_sorted("rabbitmqctl list_consumers", "queue_name\t");
    stage.run_sorted("rabbitmqctl -s list_consumers", "");
    stage.run_sorted("rabbitmqctl list_consumers --formatter json", "[");
    stage.run_sorted(
        "rabbitmqctl -q list_consumers queue_name consumer_tag active activity_status",
        "queue_name\t",
    );
    stage.run_sorted("rabbitmqctl -q list_consumers --formatter csv queue_name arguments", "\"queue_name\"");
}

/// Three channels: one with consumers and something unacknowledged, one that confirms, one that transacts.
fn channels(client: &mut Client) {
    let none = Table::default();
    for number in 1..=3 {
        client.open_channel(number).unwrap();
    }
    client.call(1, basic::qos(0, 7, false), (60, 11)).unwrap();
    client.call(1, queue::declare("q1", queue::DURABLE, &none), (50, 11)).unwrap();
    client.call(1, queue::declare("q2", queue::DURABLE, &none), (50, 11)).unwrap();
    let priority = Table::default().int("x-priority", 3);
    client.call(1, basic::consume("q1", "tag-1", 0, &priority), (60, 21)).unwrap();
    client.call(1, basic::consume("q2", "tag-2", basic::NO_ACK, &none), (60, 21)).unwrap();
    client.call(2, confirm::select(), (85, 11)).unwrap();
    client.call(3, tx::select(), (90, 11)).unwrap();
}

pub(super) fn close(stage: &mut Stage) {
    for command in [
        "rabbitmqctl close_connection nosuch why",
        "rabbitmqctl close_connection '<0.1.0>' why",
        "rabbitmqctl close_connection '<rabbit@elsewhere.1.2.3>' why",
        "rabbitmqctl close_all_connections why",
        "rabbitmqctl close_all_connections --global why",
        "rabbitmqctl close_all_connections -p nosuch why",
        "rabbitmqctl close_all_connections --limit 5 why",
        "rabbitmqctl close_all_user_connections guest why",
        "rabbitmqctl close_all_user_connections nosuch why",
    ] {
        stage.run(command);
    }
    // A connection is listed at once, and what stands for it can be given back.
    let mut client = stage.client();
    let pid = stage.ask("rabbitmqctl -q -s list_connections pid");
    stage.run(&format!("rabbitmqctl close_connection '{}' 'that is why'", pid.trim()));
    told(&mut client, "that is why");
    let mut client = stage.client();
    stage.run("rabbitmqctl close_all_connections -p / 'all of a vhost'");
    told(&mut client, "all of a vhost");
    let mut clients = [stage.client(), stage.client(), stage.client()];
    stage.run("rabbitmqctl close_all_connections --global --per-connection-delay 1 'all of them'");
    for client in &mut clients {
        told(client, "all of them");
    }
    // With --global the limit says nothing.
    let mut clients = [stage.client(), stage.client()];
    stage.run("rabbitmqctl close_all_connections --global --limit 1 --formatter json 'all again'");
    for client in &mut clients {
        told(client, "all again");
    }
    let mut clients = [stage.client(), stage.client()];
    stage.run("rabbitmqctl close_all_connections --limit 1 'one of them'");
    stage.run("rabbitmqctl -q close_all_user_connections guest 'the others'");
    let texts = clients.each_mut().map(reason);
    assert!(texts.iter().any(|text| text.contains("one of them")), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("the others")), "{texts:?}");
    stage.run("rabbitmqctl list_connections");
}

fn told(client: &mut Client, why: &str) {
    let text = reason(client);
    assert!(text.contains(&format!("320 \"CONNECTION_FORCED - {why}\"")), "{text}");
}

/// The connection.close that comes, answered.
fn reason(client: &mut Client) -> String {
    let Event::Frame(close) = client.next(PATIENCE) else { panic!("no connection.close came") };
    // The socket may be gone already.
    let _ = client.method(0, connection::close_ok());
    client.read_to_close(PATIENCE);
    describe(&close)
}
