//! Field tables as raw bytes: look into them, copy them with a change, convert them (spec 4.2.5.5).
//!
//! RabbitMQ's reading of the type letters, which is not the spec's:
//!
//! | Letter | Value | Letter | Value |
//! |---|---|---|---|
//! | `t` | boolean, one octet | `f`, `d` | float, double |
//! | `b`, `B` | 8 bits, signed and unsigned | `D` | decimal: scale octet, 32 bits |
//! | `s` (and `U`), `u` | 16 bits, signed and unsigned | `S` | long string |
//! | `I`, `i` | 32 bits, signed and unsigned | `x` | byte array |
//! | `l`, `L` | 64 bits, signed | `T` | timestamp, seconds |
//! | `A`, `F` | array, table | `V` | void |

use crate::amqp::{self, AMQPValue};
use crate::error::{DecodeError, DecodeErrorKind, EncodeError, Place};
use crate::method::clip_short;
use crate::read::{Read, long_string, short_string};
use crate::table_walker::{check_array, check_table};
use nom::number::complete::{be_f32, be_f64, be_i8, be_i16, be_i32, be_i64, be_u8, be_u16, be_u32, be_u64};

/// One value, borrowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FieldValue<'a> {
    /// `t`: a boolean.
    Bool(bool),
    /// `b`: 8 bits, signed.
    I8(i8),
    /// `B`: 8 bits, unsigned.
    U8(u8),
    /// `s` or `U`: 16 bits, signed.
    I16(i16),
    /// `u`: 16 bits, unsigned.
    U16(u16),
    /// `I`: 32 bits, signed.
    I32(i32),
    /// `i`: 32 bits, unsigned.
    U32(u32),
    /// `l` or `L`: 64 bits, signed.
    I64(i64),
    /// `f`: a float.
    F32(f32),
    /// `d`: a double.
    F64(f64),
    /// `D`: a decimal.
    Decimal {
        /// Digits after the point.
        scale: u8,
        /// All digits.
        value: u32,
    },
    /// `S`: a long string.
    LongString(&'a [u8]),
    /// `x`: a byte array.
    Bytes(&'a [u8]),
    /// `T`: seconds since 1970.
    Timestamp(u64),
    /// `A`: an array.
    Array(FieldArray<'a>),
    /// `F`: a table.
    Table(FieldTable<'a>),
    /// `V`: nothing.
    Void,
}

impl<'a> FieldValue<'a> {
    /// Any of the integer types as one number: RabbitMQ compares and reads them alike.
    pub fn as_i64(&self) -> Option<i64> {
        Some(match *self {
            Self::I8(value) => i64::from(value),
            Self::U8(value) => i64::from(value),
            Self::I16(value) => i64::from(value),
            Self::U16(value) => i64::from(value),
            Self::I32(value) => i64::from(value),
            Self::U32(value) => i64::from(value),
            Self::I64(value) => value,
            _ => return None,
        })
    }

    /// A long string's bytes.
    pub fn as_long_string(&self) -> Option<&'a [u8]> {
        match self {
            Self::LongString(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Appends type letter and value.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] for what a 32-bit length cannot say.
    pub fn write_to(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match *self {
            Self::Bool(value) => put(out, b't', &[u8::from(value)]),
            Self::I8(value) => put(out, b'b', &value.to_be_bytes()),
            Self::U8(value) => put(out, b'B', &value.to_be_bytes()),
            Self::I16(value) => put(out, b's', &value.to_be_bytes()),
            Self::U16(value) => put(out, b'u', &value.to_be_bytes()),
            Self::I32(value) => put(out, b'I', &value.to_be_bytes()),
            Self::U32(value) => put(out, b'i', &value.to_be_bytes()),
            Self::I64(value) => put(out, b'l', &value.to_be_bytes()),
            Self::F32(value) => put(out, b'f', &value.to_be_bytes()),
            Self::F64(value) => put(out, b'd', &value.to_be_bytes()),
            Self::Decimal { scale, value } => {
                put(out, b'D', &[scale]);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::Timestamp(value) => put(out, b'T', &value.to_be_bytes()),
            Self::Void => out.push(b'V'),
            Self::LongString(bytes) => put_long(out, b'S', bytes)?,
            Self::Bytes(bytes) => put_long(out, b'x', bytes)?,
            Self::Array(array) => put_long(out, b'A', array.content)?,
            Self::Table(table) => put_long(out, b'F', table.content)?,
        }
        Ok(())
    }

    /// As amq-protocol's value. Recurses as deep as the table was checked to be.
    fn to_amqp(self) -> AMQPValue {
        match self {
            Self::Bool(value) => AMQPValue::Boolean(value),
            Self::I8(value) => AMQPValue::ShortShortInt(value),
            Self::U8(value) => AMQPValue::ShortShortUInt(value),
            Self::I16(value) => AMQPValue::ShortInt(value),
            Self::U16(value) => AMQPValue::ShortUInt(value),
            Self::I32(value) => AMQPValue::LongInt(value),
            Self::U32(value) => AMQPValue::LongUInt(value),
            Self::I64(value) => AMQPValue::LongLongInt(value),
            Self::F32(value) => AMQPValue::Float(value),
            Self::F64(value) => AMQPValue::Double(value),
            Self::Decimal { scale, value } => AMQPValue::DecimalValue(amqp::DecimalValue { scale, value }),
            Self::LongString(bytes) => AMQPValue::LongString(bytes.into()),
            Self::Bytes(bytes) => AMQPValue::ByteArray(bytes.into()),
            Self::Timestamp(value) => AMQPValue::Timestamp(value),
            Self::Array(array) => {
                AMQPValue::FieldArray(array.iter().map(FieldValue::to_amqp).collect::<Vec<_>>().into())
            }
            Self::Table(table) => AMQPValue::FieldTable(table.to_amqp()),
            Self::Void => AMQPValue::Void,
        }
    }
}

fn put(out: &mut Vec<u8>, letter: u8, bytes: &[u8]) {
    out.push(letter);
    out.extend_from_slice(bytes);
}

fn put_long(out: &mut Vec<u8>, letter: u8, bytes: &[u8]) -> Result<(), EncodeError> {
    let length = u32::try_from(bytes.len()).map_err(|_| EncodeError::TooLong)?;
    put(out, letter, &length.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// A checked field table, borrowed: its content, without the length before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldTable<'a> {
    content: &'a [u8],
}

impl<'a> FieldTable<'a> {
    /// Checks a table's content against the table bounds.
    ///
    /// # Errors
    /// As [`check_table`].
    pub fn parse(content: &'a [u8]) -> Result<Self, DecodeError> {
        check_table(content)?;
        Ok(Self { content })
    }

    /// A table that was checked before; malformed bytes end its iteration early.
    pub const fn new_checked(content: &'a [u8]) -> Self {
        Self { content }
    }

    /// The bytes, without the length before them.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.content
    }

    /// Whether it has no fields.
    pub const fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// Names and values in wire order, repeated names included.
    pub const fn iter(&self) -> Fields<'a> {
        Fields { rest: self.content }
    }

    /// The first value of that name.
    pub fn get(&self, name: &[u8]) -> Option<FieldValue<'a>> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// A copy of the content without the fields of that name; the others byte for byte.
    pub fn without(&self, name: &[u8]) -> Vec<u8> {
        let mut kept = Vec::with_capacity(self.content.len());
        let mut fields = self.iter();
        loop {
            let before = fields.rest;
            let Some((key, _)) = fields.next() else {
                return kept;
            };
            if key != name {
                let taken = before.len().saturating_sub(fields.rest.len());
                kept.extend_from_slice(before.get(..taken).unwrap_or_default());
            }
        }
    }

    /// As amq-protocol's table; of repeated names the last is kept.
    ///
    /// A name that is not UTF-8, which no checked table has, is read lossily.
    pub fn to_amqp(&self) -> amqp::FieldTable {
        let mut table = amqp::FieldTable::default();
        for (name, value) in self.iter() {
            table.insert(amqp::short_string(&String::from_utf8_lossy(name)), value.to_amqp());
        }
        table
    }
}

impl<'a> IntoIterator for FieldTable<'a> {
    type Item = (&'a [u8], FieldValue<'a>);
    type IntoIter = Fields<'a>;

    fn into_iter(self) -> Fields<'a> {
        self.iter()
    }
}

/// A checked array, borrowed: its content, without the length before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldArray<'a> {
    content: &'a [u8],
}

impl<'a> FieldArray<'a> {
    /// Checks an array's content against the table bounds.
    ///
    /// # Errors
    /// As [`check_array`].
    pub fn parse(content: &'a [u8]) -> Result<Self, DecodeError> {
        check_array(content)?;
        Ok(Self { content })
    }

    /// The bytes, without the length before them.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.content
    }

    /// The values in order.
    pub const fn iter(&self) -> Values<'a> {
        Values { rest: self.content }
    }
}

impl<'a> IntoIterator for FieldArray<'a> {
    type Item = FieldValue<'a>;
    type IntoIter = Values<'a>;

    fn into_iter(self) -> Values<'a> {
        self.iter()
    }
}

/// The fields of a [`FieldTable`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], FieldValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (rest, name) = short_string(self.rest).ok()?;
        let (rest, value) = read_value(rest).ok()?;
        self.rest = rest;
        Some((name, value))
    }
}

/// The values of a [`FieldArray`].
#[derive(Debug, Clone)]
pub struct Values<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Values<'a> {
    type Item = FieldValue<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (rest, value) = read_value(self.rest).ok()?;
        self.rest = rest;
        Some(value)
    }
}

/// Reads type letter and value; containers are not looked into.
fn read_value(input: &[u8]) -> Read<'_, FieldValue<'_>> {
    let (input, letter) = be_u8(input)?;
    match letter {
        b't' => be_u8(input).map(|(rest, octet)| (rest, FieldValue::Bool(octet != 0))),
        b'b' => be_i8(input).map(|(rest, value)| (rest, FieldValue::I8(value))),
        b'B' => be_u8(input).map(|(rest, value)| (rest, FieldValue::U8(value))),
        b's' | b'U' => be_i16(input).map(|(rest, value)| (rest, FieldValue::I16(value))),
        b'u' => be_u16(input).map(|(rest, value)| (rest, FieldValue::U16(value))),
        b'I' => be_i32(input).map(|(rest, value)| (rest, FieldValue::I32(value))),
        b'i' => be_u32(input).map(|(rest, value)| (rest, FieldValue::U32(value))),
        b'l' | b'L' => be_i64(input).map(|(rest, value)| (rest, FieldValue::I64(value))),
        b'f' => be_f32(input).map(|(rest, value)| (rest, FieldValue::F32(value))),
        b'd' => be_f64(input).map(|(rest, value)| (rest, FieldValue::F64(value))),
        b'D' => {
            let (input, scale) = be_u8(input)?;
            be_u32(input).map(|(rest, value)| (rest, FieldValue::Decimal { scale, value }))
        }
        b'S' => long_string(input).map(|(rest, bytes)| (rest, FieldValue::LongString(bytes))),
        b'x' => long_string(input).map(|(rest, bytes)| (rest, FieldValue::Bytes(bytes))),
        b'T' => be_u64(input).map(|(rest, value)| (rest, FieldValue::Timestamp(value))),
        b'A' => long_string(input).map(|(rest, content)| (rest, FieldValue::Array(FieldArray { content }))),
        b'F' => long_string(input).map(|(rest, content)| (rest, FieldValue::Table(FieldTable { content }))),
        b'V' => Ok((input, FieldValue::Void)),
        _ => Err(nom::Err::Error(())),
    }
}

/// Writes a table's content, field by field.
#[derive(Debug, Clone, Default)]
pub struct TableWriter {
    content: Vec<u8>,
}

impl TableWriter {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on from a table's content.
    pub const fn from_content(content: Vec<u8>) -> Self {
        Self { content }
    }

    /// Appends a field; the name is cut at 255 bytes.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] for what a 32-bit length cannot say; the table is left as it was.
    pub fn put(&mut self, name: &[u8], value: &FieldValue<'_>) -> Result<&mut Self, EncodeError> {
        let before = self.content.len();
        let name = clip_short(name);
        self.content.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        self.content.extend_from_slice(name);
        if let Err(error) = value.write_to(&mut self.content) {
            self.content.truncate(before);
            return Err(error);
        }
        Ok(self)
    }

    /// Looks into what was written so far, checked.
    ///
    /// # Errors
    /// As [`check_table`], if what was put into it goes beyond the bounds.
    pub fn as_table(&self) -> Result<FieldTable<'_>, DecodeError> {
        FieldTable::parse(&self.content)
    }

    /// The content, without a length before it.
    pub fn into_content(self) -> Vec<u8> {
        self.content
    }
}

/// Writes an array's content, value by value.
#[derive(Debug, Clone, Default)]
pub struct ArrayWriter {
    content: Vec<u8>,
}

impl ArrayWriter {
    /// An empty array.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a value.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] for what a 32-bit length cannot say; the array is left as it was.
    pub fn put(&mut self, value: &FieldValue<'_>) -> Result<&mut Self, EncodeError> {
        value.write_to(&mut self.content)?;
        Ok(self)
    }

    /// Looks into what was written so far, checked.
    ///
    /// # Errors
    /// As [`check_array`], if what was put into it goes beyond the bounds.
    pub fn as_array(&self) -> Result<FieldArray<'_>, DecodeError> {
        FieldArray::parse(&self.content)
    }
}

/// A table of amq-protocol's as raw content, within the table bounds.
///
/// # Errors
/// [`DecodeError`] as [`check_table`] for a table that goes beyond the bounds: one is made here only from
/// what was decoded within them, or by us.
pub fn from_amqp(table: &amqp::FieldTable) -> Result<Vec<u8>, DecodeError> {
    let too_deep = DecodeError::new(DecodeErrorKind::TableTooDeep, Place::Table, 0);
    let mut out = Vec::new();
    write_amqp_table(table, &mut out, crate::limits::TABLE_DEPTH).ok_or(too_deep)?;
    check_table(&out)?;
    Ok(out)
}

fn write_amqp_table(table: &amqp::FieldTable, out: &mut Vec<u8>, depth: usize) -> Option<()> {
    let deeper = depth.checked_sub(1)?;
    for (name, value) in table {
        let name = clip_short(name.as_str().as_bytes());
        out.push(u8::try_from(name.len()).ok()?);
        out.extend_from_slice(name);
        write_amqp_value(value, out, deeper)?;
    }
    Some(())
}

fn write_amqp_value(value: &AMQPValue, out: &mut Vec<u8>, depth: usize) -> Option<()> {
    let plain = match value {
        AMQPValue::Boolean(value) => FieldValue::Bool(*value),
        AMQPValue::ShortShortInt(value) => FieldValue::I8(*value),
        AMQPValue::ShortShortUInt(value) => FieldValue::U8(*value),
        AMQPValue::ShortInt(value) => FieldValue::I16(*value),
        AMQPValue::ShortUInt(value) => FieldValue::U16(*value),
        AMQPValue::LongInt(value) => FieldValue::I32(*value),
        AMQPValue::LongUInt(value) => FieldValue::U32(*value),
        AMQPValue::LongLongInt(value) => FieldValue::I64(*value),
        AMQPValue::Float(value) => FieldValue::F32(*value),
        AMQPValue::Double(value) => FieldValue::F64(*value),
        AMQPValue::DecimalValue(decimal) => {
            FieldValue::Decimal { scale: decimal.scale, value: decimal.value }
        }
        AMQPValue::ShortString(text) => FieldValue::LongString(text.as_str().as_bytes()),
        AMQPValue::LongString(bytes) => FieldValue::LongString(bytes.as_bytes()),
        AMQPValue::ByteArray(bytes) => FieldValue::Bytes(bytes.as_slice()),
        AMQPValue::Timestamp(value) => FieldValue::Timestamp(*value),
        AMQPValue::Void => FieldValue::Void,
        AMQPValue::FieldArray(array) => {
            return write_nested(out, b'A', |content| {
                let deeper = depth.checked_sub(1)?;
                array
                    .as_slice()
                    .iter()
                    .try_for_each(|item| write_amqp_value(item, content, deeper).ok_or(()))
                    .ok()
            });
        }
        AMQPValue::FieldTable(table) => {
            return write_nested(out, b'F', |content| write_amqp_table(table, content, depth));
        }
    };
    plain.write_to(out).ok()
}

/// Appends a container: its letter, its length, and the content that `write` makes.
fn write_nested(out: &mut Vec<u8>, letter: u8, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<()> {
    let mut content = Vec::new();
    write(&mut content)?;
    put_long(out, letter, &content).ok()
}
