//! Rows on standard output, in rabbitmqctl's three forms.

use std::io::{self, Write};

use serde_json::Value;

use crate::args::{Formatter, Options};
use crate::term::{Kind, json_cell, table_cell};

/// One row's values, in the order of the columns.
pub(crate) type Row = Vec<Value>;

/// Writes rows. A table without rows has no header either, as rabbitmqctl's.
pub(crate) fn write_rows(
    options: &Options,
    columns: &[(&str, Kind)],
    rows: impl Iterator<Item = Row>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut out = io::BufWriter::new(out);
    match options.formatter {
        Formatter::Table => write_table(options.headers, columns, rows, &mut out)?,
        Formatter::Csv => write_csv(options.headers, columns, rows, &mut out)?,
        Formatter::Json => write_json(columns, rows, &mut out)?,
    }
    out.flush()
}

fn write_table(
    headers: bool,
    columns: &[(&str, Kind)],
    rows: impl Iterator<Item = Row>,
    out: &mut impl Write,
) -> io::Result<()> {
    for (index, row) in rows.enumerate() {
        if index == 0 && headers {
            let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
            writeln!(out, "{}", names.join("\t"))?;
        }
        let cells: Vec<String> =
            row.iter().zip(columns).map(|(value, (_, kind))| table_cell(value, *kind)).collect();
        writeln!(out, "{}", cells.join("\t"))?;
    }
    Ok(())
}

fn write_csv(
    headers: bool,
    columns: &[(&str, Kind)],
    rows: impl Iterator<Item = Row>,
    out: &mut impl Write,
) -> io::Result<()> {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    for (index, row) in rows.enumerate() {
        if index == 0 && headers {
            let names: Vec<String> = columns.iter().map(|(name, _)| quoted(name)).collect();
            writeln!(out, "{}", names.join(","))?;
        }
        let cells: Vec<String> =
            row.iter().zip(columns).map(|(value, (_, kind))| quoted(&table_cell(value, *kind))).collect();
        writeln!(out, "{}", cells.join(","))?;
    }
    Ok(())
}

fn write_json(
    columns: &[(&str, Kind)],
    rows: impl Iterator<Item = Row>,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "[")?;
    for (index, row) in rows.enumerate() {
        let fields: Vec<String> = row
            .iter()
            .zip(columns)
            .map(|(value, (name, kind))| format!("{}:{}", Value::from(*name), json_cell(value, *kind)))
            .collect();
        writeln!(out, "{}{{{}}}", if index == 0 { "" } else { "," }, fields.join(","))?;
    }
    writeln!(out, "]")
}

/// A result that is one sentence.
pub(crate) fn write_message(options: &Options, text: &str, out: &mut impl Write) -> io::Result<()> {
    match options.formatter {
        Formatter::Json => writeln!(out, "{}", serde_json::json!({"message": text})),
        Formatter::Table | Formatter::Csv => writeln!(out, "{text}"),
    }
}
