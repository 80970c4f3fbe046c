//! Texts: no path of somebody's machine, no dead link between documents, every crate on the map.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::{Source, has_extension};

const MAP: &str = "docs/ARCHITECTURE.md";

/// Folders that exist on one machine only. Put together here, so that this file does not hold them itself.
const MACHINE_FOLDERS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];

pub(super) fn check(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        for (index, line) in source.text.lines().enumerate() {
            if let Some(folder) = MACHINE_FOLDERS.iter().find(|folder| is_path(line, folder)) {
                findings.push(format!("{}:{}: a path of one machine ({folder})", source.path, index + 1));
            }
        }
    }
    findings.extend(dead_links(sources));
    findings.extend(unmapped_crates(sources));
    findings
}

/// Whether the folder stands at the start of a path, not inside a longer one such as `docs/work/`.
fn is_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | ')'))
    })
}

fn dead_links(sources: &[Source]) -> Vec<String> {
    let mut known = BTreeSet::new();
    for source in sources {
        known.extend(Path::new(&source.path).ancestors().map(Path::to_owned));
    }
    let mut findings = Vec::new();
    for source in sources {
        if !has_extension(&source.path, "md") {
            continue;
        }
        let folder = Path::new(&source.path).parent().unwrap_or(Path::new(""));
        for link in links(&source.text) {
            let target = normal(&folder.join(link));
            if !known.contains(&target) {
                findings.push(format!("{}: dead link to {link}", source.path));
            }
        }
    }
    findings
}

/// The relative targets of a document's links, without their fragments.
fn links(text: &str) -> Vec<&str> {
    let mut links = Vec::new();
    for rest in text.split("](").skip(1) {
        let link = rest.split([')', ' ']).next().unwrap_or_default();
        let link = link.split('#').next().unwrap_or_default();
        if !link.is_empty() && !link.contains(':') {
            links.push(link);
        }
    }
    links
}

/// The path with `.` and `..` taken out.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

fn unmapped_crates(sources: &[Source]) -> Vec<String> {
    let map = sources.iter().find(|source| source.path == MAP);
    let map = map.map_or("", |source| source.text.as_str());
    let crates: BTreeSet<&str> = sources.iter().filter_map(Source::crate_name).collect();
    crates
        .into_iter()
        .filter(|name| !map.contains(&format!("`{name}`")) && !map.contains(&format!("crates/{name}")))
        .map(|name| format!("crates/{name} is not on the map, {MAP}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn machine_paths_are_found() {
        let folder = MACHINE_FOLDERS[0];
        assert_eq!(check(&[source("a.txt", &format!("see {folder}x"))]).len(), 1);
        assert_eq!(check(&[source("a.txt", &format!("see docs{folder}x"))]).len(), 0);
    }

    #[test]
    fn dead_links_are_found() {
        let target = source("docs/STORAGE.md", "");
        let cases = [
            ("docs/A.md", "[s](STORAGE.md)", 0),
            ("docs/A.md", "[s](STORAGE.md#part)", 0),
            ("docs/A.md", "[s](#part) [w](https://example.org/x)", 0),
            ("README.md", "[s](docs/STORAGE.md) [d](docs/)", 0),
            ("docs/A.md", "[s](../docs/STORAGE.md)", 0),
            ("README.md", "[s](STORAGE.md)", 1),
        ];
        for (path, text, expected) in cases {
            let found = dead_links(&[source(path, text), source(&target.path, "")]);
            assert_eq!(found.len(), expected, "{path} {text}: {found:?}");
        }
    }

    #[test]
    fn every_crate_is_on_the_map() {
        let code = source("crates/core/src/lib.rs", "");
        let map = source(MAP, "`core` has the rules");
        assert_eq!(unmapped_crates(&[code]).len(), 1);
        let code = source("crates/core/src/lib.rs", "");
        assert_eq!(unmapped_crates(&[code, map]).len(), 0);
    }
}
