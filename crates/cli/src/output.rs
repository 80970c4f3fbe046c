//! Results on standard output, failures on standard error, in rabbitmqctl's forms.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::args::{Formatter, Options};
use crate::commands::Call;
use crate::error::Failure;
use crate::pretty::write_boxes;
use crate::term::{Kind, json_cell, table_cell};

/// One row's values, in the order of the columns.
pub(crate) type Row = Vec<Value>;

/// What a command gives.
pub(crate) enum Outcome {
    /// It is done, and there is nothing to say.
    Done,
    /// It is done; this is said to people that want to hear it, the value where JSON is asked for.
    Remark(String, Value),
    /// A sentence.
    Message(String),
    /// A sentence, unless silence is asked for; the value where JSON is asked for.
    Checked(String, Value),
    /// A text of several lines, or the value where JSON is asked for.
    Document(String, Value),
    /// Lines as they are, whatever is asked for.
    Text(String),
    /// Columns and rows.
    Rows(Rows),
}

/// A table.
pub(crate) struct Rows {
    pub(crate) columns: Vec<(&'static str, Kind)>,
    pub(crate) rows: Box<dyn Iterator<Item = Row>>,
    /// A table has a line of names above it.
    pub(crate) headed: bool,
    /// What came at once, not item by item: without rows it shows as an empty line.
    pub(crate) at_once: bool,
}

/// Writes a command's result.
pub(crate) fn write_outcome(call: &Call<'_>, outcome: Outcome, out: &mut dyn Write) -> io::Result<()> {
    let options = call.options;
    let as_json = matches!(options.formatter, Some(Formatter::Json | Formatter::JsonStream));
    match outcome {
        Outcome::Text(text) => out.write_all(text.as_bytes()),
        Outcome::Done if as_json => writeln!(out, "{}", json!({"node": call.node, "result": "ok"})),
        Outcome::Message(text) if as_json => writeln!(out, "{}", json!({"message": text})),
        Outcome::Remark(_, value) | Outcome::Checked(_, value) | Outcome::Document(_, value) if as_json => {
            writeln!(out, "{value}")
        }
        Outcome::Done => Ok(()),
        Outcome::Remark(text, _) if !options.banner() || text.is_empty() => Ok(()),
        Outcome::Checked(..) if options.silent => Ok(()),
        Outcome::Document(text, _) => out.write_all(text.as_bytes()),
        Outcome::Remark(text, _) | Outcome::Message(text) | Outcome::Checked(text, _) => {
            writeln!(out, "{text}")
        }
        Outcome::Rows(rows) => write_rows(options, rows, out),
    }
}

/// Writes why a command failed; gives its exit code.
pub(crate) fn write_failure(options: Option<&Options>, failure: &Failure, err: &mut dyn Write) -> u8 {
    let as_json = options.is_some_and(|options| options.formatter == Some(Formatter::Json));
    // Nobody is left to tell if this fails.
    _ = match &failure.json {
        Some(json) if as_json => writeln!(err, "{json}"),
        _ if failure.text.is_empty() => Ok(()),
        _ => writeln!(err, "{}", failure.text),
    };
    failure.code
}

/// Writes rows. A table without rows has no header either, as rabbitmqctl's.
fn write_rows(options: &Options, table: Rows, out: &mut dyn Write) -> io::Result<()> {
    let Rows { columns, rows, headed, at_once } = table;
    let mut out = io::BufWriter::new(out);
    let mut rows = rows.peekable();
    let formatter = options.formatter.unwrap_or(Formatter::Table);
    if at_once && rows.peek().is_none() {
        writeln!(out, "{}", if formatter == Formatter::Json { "[]" } else { "" })?;
        return out.flush();
    }
    match formatter {
        Formatter::Table => {
            write_lines(options.headers && headed, &columns, rows, &mut out, "\t", str::to_owned)?
        }
        Formatter::Csv => write_lines(options.headers, &columns, rows, &mut out, ",", quoted)?,
        Formatter::Json => write_json(&columns, rows, &mut out)?,
        Formatter::JsonStream => {
            for row in rows {
                writeln!(out, "{}\n", object(&columns, &row))?;
            }
        }
        Formatter::PrettyTable => write_boxes(&columns, &rows.collect::<Vec<_>>(), &mut out)?,
    }
    out.flush()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn write_lines(
    headers: bool,
    columns: &[(&str, Kind)],
    rows: impl Iterator<Item = Row>,
    out: &mut dyn Write,
    between: &str,
    quote: fn(&str) -> String,
) -> io::Result<()> {
    for (index, row) in rows.enumerate() {
        if index == 0 && headers {
            let names: Vec<String> = columns.iter().map(|(name, _)| quote(name)).collect();
            writeln!(out, "{}", names.join(between))?;
        }
        let cells: Vec<String> =
            row.iter().zip(columns).map(|(value, (_, kind))| quote(&table_cell(value, *kind))).collect();
        writeln!(out, "{}", cells.join(between))?;
    }
    Ok(())
}

fn write_json(
    columns: &[(&str, Kind)],
    rows: impl Iterator<Item = Row>,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "[")?;
    for (index, row) in rows.enumerate() {
        writeln!(out, "{}{}", if index == 0 { "" } else { "," }, object(columns, &row))?;
    }
    writeln!(out, "]")
}

/// An object whose fields stand in the order of the columns.
fn object(columns: &[(&str, Kind)], row: &Row) -> String {
    let fields: Vec<String> = row
        .iter()
        .zip(columns)
        .map(|(value, (name, kind))| format!("{}:{}", Value::from(*name), json_cell(value, *kind)))
        .collect();
    format!("{{{}}}", fields.join(","))
}
