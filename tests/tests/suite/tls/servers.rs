//! What clients see of the broker: its certificate, versions, ciphers, and a change of all that while it runs.

use rustls::version::{TLS12, TLS13};

use super::*;

#[test]
fn clients_that_do_not_trust_the_broker_turn_away() {
    let house = House::start("");
    let mut neighbour = house.login(&house.trust()).expect("a client");
    let wrong_name = Trust { server_name: "other.example", ..house.trust() };
    let stranger = Trust::in_authority(&Authority::root("another"));
    for (what, trust) in [("wrong name", wrong_name), ("unknown issuer", stranger)] {
        let error = house.login(&trust).expect_err(what).to_string();
        assert!(error.contains("invalid peer certificate"), "{what}: {error}");
    }
    house.logged("TLS handshake failed", 2);
    let by_address = Trust { server_name: "127.0.0.1", ..house.trust() };
    house.login(&by_address).expect("a name of the certificate");
    declares(&mut neighbour);
}

#[test]
fn only_the_versions_that_are_set_are_offered() {
    for (settings, tls12, tls13) in [
        (&[][..], true, true),
        (&[("ssl_options.versions.1", "tlsv1.2")], true, false),
        (&[("ssl_options.versions.1", "tlsv1.3")], false, true),
        (&[("ssl_options.versions.1", "tlsv1.3"), ("ssl_options.versions.2", "tlsv1.2")], true, true),
        // Ciphers of one version leave nothing to the other.
        (&[("ssl_options.ciphers.1", "ECDHE-ECDSA-AES128-GCM-SHA256")], true, false),
        (&[("ssl_options.ciphers.1", "TLS_CHACHA20_POLY1305_SHA256")], false, true),
        (&[("ssl_options.ciphers.1", "ECDHE-RSA-AES256-GCM-SHA384")], false, false),
    ] {
        let house = House::start(&lines(settings));
        for (version, offered) in [(&TLS12, tls12), (&TLS13, tls13)] {
            let trust = Trust { version: Some(version), ..house.trust() };
            assert_eq!(house.login(&trust).is_ok(), offered, "{settings:?} {version:?}");
        }
    }
}

/// RabbitMQ sends the issuers that it finds among its authorities; set-ups rely on it.
#[test]
fn the_chain_is_completed_from_the_authorities() {
    let house = House::start("");
    let root = &house.authority;
    let between = root.below(Request::client("between").authority());
    let server = between.issue(&Request::server(&SERVER_NAMES));
    let files = &house.files;
    files.put("server.pem", &server.certificate_pem);
    files.put("server.key", &server.key_pem);
    files.put("ca.pem", &between.chain_pem);
    let mut again = Broker::prepare(Options::config(&format!(
        "listeners.ssl.1 = {}\n{}{}",
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        files.server_lines("ssl_options"),
        files.authority_line("ssl_options"),
    )));
    again.launch();
    again.wait_ready();
    let marker = "AMQP over TLS on ";
    let log = again.log();
    let (_, rest) = log.split_once(marker).expect("a listener");
    let address = rest.lines().next().and_then(|line| line.trim().parse().ok()).expect("an address");
    login(address, &Trust::in_authority(root), &Login::default()).expect("the root alone is trusted");
}

#[test]
fn new_certificates_are_taken_up_and_bad_ones_are_not() {
    let house = House::start("");
    let mut first = house.login(&house.trust()).expect("a client");
    // Something that cannot be used: the old one stays.
    house.files.put("server.pem", "no certificate\n");
    until("the log tells of it", PATIENCE, || {
        house.login(&house.trust()).expect("the old certificate serves on");
        house.broker.log().contains("the old ones stay in use").then_some(())
    });
    let next = Authority::root("the next authority");
    house.files.put("ca.pem", &next.chain_pem);
    house.files.put_server(&next.issue(&Request::server(&SERVER_NAMES)));
    let trust = Trust::in_authority(&next);
    let mut client = until("the new certificate serves", PATIENCE, || house.login(&trust).ok());
    declares(&mut client);
    let old = house.good();
    assert!(house.login(&old).is_err(), "the client trusts the old authority");
    let newly = trust.showing(&next.issue(&Request::client("new")));
    house.login(&newly).expect("the new authority's clients are verified by it");
    let mixed = trust.showing(&house.authority.issue(&Request::client("old")));
    assert!(house.login(&mixed).is_err(), "the old authority's clients are strangers now");
    // Who was there stays.
    declares(&mut first);
}
