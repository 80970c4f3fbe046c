//! `tidy`: the checks of the source text that no compiler makes, each in a file of its own.
//!
//! - [`arrows`]: which crate may use which (docs/ARCHITECTURE.md).
//! - [`pure`]: what the crates without IO may not name.
//! - [`lengths`]: files and functions may not grow without a word why.
//! - [`text`]: machine paths, links between documents, crates named in the map.

mod arrows;
mod lengths;
mod pure;
mod text;

use std::path::Path;
use std::process::Command;

use crate::process::output;
use crate::{Failure, root};

/// One tracked text file.
#[derive(Debug)]
struct Source {
    /// Its path from the checkout's top, with forward slashes.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        has_extension(&self.path, "rs")
    }

    /// Whether the whole file is tests.
    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
            || self.path.contains("/benches/")
            || self.path.starts_with("tests/")
    }

    /// The crate below `crates/` that the file belongs to.
    fn crate_name(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    /// The lines before the file's own test module, with their numbers from 1.
    fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }
}

/// Run all checks and list every finding.
pub(crate) fn run() -> Result<(), Failure> {
    let sources = sources()?;
    let mut findings = Vec::new();
    findings.extend(arrows::check(&sources));
    findings.extend(pure::check(&sources));
    findings.extend(lengths::check(&sources)?);
    findings.extend(text::check(&sources));
    if findings.is_empty() {
        println!("tidy: {} files are in order", sources.len());
        return Ok(());
    }
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    Err(format!("{} findings", findings.len()))
}

/// Every file that git knows or would add, as far as it is text.
fn sources() -> Result<Vec<Source>, Failure> {
    let listed = output(
        Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(root()),
    )?;
    let mut sources = Vec::new();
    for path in listed.lines() {
        // A path that is listed and gone is being deleted; bytes that are no text are not ours to read.
        if let Ok(text) = std::fs::read_to_string(root().join(path)) {
            sources.push(Source { path: path.to_owned(), text });
        }
    }
    Ok(sources)
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}
