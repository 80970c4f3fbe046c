//! What scripts ask of `rabbitmq-plugins`, `rabbitmq-queues` and `rabbitmq-upgrade`, where this broker has an answer.

use serde_json::json;

use super::{BASE, Call, Command, Needs};
use crate::error::Failure;
use crate::output::Outcome;
use crate::program::Tool;

const PLUGINS: &[Tool] = &[Tool::Plugins];
const QUEUES: &[Tool] = &[Tool::Queues, Tool::Diagnostics];
const UPGRADE: &[Tool] = &[Tool::Upgrade];

/// Plugins whose features are part of the broker.
const BUILT_IN: &[&str] = &["rabbitmq_management", "rabbitmq_management_agent", "rabbitmq_prometheus"];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "list",
        tools: PLUGINS,
        usage: "[pattern] [--verbose] [--minimal] [--enabled] [--implicitly-enabled]",
        help: "Lists plugins: those whose features are part of the broker",
        words: (0, 1),
        needs: Needs::Nothing,
        run: |call| {
            let shown = BUILT_IN.iter().filter(|plugin| plugin.contains(call.word(0).trim_end_matches('$')));
            let mark = if call.options.is_set("minimal") { "" } else { "[E*] " };
            let lines: Vec<String> = shown.map(|plugin| format!("{mark}{plugin}\n")).collect();
            Ok(Outcome::Document(lines.concat(), json!({"plugins": BUILT_IN})))
        },
        ..BASE
    },
    Command {
        name: "enable",
        tools: PLUGINS,
        usage: "<plugin1> [ <plugin2>] | --all [--offline] [--online]",
        help: "Accepts the plugins whose features are part of the broker, and refuses others",
        words: (1, usize::MAX),
        needs: Needs::Nothing,
        run: enable,
        ..BASE
    },
    Command {
        name: "disable",
        tools: PLUGINS,
        usage: "<plugin1> [ <plugin2>] | --all [--offline] [--online]",
        help: "Refused: what is part of the broker cannot be switched off here",
        words: (0, usize::MAX),
        needs: Needs::Nothing,
        run: |_| Err(Failure::unavailable("this broker has no plugins to disable")),
        ..BASE
    },
    Command {
        name: "is_enabled",
        tools: PLUGINS,
        usage: "<plugin1> [ <plugin2>] [--offline] [--online]",
        help: "Tells whether a plugin's features are part of the broker",
        words: (1, usize::MAX),
        needs: Needs::Node,
        banner: |call| {
            let wanted = call.options.words.join(", ");
            let (noun, verb) =
                if call.options.words.len() == 1 { ("plugin", "is") } else { ("plugins", "are") };
            vec![format!("Asking node {} if {noun} {wanted} {verb} enabled...", call.node)]
        },
        run: is_enabled,
        ..BASE
    },
    Command {
        name: "check_if_node_is_quorum_critical",
        tools: QUEUES,
        usage: "[--timeout <timeout>]",
        help: "Health check: whether queues would lose their quorum without this node",
        banner: |call| {
            vec![format!("Checking if node {} is critical for quorum of any queues/streams ...", call.node)]
        },
        run: |call| {
            let text = format!(
                "Node {} seems to be the only one in a single node cluster, the check does not apply",
                call.node
            );
            Ok(Outcome::Message(text))
        },
        ..BASE
    },
    Command {
        name: "check_if_node_is_mirror_sync_critical",
        tools: QUEUES,
        usage: "[--timeout <timeout>]",
        help: "DEPRECATED. Does nothing",
        banner: |_| {
            vec![
                "This command is DEPRECATED and is a no-op. It will be removed in a future version."
                    .to_owned(),
            ]
        },
        run: |_| Ok(Outcome::Message("ok".to_owned())),
        ..BASE
    },
    Command {
        name: "await_online_quorum_plus_one",
        tools: UPGRADE,
        usage: "[--timeout <timeout>]",
        help: "Waits until the node is not critical for any quorum; a single node is none",
        banner: |call| {
            let seconds = call.options.timeout.flatten().map_or(120, |timeout| timeout.as_secs());
            vec![format!(
                "Will wait for a quorum + 1 of nodes to be online for all quorum queues and streams for {seconds} \
                 seconds..."
            )]
        },
        run: |_| {
            Ok(Outcome::Message(
                "Target node seems to be the only one in a single node cluster, the command does not apply"
                    .to_owned(),
            ))
        },
        ..BASE
    },
    Command {
        name: "post_upgrade",
        tools: UPGRADE,
        help: "Nothing is left to do after an upgrade of this broker",
        banner: |_| vec!["Executing post upgrade tasks...".to_owned()],
        ..BASE
    },
];

fn enable(call: &Call<'_>) -> Result<Outcome, Failure> {
    let unknown: Vec<&str> =
        call.options.words.iter().map(String::as_str).filter(|plugin| !BUILT_IN.contains(plugin)).collect();
    if unknown.is_empty() {
        let text =
            format!("{} is part of the broker; nothing has to be enabled", call.options.words.join(", "));
        return Ok(Outcome::Message(text));
    }
    Err(Failure::unavailable(format!("this broker has no plugins: {} cannot be enabled", unknown.join(", "))))
}

fn is_enabled(call: &Call<'_>) -> Result<Outcome, Failure> {
    let words = &call.options.words;
    let missing: Vec<&str> =
        words.iter().map(String::as_str).filter(|plugin| !BUILT_IN.contains(plugin)).collect();
    let (noun, verb) = if words.len() == 1 { ("Plugin", "is") } else { ("Plugins", "are") };
    if missing.is_empty() {
        return Ok(Outcome::Message(format!(
            "{noun} {} {verb} enabled on node {}",
            words.join(", "),
            call.node
        )));
    }
    let (noun, verb) = if missing.len() == 1 { ("Plugin", "is") } else { ("Plugins", "are") };
    Err(Failure::unavailable(format!(
        "{noun} {} {verb} not enabled on node {}",
        missing.join(", "),
        call.node
    )))
}
