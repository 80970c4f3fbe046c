//! Virtual hosts: add and delete.

use serde_json::json;

use super::{BASE, Call, Command};
use crate::client::{encode, expect_success};
use crate::error::{EX_DATA, EX_UNAVAILABLE, Failure, Problem};
use crate::output::Outcome;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "add_vhost",
        usage: "<vhost> [--description <description> --tags \"<tag1>,<tag2>,<...>\" --default-queue-type \
                <quorum|classic|stream>]",
        help: "Creates a virtual host",
        words: (1, 1),
        check: |options| match options.value("default-queue-type") {
            None | Some("classic" | "quorum" | "stream") => Ok(()),
            Some(_) => Err(Problem::BadArgument(
                "Bad argument: Unsupported default queue type. Must be one of: classic, quorum, stream"
                    .to_owned(),
            )),
        },
        banner: |call| vec![format!("Adding vhost \"{}\" ...", call.word(0))],
        run: add_vhost,
        ..BASE
    },
    Command {
        name: "delete_vhost",
        usage: "<vhost>",
        help: "Deletes a virtual host with everything in it. Its connections are closed",
        words: (1, 1),
        banner: |call| vec![format!("Deleting vhost \"{}\" ...", call.word(0))],
        run: delete_vhost,
        ..BASE
    },
];

fn path(call: &Call<'_>) -> String {
    format!("/api/vhosts/{}", encode(call.word(0)))
}

fn add_vhost(call: &Call<'_>) -> Result<Outcome, Failure> {
    // One that is there already stays as it is.
    if call.client.get(&path(call))?.is_some() {
        return Ok(Outcome::Done);
    }
    let mut body = json!({});
    for (option, key) in
        [("description", "description"), ("tags", "tags"), ("default-queue-type", "default_queue_type")]
    {
        if let Some(value) = call.options.value(option) {
            body[key] = value.into();
        }
    }
    // RabbitMQ's own route gives whoever asks all permissions in it.
    let answer = call.client.put(&format!("/api/leveret/vhosts/{}", encode(call.word(0))), &body)?;
    if answer.status == 400 {
        return Err(Failure::error(EX_UNAVAILABLE, answer.reason()));
    }
    expect_success(answer)?;
    Ok(Outcome::Done)
}

fn delete_vhost(call: &Call<'_>) -> Result<Outcome, Failure> {
    let missing = || Failure::plain(EX_DATA, format!("Virtual host '{}' does not exist", call.word(0)));
    if call.word(0).is_empty() {
        return Err(missing());
    }
    let answer = call.client.request("DELETE", &path(call), &[], None)?;
    if answer.status == 404 {
        return Err(missing());
    }
    expect_success(answer)?;
    Ok(Outcome::Done)
}
