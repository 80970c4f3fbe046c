//! Frames into one buffer, appended. The hot ones reserve once and copy.
//!
//! Names longer than a short string are cut at 255 bytes: names that came over the wire cannot be, and
//! RabbitMQ cuts its reply texts so.

use amq_protocol::frame::WriteContext;
use amq_protocol::protocol::gen_class;

use crate::amqp::AMQPClass;
use crate::constants::{
    FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD, FRAME_OVERHEAD_BYTES,
    basic_method_id, class_id,
};
use crate::error::EncodeError;
use crate::method::{Ack, Deliver, GetOk, Nack, Publish, Reject, Return, clip_short};

/// Type, channel and size of a frame: its first seven bytes.
#[inline]
const fn frame_header(octet: u8, channel: u16, payload_bytes: u32) -> [u8; 7] {
    let [c1, c0] = channel.to_be_bytes();
    let [s3, s2, s1, s0] = payload_bytes.to_be_bytes();
    [octet, c1, c0, s3, s2, s1, s0]
}

/// A frame's header and the method's two ids: the first eleven bytes of a method frame.
#[inline]
const fn basic_header(channel: u16, arguments_bytes: u32, method_id: u16) -> [u8; 11] {
    let [t, c1, c0, s3, s2, s1, s0] = frame_header(FRAME_METHOD, channel, arguments_bytes.saturating_add(4));
    let [k1, k0] = class_id::BASIC.to_be_bytes();
    let [m1, m0] = method_id.to_be_bytes();
    [t, c1, c0, s3, s2, s1, s0, k1, k0, m1, m0]
}

/// A short string ready to be written: clipped, its length beside it.
#[derive(Clone, Copy)]
struct Short<'a> {
    length: u8,
    bytes: &'a [u8],
}

impl<'a> Short<'a> {
    #[inline]
    fn new(bytes: &'a [u8]) -> Self {
        let bytes = clip_short(bytes);
        Self { length: u8::try_from(bytes.len()).unwrap_or(u8::MAX), bytes }
    }

    /// Bytes on the wire, length octet included.
    #[inline]
    fn wire_bytes(self) -> u32 {
        u32::from(self.length).saturating_add(1)
    }
}

/// Room for a whole method frame of so many bytes of arguments.
#[inline]
fn reserve_method(out: &mut Vec<u8>, arguments_bytes: u32) {
    let arguments = usize::try_from(arguments_bytes).unwrap_or(usize::MAX);
    out.reserve(arguments.saturating_add(FRAME_OVERHEAD_BYTES).saturating_add(4));
}

/// Appends a method frame of a cold method.
///
/// # Errors
/// If the method does not fit the wire format; the output is then as it was.
pub fn encode_method(out: &mut Vec<u8>, channel: u16, method: AMQPClass) -> Result<(), EncodeError> {
    let context = gen_class(&method)(WriteContext::from(Vec::new()));
    let (payload, _) = context.map_err(|_| EncodeError::Generator)?.into_inner();
    let size = u32::try_from(payload.len()).map_err(|_| EncodeError::TooLong)?;
    out.reserve(payload.len().saturating_add(FRAME_OVERHEAD_BYTES));
    out.extend_from_slice(&frame_header(FRAME_METHOD, channel, size));
    out.extend_from_slice(&payload);
    out.push(FRAME_END);
    Ok(())
}

/// Appends `basic.publish`.
pub fn encode_publish(out: &mut Vec<u8>, channel: u16, publish: &Publish<'_>) {
    let exchange = Short::new(publish.exchange);
    let key = Short::new(publish.routing_key);
    let arguments = exchange.wire_bytes().saturating_add(key.wire_bytes()).saturating_add(3);
    reserve_method(out, arguments);
    out.extend_from_slice(&basic_header(channel, arguments, basic_method_id::PUBLISH));
    out.extend_from_slice(&[0, 0, exchange.length]);
    out.extend_from_slice(exchange.bytes);
    out.push(key.length);
    out.extend_from_slice(key.bytes);
    let bits = u8::from(publish.mandatory) | (u8::from(publish.immediate) << 1);
    out.extend_from_slice(&[bits, FRAME_END]);
}

/// Appends `basic.deliver`.
#[inline]
pub fn encode_deliver(out: &mut Vec<u8>, channel: u16, deliver: &Deliver<'_>) {
    let tag = Short::new(deliver.consumer_tag);
    let exchange = Short::new(deliver.exchange);
    let key = Short::new(deliver.routing_key);
    let names = tag.wire_bytes().saturating_add(exchange.wire_bytes()).saturating_add(key.wire_bytes());
    let arguments = names.saturating_add(9);
    reserve_method(out, arguments);
    let [h0, h1, h2, h3, h4, h5, h6, h7, h8, h9, h10] =
        basic_header(channel, arguments, basic_method_id::DELIVER);
    out.extend_from_slice(&[h0, h1, h2, h3, h4, h5, h6, h7, h8, h9, h10, tag.length]);
    out.extend_from_slice(tag.bytes);
    let [d7, d6, d5, d4, d3, d2, d1, d0] = deliver.delivery_tag.to_be_bytes();
    let redelivered = u8::from(deliver.redelivered);
    out.extend_from_slice(&[d7, d6, d5, d4, d3, d2, d1, d0, redelivered, exchange.length]);
    out.extend_from_slice(exchange.bytes);
    out.push(key.length);
    out.extend_from_slice(key.bytes);
    out.push(FRAME_END);
}

/// Appends `basic.get-ok`.
pub fn encode_get_ok(out: &mut Vec<u8>, channel: u16, get_ok: &GetOk<'_>) {
    let exchange = Short::new(get_ok.exchange);
    let key = Short::new(get_ok.routing_key);
    let arguments = exchange.wire_bytes().saturating_add(key.wire_bytes()).saturating_add(13);
    reserve_method(out, arguments);
    out.extend_from_slice(&basic_header(channel, arguments, basic_method_id::GET_OK));
    out.extend_from_slice(&get_ok.delivery_tag.to_be_bytes());
    out.extend_from_slice(&[u8::from(get_ok.redelivered), exchange.length]);
    out.extend_from_slice(exchange.bytes);
    out.push(key.length);
    out.extend_from_slice(key.bytes);
    out.extend_from_slice(&get_ok.message_count.to_be_bytes());
    out.push(FRAME_END);
}

/// Appends `basic.return`.
pub fn encode_return(out: &mut Vec<u8>, channel: u16, returned: &Return<'_>) {
    let text = Short::new(returned.reply_text);
    let exchange = Short::new(returned.exchange);
    let key = Short::new(returned.routing_key);
    let names = text.wire_bytes().saturating_add(exchange.wire_bytes()).saturating_add(key.wire_bytes());
    let arguments = names.saturating_add(2);
    reserve_method(out, arguments);
    out.extend_from_slice(&basic_header(channel, arguments, basic_method_id::RETURN));
    out.extend_from_slice(&returned.reply_code.to_be_bytes());
    for name in [text, exchange, key] {
        out.push(name.length);
        out.extend_from_slice(name.bytes);
    }
    out.push(FRAME_END);
}

/// Appends a method of a delivery tag and bits: ack, nack or reject.
#[inline]
fn encode_settlement(out: &mut Vec<u8>, channel: u16, method_id: u16, delivery_tag: u64, bits: u8) {
    let [h0, h1, h2, h3, h4, h5, h6, h7, h8, h9, h10] = basic_header(channel, 9, method_id);
    let [d7, d6, d5, d4, d3, d2, d1, d0] = delivery_tag.to_be_bytes();
    out.extend_from_slice(&[
        h0, h1, h2, h3, h4, h5, h6, h7, h8, h9, h10, d7, d6, d5, d4, d3, d2, d1, d0, bits, FRAME_END,
    ]);
}

/// Appends `basic.ack`.
#[inline]
pub fn encode_ack(out: &mut Vec<u8>, channel: u16, ack: &Ack) {
    encode_settlement(out, channel, basic_method_id::ACK, ack.delivery_tag, u8::from(ack.multiple));
}

/// Appends `basic.nack`.
#[inline]
pub fn encode_nack(out: &mut Vec<u8>, channel: u16, nack: &Nack) {
    let bits = u8::from(nack.multiple) | (u8::from(nack.requeue) << 1);
    encode_settlement(out, channel, basic_method_id::NACK, nack.delivery_tag, bits);
}

/// Appends `basic.reject`.
#[inline]
pub fn encode_reject(out: &mut Vec<u8>, channel: u16, reject: &Reject) {
    let bits = u8::from(reject.requeue);
    encode_settlement(out, channel, basic_method_id::REJECT, reject.delivery_tag, bits);
}

/// Appends a content header; `raw_properties` are flags word and values, copied as they are.
///
/// They come from one frame or from [`PropertiesBuilder`](crate::properties::PropertiesBuilder); beyond
/// 4 GiB they would be cut.
#[inline]
pub fn encode_content_header(
    out: &mut Vec<u8>,
    channel: u16,
    class_id: u16,
    body_size: u64,
    raw_properties: &[u8],
) {
    let size = u32::try_from(raw_properties.len().saturating_add(12)).unwrap_or(u32::MAX);
    out.reserve(raw_properties.len().saturating_add(12).saturating_add(FRAME_OVERHEAD_BYTES));
    let [t, c1, c0, s3, s2, s1, s0] = frame_header(FRAME_HEADER, channel, size);
    let [k1, k0] = class_id.to_be_bytes();
    let [b7, b6, b5, b4, b3, b2, b1, b0] = body_size.to_be_bytes();
    out.extend_from_slice(&[t, c1, c0, s3, s2, s1, s0, k1, k0, 0, 0, b7, b6, b5, b4, b3, b2, b1, b0]);
    out.extend_from_slice(raw_properties);
    out.push(FRAME_END);
}

/// Appends a body as frames of at most `frame_max` bytes each, none for an empty body.
///
/// A `frame_max` of 0 is no limit, as in connection.tune.
#[inline]
pub fn encode_body(out: &mut Vec<u8>, channel: u16, frame_max: u32, body: &[u8]) {
    let chunk_bytes = body_bytes_per_frame(frame_max);
    if body.len() <= chunk_bytes {
        if !body.is_empty() {
            encode_body_frame(out, channel, body);
        }
        return;
    }
    let frames = body.len().div_ceil(chunk_bytes);
    out.reserve(body.len().saturating_add(frames.saturating_mul(FRAME_OVERHEAD_BYTES)));
    for chunk in body.chunks(chunk_bytes) {
        encode_body_frame(out, channel, chunk);
    }
}

#[inline]
fn encode_body_frame(out: &mut Vec<u8>, channel: u16, chunk: &[u8]) {
    out.reserve(chunk.len().saturating_add(FRAME_OVERHEAD_BYTES));
    out.extend_from_slice(&body_frame_header(channel, u32::try_from(chunk.len()).unwrap_or(u32::MAX)));
    out.extend_from_slice(chunk);
    out.push(FRAME_END);
}

/// Body bytes that fit into one frame of `frame_max` bytes; at least one.
#[inline]
pub fn body_bytes_per_frame(frame_max: u32) -> usize {
    let frame_max = if frame_max == 0 { u32::MAX } else { frame_max };
    let overhead = FRAME_OVERHEAD_BYTES;
    usize::try_from(frame_max).unwrap_or(usize::MAX).saturating_sub(overhead).max(1)
}

/// The seven bytes before `len` bytes of body; [`FRAME_END`] follows them. For vectored writes.
#[inline]
pub const fn body_frame_header(channel: u16, len: u32) -> [u8; 7] {
    frame_header(FRAME_BODY, channel, len)
}

/// Appends a heartbeat, always on channel 0.
pub fn encode_heartbeat(out: &mut Vec<u8>) {
    out.extend_from_slice(&[FRAME_HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END]);
}
