//! The health check of certificates that will end.

use serde_json::{Value, json};

use super::{BASE, Call, Command, items, text};
use crate::client::expect_success;
use crate::error::{EX_UNAVAILABLE, Failure, Problem};
use crate::output::Outcome;
use crate::program::Tool;

const UNITS: [&str; 4] = ["days", "weeks", "months", "years"];

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "check_certificate_expiration",
    tools: &[Tool::Diagnostics],
    usage: "[--within <period>] [--unit <unit>]",
    help: "Checks the expiration date on the certificates for every listener configured to use TLS",
    check: |options| match unit(options.value("unit")) {
        unit if UNITS.contains(&unit) => Ok(()),
        unit => Err(Problem::Usage(format!(
            "\"unit '{unit}' is not supported. Please use one of: {}\"",
            UNITS.join(", ")
        ))),
    },
    banner: |call| vec![format!("Checking certificate expiration on node {} ...", call.node)],
    run: check_certificate_expiration,
    ..BASE
}];

fn unit(given: Option<&str>) -> &str {
    given.unwrap_or("weeks")
}

fn check_certificate_expiration(call: &Call<'_>) -> Result<Outcome, Failure> {
    let within = call.options.value("within").unwrap_or("4");
    let unit = unit(call.options.value("unit"));
    let path = format!("/api/health/checks/certificate-expiration/{within}/{unit}");
    let answer = call.client.request("GET", &path, &[], None)?;
    if answer.status != 503 {
        expect_success(answer)?;
        let unit = if within == "1" { unit.trim_end_matches('s') } else { unit };
        let text = format!("No certificates are expiring within {within} {unit}.");
        return Ok(Outcome::Document(format!("{text}\n"), json!({"result": "ok"})));
    }
    let status = call.get("/api/leveret/status")?;
    let mut expired = items(&answer.body, "/expired").to_vec();
    for listener in &mut expired {
        let protocol = text(listener, "protocol").to_owned();
        let known = items(&status, "/listeners").iter().find(|known| text(known, "protocol") == protocol);
        let purpose = known.map(|known| text(known, "purpose")).unwrap_or_default();
        if let Some(fields) = listener.as_object_mut() {
            fields.insert("purpose".to_owned(), purpose.into());
        }
    }
    let lines: Vec<String> = expired.iter().map(shown).collect();
    let value = json!({"result": "error", "expired": expired});
    Err(Failure::plain(EX_UNAVAILABLE, lines.join("\n")).with_json(value))
}

/// A listener as RabbitMQ's tool writes it.
fn shown(listener: &Value) -> String {
    let quoted = |key: &str| Value::from(text(listener, key)).to_string();
    let times = |key: &str| {
        let times: Vec<String> = items(listener, &format!("/{key}")).iter().map(Value::to_string).collect();
        format!("[{}]", times.join(", "))
    };
    format!(
        "%{{node: {}, port: {}, protocol: {}, interface: {}, certfile: {}, cacertfile: {}, certfile_expires_on: {}, \
         cacertfile_expires_on: {}, purpose: {}}}",
        atom(text(listener, "node")),
        listener.get("port").cloned().unwrap_or_default(),
        atom(text(listener, "protocol")),
        quoted("interface"),
        quoted("certfile"),
        quoted("cacertfile"),
        times("certfile_expires_on"),
        times("cacertfile_expires_on"),
        quoted("purpose"),
    )
}

/// A word of Erlang, quoted where it must be.
fn atom(word: &str) -> String {
    let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '@'));
    if is_plain { format!(":{word}") } else { format!(":{}", Value::from(word)) }
}
