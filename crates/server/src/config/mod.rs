//! Typed settings: defaults, then the file, then the environment, then the command line.
//!
//! Owns every setting's name, unit, default and meaning (the table in `keys`, from which `docs/CONFIGURATION.md` is
//! written) and the reading of `rabbitmq.conf`. Acts on nothing: whoever is concerned takes its part of [`Config`].

mod args;
mod docs;
mod environment;
mod file;
mod keys;
mod login;
mod node_name;
mod sources;
mod tls;
mod values;

use std::fmt;
use std::path::PathBuf;

use leveret_core::access::sasl::{Mechanism, SaslSettings};
use leveret_core::admin::{DiskFreeLimit, MemoryWatermark};
use leveret_core::limits;
use leveret_storage::Durability;

pub use args::{Args, Offline};
pub use docs::config_docs;
pub use login::{CertLogin, LoginFrom, SanType};
pub use sources::unused_variables;
pub use tls::{TlsOptions, TlsVersion, Verify};
pub use values::{BindAddress, NotAnAddress};

/// The exit code for a configuration that cannot be used (`EX_CONFIG` of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;

/// Text that is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Plain,
    /// One JSON object a line.
    Json,
}

/// The least important level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// An operator must act.
    Error,
    /// Odd, but it goes on.
    Warn,
    /// A state changed.
    Info,
    /// For those who look for a fault.
    Debug,
}

/// What the user that is made on an empty data folder may do in the default virtual host, as patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Declare and delete.
    pub configure: String,
    /// Publish and bind to.
    pub write: String,
    /// Consume and bind from.
    pub read: String,
}

/// All settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The folder that everything durable lies in.
    pub data_dir: PathBuf,
    /// Where AMQP clients connect. Empty: nowhere.
    pub amqp: Vec<BindAddress>,
    /// Where AMQP clients connect over TLS. Empty: nowhere.
    pub amqps: Vec<BindAddress>,
    /// TLS for those.
    pub tls: TlsOptions,
    /// The time that a TLS handshake may take, in milliseconds.
    pub tls_handshake_timeout_ms: u64,
    /// The ways to log in over AMQP.
    pub sasl: SaslSettings,
    /// The name that EXTERNAL takes from a client's certificate.
    pub cert_login: CertLogin,
    /// Where the HTTP API listens. Empty: on the control socket only.
    pub http: Vec<BindAddress>,
    /// Where Prometheus scrapes.
    pub prometheus: Vec<BindAddress>,
    /// What a confirm waits for.
    pub durability: Durability,
    /// The size of the log's files in a new data folder, in bytes; `None` follows the file system.
    pub slot_bytes: Option<u64>,
    /// The memory for messages, in bytes; `None` follows the memory limit.
    pub hot_window_bytes: Option<u64>,
    /// Where the HTTP API listens for TLS. Empty: nowhere.
    pub https: Vec<BindAddress>,
    /// TLS for those.
    pub management_tls: TlsOptions,
    /// The heartbeat offered to clients, in seconds; 0 is none.
    pub heartbeat_s: u16,
    /// The highest channel number offered to clients.
    pub channel_max: u16,
    /// The largest frame offered to clients, in bytes.
    pub frame_max: u32,
    /// The largest message body, in bytes.
    pub max_message_size: u64,
    /// The time from accept to connection.open, in milliseconds.
    pub handshake_timeout_ms: u64,
    /// The memory limit.
    pub memory_watermark: MemoryWatermark,
    /// The limit of free disk space.
    pub disk_free_limit: DiskFreeLimit,
    /// The user made on an empty data folder.
    pub default_user: String,
    /// Its password.
    pub default_pass: Secret,
    /// Its tags.
    pub default_user_tags: Vec<String>,
    /// Its permissions in the default virtual host.
    pub default_permissions: Permissions,
    /// The virtual host made on an empty data folder.
    pub default_vhost: String,
    /// The default queue type of new virtual hosts; empty for classic.
    pub default_queue_type: String,
    /// Users who may log in from this machine only.
    pub loopback_users: Vec<String>,
    /// What is logged.
    pub log_level: LogLevel,
    /// How it is written.
    pub log_format: LogFormat,
    /// The product announced to clients.
    pub product_name: String,
    /// The version announced to clients.
    pub product_version: String,
    /// The node's name, for instance `rabbit@host`.
    pub node_name: String,
    /// The cluster's name; `None` is the node's.
    pub cluster_name: Option<String>,
    /// Definitions to import at the start: a file, or a folder of files.
    pub load_definitions: Option<PathBuf>,
    /// The files that were read.
    pub config_files: Vec<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("leveret-data"),
            durability: Durability::default(),
            slot_bytes: None,
            hot_window_bytes: None,
            amqp: vec![BindAddress::Any(5_672)],
            amqps: Vec::new(),
            tls: TlsOptions::default(),
            tls_handshake_timeout_ms: limits::TLS_HANDSHAKE_TIMEOUT_MS,
            sasl: SaslSettings::default(),
            cert_login: CertLogin::default(),
            http: vec![BindAddress::Any(15_672)],
            prometheus: vec![BindAddress::Any(15_692)],
            https: Vec::new(),
            management_tls: TlsOptions::default(),
            heartbeat_s: limits::HEARTBEAT_S,
            channel_max: limits::CHANNEL_MAX,
            frame_max: limits::FRAME_MAX_BYTES,
            max_message_size: limits::MAX_MESSAGE_SIZE_BYTES,
            handshake_timeout_ms: limits::HANDSHAKE_TIMEOUT_MS,
            memory_watermark: MemoryWatermark::Relative(0.6),
            disk_free_limit: DiskFreeLimit::Absolute(50_000_000),
            default_user: "guest".to_owned(),
            default_pass: Secret("guest".to_owned()),
            default_user_tags: vec!["administrator".to_owned()],
            default_permissions: Permissions {
                configure: ".*".to_owned(),
                write: ".*".to_owned(),
                read: ".*".to_owned(),
            },
            default_vhost: "/".to_owned(),
            default_queue_type: String::new(),
            loopback_users: vec!["guest".to_owned()],
            log_level: LogLevel::Info,
            log_format: LogFormat::Plain,
            product_name: "RabbitMQ".to_owned(),
            product_version: "4.0.5".to_owned(),
            node_name: node_name::full("rabbit"),
            cluster_name: None,
            load_definitions: None,
            config_files: Vec::new(),
        }
    }
}

/// Something about the configuration that the operator should know; logged once logging has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// It is worth a warning; else it is information.
    pub warning: bool,
    /// File, line, key and what about it.
    pub text: String,
}

/// A configuration that cannot be used. Nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// A line is not `key = value`.
    #[error("{file}:{line}: not a line of the form `key = value`: {text}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What stands there, cut to a readable length.
        text: String,
    },
    /// A value cannot be used.
    #[error("{place}: {key}: {problem}")]
    Value {
        /// File and line, or the environment.
        place: String,
        /// The setting.
        key: String,
        /// The value, unless it is secret, and what is allowed.
        problem: String,
    },
}

/// Reads the environment; a function, so that tests have an environment of their own.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

impl Config {
    /// Puts the settings together.
    ///
    /// # Errors
    /// [`ConfigError`]; the message names file, line, key and what is allowed.
    pub fn load(args: &Args, env: Environment<'_>) -> Result<(Self, Vec<Notice>), ConfigError> {
        let mut config = Self::default();
        let mut notices = Vec::new();
        // As in RabbitMQ, listeners in a file replace this one.
        config.apply_node_address(env)?;
        config.apply_files(args, env, &mut notices)?;
        for (variable, key) in sources::RETIRED {
            if env(variable).is_some() {
                let text = format!("environment: {variable} has no effect: set {key} in rabbitmq.conf");
                notices.push(Notice { warning: true, text });
            }
        }
        config.apply_environment(env)?;
        config.apply_args(args);
        notices.extend(config.contradictions());
        Ok((config, notices))
    }

    fn apply_files(
        &mut self,
        args: &Args,
        env: Environment<'_>,
        notices: &mut Vec<Notice>,
    ) -> Result<(), ConfigError> {
        let mut lines: Vec<(String, file::Line)> = Vec::new();
        for path in sources::files(args, env)? {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(&path)
                .map_err(|error| ConfigError::Unreadable { file: name.clone(), reason: error.to_string() })?;
            for line in file::parse(&name, &text, env)? {
                lines.retain(|(_, earlier)| earlier.key != line.key);
                lines.push((name.clone(), line));
            }
            self.config_files.push(path);
        }
        self.apply_lines(lines, notices)
    }

    fn apply_lines(
        &mut self,
        lines: Vec<(String, file::Line)>,
        notices: &mut Vec<Notice>,
    ) -> Result<(), ConfigError> {
        self.make_room(|prefix| lines.iter().any(|(_, line)| line.key.starts_with(prefix)));
        for (name, line) in lines {
            let place = format!("{name}:{}", line.number);
            match keys::apply(self, &line.key, &line.value) {
                Ok(keys::Applied::Used) => {}
                Ok(keys::Applied::Ignored(reason)) => {
                    notices.push(Notice {
                        warning: false,
                        text: format!("{place}: {} has no effect: {reason}", line.key),
                    });
                }
                Ok(keys::Applied::Missing(reason)) => {
                    notices.push(Notice {
                        warning: true,
                        text: format!("{place}: {} has no effect: {reason}", line.key),
                    });
                }
                Ok(keys::Applied::Unknown) => {
                    notices
                        .push(Notice { warning: true, text: format!("{place}: unknown key {}", line.key) });
                }
                Err(problem) => return Err(ConfigError::Value { place, key: line.key, problem }),
            }
        }
        Ok(())
    }

    /// A list in the file replaces the default one; its lines add up.
    fn make_room(&mut self, is_set: impl Fn(&str) -> bool) {
        if is_set("listeners.tcp") {
            self.amqp.clear();
        }
        if is_set("auth_mechanisms.") {
            self.sasl.mechanisms.clear();
        }
        if is_set("management.ssl.") {
            self.https = vec![BindAddress::Any(15_671)];
            // As RabbitMQ: who sets up TLS for the HTTP API has no plain one unless that is set as well.
            if !is_set("management.tcp.") {
                self.http.clear();
            }
        }
    }

    /// The one address of AMQP that RabbitMQ's variables give.
    fn apply_node_address(&mut self, env: Environment<'_>) -> Result<(), ConfigError> {
        let given = |name: &str| env(name).filter(|value| !value.is_empty());
        let refused = |name: &str, value: &str, allowed: &str| ConfigError::Value {
            place: "environment".to_owned(),
            key: name.to_owned(),
            problem: format!("`{value}` cannot be used; allowed: {allowed}"),
        };
        let mut address = BindAddress::Any(5_672);
        if let Some(port) = given(sources::NODE_PORT) {
            let number =
                port.parse().map_err(|_| refused(sources::NODE_PORT, &port, "a port, 0 to 65535"))?;
            address = address.with_port(number);
        }
        if let Some(host) = given(sources::NODE_IP_ADDRESS).filter(|host| host != "auto") {
            address = address
                .with_host(&host)
                .ok_or_else(|| refused(sources::NODE_IP_ADDRESS, &host, "an IP address"))?;
        }
        self.amqp = vec![address];
        Ok(())
    }

    /// Settings that are good by themselves and come to nothing together.
    fn contradictions(&self) -> Vec<Notice> {
        let mut found = Vec::new();
        let only_external = self.sasl.mechanisms.iter().all(|mechanism| *mechanism == Mechanism::External);
        if only_external && !self.amqp.is_empty() {
            found.push(
                "auth_mechanisms is EXTERNAL alone, which needs a client's certificate: nobody can log in over \
                 listeners.tcp, which has no TLS",
            );
        }
        if self.amqps.is_empty() && self.tls != TlsOptions::default() && self.https.is_empty() {
            found.push("ssl_options is set and listeners.ssl is not: nothing listens for AMQP over TLS");
        }
        found.into_iter().map(|text| Notice { warning: true, text: text.to_owned() }).collect()
    }

    fn apply_environment(&mut self, env: Environment<'_>) -> Result<(), ConfigError> {
        for (variable, key) in sources::VARIABLES {
            let Some(value) = sources::variable(variable, env)? else { continue };
            keys::apply(self, key, &value).map_err(|problem| ConfigError::Value {
                place: "environment".to_owned(),
                key: variable.to_owned(),
                problem,
            })?;
        }
        Ok(())
    }

    fn apply_args(&mut self, args: &Args) {
        if let Some(data_dir) = &args.data_dir {
            self.data_dir.clone_from(data_dir);
        }
        if !args.amqp.is_empty() {
            self.amqp.clone_from(&args.amqp);
        }
        if !args.http.is_empty() {
            self.http.clone_from(&args.http);
        }
        if !args.prometheus.is_empty() {
            self.prometheus.clone_from(&args.prometheus);
        }
    }
}

#[cfg(test)]
mod tests;
