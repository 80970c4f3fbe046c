//! `docs/CONFIGURATION.md`, written from the table of settings.

use std::fmt::Write as _;

use super::keys::{KEYS, Key};

const HEAD: &str = "\
# Configuration

<!-- Written by `leveret --print-config-docs`; change crates/server/src/config/keys.rs instead. -->

Leveret starts without any configuration. What is set comes, each overriding the one before, from

1. the defaults below,
2. the file given with `--config FILE` or `RABBITMQ_CONFIG_FILE`, in `rabbitmq.conf` syntax; without one,
   `rabbitmq.conf` in the folder of `--config-dir DIR` or `LEVERET_CONFIG_DIR` (`/etc/rabbitmq` in the image),
3. the files of `RABBITMQ_CONFIG_FILES` (a folder, a file, or a pattern such as `/etc/rabbitmq/conf.d/*.conf`), in the
   order of their names; without it, those of `conf.d` in the same folder,
4. the environment: `RABBITMQ_DEFAULT_USER`, `RABBITMQ_DEFAULT_PASS`, `RABBITMQ_DEFAULT_VHOST`, `RABBITMQ_NODENAME`;
   each may be given as a file with the value instead, as `RABBITMQ_DEFAULT_PASS_FILE`. `RABBITMQ_NODE_IP_ADDRESS` and
   `RABBITMQ_NODE_PORT` stand below the files, as in RabbitMQ. Any other `RABBITMQ_…` that is set is named in a warning,
5. the command line: `--data-dir DIR` (or `LEVERET_DATA_DIR`), `--amqp ADDR:PORT`, `--http ADDR:PORT`.

The files have lines `key = value`; `#` begins a comment; a value that contains `#` is quoted: `'a#b'`; `$(NAME)` stands
for an environment variable. The last of several lines for a key counts, whatever files they stand in. A key that nobody knows is a warning with file
and line. A value that cannot be used stops the start with exit code 78 and a message that names file, line, key and
what is allowed.

Sizes take units: `kB`, `MB`, `GB`, `TB` are decimal; `KiB`, `MiB`, `GiB`, `TiB` and `K`, `M`, `G`, `T` are binary.
";

/// The whole page.
#[must_use]
pub fn config_docs() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Settings\n\n| Key | Takes | Default | Meaning |\n|---|---|---|---|\n");
    for key in KEYS.iter().filter(|key| key.has_effect()) {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        let _ = writeln!(page, "| `{}` | {} | {default} | {} |", shown(key), key.takes, key.text);
    }
    page.push_str(
        "\n## Accepted without effect\n\nRabbitMQ's keys that need none here.\n\n| Key | Why |\n|---|---|\n",
    );
    for key in KEYS.iter().filter(|key| !key.has_effect() && !key.is_missing()) {
        let _ = writeln!(page, "| `{}` | {} |", shown(key), key.text);
    }
    page.push_str("\n## Not built yet\n\nRabbitMQ's keys that should have an effect and have none: a warning says so.\n\n| Key | What is missing |\n|---|---|\n");
    for key in KEYS.iter().filter(|key| key.is_missing()) {
        let _ = writeln!(page, "| `{}` | {} |", shown(key), key.text);
    }
    page
}

fn shown(key: &Key) -> String {
    key.name.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_in_docs_is_the_one_written_from_the_table() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CONFIGURATION.md");
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == config_docs(),
            "docs/CONFIGURATION.md is out of date: cargo run -p leveret-server -- --print-config-docs > docs/CONFIGURATION.md"
        );
    }
}
