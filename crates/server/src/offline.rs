//! `leveret verify` and `leveret salvage`: a data directory is looked at while no broker uses it.
//!
//! Prints losses and sums to standard output, progress to standard error.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use leveret_storage::{
    DataDir, DefinitionCheckpoint, Progress, RealDisk, Report, SledCheckpoint, StorageError, salvage, verify,
};

use crate::config::Offline;

/// Exit codes, as sysexits.h has them.
const WHOLE: u8 = 0;
const EX_DATAERR: u8 = 65;
const EX_NOINPUT: u8 = 66;
const EX_SOFTWARE: u8 = 70;
const EX_CANTCREAT: u8 = 73;
const EX_TEMPFAIL: u8 = 75;

/// The report that `salvage` leaves in the fresh directory.
pub const REPORT: &str = "salvage-report.json";

/// Does what was asked and gives the exit code.
pub fn run(asked: &Offline) -> u8 {
    let copies = Copies::default();
    let checkpoints = |dir: &DataDir<RealDisk>| copies.checkpoint(dir);
    let mut teller = Teller::default();
    let mut watch = |progress: Progress| teller.tell(progress);
    let done = match asked {
        Offline::Verify { dir } => verify(&RealDisk, dir, &checkpoints, &mut watch),
        Offline::Salvage { dir, out } => salvage(&RealDisk, dir, out, &checkpoints, &mut watch)
            .and_then(|report| write_report(&report, &out.join(REPORT)).map(|()| report)),
    };
    match done {
        Ok(report) => tell_report(asked, &report),
        Err(error) => {
            // Nobody is left to tell if this fails.
            _ = writeln!(io::stderr(), "leveret: {error}");
            code_of(asked, &error)
        }
    }
}

fn write_report(report: &Report, path: &Path) -> Result<(), StorageError> {
    let written = report.to_json().and_then(|json| fs::write(path, json));
    written.map_err(|source| StorageError::Io { file: path.to_owned(), op: "write", source })
}

fn tell_report(asked: &Offline, report: &Report) -> u8 {
    let mut text = String::new();
    for loss in &report.losses {
        text.push_str(&format!("{loss}\n"));
    }
    if let Some(refusal) = &report.refusal {
        text.push_str(&format!("a broker would refuse to start: {refusal}\n"));
    }
    let Report { definitions, queues, messages, bytes, losses, .. } = report;
    text.push_str(&format!(
        "{definitions} definitions, {messages} messages of {bytes} bytes in {queues} queues, {} damaged places\n",
        losses.len()
    ));
    if let Offline::Salvage { out, .. } = asked {
        text.push_str(&format!("saved in {}, losses in {}\n", out.display(), out.join(REPORT).display()));
    }
    // A reader that went away wants no more.
    _ = io::stdout().write_all(text.as_bytes());
    if report.is_whole() { WHOLE } else { EX_DATAERR }
}

fn code_of(asked: &Offline, error: &StorageError) -> u8 {
    let (dir, out) = match asked {
        Offline::Verify { dir } => (dir, None),
        Offline::Salvage { dir, out } => (dir, Some(out)),
    };
    match error {
        StorageError::Locked { .. } => EX_TEMPFAIL,
        StorageError::Corrupt { .. } => EX_DATAERR,
        StorageError::Full { .. } => EX_CANTCREAT,
        StorageError::Io { file, .. } if out.is_some_and(|out| file.starts_with(out)) => EX_CANTCREAT,
        StorageError::Io { file, .. } if file == dir => EX_NOINPUT,
        _ => EX_SOFTWARE,
    }
}

/// Prints how far a part is, at each tenth of it.
#[derive(Default)]
struct Teller {
    last: Option<(&'static str, u64)>,
}

impl Teller {
    fn tell(&mut self, progress: Progress) {
        let Progress { part, done, total } = progress;
        let tenth = done.saturating_mul(10) / total.max(1);
        if self.last.replace((part, tenth)) != Some((part, tenth)) {
            // Progress is for people: without them it is not missed.
            _ = writeln!(io::stderr(), "{part}: {done} of {total}");
        }
    }
}

/// The definitions' checkpoint is opened in a copy: sled writes whenever it is opened.
#[derive(Default)]
struct Copies(RefCell<Vec<PathBuf>>);

impl Copies {
    fn checkpoint(&self, dir: &DataDir<RealDisk>) -> Option<Box<dyn DefinitionCheckpoint>> {
        let from = dir.definitions_folder();
        let mut copies = self.0.borrow_mut();
        let name = format!("leveret-definitions-{}-{}", std::process::id(), copies.len());
        let to = std::env::temp_dir().join(name);
        if !from.is_dir() {
            return None;
        }
        copies.push(to.clone());
        // A checkpoint that cannot be copied is missing: the export and the log take its place.
        copy_folder(&from, &to).ok()?;
        Some(Box::new(SledCheckpoint::new(to, dir.log_id())))
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        for folder in self.0.borrow().iter() {
            // Left behind it costs a little room in the folder for temporary files.
            _ = fs::remove_dir_all(folder);
        }
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
