//! A frame of the broker in words, one line each: the form in which goldens are kept.

use crate::wire::{self, Frame, Reader};

/// Methods that a broker sends: class, method, name, kinds of arguments.
///
/// Kinds: `o` octet, `s` short, `l` long, `q` longlong, `b` bit, `S` short string, `L` long string or table
/// (its length only).
const METHODS: &[(u16, u16, &str, &str)] = &[
    (10, 10, "connection.start", ""),
    (10, 20, "connection.secure", ""),
    (10, 30, "connection.tune", "sls"),
    (10, 41, "connection.open-ok", ""),
    (10, 50, "connection.close", "sSss"),
    (10, 51, "connection.close-ok", ""),
    (10, 60, "connection.blocked", "S"),
    (10, 61, "connection.unblocked", ""),
    (10, 71, "connection.update-secret-ok", ""),
    (20, 11, "channel.open-ok", "L"),
    (20, 20, "channel.flow", "b"),
    (20, 21, "channel.flow-ok", "b"),
    (20, 40, "channel.close", "sSss"),
    (20, 41, "channel.close-ok", ""),
    (30, 11, "access.request-ok", "s"),
    (40, 11, "exchange.declare-ok", ""),
    (40, 21, "exchange.delete-ok", ""),
    (40, 31, "exchange.bind-ok", ""),
    (40, 51, "exchange.unbind-ok", ""),
    (50, 11, "queue.declare-ok", "Sll"),
    (50, 21, "queue.bind-ok", ""),
    (50, 31, "queue.purge-ok", "l"),
    (50, 41, "queue.delete-ok", "l"),
    (50, 51, "queue.unbind-ok", ""),
    (60, 11, "basic.qos-ok", ""),
    (60, 21, "basic.consume-ok", "S"),
    (60, 30, "basic.cancel", "Sb"),
    (60, 31, "basic.cancel-ok", "S"),
    (60, 50, "basic.return", "sSSS"),
    (60, 60, "basic.deliver", "SqbSS"),
    (60, 71, "basic.get-ok", "qbSSl"),
    (60, 72, "basic.get-empty", ""),
    (60, 80, "basic.ack", "qb"),
    (60, 111, "basic.recover-ok", ""),
    (60, 120, "basic.nack", "qbb"),
    (85, 11, "confirm.select-ok", ""),
    (90, 11, "tx.select-ok", ""),
    (90, 21, "tx.commit-ok", ""),
    (90, 31, "tx.rollback-ok", ""),
];

/// One line: the channel when it is not 0, the method's name, its arguments. Names made by the broker lose their
/// random part.
#[must_use]
pub fn describe(frame: &Frame) -> String {
    let place = if frame.channel == 0 { String::new() } else { format!("channel {}: ", frame.channel) };
    let text = match frame.kind {
        wire::METHOD => method(frame),
        wire::HEADER => format!("header, {} octets", frame.payload.len()),
        wire::BODY => format!("body, {} octets", frame.payload.len()),
        wire::HEARTBEAT => "heartbeat".to_owned(),
        other => format!("frame of type {other}"),
    };
    place + &text
}

fn method(frame: &Frame) -> String {
    let Some((class, method)) = frame.method() else {
        return "a method frame without ids".to_owned();
    };
    let Some((_, _, name, kinds)) = METHODS.iter().find(|m| (m.0, m.1) == (class, method)) else {
        return format!("unknown method ({class}, {method})");
    };
    let mut reader = frame.arguments();
    let mut line = (*name).to_owned();
    for kind in kinds.chars() {
        line.push(' ');
        match argument(kind, &mut reader) {
            Some(text) => line += &text,
            None => line += "(cut short)",
        }
    }
    line
}

fn argument(kind: char, reader: &mut Reader<'_>) -> Option<String> {
    Some(match kind {
        'o' => reader.u8()?.to_string(),
        's' => reader.u16()?.to_string(),
        'l' => reader.u32()?.to_string(),
        'q' => reader.u64()?.to_string(),
        'b' => reader.bit()?.to_string(),
        'S' => format!("{:?}", without_random(&reader.short()?)),
        _ => format!("[{}]", reader.long()?.len()),
    })
}

/// Replaces the random part of names such as `amq.gen-Xa93…` by a star.
fn without_random(text: &str) -> String {
    for prefix in ["amq.gen-", "amq.ctag-"] {
        if let Some(start) = text.find(prefix) {
            let from = start + prefix.len();
            let random = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            let len = text[from..].find(|c| !random(c));
            let to = len.map_or(text.len(), |len| from + len);
            return format!("{}*{}", &text[..from], &text[to..]);
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Writer;

    #[test]
    fn a_close_is_written_with_code_text_and_method() {
        let payload = Writer::method(20, 40).u16(404).short("NOT_FOUND - x").u16(50).u16(10).done();
        let frame = Frame { kind: wire::METHOD, channel: 3, payload };
        assert_eq!(describe(&frame), "channel 3: channel.close 404 \"NOT_FOUND - x\" 50 10");
    }

    #[test]
    fn names_made_by_the_broker_lose_their_random_part() {
        assert_eq!(without_random("queue 'amq.gen-a_B-9' in vhost"), "queue 'amq.gen-*' in vhost");
        assert_eq!(without_random("amq.ctag-xyz"), "amq.ctag-*");
        assert_eq!(without_random("plain"), "plain");
    }
}
