//! The list commands: their columns, banners and where their rows come from.

use serde_json::Value;

use crate::args::Options;
use crate::client::encode;
use crate::columns::{BINDINGS, CHANNELS, CONNECTIONS, CONSUMERS, Column, EXCHANGES, QUEUES, USERS, VHOSTS};

/// One list command.
pub(crate) struct List {
    pub(crate) command: &'static str,
    /// Its usage, after the program's name and general options.
    pub(crate) usage: &'static str,
    pub(crate) help: &'static str,
    /// The route; a list of one virtual host has its name after it.
    route: &'static str,
    of_vhost: bool,
    banner: fn(&Options) -> Vec<String>,
    pub(crate) columns: &'static [Column],
    pub(crate) default_columns: &'static [&'static str],
    /// Columns can be chosen.
    pub(crate) chosen_columns: bool,
}

/// Every list command.
pub(crate) const LISTS: &[List] = &[
    List {
        command: "list_queues",
        usage: "list_queues [--vhost <vhost>] [--online] [--offline] [--local] [--no-table-headers] [<column>, ...] [--timeout <timeout>]",
        help: "Lists queues and their properties",
        route: "queues",
        of_vhost: true,
        banner: |options| {
            let timeout =
                options.timeout.map_or_else(|| "infinity".to_owned(), |t| format!("{:?}", t.as_secs_f64()));
            vec![
                format!("Timeout: {timeout} seconds ..."),
                format!("Listing queues for vhost {} ...", options.vhost),
            ]
        },
        columns: QUEUES,
        default_columns: &["name", "messages"],
        chosen_columns: true,
    },
    List {
        command: "list_exchanges",
        usage: "list_exchanges [--vhost <vhost>] [--no-table-headers] [<column> ...] [--timeout <timeout>]",
        help: "Lists exchanges",
        route: "exchanges",
        of_vhost: true,
        banner: |options| vec![format!("Listing exchanges for vhost {} ...", options.vhost)],
        columns: EXCHANGES,
        default_columns: &["name", "type"],
        chosen_columns: true,
    },
    List {
        command: "list_bindings",
        usage: "list_bindings [--vhost <vhost>] [--no-table-headers] [<column> ...] [--timeout <timeout>]",
        help: "Lists all bindings on a vhost",
        route: "bindings",
        of_vhost: true,
        banner: |options| vec![format!("Listing bindings for vhost {}...", options.vhost)],
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
        usage: "list_connections [--no-table-headers] [<column> ...] [--timeout <timeout>]",
        help: "Lists AMQP 0.9.1 connections for the node",
        route: "connections",
        of_vhost: false,
        banner: |_| vec!["Listing connections ...".to_owned()],
        columns: CONNECTIONS,
        default_columns: &["user", "peer_host", "peer_port", "state"],
        chosen_columns: true,
    },
    List {
        command: "list_channels",
        usage: "list_channels [--no-table-headers] [<column> ...]",
        help: "Lists all channels in the node",
        route: "channels",
        of_vhost: false,
        banner: |_| vec!["Listing channels ...".to_owned()],
        columns: CHANNELS,
        default_columns: &["pid", "user", "consumer_count", "messages_unacknowledged"],
        chosen_columns: true,
    },
    List {
        command: "list_consumers",
        usage: "list_consumers [--vhost <vhost>] [--no-table-headers] [<column> ...] [--timeout <timeout>]",
        help: "Lists all consumers for a vhost",
        route: "consumers",
        of_vhost: true,
        banner: |options| vec![format!("Listing consumers in vhost {} ...", options.vhost)],
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
        usage: "list_vhosts [--no-table-headers] [<column> ...] [--timeout <timeout>]",
        help: "Lists virtual hosts",
        route: "vhosts",
        of_vhost: false,
        banner: |_| vec!["Listing vhosts ...".to_owned()],
        columns: VHOSTS,
        default_columns: &["name"],
        chosen_columns: true,
    },
    List {
        command: "list_users",
        usage: "list_users [--no-table-headers] [--timeout <timeout>]",
        help: "List user names and tags",
        route: "users",
        of_vhost: false,
        banner: |_| vec!["Listing users ...".to_owned()],
        columns: USERS,
        default_columns: &["user", "tags"],
        chosen_columns: false,
    },
];

impl List {
    /// The route's path.
    pub(crate) fn path(&self, options: &Options) -> String {
        let vhost = if self.of_vhost { format!("/{}", encode(&options.vhost)) } else { String::new() };
        format!("/api/{}{vhost}?arguments=typed", self.route)
    }

    /// What is said before the rows.
    pub(crate) fn banner(&self, options: &Options) -> Vec<String> {
        (self.banner)(options)
    }

    /// The columns that the words ask for, each once.
    ///
    /// # Errors
    /// The problem: a column that there is not.
    pub(crate) fn chosen(&self, words: &[String]) -> Result<Vec<&'static Column>, String> {
        let find = |name: &str| self.columns.iter().find(|column| column.name == name);
        if words.is_empty() {
            return Ok(self.default_columns.iter().filter_map(|name| find(name)).collect());
        }
        if !self.chosen_columns {
            return Err("too many arguments.".to_owned());
        }
        let mut chosen: Vec<&'static Column> = Vec::new();
        let mut unknown = Vec::new();
        for name in words.iter().flat_map(|word| word.split(',')).filter(|name| !name.is_empty()) {
            match find(name) {
                Some(_) if chosen.iter().any(|other| other.name == name) => {}
                Some(column) => chosen.push(column),
                None => unknown.push(name),
            }
        }
        if unknown.is_empty() {
            Ok(chosen)
        } else {
            Err(format!("Info key(s) {} are not supported", unknown.join(", ")))
        }
    }
}

/// The rows of an answer.
pub(crate) fn rows(answer: Value, columns: &[&'static Column]) -> impl Iterator<Item = Vec<Value>> {
    let items = match answer {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    items.into_iter().map(move |item| columns.iter().map(|column| column.value(&item)).collect())
}
