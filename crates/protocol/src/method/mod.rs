//! Methods: which one a payload is, decoded by hand if hot, by amq-protocol if cold.

mod hot;

pub use hot::{Ack, Deliver, GetOk, Nack, Publish, Reject, Return};

use crate::amqp::AMQPClass;
use crate::constants::{FRAME_METHOD, basic_method_id, class_id};
use crate::error::{DecodeError, DecodeErrorKind, Place};
use crate::layout::{self, check_method};
use crate::limits::SHORT_STRING_BYTES;
use amq_protocol::protocol::parse_class;

/// A decoded method. The hot ones borrow from the frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Method<'a> {
    /// `basic.publish`.
    Publish(Publish<'a>),
    /// `basic.ack`.
    Ack(Ack),
    /// `basic.nack`.
    Nack(Nack),
    /// `basic.reject`.
    Reject(Reject),
    /// `basic.deliver`.
    Deliver(Deliver<'a>),
    /// `basic.get-ok`.
    GetOk(GetOk<'a>),
    /// `basic.return`.
    Return(Return<'a>),
    /// Any other method. Never holds one of the above.
    Cold(AMQPClass),
}

impl Method<'_> {
    /// Class and method id, as connection.close and channel.close name them.
    pub fn ids(&self) -> (u16, u16) {
        let method_id = match self {
            Self::Publish(_) => basic_method_id::PUBLISH,
            Self::Ack(_) => basic_method_id::ACK,
            Self::Nack(_) => basic_method_id::NACK,
            Self::Reject(_) => basic_method_id::REJECT,
            Self::Deliver(_) => basic_method_id::DELIVER,
            Self::GetOk(_) => basic_method_id::GET_OK,
            Self::Return(_) => basic_method_id::RETURN,
            Self::Cold(class) => return (class.get_amqp_class_id(), class.get_amqp_method_id()),
        };
        (class_id::BASIC, method_id)
    }
}

/// Decodes a method frame's payload.
///
/// # Errors
/// [`DecodeErrorKind::UnknownMethod`] (540) for ids that no method has; 501 for arguments that are cut
/// short, left over or, in a cold method, not UTF-8, and for tables beyond the bounds. The error carries
/// class and method.
#[inline]
pub fn decode_method(payload: &[u8]) -> Result<Method<'_>, DecodeError> {
    let Some((&[class_high, class_low, method_high, method_low], arguments)) =
        payload.split_first_chunk::<4>()
    else {
        return Err(DecodeError::new(DecodeErrorKind::UnknownFrame(FRAME_METHOD), Place::Method, 0));
    };
    let class = u16::from_be_bytes([class_high, class_low]);
    let method = u16::from_be_bytes([method_high, method_low]);
    let hot = if class == class_id::BASIC { hot::decode(method, arguments) } else { None };
    match hot {
        Some(decoded) => decoded.map_err(|error| error.in_method(class, method)),
        None => decode_cold(class, method, payload, arguments),
    }
}

#[inline(never)]
fn decode_cold<'a>(
    class: u16,
    method: u16,
    payload: &'a [u8],
    arguments: &'a [u8],
) -> Result<Method<'a>, DecodeError> {
    let error = |kind| DecodeError::new(kind, Place::Method, 0).in_method(class, method);
    let layout = layout::find(class, method).ok_or(error(DecodeErrorKind::UnknownMethod))?;
    check_method(layout, arguments).map_err(|error| error.in_method(class, method))?;
    match parse_class(payload) {
        Ok(([], decoded)) => Ok(Method::Cold(decoded)),
        Ok(_) => Err(error(DecodeErrorKind::TrailingBytes)),
        Err(_) => Err(error(DecodeErrorKind::Truncated)),
    }
}

/// The prefetch-size of a basic.qos payload, which amq-protocol's type leaves out; 0 for another method.
///
/// RabbitMQ answers 540 `prefetch_size!=0 (N)` unless it is 0.
pub fn qos_prefetch_size(payload: &[u8]) -> u32 {
    match payload.first_chunk::<8>() {
        Some(&[0, 60, 0, 10, ref size @ ..]) => u32::from_be_bytes(*size),
        _ => 0,
    }
}

/// `bytes` within what a short string can hold.
#[inline]
pub(crate) fn clip_short(bytes: &[u8]) -> &[u8] {
    bytes.get(..SHORT_STRING_BYTES).unwrap_or(bytes)
}
