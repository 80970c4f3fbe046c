//! The settings in force, by their names in `rabbitmq.conf`, for whoever asks a running broker.

use std::path::Path;

use leveret_core::admin::{DiskFreeLimit, MemoryWatermark};

use super::{BindAddress, Config};

impl Config {
    /// Name and value of each setting, sorted by name; no secrets. A list has a line for each item, with its number.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, String)> {
        let (memory, watermark) = match self.memory_watermark {
            MemoryWatermark::Relative(part) => ("relative", part.to_string()),
            MemoryWatermark::Absolute(bytes) => ("absolute", bytes.to_string()),
        };
        let (disk, limit) = match self.disk_free_limit {
            DiskFreeLimit::Relative(part) => ("relative", part.to_string()),
            DiskFreeLimit::Absolute(bytes) => ("absolute", bytes.to_string()),
        };
        let permissions = &self.default_permissions;
        let mut settings = vec![
            ("channel_max".to_owned(), self.channel_max.to_string()),
            ("cluster_name".to_owned(), self.cluster_name.clone().unwrap_or_else(|| self.node_name.clone())),
            ("data_dir".to_owned(), shown(&self.data_dir)),
            ("default_permissions.configure".to_owned(), permissions.configure.clone()),
            ("default_permissions.read".to_owned(), permissions.read.clone()),
            ("default_permissions.write".to_owned(), permissions.write.clone()),
            ("default_user".to_owned(), self.default_user.clone()),
            ("default_vhost".to_owned(), self.default_vhost.clone()),
            (format!("disk_free_limit.{disk}"), limit),
            ("frame_max".to_owned(), self.frame_max.to_string()),
            ("handshake_timeout".to_owned(), self.handshake_timeout_ms.to_string()),
            ("heartbeat".to_owned(), self.heartbeat_s.to_string()),
            ("max_message_size".to_owned(), self.max_message_size.to_string()),
            ("node_name".to_owned(), self.node_name.clone()),
            ("product.name".to_owned(), self.product_name.clone()),
            ("product.version".to_owned(), self.product_version.clone()),
            (format!("vm_memory_high_watermark.{memory}"), watermark),
        ];
        let listeners = [
            ("listeners.tcp", &self.amqp),
            ("listeners.ssl", &self.amqps),
            ("management.tcp", &self.http),
            ("management.ssl", &self.https),
        ];
        for (name, addresses) in listeners {
            settings.extend(numbered(name, addresses.iter().map(address)));
        }
        settings.extend(numbered("loopback_users", self.loopback_users.iter().cloned()));
        settings
            .extend(self.load_definitions.iter().map(|path| ("load_definitions".to_owned(), shown(path))));
        settings.sort();
        settings
    }
}

fn numbered<'a>(
    name: &'a str,
    values: impl Iterator<Item = String> + 'a,
) -> impl Iterator<Item = (String, String)> + 'a {
    (1..).zip(values).map(move |(number, value)| (format!("{name}.{number}"), value))
}

fn address(address: &BindAddress) -> String {
    match address {
        BindAddress::Any(port) => port.to_string(),
        BindAddress::Localhost(port) => format!("localhost:{port}"),
        BindAddress::One(address) => address.to_string(),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_among_the_settings() {
        let config = Config { default_pass: super::super::Secret("hush".to_owned()), ..Config::default() };
        let settings = config.settings();
        assert!(settings.iter().all(|(_, value)| !value.contains("hush")), "{settings:?}");
        assert!(settings.contains(&("heartbeat".to_owned(), config.heartbeat_s.to_string())));
        assert!(settings.is_sorted());
    }
}
