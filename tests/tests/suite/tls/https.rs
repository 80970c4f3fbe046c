//! The HTTP API over TLS, and what it says of TLS connections.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use super::*;

/// Asks with guest's login over TLS; gives status and body.
fn ask(address: SocketAddr, trust: &Trust, path: &str) -> std::io::Result<(u16, Value)> {
    let mut stream = Stream::tls(address, trust)?;
    let head = "Host: localhost\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{head}").as_bytes())?;
    let mut answer = Vec::new();
    // A server that closes without close_notify ends this with an error; what came is judged anyway.
    let ended = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return Err(ended.err().unwrap_or_else(|| std::io::Error::other("no answer")));
    };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}

fn start(lines: impl FnOnce(&Files) -> String) -> (House, SocketAddr) {
    let https = SocketAddr::from((Ipv4Addr::LOCALHOST, process::free_port()));
    let port = https.port().to_string();
    let listen = self::lines(&[("management.ssl.port", port.as_str()), ("management.ssl.ip", "127.0.0.1")]);
    (House::start_with(|files| files.authority_line("ssl_options") + &listen + &lines(files)), https)
}

#[test]
fn the_certificate_of_amqp_serves_and_nobody_is_asked_for_one() {
    let (house, https) = start(|_| "ssl_options.fail_if_no_peer_cert = true\n".to_owned());
    let (status, whoami) = ask(https, &house.trust(), "/api/whoami").expect("an answer");
    assert_eq!((status, &whoami["name"]), (200, &json!("guest")));
    let wrong_name = Trust { server_name: "other.example", ..house.trust() };
    assert!(ask(https, &wrong_name, "/api/whoami").is_err());
    // Plain HTTP there gets no answer of HTTP.
    let mut plain = Client::connect(https).expect("a socket");
    plain.send(b"GET /api/whoami HTTP/1.1\r\n\r\n").expect("sent");
    let answer = plain.read_to_close(PATIENCE).expect("closed");
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    ask(https, &house.trust(), "/api/whoami").expect("it serves on");
}

#[test]
fn clients_certificates_are_verified_there_too() {
    let (house, https) = start(|files| {
        let own = files.server_lines("management.ssl") + &files.authority_line("management.ssl");
        own + "management.ssl.fail_if_no_peer_cert = true\n"
    });
    assert!(ask(https, &house.trust(), "/api/whoami").is_err(), "without a certificate");
    let stranger = Authority::root("a stranger").issue(&Request::client("good"));
    assert!(ask(https, &house.trust().showing(&stranger), "/api/whoami").is_err(), "a stranger's");
    let (status, _) = ask(https, &house.good(), "/api/whoami").expect("with one");
    assert_eq!(status, 200);
}

/// The values that RabbitMQ 4.0.5 gave for the same handshakes.
#[test]
fn connections_are_listed_with_their_tls() {
    use rustls::version::{TLS12, TLS13};
    let (house, https) = start(|_| String::new());
    let bare = |version| Trust { version: Some(version), ..house.trust() };
    let dressed = |version| Trust { version: Some(version), ..house.good() };
    let cases = [
        (bare(&TLS13), "tlsv1.3", "any", false),
        (dressed(&TLS13), "tlsv1.3", "any", true),
        (dressed(&TLS12), "tlsv1.2", "ecdhe_ecdsa", true),
    ];
    for (trust, protocol, key_exchange, has_certificate) in cases {
        let client = house.login(&trust).expect("a client");
        let port = client.local_addr().expect("an address").port();
        let (_, all) = ask(https, &house.trust(), "/api/connections").expect("an answer");
        let all = all.as_array().expect("a list");
        let ours = all.iter().find(|connection| connection["peer_port"] == port).expect("listed at once");
        let shown = |value: &str| if has_certificate { json!(value) } else { Value::Null };
        for (key, expected) in [
            ("ssl", json!(true)),
            ("ssl_protocol", json!(protocol)),
            ("ssl_key_exchange", json!(key_exchange)),
            ("ssl_cipher", json!("aes_256_gcm")),
            ("ssl_hash", json!("aead")),
            ("peer_cert_subject", shown("CN=good,O=Acme")),
            ("peer_cert_issuer", shown("CN=the authority,O=Acme")),
            ("peer_cert_validity", shown("2000-01-01T00:00:00Z - 2096-01-01T00:00:00Z")),
        ] {
            assert_eq!(ours[key], expected, "{key} with {protocol}");
        }
    }
    let _plain = house.broker.client();
    let (_, all) = ask(https, &house.trust(), "/api/connections").expect("an answer");
    let plain = all
        .as_array()
        .expect("a list")
        .iter()
        .any(|one| one["ssl"] == false && one["ssl_protocol"].is_null());
    assert!(plain, "{all}");
    let (_, overview) = ask(https, &house.trust(), "/api/overview").expect("an answer");
    let listeners = overview["listeners"].as_array().expect("a list");
    for (protocol, address) in [("amqp/ssl", house.amqps), ("https", https)] {
        let found = listeners.iter().any(|one| one["protocol"] == protocol && one["port"] == address.port());
        assert!(found, "{protocol} in {listeners:?}");
    }
}
