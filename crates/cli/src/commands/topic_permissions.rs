//! What users may publish to and read from topic exchanges, by routing key.

use serde_json::json;

use super::access::{grant, list_of_user, list_of_vhost};
use super::{BASE, Call, Command};
use crate::client::{encode, expect_success};
use crate::error::Failure;
use crate::output::{Outcome, Rows};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "set_topic_permissions",
        usage: "[--vhost <vhost>] <username> <exchange> <write> <read>",
        help: "Sets user topic permissions for an exchange",
        words: (4, 4),
        banner: |call| {
            let (user, exchange, vhost) = (call.word(0), call.word(1), &call.options.vhost);
            vec![format!(
                "Setting topic permissions on \"{exchange}\" for user \"{user}\" in vhost \"{vhost}\" ..."
            )]
        },
        run: |call| {
            let [exchange, write, read] = [1, 2, 3].map(|index| call.word(index));
            grant(call, "topic-permissions", &json!({"exchange": exchange, "write": write, "read": read}))
        },
        ..BASE
    },
    Command {
        name: "clear_topic_permissions",
        usage: "[--vhost <vhost>] <username> [<exchange>]",
        help: "Clears user topic permissions for a vhost or exchange",
        words: (1, 2),
        banner: |call| {
            let (user, vhost) = (call.word(0), &call.options.vhost);
            let place = match call.options.words.get(1) {
                Some(exchange) => format!(" on \"{exchange}\""),
                None => String::new(),
            };
            vec![format!("Clearing topic permissions{place} for user \"{user}\" in vhost \"{vhost}\" ...")]
        },
        run: clear_topic_permissions,
        ..BASE
    },
    Command {
        name: "list_topic_permissions",
        usage: "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
        help: "Lists topic permissions in a virtual host",
        is_list: true,
        banner: |call| vec![format!("Listing topic permissions for vhost \"{}\" ...", call.options.vhost)],
        run: |call| list_of_vhost(call, "/api/topic-permissions", &["user", "exchange", "write", "read"]),
        ..BASE
    },
    Command {
        name: "list_user_topic_permissions",
        usage: "[--no-table-headers] <username>",
        help: "Lists user topic permissions",
        words: (1, 1),
        is_list: true,
        banner: |call| vec![format!("Listing topic permissions for user \"{}\" ...", call.word(0))],
        run: |call| {
            let outcome = list_of_user(call, "topic-permissions", &["vhost", "exchange", "write", "read"])?;
            // RabbitMQ's tool names no columns here.
            Ok(match outcome {
                Outcome::Rows(rows) => Outcome::Rows(Rows { headed: false, ..rows }),
                other => other,
            })
        },
        ..BASE
    },
];

/// What is not there is as good as cleared.
fn clear_topic_permissions(call: &Call<'_>) -> Result<Outcome, Failure> {
    let mut path = format!("/api/topic-permissions/{}/{}", encode(&call.options.vhost), encode(call.word(0)));
    if let Some(exchange) = call.options.words.get(1) {
        path.push('/');
        path.push_str(&encode(exchange));
    }
    let answer = call.client.request("DELETE", &path, &[], None)?;
    if answer.status != 404 && answer.status != 400 {
        expect_success(answer)?;
    }
    Ok(Outcome::Done)
}
