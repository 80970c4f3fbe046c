//! What `status` and `cluster_status` show: rabbitmqctl's sections, as far as there is something to say.

use serde_json::Value;

/// The status in sections.
pub(crate) fn status_text(status: &Value, unit: &Unit) -> String {
    sections(&[
        ("Runtime", runtime(status)),
        (
            "Plugins",
            vec!["Enabled plugin file: (none)".to_owned(), "Enabled plugins:".to_owned(), String::new()],
        ),
        ("Data directory", vec![format!("Node data directory: {}", at(status, "/data_directory"))]),
        ("Config files", items(status, "/config_files")),
        ("Log file(s)", items(status, "/log_files")),
        ("Alarms", or_none(alarm_lines(status))),
        ("Tags", or_none(Vec::new())),
        ("Memory", memory(status, unit)),
        ("File Descriptors", descriptors(status)),
        ("Free Disk Space", disk(status, unit)),
        ("Storage", storage(status, unit)),
        ("Totals", totals(status)),
        ("Listeners", listener_lines(status)),
    ])
}

/// The node as a cluster of one, in sections.
pub(crate) fn cluster_text(status: &Value, flags: &[Value]) -> String {
    let [node, version, cores] =
        ["/node", "/rabbitmq_version", "/processors"].map(|pointer| at(status, pointer));
    let listeners = array(status, "/listeners").iter().map(|listener| {
        let line = listener_line(listener);
        format!("Node: {node}, i{}", line.strip_prefix('I').unwrap_or(&line))
    });
    let flags =
        flags.iter().map(|flag| format!("Flag: {}, state: {}", at(flag, "/name"), at(flag, "/state")));
    sections(&[
        (
            "Basics",
            vec![
                format!("Cluster name: {}", at(status, "/cluster_name")),
                format!("Total CPU cores available cluster-wide: {cores}"),
            ],
        ),
        ("Cluster Tags", or_none(Vec::new())),
        ("Disk Nodes", vec![node.clone()]),
        ("Running Nodes", vec![node.clone()]),
        ("Versions", vec![format!("{node}: RabbitMQ {version}, Leveret {}", at(status, "/leveret_version"))]),
        ("CPU Cores", vec![format!("Node: {node}, available CPU cores: {cores}")]),
        ("Maintenance status", vec![format!("Node: {node}, status: not under maintenance")]),
        ("Alarms", or_none(alarm_lines(status))),
        ("Network Partitions", or_none(Vec::new())),
        ("Listeners", listeners.collect()),
        ("Feature flags", flags.collect()),
    ])
}

/// The same in JSON, with rabbitmqctl's keys.
pub(crate) fn cluster_json(status: &Value, flags: &Value) -> Value {
    let node = at(status, "/node");
    let under = |value: Value| serde_json::json!({&node: value});
    serde_json::json!({
        "cluster_name": at(status, "/cluster_name"),
        "cluster_tags": [],
        "disk_nodes": [&node],
        "ram_nodes": [],
        "running_nodes": [&node],
        "alarms": array(status, "/alarms"),
        "maintenance_status": under("not under maintenance".into()),
        "partitions": {},
        "listeners": under(array(status, "/listeners").into()),
        "versions": under(serde_json::json!({
            "rabbitmq_name": "RabbitMQ",
            "rabbitmq_version": at(status, "/rabbitmq_version"),
        })),
        "cpu_cores": under(status.get("processors").cloned().unwrap_or_default()),
        "feature_flags": flags,
    })
}

fn sections(sections: &[(&str, Vec<String>)]) -> String {
    let shown = sections.iter().map(|(title, lines)| {
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        format!("{title}\n\n{lines}")
    });
    shown.collect::<Vec<_>>().join("\n")
}

fn array<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn or_none(lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() { vec!["(none)".to_owned()] } else { lines }
}

fn at(status: &Value, pointer: &str) -> String {
    match status.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(value) => value.to_string(),
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

fn runtime(status: &Value) -> Vec<String> {
    vec![
        format!("OS PID: {}", at(status, "/pid")),
        format!("OS: {}", capitalised(&at(status, "/os"))),
        format!("Uptime (seconds): {}", at(status, "/uptime")),
        format!("Is under maintenance?: {}", at(status, "/is_under_maintenance")),
        format!("RabbitMQ version: {}", at(status, "/rabbitmq_version")),
        format!("Leveret version: {}", at(status, "/leveret_version")),
        format!("Node name: {}", at(status, "/node")),
    ]
}

fn items(status: &Value, pointer: &str) -> Vec<String> {
    let items = array(status, pointer).iter();
    or_none(items.map(|item| format!(" * {}", item.as_str().unwrap_or_default())).collect())
}

/// A line for each alarm that is on.
pub(crate) fn alarm_lines(status: &Value) -> Vec<String> {
    let line = |alarm: &Value| match at(alarm, "/resource").as_str() {
        "memory" => format!("Memory alarm on node {}", at(alarm, "/node")),
        "disk" => format!("Free disk space alarm on node {}", at(alarm, "/node")),
        other => format!("{other} alarm on node {}", at(alarm, "/node")),
    };
    array(status, "/alarms").iter().map(line).collect()
}

fn memory(status: &Value, unit: &Unit) -> Vec<String> {
    let setting = match status.pointer("/vm_memory_high_watermark_setting/relative") {
        Some(part) => format!("{part} of available memory"),
        None => unit.show(status.pointer("/vm_memory_high_watermark_setting/absolute")),
    };
    vec![
        format!("Total memory used: {}", unit.show(status.pointer("/memory/total/rss"))),
        format!("Calculation strategy: {}", at(status, "/vm_memory_calculation_strategy")),
        format!(
            "Memory high watermark setting: {setting}, computed to: {}",
            unit.show(status.pointer("/vm_memory_high_watermark_limit"))
        ),
    ]
}

fn descriptors(status: &Value) -> Vec<String> {
    let (used, limit) =
        (at(status, "/file_descriptors/total_used"), at(status, "/file_descriptors/total_limit"));
    vec![format!("Total: {used}, limit: {limit}")]
}

fn disk(status: &Value, unit: &Unit) -> Vec<String> {
    vec![
        format!("Low free disk space watermark: {}", unit.show(status.pointer("/disk_free_limit"))),
        format!("Free disk space: {}", unit.show(status.pointer("/disk_free"))),
    ]
}

fn storage(status: &Value, unit: &Unit) -> Vec<String> {
    let bytes = |name: &str| unit.show(status.pointer(&format!("/storage/{name}")));
    let number = |name: &str| at(status, &format!("/storage/{name}"));
    let durability = match number("durability").as_str() {
        "os" => "os: A POWER CUT MAY LOSE CONFIRMED MESSAGES".to_owned(),
        other => other.to_owned(),
    };
    vec![
        format!("Durability: {durability}"),
        format!(
            "Log: {} files in use, {}, and {} to be overwritten",
            number("slots_used"),
            bytes("used_bytes"),
            number("slots_free")
        ),
        format!(
            "Log since the last checkpoint: {} messages, {}",
            number("tail_messages"),
            bytes("tail_bytes")
        ),
        format!("Indexes: {}, {}", number("runs"), bytes("run_bytes")),
        format!("Memory for messages: {} of {}", bytes("hot_bytes"), bytes("hot_window_bytes")),
        format!("Spilled: {}", bytes("spill_bytes")),
        format!("Queues stopped by damage: {}", number("damaged_queues")),
    ]
}

fn totals(status: &Value) -> Vec<String> {
    vec![
        format!("Connection count: {}", at(status, "/totals/connection_count")),
        format!("Queue count: {}", at(status, "/totals/queue_count")),
        format!("Virtual host count: {}", at(status, "/totals/virtual_host_count")),
    ]
}

/// A line for each socket that the broker listens on.
pub(crate) fn listener_lines(status: &Value) -> Vec<String> {
    array(status, "/listeners").iter().map(listener_line).collect()
}

fn listener_line(listener: &Value) -> String {
    let [interface, port, protocol, purpose] =
        ["/interface", "/port", "/protocol", "/purpose"].map(|pointer| at(listener, pointer));
    format!("Interface: {interface}, port: {port}, protocol: {protocol}, purpose: {purpose}")
}

/// The unit of sizes in a status.
pub(crate) struct Unit {
    name: &'static str,
    bytes: f64,
}

impl Unit {
    /// The unit of this name; any other name is `gb`, as with rabbitmqctl.
    pub(crate) fn parse(text: &str) -> Self {
        let (name, bytes) = match text.to_ascii_lowercase().as_str() {
            "bytes" => ("bytes", 1.0),
            "mb" => ("mb", 1e6),
            "mib" => ("mib", 1_048_576.0),
            "tb" => ("tb", 1e12),
            "gib" => ("gib", 1_073_741_824.0),
            "tib" => ("tib", 1_099_511_627_776.0),
            _ => ("gb", 1e9),
        };
        Self { name, bytes }
    }

    /// Four digits after the point at most, and at least one, as rabbitmqctl's rounding gives.
    fn show(&self, bytes: Option<&Value>) -> String {
        let Some(bytes) = bytes.and_then(Value::as_f64) else {
            return "unknown".to_owned();
        };
        if self.name == "bytes" {
            return format!("{bytes} bytes");
        }
        let rounded = (bytes / self.bytes * 1e4).round() / 1e4;
        format!("{rounded:?} {}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn units() {
        let show = |unit: &str, bytes: u64| Unit::parse(unit).show(Some(&json!(bytes)));
        assert_eq!(show("gb", 15_165_908_582), "15.1659 gb");
        assert_eq!(show("gb", 50_000_000), "0.05 gb");
        assert_eq!(show("GB", 4_000_000_000), "4.0 gb");
        assert_eq!(show("mib", 1_048_576), "1.0 mib");
        assert_eq!(show("bytes", 50_000_000), "50000000 bytes");
        assert_eq!(show("tb", 50_000_000_000), "0.05 tb");
        assert_eq!(show("nosuch", 1_000_000_000), "1.0 gb");
        assert_eq!(Unit { name: "gb", bytes: 1e9 }.show(None), "unknown");
    }
}
