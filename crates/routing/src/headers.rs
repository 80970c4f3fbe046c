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

#[cfg(test)]
mod tests {
    use leveret_protocol::field_table::{ArrayWriter, TableWriter};

    use super::*;
    use crate::binding::{ExchangeKey, QueueKey};

    fn table(fields: &[(&str, FieldValue<'_>)]) -> Vec<u8> {
        let mut writer = TableWriter::new();
        for (name, value) in fields {
            writer.put(name.as_bytes(), value).expect("short");
        }
        writer.into_content()
    }

    fn array(value: FieldValue<'_>) -> Vec<u8> {
        let mut writer = ArrayWriter::new();
        writer.put(&value).expect("short");
        writer.as_array().expect("within bounds").as_bytes().to_vec()
    }

    fn exchange(bindings: &[Vec<u8>]) -> Headers {
        let mut headers = Headers::default();
        for (number, arguments) in (0..).zip(bindings) {
            let binding =
                Arc::new(Binding::new(ExchangeKey(0), Destination::Queue(QueueKey(number)), b"", arguments));
            let pattern = Pattern::parse(&binding).expect("valid arguments");
            headers.add(&binding, pattern);
        }
        headers
    }

    fn routed(exchange: &Headers, message: Option<&[u8]>) -> Vec<u64> {
        let mut reached = Reached::default();
        let headers = message.map(|content| FieldTable::parse(content).expect("within bounds"));
        let any = exchange.route(headers, &mut reached);
        let queues: Vec<u64> = reached.queues.as_slice().iter().map(|queue| queue.0).collect();
        assert_eq!(any, !queues.is_empty());
        queues
    }

    fn text(text: &str) -> FieldValue<'_> {
        FieldValue::LongString(text.as_bytes())
    }

    /// Which binding a message's value meets, as RabbitMQ 4.0.5 answered for each pair; timestamps aside.
    #[test]
    fn values_of_different_types_compare_as_in_rabbitmq() {
        let (int_array, long_array) = (array(FieldValue::I32(1)), array(FieldValue::I64(1)));
        let parse_array = |content| {
            FieldValue::Array(leveret_protocol::field_table::FieldArray::parse(content).expect("array"))
        };
        let nested = table(&[("a", FieldValue::I32(1)), ("b", FieldValue::I32(2))]);
        let parse_table = |content| FieldValue::Table(FieldTable::parse(content).expect("table"));
        let integers = "b1 B1 s1 u1 I1 i1 l1";
        let values = [
            ("t1", FieldValue::Bool(true), "t1"),
            ("t0", FieldValue::Bool(false), "t0"),
            ("b1", FieldValue::I8(1), integers),
            ("B1", FieldValue::U8(1), integers),
            ("s1", FieldValue::I16(1), integers),
            ("u1", FieldValue::U16(1), integers),
            ("I1", FieldValue::I32(1), integers),
            ("i1", FieldValue::U32(1), integers),
            ("l1", FieldValue::I64(1), integers),
            ("b-1", FieldValue::I8(-1), "b-1 l-1"),
            ("l-1", FieldValue::I64(-1), "b-1 l-1"),
            ("f1", FieldValue::F32(1.0), "f1 d1"),
            ("d1", FieldValue::F64(1.0), "f1 d1"),
            ("f.1", FieldValue::F32(0.1), "f.1"),
            ("d.1", FieldValue::F64(0.1), "d.1"),
            ("d0", FieldValue::F64(0.0), "d0"),
            ("d-0", FieldValue::F64(-0.0), "d-0"),
            ("I0", FieldValue::I32(0), "I0"),
            ("lbig", FieldValue::I64(1 << 53), "lbig"),
            ("dbig", FieldValue::F64(9_007_199_254_740_992.0), "dbig"),
            ("D1", FieldValue::Decimal { scale: 0, value: 1 }, "D1"),
            ("D10", FieldValue::Decimal { scale: 1, value: 10 }, "D10"),
            ("S1", text("1"), "S1"),
            ("Sa", text("a"), "Sa xa"),
            ("xa", FieldValue::Bytes(b"a"), "Sa xa"),
            ("Strue", text("true"), "Strue"),
            ("S", text(""), "S"),
            ("AI1", parse_array(&int_array), "AI1"),
            ("Al1", parse_array(&long_array), "Al1"),
            ("A", parse_array(b""), "A F"),
            ("F", parse_table(b""), "A F"),
            ("Fab", parse_table(&nested), "Fab"),
        ];
        let mut bindings: Vec<_> = values.iter().map(|(_, value, _)| table(&[("k", *value)])).collect();
        bindings.push(table(&[("k", FieldValue::Void)]));
        let exchange = exchange(&bindings);
        for (name, value, expected) in &values {
            let queues = routed(&exchange, Some(&table(&[("k", *value)])));
            let met: Vec<_> = values
                .iter()
                .zip(0..)
                .filter(|(_, number)| queues.contains(number))
                .map(|(v, _)| v.0)
                .collect();
            assert_eq!(met.join(" "), *expected, "message {name}");
            assert!(queues.contains(&32), "presence is asked for, and {name} is there");
        }
        assert_eq!(routed(&exchange, Some(&table(&[("k", FieldValue::Void)]))), [32]);
        assert_eq!(routed(&exchange, Some(&table(&[("j", FieldValue::Bool(true))]))), [] as [u64; 0]);
    }

    #[test]
    fn timestamps_are_taken_both_ways() {
        let exchange = exchange(&[
            table(&[("k", FieldValue::I64(1000))]),
            table(&[("k", FieldValue::I64(1))]),
            table(&[("k", FieldValue::Timestamp(1))]),
        ]);
        assert_eq!(routed(&exchange, Some(&table(&[("k", FieldValue::Timestamp(1))]))), [0, 2]);
        assert_eq!(routed(&exchange, Some(&table(&[("k", FieldValue::I32(1))]))), [1, 2]);
        assert_eq!(
            routed(&exchange, Some(&table(&[("k", FieldValue::Timestamp(u64::MAX))]))),
            [] as [u64; 0]
        );
    }

    /// As RabbitMQ 4.0.5 answered for each pair.
    #[test]
    fn the_four_kinds_of_match() {
        let one = FieldValue::I64(1);
        let two = FieldValue::I64(2);
        let exchange = exchange(&[
            table(&[("x-match", text("all"))]),
            table(&[("x-match", text("any"))]),
            table(&[("x-match", text("all-with-x"))]),
            table(&[("x-match", text("any-with-x"))]),
            table(&[]),
            table(&[("x-a", one), ("x-match", text("all"))]),
            table(&[("x-a", one), ("x-match", text("any"))]),
            table(&[("x-a", one), ("x-match", text("all-with-x"))]),
            table(&[("x-a", one), ("x-match", text("any-with-x"))]),
            table(&[("a", one), ("b", two), ("x-match", text("any"))]),
            table(&[("a", one), ("b", two), ("x-match", text("all"))]),
            table(&[("a", FieldValue::Void), ("b", two), ("x-match", text("any"))]),
            table(&[("a", one), ("x-a", FieldValue::Void), ("x-match", text("all-with-x"))]),
        ]);
        let three = FieldValue::I64(3);
        for (message, expected) in [
            (Some(table(&[])), vec![0, 2, 4, 5]),
            (None, vec![0, 2, 4, 5]),
            (Some(table(&[("x-a", one)])), vec![0, 2, 4, 5, 7, 8]),
            (Some(table(&[("a", one)])), vec![0, 2, 4, 5, 9, 11]),
            (Some(table(&[("a", one), ("b", two)])), vec![0, 2, 4, 5, 9, 10, 11]),
            (Some(table(&[("b", two), ("a", one)])), vec![0, 2, 4, 5, 9, 10, 11]),
            (Some(table(&[("a", three), ("x-a", two), ("x-match", text("all"))])), vec![0, 2, 4, 5, 11]),
            (Some(table(&[("a", one), ("x-a", two)])), vec![0, 2, 4, 5, 9, 11, 12]),
            (Some(table(&[("a", FieldValue::Void)])), vec![0, 2, 4, 5, 11]),
            (Some(table(&[("b", FieldValue::I64(9))])), vec![0, 2, 4, 5]),
            (Some(table(&[("x-match", text("all"))])), vec![0, 2, 4, 5]),
            // Of repeated headers the last counts.
            (Some(table(&[("a", one), ("a", three)])), vec![0, 2, 4, 5, 11]),
            (Some(table(&[("a", three), ("a", one)])), vec![0, 2, 4, 5, 9, 11]),
        ] {
            assert_eq!(routed(&exchange, message.as_deref()), expected, "{message:?}");
        }
    }

    #[test]
    fn invalid_x_match_is_refused_in_rabbitmqs_words() {
        let strings = array(text("a"));
        let nested = table(&[("a", FieldValue::I32(1))]);
        for (value, expected) in [
            (
                text("foo"),
                "Invalid x-match field value <<\"foo\">>; expected all, any, all-with-x, or any-with-x",
            ),
            (text(""), "Invalid x-match field value <<>>; expected all, any, all-with-x, or any-with-x"),
            (FieldValue::I32(5), "Invalid x-match field type signedint (value 5); expected longstr"),
            (FieldValue::Void, "Invalid x-match field type void (value undefined); expected longstr"),
            (FieldValue::Bool(true), "Invalid x-match field type bool (value true); expected longstr"),
            (
                FieldValue::Bytes(b"all"),
                "Invalid x-match field type binary (value <<\"all\">>); expected longstr",
            ),
            (
                FieldValue::Array(leveret_protocol::field_table::FieldArray::parse(&strings).expect("array")),
                "Invalid x-match field type array (value [{longstr,<<\"a\">>}]); expected longstr",
            ),
            (
                FieldValue::Table(FieldTable::parse(&nested).expect("table")),
                "Invalid x-match field type table (value [{<<\"a\">>,signedint,1}]); expected longstr",
            ),
        ] {
            let arguments = table(&[("x-match", value)]);
            let binding = Binding::new(ExchangeKey(0), Destination::Queue(QueueKey(0)), b"", &arguments);
            assert_eq!(Pattern::parse(&binding).expect_err("invalid").to_string(), expected);
        }
    }
}
