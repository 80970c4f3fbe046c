//! Clients' certificates: which are taken, which refused.

use rustls::version::{TLS12, TLS13};

use super::*;

const REQUIRED: &[(&str, &str)] =
    &[("ssl_options.verify", "verify_peer"), ("ssl_options.fail_if_no_peer_cert", "true")];

/// Every bad certificate, with both versions of TLS, and what the log says of it.
#[test]
fn bad_certificates_are_refused_and_neighbours_undisturbed() {
    let house = House::start(&lines(REQUIRED));
    let authority = &house.authority;
    let stranger = Authority::root("the authority");
    let below_no_authority = authority.below(Request::client("no authority"));
    let victim = authority.issue(&Request::client("victim"));
    let stolen = Identity { key_pem: authority.issue(&Request::client("thief")).key_pem, ..victim };
    let cases = [
        ("expired", Some(authority.issue(&Request::client("old").until_year(2001))), "certificate expired"),
        ("not yet valid", Some(authority.issue(&Request::client("new").from_year(2095))), "not valid yet"),
        (
            "unknown issuer of the same name",
            Some(stranger.issue(&Request::client("good"))),
            "invalid peer certificate",
        ),
        ("a server's", Some(authority.issue(&Request::server(&["localhost"]))), "invalid peer certificate"),
        (
            "an authority's",
            Some(authority.issue(&Request::client("ca").authority())),
            "invalid peer certificate",
        ),
        (
            "signed by what is no authority",
            Some(below_no_authority.issue(&Request::client("below"))),
            "invalid peer certificate",
        ),
        ("another client's", Some(stolen), "invalid peer certificate: BadSignature"),
        ("none", None, "the client showed no certificate"),
    ];
    let mut neighbour = house.login(&house.good()).expect("a good client");
    let mut refused = 0;
    for (what, identity, reason) in cases {
        for version in [&TLS12, &TLS13] {
            let trust = Trust { identity: identity.clone(), version: Some(version), ..house.trust() };
            let outcome = house.login(&trust);
            assert!(outcome.is_err(), "{what} got in with {version:?}");
            refused += 1;
            house.logged("TLS handshake failed", refused);
            let log = house.broker.log();
            let line = log.lines().rfind(|line| line.contains("TLS handshake failed")).expect("a line");
            assert!(line.contains(reason), "{what}: {line}");
        }
        declares(&mut neighbour);
    }
    house.login(&house.good()).expect("a good client still gets in");
}

#[test]
fn a_certificate_is_required_only_where_that_is_said() {
    for (settings, needs, asks) in [
        // A cacertfile alone verifies, but does not require.
        (&[][..], false, "verified, not required"),
        (&[("ssl_options.verify", "verify_peer")], false, "verified, not required"),
        (&[("ssl_options.fail_if_no_peer_cert", "true")], true, "verified and required"),
        (REQUIRED, true, "verified and required"),
    ] {
        let house = House::start(&lines(settings));
        assert_eq!(house.login(&house.trust()).is_err(), needs, "{settings:?} without a certificate");
        house.login(&house.good()).expect("with a certificate");
        let stranger = Authority::root("a stranger").issue(&Request::client("good"));
        assert!(house.login(&house.trust().showing(&stranger)).is_err(), "{settings:?} took a stranger's");
        house.logged(asks, 1);
    }
}

#[test]
fn verify_none_has_to_be_said() {
    let house = House::start("ssl_options.verify = verify_none\n");
    house.logged("AMQP over TLS: clients are not asked for a certificate", 1);
    let stranger = Authority::root("a stranger").issue(&Request::client("anyone"));
    for trust in [house.trust(), house.good(), house.trust().showing(&stranger)] {
        declares(&mut house.login(&trust).expect("a client that is not asked"));
    }
    // Without authorities nobody can be asked.
    let house = House::start_with(|_| String::new());
    declares(&mut house.login(&house.trust()).expect("a client that is not asked"));
}

#[test]
fn chains_as_long_as_depth_allows() {
    let chained = |house: &House, between: usize| {
        let mut authority = house.authority.below(Request::client("1").authority());
        for level in 1..between {
            authority = authority.below(Request::client(&format!("{}", level + 1)).authority());
        }
        house.trust().showing(&authority.issue(&Request::client("far")))
    };
    for (depth, longest) in [(None, 3), (Some("0"), 0), (Some("1"), 1), (Some("2"), 2)] {
        let setting = depth.map(|depth| lines(&[("ssl_options.depth", depth)])).unwrap_or_default();
        let house = House::start(&(lines(REQUIRED) + &setting));
        for between in 1..=3 {
            let outcome = house.login(&chained(&house, between));
            assert_eq!(outcome.is_ok(), between <= longest, "{between} between, depth {depth:?}");
        }
        house.login(&house.good()).expect("signed by the authority itself");
    }
}
