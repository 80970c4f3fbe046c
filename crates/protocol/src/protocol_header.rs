//! The eight bytes that open a connection (spec 4.2.2), and what to answer to anything else.

/// `AMQP 0 0 9 1`, what a 0-9-1 client sends and what a wrong 0-x version is answered.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

/// What to do with the first bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderVerdict {
    /// Fewer than eight bytes, and nothing wrong with them yet.
    NeedMore,
    /// AMQP 0-9-1; eight bytes are consumed.
    Amqp091,
    /// Send these bytes, then close.
    Reply([u8; 8]),
    /// An HTTP request: worth a plain word in the log. Answer as garbage, with [`GARBAGE_REPLY`].
    Http,
    /// A TLS hello: worth a plain word in the log. Answer as garbage, with [`GARBAGE_REPLY`].
    Tls,
}

/// What RabbitMQ 4 answers to anything that is not AMQP 0-x: the header of AMQP 1.0 with SASL.
pub const GARBAGE_REPLY: [u8; 8] = *b"AMQP\x03\x01\x00\x00";

/// AMQP 0-9's header, which RabbitMQ takes for 0-9-1.
const HEADER_0_9: [u8; 8] = *b"AMQP\x01\x01\x00\x09";

/// First words of an HTTP request.
const HTTP_METHODS: [&[u8]; 8] =
    [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"CONNECT ", b"OPTIONS "];

/// Judges the first bytes of a connection, as RabbitMQ 4.0.5 does: never before there are eight.
///
/// One intended difference: RabbitMQ goes on to speak AMQP 1.0 after `AMQP 3 1 0 0`; a broker that
/// does not is bound by the spec to name a version that it speaks, so the answer is 0-9-1.
pub fn check_protocol_header(buf: &[u8]) -> HeaderVerdict {
    let Some(header) = buf.first_chunk::<8>() else {
        return HeaderVerdict::NeedMore;
    };
    match *header {
        PROTOCOL_HEADER | HEADER_0_9 => HeaderVerdict::Amqp091,
        GARBAGE_REPLY => HeaderVerdict::Reply(PROTOCOL_HEADER),
        [b'A', b'M', b'Q', b'P', 0, 0, minor, _] if minor >= 9 => HeaderVerdict::Reply(PROTOCOL_HEADER),
        [0x16, 0x03, ..] => HeaderVerdict::Tls,
        other if HTTP_METHODS.iter().any(|method| other.starts_with(method)) => HeaderVerdict::Http,
        _ => HeaderVerdict::Reply(GARBAGE_REPLY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers recorded from RabbitMQ 4.0.5, but for the one said in [`check_protocol_header`].
    #[test]
    fn each_header_gets_its_verdict() {
        let old = HeaderVerdict::Reply(PROTOCOL_HEADER);
        let garbage = HeaderVerdict::Reply(GARBAGE_REPLY);
        let table: [(&[u8], HeaderVerdict); 22] = [
            (b"", HeaderVerdict::NeedMore),
            (b"AMQP", HeaderVerdict::NeedMore),
            (b"XXXXXXX", HeaderVerdict::NeedMore),
            (b"AMQP\0\0\x09\x01", HeaderVerdict::Amqp091),
            (b"AMQP\0\0\x09\x01more", HeaderVerdict::Amqp091),
            (b"AMQP\x01\x01\0\x09", HeaderVerdict::Amqp091),
            (b"AMQP\0\0\x09\0", old),
            (b"AMQP\0\0\x09\x02", old),
            (b"AMQP\0\0\x0a\0", old),
            (b"AMQP\x03\x01\0\0", old),
            (b"AMQP\0\0\x08\0", garbage),
            (b"AMQP\x01\x01\x08\0", garbage),
            (b"AMQP\x01\x01\x09\x01", garbage),
            (b"AMQP\0\x01\0\0", garbage),
            (b"AMQP\x02\x01\0\0", garbage),
            (b"AMQP\0\x09\0\x01", garbage),
            (b"AMQPxxxx", garbage),
            (b"AMQX\0\0\x09\x01", garbage),
            (b"\0\0\0\0\0\0\0\0", garbage),
            (b"GET / HT", HeaderVerdict::Http),
            (b"OPTIONS ", HeaderVerdict::Http),
            (b"\x16\x03\x01\0\xff\x01\0\0", HeaderVerdict::Tls),
        ];
        for (bytes, verdict) in table {
            assert_eq!(check_protocol_header(bytes), verdict, "{bytes:?}");
        }
    }
}
