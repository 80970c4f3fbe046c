//! What `status` shows: rabbitmqctl's sections, as far as there is something to say.

use std::io::Write;

use serde_json::Value;

use crate::args::{Formatter, Options};
use crate::error::Failure;

/// Writes the status.
pub(crate) fn write_status(options: &Options, status: &Value, out: &mut impl Write) -> Result<(), Failure> {
    if options.formatter == Formatter::Json {
        return Ok(writeln!(out, "{status}")?);
    }
    let unit = Unit::parse(options.unit.as_deref().unwrap_or("gb")).ok_or_else(|| {
        Failure::usage(
            "status",
            format!(
                "unit '{}' is not supported. Please use one of: bytes, mb, mib, gb, gib",
                options.unit.as_deref().unwrap_or_default()
            ),
        )
    })?;
    let sections = [
        ("Runtime", runtime(status)),
        ("Plugins", vec!["Enabled plugins:".to_owned(), String::new(), " (none)".to_owned()]),
        ("Data directory", vec![format!("Node data directory: {}", at(status, "/data_directory"))]),
        ("Config files", items(status, "/config_files")),
        ("Log file(s)", items(status, "/log_files")),
        ("Alarms", alarms(status)),
        ("Tags", vec!["(none)".to_owned()]),
        ("Memory", memory(status, &unit)),
        ("File Descriptors", descriptors(status)),
        ("Free Disk Space", disk(status, &unit)),
        ("Totals", totals(status)),
        ("Listeners", listeners(status)),
    ];
    for (index, (title, lines)) in sections.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{title}\n")?;
        for line in lines {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

fn at(status: &Value, pointer: &str) -> String {
    match status.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(value) => value.to_string(),
    }
}

fn runtime(status: &Value) -> Vec<String> {
    vec![
        format!("OS PID: {}", at(status, "/pid")),
        format!("OS: {}", at(status, "/os")),
        format!("Uptime (seconds): {}", at(status, "/uptime")),
        format!("Is under maintenance?: {}", at(status, "/is_under_maintenance")),
        format!("RabbitMQ version: {}", at(status, "/rabbitmq_version")),
        format!("Leveret version: {}", at(status, "/leveret_version")),
        format!("Node name: {}", at(status, "/node")),
    ]
}

fn items(status: &Value, pointer: &str) -> Vec<String> {
    let items = status.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        return vec!["(none)".to_owned()];
    }
    items.iter().map(|item| format!(" * {}", item.as_str().unwrap_or_default())).collect()
}

fn alarms(status: &Value) -> Vec<String> {
    let alarms = status.pointer("/alarms").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if alarms.is_empty() {
        return vec!["(none)".to_owned()];
    }
    alarms
        .iter()
        .map(|alarm| match at(alarm, "/resource").as_str() {
            "memory" => format!("Memory alarm on node {}", at(alarm, "/node")),
            "disk" => format!("Free disk space alarm on node {}", at(alarm, "/node")),
            other => format!("{other} alarm on node {}", at(alarm, "/node")),
        })
        .collect()
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

fn totals(status: &Value) -> Vec<String> {
    vec![
        format!("Connection count: {}", at(status, "/totals/connection_count")),
        format!("Queue count: {}", at(status, "/totals/queue_count")),
        format!("Virtual host count: {}", at(status, "/totals/virtual_host_count")),
    ]
}

fn listeners(status: &Value) -> Vec<String> {
    let listeners =
        status.pointer("/listeners").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    listeners
        .iter()
        .map(|listener| {
            let [interface, port, protocol, purpose] =
                ["/interface", "/port", "/protocol", "/purpose"].map(|pointer| at(listener, pointer));
            format!("Interface: {interface}, port: {port}, protocol: {protocol}, purpose: {purpose}")
        })
        .collect()
}

struct Unit {
    name: &'static str,
    bytes: f64,
}

impl Unit {
    fn parse(text: &str) -> Option<Self> {
        let (name, bytes) = match text.to_ascii_lowercase().as_str() {
            "bytes" => ("bytes", 1.0),
            "mb" => ("mb", 1e6),
            "mib" => ("mib", 1_048_576.0),
            "gb" => ("gb", 1e9),
            "gib" => ("gib", 1_073_741_824.0),
            _ => return None,
        };
        Some(Self { name, bytes })
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
        let show = |unit: &str, bytes: u64| Unit::parse(unit).unwrap().show(Some(&json!(bytes)));
        assert_eq!(show("gb", 15_165_908_582), "15.1659 gb");
        assert_eq!(show("gb", 50_000_000), "0.05 gb");
        assert_eq!(show("GB", 4_000_000_000), "4.0 gb");
        assert_eq!(show("mib", 1_048_576), "1.0 mib");
        assert_eq!(show("bytes", 50_000_000), "50000000 bytes");
        assert!(Unit::parse("tb").is_none());
        assert_eq!(Unit { name: "gb", bytes: 1e9 }.show(None), "unknown");
    }
}
