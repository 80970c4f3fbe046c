//! Running other programs: quietly, loudly, or loudly while their lines are read.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::{Failure, root};

/// How a program ended, and what it printed on its standard output.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) success: bool,
    pub(crate) lines: Vec<String>,
}

/// The cargo that runs this program, in the checkout's top folder.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// The folder that this program's own build went to; every build of its commands goes there too.
pub(crate) fn target_dir() -> Result<PathBuf, Failure> {
    let exe = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
    let profile_dir = exe.parent();
    profile_dir
        .and_then(Path::parent)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{} is in no target folder", exe.display()))
}

/// Run to the end with the terminal's own output.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    announce(command);
    let status = command.status().map_err(|error| format!("{}: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed ({status})", shown(command))) }
}

/// Run to the end, echoing and keeping the lines of standard output; killed after `limit`.
pub(crate) fn run_reading(command: &mut Command, limit: Duration) -> Result<Ended, Failure> {
    announce(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", shown(command)))?;
    let lines = match read_lines(&mut child, limit) {
        Ok(lines) => lines,
        Err(lines) => {
            // It may have ended on its own meanwhile, so a failure to kill it says nothing.
            drop(child.kill());
            drop(child.wait());
            println!("stopped after {} s: {}", limit.as_secs(), shown(command));
            return Ok(Ended { success: false, lines });
        }
    };
    let status = child.wait().map_err(|error| format!("{}: {error}", shown(command)))?;
    Ok(Ended { success: status.success(), lines })
}

/// The lines until the output ends, or until `limit` has passed (then as an error).
fn read_lines(child: &mut Child, limit: Duration) -> Result<Vec<String>, Vec<String>> {
    let deadline = Instant::now() + limit;
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n') {
                let Ok(line) = line else { return };
                let line = String::from_utf8_lossy(&line).into_owned();
                println!("{line}");
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
    } else {
        drop(sender);
    }
    let mut lines = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left) {
            Ok(line) => lines.push(line),
            Err(RecvTimeoutError::Disconnected) => return Ok(lines),
            Err(RecvTimeoutError::Timeout) => return Err(lines),
        }
    }
}

/// Standard output of a program that must succeed.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.output().map_err(|error| format!("{}: {error}", shown(command)))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("{} failed: {text}", shown(command)))
    }
}

/// Whether a program of this name starts at all.
pub(crate) fn on_path(program: &str) -> bool {
    starts(program, "--version")
}

/// Whether a program runs well with one argument that asks for nothing.
pub(crate) fn starts(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn announce(command: &Command) {
    println!("\n$ {}", shown(command));
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let mut text = name.to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}
