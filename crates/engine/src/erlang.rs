//! The few of Erlang's ways to print a value that RabbitMQ's reply texts show.

use leveret_protocol::amqp::AMQPValue;

/// Bytes as `~tp` prints a binary: as text if all of it is printable, else as numbers.
pub(crate) fn binary(bytes: &[u8]) -> String {
    let printable = |byte: &u8| matches!(byte, 0x20..=0x7e | b'\n' | b'\r' | b'\t');
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.is_empty() && bytes.iter().all(printable) => format!("<<{text:?}>>"),
        _ => {
            let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
            format!("<<{}>>", numbers.join(","))
        }
    }
}

/// A frame's payload as RabbitMQ shows it in a frame error.
pub(crate) fn octets(payload: &[u8]) -> String {
    match payload.get(..16) {
        Some(first) if payload.len() > 16 => format!("first 16 octets = {}", binary(first)),
        _ => format!("all octets = {}", binary(payload)),
    }
}

/// RabbitMQ's name of a field's type (`rabbit_binary_parser`).
pub(crate) fn type_name(value: &AMQPValue) -> &'static str {
    match value {
        AMQPValue::Boolean(_) => "bool",
        AMQPValue::ShortShortInt(_) => "byte",
        AMQPValue::ShortShortUInt(_) => "unsignedbyte",
        AMQPValue::ShortInt(_) => "short",
        AMQPValue::ShortUInt(_) => "unsignedshort",
        AMQPValue::LongInt(_) => "signedint",
        AMQPValue::LongUInt(_) => "unsignedint",
        AMQPValue::LongLongInt(_) => "long",
        AMQPValue::Float(_) => "float",
        AMQPValue::Double(_) => "double",
        AMQPValue::DecimalValue(_) => "decimal",
        AMQPValue::ShortString(_) | AMQPValue::LongString(_) => "longstr",
        AMQPValue::FieldArray(_) => "array",
        AMQPValue::Timestamp(_) => "timestamp",
        AMQPValue::FieldTable(_) => "table",
        AMQPValue::ByteArray(_) => "binary",
        AMQPValue::Void => "void",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_print_as_erlang_prints_them() {
        for (bytes, text) in [
            (&b""[..], "all octets = <<>>"),
            (b"hello", "all octets = <<\"hello\">>"),
            (&[0, 20, 0, 10], "all octets = <<0,20,0,10>>"),
            (&[1; 17], "first 16 octets = <<1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1>>"),
        ] {
            assert_eq!(octets(bytes), text);
        }
    }
}
