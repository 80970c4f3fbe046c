//! Certificates against what RabbitMQ 4.0.5 says of them.

use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use super::*;

/// Self-signed certificates (issuer and subject are the same) with what RabbitMQ's `rabbit_ssl` says of each: subject,
/// validity, and the name it would log in by each of its ways. Recorded in its node; made anew by `openssl req`.
const GOLDEN: &str = include_str!("golden/names.json");

fn facts(certificate: &CertificateDer<'_>, from: LoginFrom, kind: SanType, index: usize) -> CertificateFacts {
    let login = CertLogin { from, san_type: kind, san_index: index };
    certificate_facts(certificate, &login).expect("a certificate")
}

fn golden() -> Vec<(Value, CertificateDer<'static>)> {
    let entries: Vec<Value> = serde_json::from_str(GOLDEN).expect("JSON");
    let with_certificate = entries.into_iter().map(|entry| {
        let pem = entry["pem"].as_str().expect("text").as_bytes().to_vec();
        let certificate = CertificateDer::from_pem_slice(&pem).expect("PEM");
        (entry, certificate)
    });
    with_certificate.collect()
}

#[test]
fn names_are_rabbitmqs() {
    let golden = golden();
    assert!(golden.len() >= 15);
    for (entry, certificate) in golden {
        let name = &entry["certificate"];
        let facts = facts(&certificate, LoginFrom::DistinguishedName, SanType::Dns, 0);
        assert_eq!(entry["subject"], facts.subject, "{name}");
        assert_eq!(entry["subject"], facts.issuer, "{name}");
        assert_eq!(facts.login.as_ref(), Some(&facts.subject), "{name}");
        // A time after 2049 is printed as an Erlang term there.
        if name != "century" {
            assert_eq!(entry["validity"], facts.validity, "{name}");
        }
    }
}

#[test]
fn logins_by_common_and_alternative_name_are_rabbitmqs() {
    let kinds = [
        ("dns0", SanType::Dns, 0),
        ("dns1", SanType::Dns, 1),
        ("dns2", SanType::Dns, 2),
        ("email0", SanType::Email, 0),
        ("uri0", SanType::Uri, 0),
        ("other0", SanType::OtherName, 0),
    ];
    for (entry, certificate) in golden() {
        let name = &entry["certificate"];
        let common = facts(&certificate, LoginFrom::CommonName, SanType::Dns, 0).login;
        assert_eq!(entry["common_name"].as_str(), common.as_deref(), "{name}");
        for (key, kind, index) in kinds {
            let login = facts(&certificate, LoginFrom::SubjectAlternativeName, kind, index).login;
            assert_eq!(entry["alternative_names"][key].as_str(), login.as_deref(), "{name} {key}");
        }
    }
}

#[test]
fn addresses_are_text() {
    let (_, certificate) =
        golden().into_iter().find(|(entry, _)| entry["certificate"] == "plain").expect("it");
    let login = |index| facts(&certificate, LoginFrom::SubjectAlternativeName, SanType::Ip, index).login;
    assert_eq!(login(0).as_deref(), Some("127.0.0.1"));
    assert_eq!(login(1).as_deref(), Some("::1"));
    assert_eq!(login(2), None);
}

#[test]
fn what_is_no_certificate_says_nothing() {
    let (_, certificate) = golden().into_iter().next().expect("one");
    let login = CertLogin::default();
    for cut in 0..certificate.len() {
        let part = CertificateDer::from(certificate[..cut].to_vec());
        assert_eq!(certificate_facts(&part, &login), None, "{cut}");
    }
    let longer = CertificateDer::from([&certificate[..], b"\0"].concat());
    assert_eq!(certificate_facts(&longer, &login), None);
}
