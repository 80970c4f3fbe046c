//! Field values as RabbitMQ prints them in reply texts: its type names and Erlang terms.

use std::fmt::{self, Write as _};

use leveret_protocol::field_table::{FieldTable, FieldValue};

/// RabbitMQ's name of a value's type (`rabbit_binary_parser`), as in `{unacceptable_type,signedint}`.
#[must_use]
pub const fn type_name(value: &FieldValue<'_>) -> &'static str {
    match value {
        FieldValue::Bool(_) => "bool",
        FieldValue::I8(_) => "byte",
        FieldValue::U8(_) => "unsignedbyte",
        FieldValue::I16(_) => "short",
        FieldValue::U16(_) => "unsignedshort",
        FieldValue::I32(_) => "signedint",
        FieldValue::U32(_) => "unsignedint",
        FieldValue::I64(_) => "long",
        FieldValue::F32(_) => "float",
        FieldValue::F64(_) => "double",
        FieldValue::Decimal { .. } => "decimal",
        FieldValue::LongString(_) => "longstr",
        FieldValue::Bytes(_) => "binary",
        FieldValue::Timestamp(_) => "timestamp",
        FieldValue::Array(_) => "array",
        FieldValue::Table(_) => "table",
        FieldValue::Void => "void",
    }
}

/// A value as `~p` prints it: `<<"text">>`, `5`, `true`, `[{longstr,<<"a">>}]`.
#[derive(Clone, Copy, Debug)]
pub struct Term<'a>(pub FieldValue<'a>);

impl fmt::Display for Term<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_value(f, &self.0)
    }
}

/// A byte string as `~p` prints it: `<<"text">>`, or its octets if it is no printable text.
#[derive(Clone, Copy, Debug)]
pub struct Binary<'a>(pub &'a [u8]);

impl fmt::Display for Binary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok("") => f.write_str("<<>>"),
            Ok(text) if text.chars().all(|c| !c.is_control()) => {
                f.write_str("<<\"")?;
                for c in text.chars() {
                    if matches!(c, '"' | '\\') {
                        f.write_char('\\')?;
                    }
                    f.write_char(c)?;
                }
                f.write_str(if text.is_ascii() { "\">>" } else { "\"/utf8>>" })
            }
            _ => {
                f.write_str("<<")?;
                for (place, octet) in self.0.iter().enumerate() {
                    write!(f, "{}{octet}", if place == 0 { "" } else { "," })?;
                }
                f.write_str(">>")
            }
        }
    }
}

// Recurses as deep as a checked table goes (`leveret_protocol::limits::TABLE_DEPTH`).
fn write_value(f: &mut fmt::Formatter<'_>, value: &FieldValue<'_>) -> fmt::Result {
    match *value {
        FieldValue::Bool(value) => write!(f, "{value}"),
        FieldValue::I8(value) => write!(f, "{value}"),
        FieldValue::U8(value) => write!(f, "{value}"),
        FieldValue::I16(value) => write!(f, "{value}"),
        FieldValue::U16(value) => write!(f, "{value}"),
        FieldValue::I32(value) => write!(f, "{value}"),
        FieldValue::U32(value) => write!(f, "{value}"),
        FieldValue::I64(value) => write!(f, "{value}"),
        FieldValue::F32(value) => write!(f, "{:?}", f64::from(value)),
        FieldValue::F64(value) => write!(f, "{value:?}"),
        FieldValue::Decimal { scale, value } => write!(f, "{{{scale},{value}}}"),
        FieldValue::LongString(bytes) | FieldValue::Bytes(bytes) => write!(f, "{}", Binary(bytes)),
        FieldValue::Timestamp(value) => write!(f, "{value}"),
        FieldValue::Void => f.write_str("undefined"),
        FieldValue::Table(table) => write_table(f, table),
        FieldValue::Array(array) => {
            f.write_char('[')?;
            for (place, value) in array.iter().enumerate() {
                write!(f, "{}{{{},", if place == 0 { "" } else { "," }, type_name(&value))?;
                write_value(f, &value)?;
                f.write_char('}')?;
            }
            f.write_char(']')
        }
    }
}

fn write_table(f: &mut fmt::Formatter<'_>, table: FieldTable<'_>) -> fmt::Result {
    f.write_char('[')?;
    for (place, (name, value)) in table.iter().enumerate() {
        write!(f, "{}{{{},{},", if place == 0 { "" } else { "," }, Binary(name), type_name(&value))?;
        write_value(f, &value)?;
        f.write_char('}')?;
    }
    f.write_char(']')
}

#[cfg(test)]
mod tests {
    use leveret_protocol::field_table::{ArrayWriter, TableWriter};

    use super::*;

    #[test]
    fn values_print_as_rabbitmq_prints_them() {
        let mut array = ArrayWriter::new();
        array.put(&FieldValue::LongString(b"a")).expect("short");
        let mut table = TableWriter::new();
        table.put(b"a", &FieldValue::I32(1)).expect("short");
        for (value, name, text) in [
            (FieldValue::I32(5), "signedint", "5"),
            (FieldValue::I64(1_099_511_627_776), "long", "1099511627776"),
            (FieldValue::Bool(true), "bool", "true"),
            (FieldValue::Void, "void", "undefined"),
            (FieldValue::LongString(b"foo"), "longstr", "<<\"foo\">>"),
            (FieldValue::LongString(b""), "longstr", "<<>>"),
            (FieldValue::LongString(b"\xff\x01"), "longstr", "<<255,1>>"),
            (FieldValue::Bytes(b"all"), "binary", "<<\"all\">>"),
            (FieldValue::Array(array.as_array().expect("checked")), "array", "[{longstr,<<\"a\">>}]"),
            (FieldValue::Table(table.as_table().expect("checked")), "table", "[{<<\"a\">>,signedint,1}]"),
            (FieldValue::F64(1.5), "double", "1.5"),
        ] {
            assert_eq!(type_name(&value), name);
            assert_eq!(Term(value).to_string(), text);
        }
    }
}
