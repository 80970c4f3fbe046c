//! Where Leveret answers otherwise than RabbitMQ's tools on purpose.

use super::stage::Answer;

/// Intended differences with one reason.
pub(super) struct Difference {
    /// The scenario, after `http: ` where it is about that; empty is any.
    pub(super) scenario: &'static str,
    /// The commands, whole.
    pub(super) commands: &'static [&'static str],
    /// What of the answer is another.
    pub(super) apart: Apart,
    /// Why.
    pub(super) reason: &'static str,
}

/// What of an answer is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Apart {
    /// The texts; the exit code is RabbitMQ's.
    Text,
    /// The order of what stands within a line, and its brackets.
    Order,
    /// The order of the lines.
    Rows,
    /// The texts, and this exit code.
    Code(i64),
}

impl Difference {
    pub(super) fn is_about(&self, scenario: &str, answer: &Answer) -> bool {
        (self.scenario.is_empty() || self.scenario == scenario)
            && self.commands.contains(&answer.command.as_str())
    }

    /// Whether this answer is the one that is intended.
    pub(super) fn allows(&self, golden: &Answer, answer: &Answer) -> bool {
        match self.apart {
            Apart::Text => golden.code == answer.code,
            Apart::Code(code) => answer.code == code,
            Apart::Rows => {
                let sorted = |lines: &[String]| {
                    let mut lines = lines.to_vec();
                    lines.sort();
                    lines
                };
                golden.code == answer.code
                    && golden.stderr == answer.stderr
                    && sorted(&golden.stdout) == sorted(&answer.stdout)
            }
            Apart::Order => {
                golden.code == answer.code
                    && golden.stderr == answer.stderr
                    && parts(&golden.stdout) == parts(&answer.stdout)
            }
        }
    }
}

/// What stands within each line, sorted.
fn parts(lines: &[String]) -> Vec<Vec<&str>> {
    lines
        .iter()
        .map(|line| {
            let mut parts: Vec<&str> = line.split(['[', ']', '{', '}', ',', ':', '\t']).collect();
            parts.retain(|part| !part.is_empty());
            parts.sort_unstable();
            parts
        })
        .collect()
}

pub(super) const DIFFERENCES: &[Difference] = &[
    Difference {
        scenario: "",
        commands: &[
            "rabbitmqctl status",
            "rabbitmqctl -q status --unit mib",
            "rabbitmqctl -s status",
            "rabbitmqctl status --unit tb",
            "rabbitmq-diagnostics status",
            "rabbitmqctl environment",
            "rabbitmqctl cluster_status",
        ],
        apart: Apart::Text,
        reason: "RabbitMQ tells of Erlang: its processes, applications, memory by kind; the sections are the same",
    },
    Difference {
        scenario: "",
        commands: &[
            "rabbitmq-diagnostics check_port_connectivity",
            "rabbitmq-diagnostics check_port_connectivity -q",
            "rabbitmq-diagnostics check_port_connectivity -s",
            "rabbitmq-diagnostics check_port_connectivity --address 127.0.0.1",
            "rabbitmq-diagnostics check_port_listener 1",
            "rabbitmq-diagnostics check_port_listener 1 --formatter json",
            "rabbitmq-diagnostics check_protocol_listener mqtt",
            "rabbitmq-diagnostics listeners",
        ],
        apart: Apart::Text,
        reason: "the listeners are others: no clustering, no AMQP 1.0, and TLS only where it is configured",
    },
    Difference {
        scenario: "",
        commands: &[
            "rabbitmqctl -q list_connections pid name port host peer_port peer_host ssl state channels protocol \
             auth_mechanism user vhost timeout frame_max channel_max client_properties send_pend",
            "rabbitmqctl list_connections pid name port host peer_port peer_host ssl state channels protocol \
             auth_mechanism user vhost timeout frame_max channel_max client_properties send_pend --formatter json",
        ],
        apart: Apart::Order,
        reason: "a client's properties are kept in the order of their names",
    },
    Difference {
        scenario: "",
        commands: &[
            "rabbitmqctl list_queues name durable auto_delete arguments policy operator_policy exclusive \
             messages_ready messages_unacknowledged messages consumers state type owner_pid \
             exclusive_consumer_tag --formatter json",
        ],
        apart: Apart::Order,
        reason: "RabbitMQ writes an array as an object with one key many times, of which readers keep the last",
    },
    Difference {
        scenario: "",
        commands: &[
            "rabbitmqctl list_queues -q name messages_persistent message_bytes message_bytes_ready \
             message_bytes_unacknowledged message_bytes_persistent",
            "rabbitmqctl list_queues -q name exclusive_consumer_pid pid",
        ],
        apart: Apart::Text,
        reason: "persistent messages are not counted apart, and a queue is no process: these columns are empty",
    },
    Difference {
        scenario: "",
        commands: &["rabbitmqctl list_queues --timeout -5"],
        apart: Apart::Code(64),
        reason: "RabbitMQ's tool crashes; this is a usage error",
    },
    Difference {
        scenario: "",
        commands: &[
            "rabbitmqctl list_queues --formatter xml",
            "rabbitmqctl list_users --formatter erlang",
            "rabbitmqctl list_users --formatter string",
            "rabbitmqctl list_users --formatter inspect",
        ],
        apart: Apart::Code(64),
        reason: "table, json, json_stream, csv and pretty_table are the formatters; another is a usage error",
    },
    Difference {
        scenario: "",
        commands: &[
            "rabbitmqctl list_users --longnames --dry-run",
            "rabbitmqctl list_users --script-name foo",
        ],
        apart: Apart::Code(0),
        reason: "these say how RabbitMQ's tools reach Erlang, and are accepted without effect",
    },
    Difference {
        scenario: "",
        commands: &["rabbitmqctl add_user --formatter csv u2 p1"],
        apart: Apart::Code(0),
        reason: "RabbitMQ's tool crashes after it has done its work",
    },
    Difference {
        scenario: "",
        commands: &["rabbitmqctl add_user --formatter pretty_table u3 p1"],
        apart: Apart::Text,
        reason: "a sentence is no table",
    },
    Difference {
        scenario: "",
        commands: &[
            "rabbitmqctl set_permissions alice * .* .*",
            "rabbitmqctl set_permissions alice .* .* '('",
            "rabbitmqctl set_topic_permissions alice amq.topic '(' ^b",
            "rabbitmqctl import_definitions FOLDER/bad.json",
        ],
        apart: Apart::Text,
        reason: "the parser's own words for what is wrong",
    },
    Difference {
        scenario: "",
        commands: &["rabbitmq-diagnostics check_certificate_expiration -q --within 1 --unit months"],
        apart: Apart::Text,
        reason: "RabbitMQ's tool is warned of its own code",
    },
    Difference {
        scenario: "",
        commands: &["rabbitmqctl list_global_parameters"],
        apart: Apart::Text,
        reason: "what RabbitMQ keeps of its cluster is not there: an id and tags",
    },
    Difference {
        scenario: "",
        commands: &["rabbitmqctl check_running"],
        apart: Apart::Text,
        reason: "the list of commands is of those that there are",
    },
    Difference {
        scenario: "",
        commands: &["rabbitmq-upgrade post_upgrade"],
        apart: Apart::Text,
        reason: "a single node has no queue leaders to move",
    },
    Difference {
        scenario: "users",
        commands: &["rabbitmqctl list_users", "rabbitmqctl list_users --formatter pretty_table"],
        apart: Apart::Rows,
        reason: "a list without an order of its own stands in the order of its names",
    },
    Difference {
        scenario: "http: users",
        commands: &["rabbitmqctl list_users", "rabbitmqctl list_users --formatter pretty_table"],
        apart: Apart::Rows,
        reason: "a list without an order of its own stands in the order of its names",
    },
    Difference {
        scenario: "",
        commands: &["rabbitmqctl list_feature_flags"],
        apart: Apart::Text,
        reason: "there are no feature flags: what is built is on",
    },
    Difference {
        scenario: "http: queues: change",
        commands: &["rabbitmqctl purge_queue mine", "rabbitmqctl delete_queue mine"],
        apart: Apart::Code(69),
        reason: "over HTTP the user who logs in asks, whom another connection's exclusive queue is closed to",
    },
    Difference {
        scenario: "http: queues: change",
        commands: &["rabbitmqctl list_queues"],
        apart: Apart::Text,
        reason: "that queue is still there",
    },
    Difference {
        scenario: "stop",
        commands: &[
            "rabbitmqctl -q ping",
            "rabbitmqctl list_queues",
            "rabbitmqctl stop",
            "rabbitmqctl stop --idempotent",
            "rabbitmqctl stop_app",
            "rabbitmqctl await_startup -t 1",
            "rabbitmq-diagnostics check_running",
            "rabbitmqctl list_users --formatter json",
        ],
        apart: Apart::Text,
        reason: "without a node its name is not known, and Erlang's diagnostics do not help",
    },
];
