//! What cannot be used stops the start, with one line that names setting, file and reason.

use super::*;

const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAg=\n-----END ENCRYPTED PRIVATE KEY-----\n";

#[test]
fn bad_settings_and_files_stop_the_start() {
    let authority = Authority::root("the authority");
    let files = Files::new(&authority);
    let other = authority.issue(&Request::server(&SERVER_NAMES));
    files.put("other.key", &other.key_pem);
    files.put("empty.pem", "");
    files.put("noise.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    files.put("encrypted.key", ENCRYPTED);
    let path = |name: &str| files.path(name).display().to_string();
    let server = files.server_lines("ssl_options");
    let set = |name: &str, file: &str| format!("ssl_options.{name} = {}\n", path(file));
    let with = |more: &str| format!("{server}{more}");
    let cases = [
        (String::new(), "ssl_options.certfile: not set, but a TLS listener needs it".to_owned()),
        (set("certfile", "server.pem"), "ssl_options.keyfile: not set".to_owned()),
        (
            with(&set("certfile", "none.pem")),
            format!("ssl_options.certfile = {}: No such file", path("none.pem")),
        ),
        (with(&set("certfile", "empty.pem")), format!("{}: no certificate in it", path("empty.pem"))),
        (
            with(&set("certfile", "noise.pem")),
            format!("{}: a certificate in it cannot be read", path("noise.pem")),
        ),
        (with(&set("certfile", "server.key")), format!("{}: no certificate in it", path("server.key"))),
        (
            with(&set("keyfile", "none.key")),
            format!("ssl_options.keyfile = {}: No such file", path("none.key")),
        ),
        (with(&set("keyfile", "server.pem")), format!("{}: no private key in it", path("server.pem"))),
        (
            with(&set("keyfile", "encrypted.key")),
            format!("{}: the private key is encrypted", path("encrypted.key")),
        ),
        (
            with(&set("keyfile", "other.key")),
            format!("{}: it does not fit the certificate", path("other.key")),
        ),
        (
            with(&set("cacertfile", "none.pem")),
            format!("ssl_options.cacertfile = {}: No such file", path("none.pem")),
        ),
        (
            with("ssl_options.verify = verify_peer\n"),
            "ssl_options.cacertfile: not set, but verify_peer needs it".to_owned(),
        ),
        (
            with("ssl_options.fail_if_no_peer_cert = true\n"),
            "ssl_options.fail_if_no_peer_cert: set, but".to_owned(),
        ),
        (
            with(
                &(set("cacertfile", "ca.pem")
                    + "ssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = true\n"),
            ),
            "ssl_options.fail_if_no_peer_cert: set, but".to_owned(),
        ),
        (
            with("ssl_options.ciphers.1 = AES256-SHA\n"),
            "ssl_options.ciphers: none of these can be offered".to_owned(),
        ),
        (with("ssl_options.versions.1 = tlsv1.1\n"), "older versions are not offered".to_owned()),
        (with("ssl_options.verfiy = verify_peer\n"), "there is no TLS option verfiy".to_owned()),
        (
            with("management.ssl.cacertfile = /none\n"),
            "management.ssl.cacertfile = /none: No such file".to_owned(),
        ),
    ];
    let listening = |settings: String| format!("listeners.ssl.1 = 127.0.0.1:0\n{settings}");
    let cases = cases.map(|(settings, wanted)| (listening(settings), wanted));
    // A file that nothing listens with yet is missed at the start, too.
    let unused = (set("certfile", "none.pem"), format!("ssl_options.certfile = {}: No", path("none.pem")));
    for (settings, wanted) in cases.into_iter().chain([unused]) {
        let broker = Broker::prepare(Options::config(&settings));
        let (status, printed) = broker.run_another(&broker.data_dir());
        assert!(printed.contains(&wanted), "{settings}: {printed}");
        assert_eq!(status.code(), Some(78), "{settings}: {printed}");
        assert!(!printed.contains("ready"), "{settings}: {printed}");
        assert_eq!(printed.matches(&wanted).count(), 1, "it is said once: {printed}");
    }
}
