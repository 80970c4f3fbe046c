//! Settings from all their sources.

use clap::Parser as _;

use super::*;

fn nothing(_: &str) -> Option<String> {
    None
}

fn from_file(text: &str) -> Result<(Config, Vec<Notice>), ConfigError> {
    let mut config = Config::default();
    let mut notices = Vec::new();
    let lines = file::parse("leveret.conf", text, &nothing)?.into_iter();
    config.apply_lines(lines.map(|line| ("leveret.conf".to_owned(), line)).collect(), &mut notices)?;
    Ok((config, notices))
}

fn any(port: u16) -> BindAddress {
    BindAddress::Any(port)
}

#[test]
fn nothing_needs_to_be_set() {
    let (config, notices) = Config::load(&Args::default(), &nothing).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(notices, []);
    assert_eq!((config.amqp, config.http), (vec![any(5_672)], vec![any(15_672)]));
}

#[test]
fn the_command_line_overrides_the_environment_and_that_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rabbitmq.conf");
    let text = "default_user = file\ndefault_pass = file\ndefault_vhost = file\nlisteners.tcp.default = 1111\n\
                management.tcp.port = 2222\nleveret.data_dir = /file\n";
    std::fs::write(&file, text).unwrap();
    let args = Args {
        config: Some(file.clone()),
        amqp: vec![any(3_333)],
        data_dir: Some("/args".into()),
        ..Args::default()
    };
    let env = |name: &str| match name {
        "RABBITMQ_DEFAULT_USER" => Some("env".to_owned()),
        "RABBITMQ_DEFAULT_PASS" => Some("secret".to_owned()),
        _ => None,
    };
    let (config, _) = Config::load(&args, &env).unwrap();
    assert_eq!(config.default_user, "env");
    assert_eq!(config.default_pass.0, "secret");
    assert_eq!(config.default_vhost, "file");
    assert_eq!(config.data_dir, PathBuf::from("/args"));
    assert_eq!(
        (config.amqp.as_slice(), config.http.as_slice()),
        ([any(3_333)].as_slice(), [any(2_222)].as_slice())
    );
    assert_eq!(config.config_files, [file]);
    assert!(!format!("{config:?}").contains("secret\""), "a password is shown");
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let args = Args { config: Some("/nonexistent/leveret.conf".into()), ..Args::default() };
    let error = Config::load(&args, &nothing).unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/leveret.conf: "), "{error}");
}

#[test]
fn a_file_sets_everything() {
    let (config, notices) = from_file(
        "listeners.tcp.1 = 127.0.0.1:5673\nlisteners.tcp.2 = ::1:5673\nmanagement.tcp.ip = 127.0.0.1\n\
         management.tcp.port = 15673\nheartbeat = 30\nchannel_max = 0\nframe_max = 8192\nmax_message_size = 16MiB\n\
         handshake_timeout = 5000\nvm_memory_high_watermark.relative = 0.4\ndisk_free_limit.absolute = 1GB\n\
         default_user_tags.administrator = false\ndefault_user_tags.monitoring = true\n\
         default_permissions.read = ^a\nloopback_users.guest = false\nloopback_users.bob = true\n\
         log.console = true\nlog.console.level = warning\nlog.console.formatter = json\n\
         leveret.product.name = Leveret\nleveret.product.version = 4.1.0\ncluster_name = c\n\
         leveret.durability = os\nleveret.slot_size = 2MiB\nleveret.hot_window = 10MB\n",
    )
    .unwrap();
    assert_eq!(notices, []);
    let shown: Vec<String> = config.amqp.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["127.0.0.1:5673", "[::1]:5673"]);
    assert_eq!(config.http[0].to_string(), "127.0.0.1:15673");
    assert_eq!((config.heartbeat_s, config.channel_max, config.frame_max), (30, 65_535, 8_192));
    assert_eq!((config.max_message_size, config.handshake_timeout_ms), (16 << 20, 5_000));
    assert_eq!(config.memory_watermark, MemoryWatermark::Relative(0.4));
    assert_eq!(config.disk_free_limit, DiskFreeLimit::Absolute(1_000_000_000));
    assert_eq!(
        (config.default_user_tags, config.loopback_users),
        (vec!["monitoring".to_owned()], vec!["bob".to_owned()])
    );
    assert_eq!(config.default_permissions.read, "^a");
    assert_eq!((config.log_level, config.log_format), (LogLevel::Warn, LogFormat::Json));
    assert_eq!((config.product_name.as_str(), config.product_version.as_str()), ("Leveret", "4.1.0"));
    assert_eq!(config.cluster_name.as_deref(), Some("c"));
    assert_eq!(config.durability, Durability::Os);
    assert_eq!((config.slot_bytes, config.hot_window_bytes), (Some(2 << 20), Some(10_000_000)));
}

#[test]
fn none_and_the_last_line_count() {
    let (config, _) =
        from_file("listeners.tcp = none\nloopback_users = none\nheartbeat = 1\nheartbeat = 2\n").unwrap();
    assert_eq!((config.amqp, config.loopback_users, config.heartbeat_s), (vec![], vec![], 2));
}

#[test]
fn keys_without_effect_are_told() {
    let (config, notices) =
        from_file("\ncolour = blue\ncollect_statistics_interval = 5000\nproxy_protocol = true\n").unwrap();
    assert_eq!(config, Config::default());
    let shown: Vec<(bool, &str)> =
        notices.iter().map(|notice| (notice.warning, notice.text.as_str())).collect();
    assert_eq!(
        shown,
        [
            (true, "leveret.conf:2: unknown key colour"),
            (
                false,
                "leveret.conf:3: collect_statistics_interval has no effect: there is no interval: answers are computed when asked for"
            ),
            (true, "leveret.conf:4: proxy_protocol has no effect: the PROXY protocol is not built yet"),
        ]
    );
}

#[test]
fn unusable_values_are_refused_with_what_is_allowed() {
    let cases = [
        ("heartbeat = 65536", "heartbeat: `65536` cannot be used; allowed: a number from 0 to 65535"),
        ("heartbeat = 1m", "heartbeat: `1m` cannot be used; allowed: a number from 0 to 65535"),
        ("frame_max = 4095", "frame_max: `4095` cannot be used; allowed: a number from 4096 to 134217728"),
        (
            "max_message_size = 1GB",
            "max_message_size: `1GB` cannot be used; allowed: a size from 1 to 536870912 bytes; units such as MB or MiB may follow",
        ),
        (
            "vm_memory_high_watermark.relative = 1.5",
            "vm_memory_high_watermark.relative: `1.5` cannot be used; allowed: a number from 0 to 1",
        ),
        (
            "vm_memory_high_watermark.relative = NaN",
            "vm_memory_high_watermark.relative: `NaN` cannot be used; allowed: a number from 0 to 1",
        ),
        (
            "disk_free_limit.absolute = lots",
            "disk_free_limit.absolute: `lots` cannot be used; allowed: a size such as 500MB, 2GB or 2GiB",
        ),
        (
            "listeners.tcp.default = here",
            "listeners.tcp.default: `here` is not PORT or ADDR:PORT (an IP address, or localhost)",
        ),
        (
            "log.console.level = loud",
            "log.console.level: `loud` cannot be used; allowed: debug, info, warning, error, critical or none",
        ),
        (
            "log.console.formatter = xml",
            "log.console.formatter: `xml` cannot be used; allowed: plaintext or json",
        ),
        (
            "loopback_users.guest = maybe",
            "loopback_users.guest: `maybe` cannot be used; allowed: true or false",
        ),
        ("default_user =", "default_user: it is empty; a name is needed"),
        ("default_pass =", "default_pass: it is empty; a password is needed"),
        ("auth_backends.1 = ldap", "auth_backends.1: `ldap` cannot be used; allowed: internal"),
        ("leveret.durability = maybe", "leveret.durability: `maybe` cannot be used; allowed: fsync or os"),
        (
            "leveret.product.version = four",
            "leveret.product.version: `four` cannot be used; allowed: three numbers such as 4.0.5",
        ),
    ];
    for (line, expected) in cases {
        let error = from_file(&format!("# first\n{line}\n")).unwrap_err().to_string();
        assert_eq!(error, format!("leveret.conf:2: {expected}"));
    }
}

#[test]
fn the_defaults_in_the_table_are_the_defaults() {
    for key in keys::KEYS.iter().filter(|key| key.has_effect() && !key.default.is_empty()) {
        let mut config = Config::default();
        let value = key.default.trim_start_matches("./");
        match keys::apply(&mut config, key.name, value) {
            Ok(_) if ["cluster_name", "leveret.node.name"].contains(&key.name) => {}
            Ok(_) if key.name.ends_with('*') => {}
            Ok(_) => assert_eq!(config, Config::default(), "{}", key.name),
            // Those whose default is described in words.
            Err(_) => assert!(
                [
                    "leveret.slot_size",
                    "leveret.hot_window",
                    "management.tcp.ip",
                    "prometheus.tcp.ip",
                    "management.ssl.ip",
                    "auth_mechanisms.*",
                    "ssl_options.verify",
                    "ssl_options.versions.*",
                    "ssl_options.ciphers.*",
                    "listeners.tcp.*",
                    "loopback_users",
                    "default_user_tags.*",
                    "loopback_users.*"
                ]
                .contains(&key.name),
                "{}",
                key.name
            ),
        }
    }
}

#[test]
fn the_command_line() {
    let args =
        Args::try_parse_from(["leveret", "--amqp", "5672", "--amqp", "[::1]:0", "--http", "127.0.0.1:0"])
            .unwrap();
    assert_eq!((args.amqp.len(), args.http[0].to_string()), (2, "127.0.0.1:0".to_owned()));
    for wrong in [["leveret", "--amqp=x"], ["leveret", "--nope"], ["leveret", "file.conf"]] {
        assert!(Args::try_parse_from(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_folder_gives_its_main_file_and_then_those_of_conf_d_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("conf.d")).unwrap();
    std::fs::write(path("rabbitmq.conf"), "heartbeat = 1\nchannel_max = 1\nlisteners.tcp.1 = 1\n").unwrap();
    std::fs::write(path("conf.d/20-b.conf"), "heartbeat = 20\nlisteners.tcp.2 = 2\n").unwrap();
    std::fs::write(path("conf.d/10-a.conf"), "heartbeat = 10\nframe_max = 5000\nlisteners.tcp.1 = 3\n")
        .unwrap();
    std::fs::write(path("conf.d/30-no.txt"), "nonsense").unwrap();
    let args = Args { config_dir: Some(folder.path().to_owned()), ..Args::default() };
    let (config, notices) = Config::load(&args, &nothing).unwrap();
    assert_eq!(notices, []);
    assert_eq!((config.heartbeat_s, config.channel_max, config.frame_max), (20, 1, 5_000));
    assert_eq!(config.amqp, [any(3), any(2)]);
    let read = [path("rabbitmq.conf"), path("conf.d/10-a.conf"), path("conf.d/20-b.conf")];
    assert_eq!(config.config_files, read);

    let pattern = format!("{}/conf.d/2*.conf", folder.path().display());
    let env = |name: &str| (name == "RABBITMQ_CONFIG_FILES").then(|| pattern.clone());
    let (config, _) = Config::load(&args, &env).unwrap();
    assert_eq!(config.config_files, [path("rabbitmq.conf"), path("conf.d/20-b.conf")]);

    let named = Args { config: Some(path("rabbitmq")), ..Args::default() };
    assert_eq!(Config::load(&named, &nothing).unwrap().0.config_files, [path("rabbitmq.conf")]);
    let empty = tempfile::tempdir().unwrap();
    let args = Args { config_dir: Some(empty.path().to_owned()), ..Args::default() };
    assert_eq!(Config::load(&args, &nothing).unwrap().0, Config::default());
}

#[test]
fn secrets_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s3cret\n").unwrap();
    let name = secret.display().to_string();
    let env = |variable: &str| (variable == "RABBITMQ_DEFAULT_PASS_FILE").then(|| name.clone());
    let (config, _) = Config::load(&Args::default(), &env).unwrap();
    assert_eq!(config.default_pass.0, "s3cret");

    let both = |variable: &str| variable.starts_with("RABBITMQ_DEFAULT_PASS").then(|| name.clone());
    let error = Config::load(&Args::default(), &both).unwrap_err().to_string();
    assert!(error.contains("RABBITMQ_DEFAULT_PASS_FILE") && error.contains("is set too"), "{error}");

    let gone = |variable: &str| (variable == "RABBITMQ_DEFAULT_PASS_FILE").then(|| "/nonexistent".to_owned());
    assert!(Config::load(&Args::default(), &gone).unwrap_err().to_string().starts_with("/nonexistent: "));

    let retired = |variable: &str| (variable == "RABBITMQ_SSL_CERTFILE").then(|| "x".to_owned());
    let (_, notices) = Config::load(&Args::default(), &retired).unwrap();
    assert!(
        matches!(notices.as_slice(), [Notice { warning: true, text }] if text.contains("ssl_options.certfile"))
    );
}

#[test]
fn tls_is_set_option_by_option() {
    let (config, notices) = from_file(
        "listeners.ssl.1 = 127.0.0.1:5671\nssl_options.certfile = /c.pem\nssl_options.keyfile = /k.pem\n\
         ssl_options.cacertfile = /ca.pem\nssl_options.verify = verify_peer\n\
         ssl_options.fail_if_no_peer_cert = true\nssl_options.versions.1 = tlsv1.3\n\
         ssl_options.ciphers.1 = TLS_AES_128_GCM_SHA256\nssl_options.depth = 2\n\
         ssl_options.honor_cipher_order = true\nssl_options.password = secret\nssl_options.crl_check = false\n\
         ssl_handshake_timeout = 1000\nssl_cert_login_from = subject_alt_name\nssl_cert_login_san_type = uri\n\
         ssl_cert_login_san_index = 1\nauth_mechanisms.1 = EXTERNAL\nauth_mechanisms.2 = PLAIN\n\
         anonymous_login_user = none\nmanagement.ssl.port = 15670\nmanagement.ssl.certfile = /m.pem\n",
    )
    .unwrap();
    assert_eq!(notices, []);
    assert_eq!(config.amqps, ["127.0.0.1:5671".parse().unwrap()]);
    assert_eq!(config.amqp, [any(5_672)], "the plain one stays");
    assert_eq!(
        config.tls,
        TlsOptions {
            cacertfile: Some("/ca.pem".into()),
            certfile: Some("/c.pem".into()),
            keyfile: Some("/k.pem".into()),
            verify: Some(Verify::Peer),
            fail_if_no_peer_cert: true,
            versions: vec![TlsVersion::V1_3],
            ciphers: vec!["TLS_AES_128_GCM_SHA256".to_owned()],
            depth: Some(2),
            honor_cipher_order: true,
        }
    );
    assert_eq!(config.tls_handshake_timeout_ms, 1_000);
    let login = CertLogin { from: LoginFrom::SubjectAlternativeName, san_type: SanType::Uri, san_index: 1 };
    assert_eq!(config.cert_login, login);
    assert_eq!(config.sasl.mechanisms, ["EXTERNAL", "PLAIN"].map(|name| name.parse().unwrap()));
    assert_eq!(config.sasl.anonymous, None);
    assert_eq!((config.https, config.http), (vec![any(15_670)], vec![]), "TLS alone, as it is alone set");
    assert_eq!(config.management_tls.certfile, Some("/m.pem".into()));
    let (config, _) = from_file("management.tcp.port = 1\nmanagement.ssl.certfile = /m.pem\n").unwrap();
    assert_eq!((config.https, config.http), (vec![any(15_671)], vec![any(1)]));
}

#[test]
fn tls_options_that_could_leave_something_unverified_are_refused() {
    for (line, wanted) in [
        ("ssl_options.verfiy = verify_peer", "there is no TLS option verfiy"),
        ("management.ssl.fail_if_no_peer = true", "there is no TLS option fail_if_no_peer"),
        ("ssl_options.verify = peer", "allowed: verify_peer or verify_none"),
        ("ssl_options.fail_if_no_peer_cert = 1", "allowed: true or false"),
        ("ssl_options.crl_check = true", "revocation lists are not read"),
        ("ssl_options.versions.1 = tlsv1.1", "older versions are not offered"),
        ("ssl_options.certfile = ", "a file is needed"),
        ("ssl_options.depth = -1", "allowed: a number from 0 to 255"),
        ("auth_mechanisms.1 = plain", "allowed: PLAIN, AMQPLAIN, ANONYMOUS, EXTERNAL"),
        ("ssl_cert_login_from = cn", "allowed: distinguished_name"),
        ("listeners.ssl.1 = here", "is not PORT or ADDR:PORT"),
    ] {
        let error = from_file(line).unwrap_err().to_string();
        assert!(error.contains(wanted) && error.starts_with("leveret.conf:1: "), "{line}: {error}");
    }
}

#[test]
fn rabbitmq_s_variables_give_an_address_that_a_file_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rabbitmq.conf");
    std::fs::write(&file, "listeners.tcp.1 = 127.0.0.1:1111\n").unwrap();
    let with_file = Args { config: Some(file), ..Args::default() };
    let with_args = Args { amqp: vec![any(2_222)], ..Args::default() };
    let cases = [
        (&[("RABBITMQ_NODE_PORT", "5673")][..], "5673"),
        (&[("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")], "127.0.0.1:5672"),
        (&[("RABBITMQ_NODE_IP_ADDRESS", "::1"), ("RABBITMQ_NODE_PORT", "5673")], "[::1]:5673"),
        (&[("RABBITMQ_NODE_IP_ADDRESS", "auto"), ("RABBITMQ_NODE_PORT", "")], "5672"),
    ];
    for (set, expected) in cases {
        let env = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let amqp = |args: &Args| Config::load(args, &env).unwrap().0.amqp;
        assert_eq!(amqp(&Args::default()), [expected.parse().unwrap()]);
        assert_eq!(amqp(&with_file), ["127.0.0.1:1111".parse().unwrap()]);
        assert_eq!(amqp(&with_args), [any(2_222)]);
    }
    for (name, value) in
        [("RABBITMQ_NODE_PORT", "tcp://10.0.0.1:5672"), ("RABBITMQ_NODE_IP_ADDRESS", "somewhere")]
    {
        let env = |asked: &str| (asked == name).then(|| value.to_owned());
        let error = Config::load(&Args::default(), &env).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("environment: {name}: `{value}` cannot be used; allowed: ")),
            "{error}"
        );
    }
}

#[test]
fn a_node_s_name_without_a_host_gets_this_machine_s() {
    let name = |value: &'static str| {
        let env = move |name: &str| (name == "RABBITMQ_NODENAME").then(|| value.to_owned());
        Config::load(&Args::default(), &env).unwrap().0.node_name
    };
    let (_, host) =
        Config::default().node_name.split_once('@').map(|(n, h)| (n.to_owned(), h.to_owned())).unwrap();
    assert_eq!(name("hare"), format!("hare@{host}"));
    assert_eq!(name("hare@burrow"), "hare@burrow");
    assert_eq!(Config::default().node_name, format!("rabbit@{host}"));
    assert!(!host.is_empty() && !host.contains('.'), "{host}");
}

#[test]
fn variables_without_effect_are_named_in_one_warning() {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let told = |set: &[(&str, &str)]| unused_variables(set.iter().map(pair)).map(|notice| notice.text);
    assert_eq!(
        told(&[
            ("RABBITMQ_MNESIA_BASE", "/data"),
            ("RABBITMQ_LOGS", "/var/log/rabbit.log"),
            ("RABBITMQ_DEFAULT_USER", "u"),
            ("PATH", "/bin"),
        ])
        .unwrap(),
        "environment: RABBITMQ_LOGS, RABBITMQ_MNESIA_BASE have no effect here; docs/CONFIGURATION.md lists the settings \
         that there are"
    );
    let one = told(&[("RABBITMQ_DIST_PORT", "25672")]).unwrap();
    assert!(one.starts_with("environment: RABBITMQ_DIST_PORT has no effect here; "), "{one}");
    let silent = [
        ("RABBITMQ_DEFAULT_PASS_FILE", "/run/secret"),
        ("RABBITMQ_CONFIG_FILE", "/etc/rabbitmq.conf"),
        ("RABBITMQ_NODE_PORT", "5672"),
        // That one has a warning of its own.
        ("RABBITMQ_SSL_CERTFILE", "/c.pem"),
        ("RABBITMQ_LOGS", "-"),
        ("RABBITMQ_USE_LONGNAME", ""),
        // Of a Kubernetes service by the name of rabbitmq.
        ("RABBITMQ_SERVICE_HOST", "10.0.0.1"),
        ("RABBITMQ_SERVICE_PORT_AMQP", "5672"),
        ("RABBITMQ_PORT", "tcp://10.0.0.1:5672"),
        ("RABBITMQ_PORT_5672_TCP_ADDR", "10.0.0.1"),
        ("RABBITMQ", "x"),
    ];
    assert_eq!(told(&silent), None);
}

#[test]
fn settings_that_come_to_nothing_together_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rabbitmq.conf");
    let told = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let args = Args { config: Some(file.clone()), ..Args::default() };
        let (_, notices) = Config::load(&args, &nothing).unwrap();
        notices.into_iter().map(|notice| notice.text).collect::<Vec<_>>()
    };
    let external = "auth_mechanisms.1 = EXTERNAL\n";
    let notices = told(external);
    assert!(matches!(notices.as_slice(), [one] if one.starts_with("auth_mechanisms is EXTERNAL alone")));
    assert_eq!(told(&format!("{external}auth_mechanisms.2 = PLAIN\n")), [""; 0]);
    assert_eq!(told(&format!("{external}listeners.tcp = none\nlisteners.ssl.1 = 5671\n")), [""; 0]);
    let notices = told("ssl_options.certfile = /c.pem\n");
    assert!(matches!(notices.as_slice(), [one] if one.contains("listeners.ssl is not")), "{notices:?}");
    assert_eq!(told("ssl_options.certfile = /c.pem\nmanagement.ssl.port = 15671\n"), [""; 0]);
}
