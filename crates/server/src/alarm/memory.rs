//! What the system says of memory and disk: `/proc`, control groups of both versions, `statvfs`.

use std::fs;
use std::path::{Path, PathBuf};

use super::Gauge;
use crate::allocator;

/// This machine.
pub(super) struct SystemGauge {
    data_dir: PathBuf,
    memory_of_machine: u64,
    memory_available: u64,
}

impl SystemGauge {
    /// Reads once what does not change while the process runs.
    pub(super) fn new(data_dir: PathBuf) -> Self {
        let memory_of_machine = fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|text| kilobytes(&text, "MemTotal:"))
            .unwrap_or(u64::MAX);
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let limit = group_limit(Path::new("/sys/fs/cgroup"), &groups).unwrap_or(u64::MAX);
        Self { data_dir, memory_of_machine, memory_available: memory_of_machine.min(limit) }
    }
}

impl Gauge for SystemGauge {
    fn memory_available(&self) -> u64 {
        self.memory_available
    }

    fn memory_of_machine(&self) -> u64 {
        self.memory_of_machine
    }

    /// Anonymous memory: pages of files do not count, since the system drops them when it must.
    fn memory_used(&self) -> Option<u64> {
        kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "RssAnon:")
    }

    fn give_back(&self, all: bool) {
        allocator::give_back(all);
    }

    fn disk_free(&self) -> Option<u64> {
        let stat = rustix::fs::statvfs(&self.data_dir).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// A line such as `MemTotal:  24000 kB`, in bytes.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// The lowest memory limit of this process's control groups. `groups` is `/proc/self/cgroup`: a line
/// `0::/path` for version 2, `4:memory:/path` for version 1. In a container the path may not lead anywhere below
/// `root`; then the limits of the folders above it count, which are the container's.
fn group_limit(root: &Path, groups: &str) -> Option<u64> {
    let mut lowest: Option<u64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next(), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let (base, file) = if controllers.is_empty() {
            (root.to_owned(), "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            (root.join("memory"), "memory.limit_in_bytes")
        } else {
            continue;
        };
        let leaf = base.join(path.trim_start_matches('/'));
        for folder in leaf.ancestors().take_while(|folder| folder.starts_with(&base)) {
            let limit =
                fs::read_to_string(folder.join(file)).ok().and_then(|text| text.trim().parse::<u64>().ok());
            if let Some(limit) = limit {
                lowest = Some(lowest.map_or(limit, |lowest| lowest.min(limit)));
            }
        }
    }
    lowest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc() {
        let text = "MemTotal:       24000 kB\nMemFree: 1 kB\nHugePages_Total:       0\n";
        assert_eq!(kilobytes(text, "MemTotal:"), Some(24_000 * 1_024));
        assert_eq!(kilobytes(text, "MemFree:"), Some(1_024));
        assert_eq!(kilobytes(text, "HugePages_Total:"), None);
        assert_eq!(kilobytes(text, "Nope:"), None);
    }

    #[test]
    fn the_lowest_limit_of_the_groups_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "5000\n");
        write("memory/c/memory.limit_in_bytes", "4000\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        let cases = [
            ("0::/a/b\n", Some(5_000)),
            ("0::/a\n", Some(5_000)),
            ("0::/\n", None),
            ("0::/gone/from/here\n", None),
            ("5:cpu,cpuacct:/x\n4:memory:/c\n0::/a\n", Some(4_000)),
            ("4:memory:/gone\n", Some(9_223_372_036_854_771_712)),
            ("", None),
            ("nonsense", None),
            ("0::/../../etc", None),
        ];
        for (groups, expected) in cases {
            assert_eq!(group_limit(root, groups), expected, "{groups}");
        }
    }
}
