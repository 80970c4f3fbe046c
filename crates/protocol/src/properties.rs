//! The content header and the 14 basic properties (spec 1.8.1, 2.3.5.2, 4.2.6.1), raw until asked.
//!
//! Properties travel as the bytes the publisher sent: [`PropertyView`] looks into them after one scan,
//! [`PropertiesBuilder`] writes them back with some changed, the others byte for byte as they were.

use std::borrow::Cow;

use nom::bytes::complete::take;
use nom::number::complete::{be_u16, be_u64};

use crate::constants::{FRAME_HEADER, basic_method_id, class_id};
use crate::error::{DecodeError, DecodeErrorKind, Place};
use crate::field_table::FieldTable;
use crate::method::clip_short;
use crate::read::{Read, long_string, offset_of, short_string};
use crate::table_walker::check_table;

/// A content header frame's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// Class of the method it belongs to: always `basic`.
    pub class_id: u16,
    /// Bytes of body that follow.
    pub body_size: u64,
    /// Flags word and values, as sent; relayed untouched.
    pub properties: &'a [u8],
}

/// Splits a content header frame's payload; the properties are not looked into.
///
/// # Errors
/// 501 if it is too short for the fixed part and a flags word; 505 if its weight is not 0.
#[inline]
pub fn parse_content_header(payload: &[u8]) -> Result<ContentHeader<'_>, DecodeError> {
    let error = |kind| DecodeError::new(kind, Place::ContentHeader, 0);
    let (properties, (class_id, weight, body_size)) =
        fixed_part(payload).map_err(|_| error(DecodeErrorKind::UnknownFrame(FRAME_HEADER)))?;
    if weight != 0 {
        let weighted = error(DecodeErrorKind::ContentWeight);
        return Err(weighted.in_method(class_id::BASIC, basic_method_id::PUBLISH));
    }
    if properties.len() < 2 {
        return Err(property_error(DecodeErrorKind::Truncated, 0));
    }
    Ok(ContentHeader { class_id, body_size, properties })
}

/// Only basic.publish brings a content to the broker, so that is what an error is blamed on.
#[cold]
const fn property_error(kind: DecodeErrorKind, offset: usize) -> DecodeError {
    DecodeError::new(kind, Place::Properties, offset).in_method(class_id::BASIC, basic_method_id::PUBLISH)
}

#[inline]
fn fixed_part(input: &[u8]) -> Read<'_, (u16, u16, u64)> {
    let (input, class_id) = be_u16(input)?;
    let (input, weight) = be_u16(input)?;
    let (input, body_size) = be_u64(input)?;
    Ok((input, (class_id, weight, body_size)))
}

/// One of the basic properties, in wire order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Property {
    /// MIME content type.
    ContentType,
    /// MIME content encoding.
    ContentEncoding,
    /// The headers table.
    Headers,
    /// 2 for persistent, anything else for transient.
    DeliveryMode,
    /// Priority, 0 to 255.
    Priority,
    /// The application's correlation id.
    CorrelationId,
    /// Where to send replies.
    ReplyTo,
    /// Time to live in milliseconds, as decimal text.
    Expiration,
    /// The application's message id.
    MessageId,
    /// Seconds since 1970.
    Timestamp,
    /// The application's message type.
    Kind,
    /// The publishing user; the broker checks it.
    UserId,
    /// The application's id.
    AppId,
    /// Reserved; relayed.
    ClusterId,
}

/// How many properties there are.
const PROPERTIES: usize = 14;

/// How a property's value stands on the wire.
#[derive(Clone, Copy)]
enum Shape {
    Short,
    Octet,
    U64,
    Table,
}

impl Property {
    /// All of them, in wire order.
    pub const ALL: [Self; PROPERTIES] = [
        Self::ContentType,
        Self::ContentEncoding,
        Self::Headers,
        Self::DeliveryMode,
        Self::Priority,
        Self::CorrelationId,
        Self::ReplyTo,
        Self::Expiration,
        Self::MessageId,
        Self::Timestamp,
        Self::Kind,
        Self::UserId,
        Self::AppId,
        Self::ClusterId,
    ];

    /// Its bit in the flags word.
    pub const fn flag(self) -> u16 {
        0x8000 >> (self as u8)
    }

    const fn index(self) -> usize {
        self as usize
    }

    const fn shape(self) -> Shape {
        match self {
            Self::Headers => Shape::Table,
            Self::DeliveryMode | Self::Priority => Shape::Octet,
            Self::Timestamp => Shape::U64,
            _ => Shape::Short,
        }
    }
}

/// The bits of the properties.
const ALL_FLAGS: u16 = 0xFFFC;
/// The bit that says another flags word follows (4.2.6.1).
const CONTINUATION: u16 = 1;

/// A checked look into raw properties, without allocation.
#[derive(Debug, Clone, Copy)]
pub struct PropertyView<'a> {
    raw: &'a [u8],
    flags: u16,
    /// Where each property's value begins in `raw`, with its length; anything if absent.
    starts: [u32; PROPERTIES],
}

impl<'a> PropertyView<'a> {
    /// Scans raw properties once: every length, and the headers table against the table bounds.
    ///
    /// # Errors
    /// 501 if a value reaches beyond the end, bytes are left over, or the flags continue in a second word
    /// (RabbitMQ overlooks that bit, but relayed it makes consumers misread what follows); what
    /// [`check_table`] says of the headers.
    #[inline]
    pub fn parse(raw: &'a [u8]) -> Result<Self, DecodeError> {
        let view = Self::parse_kept(raw)?;
        if let Some(headers) = view.headers() {
            check_table(headers)
                .map_err(|error| error.in_method(class_id::BASIC, basic_method_id::PUBLISH))?;
        }
        Ok(view)
    }

    /// Scans properties that were checked when they came in. What the broker has added to their headers since may go
    /// beyond the table bounds, which count for clients alone.
    ///
    /// # Errors
    /// As [`PropertyView::parse`], but nothing of the headers.
    #[inline]
    pub fn parse_kept(raw: &'a [u8]) -> Result<Self, DecodeError> {
        let error = |kind, rest| property_error(kind, offset_of(raw, rest));
        let (mut rest, flags) = flags_word(raw).map_err(|_| error(DecodeErrorKind::Truncated, raw))?;
        if flags & CONTINUATION != 0 {
            return Err(error(DecodeErrorKind::PropertyFlags, raw));
        }
        let mut view = Self { raw, flags, starts: [0; PROPERTIES] };
        let mut left = flags & ALL_FLAGS;
        while left != 0 {
            // Only the properties that are there cost anything: most messages have one or two.
            let index = usize::try_from(left.leading_zeros()).unwrap_or_default();
            left &= !(0x8000 >> index);
            let (Some(property), Some(slot)) = (Property::ALL.get(index), view.starts.get_mut(index)) else {
                break;
            };
            *slot = u32::try_from(offset_of(raw, rest)).unwrap_or(u32::MAX);
            let (after, ()) =
                skip_value(property.shape(), rest).map_err(|_| error(DecodeErrorKind::Truncated, rest))?;
            rest = after;
        }
        if !rest.is_empty() {
            return Err(error(DecodeErrorKind::TrailingBytes, rest));
        }
        Ok(view)
    }

    /// Whether the property is there.
    pub const fn has(&self, property: Property) -> bool {
        self.flags & property.flag() != 0
    }

    /// The property's value as it stands on the wire: a text with its length octet, a table with its
    /// four length bytes.
    pub fn raw_value(&self, property: Property) -> Option<&'a [u8]> {
        if !self.has(property) {
            return None;
        }
        let start = usize::try_from(*self.starts.get(property.index())?).ok()?;
        let from = self.raw.get(start..)?;
        let (after, ()) = skip_value(property.shape(), from).ok()?;
        from.get(..offset_of(from, after))
    }

    /// A text property's bytes, without their length.
    pub fn text(&self, property: Property) -> Option<&'a [u8]> {
        match property.shape() {
            Shape::Short => self.raw_value(property)?.get(1..),
            _ => None,
        }
    }

    fn octet(&self, property: Property) -> Option<u8> {
        self.raw_value(property)?.first().copied()
    }

    /// The headers table's content, without its length; checked.
    pub fn headers(&self) -> Option<&'a [u8]> {
        self.raw_value(Property::Headers)?.get(4..)
    }

    /// The headers table, to look into.
    pub fn headers_table(&self) -> Option<FieldTable<'a>> {
        self.headers().map(FieldTable::new_checked)
    }

    /// Delivery mode: 2 is persistent.
    pub fn delivery_mode(&self) -> Option<u8> {
        self.octet(Property::DeliveryMode)
    }

    /// Whether the publisher asked for a persistent message.
    pub fn is_persistent(&self) -> bool {
        self.delivery_mode() == Some(2)
    }

    /// Priority.
    pub fn priority(&self) -> Option<u8> {
        self.octet(Property::Priority)
    }

    /// Time to live in milliseconds, as the text that was sent.
    pub fn expiration(&self) -> Option<&'a [u8]> {
        self.text(Property::Expiration)
    }

    /// Where replies go.
    pub fn reply_to(&self) -> Option<&'a [u8]> {
        self.text(Property::ReplyTo)
    }

    /// The publishing user, as claimed.
    pub fn user_id(&self) -> Option<&'a [u8]> {
        self.text(Property::UserId)
    }

    /// The application's message id.
    pub fn message_id(&self) -> Option<&'a [u8]> {
        self.text(Property::MessageId)
    }

    /// The application's correlation id.
    pub fn correlation_id(&self) -> Option<&'a [u8]> {
        self.text(Property::CorrelationId)
    }

    /// MIME content type.
    pub fn content_type(&self) -> Option<&'a [u8]> {
        self.text(Property::ContentType)
    }

    /// MIME content encoding.
    pub fn content_encoding(&self) -> Option<&'a [u8]> {
        self.text(Property::ContentEncoding)
    }

    /// The application's message type.
    pub fn kind(&self) -> Option<&'a [u8]> {
        self.text(Property::Kind)
    }

    /// The application's id.
    pub fn app_id(&self) -> Option<&'a [u8]> {
        self.text(Property::AppId)
    }

    /// Seconds since 1970, as claimed.
    pub fn timestamp(&self) -> Option<u64> {
        let bytes = self.raw_value(Property::Timestamp)?.first_chunk::<8>()?;
        Some(u64::from_be_bytes(*bytes))
    }
}

#[inline]
fn flags_word(input: &[u8]) -> Read<'_, u16> {
    be_u16(input)
}

#[inline]
fn skip_value(shape: Shape, input: &[u8]) -> Read<'_, ()> {
    let (rest, _) = match shape {
        Shape::Short => short_string(input)?,
        Shape::Octet => take(1usize)(input)?,
        Shape::U64 => take(8usize)(input)?,
        Shape::Table => long_string(input)?,
    };
    Ok((rest, ()))
}

/// Properties to be written: those of a message with some changed, or new ones.
///
/// ```
/// use leveret_protocol::properties::{PropertiesBuilder, Property, PropertyView};
///
/// let mut builder = PropertiesBuilder::new();
/// builder.set_octet(Property::DeliveryMode, 2).set_text(Property::ReplyTo, b"answers");
/// let raw = builder.to_vec();
/// let mut changed = PropertiesBuilder::from(PropertyView::parse(&raw)?);
/// changed.remove(Property::ReplyTo);
/// assert_eq!(changed.to_vec(), b"\x10\x00\x02");
/// # Ok::<(), leveret_protocol::DecodeError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PropertiesBuilder<'a> {
    /// Each property's value as it stands on the wire; empty if absent.
    values: [Cow<'a, [u8]>; PROPERTIES],
}

impl<'a> From<PropertyView<'a>> for PropertiesBuilder<'a> {
    fn from(view: PropertyView<'a>) -> Self {
        let value = |property| Cow::Borrowed(view.raw_value(property).unwrap_or_default());
        Self { values: Property::ALL.map(value) }
    }
}

impl<'a> PropertiesBuilder<'a> {
    /// No properties.
    pub fn new() -> Self {
        Self::default()
    }

    fn set(&mut self, property: Property, value: Cow<'a, [u8]>) -> &mut Self {
        if let Some(slot) = self.values.get_mut(property.index()) {
            *slot = value;
        }
        self
    }

    /// Sets a text property, cut at 255 bytes; does nothing for a property of another type.
    pub fn set_text(&mut self, property: Property, text: &[u8]) -> &mut Self {
        if !matches!(property.shape(), Shape::Short) {
            return self;
        }
        let text = clip_short(text);
        let mut value = Vec::with_capacity(text.len().saturating_add(1));
        value.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        value.extend_from_slice(text);
        self.set(property, Cow::Owned(value))
    }

    /// Sets delivery mode or priority; does nothing for another property.
    pub fn set_octet(&mut self, property: Property, octet: u8) -> &mut Self {
        match property.shape() {
            Shape::Octet => self.set(property, Cow::Owned(vec![octet])),
            _ => self,
        }
    }

    /// Sets the timestamp, in seconds since 1970.
    pub fn set_timestamp(&mut self, seconds: u64) -> &mut Self {
        self.set(Property::Timestamp, Cow::Owned(seconds.to_be_bytes().to_vec()))
    }

    /// Sets the headers to a table's content, the bytes after its length.
    pub fn set_headers(&mut self, content: &[u8]) -> &mut Self {
        let Ok(length) = u32::try_from(content.len()) else {
            return self;
        };
        let mut value = Vec::with_capacity(content.len().saturating_add(4));
        value.extend_from_slice(&length.to_be_bytes());
        value.extend_from_slice(content);
        self.set(Property::Headers, Cow::Owned(value))
    }

    /// Takes a property away.
    pub fn remove(&mut self, property: Property) -> &mut Self {
        self.set(property, Cow::Borrowed(&[]))
    }

    /// Appends flags word and values.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut flags = 0u16;
        for (property, value) in Property::ALL.into_iter().zip(&self.values) {
            if !value.is_empty() {
                flags |= property.flag();
            }
        }
        out.extend_from_slice(&flags.to_be_bytes());
        for value in &self.values {
            out.extend_from_slice(value);
        }
    }

    /// Flags word and values, as a content header carries them.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_to(&mut out);
        out
    }
}
