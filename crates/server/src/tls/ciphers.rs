//! Ciphers: which of a setting's are offered, and RabbitMQ's words for the one that was agreed on.

use rustls::crypto::aws_lc_rs;
use rustls::{CipherSuite, SupportedCipherSuite};

/// A cipher suite that we have.
struct Known {
    suite: CipherSuite,
    iana: &'static str,
    openssl: &'static str,
    key_exchange: &'static str,
    cipher: &'static str,
}

const fn known(
    suite: CipherSuite,
    iana: &'static str,
    openssl: &'static str,
    key_exchange: &'static str,
    cipher: &'static str,
) -> Known {
    Known { suite, iana, openssl, key_exchange, cipher }
}

/// Every suite of the provider. TLS 1.3 has one name for both; its key exchange is `any` in Erlang.
const KNOWN: [Known; 9] = [
    known(
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        "TLS_AES_256_GCM_SHA384",
        "TLS_AES_256_GCM_SHA384",
        "any",
        "aes_256_gcm",
    ),
    known(
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_128_GCM_SHA256",
        "any",
        "aes_128_gcm",
    ),
    known(
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_CHACHA20_POLY1305_SHA256",
        "any",
        "chacha20_poly1305",
    ),
    known(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ecdhe_ecdsa",
        "aes_256_gcm",
    ),
    known(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ecdhe_ecdsa",
        "aes_128_gcm",
    ),
    known(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ecdhe_ecdsa",
        "chacha20_poly1305",
    ),
    known(
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ecdhe_rsa",
        "aes_256_gcm",
    ),
    known(
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ecdhe_rsa",
        "aes_128_gcm",
    ),
    known(
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ecdhe_rsa",
        "chacha20_poly1305",
    ),
];

/// RabbitMQ's words for a suite: key exchange and cipher.
pub(super) fn described(suite: CipherSuite) -> (&'static str, &'static str) {
    let known = KNOWN.iter().find(|known| known.suite == suite);
    known.map_or(("any", "unknown"), |known| (known.key_exchange, known.cipher))
}

/// The suites of these names, in their order, and the names that we have no suite for. No names: all suites.
pub(super) fn chosen(names: &[String]) -> (Vec<SupportedCipherSuite>, Vec<&str>) {
    let all = aws_lc_rs::ALL_CIPHER_SUITES;
    if names.is_empty() {
        return (aws_lc_rs::DEFAULT_CIPHER_SUITES.to_vec(), Vec::new());
    }
    let (mut suites, mut unknown) = (Vec::new(), Vec::new());
    for name in names {
        let known = KNOWN.iter().find(|known| name == known.iana || name == known.openssl);
        match known.and_then(|known| all.iter().find(|suite| suite.suite() == known.suite)) {
            Some(suite) => suites.push(*suite),
            None => unknown.push(name.as_str()),
        }
    }
    (suites, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_of_the_provider_has_its_words() {
        for suite in aws_lc_rs::ALL_CIPHER_SUITES {
            assert_ne!(described(suite.suite()).1, "unknown", "{:?}", suite.suite());
        }
    }

    #[test]
    fn names_of_both_kinds_are_taken_in_their_order() {
        let names = ["ECDHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-SHA", "TLS_AES_128_GCM_SHA256"];
        let names = names.map(str::to_owned);
        let (suites, unknown) = chosen(&names);
        let suites: Vec<CipherSuite> = suites.iter().map(SupportedCipherSuite::suite).collect();
        assert_eq!(
            suites,
            [CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, CipherSuite::TLS13_AES_128_GCM_SHA256]
        );
        assert_eq!(unknown, ["DHE-RSA-AES256-SHA"]);
        assert!(chosen(&[]).0.len() >= 9);
    }
}
