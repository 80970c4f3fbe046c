//! The limits of virtual hosts and of users.

use serde_json::{Value, json};

use super::access::expect_vhost;
use super::{BASE, Call, Command, items, text};
use crate::client::{Answer, encode, expect_success};
use crate::error::{EX_UNAVAILABLE, Failure};
use crate::output::{Outcome, Row, Rows};
use crate::term::Kind;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "set_vhost_limits",
        usage: "[--vhost <vhost>] <definition>",
        help: "Sets virtual host limits: a JSON object with max-connections and max-queues",
        words: (1, 1),
        banner: |call| {
            let (limits, vhost) = (call.word(0), &call.options.vhost);
            vec![format!("Setting vhost limits to \"{limits}\" for vhost \"{vhost}\" ...")]
        },
        run: |call| {
            let limits = definition(call.word(0))?;
            expect_vhost(call)?;
            done(call.client.put(&vhost_path(call), &limits)?)
        },
        ..BASE
    },
    Command {
        name: "clear_vhost_limits",
        usage: "[--vhost <vhost>]",
        help: "Clears virtual host limits",
        banner: |call| vec![format!("Clearing vhost \"{}\" limits ...", call.options.vhost)],
        run: |call| {
            if of_vhost(call)?.is_none() {
                return Err(Failure::unavailable("Parameter does not exist"));
            }
            done(call.client.put(&vhost_path(call), &json!({}))?)
        },
        ..BASE
    },
    Command {
        name: "list_vhost_limits",
        usage: "[--vhost <vhost>] [--global] [--no-table-headers]",
        help: "Displays configured virtual host limits",
        is_list: true,
        banner: |call| {
            vec![match call.options.is_set("global") {
                true => "Listing limits for all vhosts ...".to_owned(),
                false => format!("Listing limits for vhost \"{}\" ...", call.options.vhost),
            }]
        },
        run: list_vhost_limits,
        ..BASE
    },
    Command {
        name: "set_user_limits",
        usage: "<username> <definition>",
        help: "Sets user limits: a JSON object with max-connections and max-channels",
        words: (2, 2),
        banner: |call| {
            vec![format!("Setting user limits to \"{}\" for user \"{}\" ...", call.word(1), call.word(0))]
        },
        run: |call| {
            let limits = definition(call.word(1))?;
            expect_user(call, call.word(0))?;
            done(call.client.put(&format!("/api/leveret/user-limits/{}", encode(call.word(0))), &limits)?)
        },
        ..BASE
    },
    Command {
        name: "clear_user_limits",
        usage: "<username> <limit_type> | all",
        help: "Clears user connection/channel limits",
        words: (2, 2),
        banner: |call| {
            let what = match call.word(1) {
                "all" => "all limits".to_owned(),
                limit => format!("\"{limit}\" limit"),
            };
            vec![format!("Clearing {what} for user \"{}\" ...", call.word(0))]
        },
        run: clear_user_limits,
        ..BASE
    },
    Command {
        name: "list_user_limits",
        usage: "[--user <username>] [--global]",
        help: "Displays configured user limits",
        is_list: true,
        banner: |call| {
            vec![match call.options.is_set("global") {
                true => "Listing limits for all users ...".to_owned(),
                false => format!("Listing limits for user \"{}\" ...", user(call)),
            }]
        },
        run: list_user_limits,
        ..BASE
    },
];

fn vhost_path(call: &Call<'_>) -> String {
    format!("/api/leveret/vhost-limits/{}", encode(&call.options.vhost))
}

/// The user whose limits are listed.
fn user<'c>(call: &'c Call<'_>) -> &'c str {
    call.options.value("user").unwrap_or("guest")
}

/// The object that a command sets.
fn definition(given: &str) -> Result<Value, Failure> {
    match serde_json::from_str(given) {
        Ok(object @ Value::Object(_)) => Ok(object),
        _ => Err(Failure::unavailable(format!(
            "Could not parse JSON document: {{error,{{failed_to_decode_json,<<\"{given}\">>}}}}"
        ))),
    }
}

/// A refusal in the broker's words alone.
fn done(answer: Answer) -> Result<Outcome, Failure> {
    if answer.status == 400 {
        return Err(Failure::error(EX_UNAVAILABLE, answer.reason()));
    }
    expect_success(answer)?;
    Ok(Outcome::Done)
}

fn expect_user(call: &Call<'_>, user: &str) -> Result<(), Failure> {
    match call.client.get(&format!("/api/users/{}", encode(user)))? {
        Some(_) => Ok(()),
        None => Err(Failure::unavailable(format!("{{:no_such_user, \"{user}\"}}"))),
    }
}

/// The virtual host's limits; `None` if it has none.
fn of_vhost(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let all = call.get("/api/vhost-limits")?;
    let limited = items(&all, "").iter().find(|item| text(item, "vhost") == call.options.vhost);
    Ok(limited.and_then(|item| item.get("value")).cloned())
}

fn list_vhost_limits(call: &Call<'_>) -> Result<Outcome, Failure> {
    if call.options.is_set("global") {
        return Ok(rows("vhost", &call.get("/api/vhost-limits")?));
    }
    expect_vhost(call)?;
    Ok(match of_vhost(call)? {
        Some(limits) => {
            let shown = limits.to_string();
            let value = json!({"node": call.node, "result": "ok", "value": shown});
            Outcome::Document(format!("{shown}\n"), value)
        }
        None => rows("vhost", &Value::Null),
    })
}

fn list_user_limits(call: &Call<'_>) -> Result<Outcome, Failure> {
    let all = call.get("/api/user-limits")?;
    if call.options.is_set("global") {
        return Ok(rows("user", &all));
    }
    let user = user(call);
    expect_user(call, user)?;
    let limited = items(&all, "").iter().find(|item| text(item, "user") == user);
    let limits = limited.and_then(|item| item.get("value")).map_or_else(|| "{}".to_owned(), Value::to_string);
    Ok(Outcome::Message(limits))
}

/// Whose they are, and the limits as one text.
fn rows(whose: &'static str, all: &Value) -> Outcome {
    let row = |item: &Value| -> Row {
        let limits = item.get("value").map(Value::to_string).unwrap_or_default();
        vec![text(item, whose).into(), limits.into()]
    };
    let rows: Vec<Row> = items(all, "").iter().map(row).collect();
    let columns = vec![(whose, Kind::Plain), ("limits", Kind::Plain)];
    Outcome::Rows(Rows { columns, rows: Box::new(rows.into_iter()), headed: true, at_once: true })
}

/// One, or all there are; one that is not set is as good as cleared.
fn clear_user_limits(call: &Call<'_>) -> Result<Outcome, Failure> {
    let (user, wanted) = (call.word(0), call.word(1));
    expect_user(call, user)?;
    let all = ["max-connections", "max-channels"];
    for limit in all.iter().filter(|limit| wanted == "all" || wanted == **limit) {
        let path = format!("/api/user-limits/{}/{limit}", encode(user));
        expect_success(call.client.request("DELETE", &path, &[], None)?)?;
    }
    Ok(Outcome::Done)
}
