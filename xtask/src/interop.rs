//! `interop`: every client suite, and the table of results in the compatibility document.

use crate::broker::Broker;
use crate::suites::{SUITES, Suite, find};
use crate::tally::Tally;
use crate::test::finish;
use crate::{Failure, root};

const DOCUMENT: &str = "docs/COMPATIBILITY.md";
const BEGIN: &str = "<!-- interop results: written by `cargo xtask interop` -->";
const END: &str = "<!-- end of interop results -->";

/// Run the suites named, or all, and write their rows; with `--url`, on that broker and without writing.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let (names, url) = parse(args)?;
    let suites: Vec<&'static Suite> = if names.is_empty() {
        SUITES.iter().collect()
    } else {
        names.iter().map(|name| find(name)).collect::<Result<_, _>>()?
    };
    if url.is_none() {
        Broker::build()?;
    }
    let mut total = Tally::default();
    let mut rows = Vec::new();
    for suite in suites {
        let tally = suite.run(url);
        total += tally;
        rows.push((suite.title, tally));
    }
    if url.is_none() {
        write_rows(&rows)?;
    }
    finish(total)
}

fn parse(args: &[String]) -> Result<(Vec<&str>, Option<&str>), Failure> {
    let mut names = Vec::new();
    let mut url = None;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--url" {
            url = Some(rest.next().ok_or("--url needs an address")?.as_str());
        } else {
            names.push(arg.as_str());
        }
    }
    Ok((names, url))
}

fn write_rows(rows: &[(&str, Tally)]) -> Result<(), Failure> {
    let path = root().join(DOCUMENT);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{DOCUMENT}: {error}"))?;
    let text = with_rows(&text, rows)
        .ok_or_else(|| format!("{DOCUMENT} lacks the two markers of the interop results"))?;
    std::fs::write(&path, text).map_err(|error| format!("{DOCUMENT}: {error}"))
}

/// The document with these rows put in; rows of suites that did not run stay.
fn with_rows(text: &str, rows: &[(&str, Tally)]) -> Option<String> {
    let (head, rest) = text.split_once(BEGIN)?;
    let (table, tail) = rest.split_once(END)?;
    let mut lines = Vec::new();
    for suite in SUITES {
        let prefix = format!("| {} |", suite.title);
        let old = table.lines().find(|line| line.starts_with(&prefix));
        match rows.iter().find(|(title, _)| *title == suite.title) {
            Some((_, tally)) => {
                lines.push(format!("{prefix} {} | {} | {} |", tally.passed, tally.failed, tally.skipped))
            }
            None => lines.extend(old.map(str::to_owned)),
        }
    }
    let heading = "| suite | passed | failed | skipped |\n|---|---|---|---|";
    Some(format!("{head}{BEGIN}\n{heading}\n{}\n{END}{tail}", lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_replaced_and_others_kept() {
        let [first, second, ..] = SUITES else {
            panic!("two suites at least");
        };
        let tally = |passed| Tally { passed, ..Tally::default() };
        let empty = format!("before\n{BEGIN}\n{END}\nafter\n");
        let once = with_rows(&empty, &[(first.title, tally(1)), (second.title, tally(2))]);
        let once = once.expect("markers");
        assert!(once.starts_with("before\n") && once.ends_with("\nafter\n"));
        assert!(once.contains(&format!("| {} | 1 | 0 | 0 |", first.title)));
        let twice = with_rows(&once, &[(second.title, tally(3))]).expect("markers");
        assert!(twice.contains(&format!("| {} | 1 | 0 | 0 |", first.title)));
        assert!(twice.contains(&format!("| {} | 3 | 0 | 0 |", second.title)));
        assert!(!twice.contains(&format!("| {} | 2 |", second.title)));
        assert_eq!(with_rows("no markers", &[]), None);
    }
}
