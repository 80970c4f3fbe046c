//! The node's name: RabbitMQ's, `NAME@HOST`, with this machine's name up to its first dot.

/// A name with its host; the machine's own where none is given.
pub(super) fn full(name: &str) -> String {
    if name.contains('@') { name.to_owned() } else { format!("{name}@{}", host()) }
}

/// The machine's name up to its first dot, as RabbitMQ takes it unless long names are asked for.
fn host() -> String {
    let system = rustix::system::uname();
    let long = system.nodename().to_string_lossy();
    let short = long.split('.').next().unwrap_or_default();
    if short.is_empty() { "localhost".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_host_gets_this_machine_s() {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let short = kernel.trim().split('.').next().unwrap().to_owned();
        assert_eq!(full("rabbit"), format!("rabbit@{short}"));
        assert_eq!(full("hare@burrow.example"), "hare@burrow.example");
    }
}
