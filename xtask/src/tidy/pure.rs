//! What the crates without IO may not name: clocks, files, sockets, the environment, randomness, panics.

use super::Source;

const PURE: &[&str] = &["protocol", "routing", "core", "engine"];

/// Crates whose input comes from peers or from the disk, where nothing may panic on it.
const NO_UNWRAP: &[&str] = &["protocol", "routing", "core", "engine", "storage"];

const FORBIDDEN: &[&str] = &[
    "SystemTime",
    "Instant::now",
    "std::fs",
    "std::env",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "std::process",
    "std::thread",
    "thread::spawn",
    "thread::sleep",
    "tokio",
    "rand::",
    "Mutex",
    "parking_lot",
];

pub(super) fn check(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        let Some(name) = source.crate_name() else {
            continue;
        };
        if !source.is_rust() || source.is_test() || !source.path.contains("/src/") {
            continue;
        }
        for (number, line) in source.code_lines() {
            let code = line.split("//").next().unwrap_or_default();
            if PURE.contains(&name) {
                findings.extend(
                    FORBIDDEN
                        .iter()
                        .filter(|word| names(code, word))
                        .map(|word| format!("{}:{number}: {name} may not name {word}", source.path)),
                );
            }
            if NO_UNWRAP.contains(&name) && code.contains(".unwrap()") {
                findings.push(format!("{}:{number}: unwrap() outside a test", source.path));
            }
        }
    }
    findings
}

/// Whether `code` holds `word` as a name of its own, not as a part of a longer one.
fn names(code: &str, word: &str) -> bool {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code.get(..at).and_then(|head| head.chars().next_back());
        let after = code.get(at + word.len()..).and_then(|tail| tail.chars().next());
        let open_end = word.ends_with(':');
        !before.is_some_and(part_of_a_name) && (open_end || !after.is_some_and(part_of_a_name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_names_are_found() {
        let cases = [
            ("core", "let now = Instant::now();", 1),
            ("core", "use std::time::SystemTime;", 1),
            ("core", "// std::fs is not ours", 0),
            ("core", "use std::time::Duration;", 0),
            ("core", "let operand::X = y;", 0),
            ("core", "use std::sync::{Arc, Mutex};", 1),
            ("core", "struct TokioLike;", 0),
            ("core", "x.unwrap();", 1),
            ("core", "x.unwrap_or_default();", 0),
            ("core", "#[cfg(test)]\nmod tests { fn f() { x.unwrap() } }", 0),
            ("storage", "use std::fs::File;", 0),
            ("storage", "x.unwrap();", 1),
            ("server", "Instant::now(); x.unwrap();", 0),
        ];
        for (name, text, expected) in cases {
            let found = check(&[Source { path: format!("crates/{name}/src/lib.rs"), text: text.to_owned() }]);
            assert_eq!(found.len(), expected, "{name}: {text}: {found:?}");
        }
    }
}
