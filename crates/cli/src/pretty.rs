//! Tables in boxes, drawn with a terminal's own line characters, as rabbitmqctl's `pretty_table` draws them.

use std::io::{self, Write};

use serde_json::Value;

use crate::output::Row;
use crate::term::{Kind, pretty_cell};

/// Switches a terminal to line characters and back.
const LINES: &str = "\u{1b}(0";
const LETTERS: &str = "\u{1b}(B";

const BOLD: &str = "\u{1b}[1m";
const NORMAL: &str = "\u{1b}[0m";

/// Columns of a tab stop.
const TAB: usize = 8;

/// Writes a table; nothing if there are no rows.
pub(crate) fn write_boxes(columns: &[(&str, Kind)], rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row_cells(columns, row)).collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, (name, _))| {
            let widest = cells.iter().filter_map(|row| row.get(index)).map(|cell| width(cell)).max();
            widest.unwrap_or_default().max(width(name))
        })
        .collect();
    rule(out, &widths, ['l', 'w', 'k'])?;
    let heads: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    line(out, &widths, &heads, (BOLD, NORMAL))?;
    for row in &cells {
        rule(out, &widths, ['t', 'n', 'u'])?;
        line(out, &widths, row, ("", ""))?;
    }
    rule(out, &widths, ['m', 'v', 'j'])
}

fn row_cells(columns: &[(&str, Kind)], row: &[Value]) -> Vec<String> {
    row.iter().zip(columns).map(|(value, (_, kind))| expand_tabs(&pretty_cell(value, *kind))).collect()
}

fn rule(out: &mut dyn Write, widths: &[usize], [left, between, right]: [char; 3]) -> io::Result<()> {
    let parts: Vec<String> = widths.iter().map(|width| "q".repeat(width + 2)).collect();
    writeln!(out, "{LINES}{left}{}{right}{LETTERS}", parts.join(&between.to_string()))
}

fn line(out: &mut dyn Write, widths: &[usize], cells: &[String], style: (&str, &str)) -> io::Result<()> {
    for (cell, wanted) in cells.iter().zip(widths) {
        let blanks = " ".repeat(wanted.saturating_sub(width(cell)));
        write!(out, "{LINES}x{LETTERS} {}{cell}{}{blanks} ", style.0, style.1)?;
    }
    writeln!(out, "{LINES}x{LETTERS}")
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn expand_tabs(text: &str) -> String {
    let mut expanded = String::new();
    for character in text.chars() {
        if character == '\t' {
            let column = width(&expanded) % TAB;
            expanded.push_str(&" ".repeat(TAB - column));
        } else {
            expanded.push(character);
        }
    }
    expanded
}
