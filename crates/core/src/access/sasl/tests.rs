//! ANONYMOUS and EXTERNAL, and what is offered to whom. PLAIN and AMQPLAIN stand with the logins of `access`.

use super::*;
use crate::access::PasswordHash;
use crate::connection::CertificateFacts;
use crate::names::UserName;

fn user(name: &str, password: PasswordHash) -> User {
    User { name: name.into(), password, tags: vec![] }
}

fn access() -> Access {
    let mut access = Access::new([UserName::from("CN=local")]);
    access.put_user(user("guest", PasswordHash::salted_sha256([1; 4], b"guest")));
    access.put_user(user("anyone", PasswordHash::salted_sha256([2; 4], b"secret")));
    access.put_user(user("CN=client,O=Acme", PasswordHash::None));
    access.put_user(user("CN=local", PasswordHash::None));
    access
}

/// A TLS connection: without a certificate, or with one that has this name for EXTERNAL.
fn tls(certificate: Option<Option<&str>>) -> TlsFacts {
    TlsFacts {
        protocol: "tlsv1.3",
        key_exchange: "any",
        cipher: "aes_256_gcm",
        hash: "aead",
        certificate: certificate.map(|login| CertificateFacts {
            subject: "CN=shown".to_owned(),
            issuer: "CN=ca".to_owned(),
            validity: String::new(),
            login: login.map(str::to_owned),
        }),
    }
}

fn everything(anonymous: Option<(&str, &str)>) -> SaslSettings {
    SaslSettings {
        mechanisms: Mechanism::ALL.to_vec(),
        anonymous: anonymous
            .map(|(user, password)| Anonymous { user: user.to_owned(), password: password.to_owned() }),
    }
}

fn outcome(sasl: &SaslSettings, mechanism: &str, response: &[u8], origin: Origin<'_>) -> String {
    match sasl.login(&access(), mechanism, response, origin) {
        Ok(user) => user.name.to_string(),
        Err(error @ LoginError::Malformed(_)) => error.to_string(),
        Err(LoginError::Refused { reply, reason }) => {
            assert_eq!(reply.code, 403);
            assert!(reply.explanation.contains(&format!("mechanism {mechanism}. ")), "{}", reply.explanation);
            reason
        }
    }
}

#[test]
fn offered() {
    let over_tls = tls(None);
    let cases = [
        (SaslSettings::default(), true, None, "PLAIN AMQPLAIN ANONYMOUS"),
        (SaslSettings::default(), false, None, "PLAIN AMQPLAIN"),
        (SaslSettings::default(), true, Some(&over_tls), "PLAIN AMQPLAIN ANONYMOUS"),
        (everything(None), true, Some(&over_tls), "PLAIN AMQPLAIN EXTERNAL"),
        (everything(Some(("guest", "guest"))), false, Some(&over_tls), "PLAIN AMQPLAIN EXTERNAL"),
        (everything(Some(("guest", "guest"))), true, None, "PLAIN AMQPLAIN ANONYMOUS"),
        (
            SaslSettings { mechanisms: vec![Mechanism::External, Mechanism::Plain], anonymous: None },
            false,
            Some(&over_tls),
            "EXTERNAL PLAIN",
        ),
    ];
    for (sasl, is_loopback, tls, expected) in cases {
        assert_eq!(sasl.offered(Origin { is_loopback, tls }), expected, "{sasl:?}");
    }
}

#[test]
fn only_what_is_offered_is_taken() {
    let only_external = SaslSettings { mechanisms: vec![Mechanism::External], anonymous: None };
    let here = Origin { is_loopback: true, tls: None };
    for (sasl, mechanism, how) in [
        (&only_external, "PLAIN", "invalid"),
        (&only_external, "ANONYMOUS", "invalid"),
        (&only_external, "EXTERNAL", "invalid"),
        (&SaslSettings::default(), "EXTERNAL", "invalid"),
        (&everything(None), "ANONYMOUS", "invalid"),
        (&everything(None), "NOPE", "unknown"),
        (&everything(None), "external", "unknown"),
    ] {
        let text = outcome(sasl, mechanism, b"\0guest\0guest", here);
        assert!(text.contains(&format!("{how} authentication mechanism '{mechanism}'")), "{text}");
    }
}

#[test]
fn anonymous_is_one_certain_user_and_from_this_machine_only() {
    let here = Origin { is_loopback: true, tls: None };
    let elsewhere = Origin { is_loopback: false, tls: None };
    let guest = SaslSettings::default();
    assert_eq!(outcome(&guest, "ANONYMOUS", b"", here), "guest");
    assert_eq!(outcome(&guest, "ANONYMOUS", b"whatever it says", here), "guest");
    assert_eq!(outcome(&everything(Some(("anyone", "secret"))), "ANONYMOUS", b"", here), "anyone");
    let changed = outcome(&everything(Some(("anyone", "guest"))), "ANONYMOUS", b"", here);
    assert_eq!(changed, "ANONYMOUS login refused: user 'anyone' - invalid credentials");
    // guest is no loopback user here, and still nobody comes in from elsewhere that way.
    let text = outcome(&guest, "ANONYMOUS", b"", elsewhere);
    assert!(text.contains("invalid authentication mechanism 'ANONYMOUS'"), "{text}");
}

#[test]
fn external_is_the_certificates_name() {
    let sasl = everything(None);
    let refused = |reason: &str| format!("EXTERNAL login refused: {reason}");
    for (certificate, is_loopback, expected) in [
        (Some(Some("CN=client,O=Acme")), false, "CN=client,O=Acme".to_owned()),
        (Some(Some("CN=local")), true, "CN=local".to_owned()),
        (Some(Some("CN=local")), false, refused("user 'CN=local' can only connect via localhost")),
        (Some(Some("CN=nobody")), true, refused("user 'CN=nobody' - invalid credentials")),
        (Some(None), true, refused("no name found")),
        (None, true, refused("connection peer presented no TLS (x.509) certificate")),
    ] {
        let facts = tls(certificate);
        let origin = Origin { is_loopback, tls: Some(&facts) };
        assert_eq!(outcome(&sasl, "EXTERNAL", b"CN=client,O=Acme", origin), expected);
    }
}
