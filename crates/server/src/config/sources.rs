//! Where settings come from: which files are read, and which variables stand for settings.

use std::path::{Path, PathBuf};

use super::{Args, ConfigError, Environment, Notice};

/// Variables of RabbitMQ's images that stand for a setting. Each may also be given as a file's name: `…_FILE`.
pub(super) const VARIABLES: [(&str, &str); 4] = [
    ("RABBITMQ_DEFAULT_USER", "default_user"),
    ("RABBITMQ_DEFAULT_PASS", "default_pass"),
    ("RABBITMQ_DEFAULT_VHOST", "default_vhost"),
    ("RABBITMQ_NODENAME", "leveret.node.name"),
];

/// RabbitMQ's variables for the one address of AMQP where `listeners.tcp` is not set.
pub(super) const NODE_IP_ADDRESS: &str = "RABBITMQ_NODE_IP_ADDRESS";
/// Its port.
pub(super) const NODE_PORT: &str = "RABBITMQ_NODE_PORT";

/// Read elsewhere: those of files by [`files`] and by the command line.
const OF_FILES: [&str; 2] = ["RABBITMQ_CONFIG_FILE", "RABBITMQ_CONFIG_FILES"];

/// Variables of old images that RabbitMQ's refuses, and what to set in their place.
pub(super) const RETIRED: [(&str, &str); 9] = [
    ("RABBITMQ_VM_MEMORY_HIGH_WATERMARK", "vm_memory_high_watermark.relative or .absolute"),
    ("RABBITMQ_SSL_CACERTFILE", "ssl_options.cacertfile"),
    ("RABBITMQ_SSL_CERTFILE", "ssl_options.certfile"),
    ("RABBITMQ_SSL_KEYFILE", "ssl_options.keyfile"),
    ("RABBITMQ_SSL_VERIFY", "ssl_options.verify"),
    ("RABBITMQ_SSL_FAIL_IF_NO_PEER_CERT", "ssl_options.fail_if_no_peer_cert"),
    ("RABBITMQ_MANAGEMENT_SSL_CACERTFILE", "management.ssl.cacertfile"),
    ("RABBITMQ_MANAGEMENT_SSL_CERTFILE", "management.ssl.certfile"),
    ("RABBITMQ_MANAGEMENT_SSL_KEYFILE", "management.ssl.keyfile"),
];

/// One warning that names the variables of RabbitMQ that are set and have no effect here; those that say what to set
/// in their place have a warning each from [`super::Config::load`].
#[must_use]
pub fn unused_variables(set: impl IntoIterator<Item = (String, String)>) -> Option<Notice> {
    let is_used = |name: &str| {
        let twin = name.strip_suffix("_FILE").unwrap_or(name);
        VARIABLES.iter().any(|(known, _)| *known == twin)
            || RETIRED.iter().any(|(known, _)| *known == name)
            || OF_FILES.contains(&name)
            || [NODE_IP_ADDRESS, NODE_PORT].contains(&name)
    };
    let is_unused = |(name, value): &(String, String)| {
        // Logs go to the console, which is what the last asks for.
        let needs_nothing = value.is_empty() || (name == "RABBITMQ_LOGS" && value == "-");
        name.starts_with("RABBITMQ_") && !needs_nothing && !is_used(name) && !is_of_a_service(name, value)
    };
    let mut unused: Vec<String> =
        set.into_iter().filter(is_unused).map(|(name, _)| shown_name(&name)).collect();
    unused.sort();
    let verb = if unused.len() == 1 { "has" } else { "have" };
    let text = format!(
        "environment: {} {verb} no effect here; docs/CONFIGURATION.md lists the settings that there are",
        unused.join(", ")
    );
    (!unused.is_empty()).then_some(Notice { warning: true, text })
}

/// Kubernetes sets these in every container, for a service whose name begins with `rabbitmq`.
fn is_of_a_service(name: &str, value: &str) -> bool {
    name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.contains("_PORT_") && name.contains("_TCP"))
        || (name.ends_with("_PORT") && value.contains("://"))
}

/// A name is any text.
fn shown_name(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_debug).collect()
}

/// The files to read, in order; a later one's settings replace an earlier one's.
///
/// # Errors
/// A folder that is there and cannot be read. Whether a named file can be read shows when it is.
pub(super) fn files(args: &Args, env: Environment<'_>) -> Result<Vec<PathBuf>, ConfigError> {
    let mut files = Vec::new();
    let folder = args.config_dir.as_deref();
    match (&args.config, folder) {
        (Some(path), _) => files.push(with_extension(path)),
        (None, Some(folder)) => {
            files.extend(Some(folder.join("rabbitmq.conf")).filter(|path| path.is_file()))
        }
        (None, None) => {}
    }
    match (env("RABBITMQ_CONFIG_FILES"), folder) {
        (Some(pattern), _) => files.extend(matching(Path::new(&pattern))?),
        (None, Some(folder)) => files.extend(matching(&folder.join("conf.d"))?),
        (None, None) => {}
    }
    Ok(files)
}

/// RabbitMQ takes the name of its main file without the extension too.
fn with_extension(path: &Path) -> PathBuf {
    let mut longer = path.as_os_str().to_owned();
    longer.push(".conf");
    let longer = PathBuf::from(longer);
    if !path.exists() && longer.exists() { longer } else { path.to_owned() }
}

/// A file, the `.conf` files of a folder, or what matches `*` in the last part of a path, in the order of names.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (folder, wanted) = match name.split_once('*') {
        Some((before, after)) => (pattern.parent().unwrap_or(Path::new("")), (before, after)),
        None if pattern.is_file() => return Ok(vec![pattern.to_owned()]),
        None => (pattern, ("", ".conf")),
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(ConfigError::Unreadable {
                file: folder.display().to_string(),
                reason: error.to_string(),
            });
        }
    };
    let (before, after) = wanted;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            let rest = name.strip_prefix(before);
            !name.starts_with('.') && rest.is_some_and(|rest| rest.ends_with(after)) && path.is_file()
        })
        .collect();
    found.sort();
    Ok(found)
}

/// The value of a variable, or what stands in the file that its `_FILE` twin names, without the last line's end.
///
/// # Errors
/// Both are set, or the file cannot be read.
pub(super) fn variable(name: &str, env: Environment<'_>) -> Result<Option<String>, ConfigError> {
    let twin = format!("{name}_FILE");
    let value = env(name);
    let Some(path) = env(&twin) else { return Ok(value) };
    if value.is_some() {
        return Err(ConfigError::Value {
            place: "environment".to_owned(),
            key: twin,
            problem: format!("{name} is set too; only one of them may be"),
        });
    }
    let text = std::fs::read_to_string(&path)
        .map_err(|error| ConfigError::Unreadable { file: path, reason: error.to_string() })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Some(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}
