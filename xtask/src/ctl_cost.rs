//! What a call of `leveretctl` costs: processor time of each command, user and system together.
//!
//! A figure of the nightly tier, not of the commit tier: time depends on the machine.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Failure;
use crate::broker::{Broker, Port, Setup};
use crate::process::target_dir;
use crate::tally::Tally;

/// What a command may cost, in milliseconds.
const LIMIT_MS: f64 = 20.0;

/// Calls of each command. The system counts in steps of 10 ms over all of them.
const CALLS: u32 = 40;

/// What the system counts in, in milliseconds.
const TICK_MS: f64 = 10.0;

/// Calls that succeed however often they are made, and leave what the next ones need. `FILE` is a file to write.
const COMMANDS: &[&str] = &[
    "status",
    "ping",
    "await_startup",
    "version",
    "environment",
    "cluster_status",
    "list_queues",
    "list_queues --formatter pretty_table name messages arguments",
    "list_exchanges",
    "list_bindings",
    "list_connections",
    "list_channels",
    "list_consumers",
    "list_users",
    "list_vhosts",
    "list_permissions",
    "list_user_permissions guest",
    "change_password guest guest",
    "authenticate_user guest guest",
    "set_user_tags guest administrator",
    "set_permissions guest .* .* .*",
    "clear_permissions nobody",
    "delete_user nobody",
    "add_vhost v",
    "close_connection <a@b.1.2.3> why",
    "close_all_connections why",
    "set_vm_memory_high_watermark 0.6",
    "set_disk_free_limit 50MB",
    "export_definitions FILE",
    "import_definitions FILE",
    "set_topic_permissions guest amq.topic .* .*",
    "list_topic_permissions",
    "clear_topic_permissions guest",
    "set_vhost_limits {\"max-queues\":100000}",
    "list_vhost_limits",
    "set_user_limits guest {\"max-channels\":100000}",
    "list_user_limits",
    "clear_user_limits guest all",
    "list_policies",
    "list_parameters",
    "list_global_parameters",
    "check_certificate_expiration",
    "check_running",
    "check_local_alarms",
    "check_port_connectivity",
    "check_port_listener AMQP",
    "stop_app",
    "start_app",
];

/// Commands that fail on purpose: what they would work on is not there.
const REFUSED: &[&str] = &[
    "add_user guest guest",
    "delete_vhost nosuch",
    "purge_queue nosuch",
    "delete_queue nosuch",
    "get nosuch",
    "list_queues nosuch",
    "nosuch",
];

/// Measures every command against a broker of its own; fails for one that costs too much.
pub(crate) fn measure() -> Result<Tally, Failure> {
    Broker::build()?;
    let broker = Broker::start(Port::Free, &Setup::default())?;
    let binary = target_dir()?.join("debug").join("leveretctl");
    let file = broker.folder().join("definitions.json");
    let mut tally = Tally::default();
    let all =
        COMMANDS.iter().map(|command| (command, true)).chain(REFUSED.iter().map(|command| (command, false)));
    for (command, succeeds) in all {
        let line =
            command.replace("FILE", &file.display().to_string()).replace("AMQP", &broker.port().to_string());
        let cost_ms = cost_of(&binary, broker.data_dir().as_path(), &line, succeeds)?;
        let verdict = if cost_ms < LIMIT_MS { "ok" } else { "TOO MUCH" };
        println!("{cost_ms:6.2} ms  {verdict}  {command}");
        if cost_ms < LIMIT_MS {
            tally.passed += 1;
        } else {
            tally.failed += 1;
        }
    }
    Ok(tally)
}

fn cost_of(binary: &Path, data_dir: &Path, line: &str, succeeds: bool) -> Result<f64, Failure> {
    let before = children_ticks()?;
    for _ in 0..CALLS {
        let output = Command::new(binary)
            .args(line.split(' '))
            .env("LEVERET_DATA_DIR", data_dir)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        if output.status.success() != succeeds {
            return Err(format!("{line}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
    }
    let ticks = u32::try_from(children_ticks()?.saturating_sub(before)).unwrap_or(u32::MAX);
    Ok(f64::from(ticks) * TICK_MS / f64::from(CALLS))
}

/// Processor time of the children that have ended, from the 16th and 17th field of `/proc/self/stat`.
fn children_ticks() -> Result<u64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(|error| error.to_string())?;
    // The second field, a name in brackets, may hold blanks; the third follows.
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = rest.split(' ').skip(13).take(2).filter_map(|field| field.parse::<u64>().ok());
    Ok(ticks.sum())
}
