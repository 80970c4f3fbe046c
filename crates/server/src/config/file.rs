//! The syntax of `rabbitmq.conf`: `key = value` lines, `#` comments, quoted values, `$(VARIABLE)`.

use super::{ConfigError, Environment};

/// One setting of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) key: String,
    pub(super) value: String,
}

/// Reads a file's settings in their order.
pub(super) fn parse(file: &str, text: &str, env: Environment<'_>) -> Result<Vec<Line>, ConfigError> {
    let mut lines = Vec::new();
    for (index, raw) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = index + 1;
        let trimmed = raw.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let syntax = || ConfigError::Syntax {
            file: file.to_owned(),
            line: number,
            text: trimmed.chars().take(80).collect(),
        };
        let (key, value) = trimmed.split_once('=').ok_or_else(syntax)?;
        let key = key.trim();
        if key.is_empty() || key.contains(|c: char| c.is_whitespace() || c == '#') {
            return Err(syntax());
        }
        let value = match unquoted(value.trim()).ok_or_else(syntax)? {
            Value::Quoted(text) => text.to_owned(),
            Value::Bare(text) => interpolate(text, env).map_err(|problem| ConfigError::Value {
                place: format!("{file}:{number}"),
                key: key.to_owned(),
                problem,
            })?,
        };
        lines.push(Line { number, key: key.to_owned(), value });
    }
    Ok(lines)
}

enum Value<'t> {
    Quoted(&'t str),
    Bare(&'t str),
}

/// Takes quotes and a trailing comment away. A value that contains `#` must be quoted.
fn unquoted(text: &str) -> Option<Value<'_>> {
    if let Some(rest) = text.strip_prefix('\'') {
        let (value, after) = rest.split_once('\'')?;
        let after = after.trim_start();
        return (after.is_empty() || after.starts_with('#')).then_some(Value::Quoted(value));
    }
    Some(Value::Bare(text.split_once('#').map_or(text, |(value, _)| value).trim_end()))
}

/// Puts environment variables in the place of `$(VARIABLE)`.
fn interpolate(text: &str, env: Environment<'_>) -> Result<String, String> {
    let mut value = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("$(") {
        let (variable, tail) =
            after.split_once(')').ok_or_else(|| format!("`$({after}` has no closing bracket"))?;
        value.push_str(before);
        value.push_str(
            &env(variable).ok_or_else(|| format!("the environment variable {variable} is not set"))?,
        );
        rest = tail;
    }
    value.push_str(rest);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(usize, String, String)>, String> {
        let env = |name: &str| (name == "SECRET").then(|| "s#1".to_owned());
        let lines = parse("f", text, &env).map_err(|error| error.to_string())?;
        Ok(lines.into_iter().map(|line| (line.number, line.key, line.value)).collect())
    }

    #[test]
    fn lines() {
        let text =
            "# comment\n\n  heartbeat=30 \r\ndefault_pass = 'a#b' # why\n\tlog.console = true# x\na.b = \n";
        let line = |number, key: &str, value: &str| (number, key.to_owned(), value.to_owned());
        assert_eq!(
            read(text).unwrap(),
            [
                line(3, "heartbeat", "30"),
                line(4, "default_pass", "a#b"),
                line(5, "log.console", "true"),
                line(6, "a.b", "")
            ]
        );
    }

    #[test]
    fn variables() {
        assert_eq!(read("k = x$(SECRET)y$(SECRET)").unwrap()[0].2, "xs#1ys#1");
        assert_eq!(read("k = '$(SECRET)'").unwrap()[0].2, "$(SECRET)");
        assert_eq!(read("\nk = $(NOPE)").unwrap_err(), "f:2: k: the environment variable NOPE is not set");
        assert_eq!(read("k = $(SECRET").unwrap_err(), "f:1: k: `$(SECRET` has no closing bracket");
    }

    #[test]
    fn refused() {
        for text in
            ["nonsense", "= 5", "two words = 5", "[{rabbit, []}].", "k = 'open", "k = 'a' b", "#ok\n x"]
        {
            let error = read(text).unwrap_err();
            assert!(error.starts_with("f:") && error.contains("key = value"), "{text}: {error}");
        }
    }
}
