//! The limits of memory and disk, until the next start.

use serde_json::{Value, json};

use super::{BASE, Call, Command};
use crate::args::Options;
use crate::error::{Failure, Problem};
use crate::output::Outcome;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "set_vm_memory_high_watermark",
        usage: "<fraction> | absolute <value>",
        help: "Sets the vm_memory_high_watermark setting",
        words: (1, 2),
        check: |options| memory(options).map(|_| ()),
        banner: |call| vec![format!("Setting memory threshold on {} to {} ...", call.node, shown(call))],
        run: |call| set(call, "vm_memory_high_watermark", memory(call.options)),
        ..BASE
    },
    Command {
        name: "set_disk_free_limit",
        usage: "<disk_limit> | mem_relative <fraction>",
        help: "Sets the disk_free_limit setting",
        words: (1, 2),
        check: |options| disk(options).map(|_| ()),
        banner: |call| vec![format!("Setting disk free limit on {} to {} ...", call.node, shown(call))],
        run: |call| set(call, "disk_free_limit", disk(call.options)),
        ..BASE
    },
];

fn set(call: &Call<'_>, what: &str, body: Result<Value, Problem>) -> Result<Outcome, Failure> {
    // It was checked before anything was asked.
    if let Ok(body) = body {
        call.put(&format!("/api/leveret/{what}"), &body)?;
    }
    Ok(Outcome::Done)
}

/// The limit as the banner has it.
fn shown(call: &Call<'_>) -> String {
    match (call.word(0), call.word(1)) {
        ("absolute", value) => format!("{value} bytes"),
        ("mem_relative", part) => format!("{part} times the total RAM"),
        (part, _) if call.options.command == "set_vm_memory_high_watermark" => part.to_owned(),
        (value, _) => format!("{value} bytes"),
    }
}

fn bad_argument() -> Problem {
    Problem::BadArgument("Bad argument.".to_owned())
}

fn usage(text: &str) -> Problem {
    Problem::Usage(text.to_owned())
}

fn memory(options: &Options) -> Result<Value, Problem> {
    match (options.word(0), options.words.get(1)) {
        ("absolute", None) => Err(usage("not enough arguments.")),
        ("absolute", Some(value)) => {
            parse_size(value).map(|bytes| json!({"absolute": bytes})).ok_or_else(bad_argument)
        }
        (_, Some(_)) => Err(usage("too many arguments.")),
        (part, None) => {
            let part: f64 = part.parse().map_err(|_| bad_argument())?;
            if (0.0..=1.0).contains(&part) {
                return Ok(json!({"relative": part}));
            }
            let text = "Bad argument: The threshold should be a fraction between 0.0 and 1.0";
            Err(Problem::BadArgument(text.to_owned()))
        }
    }
}

fn disk(options: &Options) -> Result<Value, Problem> {
    match (options.word(0), options.words.get(1)) {
        ("mem_relative", None) => Err(usage("not enough arguments.")),
        ("mem_relative", Some(part)) => {
            let part: f64 = part.parse().map_err(|_| bad_argument())?;
            if part.is_finite() && part >= 0.0 { Ok(json!({"relative": part})) } else { Err(bad_argument()) }
        }
        (_, Some(_)) => Err(usage("too many arguments.")),
        // No disk has less than nothing, so a negative limit is none.
        (value, None) if value.parse::<i64>().is_ok_and(i64::is_negative) => Ok(json!({"absolute": 0})),
        (value, None) => parse_size(value).map(|bytes| json!({"absolute": bytes})).ok_or_else(bad_argument),
    }
}

/// A number of bytes with RabbitMQ's units: `50MB` is decimal, `50MiB` and `50M` are binary.
fn parse_size(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "ki" | "kib" => 1 << 10,
        "m" | "mi" | "mib" => 1 << 20,
        "g" | "gi" | "gib" => 1 << 30,
        "t" | "ti" | "tib" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}
