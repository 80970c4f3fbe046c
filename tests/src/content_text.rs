//! Properties and field tables in words: the form in which goldens keep messages.
//!
//! A value is written as a letter of its AMQP type, a colon and the value; long strings, signed longs and booleans
//! go without letter. Arrays stand in brackets, tables in braces; fields are in their order on the wire, headers by name.

use crate::wire::Reader;

/// Properties in the order of their flags: place of the flag, name, kind as in a field table (`o` octet, `c` short
/// string).
const PROPERTIES: &[(u16, &str, char)] = &[
    (15, "content-type", 'c'),
    (14, "content-encoding", 'c'),
    (13, "headers", 'F'),
    (12, "delivery-mode", 'o'),
    (11, "priority", 'o'),
    (10, "correlation-id", 'c'),
    (9, "reply-to", 'c'),
    (8, "expiration", 'c'),
    (7, "message-id", 'c'),
    (6, "timestamp", 'T'),
    (5, "type", 'c'),
    (4, "user-id", 'c'),
    (3, "app-id", 'c'),
    (2, "cluster-id", 'c'),
];

/// Property flags and list of a content header in words, as `name=value` behind each other.
#[must_use]
pub fn properties(bytes: &[u8]) -> String {
    let mut reader = Reader::new(bytes);
    let mut words = Vec::new();
    let flags = reader.u16().unwrap_or_default();
    for (place, name, kind) in PROPERTIES {
        if flags >> place & 1 == 0 {
            continue;
        }
        let text = match kind {
            'o' => reader.u8().map(|octet| octet.to_string()),
            'c' => reader.short(),
            'T' => reader.u64().map(|seconds| seconds.to_string()),
            _ => reader.long().and_then(headers),
        };
        words.push(format!("{name}={}", text.unwrap_or_else(|| "(cut short)".to_owned())));
    }
    words.join(" ")
}

/// The fields of a table without its length, in words; `None` when it cannot be read.
#[must_use]
pub fn table(bytes: &[u8]) -> Option<String> {
    fields(bytes).map(|fields| braced(&fields))
}

/// Headers by name: no client sees their order, and RabbitMQ gives them sorted.
fn headers(bytes: &[u8]) -> Option<String> {
    let mut fields = fields(bytes)?;
    fields.sort();
    Some(braced(&fields))
}

fn braced(fields: &[String]) -> String {
    format!("{{{}}}", fields.join(", "))
}

fn fields(bytes: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader::new(bytes);
    let mut fields = Vec::new();
    while !reader.rest().is_empty() {
        let key = reader.short()?;
        let mut text = value(&mut reader)?;
        // When a message died is nothing that two brokers could agree on.
        if key == "time" && text.starts_with("T:") {
            text = "T:*".to_owned();
        }
        fields.push(format!("{key}={text}"));
    }
    Some(fields)
}

fn value(reader: &mut Reader<'_>) -> Option<String> {
    let letter = char::from(reader.u8()?);
    Some(match letter {
        't' => (reader.u8()? != 0).to_string(),
        'S' => text(reader.long()?),
        'I' => reader.u32()?.cast_signed().to_string(),
        'F' => table(reader.long()?)?,
        'A' => {
            let mut items = Reader::new(reader.long()?);
            let mut texts = Vec::new();
            while !items.rest().is_empty() {
                texts.push(value(&mut items)?);
            }
            format!("[{}]", texts.join(", "))
        }
        'V' => "void".to_owned(),
        'b' => format!("b:{}", reader.u8()?.cast_signed()),
        'B' => format!("B:{}", reader.u8()?),
        's' => format!("s:{}", reader.u16()?.cast_signed()),
        'u' => format!("u:{}", reader.u16()?),
        'i' => format!("i:{}", reader.u32()?),
        'l' => format!("l:{}", reader.u64()?.cast_signed()),
        'T' => format!("T:{}", reader.u64()?),
        'f' => format!("f:{}", f32::from_bits(reader.u32()?)),
        'd' => format!("d:{}", f64::from_bits(reader.u64()?)),
        'D' => format!("D:{}/{}", reader.u8()?, reader.u32()?),
        'x' => format!("x:{}", reader.long()?.escape_ascii()),
        _ => return None,
    })
}

fn text(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{methods::Properties, wire::Table};

    #[test]
    fn properties_and_headers_are_written_with_their_types() {
        let death = Table::default().field("count", b'l', &3_u64.to_be_bytes()).field("time", b'T', &[1; 8]);
        let headers = Table::default().int("n", -1).texts("keys", &["a", "b"]).table("death", &death);
        let properties = Properties { headers: Some(headers), priority: Some(5), ..Properties::default() };
        let words = super::properties(&properties.bytes());
        let expected = r#"headers={death={count=l:3, time=T:*}, keys=["a", "b"], n=-1} priority=5"#;
        assert_eq!(words, expected);
    }

    #[test]
    fn a_table_cut_short_is_none() {
        let bytes = Table::default().int("n", 1).0;
        assert_eq!(table(&bytes[..bytes.len() - 1]), None);
    }
}
