//! The arrows between crates, as docs/ARCHITECTURE.md draws them, checked against the manifests.

use super::Source;

/// Each crate of `crates/`, and which of ours it may use outside its tests.
const ARROWS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("routing", &["protocol"]),
    ("core", &["protocol", "routing"]),
    ("storage", &[]),
    ("engine", &["core", "storage", "protocol", "routing"]),
    ("management", &["core"]),
    ("server", &["engine", "core", "storage", "protocol", "routing", "management"]),
    ("cli", &[]),
    ("perf", &["protocol"]),
    ("sim", &["engine", "core", "storage", "protocol", "routing"]),
];

/// Foreign packages that a crate must not depend on outside its tests, by the first part of their name.
const FOREIGN: &[(&[&str], &[&str])] = &[
    (&["protocol", "routing", "core", "storage", "engine"], &["tokio", "dashmap", "axum", "hyper"]),
    (&["protocol", "routing", "core", "engine"], &["sled", "rustix", "serde", "parking_lot", "rand"]),
    (&["sim"], &["tokio"]),
];

pub(super) fn check(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        let Some(name) = source.crate_name() else {
            continue;
        };
        if source.path != format!("crates/{name}/Cargo.toml") {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
            findings.push(format!("crates/{name} has no line in the table of arrows"));
            continue;
        };
        for dependency in dependencies(&source.text) {
            let ours = dependency.strip_prefix("leveret-");
            if ours.is_some_and(|ours| !allowed.contains(&ours)) || is_banned(name, dependency) {
                findings.push(format!("{}: {name} may not use {dependency}", source.path));
            }
        }
    }
    findings
}

fn is_banned(name: &str, dependency: &str) -> bool {
    FOREIGN.iter().filter(|(crates, _)| crates.contains(&name)).flat_map(|(_, packages)| *packages).any(
        |package| {
            let rest = dependency.strip_prefix(package);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        },
    )
}

/// The names under `[dependencies]` and its per-target forms; tests may use what they like.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            // [dependencies.NAME] is a section of its own.
            if let Some((head, name)) = section.rsplit_once("dependencies.")
                && (head.is_empty() || head.ends_with('.'))
            {
                names.push(name);
            }
            inside = section == "dependencies" || section.ends_with(".dependencies");
        } else if inside && !line.starts_with('#') {
            let end = line.find(['.', '=', ' ']).unwrap_or(line.len());
            names.extend(line.get(..end).filter(|name| !name.is_empty()));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, manifest: &str) -> Vec<String> {
        check(&[Source { path: format!("crates/{name}/Cargo.toml"), text: manifest.to_owned() }])
    }

    #[test]
    fn broken_arrows_are_found() {
        let cases = [
            ("core", "[dependencies]\nleveret-protocol.workspace = true\n", 0),
            ("core", "[dependencies]\nleveret-storage = { workspace = true }\n", 1),
            ("core", "[dev-dependencies]\nleveret-storage.workspace = true\n", 0),
            ("core", "[dependencies]\ntokio.workspace = true\n", 1),
            ("core", "[dependencies.tokio]\nversion = \"1\"\n", 1),
            ("core", "[dev-dependencies.tokio]\nversion = \"1\"\n", 0),
            ("core", "[dependencies]\n\n# why\nregex.workspace = true\n", 0),
            ("engine", "[target.'cfg(unix)'.dependencies]\ntokio-util = \"1\"\n", 1),
            ("storage", "[dependencies]\nsled.workspace = true\n", 0),
            ("storage", "[dependencies]\nleveret-core.workspace = true\n", 1),
            ("cli", "[dependencies]\nleveret-server.workspace = true\n", 1),
            ("unheard-of", "", 1),
        ];
        for (name, manifest, expected) in cases {
            let found = findings(name, manifest);
            assert_eq!(found.len(), expected, "{name}: {manifest}: {found:?}");
        }
    }
}
