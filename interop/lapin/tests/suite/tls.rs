//! Over TLS: the broker verified, a client's certificate, EXTERNAL. `AMQPS_PORT` and `TLS_FOLDER` say where; without
//! them these tests say so and do nothing.

use std::path::PathBuf;

use lapin::options::*;
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, DefaultConnectionBuilder, Result};

use crate::support::*;

/// The port, and the folder with `ca_certificate.pem` and, for the user guest, `client_certificate.pem` and
/// `client_key.pem`.
fn place() -> Option<(String, PathBuf)> {
    let place = std::env::var("AMQPS_PORT").ok().zip(std::env::var_os("TLS_FOLDER").map(PathBuf::from));
    if place.is_none() {
        println!("skipped: AMQPS_PORT and TLS_FOLDER are not set");
    }
    place
}

async fn connect(host: &str, options: &str, trusted: bool, certificate: bool) -> Option<Result<Connection>> {
    let (port, folder) = place()?;
    let read = |name: &str| std::fs::read(folder.join(name)).expect("a file of TLS_FOLDER");
    let config = OwnedTLSConfig {
        cert_chain: trusted.then(|| String::from_utf8(read("ca_certificate.pem")).expect("PEM")),
        identity: certificate
            .then(|| OwnedIdentity::PKCS8 { pem: read("client_certificate.pem"), key: read("client_key.pem") }),
    };
    let uri = format!("amqps://guest:guest@{host}:{port}/%2f{options}");
    let builder = DefaultConnectionBuilder::new().expect("a runtime").with_uri_str(uri).with_tls_config(config);
    Some(in_time("connecting over TLS", builder.connect()).await)
}

async fn round_trip(connection: &Connection, body: &[u8]) {
    let channel = connection.create_channel().await.expect("a channel");
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await.expect("a queue");
    let name = queue.name().clone();
    let published = channel.basic_publish(
        "".into(),
        name.clone(),
        BasicPublishOptions::default(),
        body,
        BasicProperties::default(),
    );
    published.await.expect("published");
    let got = channel.basic_get(name, BasicGetOptions { no_ack: true }).await.expect("an answer");
    assert_eq!(got.expect("a message").delivery.data, body);
    channel.close(200, "".into()).await.expect("the channel closed");
}

#[test]
fn messages_of_all_sizes_over_tls() {
    run(async |_| {
        let Some(connection) = connect("localhost", "", true, false).await else { return };
        let connection = connection.expect("a connection");
        for size in [0, 1, 16_384, 131_072, 3_000_000] {
            round_trip(&connection, &vec![7; size]).await;
        }
        connection.close(200, "".into()).await.expect("closed in order");
    });
}

#[test]
fn a_clients_certificate_logs_in() {
    run(async |_| {
        let options = "?auth_mechanism=external";
        let Some(connection) = connect("localhost", options, true, true).await else { return };
        round_trip(&connection.expect("a connection"), b"by certificate").await;
    });
}

#[test]
fn external_without_a_certificate_is_refused() {
    run(async |_| {
        let options = "?auth_mechanism=external";
        let Some(refused) = connect("localhost", options, true, false).await else { return };
        let error = refused.expect_err("no certificate").to_string();
        assert!(error.contains("ACCESS_REFUSED") || error.contains("ACCESS-REFUSED"), "{error}");
    });
}

#[test]
fn lapin_turns_away_from_a_broker_that_it_does_not_trust() {
    run(async |_| {
        let Some(refused) = connect("localhost", "", false, false).await else { return };
        assert!(refused.is_err(), "the authority is not one of the machine's");
        // Reachable, but not the name in the certificate.
        let Some(refused) = connect("127.0.0.1", "", true, false).await else { return };
        assert!(refused.is_err(), "another name");
    });
}
