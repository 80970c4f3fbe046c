//! Nanoseconds for the message path's codec: `cargo bench -p leveret-protocol`.
//!
//! Each figure is the best of many short rounds, since other work on the machine only ever adds.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use leveret_protocol::encode;
use leveret_protocol::frame::parse_frame;
use leveret_protocol::method::{Ack, Deliver, Method, Publish, decode_method};
use leveret_protocol::properties::{PropertiesBuilder, Property, PropertyView, parse_content_header};

const ROUNDS: usize = 2_000;
const REPEATS: u32 = 2_000;
const FRAME_MAX: u32 = 131_072;

fn measure(name: &str, mut work: impl FnMut()) {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        (0..REPEATS).for_each(|_| work());
        best = best.min(started.elapsed().as_secs_f64() * 1e9 / f64::from(REPEATS));
    }
    let _written = writeln!(std::io::stdout(), "{name:44} {best:7.1} ns");
}

fn rich_properties() -> Vec<u8> {
    let mut builder = PropertiesBuilder::new();
    builder
        .set_text(Property::ContentType, b"application/json")
        .set_octet(Property::DeliveryMode, 2)
        .set_text(Property::CorrelationId, b"4a9e1f0c-6a7b-4a50-a1c5-000000000001")
        .set_text(Property::MessageId, b"message-1")
        .set_timestamp(1_700_000_000)
        .set_headers(b"\x03keyS\x00\x00\x00\x05value\x05countI\x00\x00\x00\x07");
    builder.to_vec()
}

fn publish_bytes(properties: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let publish = Publish { exchange: b"amq.topic", routing_key: b"orders.eu.created", ..Publish::default() };
    encode::encode_publish(&mut out, 1, &publish);
    encode::encode_content_header(&mut out, 1, 60, body.len() as u64, properties);
    encode::encode_body(&mut out, 1, FRAME_MAX, body);
    out
}

/// Reads method, header and body; true if all were there.
fn read_publish(mut bytes: &[u8]) -> bool {
    let mut next = || {
        let (frame, used) = parse_frame(bytes, FRAME_MAX).ok().flatten()?;
        bytes = bytes.get(used..)?;
        Some(frame)
    };
    let Some((method, header, body)) = next().zip(next()).zip(next()).map(|((m, h), b)| (m, h, b)) else {
        return false;
    };
    let method = decode_method(method.payload);
    let header = parse_content_header(header.payload);
    let properties = header.and_then(|header| PropertyView::parse(header.properties));
    black_box(body.payload.len());
    matches!(black_box(method), Ok(Method::Publish(_))) && black_box(properties).is_ok()
}

fn main() {
    let plain = b"\x10\x00\x02".to_vec();
    let rich = rich_properties();
    for (named, properties) in [("delivery mode only", &plain), ("rich properties", &rich)] {
        for body_bytes in [16usize, 1024] {
            let body = vec![0x55; body_bytes];
            let bytes = publish_bytes(properties, &body);
            measure(&format!("read publish, {body_bytes} B, {named}"), || {
                assert!(read_publish(black_box(&bytes)));
            });
            let mut out = Vec::with_capacity(4096);
            let deliver = Deliver {
                consumer_tag: b"amq.ctag-ZkPqfDVpzW4zVYg8sK1x5A",
                delivery_tag: 17,
                redelivered: false,
                exchange: b"amq.topic",
                routing_key: b"orders.eu.created",
            };
            measure(&format!("write deliver, {body_bytes} B, {named}"), || {
                out.clear();
                encode::encode_deliver(&mut out, 1, black_box(&deliver));
                encode::encode_content_header(&mut out, 1, 60, body.len() as u64, black_box(properties));
                encode::encode_body(&mut out, 1, FRAME_MAX, black_box(&body));
                black_box(&out);
            });
        }
    }
    let mut out = Vec::with_capacity(4096);
    let ack = Ack { delivery_tag: 17, multiple: true };
    measure("write ack", || {
        out.clear();
        encode::encode_ack(&mut out, 1, black_box(&ack));
        black_box(&out);
    });
    measure("read ack", || {
        let frame = parse_frame(black_box(&out), FRAME_MAX).ok().flatten();
        let method = frame.map(|(frame, _)| decode_method(frame.payload));
        assert!(matches!(black_box(method), Some(Ok(Method::Ack(_)))));
    });
}
