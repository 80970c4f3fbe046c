//! AMQP 0-9-1: bytes to frames and methods, and back; holds no connection state.
//!
//! Owns the wire format: the protocol header, frames, methods, content headers, properties and field
//! tables, and the bounds that every one of them is checked against before anything else sees it.
//! Does not own: who may send what and when (the connection's and channel's state), sockets, clocks.
//!
//! The hot methods (publish, deliver, get-ok, return, ack, nack, reject), content headers and bodies
//! are read as borrowed slices and written by hand. Every other method is
//! [`amq-protocol`](amqp)'s generated type, decoded only after [`layout`] and [`table_walker`] have
//! walked all of its bytes, because that parser recurses without a bound.
//!
//! ```
//! use leveret_protocol::encode::encode_ack;
//! use leveret_protocol::frame::parse_frame;
//! use leveret_protocol::method::{Ack, Method, decode_method};
//!
//! let ack = Ack { delivery_tag: 7, multiple: true };
//! let mut bytes = Vec::new();
//! encode_ack(&mut bytes, 1, &ack);
//! let (frame, used) = parse_frame(&bytes, 131_072)?.ok_or("incomplete")?;
//! assert_eq!((frame.channel, used), (1, bytes.len()));
//! assert_eq!(decode_method(frame.payload)?, Method::Ack(ack));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(clippy::indexing_slicing, clippy::cast_possible_truncation, clippy::arithmetic_side_effects)]

pub mod amqp;
pub mod constants;
pub mod content;
pub mod encode;
pub mod error;
pub mod field_table;
pub mod frame;
pub mod layout;
pub mod limits;
pub mod method;
pub mod properties;
pub mod protocol_header;
mod read;
pub mod table_walker;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use constants::reply_code;
pub use error::{DecodeError, DecodeErrorKind, EncodeError, Place};
pub use frame::{Frame, FrameKind, parse_frame};
pub use method::{Method, decode_method};
