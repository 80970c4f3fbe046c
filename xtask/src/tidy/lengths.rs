//! The ratchet on lengths: a file or function past the limit stands in the list of exceptions with its length
//! and a reason, may shrink, and may not grow.

use std::collections::BTreeMap;

use super::Source;
use crate::{Failure, root};

const FILE_LIMIT: usize = 800;
const FUNCTION_LIMIT: usize = 70;
const LIST: &str = "xtask/lengths.txt";

/// What is too long, by its name in the list: `path` or `path::function`.
type Lengths = BTreeMap<String, usize>;

pub(super) fn check(sources: &[Source]) -> Result<Vec<String>, Failure> {
    let list = std::fs::read_to_string(root().join(LIST)).map_err(|error| format!("{LIST}: {error}"))?;
    let mut findings = Vec::new();
    let allowed = parse(&list, &mut findings);
    let mut found = Lengths::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        measure(source, &mut found);
    }
    compare(&found, &allowed, &mut findings);
    Ok(findings)
}

/// Lines of the form `LENGTH NAME REASON…`.
fn parse(list: &str, findings: &mut Vec<String>) -> Lengths {
    let mut allowed = Lengths::new();
    for line in list.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let length = words.next().and_then(|word| word.parse().ok());
        match (length, words.next(), words.next()) {
            (Some(length), Some(name), Some(_reason)) => {
                allowed.insert(name.to_owned(), length);
            }
            _ => findings.push(format!("{LIST}: not `LENGTH NAME REASON`: {line}")),
        }
    }
    allowed
}

fn compare(found: &Lengths, allowed: &Lengths, findings: &mut Vec<String>) {
    for (name, length) in found {
        match allowed.get(name) {
            None => findings
                .push(format!("{name} has {length} lines: shorten it, or add it to {LIST} with a reason")),
            Some(most) if length > most => {
                findings.push(format!("{name} grew to {length} lines, {LIST} allows {most}"))
            }
            Some(_) => {}
        }
    }
    for name in allowed.keys().filter(|name| !found.contains_key(*name)) {
        findings.push(format!("{name} is no longer too long: take it off {LIST}"));
    }
}

/// Adds the file and its functions, as far as they pass the limits. Tests may be as long as they are.
fn measure(source: &Source, found: &mut Lengths) {
    if source.is_test() {
        return;
    }
    let lines: Vec<&str> = source.code_lines().map(|(_, line)| line).collect();
    if lines.len() > FILE_LIMIT {
        found.insert(source.path.clone(), lines.len());
    }
    for (start, line) in lines.iter().enumerate() {
        let Some((indent, name)) = function_start(line) else {
            continue;
        };
        // rustfmt puts the closing brace alone, under the start of the line that opens the function.
        let end = lines.iter().skip(start).position(|line| line.strip_prefix(indent) == Some("}"));
        let length = end.map_or(0, |end| end + 1);
        if length > FUNCTION_LIMIT {
            let longest = found.entry(format!("{}::{name}", source.path)).or_default();
            *longest = (*longest).max(length);
        }
    }
}

/// The indentation and the name, if the line starts a function.
fn function_start(line: &str) -> Option<(&str, &str)> {
    let code = line.trim_start();
    let indent = line.get(..line.len() - code.len())?;
    let (head, rest) = code.split_once("fn ")?;
    let is_head = head.split_whitespace().all(|word| {
        matches!(word, "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"") || word.starts_with("pub(")
    });
    // A one-liner, or a declaration without a body, has no brace of its own to look for.
    let has_body = !line.ends_with(';') && !line.ends_with('}');
    let name = rest.split(['(', '<']).next()?;
    (is_head && has_body).then_some((indent, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(path: &str, text: &str) -> Lengths {
        let mut found = Lengths::new();
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        measure(&source, &mut found);
        found
    }

    fn function(lines: usize) -> String {
        format!(
            "impl X {{\n    pub(crate) async fn long<T>(\n{}    ) {{\n    }}\n}}\n",
            "        x,\n".repeat(lines - 3)
        )
    }

    #[test]
    fn long_functions_and_files_are_measured() {
        assert_eq!(lengths("a.rs", &function(FUNCTION_LIMIT)), Lengths::new());
        assert_eq!(
            lengths("a.rs", &function(FUNCTION_LIMIT + 1)),
            Lengths::from([("a.rs::long".to_owned(), FUNCTION_LIMIT + 1)])
        );
        assert_eq!(lengths("a/tests.rs", &function(200)), Lengths::new());
        let file = "x\n".repeat(FILE_LIMIT + 1);
        assert_eq!(lengths("a.rs", &file), Lengths::from([("a.rs".to_owned(), FILE_LIMIT + 1)]));
    }

    #[test]
    fn the_list_only_lets_things_shrink() {
        let one = |length| Lengths::from([("a.rs::f".to_owned(), length)]);
        let cases = [
            (one(80), one(80), 0),
            (one(80), one(90), 0),
            (one(91), one(90), 1),
            (one(80), Lengths::new(), 1),
            (Lengths::new(), one(80), 1),
        ];
        for (found, allowed, expected) in cases {
            let mut findings = Vec::new();
            compare(&found, &allowed, &mut findings);
            assert_eq!(findings.len(), expected, "{found:?} {allowed:?}");
        }
    }

    #[test]
    fn the_list_needs_reasons() {
        let mut findings = Vec::new();
        let allowed = parse("# why\n\n80 a.rs::f a flat table\n81 b.rs\n", &mut findings);
        assert_eq!(allowed, Lengths::from([("a.rs::f".to_owned(), 80)]));
        assert_eq!(findings.len(), 1);
    }
}
