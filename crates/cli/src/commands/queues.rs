//! One queue: delete it, purge it, look into it.

use serde_json::{Value, json};

use super::{BASE, Call, Command, items};
use crate::client::{encode, expect_success};
use crate::error::{EX_DATA, EX_UNAVAILABLE, EX_USAGE, Failure, Problem};
use crate::output::{Outcome, Row, Rows};
use crate::term::Kind;

/// Messages that `get` shows unless it is told.
const SHOWN: &str = "1";

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "delete_queue",
        usage: "[--vhost <vhost>] <queue_name> [--if-empty|-e] [--if-unused|-u] [--timeout <timeout>]",
        help: "Deletes a queue",
        words: (1, 1),
        check: |options| match options.word(0) {
            "" => Err(Problem::BadArgument("Bad argument: queue name cannot be an empty string".to_owned())),
            _ => Ok(()),
        },
        banner: |call| {
            let conditions = match (call.options.is_set("if-empty"), call.options.is_set("if-unused")) {
                (true, true) => " if queue is empty and if queue is unused",
                (true, false) => " if queue is empty",
                (false, true) => " if queue is unused",
                (false, false) => "",
            };
            vec![format!(
                "Deleting queue '{}' on vhost '{}'{conditions} ...",
                call.word(0),
                call.options.vhost
            )]
        },
        run: delete_queue,
        ..BASE
    },
    Command {
        name: "purge_queue",
        usage: "<queue> [--timeout <timeout>]",
        help: "Purges a queue (removes all messages in it)",
        words: (1, 1),
        banner: |call| {
            vec![format!("Purging queue '{}' in vhost '{}' ...", call.word(0), call.options.vhost)]
        },
        run: purge_queue,
        ..BASE
    },
    Command {
        name: "get",
        usage: "[--vhost <vhost>] <queue> [--count <count>] [--timeout <timeout>]",
        help: "Shows the first messages of a queue and leaves them in place",
        words: (1, 1),
        is_list: true,
        banner: |call| {
            vec![format!(
                "Getting messages from queue '{}' in vhost '{}' ...",
                call.word(0),
                call.options.vhost
            )]
        },
        run: get,
        ..BASE
    },
];

fn path(call: &Call<'_>) -> String {
    format!("/api/queues/{}/{}", encode(&call.options.vhost), encode(call.word(0)))
}

fn delete_queue(call: &Call<'_>) -> Result<Outcome, Failure> {
    let options = call.options;
    let not_found = || Failure::error(EX_USAGE, "Queue not found");
    let queue = call.client.get(&path(call))?.ok_or_else(not_found)?;
    let (if_empty, if_unused) = (options.is_set("if-empty"), options.is_set("if-unused"));
    let query = format!("?if-empty={if_empty}&if-unused={if_unused}");
    let answer = call.client.request("DELETE", &format!("{}{query}", path(call)), &[], None)?;
    match answer.status {
        404 => return Err(not_found()),
        400 => {
            let reason = answer.reason();
            let reason = reason.strip_prefix("PRECONDITION_FAILED - ").unwrap_or(reason);
            let text = format!("{{:amqp_error, :precondition_failed, ~c\"{reason}\", :none}}");
            return Err(Failure::error(EX_UNAVAILABLE, text));
        }
        _ => expect_success(answer)?,
    };
    let ready = queue.get("messages_ready").and_then(Value::as_u64).unwrap_or_default();
    Ok(Outcome::Message(format!("Queue was successfully deleted with {ready} ready messages")))
}

fn purge_queue(call: &Call<'_>) -> Result<Outcome, Failure> {
    let answer = call.client.request("DELETE", &format!("{}/contents", path(call)), &[], None)?;
    if answer.status == 404 || call.word(0).is_empty() {
        return Err(Failure::plain(EX_DATA, "Object (queue, stream, exchange, etc) was not found"));
    }
    expect_success(answer)?;
    Ok(Outcome::Done)
}

fn get(call: &Call<'_>) -> Result<Outcome, Failure> {
    let count = call.options.value("count").unwrap_or(SHOWN);
    let path = format!(
        "/api/leveret/queues/{}/{}/peek?count={count}",
        encode(&call.options.vhost),
        encode(call.word(0))
    );
    let not_found = || Failure::plain(EX_DATA, "Object (queue, stream, exchange, etc) was not found");
    let messages = call.client.get(&path)?.ok_or_else(not_found)?;
    let columns = ["exchange", "routing_key", "redelivered", "payload_bytes", "properties", "payload"];
    let row = |message: &Value| -> Row {
        columns.iter().map(|column| message.get(*column).cloned().unwrap_or(json!(""))).collect()
    };
    let rows: Vec<Row> = items(&messages, "").iter().map(row).collect();
    let columns = columns.iter().map(|column| (*column, Kind::Plain)).collect();
    Ok(Outcome::Rows(Rows { columns, rows: Box::new(rows.into_iter()), headed: true, at_once: false }))
}
