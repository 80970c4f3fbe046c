//! Usage lines, help, and what is said of a command that there is not.

use std::io::Write;

use super::{Command, all, find, lists};
use crate::args::Options;
use crate::error::{EX_USAGE, Failure};
use crate::program::Program;

/// How alike a known command must be to be suggested, from 0 to 1.
const ALIKE: f64 = 0.85;

/// One command's usage line.
pub(super) fn usage(program: &Program, command: &Command) -> String {
    let line = format!(
        "{} [--node <node>] [--longnames] [--quiet] {} {}",
        program.name, command.name, command.usage
    );
    line.trim_end().to_owned()
}

/// The usage of the program as a whole.
pub(super) fn general_usage(program: &Program) -> String {
    format!(
        "{} [--node <node>] [--timeout <timeout>] [--longnames] [--quiet] <command> [<command options>]",
        program.name
    )
}

/// A command that there is not: the most alike one, or all.
pub(super) fn no_such_command(program: &Program, name: &str) -> Failure {
    if name.is_empty() {
        return Failure::plain(EX_USAGE, command_list(program));
    }
    let offered = all().filter(|command| program.offers(command.tools));
    let alike = offered.map(|command| (likeness(name, command.name), command.name));
    let best =
        alike.max_by(|left, right| left.0.total_cmp(&right.0)).filter(|(likeness, _)| *likeness > ALIKE);
    let text = match best {
        Some((_, best)) => format!("\nCommand '{name}' not found. \nDid you mean '{best}'? \n"),
        None => format!("\nCommand '{name}' not found. \n{}", command_list(program)),
    };
    Failure::plain(EX_USAGE, text)
}

/// Help for one command, or the list of all.
pub(super) fn help(options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let program = &options.program;
    let name = if options.command == "help" { options.word(0) } else { &options.command };
    if name.is_empty() {
        return Ok(writeln!(out, "{}", command_list(program))?);
    }
    let missing = || Failure::error(EX_USAGE, format!("\nCommand '{name}' not found."));
    let command = find(program, name).ok_or_else(missing)?;
    writeln!(out, "\nUsage\n\n{}\n\n{}\n", usage(program, command), command.help)?;
    let columns = lists::column_names(name);
    if !columns.is_empty() {
        writeln!(out, "Arguments and Options\n\n<column>\n\tmust be one of {}\n", columns.join(", "))?;
    }
    Ok(())
}

fn command_list(program: &Program) -> String {
    let mut text = format!("\nUsage\n\n{}\n\nAvailable commands:\n\n", general_usage(program));
    let mut offered: Vec<&Command> = all().filter(|command| program.offers(command.tools)).collect();
    offered.sort_unstable_by_key(|command| command.name);
    for command in offered {
        text.push_str(&format!("   {:<36} {}\n", command.name, command.help));
    }
    text.push_str(
        "\nThe broker is asked over the control socket in its data folder (--data-dir, LEVERET_DATA_DIR), or over its \
         HTTP API (--url, --username, --password; LEVERET_URL, LEVERET_USERNAME, LEVERET_PASSWORD), which for an https \
         address is verified by the authorities of --cacertfile or the system's (with --certfile and --keyfile to show).\n",
    );
    text + &format!("\nUse '{} help <command>' to learn more about a specific command", program.name)
}

/// Jaro's measure of two words: 1 for equal ones, 0 for those without a letter in common.
fn likeness(left: &str, right: &str) -> f64 {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let window = (left.len().max(right.len()) / 2).saturating_sub(1);
    let mut taken = vec![false; right.len()];
    let mut matched_left = Vec::new();
    for (at, letter) in left.iter().enumerate() {
        let near = right.iter().enumerate().skip(at.saturating_sub(window)).take(window * 2 + 1);
        let near = near.filter(|(other, _)| *other <= at + window);
        let free =
            near.into_iter().find(|(other, found)| *found == letter && taken.get(*other) == Some(&false));
        if let Some((other, _)) = free {
            matched_left.push(*letter);
            if let Some(taken) = taken.get_mut(other) {
                *taken = true;
            }
        }
    }
    if matched_left.is_empty() {
        return 0.0;
    }
    let matched_right = right.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(letter, _)| *letter);
    let moved = matched_left.iter().zip(matched_right).filter(|(l, r)| **l != *r).count();
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let matches = count(matched_left.len());
    (matches / count(left.len()) + matches / count(right.len()) + (matches - count(moved) / 2.0) / matches)
        / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeness_is_jaro_s() {
        let cases = [
            ("martha", "marhta", 0.944),
            ("dixon", "dicksonx", 0.767),
            ("same", "same", 1.0),
            ("a", "b", 0.0),
        ];
        for (left, right, expected) in cases {
            assert!(
                (likeness(left, right) - expected).abs() < 0.001,
                "{left} {right} {}",
                likeness(left, right)
            );
        }
    }
}
