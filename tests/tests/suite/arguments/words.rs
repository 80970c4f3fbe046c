//! A line of a scenario taken apart: words, options and values with their AMQP types.
//!
//! A value is written as `content_text` prints it: `5` is a signed long, `true` a boolean, `void` nothing, `l:5` a
//! 64-bit integer and so on by the letter of the type, `[1, x]` an array, `{a=1, b=x}` a table, anything else a long
//! string, in quotes if need be.

use leveret_tests::{
    methods::Properties,
    wire::{Table, Writer},
};

/// The words of `line`: blanks part them, but not within quotes and brackets.
pub(super) fn words(line: &str) -> Vec<&str> {
    split(line, ' ').into_iter().filter(|word| !word.is_empty()).collect()
}

/// The words without those of the form `name=value`.
pub(super) fn plain<'a>(words: &[&'a str]) -> Vec<&'a str> {
    words.iter().filter(|word| option(word).is_none()).copied().collect()
}

/// The table made of all `name=value` words.
pub(super) fn arguments(words: &[&str]) -> Table {
    words.iter().filter_map(|word| option(word)).fold(Table::default(), with)
}

/// The properties that the `name=value` words say; a name `h.KEY` is a header.
pub(super) fn properties(words: &[&str]) -> Properties {
    let mut properties = Properties::default();
    let mut headers = None;
    for (name, text) in words.iter().filter_map(|word| option(word)) {
        let unquoted = || Some(unquote(text).to_owned());
        match name {
            "priority" => properties.priority = Some(text.parse().expect("a priority")),
            "mode" => properties.delivery_mode = Some(text.parse().expect("a delivery mode")),
            "expiration" => properties.expiration = unquoted(),
            "message-id" => properties.message_id = unquoted(),
            "reply-to" => properties.reply_to = unquoted(),
            "user-id" => properties.user_id = unquoted(),
            _ => {
                let key = name.strip_prefix("h.").unwrap_or_else(|| panic!("no property {name:?}"));
                headers = Some(with(headers.unwrap_or_default(), (key, text)));
            }
        }
    }
    properties.headers = headers;
    properties
}

/// Text without the quotes around it.
pub(super) fn unquote(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

fn option<'a>(word: &&'a str) -> Option<(&'a str, &'a str)> {
    word.split_once('=').filter(|(name, _)| !name.starts_with(['"', '[', '{']))
}

fn with(table: Table, (key, text): (&str, &str)) -> Table {
    let (letter, octets) = value(text);
    table.field(key, letter, &octets)
}

/// Type letter and octets of a value.
fn value(text: &str) -> (u8, Vec<u8>) {
    let inside = |open, close| text.strip_prefix(open).and_then(|text: &str| text.strip_suffix(close));
    if let Some(items) = inside('[', ']') {
        let items = elements(items).fold(Writer::default(), |writer, item| {
            let (letter, octets) = value(item);
            writer.u8(letter).raw(&octets)
        });
        return (b'A', long(items.done()));
    }
    if let Some(fields) = inside('{', '}') {
        let fields = elements(fields).map(|field| field.split_once('=').expect("a field"));
        return (b'F', long(fields.fold(Table::default(), with).0));
    }
    match text {
        "void" => return (b'V', Vec::new()),
        "true" | "false" => return (b't', vec![u8::from(text == "true")]),
        _ => {}
    }
    if let Some((letter, number)) = text.split_once(':').filter(|(letter, _)| letter.len() == 1) {
        return (letter.as_bytes()[0], typed(letter, number));
    }
    match text.parse::<i32>() {
        Ok(number) => (b'I', number.to_be_bytes().to_vec()),
        Err(_) => (b'S', long(unquote(text))),
    }
}

fn typed(letter: &str, text: &str) -> Vec<u8> {
    let whole = || text.parse::<i128>().expect("a whole number").to_be_bytes();
    let last = |octets: usize| whole()[16 - octets..].to_vec();
    match letter {
        "b" | "B" => last(1),
        "s" | "u" => last(2),
        "I" | "i" => last(4),
        "l" | "T" => last(8),
        "f" => text.parse::<f32>().expect("a number").to_be_bytes().to_vec(),
        "d" => text.parse::<f64>().expect("a number").to_be_bytes().to_vec(),
        "D" => {
            let (scale, number) = text.split_once('/').expect("scale/number");
            let number: u32 = number.parse().expect("a number");
            Writer::default().u8(scale.parse().expect("a scale")).u32(number).done()
        }
        "S" | "x" => long(unquote(text)),
        _ => panic!("no type {letter:?}"),
    }
}

fn long(octets: impl AsRef<[u8]>) -> Vec<u8> {
    Writer::default().long(octets).done()
}

fn elements(text: &str) -> impl Iterator<Item = &str> {
    split(text, ',').into_iter().map(str::trim).filter(|item| !item.is_empty())
}

/// Parts `text` at `separator` outside of quotes and brackets.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0_usize, false);
    for (place, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            c if c == separator && !quoted && depth == 0 => {
                parts.push(&text[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_tests::content_text;

    #[test]
    fn words_are_parted_outside_of_quotes_and_brackets() {
        let line = r#"publish "" $q "a b" h.CC=[x, "y z"]"#;
        assert_eq!(words(line), ["publish", r#""""#, "$q", r#""a b""#, r#"h.CC=[x, "y z"]"#]);
    }

    #[test]
    fn values_read_as_they_are_printed() {
        let line = r#"a=5 b=l:-5 c="5" d=x e=true f=void g=[1, {h=s:2}] i=f:1.5 j=B:255"#;
        let table = arguments(&words(line));
        let printed = content_text::table(&table.0).unwrap();
        let expected = r#"{a=5, b=l:-5, c="5", d="x", e=true, f=void, g=[1, {h=s:2}], i=f:1.5, j=B:255}"#;
        assert_eq!(printed, expected);
    }
}
