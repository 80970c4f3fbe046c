//! The list commands: their columns, banners and where their rows come from.

use serde_json::Value;

use super::{BASE, Call, Command, TIMEOUT, items};
use crate::args::Options;
use crate::client::encode;
use crate::columns::{BINDINGS, CHANNELS, CONNECTIONS, CONSUMERS, Column, EXCHANGES, QUEUES, USERS, VHOSTS};
use crate::error::{Failure, Problem};
use crate::output::{Outcome, Rows};

/// What all lists have in common.
const LIST: Command = Command {
    words: (0, usize::MAX),
    is_list: true,
    check: |options| chosen(options).map(|_| ()),
    run: list,
    ..BASE
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "list_queues",
        usage: "[--vhost <vhost>] [--online] [--offline] [--local] [--no-table-headers] [<column>, ...] [--timeout <timeout>]",
        help: "Lists queues and their properties",
        banner: |call| {
            let timeout = call.options.timeout_or(TIMEOUT).unwrap_or_default().as_secs_f64();
            vec![
                format!("Timeout: {timeout:?} seconds ..."),
                format!("Listing queues for vhost {} ...", call.options.vhost),
            ]
        },
        ..LIST
    },
    Command {
        name: "list_exchanges",
        usage: "[--vhost <vhost>] [--no-table-headers] [<column> ...] [--timeout <timeout>]",
        help: "Lists exchanges",
        banner: |call| vec![format!("Listing exchanges for vhost {} ...", call.options.vhost)],
        ..LIST
    },
    Command {
        name: "list_bindings",
        usage: "[--vhost <vhost>] [--no-table-headers] [<column> ...] [--timeout <timeout>]",
        help: "Lists all bindings on a vhost",
        banner: |call| vec![format!("Listing bindings for vhost {}...", call.options.vhost)],
        ..LIST
    },
    Command {
        name: "list_connections",
        usage: "[--no-table-headers] [<column> ...] [--timeout <timeout>]",
        help: "Lists AMQP 0.9.1 connections for the node",
        banner: |_| vec!["Listing connections ...".to_owned()],
        ..LIST
    },
    Command {
        name: "list_channels",
        usage: "[--no-table-headers] [<column> ...]",
        help: "Lists all channels in the node",
        banner: |_| vec!["Listing channels ...".to_owned()],
        ..LIST
    },
    Command {
        name: "list_consumers",
        usage: "[--vhost <vhost>] [--no-table-headers] [<column> ...] [--timeout <timeout>]",
        help: "Lists all consumers for a vhost",
        banner: |call| vec![format!("Listing consumers in vhost {} ...", call.options.vhost)],
        ..LIST
    },
    Command {
        name: "list_vhosts",
        usage: "[--no-table-headers] [<column> ...] [--timeout <timeout>]",
        help: "Lists virtual hosts",
        banner: |_| vec!["Listing vhosts ...".to_owned()],
        ..LIST
    },
    Command {
        name: "list_users",
        usage: "[--no-table-headers] [--timeout <timeout>]",
        help: "List user names and tags",
        words: (0, 0),
        banner: |_| vec!["Listing users ...".to_owned()],
        ..LIST
    },
];

/// One list: where its rows are, and what of them is shown.
struct List {
    command: &'static str,
    /// The route; a list of one virtual host has its name after it.
    route: &'static str,
    of_vhost: bool,
    columns: &'static [Column],
    default_columns: &'static [&'static str],
    /// Columns can be chosen.
    chosen_columns: bool,
}

const LISTS: &[List] = &[
    List {
        command: "list_queues",
        route: "queues",
        of_vhost: true,
        columns: QUEUES,
        default_columns: &["name", "messages"],
        chosen_columns: true,
    },
    List {
        command: "list_exchanges",
        route: "exchanges",
        of_vhost: true,
        columns: EXCHANGES,
        default_columns: &["name", "type"],
        chosen_columns: true,
    },
    List {
        command: "list_bindings",
        route: "bindings",
        of_vhost: true,
        columns: BINDINGS,
        default_columns: &[
            "source_name",
            "source_kind",
            "destination_name",
            "destination_kind",
            "routing_key",
            "arguments",
        ],
        chosen_columns: true,
    },
    List {
        command: "list_connections",
        route: "connections",
        of_vhost: false,
        columns: CONNECTIONS,
        default_columns: &["user", "peer_host", "peer_port", "state"],
        chosen_columns: true,
    },
    List {
        command: "list_channels",
        route: "channels",
        of_vhost: false,
        columns: CHANNELS,
        default_columns: &["pid", "user", "consumer_count", "messages_unacknowledged"],
        chosen_columns: true,
    },
    List {
        command: "list_consumers",
        route: "consumers",
        of_vhost: true,
        columns: CONSUMERS,
        default_columns: &[
            "queue_name",
            "channel_pid",
            "consumer_tag",
            "ack_required",
            "prefetch_count",
            "active",
            "arguments",
        ],
        chosen_columns: true,
    },
    List {
        command: "list_vhosts",
        route: "vhosts",
        of_vhost: false,
        columns: VHOSTS,
        default_columns: &["name"],
        chosen_columns: true,
    },
    List {
        command: "list_users",
        route: "users",
        of_vhost: false,
        columns: USERS,
        default_columns: &["user", "tags"],
        chosen_columns: false,
    },
];

/// The columns that can be chosen, sorted; none for a command that has no columns to choose.
pub(super) fn column_names(command: &str) -> Vec<&'static str> {
    let list = LISTS.iter().find(|list| list.command == command && list.chosen_columns);
    let mut names: Vec<&str> =
        list.map_or(&[][..], |list| list.columns).iter().map(|column| column.name).collect();
    names.sort_unstable();
    names
}

fn list(call: &Call<'_>) -> Result<Outcome, Failure> {
    let Ok((list, columns)) = chosen(call.options) else { return Ok(Outcome::Done) };
    let vhost = if list.of_vhost { format!("/{}", encode(&call.options.vhost)) } else { String::new() };
    // A virtual host that does not exist has an empty list, as with rabbitmqctl; so has a node that is not there.
    let is_offline = list.command == "list_queues"
        && call.options.is_set("offline")
        && !call.options.is_set("online")
        && !call.options.is_set("local");
    let answer = if is_offline {
        None
    } else {
        call.client.get(&format!("/api/{}{vhost}?arguments=typed", list.route))?
    };
    // RabbitMQ's node sends the others item by item.
    let at_once = matches!(list.command, "list_users" | "list_vhosts");
    let heads = columns.iter().map(|column| (column.name, column.kind)).collect();
    Ok(Outcome::Rows(Rows { columns: heads, rows: Box::new(rows(answer, columns)), headed: true, at_once }))
}

fn rows(answer: Option<Value>, columns: Vec<&'static Column>) -> impl Iterator<Item = Vec<Value>> {
    let items = items(answer.as_ref().unwrap_or(&Value::Null), "").to_vec();
    items.into_iter().map(move |item| columns.iter().map(|column| column.value(&item)).collect())
}

/// The list, and the columns that the words ask for, each once.
fn chosen(options: &Options) -> Result<(&'static List, Vec<&'static Column>), Problem> {
    let list = LISTS.iter().find(|list| list.command == options.command);
    let list = list.ok_or_else(|| Problem::Usage(String::new()))?;
    let find = |name: &str| list.columns.iter().find(|column| column.name == name);
    if options.words.is_empty() {
        return Ok((list, list.default_columns.iter().filter_map(|name| find(name)).collect()));
    }
    let mut chosen: Vec<&'static Column> = Vec::new();
    let mut unknown = Vec::new();
    // RabbitMQ takes the words with commas in them after the others.
    let (joined, single): (Vec<&String>, Vec<&String>) =
        options.words.iter().partition(|word| word.contains(','));
    let names = single.into_iter().chain(joined).flat_map(|word| word.split(','));
    for name in names.filter(|name| !name.is_empty()) {
        match find(name) {
            Some(_) if chosen.iter().any(|other| other.name == name) => {}
            Some(column) => chosen.push(column),
            None => unknown.push(name),
        }
    }
    if unknown.is_empty() {
        return Ok((list, chosen));
    }
    Err(Problem::Usage(format!("Info key(s) {} are not supported", unknown.join(","))))
}
