//! Definitions to a file, and back.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::Value;

use super::{BASE, Call, Command};
use crate::args::Options;
use crate::client::expect_success;
use crate::error::{EX_DATA, EX_SOFTWARE, EX_UNAVAILABLE, Failure, Problem};
use crate::output::Outcome;

const STARTED: &str = "Successfully started definition import. This process is asynchronous and can take some time. \
                       Watch target node logs for completion.";

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "export_definitions",
        usage: "<file_path | \"-\"> [--format <json | erlang>] [--timeout <timeout>]",
        help: "Exports definitions in JSON",
        words: (1, 1),
        check: |options| {
            check_format(options)?;
            let folder = Path::new(options.word(0)).parent().filter(|folder| *folder != Path::new(""));
            match folder {
                Some(folder) if !folder.is_dir() => {
                    Err(bad_argument(&format!("Directory {} does not exist", folder.display())))
                }
                _ => Ok(()),
            }
        },
        banner: |call| match call.word(0) {
            // What is exported is all that stands on standard output.
            "-" => Vec::new(),
            path => vec![format!("Exporting definitions in JSON to a file at \"{path}\" ...")],
        },
        run: export_definitions,
        ..BASE
    },
    Command {
        name: "import_definitions",
        usage: "<file_path | \"-\"> [--format <json | erlang>] [--skip-if-unchanged] [--timeout <timeout>]",
        help: "Imports definitions in JSON",
        words: (0, 1),
        check: |options| {
            check_format(options)?;
            match options.words.first().map(String::as_str) {
                Some("-") | None => Ok(()),
                Some(path) if Path::new(path).is_file() => Ok(()),
                Some(path) => Err(bad_argument(&format!("File {path} does not exist"))),
            }
        },
        banner: |call| match call.word(0) {
            "" | "-" => vec!["Importing definitions in JSON from standard input ...".to_owned()],
            path => vec![format!("Importing definitions in JSON from a file at \"{path}\" ...")],
        },
        run: import_definitions,
        ..BASE
    },
];

fn bad_argument(text: &str) -> Problem {
    Problem::BadArgument(format!("Bad argument: {text}"))
}

fn check_format(options: &Options) -> Result<(), Problem> {
    match options.value("format").map(str::to_ascii_lowercase).as_deref() {
        None | Some("json") => Ok(()),
        Some("erlang") => Err(bad_argument("Erlang's term format needs Erlang; use json")),
        Some(_) => Err(bad_argument("Format should be either json or erlang")),
    }
}

fn export_definitions(call: &Call<'_>) -> Result<Outcome, Failure> {
    let definitions = call.get("/api/definitions")?;
    match call.word(0) {
        "-" => Ok(Outcome::Document(format!("{definitions}\n"), definitions)),
        path => {
            let written = fs::write(path, definitions.to_string());
            written.map_err(|error| Failure::error(EX_UNAVAILABLE, format!("{path}: {error}")))?;
            Ok(Outcome::Done)
        }
    }
}

fn import_definitions(call: &Call<'_>) -> Result<Outcome, Failure> {
    let text = match call.word(0) {
        "" | "-" => {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text)?;
            text
        }
        path => fs::read_to_string(path)
            .map_err(|error| Failure::error(EX_UNAVAILABLE, format!("{path}: {error}")))?,
    };
    let definitions: Value = serde_json::from_str(&text).map_err(|error| {
        Failure::error(EX_DATA, format!("Failed to deserialise input (format: JSON) (error: {error})"))
    })?;
    if !definitions.is_object() {
        return Err(Failure::error(EX_SOFTWARE, format!("{{:badmap, {definitions}}}\n")));
    }
    let answer = call.client.request("POST", "/api/definitions", &[], Some(&definitions))?;
    if answer.status == 400 {
        return Err(Failure::error(EX_DATA, answer.reason()));
    }
    expect_success(answer)?;
    Ok(Outcome::Remark(STARTED.to_owned(), serde_json::json!({"node": call.node, "result": "ok"})))
}
