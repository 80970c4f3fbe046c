//! What the kernel says of processes: who listens, who used how much CPU time.
//!
//! Reads `/proc`; where there is none, every answer is unknown and the figures say so.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

/// State of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// The process that listens on a TCP port of this machine, if we may see it.
pub(crate) fn listening_on(port: u16) -> Option<u32> {
    let inodes: Vec<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .collect();
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let descriptors = fs::read_dir(entry.path().join("fd")).ok()?;
        let holds = descriptors.flatten().any(|descriptor| {
            fs::read_link(descriptor.path())
                .is_ok_and(|link| link.to_str().is_some_and(|link| links.iter().any(|known| known == link)))
        });
        holds.then_some(pid)
    })
}

/// Inodes of the sockets that listen on a port, from a table of `/proc/net`.
fn listening_inodes(table: &str, port: u16) -> Vec<u64> {
    let inode = |line: &str| -> Option<u64> {
        let mut fields = line.split_whitespace().skip(1);
        let (_, local_port) = fields.next()?.rsplit_once(':')?;
        let (_remote, state) = (fields.next()?, fields.next()?);
        let listens = state == LISTEN && u16::from_str_radix(local_port, 16) == Ok(port);
        // After the state: queues, timer, retransmits, user, time-out, inode.
        if listens { fields.nth(5)?.parse().ok() } else { None }
    };
    table.lines().skip(1).filter_map(inode).collect()
}

/// CPU time used until now, in seconds.
#[derive(Clone, Debug)]
pub struct CpuTimes {
    at: Instant,
    own: Option<f64>,
    brokers: Vec<Option<f64>>,
    busy: Option<f64>,
}

/// CPU time used between two moments.
#[derive(Clone, Debug)]
pub struct CpuUse {
    /// By this process, in seconds.
    pub own: Option<f64>,
    /// By each broker, in seconds.
    pub brokers: Vec<Option<f64>>,
    /// By everything else, in cores. Interrupts are left out: they serve our own sockets for the most part.
    pub foreign: Option<f64>,
}

impl CpuTimes {
    /// Until now.
    pub fn now(brokers: &[Option<u32>]) -> Self {
        Self {
            at: Instant::now(),
            own: process_seconds("self"),
            brokers: brokers.iter().map(|pid| process_seconds(&(*pid)?.to_string())).collect(),
            busy: machine_seconds(&fs::read_to_string("/proc/stat").unwrap_or_default()),
        }
    }

    /// Since an earlier moment.
    pub fn since(&self, before: &Self) -> CpuUse {
        let own = difference(self.own, before.own);
        let brokers: Vec<_> =
            self.brokers.iter().zip(&before.brokers).map(|(now, then)| difference(*now, *then)).collect();
        let ours = own.unwrap_or(0.0) + brokers.iter().flatten().sum::<f64>();
        let seconds = self.at.duration_since(before.at).as_secs_f64();
        let foreign = difference(self.busy, before.busy).map(|busy| ((busy - ours) / seconds).max(0.0));
        CpuUse { own, brokers, foreign }
    }
}

fn difference(now: Option<f64>, then: Option<f64>) -> Option<f64> {
    Some(now? - then?)
}

fn process_seconds(process: &str) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(process_ticks(&stat)? as f64 / ticks_per_second())
}

/// User and system ticks of a process. Its name may hold spaces and parentheses.
fn process_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// User, nice and system seconds of all processors together.
fn machine_seconds(stat: &str) -> Option<f64> {
    let line = stat.lines().find(|line| line.starts_with("cpu "))?;
    let mut total = 0;
    for field in line.split_whitespace().skip(1).take(3) {
        total += field.parse::<u64>().ok()?;
    }
    Some(total as f64 / ticks_per_second())
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// What the threads of one name did since their process began.
#[derive(Clone, Debug, Default)]
pub struct ThreadUse {
    /// User and system seconds.
    pub seconds: f64,
    /// Bytes that their write calls took.
    pub written: u64,
}

/// The threads of a process by name. Empty where there is no `/proc`.
#[must_use]
pub fn threads(process: u32) -> BTreeMap<String, ThreadUse> {
    let mut threads: BTreeMap<String, ThreadUse> = BTreeMap::new();
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/task")) else { return threads };
    for folder in entries.flatten().map(|entry| entry.path()) {
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let name = read("comm")
            .trim()
            .trim_end_matches(|last: char| last == '-' || last.is_ascii_digit())
            .to_owned();
        let one = threads.entry(name).or_default();
        one.seconds += process_ticks(&read("stat")).unwrap_or_default() as f64 / ticks_per_second();
        one.written +=
            read("io").lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok()).unwrap_or(0);
    }
    threads
}

/// Processors of this machine.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn listeners_are_read_from_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1628 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0\n\
             1: 0100007F:1628 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4243 1 0 20 4\n";
        assert_eq!(listening_inodes(table, 0x1628), [4242]);
        assert!(listening_inodes(table, 0x1629).is_empty());
    }

    #[test]
    fn ticks_are_read_behind_a_hostile_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 0 0 0 0 0 30 12 0 0 20 0 5 0 100 0 0";
        assert_eq!(process_ticks(stat), Some(42));
        assert_eq!(process_ticks("7 (x) S 1"), None);
        assert_eq!(machine_seconds("intr 1\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_finds_itself() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listening_on(port), Some(std::process::id()));
        assert!(CpuTimes::now(&[Some(std::process::id())]).brokers[0].is_some());
    }
}
