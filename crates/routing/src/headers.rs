//! The headers exchange: a binding's arguments are compared with the message's headers.
//!
//! RabbitMQ 4's rules, asked of it: `x-match` is `all` (the default), `any`, `all-with-x` or `any-with-x`; the
//! first two leave out fields whose name starts with `x-`, and none compares `x-match` itself. A void argument
//! asks only that the header is there. Integers of all widths compare as numbers, so do float and double, and an
//! integer never equals a float; a long string equals a byte array of the same bytes; an empty table equals an
//! empty array; a binding's timestamp equals an integer. Of a message's repeated headers the last counts.
//! RabbitMQ 4.0 reads a message's timestamps in milliseconds, so that they equal no binding's; we take them
//! both ways, as 3.13 and as 4.0.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use leveret_protocol::field_table::{FieldTable, FieldValue};
use smallvec::SmallVec;

use crate::binding::{Binding, Destination, InvalidBinding};
use crate::erlang_term::{Binary, Term, type_name};
use crate::routes::Reached;

/// Headers of a message that need no allocation.
const INLINE_HEADERS: usize = 16;

/// The bindings of a headers exchange. A match looks at each of them, as RabbitMQ's does.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    patterns: Vec<(Arc<Binding>, Pattern)>,
    places: HashMap<BindingAddress, usize, RandomState>,
}

/// Tells bindings apart without comparing them; the address is that of a binding in [`Headers::patterns`].
type BindingAddress = usize;

/// A binding's arguments, ready to compare.
#[derive(Debug)]
pub(crate) struct Pattern {
    any: bool,
    /// In the order of their names.
    fields: Vec<(Box<[u8]>, Wanted)>,
    destination: Destination,
}

/// What a header must be.
#[derive(Debug, PartialEq)]
enum Wanted {
    Present,
    Equal(Value<'static>),
    /// Seconds; a message says it as a timestamp or as an integer.
    Timestamp(u64),
}

/// A value as it is compared.
#[derive(Debug, PartialEq)]
enum Value<'a> {
    Bool(bool),
    Integer(i128),
    /// The bits of a double: RabbitMQ tells 0.0 from -0.0 here.
    Float(u64),
    Decimal(u8, u32),
    Text(Bytes<'a>),
    Array(Bytes<'a>),
    Table(Bytes<'a>),
    /// An empty table or array.
    EmptyList,
}

/// Bytes that are borrowed from a message or owned by a binding.
type Bytes<'a> = std::borrow::Cow<'a, [u8]>;

impl Headers {
    /// Adds a binding; `binding` is the one given to [`Headers::remove`] later.
    pub(crate) fn add(&mut self, binding: &Arc<Binding>, pattern: Pattern) {
        self.places.insert(address(binding), self.patterns.len());
        self.patterns.push((Arc::clone(binding), pattern));
    }

    pub(crate) fn remove(&mut self, binding: &Arc<Binding>) {
        let Some(place) = self.places.remove(&address(binding)) else { return };
        self.patterns.swap_remove(place);
        if let Some((moved, _)) = self.patterns.get(place) {
            self.places.insert(address(moved), place);
        }
    }

    /// Adds what the headers reach; whether that is anything.
    pub(crate) fn route(&self, headers: Option<FieldTable<'_>>, reached: &mut Reached) -> bool {
        let mut fields: SmallVec<[(&[u8], FieldValue<'_>); INLINE_HEADERS]> = SmallVec::new();
        fields.extend(headers.into_iter().flatten());
        fields.sort_by_key(|(name, _)| *name);
        let mut any = false;
        for (_, pattern) in &self.patterns {
            if pattern.matches(&fields) {
                reached.add(pattern.destination);
                any = true;
            }
        }
        any
    }
}

fn address(binding: &Arc<Binding>) -> BindingAddress {
    Arc::as_ptr(binding).addr()
}

impl Pattern {
    /// Reads a binding's arguments.
    ///
    /// # Errors
    /// [`InvalidBinding`] for an `x-match` that is none of the four words, in RabbitMQ's text.
    pub(crate) fn parse(binding: &Binding) -> Result<Self, InvalidBinding> {
        let arguments = FieldTable::parse(&binding.arguments)
            .map_err(|error| InvalidBinding(format!("invalid arguments: {error}")))?;
        let (any, with_x) = match arguments.get(b"x-match") {
            None => (false, false),
            Some(value) => x_match(&value)?,
        };
        let mut fields: Vec<(Box<[u8]>, Wanted)> = arguments
            .iter()
            .filter(|(name, _)| *name != b"x-match" && (with_x || !name.starts_with(b"x-")))
            .map(|(name, value)| (name.into(), wanted(value)))
            .collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { any, fields, destination: binding.destination })
    }

    /// `headers` in the order of their names.
    fn matches(&self, headers: &[(&[u8], FieldValue<'_>)]) -> bool {
        let mut found = self.fields.iter().map(|(name, wanted)| {
            // The end of the run of equal names, so the last of repeated headers.
            let end = headers.partition_point(|(header, _)| *header <= &**name);
            let header = end
                .checked_sub(1)
                .and_then(|last| headers.get(last))
                .filter(|(header, _)| *header == &**name);
            header.is_some_and(|(_, value)| wanted.is_met_by(*value))
        });
        if self.any { found.any(|met| met) } else { found.all(|met| met) }
    }
}

/// `x-match` as (any, with_x).
fn x_match(value: &FieldValue<'_>) -> Result<(bool, bool), InvalidBinding> {
    match *value {
        FieldValue::LongString(b"all") => Ok((false, false)),
        FieldValue::LongString(b"any") => Ok((true, false)),
        FieldValue::LongString(b"all-with-x") => Ok((false, true)),
        FieldValue::LongString(b"any-with-x") => Ok((true, true)),
        FieldValue::LongString(other) => Err(InvalidBinding(format!(
            "Invalid x-match field value {}; expected all, any, all-with-x, or any-with-x",
            Binary(other)
        ))),
        other => Err(InvalidBinding(format!(
            "Invalid x-match field type {} (value {}); expected longstr",
            type_name(&other),
            Term(other)
        ))),
    }
}

fn wanted(value: FieldValue<'_>) -> Wanted {
    match value {
        FieldValue::Timestamp(seconds) => Wanted::Timestamp(seconds),
        value => match comparable(value) {
            Some(value) => Wanted::Equal(owned(value)),
            None => Wanted::Present,
        },
    }
}

impl Wanted {
    fn is_met_by(&self, header: FieldValue<'_>) -> bool {
        match (self, header) {
            (Self::Present, _) => true,
            (Self::Timestamp(seconds), FieldValue::Timestamp(header)) => header == *seconds,
            (Self::Timestamp(number), header) => {
                comparable(header) == Some(Value::Integer(i128::from(*number)))
            }
            (Self::Equal(value), FieldValue::Timestamp(seconds)) => {
                *value == Value::Integer(i128::from(seconds) * 1000)
            }
            (Self::Equal(value), header) => comparable(header).as_ref() == Some(value),
        }
    }
}

/// None for void, which equals nothing, and for a timestamp, which its caller treats.
fn comparable(value: FieldValue<'_>) -> Option<Value<'_>> {
    if let Some(number) = value.as_i64() {
        return Some(Value::Integer(i128::from(number)));
    }
    Some(match value {
        FieldValue::Bool(value) => Value::Bool(value),
        FieldValue::F32(value) => Value::Float(f64::from(value).to_bits()),
        FieldValue::F64(value) => Value::Float(value.to_bits()),
        FieldValue::Decimal { scale, value } => Value::Decimal(scale, value),
        FieldValue::LongString(bytes) | FieldValue::Bytes(bytes) => Value::Text(bytes.into()),
        FieldValue::Array(array) if array.as_bytes().is_empty() => Value::EmptyList,
        FieldValue::Table(table) if table.is_empty() => Value::EmptyList,
        FieldValue::Array(array) => Value::Array(array.as_bytes().into()),
        FieldValue::Table(table) => Value::Table(table.as_bytes().into()),
        _ => return None,
    })
}

fn owned(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Bool(value) => Value::Bool(value),
        Value::Integer(value) => Value::Integer(value),
        Value::Float(bits) => Value::Float(bits),
        Value::Decimal(scale, value) => Value::Decimal(scale, value),
        Value::Text(bytes) => Value::Text(bytes.into_owned().into()),
        Value::Array(bytes) => Value::Array(bytes.into_owned().into()),
        Value::Table(bytes) => Value::Table(bytes.into_owned().into()),
        Value::EmptyList => Value::EmptyList,
    }
}
