//! The corpus of malformed input: `crates/protocol/corpus/*.txt`, one case a line.
//!
//! ```text
//! name | expected | bytes
//! let word = bytes
//! ```
//!
//! Bytes are hex pairs, with these shorthands, which nest:
//!
//! | Written | Means |
//! |---|---|
//! | `"text"` | its ASCII bytes |
//! | `frame T C { … }` | a whole frame of type T on channel C (decimal): header, content, end octet |
//! | `short { … }` | a short string: one length byte, content |
//! | `long { … }` | a long string, table or array: four length bytes, content |
//! | `times N { … }` | the content N times |
//! | `tables N { … }` | N tables, each the field `a` of the one around it, the content innermost |
//! | `arrays N { … }` | N arrays, each the only item of the one around it, the content innermost |
//! | `$word` | what `let word` said |
//!
//! `tables` and `arrays` begin with the type letter and the length, as the value of a field.

use std::collections::BTreeMap;

/// When the bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// As the first bytes of the connection.
    ProtocolHeader,
    /// After the protocol header, in place of connection.start-ok.
    BeforeLogin,
    /// After login, channel 1 being open.
    Open,
}

/// What must come of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// connection.close with this code; before login a bare close stands for it.
    Refused(u16),
    /// Nothing wrong: the connection goes on.
    Accepted,
    /// Nothing wrong yet: more is waited for, until a time-out.
    Waiting,
    /// These bytes, then a close.
    Reply(Vec<u8>),
}

/// One case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Unique, in words.
    pub name: String,
    /// When.
    pub stage: Stage,
    /// What.
    pub bytes: Vec<u8>,
    /// What must come of it.
    pub expected: Expected,
}

/// All cases, in the order of the files.
///
/// # Errors
/// File and line of the first that cannot be read.
pub fn cases() -> Result<Vec<Case>, String> {
    let files = [
        ("protocol_header.txt", Stage::ProtocolHeader, include_str!("../../corpus/protocol_header.txt")),
        ("before_login.txt", Stage::BeforeLogin, include_str!("../../corpus/before_login.txt")),
        ("open.txt", Stage::Open, include_str!("../../corpus/open.txt")),
    ];
    let mut cases = Vec::new();
    for (file, stage, text) in files {
        let mut words = BTreeMap::new();
        for (number, line) in (1u32..).zip(text.lines()) {
            let case = parse_line(line, stage, &mut words);
            cases.extend(case.map_err(|error| format!("{file}:{number}: {error}"))?);
        }
    }
    Ok(cases)
}

type Words = BTreeMap<String, Vec<u8>>;

fn parse_line(line: &str, stage: Stage, words: &mut Words) -> Result<Option<Case>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if let Some((word, bytes)) = line.strip_prefix("let ").and_then(|rest| rest.split_once('=')) {
        let bytes = parse_bytes(bytes, words)?;
        words.insert(word.trim().to_owned(), bytes);
        return Ok(None);
    }
    let mut parts = line.splitn(3, '|').map(str::trim);
    let (Some(name), Some(expected), Some(bytes)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("a case is name | expected | bytes".to_owned());
    };
    let expected = match expected {
        "accepted" => Expected::Accepted,
        "waiting" => Expected::Waiting,
        reply if reply.starts_with("reply ") => {
            Expected::Reply(parse_bytes(reply.trim_start_matches("reply "), words)?)
        }
        code => Expected::Refused(code.parse().map_err(|_| format!("what is expected by {code}?"))?),
    };
    let bytes = parse_bytes(bytes, words)?;
    Ok(Some(Case { name: name.to_owned(), stage, bytes, expected }))
}

fn parse_bytes(text: &str, words: &Words) -> Result<Vec<u8>, String> {
    let mut tokens = tokens(text).into_iter();
    parse_group(&mut tokens, words, false)
}

/// Cuts at blanks, and after every brace; text in quotes is one token.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut token = String::new();
    let mut quoted = false;
    for character in text.chars() {
        if character == '"' {
            quoted = !quoted;
            token.push(character);
        } else if !quoted && (character.is_whitespace() || matches!(character, '{' | '}')) {
            tokens.push(std::mem::take(&mut token));
            if !character.is_whitespace() {
                tokens.push(character.to_string());
            }
        } else {
            token.push(character);
        }
    }
    tokens.push(token);
    tokens.retain(|token| !token.is_empty());
    tokens
}

type Tokens = std::vec::IntoIter<String>;

fn parse_group(tokens: &mut Tokens, words: &Words, braced: bool) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    while let Some(token) = tokens.next() {
        match token.as_str() {
            "}" if braced => return Ok(out),
            "frame" => {
                let (kind, channel) = (number(tokens)?, number(tokens)?);
                let payload = braces(tokens, words)?;
                out.push(u8::try_from(kind).map_err(|error| error.to_string())?);
                let channel = u16::try_from(channel).map_err(|error| error.to_string())?;
                out.extend_from_slice(&channel.to_be_bytes());
                push_long(&mut out, &payload)?;
                out.push(crate::constants::FRAME_END);
            }
            "short" => {
                let content = braces(tokens, words)?;
                out.push(u8::try_from(content.len()).map_err(|error| error.to_string())?);
                out.extend_from_slice(&content);
            }
            "long" => push_long(&mut out, &braces(tokens, words)?)?,
            "times" => {
                let count = number(tokens)?;
                let content = braces(tokens, words)?;
                (0..count).for_each(|_| out.extend_from_slice(&content));
            }
            "tables" => out.extend(nested(b"F", b"\x01a", tokens, words)?),
            "arrays" => out.extend(nested(b"A", b"", tokens, words)?),
            token => out.extend(plain(token, words)?),
        }
    }
    if braced { Err("a brace is not closed".to_owned()) } else { Ok(out) }
}

fn plain(token: &str, words: &Words) -> Result<Vec<u8>, String> {
    if let Some(text) = token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return Ok(text.as_bytes().to_vec());
    }
    if let Some(word) = token.strip_prefix('$') {
        return words.get(word).cloned().ok_or(format!("no word {word}"));
    }
    if !token.len().is_multiple_of(2) || !token.is_ascii() {
        return Err(format!("not hex: {token}"));
    }
    (0..token.len())
        .step_by(2)
        .map(|at| {
            let pair = token.get(at..at.saturating_add(2)).unwrap_or_default();
            u8::from_str_radix(pair, 16).map_err(|_| format!("not hex: {token}"))
        })
        .collect()
}

/// `count` containers, one in the other. Lengths are written outermost first, so they are counted first.
fn nested(letter: &[u8], name: &[u8], tokens: &mut Tokens, words: &Words) -> Result<Vec<u8>, String> {
    let count = number(tokens)?;
    let inner = braces(tokens, words)?;
    let level = name.len().saturating_add(letter.len()).saturating_add(4);
    let mut out = Vec::new();
    for around in (0..count).rev() {
        let length = level.saturating_mul(around).saturating_add(inner.len());
        out.extend_from_slice(letter);
        out.extend_from_slice(&u32::try_from(length).map_err(|error| error.to_string())?.to_be_bytes());
        if around > 0 {
            out.extend_from_slice(name);
        }
    }
    out.extend_from_slice(&inner);
    Ok(out)
}

fn push_long(out: &mut Vec<u8>, content: &[u8]) -> Result<(), String> {
    let length = u32::try_from(content.len()).map_err(|error| error.to_string())?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(content);
    Ok(())
}

fn number(tokens: &mut Tokens) -> Result<usize, String> {
    let token = tokens.next().ok_or("a number is missing")?;
    token.parse().map_err(|_| format!("not a number: {token}"))
}

fn braces(tokens: &mut Tokens, words: &Words) -> Result<Vec<u8>, String> {
    match tokens.next().as_deref() {
        Some("{") => parse_group(tokens, words, true),
        other => Err(format!("a brace is missing before {other:?}")),
    }
}

#[cfg(test)]
mod tests;
