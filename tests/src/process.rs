//! What the system says about a process: memory, descriptors; and signals to it.

use std::{fs, net::TcpListener, sync::atomic::AtomicU16, sync::atomic::Ordering};

use rustix::process::{Pid, Signal};

/// Resident memory in octets.
///
/// # Panics
/// When the process is gone.
#[must_use]
pub fn resident_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmRSS:").expect("a living process")
}

/// The same as far as no file is behind it, which the system cannot take back; `None` when the process is gone.
#[must_use]
pub fn anonymous_bytes(pid: u32) -> Option<u64> {
    status_bytes(pid, "RssAnon:")
}

fn status_bytes(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Open file descriptors.
///
/// # Panics
/// When the process is gone.
#[must_use]
pub fn open_descriptors(pid: u32) -> usize {
    let folder = fs::read_dir(format!("/proc/{pid}/fd")).expect("a living process");
    folder.count()
}

/// Lets this process open as many descriptors as the system allows it.
///
/// # Panics
/// When the system refuses.
pub fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("the hard limit");
}

/// Lets a process write no file beyond `bytes` from now on; what is longer already stays.
///
/// # Panics
/// When the process is gone.
pub fn limit_file_length(pid: u32, bytes: u64) {
    use rustix::process::{Resource, Rlimit, prlimit};
    let limit = Rlimit { current: Some(bytes), maximum: None };
    prlimit(Some(pid_of(pid)), Resource::Fsize, limit).expect("a living process");
}

/// Lets a process open no descriptor from `first` on from now on; what is open stays.
///
/// # Panics
/// When the process is gone.
pub fn limit_descriptors(pid: u32, first: u64) {
    use rustix::process::{Resource, Rlimit, prlimit};
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("a living process");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let maximum = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let limit = Rlimit { current: Some(first), maximum };
    prlimit(Some(pid_of(pid)), Resource::Nofile, limit).expect("a living process");
}

/// Sends SIGTERM.
///
/// # Panics
/// When the process is gone.
pub fn terminate(pid: u32) {
    rustix::process::kill_process(pid_of(pid), Signal::TERM).expect("a living process");
}

fn pid_of(pid: u32) -> Pid {
    let raw = i32::try_from(pid).expect("a process id");
    Pid::from_raw(raw).expect("a process id above 0")
}

/// A port that nobody listens on, outside the range the system gives to outgoing connections: a client that
/// reconnects while the broker is down must not take the broker's own port.
///
/// # Panics
/// When 10,000 ports in a row are taken.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = u16::try_from(std::process::id() % 97).unwrap_or(0) * 100;
    for _ in 0..10_000 {
        let offset = (base + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let port = 20_000 + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}
