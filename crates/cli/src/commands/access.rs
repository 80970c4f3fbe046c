//! Users, their tags and passwords, and permissions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::node::read_line;
use super::{BASE, Call, Command, items, text};
use crate::args::{Formatter, Options};
use crate::client::{encode, expect_success};
use crate::error::{EX_DATA, EX_NO_USER, EX_SOFTWARE, EX_UNAVAILABLE, Failure, Problem};
use crate::output::{Outcome, Row, Rows};
use crate::term::Kind;

const DONE: &str = "Done. Don't forget to grant the user permissions to some virtual hosts! See 'rabbitmqctl help \
                    set_permissions' to learn more.";

/// Why an empty password lets nobody in, in RabbitMQ's words, after the user's name.
const BLANK_PASSWORD: &str = "attempted to log in with a blank password, which is prohibited by the internal authN \
                              backend. To use TLS/x509 certificate-based authentication, see the \
                              rabbitmq_auth_mechanism_ssl plugin and configure the client to use the EXTERNAL \
                              authentication mechanism. Alternatively change the password for the user to be \
                              non-blank.";

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "add_user",
        usage: "<username> [<password>] [<password_hash> --pre-hashed-password]",
        help: "Creates a new user, without permissions. The password is read from standard input if it is not given",
        words: (1, 2),
        check: check_new_user,
        banner: |call| vec![format!("Adding user \"{}\" ...", call.word(0))],
        run: add_user,
        ..BASE
    },
    Command {
        name: "delete_user",
        usage: "<username>",
        help: "Removes a user. Its connections are closed",
        words: (1, 1),
        banner: |call| vec![format!("Deleting user \"{}\" ...", call.word(0))],
        run: delete_user,
        ..BASE
    },
    Command {
        name: "change_password",
        usage: "<username> <password>",
        help: "Changes the user password",
        words: (1, 2),
        banner: |call| vec![format!("Changing password for user \"{}\" ...", call.word(0))],
        run: |call| {
            let password = password(call, EX_SOFTWARE)?;
            user_changed(call, "password", &json!({"password": password}))
        },
        ..BASE
    },
    Command {
        name: "clear_password",
        usage: "<username>",
        help: "Clears (resets) password and disables password login for a user",
        words: (1, 1),
        banner: |call| vec![format!("Clearing password for user \"{}\" ...", call.word(0))],
        run: |call| {
            let answer = call
                .client
                .put(&format!("{}/password", user_path(call.word(0))), &json!({"password_hash": ""}))?;
            if answer.status == 404 {
                return Err(Failure::unavailable(format!("{{:no_such_user, \"{}\"}}", call.word(0))));
            }
            expect_success(answer)?;
            Ok(Outcome::Done)
        },
        ..BASE
    },
    Command {
        name: "set_user_tags",
        usage: "<username> <tag> [...]",
        help: "Sets user tags",
        words: (1, usize::MAX),
        banner: |call| {
            let tags = tags(call).join(", ");
            vec![format!("Setting tags for user \"{}\" to [{tags}] ...", call.word(0))]
        },
        run: |call| user_changed(call, "tags", &json!({"tags": tags(call)})),
        ..BASE
    },
    Command {
        name: "authenticate_user",
        usage: "<username> <password>",
        help: "Attempts to authenticate a user. Exits with a non-zero code if authentication fails",
        words: (1, 2),
        banner: |call| vec![format!("Authenticating user \"{}\" ...", call.word(0))],
        run: authenticate_user,
        ..BASE
    },
    Command {
        name: "set_permissions",
        usage: "[--vhost <vhost>] <username> <conf> <write> <read>",
        help: "Sets user permissions for a vhost",
        words: (4, 4),
        banner: |call| {
            let (user, vhost) = (call.word(0), &call.options.vhost);
            vec![format!("Setting permissions for user \"{user}\" in vhost \"{vhost}\" ...")]
        },
        run: set_permissions,
        ..BASE
    },
    Command {
        name: "clear_permissions",
        usage: "[--vhost <vhost>] <username>",
        help: "Revokes user permissions for a vhost",
        words: (1, 1),
        banner: |call| {
            let (user, vhost) = (call.word(0), &call.options.vhost);
            vec![format!("Clearing permissions for user \"{user}\" in vhost \"{vhost}\" ...")]
        },
        run: clear_permissions,
        ..BASE
    },
    Command {
        name: "list_permissions",
        usage: "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
        help: "Lists user permissions in a virtual host",
        is_list: true,
        banner: |call| vec![format!("Listing permissions for vhost \"{}\" ...", call.options.vhost)],
        run: |call| list_of_vhost(call, "/api/permissions", &["user", "configure", "write", "read"]),
        ..BASE
    },
    Command {
        name: "list_user_permissions",
        usage: "[--no-table-headers] <username> [--timeout <timeout>]",
        help: "Lists permissions of a user across all virtual hosts",
        words: (1, 1),
        is_list: true,
        banner: |call| vec![format!("Listing permissions for user \"{}\" ...", call.word(0))],
        run: |call| list_of_user(call, "permissions", &["vhost", "configure", "write", "read"]),
        ..BASE
    },
    Command {
        name: "hash_password",
        usage: "[password]",
        help: "Hashes a plaintext password",
        words: (0, 1),
        banner: |_| vec!["Will hash password ...".to_owned()],
        run: |call| {
            let password = match call.options.words.first() {
                Some(given) => given.clone(),
                None => read_line()?.ok_or_else(|| no_password(EX_SOFTWARE))?,
            };
            let answer = call.get(&format!("/api/auth/hash_password/{}", encode(&password)))?;
            Ok(Outcome::Message(text(&answer, "ok").to_owned()))
        },
        ..BASE
    },
];

fn check_new_user(options: &Options) -> Result<(), Problem> {
    let bad = |text: &str| Err(Problem::BadArgument(format!("Bad argument: {text}")));
    if options.word(0).is_empty() {
        return bad("user cannot be an empty string");
    }
    match options.words.get(1) {
        Some(hash) if options.is_set("pre-hashed-password") && STANDARD.decode(hash).is_err() => {
            bad("Could not Base64 decode provided password hash value")
        }
        _ => Ok(()),
    }
}

fn user_path(user: &str) -> String {
    format!("/api/leveret/users/{}", encode(user))
}

fn no_password(code: u8) -> Failure {
    Failure::error(code, "Password is not provided via argument or stdin")
}

/// The password that was given, or the first line of standard input.
fn password(call: &Call<'_>, code: u8) -> Result<String, Failure> {
    if let Some(given) = call.options.words.get(1) {
        return Ok(given.clone());
    }
    if call.options.banner() {
        println_now("Password: ")?;
    }
    read_line()?.ok_or_else(|| no_password(code))
}

/// Said before a command waits for its input.
fn println_now(line: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}

fn add_user(call: &Call<'_>) -> Result<Outcome, Failure> {
    let (user, node) = (call.word(0), &call.node);
    let password = password(call, EX_DATA)?;
    let hashed = call.options.is_set("pre-hashed-password");
    let body = if hashed { json!({"password_hash": password}) } else { json!({"password": password}) };
    let answer = call.client.put(&user_path(user), &body)?;
    match (answer.status, answer.body.get("error").and_then(Value::as_str)) {
        (400, Some("already_exists")) => {
            let json =
                json!({"message": format!("User {user} already exists"), "node": node, "result": "error"});
            // In JSON it is another failure to RabbitMQ's tool.
            let code =
                if call.options.formatter == Some(Formatter::Json) { EX_UNAVAILABLE } else { EX_SOFTWARE };
            Err(Failure::error(code, format!("User \"{user}\" already exists")).with_json(json))
        }
        (400, _) => Err(Failure::error(EX_DATA, answer.reason())),
        _ => {
            expect_success(answer)?;
            Ok(Outcome::Remark(DONE.to_owned(), json!({"message": DONE, "node": node, "status": "ok"})))
        }
    }
}

/// A user that is not there is as good as deleted.
fn delete_user(call: &Call<'_>) -> Result<Outcome, Failure> {
    if call.word(0).is_empty() {
        return Ok(Outcome::Done);
    }
    let path = format!("/api/users/{}", encode(call.word(0)));
    let answer = call.client.request("DELETE", &path, &[], None)?;
    if answer.status != 404 {
        expect_success(answer)?;
    }
    Ok(Outcome::Done)
}

fn user_changed(call: &Call<'_>, what: &str, body: &Value) -> Result<Outcome, Failure> {
    let user = call.word(0);
    let answer = call.client.put(&format!("{}/{what}", user_path(user)), body)?;
    if answer.status == 404 {
        return Err(Failure::error(EX_NO_USER, format!("User \"{user}\" does not exist")));
    }
    expect_success(answer)?;
    Ok(Outcome::Done)
}

fn no_such_user(user: &str) -> Failure {
    Failure::error(EX_NO_USER, format!("User {user} does not exist"))
}

fn tags(call: &Call<'_>) -> Vec<String> {
    call.options.words.iter().skip(1).cloned().collect()
}

fn authenticate_user(call: &Call<'_>) -> Result<Outcome, Failure> {
    let user = call.word(0);
    let password = password(call, EX_SOFTWARE)?;
    let answer = call.put("/api/leveret/authenticate", &json!({"username": user, "password": password}))?;
    if answer.get("authenticated") == Some(&Value::Bool(true)) {
        return Ok(Outcome::Message("Success".to_owned()));
    }
    let reason = if password.is_empty() {
        format!("user '{user}' {BLANK_PASSWORD}")
    } else {
        format!("user '{user}' - invalid credentials")
    };
    Err(Failure::error(EX_DATA, format!("Error: failed to authenticate user \"{user}\"\n{reason}")))
}

fn permission_path(call: &Call<'_>) -> String {
    format!("/api/permissions/{}/{}", encode(&call.options.vhost), encode(call.word(0)))
}

fn set_permissions(call: &Call<'_>) -> Result<Outcome, Failure> {
    let [configure, write, read] = [1, 2, 3].map(|index| call.word(index));
    grant(call, "permissions", &json!({"configure": configure, "write": write, "read": read}))
}

/// Grants the user who is named first a permission of this kind.
pub(super) fn grant(call: &Call<'_>, kind: &str, body: &Value) -> Result<Outcome, Failure> {
    let (user, vhost) = (call.word(0), &call.options.vhost);
    if user.is_empty() {
        return Err(no_such_user(user));
    }
    let answer = call.client.put(&format!("/api/leveret/{kind}/{}/{}", encode(vhost), encode(user)), body)?;
    match (answer.status, answer.body.get("error").and_then(Value::as_str)) {
        (400, Some("no_such_user")) => Err(no_such_user(user)),
        (400, Some("no_such_vhost")) => {
            Err(Failure::error(EX_UNAVAILABLE, format!("Virtual host {vhost} does not exist")))
        }
        (400, _) => Err(Failure::error(EX_UNAVAILABLE, answer.reason())),
        _ => {
            expect_success(answer)?;
            Ok(Outcome::Done)
        }
    }
}

/// What is not there is as good as cleared.
fn clear_permissions(call: &Call<'_>) -> Result<Outcome, Failure> {
    let answer = call.client.request("DELETE", &permission_path(call), &[], None)?;
    if answer.status != 404 && answer.status != 400 {
        expect_success(answer)?;
    }
    Ok(Outcome::Done)
}

/// Fails if the virtual host of the command is not there.
pub(super) fn expect_vhost(call: &Call<'_>) -> Result<(), Failure> {
    let vhost = &call.options.vhost;
    match call.client.get(&format!("/api/vhosts/{}", encode(vhost)))? {
        Some(_) => Ok(()),
        None => Err(Failure::plain(EX_DATA, format!("Virtual host '{vhost}' does not exist"))),
    }
}

/// Permissions in the virtual host of the command.
pub(super) fn list_of_vhost(
    call: &Call<'_>,
    path: &str,
    columns: &'static [&'static str],
) -> Result<Outcome, Failure> {
    expect_vhost(call)?;
    let all = call.get(path)?;
    let vhost = &call.options.vhost;
    Ok(permissions(items(&all, "").iter().filter(|item| text(item, "vhost") == vhost), columns))
}

/// Permissions of the user who is named first.
pub(super) fn list_of_user(
    call: &Call<'_>,
    what: &str,
    columns: &'static [&'static str],
) -> Result<Outcome, Failure> {
    let user = call.word(0);
    let found = call.client.get(&format!("/api/users/{}/{what}", encode(user)))?;
    let all =
        found.ok_or_else(|| Failure::error(EX_UNAVAILABLE, format!("{{:no_such_user, \"{user}\"}}")))?;
    Ok(permissions(items(&all, "").iter(), columns))
}

fn permissions<'v>(items: impl Iterator<Item = &'v Value>, columns: &'static [&'static str]) -> Outcome {
    let row = |item: &Value| -> Row {
        columns.iter().map(|column| item.get(*column).cloned().unwrap_or_default()).collect()
    };
    let rows: Vec<Row> = items.map(row).collect();
    let columns = columns.iter().map(|column| (*column, Kind::Plain)).collect();
    Outcome::Rows(Rows { columns, rows: Box::new(rows.into_iter()), headed: true, at_once: true })
}
