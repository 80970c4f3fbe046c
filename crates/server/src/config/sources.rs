//! Where settings come from: which files are read, and which variables stand for settings.

use std::path::{Path, PathBuf};

use super::{Args, ConfigError, Environment};

/// Variables of RabbitMQ's images that stand for a setting. Each may also be given as a file's name: `…_FILE`.
pub(super) const VARIABLES: [(&str, &str); 4] = [
    ("RABBITMQ_DEFAULT_USER", "default_user"),
    ("RABBITMQ_DEFAULT_PASS", "default_pass"),
    ("RABBITMQ_DEFAULT_VHOST", "default_vhost"),
    ("RABBITMQ_NODENAME", "leveret.node.name"),
];

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
