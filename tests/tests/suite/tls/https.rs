//! The HTTP API over TLS, and what it says of TLS connections.

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::Command,
};

use leveret_tests::binary;
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

/// Runs leveretctl against an HTTP API over TLS; gives its exit code and all that it said.
fn list_users(url: &str, authority: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(binary::leveretctl());
    command.args(["list_users", "-s", "--username", "guest", "--password", "guest", "--url", url]).args(more);
    let output = command.arg("--cacertfile").arg(authority).output().expect("leveretctl");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn leveretctl_speaks_https_and_verifies_it() {
    let (house, https) = start(|files| {
        let own = files.server_lines("management.ssl") + &files.authority_line("management.ssl");
        own + "management.ssl.fail_if_no_peer_cert = true\n"
    });
    let files = &house.files;
    files.put("stranger.pem", &Authority::root("a stranger").chain_pem);
    let client = house.authority.issue(&Request::client("good"));
    files.put("client.pem", &client.chain_pem());
    files.put("client.key", &client.key_pem);
    let path = |name: &str| files.path(name).display().to_string();
    let (certificate, key) = (path("client.pem"), path("client.key"));
    let identity = ["--certfile", &certificate, "--keyfile", &key];
    let (authority, url) = (files.path("ca.pem"), format!("https://localhost:{}", https.port()));
    let expected = (Some(0), "guest\t[administrator]\n".to_owned());
    assert_eq!(list_users(&url, &authority, &identity), expected);
    assert_eq!(list_users(&format!("https://{https}"), &authority, &identity), expected);
    let cases = [
        (files.path("stranger.pem"), &identity[..], "UnknownIssuer"),
        (files.path("none.pem"), &identity, "none.pem"),
        (authority.clone(), &identity[..2], "are needed together"),
        (authority, &[], ""),
    ];
    for (authority, more, problem) in cases {
        let (code, said) = list_users(&url, &authority, more);
        assert_eq!(code, Some(69), "{said}");
        assert!(said.contains(problem), "{problem}: {said}");
    }
    // The certificate that AMQP shows is another's, and so is the one here.
    files.put_server(&house.authority.issue(&Request::server(&["other.example"])));
    let wrong_name = until("the new certificate", PATIENCE, || {
        let (code, said) = list_users(&url, &files.path("ca.pem"), &identity);
        (code != Some(0)).then_some(said)
    });
    assert!(wrong_name.contains("not valid for"), "{wrong_name}");
}

#[test]
fn certificates_that_will_end_are_told() {
    let (house, https) = start(|_| String::new());
    let check = |within: &str| {
        let mut command = Command::new(binary::leveretctl());
        command.args(["check_certificate_expiration", "-q", "--unit", "years", "--within", within]);
        let output = command.env("LEVERET_DATA_DIR", house.broker.data_dir()).output().expect("leveretctl");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    assert_eq!(check("2"), (Some(0), "No certificates are expiring within 2 years.\n".to_owned()));
    let (code, said) = check("3000");
    assert_eq!((code, said.lines().count()), (Some(69), 2), "{said}");
    for part in [
        format!("port: {}, protocol: :\"amqp/ssl\", interface: \"127.0.0.1\"", house.amqps.port()),
        format!("port: {}, protocol: :https, interface: \"127.0.0.1\"", https.port()),
        format!("certfile: \"{}\"", house.files.path("server.pem").display()),
        "certfile_expires_on: [\"2096-01-01 00:00:00\"]".to_owned(),
    ] {
        assert!(said.contains(&part), "{part}: {said}");
    }
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
