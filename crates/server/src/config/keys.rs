//! The table of settings: every key of `rabbitmq.conf` that is known, what it takes, and what it does here.
//!
//! `docs/CONFIGURATION.md` is written from this table.

use leveret_core::access::sasl::{Anonymous, UnknownMechanism};
use leveret_core::admin::{DiskFreeLimit, MemoryWatermark};
use leveret_storage::Durability;

use super::values::{BindAddress, parse_size, parse_switch};
use super::{Config, LogFormat, LogLevel, Secret};

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// It took effect.
    Used,
    /// It needs no effect here, for this reason.
    Ignored(&'static str),
    /// It would need one that does not exist yet.
    Missing(&'static str),
    /// Nobody knows it.
    Unknown,
}

/// What a key does. The text is the value; the error says what is allowed.
type Set = fn(&mut Config, rest: &str, value: &str) -> Result<(), String>;

enum Effect {
    Set(Set),
    Ignored,
    Missing,
}

/// One line of the table.
pub(super) struct Key {
    /// The key; a `*` at its end stands for any rest.
    pub(super) name: &'static str,
    /// What values it takes.
    pub(super) takes: &'static str,
    /// The value when it is not set.
    pub(super) default: &'static str,
    /// What it is for, or why it has no effect.
    pub(super) text: &'static str,
    effect: Effect,
}

impl Key {
    /// It changes something.
    pub(super) fn has_effect(&self) -> bool {
        matches!(self.effect, Effect::Set(_))
    }

    /// It has no effect because something is not built yet.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.effect, Effect::Missing)
    }
}

/// Applies one setting.
///
/// # Errors
/// The problem with the value, and what is allowed.
pub(super) fn apply(config: &mut Config, name: &str, value: &str) -> Result<Applied, String> {
    for key in KEYS {
        let rest = match key.name.strip_suffix('*') {
            Some(prefix) => name.strip_prefix(prefix),
            None => (name == key.name).then_some(""),
        };
        let Some(rest) = rest else { continue };
        return match key.effect {
            Effect::Set(set) => set(config, rest, value).map(|()| Applied::Used),
            Effect::Ignored => Ok(Applied::Ignored(key.text)),
            Effect::Missing => Ok(Applied::Missing(key.text)),
        };
    }
    Ok(Applied::Unknown)
}

const fn set(
    name: &'static str,
    takes: &'static str,
    default: &'static str,
    text: &'static str,
    set: Set,
) -> Key {
    Key { name, takes, default, text, effect: Effect::Set(set) }
}

const fn ignored(name: &'static str, text: &'static str) -> Key {
    Key { name, takes: "", default: "", text, effect: Effect::Ignored }
}

const fn missing(name: &'static str, text: &'static str) -> Key {
    Key { name, takes: "", default: "", text, effect: Effect::Missing }
}

/// Every key there is; the first that fits counts.
pub(super) const KEYS: &[Key] = &[
    set(
        "leveret.data_dir",
        "a folder",
        "./leveret-data",
        "Where everything durable lies. Also `--data-dir` and `LEVERET_DATA_DIR`.",
        |c, _, v| {
            c.data_dir = text("a folder", v)?.into();
            Ok(())
        },
    ),
    set(
        "leveret.durability",
        "fsync or os",
        "fsync",
        "What a publisher confirm waits for. `fsync`: the drive has the message. `os`: the operating system has it, as with \
         RabbitMQ's classic queues; a power cut may then lose what was confirmed since the last checkpoint.",
        |c, _, v| {
            c.durability = match v {
                "fsync" => Durability::Fsync,
                "os" => Durability::Os,
                _ => return Err(refuse(v, "fsync or os")),
            };
            Ok(())
        },
    ),
    set(
        "leveret.slot_size",
        "a size from 1MiB to 64MiB",
        "1/64 of the file system, 1MiB to 64MiB",
        "The size of the log's files. It is fixed when the data folder is made; later values have no effect.",
        |c, _, v| {
            c.slot_bytes = Some(size(v, 1 << 20, 64 << 20)?);
            Ok(())
        },
    ),
    set(
        "leveret.hot_window",
        "a size such as 64MiB",
        "1/8 of the memory limit, at most 64MiB",
        "The memory that messages of all queues together may take, ready and unacked. What comes in beyond it stays on disk.",
        |c, _, v| {
            c.hot_window_bytes = Some(size(v, 0, u64::MAX)?);
            Ok(())
        },
    ),
    set(
        "leveret.node.name",
        "NAME@HOST, or NAME",
        "rabbit@ and the machine's name up to its first dot",
        "The node's name in answers of the HTTP API. Also `RABBITMQ_NODENAME`. The data does not depend on it.",
        |c, _, v| {
            c.node_name = super::node_name::full(&text("a name", v)?);
            Ok(())
        },
    ),
    set(
        "cluster_name",
        "text",
        "the node's name",
        "The cluster's name in answers of the HTTP API.",
        |c, _, v| {
            c.cluster_name = Some(text("a name", v)?);
            Ok(())
        },
    ),
    set(
        "leveret.product.name",
        "text",
        "RabbitMQ",
        "The product announced to clients. Some clients turn features on only for `RabbitMQ`.",
        |c, _, v| {
            c.product_name = text("a name", v)?;
            Ok(())
        },
    ),
    set(
        "leveret.product.version",
        "a version such as 4.0.5",
        "4.0.5",
        "The version announced to clients. Some clients read it as numbers.",
        |c, _, v| {
            let numbers = v.split('.').filter(|part| part.parse::<u32>().is_ok()).count();
            if numbers != 3 || v.split('.').count() != 3 {
                return Err(refuse(v, "three numbers such as 4.0.5"));
            }
            c.product_version = v.to_owned();
            Ok(())
        },
    ),
    set("listeners.tcp", "none", "", "`none`: no AMQP clients over TCP.", |c, _, v| {
        if v != "none" {
            return Err(refuse(v, "`none`; addresses are given as listeners.tcp.1 and so on"));
        }
        c.amqp.clear();
        Ok(())
    }),
    set(
        "listeners.tcp.*",
        "PORT or ADDR:PORT",
        "5672 on all addresses",
        "Where AMQP clients connect: `listeners.tcp.default`, or `listeners.tcp.1`, `.2` and so on for several. Port 0 takes any free one. Also `--amqp`; where neither is set, `RABBITMQ_NODE_IP_ADDRESS` and `RABBITMQ_NODE_PORT`.",
        |c, _, v| {
            c.amqp.push(v.parse().map_err(|error: super::values::NotAnAddress| error.to_string())?);
            Ok(())
        },
    ),
    set("listeners.ssl", "none", "none", "`none`: no AMQP clients over TLS.", |c, _, v| {
        if v != "none" {
            return Err(refuse(v, "`none`; addresses are given as listeners.ssl.1 and so on"));
        }
        c.amqps.clear();
        Ok(())
    }),
    set(
        "listeners.ssl.*",
        "PORT or ADDR:PORT",
        "",
        "Where AMQP clients connect over TLS, usually 5671. `ssl_options.certfile` and `.keyfile` are needed for it.",
        |c, _, v| {
            c.amqps.push(v.parse().map_err(|error: super::values::NotAnAddress| error.to_string())?);
            Ok(())
        },
    ),
    set(
        "ssl_options.certfile",
        "a file",
        "",
        "The broker's certificate, PEM; its issuers may follow it. Read again when it changes, as are the two below.",
        |c, _, v| c.tls.set("certfile", v),
    ),
    set("ssl_options.keyfile", "a file", "", "Its private key, PEM, unencrypted.", |c, _, v| {
        c.tls.set("keyfile", v)
    }),
    set(
        "ssl_options.cacertfile",
        "a file",
        "",
        "The authorities that clients' certificates are verified against, PEM. Issuers that `certfile` lacks are taken from here.",
        |c, _, v| c.tls.set("cacertfile", v),
    ),
    set(
        "ssl_options.verify",
        "verify_peer or verify_none",
        "verify_peer with a cacertfile",
        "`verify_peer`: clients are asked for a certificate, and one that is not good ends the handshake. `verify_none`: they are not asked. RabbitMQ's default is `verify_none`; here only these words switch it off.",
        |c, _, v| c.tls.set("verify", v),
    ),
    set(
        "ssl_options.fail_if_no_peer_cert",
        "true or false",
        "false",
        "Whether a client without a certificate is refused. Needs `verify_peer`.",
        |c, _, v| c.tls.set("fail_if_no_peer_cert", v),
    ),
    set(
        "ssl_options.versions.*",
        "tlsv1.2 or tlsv1.3",
        "both",
        "The versions of TLS that are offered. Older ones cannot be.",
        |c, rest, v| c.tls.set(&format!("versions.{rest}"), v),
    ),
    set(
        "ssl_options.ciphers.*",
        "a name of OpenSSL or IANA",
        "all there are",
        "The ciphers that are offered: AES-GCM and ChaCha20-Poly1305 with ECDHE, and those of TLS 1.3. Others are left out.",
        |c, rest, v| c.tls.set(&format!("ciphers.{rest}"), v),
    ),
    set(
        "ssl_options.honor_cipher_order",
        "true or false",
        "false",
        "Whether the broker's order of ciphers counts and not the client's.",
        |c, _, v| c.tls.set("honor_cipher_order", v),
    ),
    set(
        "ssl_options.depth",
        "0 to 255",
        "",
        "How many certificates may stand between a client's and the authority's; 6 at most, as when it is not set.",
        |c, _, v| c.tls.set("depth", v),
    ),
    set(
        "ssl_options.*",
        "as RabbitMQ",
        "",
        "`password`, `dhfile` and options of session reuse, renegotiation and logging have no effect (an encrypted key stops the start). `crl_check` may only be `false`. Unknown options stop the start.",
        |c, option, v| c.tls.set(option, v),
    ),
    set(
        "ssl_handshake_timeout",
        "milliseconds, 1 to 3600000",
        "5000",
        "The time that a TLS handshake may take.",
        |c, _, v| {
            c.tls_handshake_timeout_ms = number(v, 1, 3_600_000)?;
            Ok(())
        },
    ),
    set(
        "ssl_cert_login_from",
        "distinguished_name, common_name or subject_alternative_name",
        "distinguished_name",
        "The part of a client's certificate that EXTERNAL takes as the user's name.",
        |c, _, v| c.cert_login.set_from(v),
    ),
    set(
        "ssl_cert_login_san_type",
        "dns, ip, email, uri or other_name",
        "dns",
        "The kind of alternative name, with `subject_alternative_name`.",
        |c, _, v| c.cert_login.set_san_type(v),
    ),
    set(
        "ssl_cert_login_san_index",
        "0 to 1000",
        "0",
        "Which name of that kind, counted from 0.",
        |c, _, v| {
            c.cert_login.san_index = usize::try_from(number(v, 0, 1_000)?).unwrap_or_default();
            Ok(())
        },
    ),
    set(
        "auth_mechanisms.*",
        "PLAIN, AMQPLAIN, ANONYMOUS or EXTERNAL",
        "PLAIN, AMQPLAIN, ANONYMOUS",
        "The ways to log in that are offered, in this order. ANONYMOUS is for clients on this machine alone; EXTERNAL needs TLS.",
        |c, _, v| {
            let mechanism = v.parse().map_err(|error: UnknownMechanism| error.to_string())?;
            if !c.sasl.mechanisms.contains(&mechanism) {
                c.sasl.mechanisms.push(mechanism);
            }
            Ok(())
        },
    ),
    set(
        "anonymous_login_user",
        "a name, or none",
        "guest",
        "The user that ANONYMOUS logs in; `none`: it is not offered.",
        |c, _, v| {
            let password = c.sasl.anonymous.take().map_or_else(|| "guest".to_owned(), |login| login.password);
            c.sasl.anonymous = (v != "none").then(|| Anonymous { user: v.to_owned(), password });
            Ok(())
        },
    ),
    set("anonymous_login_pass", "text", "guest", "Its password.", |c, _, v| {
        if let Some(login) = &mut c.sasl.anonymous {
            v.clone_into(&mut login.password);
        }
        Ok(())
    }),
    set("management.tcp.port", "PORT", "15672", "The port of the HTTP API. Also `--http`.", |c, _, v| {
        let port = number(v, 0, u64::from(u16::MAX))?;
        let port = u16::try_from(port).unwrap_or_default();
        c.http = c.http.iter().map(|address| address.with_port(port)).collect();
        Ok(())
    }),
    set("management.tcp.ip", "an IP address", "all addresses", "The address of the HTTP API.", |c, _, v| {
        let port = c.http.first().map_or(15_672, BindAddress::port);
        let address = BindAddress::Any(port).with_host(v).ok_or_else(|| refuse(v, "an IP address"))?;
        c.http = vec![address];
        Ok(())
    }),
    set(
        "prometheus.tcp.port",
        "PORT",
        "15692",
        "The port of the metrics. Also `--prometheus`.",
        |c, _, v| {
            let port = number(v, 0, u64::from(u16::MAX))?;
            let port = u16::try_from(port).unwrap_or_default();
            c.prometheus = c.prometheus.iter().map(|address| address.with_port(port)).collect();
            Ok(())
        },
    ),
    set("prometheus.tcp.ip", "an IP address", "all addresses", "The address of the metrics.", |c, _, v| {
        let port = c.prometheus.first().map_or(15_692, BindAddress::port);
        let address = BindAddress::Any(port).with_host(v).ok_or_else(|| refuse(v, "an IP address"))?;
        c.prometheus = vec![address];
        Ok(())
    }),
    set(
        "management.ssl.port",
        "PORT",
        "15671",
        "The port of the HTTP API over TLS. It is opened when any `management.ssl.*` is set, and the plain one then only when a `management.tcp.*` is set too.",
        |c, _, v| {
            let port = u16::try_from(number(v, 0, u64::from(u16::MAX))?).unwrap_or_default();
            c.https = c.https.iter().map(|address| address.with_port(port)).collect();
            Ok(())
        },
    ),
    set("management.ssl.ip", "an IP address", "all addresses", "Its address.", |c, _, v| {
        let port = c.https.first().map_or(15_671, BindAddress::port);
        let address = BindAddress::Any(port).with_host(v).ok_or_else(|| refuse(v, "an IP address"))?;
        c.https = vec![address];
        Ok(())
    }),
    set(
        "management.ssl.*",
        "as ssl_options.*",
        "",
        "Its TLS options. Without `certfile` and `keyfile` those of `ssl_options` are used; nothing else is taken from there.",
        |c, option, v| c.management_tls.set(option, v),
    ),
    set(
        "heartbeat",
        "seconds, 0 to 65535",
        "60",
        "The heartbeat offered to clients; they may ask for less. 0 is none.",
        |c, _, v| {
            c.heartbeat_s = u16::try_from(number(v, 0, u64::from(u16::MAX))?).unwrap_or_default();
            Ok(())
        },
    ),
    set(
        "channel_max",
        "0 to 65535",
        "2047",
        "The highest channel number offered to clients; 0 is 65535.",
        |c, _, v| {
            let wanted = u16::try_from(number(v, 0, u64::from(u16::MAX))?).unwrap_or_default();
            c.channel_max = if wanted == 0 { u16::MAX } else { wanted };
            Ok(())
        },
    ),
    set(
        "frame_max",
        "bytes, 4096 to 134217728",
        "131072",
        "The largest frame offered to clients. Each connection may buffer one.",
        |c, _, v| {
            c.frame_max = u32::try_from(number(v, 4_096, 134_217_728)?).unwrap_or_default();
            Ok(())
        },
    ),
    set(
        "max_message_size",
        "bytes, 1 to 536870912",
        "134217728",
        "The largest message body; larger ones are refused with 406.",
        |c, _, v| {
            c.max_message_size = size(v, 1, 536_870_912)?;
            Ok(())
        },
    ),
    set(
        "handshake_timeout",
        "milliseconds, 1 to 3600000",
        "10000",
        "The time a client has from connecting to opening its virtual host.",
        |c, _, v| {
            c.handshake_timeout_ms = number(v, 1, 3_600_000)?;
            Ok(())
        },
    ),
    set(
        "vm_memory_high_watermark.relative",
        "a part, 0 to 1",
        "0.6",
        "The memory limit as a part of the memory this process may use (the machine's or its control group's). Above it publishers wait. 0 keeps them waiting.",
        |c, _, v| {
            c.memory_watermark = MemoryWatermark::Relative(part(v, 0.0, 1.0)?);
            Ok(())
        },
    ),
    set(
        "vm_memory_high_watermark.absolute",
        "a size such as 2GB or 2GiB",
        "",
        "The memory limit in bytes.",
        |c, _, v| {
            c.memory_watermark = MemoryWatermark::Absolute(size(v, 0, u64::MAX)?);
            Ok(())
        },
    ),
    set(
        "disk_free_limit.absolute",
        "a size such as 2GB or 2GiB",
        "50MB",
        "Under this much free disk space publishers wait.",
        |c, _, v| {
            c.disk_free_limit = DiskFreeLimit::Absolute(size(v, 0, u64::MAX)?);
            Ok(())
        },
    ),
    set(
        "disk_free_limit.relative",
        "a multiple, 0 to 1000",
        "",
        "The same limit as a multiple of the machine's memory.",
        |c, _, v| {
            c.disk_free_limit = DiskFreeLimit::Relative(part(v, 0.0, 1_000.0)?);
            Ok(())
        },
    ),
    set(
        "default_user",
        "text",
        "guest",
        "The user made when the data folder is empty. Also `RABBITMQ_DEFAULT_USER`.",
        |c, _, v| {
            c.default_user = text("a name", v)?;
            Ok(())
        },
    ),
    set("default_pass", "text", "guest", "Its password. Also `RABBITMQ_DEFAULT_PASS`.", |c, _, v| {
        if v.is_empty() {
            return Err("it is empty; a password is needed".to_owned());
        }
        c.default_pass = Secret(v.to_owned());
        Ok(())
    }),
    set(
        "default_vhost",
        "text",
        "/",
        "The virtual host made when the data folder is empty. Also `RABBITMQ_DEFAULT_VHOST`.",
        |c, _, v| {
            c.default_vhost = text("a name", v)?;
            Ok(())
        },
    ),
    set(
        "default_queue_type",
        "`classic` or `quorum`",
        "classic",
        "The type of queues declared without `x-queue-type`, in virtual hosts that are made without one of their own.",
        |c, _, v| {
            if !matches!(v, "classic" | "quorum") {
                return Err(refuse(v, "`classic` or `quorum`"));
            }
            // Virtual hosts keep classic as nothing.
            c.default_queue_type = if v == "classic" { String::new() } else { v.to_owned() };
            Ok(())
        },
    ),
    set(
        "default_user_tags.*",
        "true or false",
        "administrator",
        "The tags of that user: `default_user_tags.administrator = true` and so on.",
        |c, tag, v| list_switch(&mut c.default_user_tags, tag, v),
    ),
    set(
        "default_permissions.configure",
        "a regular expression",
        ".*",
        "What that user may declare and delete in that virtual host.",
        |c, _, v| {
            c.default_permissions.configure = v.to_owned();
            Ok(())
        },
    ),
    set(
        "default_permissions.write",
        "a regular expression",
        ".*",
        "What it may publish and bind to.",
        |c, _, v| {
            c.default_permissions.write = v.to_owned();
            Ok(())
        },
    ),
    set(
        "default_permissions.read",
        "a regular expression",
        ".*",
        "What it may consume and bind from.",
        |c, _, v| {
            c.default_permissions.read = v.to_owned();
            Ok(())
        },
    ),
    set("loopback_users", "none", "guest", "`none`: every user may log in from everywhere.", |c, _, v| {
        if v != "none" {
            return Err(refuse(v, "`none`; users are given as loopback_users.NAME = true"));
        }
        c.loopback_users.clear();
        Ok(())
    }),
    set(
        "loopback_users.*",
        "true or false",
        "guest = true",
        "Whether this user may log in from this machine only.",
        |c, user, v| list_switch(&mut c.loopback_users, user, v),
    ),
    set(
        "log.console",
        "true or false",
        "true",
        "Nothing either way: the console is the only place to log to. `log.console.level = none` silences it.",
        |_, _, v| switch(v).map(|_| ()),
    ),
    set(
        "log.console.level",
        "debug, info, warning, error or none",
        "info",
        "The least important level that is logged.",
        |c, _, v| {
            c.log_level = level(v)?;
            Ok(())
        },
    ),
    set(
        "log.console.formatter",
        "plaintext or json",
        "plaintext",
        "How log lines are written.",
        |c, _, v| {
            c.log_format = match v {
                "plaintext" | "text" => LogFormat::Plain,
                "json" => LogFormat::Json,
                _ => return Err(refuse(v, "plaintext or json")),
            };
            Ok(())
        },
    ),
    set(
        "log.default.level",
        "debug, info, warning, error or none",
        "info",
        "The same as log.console.level.",
        |c, _, v| {
            c.log_level = level(v)?;
            Ok(())
        },
    ),
    set(
        "log.file.level",
        "debug, info, warning, error or none",
        "info",
        "The same as log.console.level: the console is where logs go.",
        |c, _, v| {
            c.log_level = level(v)?;
            Ok(())
        },
    ),
    set(
        "auth_backends.*",
        "internal",
        "internal",
        "Who checks names and passwords: only the broker itself so far.",
        |_, _, v| match v {
            "internal" | "rabbit_auth_backend_internal" => Ok(()),
            _ => Err(refuse(v, "internal")),
        },
    ),
    set(
        "load_definitions",
        "a file, or a folder of files",
        "",
        "Definitions in RabbitMQ's JSON, imported at every start before clients are let in. What is there already stays. A new data folder then gets nothing but what they say, so they must name a user.",
        |c, _, v| {
            c.load_definitions = Some(text("a path", v)?.into());
            Ok(())
        },
    ),
    set("management.load_definitions", "the same", "", "The old name of load_definitions.", |c, _, v| {
        c.load_definitions = Some(text("a path", v)?.into());
        Ok(())
    }),
    set(
        "definitions.import_backend",
        "local_filesystem",
        "local_filesystem",
        "Where definitions come from: only files so far.",
        |_, _, v| match v {
            "local_filesystem" | "rabbit_definitions_import_local_filesystem" => Ok(()),
            _ => Err(refuse(v, "local_filesystem")),
        },
    ),
    set(
        "definitions.local.path",
        "a file, or a folder of files",
        "",
        "The same as load_definitions.",
        |c, _, v| {
            c.load_definitions = Some(text("a path", v)?.into());
            Ok(())
        },
    ),
    ignored("definitions.skip_if_unchanged", "what is there already is not changed by an import"),
    ignored("log.console.*", "lines go to the console as they are"),
    ignored("log.file", "logs go to the console; send them on from there"),
    ignored("log.file.*", "logs go to the console; send them on from there"),
    ignored("log.*", "all kinds of log lines go to the console at one level"),
    ignored("collect_statistics", "counters cost nothing here and are always kept"),
    ignored("collect_statistics_interval", "there is no interval: answers are computed when asked for"),
    ignored("management.rates_mode", "answers carry counters; rates are for whoever reads them twice"),
    ignored("management_agent.*", "there is no agent"),
    ignored("vm_memory_calculation_strategy", "memory is what the system says of this process"),
    ignored("vm_memory_high_watermark_paging_ratio", "nothing is paged: the log is where messages are"),
    ignored("memory_monitor_interval", "memory is looked at four times a second"),
    ignored("disk_monitor_interval", "the disk is looked at four times a second"),
    ignored("net_ticktime", "there is one node"),
    ignored("cluster_formation.*", "there is one node"),
    ignored("cluster_partition_handling*", "there is one node"),
    ignored("cluster_keepalive_interval", "there is one node"),
    ignored("distribution.*", "there is no Erlang distribution"),
    ignored("queue_leader_locator", "there is one node"),
    ignored("queue_master_locator", "there is one node"),
    ignored("mirroring_sync_batch_size", "queues are not mirrored"),
    ignored("raft.*", "there is one log, and it looks after itself"),
    ignored("quorum_queue.*", "there is one log, and it looks after itself"),
    ignored("classic_queue.*", "there is one kind of storage"),
    ignored("queue_index_embed_msgs_below", "there is one kind of storage"),
    ignored("msg_store_*", "there is one kind of storage"),
    ignored("num_acceptors.*", "one task accepts for each listener"),
    ignored("tcp_listen_options.*", "sockets are set up as they should be"),
    ignored("hipe_compile", "nothing to compile"),
    ignored("background_gc*", "there is no garbage collector"),
    ignored("erlang.*", "there is no Erlang here"),
    ignored("deprecated_features.*", "deprecated features that clients use are permitted"),
    ignored("feature_flags.*", "there are no feature flags"),
    ignored("reverse_dns_lookups", "addresses are shown as numbers"),
    missing("connection_max", "not built yet: the limit of file descriptors is the limit of connections"),
    missing("default_users.*", "more than one first user is not built yet: none of these was made"),
    missing("consumer_timeout", "not built yet: a consumer may take its time"),
    missing("ssl_*", "not built yet"),
    missing("management.*", "not built yet"),
    missing("definitions.*", "definitions come from files only"),
    missing("auth_*", "other ways to log in are not built yet"),
    missing("proxy_protocol", "the PROXY protocol is not built yet"),
    missing("channel_max_per_node", "not built yet"),
    missing("consumer_max_per_channel", "not built yet"),
    missing("prometheus.*", "only the plain listener of the metrics is built"),
    missing("stream.*", "streams are not built yet"),
    missing("mqtt.*", "MQTT is not built yet"),
    missing("stomp.*", "STOMP is not built yet"),
    missing("web_*", "WebSocket listeners are not built yet"),
];

fn refuse(value: &str, allowed: &str) -> String {
    format!("`{value}` cannot be used; allowed: {allowed}")
}

fn text(what: &str, value: &str) -> Result<String, String> {
    if value.is_empty() { Err(format!("it is empty; {what} is needed")) } else { Ok(value.to_owned()) }
}

fn number(value: &str, min: u64, max: u64) -> Result<u64, String> {
    let parsed = value.parse().ok().filter(|number| (min..=max).contains(number));
    parsed.ok_or_else(|| refuse(value, &format!("a number from {min} to {max}")))
}

fn size(value: &str, min: u64, max: u64) -> Result<u64, String> {
    let allowed = || match max {
        u64::MAX => "a size such as 500MB, 2GB or 2GiB".to_owned(),
        _ => format!("a size from {min} to {max} bytes; units such as MB or MiB may follow"),
    };
    parse_size(value).filter(|size| (min..=max).contains(size)).ok_or_else(|| refuse(value, &allowed()))
}

fn part(value: &str, min: f64, max: f64) -> Result<f64, String> {
    let parsed = value.parse().ok().filter(|part: &f64| (min..=max).contains(part));
    parsed.ok_or_else(|| refuse(value, &format!("a number from {min} to {max}")))
}

fn switch(value: &str) -> Result<bool, String> {
    parse_switch(value).ok_or_else(|| refuse(value, "true or false"))
}

fn level(value: &str) -> Result<LogLevel, String> {
    Ok(match value {
        "debug" => LogLevel::Debug,
        "info" | "notice" => LogLevel::Info,
        "warning" | "warn" => LogLevel::Warn,
        "error" | "critical" | "alert" | "emergency" => LogLevel::Error,
        "none" => LogLevel::Off,
        _ => return Err(refuse(value, "debug, info, warning, error, critical or none")),
    })
}

fn list_switch(list: &mut Vec<String>, item: &str, value: &str) -> Result<(), String> {
    let on = switch(value)?;
    list.retain(|existing| existing != item);
    if on {
        list.push(item.to_owned());
    }
    Ok(())
}
