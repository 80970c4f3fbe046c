//! strace as a tool: which system calls a broker makes on its data, and one of them made to fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::wait::{PATIENCE, until};

/// The system calls by which data reaches the disk, or leaves it.
pub const STORAGE_CALLS: &[&str] = &[
    "openat",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "write",
    "writev",
    "fdatasync",
    "fsync",
    "sync_file_range",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "ftruncate",
    "fallocate",
    "mkdir",
    "mkdirat",
];

/// What happens at a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The process is killed before the call is done.
    Kill,
    /// The call is not done and gives this error, by its name.
    Error(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill => f.write_str("kill"),
            Self::Error(name) => f.write_str(name),
        }
    }
}

/// One call of a run: the `number`th `call` on `path`, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point {
    /// The name of the system call.
    pub call: String,
    /// The file or folder, relative to the data folder; empty for that folder itself.
    pub path: String,
    /// Counts the calls of this name on this path within one thread: as strace counts them.
    pub number: u32,
    /// Whether the call may make a file.
    pub creates: bool,
}

impl Point {
    /// Whether it makes something durable.
    #[must_use]
    pub fn is_sync(&self) -> bool {
        matches!(self.call.as_str(), "fdatasync" | "fsync" | "sync_file_range")
    }

    /// Whether it needs room on the disk.
    #[must_use]
    pub fn takes_room(&self) -> bool {
        self.creates
            || self.call.contains("write")
            || matches!(self.call.as_str(), "fallocate" | "mkdir" | "mkdirat")
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {:?}", self.call, self.number, self.path)
    }
}

/// Why strace cannot be used here, if it cannot.
#[must_use]
pub fn missing() -> Option<String> {
    let mut command = Command::new("strace");
    command.args(["-f", "-D", "--seccomp-bpf", "-e", "trace=fsync", "true"]);
    match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => None,
        Ok(_) => Some("strace may not trace here".to_owned()),
        Err(_) => Some("strace is not installed".to_owned()),
    }
}

/// The record of one traced process.
#[derive(Debug, Clone)]
pub struct Trace {
    log: PathBuf,
    data_dir: PathBuf,
}

/// A line of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    thread: u32,
    call: String,
    path: Option<String>,
    creates: bool,
    injected: bool,
}

impl Trace {
    /// A record in the file `log` of what is done in `data_dir`.
    #[must_use]
    pub fn new(log: PathBuf, data_dir: PathBuf) -> Self {
        Self { log, data_dir }
    }

    /// Starts a program so that every storage call is recorded. The program is the started process itself; strace
    /// stands beside it.
    #[must_use]
    pub fn recording(&self) -> Vec<String> {
        self.starter(true, &[format!("trace={}", STORAGE_CALLS.join(","))], None)
    }

    /// Starts a program so that `point` meets `fault`; the calls of that name on that path and all syncs of it are
    /// recorded.
    #[must_use]
    pub fn injecting(&self, point: &Point, fault: Fault) -> Vec<String> {
        let Point { call, number, .. } = point;
        let what = match fault {
            Fault::Kill => "signal=SIGKILL".to_owned(),
            Fault::Error(name) => format!("error={name}"),
        };
        let trace = format!("trace={call},fdatasync,fsync");
        // strace 6.1 sends no signal where it is called for the traced calls alone.
        let quick = fault != Fault::Kill;
        self.starter(quick, &[trace, format!("inject={call}:{what}:when={number}")], Some(&point.path))
    }

    fn starter(&self, quick: bool, expressions: &[String], path: Option<&str>) -> Vec<String> {
        let mut words = ["strace", "-f", "-D", "-y", "--quiet=attach", "-o"].map(str::to_owned).to_vec();
        words.push(text(&self.log));
        words.extend(quick.then(|| "--seccomp-bpf".to_owned()));
        for expression in expressions {
            words.extend(["-e".to_owned(), expression.clone()]);
        }
        if let Some(path) = path {
            let path = if path.is_empty() { self.data_dir.clone() } else { self.data_dir.join(path) };
            words.extend(["-P".to_owned(), text(&path)]);
        }
        words
    }

    /// Waits for the end of the record.
    ///
    /// # Panics
    /// When strace does not finish it.
    #[must_use]
    pub fn of_ended(&self, pid: u32) -> Record {
        let text = until("strace ends its record", PATIENCE, || {
            let text = String::from_utf8_lossy(&fs::read(&self.log).ok()?).into_owned();
            let is_end = |line: &str| {
                line.split_once(' ').is_some_and(|(number, rest)| {
                    number == pid.to_string() && rest.trim_start().starts_with("+++ ")
                })
            };
            text.lines().any(is_end).then_some(text)
        });
        Record::read(&text, &self.data_dir)
    }
}

/// What strace saw.
#[derive(Debug, Clone)]
pub struct Record {
    lines: Vec<Line>,
    was_killed: bool,
}

impl Record {
    fn read(text: &str, data_dir: &Path) -> Self {
        let mut lines: Vec<Line> = Vec::new();
        for text in text.lines() {
            if let Some(line) = parse(text, data_dir) {
                lines.push(line);
            } else if text.contains("(INJECTED)") {
                // The end of a call whose beginning stands above, with calls of other threads between.
                let call =
                    text.split("<... ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
                if let Some(line) = lines.iter_mut().rev().find(|line| line.call == call) {
                    line.injected = true;
                }
            }
        }
        Self { lines, was_killed: text.contains("+++ killed by SIGKILL +++") }
    }

    /// Every call on the data folder and below, in order; where several threads make the same calls, the numbers of
    /// the one that makes most.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        let mut counts: BTreeMap<(u32, &str, &str), u32> = BTreeMap::new();
        let mut known = BTreeSet::new();
        let mut points = Vec::new();
        for line in &self.lines {
            let Some(path) = &line.path else { continue };
            let count = counts.entry((line.thread, &line.call, path)).or_default();
            *count += 1;
            if known.insert((&line.call, path, *count)) {
                let (call, path) = (line.call.clone(), path.clone());
                points.push(Point { call, path, number: *count, creates: line.creates });
            }
        }
        points
    }

    /// Whether the fault was met: an error given, or the process killed, which nobody else may do.
    #[must_use]
    pub fn met(&self) -> bool {
        self.was_killed || self.lines.iter().any(|line| line.injected)
    }

    /// How many syncs of the injected path came after the injected one: tries to sync again what failed.
    #[must_use]
    pub fn syncs_after(&self) -> usize {
        let after = self.lines.iter().skip_while(|line| !line.injected).skip(1);
        after.filter(|line| matches!(line.call.as_str(), "fdatasync" | "fsync")).count()
    }
}

/// Reads a line that begins a call on the data folder or below it.
fn parse(line: &str, data_dir: &Path) -> Option<Line> {
    let (thread, rest) = line.split_once(' ')?;
    let (call, arguments) = rest.trim_start().split_once('(')?;
    if call.is_empty() || !call.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let data_dir = text(data_dir);
    let path = arguments.match_indices(&data_dir).find_map(|(at, _)| {
        let rest = &arguments[at + data_dir.len()..];
        let end = rest.find(['>', '"'])?;
        let inside = rest.starts_with(['/', '>', '"']);
        inside.then(|| rest[..end].trim_start_matches('/').to_owned())
    });
    Some(Line {
        thread: thread.parse().ok()?,
        call: call.to_owned(),
        path,
        creates: arguments.contains("O_CREAT"),
        injected: arguments.contains("(INJECTED)"),
    })
}

fn text(path: &Path) -> String {
    path.to_str().expect("a temporary path is text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_record_are_read() {
        let line = |text| parse(text, Path::new("/t/data"));
        let read = line(
            r#"7 openat(AT_FDCWD</w>, "/t/data/log/slot-1", O_RDWR|O_CREAT|O_EXCL, 0600) = 9</t/data/log/slot-1>"#,
        );
        let path = Some("log/slot-1".to_owned());
        let expected = Line { thread: 7, call: "openat".to_owned(), path, creates: true, injected: false };
        assert_eq!(read, Some(expected));
        let read =
            line("7 fdatasync(9</t/data/log/slot-1>) = -1 EIO (Input/output error) (INJECTED)").unwrap();
        assert!(read.injected && read.path.as_deref() == Some("log/slot-1"));
        assert_eq!(line("7 fsync(9</t/data>) = 0").and_then(|line| line.path).as_deref(), Some(""));
        assert_eq!(line("7 fsync(9</t/database>) = 0").and_then(|line| line.path), None);
        assert_eq!(
            line("7 fsync(9</t/data/log> <unfinished ...>").and_then(|line| line.path).as_deref(),
            Some("log")
        );
        assert_eq!(line("7 <... fsync resumed>)   = 0"), None);
        assert_eq!(line("7 +++ exited with 0 +++"), None);
    }

    #[test]
    fn a_record_counts_calls_by_thread_and_path_and_knows_what_came_after_the_fault() {
        let text = "7 fdatasync(9</d/a>) = 0\n8 fdatasync(9</d/b> <unfinished ...>\n7 fsync(9</d/a>) = 0\n\
            8 <... fdatasync resumed>) = -1 EIO (Input/output error) (INJECTED)\n7 fdatasync(9</d/a>) = 0\n";
        let record = Record::read(text, Path::new("/d"));
        let points: Vec<String> = record.points().iter().map(Point::to_string).collect();
        let expected =
            ["fdatasync 1 of \"a\"", "fdatasync 1 of \"b\"", "fsync 1 of \"a\"", "fdatasync 2 of \"a\""];
        assert_eq!(points, expected);
        assert!(record.met());
        assert_eq!(record.syncs_after(), 2, "of all paths here; an injecting trace has one path");
    }
}
