//! The methods of the message path, as borrowed slices, read with nom.
//!
//! Names are bytes here: RabbitMQ routes by bytes and so does this broker.

use super::Method;
use crate::constants::basic_method_id;
use crate::error::{DecodeError, DecodeErrorKind, Place};
use crate::read::{Read, offset_of, short_string};
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};

/// `basic.publish` (1.8.3.7). The reserved ticket is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Publish<'a> {
    /// Name of the exchange, empty for the default exchange.
    pub exchange: &'a [u8],
    /// Routing key of the message.
    pub routing_key: &'a [u8],
    /// Return the message if no queue takes it.
    pub mandatory: bool,
    /// RabbitMQ answers 540 to it.
    pub immediate: bool,
}

/// `basic.ack` (1.8.3.13), from a consumer or, as a publisher confirm, to a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ack {
    /// Delivery tag, or publish sequence number.
    pub delivery_tag: u64,
    /// All up to and including the tag; with tag 0, all.
    pub multiple: bool,
}

/// `basic.nack` (RabbitMQ).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Nack {
    /// Delivery tag, or publish sequence number.
    pub delivery_tag: u64,
    /// All up to and including the tag; with tag 0, all.
    pub multiple: bool,
    /// Put back rather than discard or dead-letter.
    pub requeue: bool,
}

/// `basic.reject` (1.8.3.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reject {
    /// Delivery tag.
    pub delivery_tag: u64,
    /// Put back rather than discard or dead-letter.
    pub requeue: bool,
}

/// `basic.deliver` (1.8.3.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deliver<'a> {
    /// Consumer tag.
    pub consumer_tag: &'a [u8],
    /// Delivery tag on the channel.
    pub delivery_tag: u64,
    /// Delivered before.
    pub redelivered: bool,
    /// Exchange it was published to.
    pub exchange: &'a [u8],
    /// Routing key it was published with.
    pub routing_key: &'a [u8],
}

/// `basic.get-ok` (1.8.3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GetOk<'a> {
    /// Delivery tag on the channel.
    pub delivery_tag: u64,
    /// Delivered before.
    pub redelivered: bool,
    /// Exchange it was published to.
    pub exchange: &'a [u8],
    /// Routing key it was published with.
    pub routing_key: &'a [u8],
    /// Messages left in the queue.
    pub message_count: u32,
}

/// `basic.return` (1.8.3.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Return<'a> {
    /// Why: 312 `NO_ROUTE`.
    pub reply_code: u16,
    /// The same in words.
    pub reply_text: &'a [u8],
    /// Exchange it was published to.
    pub exchange: &'a [u8],
    /// Routing key it was published with.
    pub routing_key: &'a [u8],
}

/// Decodes the arguments of a hot method of the basic class; `None` if the method is not hot.
#[inline]
pub(super) fn decode(method_id: u16, arguments: &[u8]) -> Option<Result<Method<'_>, DecodeError>> {
    Some(match method_id {
        basic_method_id::PUBLISH => whole(arguments, publish).map(Method::Publish),
        basic_method_id::ACK => whole(arguments, ack).map(Method::Ack),
        basic_method_id::NACK => whole(arguments, nack).map(Method::Nack),
        basic_method_id::REJECT => whole(arguments, reject).map(Method::Reject),
        basic_method_id::DELIVER => whole(arguments, deliver).map(Method::Deliver),
        basic_method_id::GET_OK => whole(arguments, get_ok).map(Method::GetOk),
        basic_method_id::RETURN => whole(arguments, returned).map(Method::Return),
        _ => return None,
    })
}

/// Reads all of `arguments` with `reader`: nothing may be missing or left over.
#[inline]
fn whole<'a, T>(arguments: &'a [u8], reader: impl Fn(&'a [u8]) -> Read<'a, T>) -> Result<T, DecodeError> {
    match reader(arguments) {
        Ok(([], value)) => Ok(value),
        Ok((rest, _)) => Err(method_error(DecodeErrorKind::TrailingBytes, offset_of(arguments, rest))),
        Err(_) => Err(method_error(DecodeErrorKind::Truncated, arguments.len())),
    }
}

/// Offsets of this place count from the class id, four bytes before the arguments.
#[cold]
fn method_error(kind: DecodeErrorKind, offset: usize) -> DecodeError {
    DecodeError::new(kind, Place::Method, offset.saturating_add(4))
}

const fn bit(bits: u8, index: u8) -> bool {
    (bits >> index) & 1 == 1
}

fn publish(input: &[u8]) -> Read<'_, Publish<'_>> {
    let (input, _ticket) = be_u16(input)?;
    let (input, exchange) = short_string(input)?;
    let (input, routing_key) = short_string(input)?;
    let (input, bits) = be_u8(input)?;
    let (mandatory, immediate) = (bit(bits, 0), bit(bits, 1));
    Ok((input, Publish { exchange, routing_key, mandatory, immediate }))
}

fn ack(input: &[u8]) -> Read<'_, Ack> {
    let (input, delivery_tag) = be_u64(input)?;
    let (input, bits) = be_u8(input)?;
    Ok((input, Ack { delivery_tag, multiple: bit(bits, 0) }))
}

fn nack(input: &[u8]) -> Read<'_, Nack> {
    let (input, delivery_tag) = be_u64(input)?;
    let (input, bits) = be_u8(input)?;
    Ok((input, Nack { delivery_tag, multiple: bit(bits, 0), requeue: bit(bits, 1) }))
}

fn reject(input: &[u8]) -> Read<'_, Reject> {
    let (input, delivery_tag) = be_u64(input)?;
    let (input, bits) = be_u8(input)?;
    Ok((input, Reject { delivery_tag, requeue: bit(bits, 0) }))
}

fn deliver(input: &[u8]) -> Read<'_, Deliver<'_>> {
    let (input, consumer_tag) = short_string(input)?;
    let (input, delivery_tag) = be_u64(input)?;
    let (input, bits) = be_u8(input)?;
    let (input, exchange) = short_string(input)?;
    let (input, routing_key) = short_string(input)?;
    let redelivered = bit(bits, 0);
    Ok((input, Deliver { consumer_tag, delivery_tag, redelivered, exchange, routing_key }))
}

fn get_ok(input: &[u8]) -> Read<'_, GetOk<'_>> {
    let (input, delivery_tag) = be_u64(input)?;
    let (input, bits) = be_u8(input)?;
    let (input, exchange) = short_string(input)?;
    let (input, routing_key) = short_string(input)?;
    let (input, message_count) = be_u32(input)?;
    let redelivered = bit(bits, 0);
    Ok((input, GetOk { delivery_tag, redelivered, exchange, routing_key, message_count }))
}

fn returned(input: &[u8]) -> Read<'_, Return<'_>> {
    let (input, reply_code) = be_u16(input)?;
    let (input, reply_text) = short_string(input)?;
    let (input, exchange) = short_string(input)?;
    let (input, routing_key) = short_string(input)?;
    Ok((input, Return { reply_code, reply_text, exchange, routing_key }))
}
